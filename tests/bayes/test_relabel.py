"""Relabelling undoes permutations, keeps to exchangeable groups, and says how sure it is."""

import numpy as np
import pytest
import xarray as xr
from helpers_bayes import SMALL, Bound, toy
from scipy.special import xlogy

import mixtures as mx
from mixtures.bayes import op
from mixtures.bayes.relabel import permute, relabel
from mixtures.em.coordinates import Coordinates
from mixtures.matching import MAX_ROWS, _assign, rows_to_match_on

THREE = Bound(mx.Mixture(mx.Gaussian("x", "y") * mx.Bernoulli("s"), n_components=3), SMALL)


def draws_around(case: Bound, count: int, rng: np.random.Generator, spread: float = 0.02):
    """Points near the estimate, data units."""
    coordinates = Coordinates(case.program, case.program.to_standard(case.estimate))
    here = coordinates.vector(coordinates.at)
    return [
        case.program.to_data(coordinates.params(here + spread * rng.standard_normal(len(here)))) for _ in range(count)
    ]


def responsibilities(case: Bound):
    return case.program.responsibilities(case.program.to_standard(case.estimate))


def matched(case: Bound, points):
    pairs = [(p.weights, list(p.thetas)) for p in points]
    return relabel(case.resolved, case.rows.values, case.rows.weights, responsibilities(case), pairs)


def test_random_permutations_of_draws_are_undone():
    rng = np.random.default_rng(5)
    points = draws_around(THREE, 40, rng)
    orders = [rng.permutation(3) for _ in points]
    shuffled = [THREE.program.permuted(p, order) for p, order in zip(points, orders, strict=True)]
    plain, found = matched(THREE, points), matched(THREE, shuffled)
    assert (plain.permutation == np.arange(3)).all()
    for p, q, order in zip(points, shuffled, found.permutation, strict=True):
        again = THREE.program.permuted(q, order)
        np.testing.assert_array_equal(again.weights, p.weights)
        np.testing.assert_array_equal(again.thetas[0]["mean"], p.thetas[0]["mean"])
    np.testing.assert_allclose(found.confidence, plain.confidence)
    np.testing.assert_allclose(found.entropy, plain.entropy)


def test_entropy_is_that_of_responsibilities_however_many_draws_are_taken_at_once(monkeypatch):
    points = draws_around(THREE, 7, np.random.default_rng(8), spread=0.3)
    monkeypatch.setattr(op, "AT_ONCE", 3 * len(THREE.rows.values) * 3)  # seven draws by threes
    found = matched(THREE, points)
    for p, entropy in zip(points, found.entropy, strict=True):
        R = THREE.program.responsibilities(THREE.program.to_standard(p))
        assert entropy == pytest.approx(-(xlogy(R, R).sum(axis=1) @ THREE.rows.weights) / THREE.rows.weights.sum())
    monkeypatch.setattr(op, "AT_ONCE", 1)
    each = matched(THREE, points)
    np.testing.assert_allclose(found.entropy, each.entropy, rtol=1e-12)
    np.testing.assert_allclose(found.agreement, each.agreement, rtol=1e-12)


def test_a_pivot_in_another_order_gives_one_global_permutation():
    points = draws_around(THREE, 10, np.random.default_rng(5))
    pairs = [(p.weights, list(p.thetas)) for p in points]
    order = np.array([2, 0, 1])
    found = relabel(THREE.resolved, THREE.rows.values, THREE.rows.weights, responsibilities(THREE)[:, order], pairs)
    assert (found.permutation == order).all()


def test_components_that_are_not_exchangeable_never_move():
    prior = [mx.NormalInverseWishart(mean=m, kappa=0.5, nu=4.0, scale_matrix=2.0) for m in (0.0, 4.0)]
    case = Bound(mx.Mixture([mx.Gaussian("x", prior=one) for one in prior]), SMALL)
    swapped = [case.program.permuted(case.estimate, np.array([1, 0]))]
    found = matched(case, swapped)
    assert (found.permutation == [0, 1]).all()
    assert (found.confidence == 1.0).all()
    assert found.agreement[0] < 0.2


def test_confidence_is_near_one_for_separate_components_and_zero_for_equal_ones():
    case = Bound(mx.Mixture(mx.Gaussian("x"), n_components=2), {"x": [0.0, 0.1, 0.2, 100.0, 100.1, 100.3]})
    p = case.estimate
    equal = type(p)(np.array([0.5, 0.5]), ({name: value[[0, 0]] for name, value in p.thetas[0].items()},))
    found = matched(case, [p, equal])
    assert found.confidence[0] > 0.999
    assert found.confidence[1] == pytest.approx(0.0, abs=1e-12)


def test_the_second_best_matching_is_the_second_best_of_all():
    from itertools import permutations

    rng = np.random.default_rng(2)
    agreement = rng.dirichlet(np.ones(4), size=(30, 4))
    chosen, lead = _assign(agreement)
    for matrix, one, margin in zip(agreement, chosen, lead, strict=True):
        totals = sorted((sum(matrix[k, o[k]] for k in range(4)) for o in permutations(range(4))), reverse=True)
        assert matrix[np.arange(4), one].sum() == pytest.approx(totals[0])
        assert margin == pytest.approx(totals[0] - totals[1])


def test_every_variable_with_a_component_axis_moves():
    spec = THREE.spec
    permutation = np.array([[[2, 0, 1], [0, 1, 2]]])
    values = np.arange(6.0).reshape(1, 2, 3)
    data = xr.Dataset(
        {
            "weights": (("chain", "draw", "component"), values),
            "mean": (("chain", "draw", "component", "column"), np.repeat(values[..., None], 2, axis=-1)),
            "other": (("chain", "draw"), np.zeros((1, 2))),
        },
        coords={"component": [0, 1, 2]},
    )
    found = permute(data, spec, permutation)
    np.testing.assert_array_equal(found["weights"].values[0], [[2.0, 0.0, 1.0], [3.0, 4.0, 5.0]])
    np.testing.assert_array_equal(found["mean"].values[0, 0, :, 1], [2.0, 0.0, 1.0])


def test_labels_are_compared_on_a_sample_of_many_rows():
    case = Bound(mx.Mixture(mx.Gaussian("x"), n_components=2), toy(n=5000))
    index, weights = rows_to_match_on(case.rows)
    assert len(index) <= MAX_ROWS
    assert weights.sum() == MAX_ROWS
    assert len(np.unique(index)) == len(index)
