"""Edges, ridges and saddles: probabilities of 0 and 1, empty components, coincident components, one component."""

import numpy as np
import pytest
from scipy import stats

import mixtures as mx


def binary(p, n, seed):
    """Rows of two classes with probabilities p (2, d)."""
    rng = np.random.default_rng(seed)
    p = np.array(p)
    return (rng.random((n, p.shape[1])) < p[rng.integers(2, size=n)]).astype(float)


def items(d, n_components=2, **options):
    return mx.Mixture(mx.Bernoulli(*[f"item{j}" for j in range(d)], **options), n_components=n_components)


# -- probabilities of 0 and 1 ---


@pytest.fixture(scope="module")
def screened():
    """A class that always passes the first item and one that never passes the last."""
    return binary([[1.0, 0.8, 0.7, 0.9, 0.6], [0.3, 0.2, 0.4, 0.2, 0.0]], 400, seed=1)


@pytest.mark.parametrize("method", [mx.SQUAREM(), mx.EM()], ids=repr)
def test_probabilities_of_0_and_1_are_reached_exactly(screened, method):
    found = mx.fit(items(5), screened, method=method, rng=1, starts=8)
    p = found.point["probability"]
    assert found.status is mx.Status.BOUNDARY
    assert found.converged
    assert p[1, 0] == 1.0
    assert p[0, 4] == 0.0
    assert ((p == 0) | (p == 1)).sum() == 2
    assert found.decrement <= 1e-6
    assert np.isfinite(found.log_likelihood)
    assert len(found.optima) == 1


def test_on_an_edge_the_likelihood_rises_outwards(screened):
    found = mx.fit(items(5), screened, rng=1, starts=8)
    em = mx.compile_em(found.specification, screened)
    for k, j in np.argwhere((found.point["probability"] == 0) | (found.point["probability"] == 1)):
        inside = {name: np.array(value) for name, value in found.point.items()}
        inside["probability"][k, j] = abs(inside["probability"][k, j] - 1e-4)
        assert em.log_likelihood(inside) < found.log_likelihood


def test_a_climb_leaves_an_edge_where_it_does_not_belong(screened):
    expected = mx.fit(items(5), screened, rng=1, starts=8)
    wrong = {"weights": [0.5, 0.5], "probability": [[0.5, 0.2, 0.4, 0.7, 0.1], [0.9, 0.8, 0.0, 0.9, 0.6]]}
    found = mx.fit(items(5), screened, starts=[wrong])
    assert found.log_likelihood == pytest.approx(expected.log_likelihood, abs=1e-9)
    np.testing.assert_allclose(found.point["probability"], expected.point["probability"], atol=1e-6)


def test_a_wrong_empty_component_is_filled_again():
    x = np.r_[np.random.default_rng(1).normal(0, 1, 60), np.random.default_rng(2).normal(8, 1, 40)][:, None]
    start = {"weights": [1.0, 0.0], "mean": [[3.0], [8.0]], "covariance": [[[16.0]], [[1.0]]]}
    found = mx.fit(mx.Mixture(mx.Gaussian("x"), n_components=2), x, starts=[start])
    assert found.status is mx.Status.CONVERGED
    assert found.point["weights"][1] == pytest.approx(0.4, abs=1e-6)


def test_a_column_that_is_always_1_has_probability_1_in_every_component():
    x = np.column_stack([np.ones(200), binary([[0.9, 0.8, 0.9], [0.1, 0.2, 0.3]], 200, seed=3)])
    found = mx.fit(items(4), x, rng=1, starts=8)
    assert found.status is mx.Status.BOUNDARY
    np.testing.assert_array_equal(found.point["probability"][:, 0], 1.0)


def test_an_interior_prior_keeps_probabilities_off_the_edges(screened):
    found = mx.fit(items(5, probability=mx.Beta(2, 2)), screened, estimate="map", rng=1, starts=8)
    assert found.status is mx.Status.CONVERGED
    assert np.all((found.point["probability"] > 0) & (found.point["probability"] < 1))


def test_known_lsat6_optima_of_three_classes_lie_on_edges():
    data = mx.load_dataset("lsat6")
    spec = mx.Mixture(mx.Bernoulli("item1", "item2", "item3", "item4", "item5"), n_components=3)
    found = mx.fit(spec, data, sample_weight="count", rng=1, starts=12)
    # flexmix 2.3-18: flexmix(X ~ 1, k = 3, model = FLXMCmvbinary(), control = list(tolerance = 0, minprior = 0))
    values = found.starts["log_likelihood"].to_numpy()
    assert found.log_likelihood == pytest.approx(-2464.65044791, abs=1e-6)
    assert np.min(np.abs(values + 2465.57014297)) < 1e-6
    p = found.point["probability"]
    np.testing.assert_allclose(np.sort(found.point["weights"]), [0.127260629, 0.175466586, 0.697272785], atol=1e-6)
    assert (p == 0).sum() == (p == 1).sum() == 1


# -- empty components ---


def test_a_component_without_rows_is_emptied_and_said_so():
    """With known equal shape and equal means there is nothing for a second component to do."""
    x = np.random.default_rng(5).normal(size=(300, 1))
    spec = mx.Mixture(mx.Gaussian("x"), n_components=2)
    alone = mx.fit(mx.Mixture(mx.Gaussian("x"), n_components=1), x)
    empty = {
        "weights": [1.0, 0.0],
        "mean": [alone.point["mean"][0], [100.0]],
        "covariance": [alone.point["covariance"][0], [[1.0]]],
    }
    found = mx.fit(spec, x, starts=[empty])
    assert found.status is mx.Status.EMPTIED
    assert not found.converged
    assert "fewer components" in found.summary() or "smaller n_components" in found.summary()
    assert sorted(found.point["weights"]) == [0.0, 1.0]
    assert found.log_likelihood == pytest.approx(alone.log_likelihood, abs=1e-9)
    assert np.all(np.isfinite(found.score(x)))
    np.testing.assert_array_equal(found.responsibilities(x).values[:, found.point["weights"] == 0], 0.0)


# -- ridges ---


@pytest.mark.parametrize("estimate", ["mle", "map"])
def test_two_classes_on_one_binary_column_are_a_ridge(estimate):
    x = np.r_[np.ones(7), np.zeros(5)][:, None]
    found = mx.fit(items(1), x, estimate=estimate, rng=1, starts=6)
    assert found.status is mx.Status.FLAT
    assert not found.converged
    assert found.log_likelihood == pytest.approx(7 * np.log(7 / 12) + 5 * np.log(5 / 12), abs=1e-9)
    assert "ridge" in found.summary()


# -- saddles ---


def coincident(spec, data, K, tilt, **options):
    """A fit started with components that are equal up to `tilt`."""
    names = [parameter.name for parameter in spec.groups[0].family.parameters]
    if names == ["probability"]:
        d = len(spec.columns)
        start = {"probability": np.full((K, d), 0.5) + tilt * np.arange(K)[:, None]}
    else:
        x = data[list(spec.columns)].to_numpy(float)
        start = {
            "mean": x.mean(axis=0) + tilt * np.arange(K)[:, None],
            "covariance": np.stack([np.diag(x.var(axis=0))] * K),
        }
    return mx.fit(spec, data, starts=[{"weights": np.full(K, 1 / K), **start}], **options)


@pytest.mark.parametrize("tilt", [0.0, 1e-12, 1e-9, 1e-6, 1e-3])
@pytest.mark.parametrize("method", [mx.SQUAREM(), mx.EM()], ids=repr)
def test_coincident_components_are_left(tilt, method):
    data = mx.load_dataset("old_faithful")
    spec = mx.Mixture(mx.Gaussian("eruptions", "waiting"), n_components=2)
    found = coincident(spec, data, 2, tilt, method=method)
    assert found.status is mx.Status.CONVERGED
    assert found.log_likelihood == pytest.approx(-1130.26396, abs=1e-5)


@pytest.mark.parametrize("tilt", [0.0, 1e-9, 1e-4])
def test_coincident_classes_are_left(tilt):
    spec = mx.Mixture(mx.Bernoulli("item1", "item2", "item3", "item4", "item5"), n_components=2)
    found = coincident(spec, mx.load_dataset("lsat6"), 2, tilt, sample_weight="count")
    assert found.status is mx.Status.CONVERGED
    assert found.log_likelihood == pytest.approx(-2467.40552, abs=1e-5)


@pytest.mark.parametrize("columns", [("eruptions", "waiting"), ("eruptions",)])
def test_three_coincident_components_are_left(columns):
    data = mx.load_dataset("old_faithful")
    spec = mx.Mixture(mx.Gaussian(*columns), n_components=3)
    found = coincident(spec, data, 3, 0.0)
    two = mx.fit(mx.Mixture(mx.Gaussian(*columns), n_components=2), data, rng=1, starts=10)
    assert found.status.converged
    assert found.log_likelihood > two.log_likelihood + 1


# -- one component ---


@pytest.mark.parametrize("structure", ["full", "diagonal", "spherical"])
def test_one_gaussian_component_is_the_sample_mean_and_covariance(structure):
    x = np.random.default_rng(4).normal(size=(50, 3)) @ np.random.default_rng(5).normal(size=(3, 3))
    found = mx.fit(mx.Mixture(mx.Gaussian("a", "b", "c", structure=structure), n_components=1), x)
    covariance = np.cov(x.T, ddof=0)
    expected = {
        "full": covariance,
        "diagonal": np.diag(np.diag(covariance)),
        "spherical": np.eye(3) * np.trace(covariance) / 3,
    }[structure]
    assert found.status is mx.Status.CONVERGED
    np.testing.assert_allclose(found.point["mean"][0], x.mean(axis=0), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found.point["covariance"][0], expected, rtol=1e-10, atol=1e-12)
    density = stats.multivariate_normal(x.mean(axis=0), expected).logpdf(x).sum()
    assert found.log_likelihood == pytest.approx(density, abs=1e-9)
    assert found.starts["starts"].sum() == 1


def test_one_class_is_the_share_of_ones():
    x = binary([[0.9, 0.5], [0.2, 0.5]], 100, seed=6)
    found = mx.fit(items(2, 1), x)
    np.testing.assert_allclose(found.point["probability"][0], x.mean(axis=0), rtol=1e-12)
    assert found.log_likelihood == pytest.approx(stats.bernoulli(x.mean(axis=0)).logpmf(x).sum(), abs=1e-9)


def test_one_component_under_a_prior_has_its_closed_form():
    x = np.random.default_rng(7).normal(2.0, 3.0, size=(30, 1))
    prior = mx.NormalInverseWishart(mean=[1.0], kappa=2.0, nu=5.0, scale_matrix=[[4.0]])
    found = mx.fit(mx.Mixture(mx.Gaussian("x", prior=prior), n_components=1), x, estimate="map").point
    n, mean = len(x), (x.sum() + 2.0 * 1.0) / (len(x) + 2.0)
    scatter = ((x - mean) ** 2).sum() + 2.0 * (mean - 1.0) ** 2 + 4.0
    assert found["mean"][0, 0] == pytest.approx(mean, rel=1e-12)
    assert found["covariance"][0, 0, 0] == pytest.approx(scatter / (n + 5.0 + 1 + 2), rel=1e-12)


def test_fixed_weights_stay_as_they_are():
    data = mx.load_dataset("old_faithful")
    spec = mx.Mixture(mx.Gaussian("eruptions"), n_components=2, weights=[0.25, 0.75])
    found = mx.fit(spec, data, rng=1, starts=8)
    assert sorted(found.point["weights"]) == [0.25, 0.75]
    assert found.status is mx.Status.CONVERGED
    free = mx.fit(mx.Mixture(mx.Gaussian("eruptions"), n_components=2), data, rng=1, starts=8)
    assert found.log_likelihood < free.log_likelihood
