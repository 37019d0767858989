"""The same answers as mclust and scikit-learn, from data sets and from the same starts."""

import warnings

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.mixture import GaussianMixture

import mixtures as mx

IRIS = ("sepal_length", "sepal_width", "petal_length", "petal_width")

# mclust 6.0.0: em(modelName, data, parameters of Mclust(data, G, modelName), control = emControl(tol = 1e-14))$loglik
IRIS_LOG_LIKELIHOODS = [
    ("EII", 3, -401.802175789),
    ("VII", 3, -384.314095061),
    ("EEI", 3, -361.425522043),
    ("VVI", 2, -386.185346934),
    ("EEE", 3, -256.354043126),
    ("VVV", 2, -214.354704371),
]
GALAXIES_LOG_LIKELIHOODS = [
    ("EII", 1, -806.773824072),
    ("EII", 2, -796.788320265),
    ("EII", 3, -778.787788057),
    ("VII", 2, -786.679210029),
    ("VII", 3, -778.516337131),
    ("VII", 4, -765.688626842),
]


@pytest.mark.parametrize(("structure", "n_components", "expected"), IRIS_LOG_LIKELIHOODS)
def test_the_fit_of_iris_is_that_of_mclust(structure, n_components, expected):
    spec = mx.Mixture(mx.Gaussian(*IRIS, structure=structure), n_components=n_components)
    found = mx.fit(spec, mx.load_dataset("iris"), rng=1, starts=15)
    assert found.log_likelihood == pytest.approx(expected, abs=1e-6)


def test_three_components_of_iris_are_those_of_mclust():
    found = mx.fit(mx.Mixture(mx.Gaussian(*IRIS), n_components=3), mx.load_dataset("iris"), rng=1, starts=15)
    assert found.log_likelihood == pytest.approx(-180.185477131, abs=1e-6)
    np.testing.assert_allclose(found.point["weights"], [1 / 3, 0.299193201335, 0.367473465331], atol=1e-6)
    expected = [
        [5.006, 3.428, 1.462, 0.246],
        [5.91496959893, 2.77784364767, 4.20155324833, 1.29696686133],
        [6.54454866392, 2.94866115553, 5.47955346355, 1.98460497116],
    ]
    np.testing.assert_allclose(found.point["mean"], expected, atol=1e-6)
    species = mx.load_dataset("iris")["species"]
    assert [len(set(species[found.predict(mx.load_dataset("iris")) == k])) for k in range(3)] == [1, 1, 2]


@pytest.mark.parametrize(("structure", "n_components", "expected"), GALAXIES_LOG_LIKELIHOODS)
def test_the_optimum_of_mclust_is_among_those_of_the_galaxies(structure, n_components, expected):
    spec = mx.Mixture(mx.Gaussian("velocity", structure=structure), n_components=n_components)
    found = mx.fit(spec, mx.load_dataset("galaxies"), rng=1, starts=30)
    assert np.min(np.abs(found.starts["log_likelihood"] - expected)) < 1e-5
    assert found.log_likelihood >= expected - 1e-6  # mclust climbs from one start; some of its optima are not the best


SKLEARN = {
    ("full", False): "full",
    ("full", True): "tied",
    ("diagonal", False): "diag",
    ("spherical", False): "spherical",
}


def scikit_learn_from(p, kind, x, **options):
    """scikit-learn's EM from a given point."""
    precision = np.linalg.inv(p["covariance"])
    shaped = {
        "full": precision,
        "tied": precision[0],
        "diag": np.diagonal(precision, axis1=1, axis2=2),
        "spherical": precision[:, 0, 0],
    }[kind]
    model = GaussianMixture(
        len(p["weights"]),
        covariance_type=kind,
        reg_covar=0.0,
        weights_init=p["weights"],
        means_init=p["mean"],
        precisions_init=shaped,
        **options,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns when it stops at max_iter
        return model.fit(x)


def covariances(model, kind, d):
    """scikit-learn's covariances as (K, d, d)."""
    found = model.covariances_
    if kind == "full":
        return found
    if kind == "tied":
        return np.stack([found] * model.n_components)
    return np.stack([np.diag(np.broadcast_to(row, d)) for row in found])


@pytest.mark.parametrize(("structure", "tied"), list(SKLEARN))
def test_scikit_learn_takes_the_same_step_and_arrives_at_the_same_point(structure, tied):
    data, kind = mx.load_dataset("old_faithful"), SKLEARN[structure, tied]
    x = data.to_numpy(float)
    block = mx.Gaussian("eruptions", "waiting", structure=structure, covariance=mx.Shared() if tied else None)
    for n_components in (2, 3):
        em = mx.compile_em(mx.Mixture(block, n_components=n_components), data)
        start = em.start(rng=4)
        ours, theirs = em.step(start), scikit_learn_from(start, kind, x, max_iter=1, tol=0.0)
        np.testing.assert_allclose(ours["weights"], theirs.weights_, rtol=1e-9)
        np.testing.assert_allclose(ours["mean"], theirs.means_, rtol=1e-9)
        np.testing.assert_allclose(ours["covariance"], covariances(theirs, kind, 2), rtol=1e-7)

    em = mx.compile_em(mx.Mixture(block, n_components=2), data)
    start = em.start(rng=4)
    theirs = scikit_learn_from(start, kind, x, max_iter=20000, tol=1e-14)
    found = mx.fit(em.specification, data, starts=[start], method=mx.EM())
    order = np.argsort(theirs.means_[:, 0])
    assert found.log_likelihood == pytest.approx(theirs.score(x) * len(x), abs=1e-8)
    np.testing.assert_allclose(found.point["weights"], theirs.weights_[order], atol=1e-6)
    np.testing.assert_allclose(found.point["mean"], theirs.means_[order], rtol=1e-6)
    np.testing.assert_allclose(found.point["covariance"], covariances(theirs, kind, 2)[order], rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("n_components", [2, 4])
def test_hard_em_with_equal_weights_and_one_variance_is_k_means(n_components, seed):
    data = mx.load_dataset("iris")[list(IRIS)]
    x = data.to_numpy(float)
    spec = mx.Mixture(mx.Gaussian(*IRIS, structure="EII"), n_components=n_components, weights="equal")
    centers = x[np.random.default_rng(seed).choice(len(x), n_components, replace=False)]
    start = {
        "weights": np.full(n_components, 1 / n_components),
        "mean": centers,
        "covariance": np.stack([np.eye(4)] * n_components),
    }
    found = mx.fit(spec, data, starts=[start], method=mx.HardEM())
    theirs = KMeans(n_components, init=centers, n_init=1, tol=0.0, algorithm="lloyd", max_iter=1000).fit(x)
    order = np.argsort(theirs.cluster_centers_[:, 0])
    assert found.status is mx.Status.CONVERGED
    np.testing.assert_allclose(found.point["mean"], theirs.cluster_centers_[order], rtol=1e-9)
    np.testing.assert_array_equal(found.predict(data), np.argsort(order)[theirs.labels_])
    assert found.point["covariance"][0, 0, 0] * x.size == pytest.approx(theirs.inertia_, rel=1e-9)
    n, d = x.shape
    classification = -0.5 * n * d * (np.log(2 * np.pi * theirs.inertia_ / x.size) + 1) - n * np.log(n_components)
    assert found.history[-1] == pytest.approx(classification, abs=1e-8)


def test_the_table_of_hard_em_shows_log_likelihoods_of_the_mixture():
    data = mx.load_dataset("old_faithful")
    found = mx.fit(mx.Mixture(mx.Gaussian(*data), n_components=2), data, method=mx.HardEM(), rng=1, starts=10)
    assert found.starts["log_likelihood"][0] == found.log_likelihood
    assert found.log_likelihood > found.history[-1], "the classification likelihood lies below"
    assert found.log_likelihood < mx.fit(found.specification, data, rng=1, starts=10).log_likelihood
    assert found.score(data).sum() == pytest.approx(found.log_likelihood, abs=1e-8)
