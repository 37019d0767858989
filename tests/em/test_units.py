"""Offsets and units of the columns change nothing but offsets and units."""

import numpy as np
import pytest

import mixtures as mx

COLUMNS = ("eruptions", "waiting")


@pytest.fixture(scope="module")
def x():
    return mx.load_dataset("old_faithful").to_numpy(dtype=float)


def fit(x, n_components, starts=50):
    return mx.fit(mx.Mixture(mx.Gaussian(*COLUMNS), n_components=n_components), x, rng=1, starts=starts)


def same_landscape(a, b):
    assert [(r.kind, r.count) for r in a.optima] == [(r.kind, r.count) for r in b.optima]


def same_responsibilities(a, x_of_a, b, x_of_b):
    np.testing.assert_allclose(a.responsibilities(x_of_a), b.responsibilities(x_of_b), rtol=0, atol=1e-6)


@pytest.mark.parametrize("n_components", [2, 3])
def test_a_shift_of_1e8_is_undone_to_the_last_digits_of_the_data(x, n_components):
    shifted = x + 1e8
    rounded = shifted - 1e8  # what is left of the data after the shift
    a, b = fit(shifted, n_components), fit(rounded, n_components)
    same_landscape(a, b)
    same_responsibilities(a, shifted, b, rounded)
    np.testing.assert_allclose(a.point["weights"], b.point["weights"], rtol=1e-6)
    np.testing.assert_allclose(a.point["covariance"], b.point["covariance"], rtol=1e-6)
    np.testing.assert_allclose(a.point["mean"] - 1e8, b.point["mean"], rtol=0, atol=1e-7)
    assert a.log_likelihood == pytest.approx(b.log_likelihood, abs=1e-6)


@pytest.mark.parametrize("n_components", [2, 3])
@pytest.mark.parametrize("unit", [1e-8, 1e8])
def test_units_1e8_times_smaller_or_larger_give_the_same_fit(x, unit, n_components):
    a, b = fit(unit * x, n_components), fit(x, n_components)
    same_landscape(a, b)
    same_responsibilities(a, unit * x, b, x)
    np.testing.assert_allclose(a.point["covariance"] / unit**2, b.point["covariance"], rtol=1e-6)
    np.testing.assert_allclose(a.point["mean"] / unit, b.point["mean"], rtol=1e-9)
    assert a.log_likelihood + x.size * np.log(unit) == pytest.approx(b.log_likelihood, abs=1e-6)


def test_columns_of_very_different_units_give_the_same_fit_and_stay_usable(x):
    units = np.array([1e-8, 1e8])
    a, b = fit(units * x, 2), fit(x, 2)
    same_responsibilities(a, units * x, b, x)
    np.testing.assert_allclose(a.point["covariance"] / np.outer(units, units), b.point["covariance"], rtol=1e-6)
    again = mx.fit(a.specification, units * x, starts=[a.point])
    assert again.log_likelihood == pytest.approx(a.log_likelihood, abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_a_covariance_is_legal_whatever_the_units_of_its_columns(seed):
    rng = np.random.default_rng(seed)
    root, units = rng.standard_normal((3, 3)), rng.permutation([1e-8, 1.0, 1e8])
    covariance = root @ root.T * np.outer(units, units)
    mx.Gaussian("a", "b", "c", covariance=covariance)


def test_a_covariance_need_be_symmetric_only_to_the_rounding_of_its_variances():
    mx.Gaussian("a", "b", covariance=[[4e13, -4e-5], [3e-5, 2e15]])
    with pytest.raises(mx.SpecError, match="must be symmetric"):
        mx.Gaussian("a", "b", covariance=[[4.0, 0.5], [0.4, 2.0]])


def test_a_shift_of_1e8_keeps_the_map_estimate(x):
    spec = mx.Mixture(mx.Gaussian(*COLUMNS), n_components=2)
    shifted = x + 1e8
    a = mx.fit(spec, shifted, estimate="map", rng=1, starts=10)
    b = mx.fit(spec, shifted - 1e8, estimate="map", rng=1, starts=10)
    np.testing.assert_allclose(a.point["covariance"], b.point["covariance"], rtol=1e-6)
    np.testing.assert_allclose(a.point["mean"] - 1e8, b.point["mean"], rtol=0, atol=1e-7)
    assert a.log_posterior == pytest.approx(b.log_posterior, abs=1e-6)
