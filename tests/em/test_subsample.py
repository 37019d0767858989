"""Fits of many rows begin on a subsample: what it does not show is learnt from all rows, and heavy rows are in it."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

import mixtures as mx
from mixtures.data import read_rows
from mixtures.em import run
from mixtures.em.crowd import climb_together
from mixtures.em.methods import SQUAREM
from mixtures.em.program import Program
from mixtures.families.base import DegenerateComponentError

N = 60_000


@pytest.fixture(scope="module")
def rare():
    """A normal column, and one in which two rows differ from all others."""
    x, odd = np.random.default_rng(0).normal(size=N), np.zeros(N)
    odd[:2] = 1.0
    return {"x": x, "odd": odd}


@pytest.mark.parametrize(
    "family",
    [mx.Bernoulli("odd"), mx.Binomial("odd", trials=5), mx.Categorical("odd", categories=2), mx.Poisson("odd")],
    ids=lambda family: type(family).__name__,
)
def test_a_value_that_the_subsample_does_not_show_has_its_share_of_all_rows(rare, family):
    found = mx.fit(mx.Mixture(mx.Gaussian("x") * family, n_components=1), rare, rng=1)
    share, x = 2.0 / N, rare["x"]
    entropy = 2.0 * np.log(share) + (N - 2.0) * np.log1p(-share)
    expected = {"Poisson": 2.0 * np.log(share) - 2.0}.get(type(family).__name__, entropy)
    if isinstance(family, mx.Binomial):  # one of five trials
        expected = 2.0 * np.log(share) + (5 * N - 2.0) * np.log1p(-share / 5)
    assert found.status.name == "CONVERGED"
    assert found.log_likelihood == pytest.approx(expected + norm.logpdf(x, x.mean(), x.std()).sum(), abs=1e-5)


def test_an_item_that_one_row_alone_has_is_no_collapse():
    rng = np.random.default_rng(0)
    items = (rng.random((N, 12)) < np.where(rng.random((N, 1)) < 0.5, 0.2, 0.7)).astype(float)
    items[:, 0] = 0.0
    items[5, 0] = 1.0
    spec = mx.Mixture(mx.Bernoulli(*(f"i{j}" for j in range(12))), n_components=2)
    found = mx.fit(spec, items, rng=1, starts=5)
    start = {"weights": [0.5, 0.5], "probability": np.repeat([[0.2], [0.7]], 12, axis=1)}
    start["probability"][:, 0] = 1e-4
    assert found.log_likelihood == pytest.approx(mx.fit(spec, items, starts=[start]).log_likelihood, abs=1e-5)
    assert (found.point["weights"] * found.point["probability"][:, 0]).sum() == pytest.approx(1.0 / N, rel=1e-6)


def test_a_column_that_is_constant_on_the_subsample_is_fitted_on_all_rows(rare):
    y = np.zeros(N)
    y[:3] = [0.5, -1.0, 0.7]
    both = np.column_stack([rare["x"], y])
    found = mx.fit(mx.Mixture(mx.Gaussian("x", "y"), n_components=1), both, rng=1)
    expected = multivariate_normal(both.mean(axis=0), np.cov(both.T, bias=True)).logpdf(both).sum()
    assert found.log_likelihood == pytest.approx(expected, rel=1e-10)


def test_a_subsample_by_weights_has_the_weights_moments():
    rng = np.random.default_rng(3)
    x, v = rng.normal(size=N), np.ones(N)
    v[rng.choice(N, 6, replace=False)] = 10_000.0
    v[rng.choice(N, 5000, replace=False)] = 0.5
    some = run._subsample(read_rows(x[:, None], ["x"], sample_weight=v, merge=False), np.random.default_rng(1))
    assert len(some.weights) <= run.SUBSAMPLE
    assert some.weights.sum() == pytest.approx(run.SUBSAMPLE * v.mean())
    heavy = x[v == 10_000.0]
    assert set(heavy) <= set(some.values[:, 0])
    for value in heavy:
        mine = some.weights[some.values[:, 0] == value].sum() / some.weights.sum()
        assert mine == pytest.approx(10_000.0 / v.sum(), abs=1.5 / run.SUBSAMPLE)
    spread = np.sqrt(np.average((x - np.average(x, weights=v)) ** 2, weights=v))
    assert np.average(some.values[:, 0], weights=some.weights) == pytest.approx(
        np.average(x, weights=v), abs=4.0 * spread / np.sqrt(run.SUBSAMPLE)
    )


def test_heavy_rows_are_not_left_out():
    rng = np.random.default_rng(5)
    x, v = 3.0 * rng.normal(size=(40_000, 2)), np.ones(40_000)
    heavy = rng.choice(len(x), 40, replace=False)
    x[heavy] = 0.3 * rng.normal(size=(40, 2)) + np.where(np.arange(40)[:, None] < 20, 6.0, -6.0)
    v[heavy] = 20_000.0
    spec = mx.Mixture(mx.Gaussian("x", "y"), n_components=3)
    near = np.array([[0.0, 0.0], [6.0, 6.0], [-6.0, -6.0]]), np.eye(2) * np.array([9.0, 0.1, 0.1])[:, None, None]
    known = mx.fit(
        spec, x, sample_weight=v, starts=[{"weights": np.full(3, 1 / 3), "mean": near[0], "covariance": near[1]}]
    )
    for seed in range(3):
        found = mx.fit(spec, x, sample_weight=v, rng=seed, starts=10)
        assert found.log_likelihood == pytest.approx(known.log_likelihood, rel=1e-9)


def test_a_component_without_an_m_step_ends_its_own_climb_only(monkeypatch: pytest.MonkeyPatch):
    x = np.random.default_rng(0).normal(size=(400, 1))
    x[200:] += 5.0
    spec = mx.Mixture(mx.Gaussian("x"), n_components=2)
    rows = spec.rows(x)
    program = Program(spec.resolve(rows), rows)
    points = [p for _, p in run._starting_points(program, 6, np.random.default_rng(1))]
    family, maximise = type(program.groups[0].family), type(program.groups[0].family).maximise
    calls = []

    def failing(self, S, theta, layout, prior):
        if len(S["mass"]) > 2:  # a stack of points, of which the third has lost a component
            calls.append(len(S["mass"]))
            raise DegenerateComponentError(5)
        return maximise(self, S, theta, layout, prior)

    alone = [run.climb(program, SQUAREM(), p).objective for p in points]
    monkeypatch.setattr(family, "maximise", failing)
    together = climb_together(program, SQUAREM(), points)
    assert calls
    found = [run.climb(program, SQUAREM(), one or p).objective for one, p in zip(together, points, strict=True)]
    np.testing.assert_allclose(found, alone, rtol=1e-8)
