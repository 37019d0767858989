"""Draws from the priors have the priors' moments, and rows those of the mixtures that the draws describe."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats

import mixtures as mx

DRAWS = 6000


def close(sample, mean, variance, count=DRAWS):
    """The sample's mean and variance within five standard errors of what they should be."""
    sample = np.asarray(sample)
    assert abs(sample.mean() - mean) < 5.0 * np.sqrt(variance / count)
    fourth = np.mean((sample - mean) ** 4)
    assert abs(np.mean((sample - mean) ** 2) - variance) < 5.0 * np.sqrt(max(fourth - variance**2, 0.0) / count)


def test_weights_are_dirichlet_and_rows_are_allocated_by_them():
    alpha = np.array([2.0, 1.0, 5.0])
    block = mx.Bernoulli("a", probability=mx.Beta(3.0, 2.0))
    spec = mx.Mixture(block, n_components=3, weights=mx.Dirichlet(alpha))
    found = mx.prior_predictive(spec, n=7, draws=DRAWS, rng=1)
    known = stats.dirichlet(alpha)
    for k in range(3):
        close(found["weights"][:, k], known.mean()[k], known.var()[k])
    covariance = np.cov(found["weights"].values.T)[0, 2]
    assert covariance == pytest.approx(-alpha[0] * alpha[2] / (8.0**2 * 9.0), rel=0.15)
    np.testing.assert_allclose(found["weights"].sum("component"), 1.0)
    for k in range(3):
        share = (found["allocation"] == k).mean("row")
        one = known.mean()[k]
        close(share, one, known.var()[k] + (one - known.var()[k] - one**2) / 7)


def test_probabilities_are_beta_and_cells_beta_binomial():
    spec = mx.Mixture(
        mx.Binomial("a", "b", trials=6, probability=mx.Beta(3.0, 2.0)), n_components=2, weights=mx.Dirichlet(1.0)
    )
    found = mx.prior_predictive(spec, n=1, draws=DRAWS, rng=2)
    beta, cells = stats.beta(3.0, 2.0), stats.betabinom(6, 3.0, 2.0)
    for j, column in enumerate(("a", "b")):
        for k in range(2):
            close(found["probability"][:, k, j], beta.mean(), beta.var())
        close(found["y"].sel(column=column), cells.mean(), cells.var())


def test_the_normal_inverse_wishart_has_its_moments_in_data_units():
    scale, kappa, nu = np.array([[4.0, 1.0], [1.0, 3.0]]), 0.5, 12.0
    prior = mx.NormalInverseWishart(mean=[100.0, -3.0], kappa=kappa, nu=nu, scale_matrix=scale)
    spec = mx.Mixture(mx.Gaussian("x", "y", prior=prior), n_components=2, weights="equal")
    found = mx.prior_predictive(spec, n=1, draws=DRAWS, rng=3)
    known = stats.invwishart(nu, scale)
    expected = known.mean()
    for k in range(2):
        for i, j in ((0, 0), (0, 1), (1, 1)):
            close(found["covariance"][:, k, i, j], expected[i, j], known.var()[i, j])
        for i, centre in enumerate((100.0, -3.0)):
            close(found["mean"][:, k, i], centre, expected[i, i] / kappa)
    for i, centre in enumerate((100.0, -3.0)):
        close(found["y"][:, 0, i], centre, expected[i, i] * (1.0 + 1.0 / kappa))


def test_fixed_and_shared_values_stay_so():
    prior = mx.NormalInverseWishart(mean=[0.0], kappa=1.0, nu=5.0, scale_matrix=[[1.0]])
    spec = mx.Mixture(
        [
            mx.Gaussian("x", mean=2.0, covariance=mx.Shared(), prior=prior),
            mx.Gaussian("x", covariance=mx.Shared(), prior=prior),
        ],
        weights=[0.25, 0.75],
    )
    found = mx.prior_predictive(spec, n=4, draws=50, rng=4)
    np.testing.assert_array_equal(found["mean"][:, 0], 2.0)
    np.testing.assert_array_equal(found["covariance"][:, 0], found["covariance"][:, 1])
    np.testing.assert_array_equal(found["weights"], np.tile([0.25, 0.75], (50, 1)))


def test_it_is_labelled_and_one_seed_gives_the_same_draws():
    data = mx.load_dataset("old_faithful")
    spec = mx.Mixture(mx.Gaussian("eruptions", "waiting"), n_components=2)
    found = mx.prior_predictive(spec, data, draws=3, rng=5)
    assert isinstance(found, xr.Dataset)
    assert found["y"].dims == ("draw", "row", "column")
    assert found["y"].shape == (3, 272, 2)
    assert found["column"].values.tolist() == ["eruptions", "waiting"]
    assert found["mean"].dims == ("draw", "component", "gaussian_column")
    assert mx.Mixture.from_json(found.attrs["mixtures_resolved"]) == spec.resolve(data)
    xr.testing.assert_identical(found, mx.prior_predictive(spec.resolve(data), n=272, draws=3, rng=5))
    assert mx.prior_predictive(spec, data, n=5, draws=2, rng=5).sizes["row"] == 5
    xr.DataTree.from_dict({"/prior_predictive": found})


def test_rows_belong_to_the_component_they_are_allocated_to():
    prior = mx.Beta(1.0, 1.0)
    spec = mx.Mixture(
        [mx.Bernoulli("a", probability=0.0) * mx.Bernoulli("b", probability=prior, name="other"),
         mx.Bernoulli("a", probability=1.0) * mx.Bernoulli("b", probability=prior, name="other")],
        weights=mx.Dirichlet(1.0),
    )  # fmt: skip
    found = mx.prior_predictive(spec, n=20, draws=10, rng=6)
    np.testing.assert_array_equal(found["y"].sel(column="a"), found["allocation"])


def test_what_is_open_without_data_is_named():
    spec = mx.Mixture(mx.Gaussian("x") * mx.Bernoulli("a", probability=mx.Beta(1.0, 1.0)), n_components=2)
    with pytest.raises(
        mx.SpecError, match=r"prior_predictive: weights, mean, covariance of .*no prior in numbers\. Pass data"
    ):
        mx.prior_predictive(spec, n=5)
    with pytest.raises(mx.SpecError, match=r"low, high of .*no prior in numbers"):
        mx.prior_predictive(mx.Mixture([mx.Uniform("x"), mx.Uniform("x")], weights="equal"), n=5)
    known = mx.Mixture(mx.Bernoulli("a", probability=mx.Beta(1.0, 1.0)), n_components=2, weights="equal")
    with pytest.raises(mx.SpecError, match=r"without data the number of rows per draw is needed"):
        mx.prior_predictive(known)
    for name, value in (("n", 0), ("n", 1.5), ("draws", 0), ("draws", "many")):
        with pytest.raises(mx.SpecError, match=rf"prior_predictive\({name}=.*an integer >= 1"):
            mx.prior_predictive(known, **{"n": 3, name: value})
    with pytest.raises(mx.SpecError, match="pass a specification"):
        mx.prior_predictive(3, n=5)


def test_means_known_in_part_are_drawn_given_what_is_known():
    """Free entries given the known one have the moments of the conditional normal (scipy's inverse Wishart, many draws)."""
    matrix = np.array([[2.0, 1.2], [1.2, 1.5]])
    prior = mx.NormalInverseWishart(mean=[0.0, 1.0], kappa=0.5, nu=20.0, scale_matrix=20.0 * matrix)
    spec = mx.Mixture([mx.Gaussian("x", "y", mean=[3.0, mx.Free()], prior=prior)], weights=[1.0])
    means = mx.prior_predictive(spec, n=1, draws=4000, rng=2)["mean"].values[:, 0]
    assert (means[:, 0] == 3.0).all()
    sigma = stats.invwishart(20.0, 20.0 * matrix).rvs(20_000, random_state=3)
    expected = 1.0 + 3.0 * (sigma[:, 1, 0] / sigma[:, 0, 0])
    spread = (sigma[:, 1, 1] - sigma[:, 1, 0] ** 2 / sigma[:, 0, 0]) / 0.5
    assert means[:, 1].mean() == pytest.approx(expected.mean(), abs=0.08)
    assert means[:, 1].var() == pytest.approx(spread.mean() + expected.var(), rel=0.08)


def test_priors_without_exact_draws_are_refused_by_name():
    data = mx.load_dataset("old_faithful")
    for code, refused in (("VEI", False), ("EVI", True), ("VEE", True)):
        spec = mx.Mixture(mx.Gaussian("eruptions", "waiting", structure=code), 2).resolve(data)
        if not refused:
            assert mx.prior_predictive(spec, n=2, draws=2, rng=1).sizes["draw"] == 2
            continue
        with pytest.raises(mx.UnsupportedError, match=f"the prior of structure='{code}' cannot be drawn from yet"):
            mx.prior_predictive(spec, n=2, draws=2, rng=1)
