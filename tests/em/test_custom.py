"""Fixed and shared parameters, and components that differ: the constrained maximum, whatever is written down."""

import numpy as np
import pytest
from scipy import optimize, stats

import mixtures as mx

WAITING = mx.Gaussian("waiting")


@pytest.fixture(scope="module")
def old_faithful():
    return mx.load_dataset("old_faithful")


def optima(fit):
    return [record.log_likelihood for record in fit.optima if record.kind == "optimum"]


def test_a_known_mean_gives_the_published_maximum(old_faithful):
    fit = mx.fit(mx.Mixture([mx.Gaussian("waiting", mean=55.0), WAITING]), old_faithful, rng=1)
    assert fit.log_likelihood == pytest.approx(-1034.1493, abs=1e-3)
    assert fit.point["mean"][0, 0] == 55.0


def test_a_known_sd_has_two_optima_one_for_each_assignment(old_faithful):
    fit = mx.fit(mx.Mixture([mx.Gaussian("waiting", covariance=25.0), WAITING]), old_faithful, rng=1)
    assert fit.point["covariance"][0, 0, 0] == 25.0
    np.testing.assert_allclose(optima(fit)[:2], [-1035.6598, -1037.12], atol=1e-3)


def test_equal_sds_are_equal_and_the_constrained_maximum(old_faithful):
    x = old_faithful["eruptions"].to_numpy()
    fit = mx.fit(mx.Mixture(mx.Gaussian("eruptions", covariance=mx.Shared()), n_components=2), old_faithful, rng=1)
    sds = np.sqrt(fit.point["covariance"][:, 0, 0])
    assert sds[0] == sds[1]

    def negative(theta):
        w = 1.0 / (1.0 + np.exp(-theta[0]))
        densities = stats.norm.pdf(x[:, None], theta[1:3], np.exp(theta[3]))
        return -np.log(densities @ [w, 1.0 - w]).sum()

    found = optimize.minimize(
        negative, [-0.5, 2.0, 4.3, -1.0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-10, "maxiter": 5000}
    )
    assert fit.log_likelihood == pytest.approx(-found.fun, abs=1e-6)


def test_a_covariance_shared_by_a_named_group_is_one_value_and_no_worse_than_sharing_it_by_all(old_faithful):
    block = mx.Gaussian("eruptions", "waiting", covariance=mx.Shared(group="narrow"))
    spec = mx.Mixture([block, block, mx.Gaussian("eruptions", "waiting")])
    fit = mx.fit(spec, old_faithful, rng=1)
    np.testing.assert_array_equal(fit.point["covariance"][0], fit.point["covariance"][1])
    assert not np.allclose(fit.point["covariance"][0], fit.point["covariance"][2])
    tied = mx.fit(
        mx.Mixture(mx.Gaussian("eruptions", "waiting", covariance=mx.Shared()), n_components=3), old_faithful, rng=1
    )
    assert fit.log_likelihood > tied.log_likelihood
    assert spec.exchangeable == ((0, 1), (2,))


def test_everything_known_is_only_evaluated(old_faithful):
    spec = mx.Mixture(
        [mx.Gaussian("waiting", mean=55.0, covariance=36.0), mx.Gaussian("waiting", mean=80.0, covariance=36.0)],
        weights=[0.4, 0.6],
    )
    fit = mx.fit(spec, old_faithful, rng=1, starts=3)
    x = old_faithful["waiting"].to_numpy()
    expected = np.log(stats.norm.pdf(x[:, None], [55.0, 80.0], 6.0) @ [0.4, 0.6]).sum()
    assert fit.log_likelihood == pytest.approx(expected, abs=1e-9)
    assert fit.converged


def test_structures_of_two_kinds_are_the_maximum_of_that_model(old_faithful):
    spec = mx.Mixture(
        [
            mx.Gaussian("eruptions", "waiting", name="tilted"),
            mx.Gaussian("eruptions", "waiting", structure="diagonal", name="straight"),
        ]
    )
    fit = mx.fit(spec, old_faithful, rng=1)
    both = [
        mx.fit(
            mx.Mixture(mx.Gaussian("eruptions", "waiting", structure=s), n_components=2), old_faithful, rng=1
        ).log_likelihood
        for s in ("diagonal", "full")
    ]
    assert both[0] < fit.log_likelihood < both[1]
    x = old_faithful[["eruptions", "waiting"]].to_numpy()
    tilted = stats.multivariate_normal(fit.point["tilted_mean"][0], fit.point["tilted_covariance"][0])
    straight = stats.multivariate_normal(fit.point["straight_mean"][0], fit.point["straight_covariance"][0])
    w = fit.point["weights"]
    assert fit.log_likelihood == pytest.approx(np.log(w[0] * tilted.pdf(x) + w[1] * straight.pdf(x)).sum(), abs=1e-8)


def test_columns_in_blocks_of_their_own_are_independent_given_the_component(old_faithful):
    one = mx.Mixture(mx.Gaussian("eruptions", "waiting", structure="diagonal"), n_components=2)
    two = mx.Mixture(mx.Gaussian("eruptions", name="length") * mx.Gaussian("waiting", name="pause"), n_components=2)
    assert mx.fit(one, old_faithful, rng=1).log_likelihood == pytest.approx(
        mx.fit(two, old_faithful, rng=1).log_likelihood, abs=1e-6
    )


def test_units_of_columns_do_not_matter_when_structures_differ(old_faithful):
    units = {"eruptions": 1e-6, "waiting": 1e6}
    spec = mx.Mixture(
        [
            mx.Gaussian("eruptions", "waiting", name="tilted"),
            mx.Gaussian("eruptions", "waiting", structure="diagonal", name="straight"),
        ]
    )
    a, b = mx.fit(spec, old_faithful, rng=1), mx.fit(spec, old_faithful * units, rng=1)
    assert a.log_likelihood == pytest.approx(b.log_likelihood, abs=1e-4)


def test_a_known_null_component_is_found_with_its_share():
    rng = np.random.default_rng(1)
    z = np.where(rng.random(5000) < 0.9, rng.normal(size=5000), 2.5 + rng.normal(size=5000))
    fit = mx.fit(mx.Mixture([mx.Gaussian("z", mean=0.0, covariance=1.0), mx.Gaussian("z")]), {"z": z}, rng=1)
    np.testing.assert_allclose(fit.point["weights"], [0.9, 0.1], atol=0.03)
    np.testing.assert_array_equal(fit.point["mean"][0], [0.0])
    assert fit.point["mean"][1, 0] == pytest.approx(2.5, abs=0.4)


def test_scales_of_many_blocks_that_share_columns_are_settled():
    """Four groups whose columns overlap in a ring: every column has one scale, and the search for it ends."""
    rng = np.random.default_rng(1)
    names, sds = ["x", "b1", "b2", "y", "d1", "d2"], [2, 2, 2, 1, 1, 1]
    data = {name: sd * rng.normal(size=80) + 4 * (np.arange(80) % 2) for name, sd in zip(names, sds, strict=True)}
    g = mx.Gaussian
    first = g("x", "y", structure="spherical", name="A") * g("b1", "b2", "d1", "d2", structure="diagonal", name="R")
    second = g("x", "b1", "b2", structure="spherical", name="B") * g("y", "d1", "d2", structure="spherical", name="D")
    assert mx.fit(mx.Mixture([first, second]), data, rng=1, starts=3).converged


@pytest.mark.parametrize("unit", [1e-9, 1e-6, 1e6])
def test_units_do_not_matter_beside_a_noise_component(unit):
    rng = np.random.default_rng(3)
    x = np.r_[rng.normal(0, 1, 150), rng.normal(8, 1, 150), rng.uniform(-20, 30, 40)]
    spec = mx.Mixture([mx.Gaussian("x"), mx.Gaussian("x"), mx.Uniform("x")])
    a, b = mx.fit(spec, {"x": x}, rng=1), mx.fit(spec, {"x": unit * x}, rng=1)
    assert a.status is b.status
    assert a.log_likelihood == pytest.approx(b.log_likelihood + len(x) * np.log(unit), abs=1e-6)
    np.testing.assert_allclose(a.point["weights"], b.point["weights"], atol=1e-8)


def test_a_rate_of_zero_can_be_used_like_any_estimate():
    data = {"a": np.zeros(30), "b": np.r_[np.zeros(15), np.arange(15.0)]}
    spec = mx.Mixture(mx.Poisson("a", "b"), n_components=2)
    fit = mx.fit(spec, data, rng=1)
    assert fit.point["rate"][0, 0] == 0.0
    assert mx.simulate(spec, fit, 50, rng=1)["a"].eq(0).all()
    assert mx.fit(spec, data, starts=[fit.point]).log_likelihood == pytest.approx(fit.log_likelihood, abs=1e-9)


def test_shared_values_that_differ_are_refused_as_parameters(old_faithful):
    spec = mx.Mixture(mx.Gaussian("waiting", covariance=mx.Shared()), n_components=2)
    em = mx.compile_em(spec, old_faithful)
    with pytest.raises(mx.SpecError, match="shared by components 0 and 1, but their values differ"):
        em.parameters({"weights": [0.5, 0.5], "mean": [[55.0], [80.0]], "covariance": [[[30.0]], [[31.0]]]})
    known = mx.compile_em(mx.Mixture([mx.Gaussian("waiting", mean=55.0), mx.Gaussian("waiting")]), old_faithful)
    with pytest.raises(mx.SpecError, match="'mean' of component 0 is fixed at"):
        known.parameters({"weights": [0.5, 0.5], "mean": [[54.0], [80.0]], "covariance": [[[30.0]], [[31.0]]]})


# -- fixed in part ------------------------------------------------------------------------------------------------------


def test_a_mean_known_in_one_column_is_the_constrained_maximum_by_a_numeric_optimiser():
    data = mx.load_dataset("old_faithful")
    x = data.to_numpy()
    spec = mx.Mixture(
        [mx.Gaussian("eruptions", "waiting", mean=[mx.Free(), 55.0]), mx.Gaussian("eruptions", "waiting")]
    )
    fit = mx.fit(spec, data, rng=1)
    assert fit.point["mean"][0, 1] == 55.0
    assert fit.n_parameters() == 10

    def height(free):
        share = 1.0 / (1.0 + np.exp(-free[0]))
        factors = [np.array([[np.exp(f[0]), 0.0], [f[1], np.exp(f[2])]]) for f in (free[4:7], free[7:10])]
        means = [free[1], 55.0], free[2:4]
        joint = [
            np.log(w) + stats.multivariate_normal(m, f @ f.T).logpdf(x)
            for w, m, f in zip((share, 1 - share), means, factors, strict=True)
        ]
        return -np.logaddexp(*joint).sum()

    factors = np.linalg.cholesky(fit.point["covariance"])
    start = [
        np.log(fit.point["weights"][0] / fit.point["weights"][1]),
        fit.point["mean"][0, 0],
        *fit.point["mean"][1],
        *[value for f in factors for value in (np.log(f[0, 0]), f[1, 0], np.log(f[1, 1]))],
    ]
    found = optimize.minimize(height, np.array(start) + 0.01, method="BFGS", options={"gtol": 1e-6})
    assert fit.log_likelihood == pytest.approx(-found.fun, abs=1e-6)


def test_probabilities_known_in_part_keep_what_is_known_and_are_shown_as_what_is_estimated():
    patterns = mx.load_dataset("lsat6")
    items = [f"item{i}" for i in range(1, 6)]
    known = mx.Bernoulli(*items, probability=[0.9, *[mx.Free()] * 4])
    fit = mx.fit(mx.Mixture([known, mx.Bernoulli(*items)]), patterns, sample_weight="count", rng=1)
    assert fit.point["probability"][0, 0] == 0.9
    assert fit.n_parameters() == 10
    labels = mx.standard_errors(fit, patterns, sample_weight="count").index
    assert "probability[0, item1]" not in labels
    assert "probability[1, item1]" in labels
    free = mx.fit(mx.Mixture(mx.Bernoulli(*items), 2), patterns, sample_weight="count", rng=1)
    assert fit.log_likelihood < free.log_likelihood


def test_what_is_fixed_in_part_has_a_text_form_with_and_without_its_prior():
    slot = mx.Fixed([0.5, mx.Free()], prior=mx.Beta(2, 3))
    spec = mx.Mixture([mx.Bernoulli("a", "b", probability=slot), mx.Bernoulli("a", "b", probability=[mx.Free(), 0.25])])
    assert mx.Mixture.from_toml(spec.to_toml()) == spec
    assert mx.Mixture.from_json(spec.to_json()) == spec
    assert "Fixed([0.5, Free()], prior=Beta(alpha=2.0, beta=3.0))" in repr(spec)
    resolved = spec.resolve({"a": [0, 1, 1, 0], "b": [1, 0, 1, 1]})
    assert "Fixed([Free(), 0.25], prior=Beta(alpha=1.0, beta=1.0))" in repr(resolved)
    assert mx.Mixture.from_toml(resolved.to_toml()) == resolved
    with pytest.raises(mx.SpecError, match="a prior on what is fixed has nothing to act on"):
        mx.Fixed([0.5, 0.25], prior=mx.Beta(2, 3))
    with pytest.raises(mx.SpecError, match="is no prior for entries of probability"):
        mx.Bernoulli("a", "b", probability=mx.Fixed([0.5, mx.Free()], prior=mx.GammaPrior(2, 3)))


def test_draws_of_what_is_fixed_in_part_are_relabelled_whole():
    rng = np.random.default_rng(1)
    z = rng.integers(2, size=120)
    data = {"x": rng.normal(size=120) + 5 * z, "y": rng.normal(size=120)}
    spec = mx.Mixture(mx.Gaussian("x", "y", structure="diagonal", mean=[mx.Free(), 0.0]), n_components=2)
    posterior = mx.sample(spec, data, draws=30, tune=60, chains=2, rng=1, progress=False)["posterior"]
    means = posterior["mean"].values
    assert (means[..., 1] == 0.0).all()
    assert (means[..., 0, 0] < means[..., 1, 0]).all()
    np.testing.assert_array_equal(posterior["mean_free"].values, means[..., 0])
    assert posterior["mean_entry"].values.tolist() == ["0, x", "1, x"]


def test_climbs_pass_optima_in_which_other_components_are_empty():
    """Components 0 and 2 are the same: optima empty them, or component 1 (drawn by the test of random mixtures)."""
    shared = mx.Exponential("x", rate=mx.Shared())
    x = [
        17.9627399,
        2.01878563,
        1.75133889,
        2.54068632,
        0.06300418,
        0.23041728,
        1.75403846,
        1.31876321,
        2.9586105,
        2.35900433,
    ]
    x += [2.55597678, 10.56178349, 9.83824192, 1.84456613, 1.20189282, 6.97598364, 3.0698597, 4.87394643, 5.98046685]
    x += [7.02660402, 4.98556691, 0.87642897, 8.35893206, 1.91415209, 3.23166331, 3.4158251, 2.6727317, 1.39122529]
    x += [1.50816845, 4.25314409]
    spec = mx.Mixture([shared, mx.Exponential("x"), shared])
    fit = mx.fit(spec, {"x": x}, estimate="map", starts=4, rng=1)
    one = mx.fit(mx.Mixture(mx.Exponential("x"), 1), {"x": x}, estimate="map", rng=1)
    assert fit.log_likelihood == pytest.approx(one.log_likelihood, abs=0.01)
