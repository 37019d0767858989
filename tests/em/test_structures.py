"""The fourteen covariance structures: against mclust, against a numeric optimiser, and against each other."""

import numpy as np
import pytest
from scipy.linalg import expm
from scipy.optimize import minimize

import mixtures as mx
from mixtures import structures
from mixtures.structures import Chart, maximise_structure

IRIS = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
COUPLED = ["VEI", "EVI", "VEE", "EVE", "VVE", "EEV", "VEV", "EVV"]

OLD_FAITHFUL = {  # log-likelihoods and free parameters for K = 1 and K = 2: mclust 6.0.0, faithful
    "EII": (-2003.952, 3, -1709.681, 6),
    "VII": (-2003.952, 3, -1709.529, 7),
    "EEI": (-1516.706, 4, -1157.680, 7),
    "VEI": (-1516.706, 4, -1152.8802, 8),
    "EVI": (-1516.706, 4, -1153.8856, 8),
    "VVI": (-1516.706, 4, -1147.806, 9),
    "EEE": (-1289.797, 5, -1140.187, 8),
    "VEE": (-1289.797, 5, -1136.2599, 9),
    "EVE": (-1289.797, 5, -1136.9103, 9),
    "VVE": (-1289.797, 5, -1132.1126, 10),
    "EEV": (-1289.797, 5, -1139.332, 9),
    "VEV": (-1289.797, 5, -1134.6792, 10),
    "EVV": (-1289.797, 5, -1135.770, 10),
    "VVV": (-1289.797, 5, -1130.264, 11),
}


@pytest.mark.parametrize("code", OLD_FAITHFUL)
def test_old_faithful_has_mclusts_likelihoods_and_parameters(code):
    first, few, second, more = OLD_FAITHFUL[code]
    for k, value, parameters in ((1, first, few), (2, second, more)):
        spec = mx.Mixture(mx.Gaussian("eruptions", "waiting", structure=code), n_components=k)
        fit = mx.fit(spec, mx.load_dataset("old_faithful"), rng=1)
        assert fit.log_likelihood == pytest.approx(value, abs=2e-3)
        assert fit.n_parameters() == parameters
        assert fit.status is mx.Status.CONVERGED


MCLUST_IRIS = {  # log-likelihoods for K = 1 to 4 by mclust 6.0.0, Mclust(iris[, 1:4]), with its default start
    "VEI": (-741.0175, -443.0667, -339.4719, -309.0882),
    "EVI": (-741.0175, -463.5690, -338.7895, -338.6024),
    "VEE": (-379.9146, -278.0572, -237.5609, -222.2484),
    "EVE": (-379.9146, -273.4962, -258.1150, -257.5697),
    "VVE": (-379.9146, -244.9697, -238.0428, -217.1359),
    "EEV": (-379.9146, -259.6669, -232.1991, -232.1843),
    "VEV": (-379.9146, -215.7260, -186.0740, -175.7393),
    "EVV": (-379.9146, -259.0164, -222.7946, -222.3485),
}


@pytest.mark.parametrize("code", MCLUST_IRIS)
def test_iris_is_fitted_no_worse_than_by_mclust(code):
    for k in (1, 2, 3):
        fit = mx.fit(mx.Mixture(mx.Gaussian(*IRIS, structure=code), n_components=k), mx.load_dataset("iris"), rng=1)
        assert fit.log_likelihood > MCLUST_IRIS[code][k - 1] - 0.01


def problem(seed, d=3, count=3):
    rng = np.random.default_rng(seed)
    factor = rng.normal(size=(count, d, d + 3)) * rng.uniform(0.5, 3.0, (count, 1, 1))
    return rng.uniform(5.0, 60.0, count), factor @ factor.swapaxes(-1, -2)


def objective(sigma, rows, scatter):
    return float(
        np.sum(rows * np.linalg.slogdet(sigma)[1] + np.trace(scatter @ np.linalg.inv(sigma), axis1=1, axis2=2))
    )


def composed(code, free, d, count):
    """Covariances from logarithms of volumes and shapes and skew matrices: written anew, without a base."""
    volume, shape, orientation = code
    free = iter(free)

    def take(letter, size):
        if letter == "I":
            return np.zeros((count, size))
        own = np.array([[next(free) for _ in range(size)] for _ in range(count if letter == "V" else 1)])
        return np.broadcast_to(own, (count, size))

    volumes, shapes, turns = take(volume, 1), take(shape, d - 1), take(orientation, d * (d - 1) // 2)
    found = []
    for k in range(count):
        skew = np.zeros((d, d))
        skew[np.tril_indices(d, -1)] = turns[k]
        axes = expm(skew - skew.T)
        logs = np.append(shapes[k], -shapes[k].sum()) + volumes[k]
        found.append(axes @ np.diag(np.exp(logs)) @ axes.T)
    return np.array(found)


@pytest.mark.parametrize("code", COUPLED)
@pytest.mark.parametrize("seed", [1, 2])
def test_the_m_step_is_the_minimum_that_a_numeric_optimiser_finds(code, seed):
    rows, scatter = problem(seed)
    count, d = len(rows), scatter.shape[-1]
    start = np.broadcast_to(np.eye(d), (1, count, d, d))
    best = maximise_structure(code, scatter[None], rows[None], start)[0]
    sizes = zip(code, (1, d - 1, d * (d - 1) // 2), strict=True)
    free = sum({"E": 1, "V": count, "I": 0}[letter] * size for letter, size in sizes)
    rng = np.random.default_rng(0)
    unit = np.trace(scatter, axis1=1, axis2=2).sum() / (d * rows.sum())  # near the answer's size

    def height(x):
        return objective(unit * composed(code, x, d, count), rows, scatter)

    tried = [minimize(height, x0, method="BFGS").fun for x0 in 0.5 * rng.normal(size=(6, free))]
    assert objective(best, rows, scatter) <= min(tried) + 1e-7
    assert objective(best, rows, scatter) >= min(tried) - 1e-4 * abs(min(tried))


@pytest.mark.parametrize("code", COUPLED)
def test_components_without_rows_and_singular_scatter_do_no_harm(code):
    rows, scatter = problem(3)
    now = maximise_structure(code, scatter[None], rows[None], np.broadcast_to(np.eye(3), (1, 3, 3, 3)))
    emptied = rows * np.array([1.0, 1.0, 0.0])
    found = maximise_structure(code, scatter[None] * np.array([1.0, 1.0, 0.0])[:, None, None], emptied[None], now)
    assert np.isfinite(found).all()
    assert (np.linalg.eigvalsh(found) > 0).all()


@pytest.mark.parametrize("code", COUPLED)
def test_the_chart_is_a_map_with_its_pullback(code):
    rows, scatter = problem(4)
    at = maximise_structure(code, scatter[None], rows[None], np.broadcast_to(np.eye(3), (1, 3, 3, 3)))[0]
    chart = Chart("diagonal" if code[2] == "I" else "full", code, at, np.ones(3, dtype=bool))
    active = ~chart.at_boundary(at)
    free = chart.unconstrain(at)
    np.testing.assert_allclose(chart.constrain(free, (3, 3)), at, rtol=1e-12)
    rng = np.random.default_rng(5)
    moved = free + np.where(active, 0.05 * rng.normal(size=free.shape), 0.0)
    there = chart.constrain(moved, (3, 3))
    np.testing.assert_allclose(maximise_structure(code, there[None], np.ones((1, 3)), there[None])[0], there, rtol=1e-7)
    np.testing.assert_allclose(chart.unconstrain(there)[active], moved[active], atol=1e-9)
    weight = rng.normal(size=there.shape)
    weight = weight + weight.swapaxes(-1, -2)
    slope = chart.pullback(there, weight)
    for j, i in np.argwhere(active):
        step = np.zeros_like(moved)
        step[j, i] = 1e-6
        sides = [np.sum(weight * chart.constrain(moved + sign * step, (3, 3))) for sign in (1.0, -1.0)]
        assert slope[j, i] == pytest.approx((sides[0] - sides[1]) / 2e-6, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("code", COUPLED)
def test_other_units_leave_the_fit_the_same(code):
    data = mx.load_dataset("iris")
    a, b = (
        mx.fit(
            mx.Mixture(mx.Gaussian(*IRIS, structure=code), n_components=2), data[IRIS] * unit + shift, rng=1, starts=12
        )
        for unit, shift in ((1.0, 0.0), (1e-3, 50.0))
    )
    np.testing.assert_allclose(b.point["covariance"] * 1e6, a.point["covariance"], rtol=1e-5, atol=1e-7)
    assert b.log_likelihood == pytest.approx(a.log_likelihood - 600 * np.log(1e-3), abs=1e-6)


def test_one_column_leaves_the_volume_only():
    assert mx.Gaussian("x", structure="EVE") == mx.Gaussian("x", covariance=mx.Shared())
    assert mx.Gaussian("x", structure="VEI") == mx.Gaussian("x")


def test_a_structure_says_itself_what_is_shared():
    with pytest.raises(mx.UnsupportedError, match="structure='VEI' says what is shared; leave the covariance free"):
        mx.fit(mx.Mixture(mx.Gaussian("x", "y", structure="VEI", covariance=mx.Shared()), 2), np.eye(8)[:, :2])
    with pytest.raises(mx.SpecError, match=r"unknown structure. Did you mean 'VVE'"):
        mx.Gaussian("x", "y", structure="VEW")


def test_the_posterior_mode_keeps_covariances_away_from_zero_where_the_likelihood_cannot():
    rng = np.random.default_rng(6)
    data = np.vstack([rng.normal(size=(40, 2)), np.tile([8.0, 8.0], (6, 1)) + 1e-9 * rng.normal(size=(6, 2))])
    for code in ("VEI", "VEE", "VVE", "VEV"):
        spec = mx.Mixture(mx.Gaussian("x", "y", structure=code), n_components=2)
        fit = mx.fit(spec, data, rng=1, estimate="map", starts=15)
        assert fit.status.converged
        assert np.linalg.eigvalsh(fit.point["covariance"]).min() > 1e-3


@pytest.mark.parametrize("volume", ["V", "E"])
@pytest.mark.parametrize(("d", "most"), [(14, 10), (40, 50)])
def test_common_axes_of_many_columns_are_a_minimum_over_every_rotation_of_two(
    d: int, most: int, volume: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(structures, "MOST_AXES", most)
    rng = np.random.default_rng(d)
    a = rng.normal(size=(1, 2, d, 3 * d)) * rng.uniform(0.5, 3.0, size=(1, 2, d, 1))
    scatter, rows = a @ a.swapaxes(-1, -2), np.array([[60.0, 90.0]])
    axes = structures._common_axes(scatter, rows, scatter / rows[..., None, None], volume)
    np.testing.assert_allclose(axes[0].T @ axes[0], np.eye(d), atol=1e-10)
    assert structures._sweep(axes, structures._turned(axes, scatter), rows, volume) < 1e-6
