"""Gamma columns: against scipy's fit, optimisers that know scipy's density alone, and what collapses."""

import numpy as np
import pytest
from scipy import integrate, stats
from scipy.optimize import minimize
from scipy.special import logsumexp

import mixtures as mx
from mixtures import Gamma, GammaPrior, Shared
from mixtures.testing import check_family

TRUTH = {"weights": [0.4, 0.6], "shape": [[2.0, 5.0], [20.0, 3.0]], "rate": [[2.0, 1.0], [4.0, 0.25]]}


def simulated(n=500):
    return mx.simulate(mx.Mixture(Gamma("a", "b"), 2), TRUTH, n, rng=3, component=None)


def log_f(x, shape, rate):
    """Log density (n, K) of rows (n, d), by scipy alone; shape and rate are (K, d)."""
    return stats.gamma(shape, scale=1.0 / np.asarray(rate)).logpdf(x[:, None]).sum(axis=2)


def log_likelihood(x, weights, shape, rate):
    return float(logsumexp(log_f(x, shape, rate) + np.log(weights), axis=1).sum())


PRIORS = {"shape": GammaPrior(3, 0.4), "rate": GammaPrior(2, 0.7)}
KNOWN = {"shape": stats.gamma(3, scale=1 / 0.4), "rate": stats.gamma(2, scale=1 / 0.7)}

# --- laws and density ---


@pytest.mark.parametrize(
    "block",
    [
        Gamma("a", "b", **PRIORS),
        Gamma("a", shape=Shared(PRIORS["shape"])),
        Gamma("a", "b", shape=Shared(), rate=Shared()),
        Gamma("a", "b", shape=[2.0, 0.7]),
        Gamma("a", "b", rate=Shared(1.5)),
        Gamma("a", shape=Shared(), rate=2.0),
    ],
    ids=repr,
)
def test_laws_hold_with_priors_fixed_and_shared_values(block):
    check_family(block, rng=4)


def test_the_density_integrates_to_one():
    theta = {"shape": np.array([[0.7]]), "rate": np.array([[3.0]])}
    found = integrate.quad(lambda x: float(np.exp(Gamma("a").log_density(np.array([[x]]), theta)[0, 0])), 0.0, np.inf)
    assert found[0] == pytest.approx(1.0, rel=1e-7)


@pytest.mark.parametrize("shape", [1e-3, 0.5, 29.999, 30.001, 1e4, 1e9])
def test_density_and_score_are_exact_for_shapes_of_all_sizes(shape):
    """Against the normal density in the limit, and against scipy where scipy's terms do not cancel."""
    rate = shape / 7.0
    x = 7.0 * (1.0 + np.array([-1.3, 0.0, 0.4, 2.0]) / np.sqrt(max(shape, 10.0)))
    found = Gamma("a").log_density(x[:, None], {"shape": np.array([[shape]]), "rate": np.array([[rate]])})[:, 0]
    cancelled = 1e-16 * shape * np.abs(np.log(x)) * 10
    np.testing.assert_array_less(np.abs(found - stats.gamma(shape, scale=1 / rate).logpdf(x)), 1e-12 + 3 * cancelled)
    if shape >= 1e9:
        normal = stats.norm(7.0, 7.0 / np.sqrt(shape)).logpdf(x)
        np.testing.assert_allclose(found, normal, atol=10.0 / np.sqrt(shape))


@pytest.mark.parametrize("shape", [1e-3, 3.0, 40.0, 1e5])
def test_one_component_is_scipy_s_fit(shape):
    x = np.random.default_rng(6).gamma(shape, 1.0, 300) + (1e-300 if shape < 1 else 0.0)
    fit = mx.fit(mx.Mixture(Gamma("a"), 1), {"a": x}, rng=1)
    expected, *_ = stats.gamma.fit(x, floc=0)
    assert fit.converged
    assert fit.point["shape"][0, 0] == pytest.approx(expected, rel=1e-6)
    mean = fit.point["shape"][0, 0] / fit.point["rate"][0, 0]
    assert mean == pytest.approx(x.mean(), rel=1e-12)


@pytest.mark.parametrize("cell", [1e-300, 1e-3, 1e3, 1e300])
def test_extreme_cells_and_parameters_give_no_nan(cell):
    theta = {"shape": np.array([[1e-100], [3.0], [1e11]]), "rate": np.array([[1e100], [1e-100], [1.0]])}
    block, x, R = Gamma("a"), np.array([[cell]]), np.array([[0.0, 0.5, 0.0]])
    assert not np.any(np.isnan(block.log_density(x, theta)))
    assert not any(np.any(np.isnan(value)) for value in block.statistics(x, R, theta).values())


# --- the M-step ---

SLOTS = {
    "free": {},
    "shape shared": {"shape": Shared()},
    "rate shared": {"rate": Shared()},
    "both shared": {"shape": Shared(), "rate": Shared()},
    "shape fixed": {"shape": [1.5, 2.5]},
    "rate fixed": {"rate": [0.5, 2.0]},
    "shape fixed, rate shared": {"shape": 1.5, "rate": Shared()},
}


def with_priors(block):
    changes = {}
    for name, slot in block.slots.items():
        if isinstance(slot, Shared) and slot.inner is None:
            changes[name] = Shared(PRIORS[name])
        elif slot == mx.Free():
            changes[name] = PRIORS[name]
    return block.replace(**changes)


@pytest.mark.parametrize("estimate", ["mle", "map"])
@pytest.mark.parametrize("slots", SLOTS.values(), ids=SLOTS)
def test_no_optimiser_finds_anything_above_the_m_step(slots, estimate):
    x, rng = simulated(60).to_numpy(), np.random.default_rng(5)
    R = rng.dirichlet((1.0, 1.0, 1.0), 60) * rng.uniform(0.5, 2.0, (60, 1))
    block = Gamma("a", "b", **slots)
    layout = block.layout((block,) * 3)
    theta = {name: layout[name].filled(np.ones((3, 2))) for name in ("shape", "rate")}
    numbers = {
        term: {key: np.stack([value] * 3) for key, value in prior.numbers((2,), "").items()}
        for term, prior, _ in with_priors(block).prior_terms()
    }
    S = block.statistics(x, R, theta)
    found = block.maximise(S, theta, layout, numbers if estimate == "map" else None)
    places = [(n, k, j) for n in layout for k in np.flatnonzero(layout[n].owners) for j in range(2)]

    def unpack(free):
        value = {name: theta[name].copy() for name in theta}
        for (name, k, j), t in zip(places, free, strict=True):
            value[name][layout[name].groups == k, j] = np.exp(t)
        return value

    def objective(free):
        value = unpack(free)
        total = float((R * log_f(x, value["shape"], value["rate"])).sum())
        if estimate == "map":
            total += sum(float(KNOWN[n].logpdf(value[n][k, j])) for n, k, j in places)
        return -total

    best = minimize(objective, np.zeros(len(places)), method="BFGS", options={"gtol": 1e-4})
    assert -objective([np.log(found[n][k, j]) for n, k, j in places]) >= -best.fun - 1e-9
    for name, value in unpack(best.x).items():
        np.testing.assert_allclose(found[name], value, rtol=2e-4)


@pytest.mark.parametrize("estimate", ["mle", "map"])
def test_groups_that_cross_are_one_system(estimate):
    """Shapes shared by components 0 and 1, rates by 1 and 2: the joint objective has slope 0 at the M-step's answer."""
    blocks = (
        Gamma("a", shape=Shared(group="s")),
        Gamma("a", shape=Shared(group="s"), rate=Shared(group="r")),
        Gamma("a", rate=Shared(group="r")),
    )
    spec = mx.Mixture(list(blocks))
    data = {"a": simulated(300)["a"]}
    fit = mx.fit(spec, data, rng=1, starts=8, estimate=estimate)
    shape, rate = fit.point["shape"][:, 0], fit.point["rate"][:, 0]
    assert shape[0] == shape[1] != shape[2]
    assert rate[1] == rate[2] != rate[0]
    em = mx.compile_em(spec, data, estimate=estimate)
    again = em.step({name: fit.point[name] for name in ("weights", "shape", "rate")})
    np.testing.assert_allclose(again["shape"], fit.point["shape"], rtol=1e-5)
    np.testing.assert_allclose(again["rate"], fit.point["rate"], rtol=1e-5)


def test_an_empty_component_keeps_its_values_and_its_prior_s_mode():
    x, block = simulated(40).to_numpy(), Gamma("a", "b")
    theta = {name: np.array(TRUTH[name]) for name in ("shape", "rate")}
    S = block.statistics(x, np.ones((40, 2)) * [1.0, 0.0], theta)
    layout = block.layout((block, block))
    alone = block.maximise(S, theta, layout, None)
    for name in theta:
        np.testing.assert_array_equal(alone[name][1], theta[name][1])
    numbers = {"shape": {"shape": np.full((2, 2), 3.0), "rate": np.full((2, 2), 0.5)}}
    assert block.maximise(S, theta, layout, numbers)["shape"][1] == pytest.approx([4.0, 4.0], rel=1e-12)


# --- whole programs ---


def brute_force(x, starts):
    """The highest likelihood of two components that scipy's optimiser finds, from scipy's density alone."""

    def objective(v):
        w = 1.0 / (1.0 + np.exp(-v[0]))
        shape, rate = np.exp(v[1:]).reshape(2, 2, -1)
        return -log_likelihood(x, [w, 1.0 - w], shape, rate)

    found = [minimize(objective, start, method="BFGS", options={"gtol": 1e-5}) for start in starts]
    return min(found, key=lambda one: one.fun)


def test_em_finds_the_maximum_of_its_likelihood():
    data = simulated()
    x = data.to_numpy()
    fit = mx.fit(mx.Mixture(Gamma("a", "b"), 2), data, rng=1, starts=10)
    point = fit.point
    assert fit.converged
    assert fit.log_likelihood == pytest.approx(log_likelihood(x, **point), rel=1e-12)
    start = np.r_[np.log(0.4 / 0.6), np.log(TRUTH["shape"]).ravel(), np.log(TRUTH["rate"]).ravel()]
    best = brute_force(x, [start])
    assert fit.log_likelihood == pytest.approx(-best.fun, abs=1e-6)
    shape, rate = np.exp(best.x[1:]).reshape(2, 2, 2)
    np.testing.assert_allclose(point["shape"], shape, rtol=1e-3)
    np.testing.assert_allclose(point["rate"], rate, rtol=1e-3)


def test_waiting_times_of_old_faithful_against_brute_force():
    """Two gamma components on the 272 waiting times; digits from scipy.optimize on scipy.stats.gamma."""
    data = mx.load_dataset("old_faithful")
    fit = mx.fit(mx.Mixture(Gamma("waiting"), 2), data, rng=1)
    start = np.r_[-0.5, np.log([80.0, 180.0]), np.log([1.5, 2.2])]
    best = brute_force(data[["waiting"]].to_numpy(), [start])
    assert fit.log_likelihood == pytest.approx(-best.fun, abs=1e-6)


def test_map_is_the_mode_of_its_posterior():
    data = simulated(150)
    fit = mx.fit(mx.Mixture(Gamma("a", "b", **PRIORS), 2), data, rng=1, starts=8, estimate="map")

    def log_posterior(shape, rate):
        prior = KNOWN["shape"].logpdf(shape).sum() + KNOWN["rate"].logpdf(rate).sum()
        return log_likelihood(data.to_numpy(), fit.point["weights"], shape, rate) + float(prior)

    best = log_posterior(fit.point["shape"], fit.point["rate"])
    assert fit.log_posterior == pytest.approx(best, rel=1e-11)
    for name in ("shape", "rate"):
        for index in np.ndindex(2, 2):
            for factor in (0.999, 1.001):
                moved = {key: fit.point[key].copy() for key in ("shape", "rate")}
                moved[name][index] *= factor
                assert log_posterior(**moved) < best


def test_estimates_follow_the_units_of_the_column():
    data = simulated()
    for estimate in ("mle", "map"):
        found = [
            mx.fit(mx.Mixture(Gamma("a", "b"), 2), c * data, rng=1, starts=4, estimate=estimate).point
            for c in (1.0, 1e6)
        ]
        np.testing.assert_allclose(found[1]["shape"], found[0]["shape"], rtol=1e-5)
        np.testing.assert_allclose(1e6 * found[1]["rate"], found[0]["rate"], rtol=1e-5)


def test_missing_cells_add_nothing():
    data = simulated(300)
    data.loc[::4, "a"] = np.nan
    fit = mx.fit(mx.Mixture(Gamma("a", "b"), 2), data, rng=1, starts=6)
    x, p = data.to_numpy(), fit.point
    joint = np.log(p["weights"]) + sum(
        np.nan_to_num(stats.gamma(p["shape"][:, j], scale=1 / p["rate"][:, j]).logpdf(x[:, [j]])) for j in range(2)
    )
    assert fit.log_likelihood == pytest.approx(float(logsumexp(joint, axis=1).sum()), rel=1e-11)
    assert np.isfinite(mx.fit(mx.Mixture(Gamma("a", "b"), 2), data, rng=1, starts=4, estimate="map").log_posterior)


def test_a_short_chain_is_drawn():
    found = mx.sample(
        mx.Mixture(Gamma("a", "b"), 2), simulated(100), draws=20, tune=20, chains=1, rng=1, progress=False
    )
    for name in ("shape", "rate"):
        drawn = np.asarray(found.posterior[name])
        assert drawn.shape == (1, 20, 2, 2)
        assert np.all(drawn > 0)


def test_a_gamma_and_a_gaussian_component_describe_one_column():
    rng = np.random.default_rng(0)
    y = np.r_[rng.gamma(3, 1, 300), rng.normal(20, 1, 200)]
    fit = mx.fit(mx.Mixture([Gamma("y"), mx.Gaussian("y")]), {"y": y}, rng=1, starts=10)
    p = fit.point
    density = p["weights"][0] * stats.gamma(p["shape"][0, 0], scale=1 / p["rate"][0, 0]).pdf(y)
    density += p["weights"][1] * stats.norm(p["mean"][0, 0], np.sqrt(p["covariance"][0, 0, 0])).pdf(y)
    assert fit.converged
    assert fit.log_likelihood == pytest.approx(np.log(density).sum(), rel=1e-11)
    np.testing.assert_allclose(p["weights"], [0.6, 0.4], atol=0.01)
    assert p["shape"][0, 0] == pytest.approx(stats.gamma.fit(y[:300], floc=0)[0], rel=1e-2)


# --- collapse ---


def tied():
    rng = np.random.default_rng(1)
    return {"x": np.r_[rng.gamma(2, 1, 200), np.full(15, 1.7)]}


def test_components_that_close_in_on_tied_rows_are_told_apart():
    fit = mx.fit(mx.Mixture(Gamma("x"), 2), tied(), rng=1)
    kinds = {optimum.kind for optimum in fit.optima}
    assert "collapsing" in kinds
    assert fit.converged
    assert fit.point["shape"].max() < 100
    higher = max(optimum.log_likelihood for optimum in fit.optima if optimum.kind == "collapsing")
    assert higher > fit.log_likelihood + 10


def test_the_default_prior_keeps_tied_rows_from_collapsing():
    fit = mx.fit(mx.Mixture(Gamma("x"), 2), tied(), rng=1, estimate="map")
    assert {optimum.kind for optimum in fit.optima} <= {"optimum", "nearly singular"}
    assert np.isfinite(fit.log_posterior)


def test_one_repeated_value_is_refused_by_column_unless_the_shape_is_known():
    data = {"x": [1.0, 2.0, 3.0], "y": [4.0, 4.0, 4.0]}
    with pytest.raises(mx.DataError, match=r"Column 'y' is constant \(every row is 4\).*fix shape="):
        mx.fit(mx.Mixture(Gamma("x", "y"), 1), data)
    fit = mx.fit(mx.Mixture(Gamma("x", "y", shape=2.0), 1), data)
    np.testing.assert_allclose(fit.point["rate"], [[1.0, 0.5]], rtol=1e-12)


def test_degeneracy_is_of_relative_widths():
    theta = {"shape": np.array([[1.0], [1e4]]), "rate": np.array([[1.0], [1e-3]])}
    found = Gamma("a").degeneracy(theta, np.array([0.5, 0.5]))
    np.testing.assert_allclose(found, [2.0 / 1.0001, 2e-4 / 1.0001])


# --- the declaration ---


def test_default_priors_are_shown_in_numbers():
    x = {"a": [1.0, 2.0, 6.0], "b": [10.0, 20.0, 60.0]}
    block = mx.Mixture(Gamma("a", "b"), 1).resolve(x).components[0].blocks[0]
    mean, variance = 3.0, 14.0 / 3.0
    assert block.slots["shape"].shape == block.slots["rate"].shape == 2.0
    np.testing.assert_allclose(block.slots["shape"].rate, [variance / mean**2] * 2)
    np.testing.assert_allclose(block.slots["rate"].rate, [variance / mean, 10 * variance / mean])
    assert block.replace() == block


@pytest.mark.parametrize("cell", [0.0, -1.0])
def test_values_are_above_0(cell):
    with pytest.raises(mx.DataError, match=r"row 2: found .* Gamma takes numbers greater than 0"):
        mx.fit(mx.Mixture(Gamma("a"), 1), {"a": [1.0, 2.0, cell]})


def test_the_prior_is_another_word():
    with pytest.raises(mx.SpecError, match=r"unknown prior 'Gamma'\. Did you mean 'GammaPrior'"):
        mx.Mixture.from_toml(mx.Mixture(Gamma("a", shape=GammaPrior(2, 1)), 2).to_toml().replace("GammaPrior", "Gamma"))
