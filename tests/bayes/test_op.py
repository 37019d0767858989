"""The likelihood Op: its gradient, its two pullbacks, and what it does where there is no density."""

import pickle

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from helpers_bayes import CASES, Bound

from mixtures.bayes import op as op_module
from mixtures.bayes import stack
from mixtures.bayes.op import RowMixture, parts_of

MODE = stack.sampling_mode()
bound = pytest.mark.parametrize("name", ["full", "spherical tied", "product", "patterns with counts"])


def arrays(case: Bound):
    theta = [
        t[name] for part, t in zip(parts_of(case.resolved), case.estimate.thetas, strict=True) for name in part.names
    ]
    return [case.estimate.weights, *theta]


def directions(case: Bound, name: str, value: np.ndarray):
    """Small moves of a parameter inside its domain: symmetric for covariances, along the identity for spherical ones."""
    for index in np.ndindex(*value.shape):
        h = np.zeros_like(value)
        h[index] = 1e-6
        if value.ndim == 3 and name.startswith("spherical"):
            h = np.zeros_like(value) + 1e-6 * np.eye(value.shape[-1])
        elif value.ndim == 3:
            h = 0.5 * (h + h.swapaxes(1, 2))
        yield h


@bound
def test_rows_are_weighted_log_densities(name: str):
    case = CASES[name]
    found = RowMixture(parts_of(case.resolved)).evaluate(case.rows.values, case.rows.weights, *arrays(case))[0]
    standard = case.program.to_standard(case.estimate)
    np.testing.assert_allclose(found, case.rows.weights * case.program.row_log_likelihood(standard), rtol=1e-10)


@pytest.mark.parametrize("name", CASES)
def test_many_draws_at_once_are_as_each_by_itself(name: str, monkeypatch):
    case = CASES[name]
    monkeypatch.setattr(
        op_module, "AT_ONCE", 3 * len(case.rows.values) * case.program.n_components
    )  # eight draws by threes
    points = [p for p in case.points() for _ in range(3)][1:]
    draws = [(p.weights, list(p.thetas)) for p in points]
    found = np.empty((len(draws), len(case.rows.values)))
    RowMixture.of(case.resolved, case.rows.values).row_densities(case.rows.values, draws, found)
    each = [case.program.row_log_likelihood(case.program.to_standard(p)) for p in points]
    np.testing.assert_allclose(found, each, rtol=1e-10, atol=1e-10)


@bound
def test_scores_equal_differences(name: str):
    case = CASES[name]
    op, given = RowMixture(parts_of(case.resolved)), arrays(case)
    scores = op.evaluate(case.rows.values, case.rows.weights, *given)[1:]
    for i, (value, score) in enumerate(zip(given, scores, strict=True)):
        for h in directions(case, name, value):
            ends = []
            for sign in (1.0, -1.0):
                moved = [v + sign * h if j == i else v for j, v in enumerate(given)]
                ends.append(op.evaluate(case.rows.values, case.rows.weights, *moved)[0].sum())
            slope = (ends[0] - ends[1]) / 2e-6
            assert np.sum(score * h) / 1e-6 == pytest.approx(slope, rel=1e-5, abs=1e-3)


@bound
def test_both_pullbacks_give_the_same_gradient(name: str):
    case = CASES[name]
    op = RowMixture(parts_of(case.resolved))
    inputs = [pt.tensor(dtype="float64", shape=a.shape) for a in arrays(case)]
    weight = pt.vector("weight")
    x, v = pt.as_tensor(case.rows.values), pt.as_tensor(case.rows.weights)
    rows = op(x, v, *inputs)[0]
    nodes = []
    gradients = []
    for total in (rows.sum(), (weight * rows).sum()):
        graph = pytensor.grad(total, inputs)
        function = pytensor.function([weight, *inputs], [total, *graph], mode=MODE, on_unused_input="ignore")
        nodes.append(sum(isinstance(node.op, RowMixture) for node in function.maker.fgraph.toposort()))
        gradients.append(function(np.ones(len(case.rows.values)), *arrays(case)))
    assert nodes == [1, 2]
    for one, other in zip(*gradients, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)
    signed = np.random.default_rng(0).normal(size=len(case.rows.values))
    parts = [function(np.maximum(sign * signed, 0.0), *arrays(case)) for sign in (1.0, -1.0)]
    for whole, up, down in zip(function(signed, *arrays(case)), *parts, strict=True):
        np.testing.assert_allclose(whole, up - down, rtol=1e-9, atol=1e-9)


def test_a_factor_of_the_likelihood_multiplies_its_gradient():
    case = CASES["full"]
    op = RowMixture(parts_of(case.resolved))
    inputs = [pt.tensor(dtype="float64", shape=a.shape) for a in arrays(case)]
    total = 0.5 * op(pt.as_tensor(case.rows.values), pt.as_tensor(case.rows.weights), *inputs)[0].sum()
    function = pytensor.function(inputs, pytensor.grad(total, inputs), mode=MODE)
    scores = op.evaluate(case.rows.values, case.rows.weights, *arrays(case))[1:]
    for gradient, score in zip(function(*arrays(case)), scores, strict=True):
        np.testing.assert_allclose(gradient, 0.5 * score)


def test_a_degenerate_covariance_gives_minus_infinity_and_zero_scores():
    case = CASES["full"]
    op, (weights, mean, covariance) = RowMixture(parts_of(case.resolved)), arrays(case)
    for broken in (np.zeros_like(covariance), np.full_like(covariance, np.nan), -covariance):
        rows, *scores = op.evaluate(case.rows.values, case.rows.weights, weights, mean, broken)
        assert np.isneginf(rows).all()
        assert all(not score.any() for score in scores)


def test_equal_specifications_give_equal_ops_that_pickle():
    case = CASES["product"]
    op = RowMixture(parts_of(case.resolved))
    assert op == RowMixture(parts_of(case.resolved))
    again = pickle.loads(pickle.dumps(op))
    assert again == op
    np.testing.assert_array_equal(
        again.evaluate(case.rows.values, case.rows.weights, *arrays(case))[0],
        op.evaluate(case.rows.values, case.rows.weights, *arrays(case))[0],
    )


def test_second_derivatives_are_refused_by_name():
    case = CASES["full"]
    op = RowMixture(parts_of(case.resolved))
    inputs = [pt.tensor(dtype="float64", shape=a.shape) for a in arrays(case)]
    first = pytensor.grad(
        op(pt.as_tensor(case.rows.values), pt.as_tensor(case.rows.weights), *inputs)[0].sum(), inputs[1]
    )
    with pytest.raises(NotImplementedError, match="no second derivative"):
        pytensor.grad(first.sum(), inputs[1])


def test_the_op_runs_under_the_stacks_default_mode_without_a_warning():
    case = CASES["patterns with counts"]
    op, given = RowMixture(parts_of(case.resolved)), arrays(case)
    inputs = [pt.tensor(dtype="float64", shape=a.shape) for a in given]
    rows = op(pt.as_tensor(case.rows.values), pt.as_tensor(case.rows.weights), *inputs)[0]
    function = pytensor.function(inputs, rows)
    np.testing.assert_allclose(function(*given), op.evaluate(case.rows.values, case.rows.weights, *given)[0])


def test_more_rows_than_a_block_are_added_up(monkeypatch: pytest.MonkeyPatch):
    case = CASES["product"]
    op = RowMixture(parts_of(case.resolved))
    whole = op.evaluate(case.rows.values, case.rows.weights, *arrays(case))
    monkeypatch.setattr("mixtures.bayes.op.BLOCK", 17)
    for one, other in zip(op.evaluate(case.rows.values, case.rows.weights, *arrays(case)), whole, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


@bound
@pytest.mark.parametrize("native", [False, True])
def test_graphs_of_the_sum_alone_get_the_sum_alone(name: str, native: bool, monkeypatch: pytest.MonkeyPatch):
    if native:
        monkeypatch.setenv("MIXTURES_KERNELS", "always")
    case = CASES[name]
    op = RowMixture(parts_of(case.resolved))
    inputs = [pt.tensor(dtype="float64", shape=a.shape) for a in arrays(case)]
    rows = op(pt.as_tensor(case.rows.values), pt.as_tensor(case.rows.weights), *inputs)[0]
    forms = []
    results = []
    for outputs in ([rows.sum()], [rows.sum(), rows]):
        function = pytensor.function(inputs, [*outputs, *pytensor.grad(rows.sum(), inputs)], mode=MODE)
        forms.append([n.op.total for n in function.maker.fgraph.toposort() if isinstance(n.op, RowMixture)])
        found = function(*arrays(case))
        results.append([found[0], *found[len(outputs) :]])
    assert forms == [[True], [False]]
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


def test_the_sum_has_a_gradient_of_its_own():
    case = CASES["full"]
    x, v = pt.as_tensor(case.rows.values), pt.as_tensor(case.rows.weights)
    inputs = [pt.tensor(dtype="float64", shape=a.shape) for a in arrays(case)]
    found = []
    for total in (False, True):
        value = RowMixture(parts_of(case.resolved), total=total)(x, v, *inputs)[0].sum()
        graph = pytensor.grad(3.0 * value, inputs)
        found.append(pytensor.function(inputs, [value, *graph], mode=MODE)(*arrays(case)))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)
