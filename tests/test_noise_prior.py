"""The default Gaussian prior beside a component for noise: W is near the truth whatever the share of noise."""

import numpy as np
import pytest

import mixtures as mx
from mixtures.partition import principal_partition, trimmed_partition

CASES = {
    "one column": ([[0.0]], 10.0),
    "two in one column": ([[-4.0], [4.0]], 12.0),
    "far apart": ([[-20.0], [20.0]], 40.0),
    "two columns": ([[-4.0, 0.0], [4.0, 2.0]], 12.0),
    "three in two columns": ([[-5.0, 0.0], [5.0, 2.0], [0.0, 6.0]], 15.0),
}


def noisy(name, share, n=600, seed=1):
    """Rows of unit normals, and a share of noise on a box."""
    centers, reach = np.array(CASES[name][0]), CASES[name][1]
    rng, noise = np.random.default_rng(seed), round(share * n)
    sound = centers[rng.integers(len(centers), size=n - noise)] + rng.normal(size=(n - noise, centers.shape[1]))
    return np.r_[sound, rng.uniform(-reach, reach, size=(noise, centers.shape[1]))]


def with_noise(k, d, **options):
    columns = "xyz"[:d]
    return mx.Mixture([mx.Gaussian(*columns, **options)] * k + [mx.Uniform(*columns)])


def prior_of(spec, x):
    block = spec.resolve(x).components[0].blocks[0]
    numbers = block.prior.numbers((len(block.columns),), "")
    return np.atleast_2d(numbers["scale_matrix"]), float(numbers["kappa"])


@pytest.mark.parametrize("share", [0.0, 0.1, 0.2, 0.3])
@pytest.mark.parametrize("name", CASES)
def test_the_scale_is_near_the_truth_for_any_share_of_noise(name, share):
    centers = CASES[name][0]
    k, d = len(centers), len(centers[0])
    for seed in range(5):
        x = noisy(name, share, seed=seed)
        scale, _ = prior_of(with_noise(k, d), x)
        assert 0.6 < np.linalg.det(scale) ** (1.0 / d) < 1.6
    if share >= 0.2:
        plain = mx.Mixture(mx.Gaussian(*"xyz"[:d]), n_components=k + 1)
        assert np.linalg.det(prior_of(plain, x)[0]) > 2.0 * np.linalg.det(scale)


@pytest.mark.parametrize("name", ["two in one column", "two columns"])
def test_it_keeps_units_and_offsets(name):
    x = noisy(name, 0.2)
    d = x.shape[1]
    unit, offset = np.array([1e3, 2.0**-20])[:d], np.array([1e6, -5.0])[:d]
    scale, kappa = prior_of(with_noise(2, d), x)
    other, same = prior_of(with_noise(2, d), offset + unit * x)
    np.testing.assert_allclose(other, scale * np.outer(unit, unit), rtol=1e-6)
    assert same == pytest.approx(kappa, rel=1e-6)


def test_rows_that_count_twice_are_rows_given_twice():
    x = noisy("two in one column", 0.2, n=200)
    counts = np.random.default_rng(3).integers(1, 6, len(x))
    partition = trimmed_partition(x, counts.astype(float), 2)
    expanded = trimmed_partition(np.repeat(x, counts, axis=0), np.ones(counts.sum()), 2)
    np.testing.assert_array_equal(np.repeat(partition, counts, axis=0), expanded)


def test_the_rows_left_out_are_those_far_from_every_centre():
    x = noisy("two in one column", 0.3)
    partition = trimmed_partition(x, np.ones(len(x)), 2)
    kept = partition.sum(axis=1) > 0
    away = np.abs(x - np.array([[-4.0, 4.0]])).min(axis=1)
    assert away[kept].max() < away[~kept].max()
    assert kept[away < 1.5].all()
    assert not kept[away > 4.0].any()
    np.testing.assert_array_equal(partition, trimmed_partition(x, np.ones(len(x)), 2))


def test_rows_too_much_alike_fall_back_to_the_plain_partition():
    x = np.r_[np.zeros(80), np.linspace(1.0, 9.0, 20)][:, None]
    np.testing.assert_array_equal(trimmed_partition(x, np.ones(100), 2), principal_partition(x, np.ones(100), 2))


def test_without_a_component_for_noise_nothing_changes():
    x = noisy("two columns", 0.0)
    both = mx.Mixture(mx.Gaussian("x", "y"), n_components=2).resolve(x)
    partition = principal_partition(x, np.ones(len(x)), 2)
    within = sum((x - x[g > 0].mean(axis=0)).T @ ((x - x[g > 0].mean(axis=0)) * g[:, None]) for g in partition.T) / len(
        x
    )
    np.testing.assert_allclose(both.components[0].blocks[0].prior.numbers((2,), "")["scale_matrix"], within, rtol=1e-10)


def test_a_known_null_is_no_noise():
    x = noisy("one column", 0.0)
    null = mx.Mixture([mx.Gaussian("x", mean=0.0, covariance=1.0), mx.Gaussian("x")])
    free = mx.Mixture(mx.Gaussian("x"), n_components=2)
    a, b = (s.resolve(x).components[1].blocks[0].prior for s in (null, free))
    assert a == b


def test_the_posterior_mode_beside_noise_finds_the_components():
    x = noisy("two in one column", 0.3)
    found = mx.fit(with_noise(2, 1), x, estimate="map", rng=1, starts=10)
    np.testing.assert_allclose(found.point["mean"][:, 0], [-4.0, 4.0], atol=0.3)
    np.testing.assert_allclose(found.point["covariance"][:, 0, 0], 1.0, rtol=0.4)
    assert found.point["weights"][2] == pytest.approx(0.3, abs=0.07)
