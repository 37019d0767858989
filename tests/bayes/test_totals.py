"""Graphs that ask for the sum of log densities get it from the Op that computes them, with the same value and gradient."""

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.compile.mode import Mode
from pytensor.tensor.elemwise import CAReduce

from mixtures.bayes import densities, stack

free, center, kappa = pt.tensor(shape=(3, 3)), pt.tensor(shape=(3, 2)), pt.tensor(shape=(3,))
many = pt.tensor(shape=(2, 3, 2))
RNG = np.random.default_rng(5)
VALUES = (RNG.normal(size=(3, 3)), RNG.normal(size=(3, 2)), RNG.uniform(0.5, 2.0, size=3), RNG.normal(size=(2, 3, 2)))
MAP = densities.CovarianceMap([0.5, 2.0], "full")
covariance, log_jacobian = MAP(free)
normal = densities.Density(densities.normal_density, 1, 2)(center, covariance, np.zeros((3, 2)), kappa)[0]
wishart = densities.Density(densities.wishart_density, 2, 1)(covariance, np.full(3, 5.0), np.stack([np.eye(2)] * 3))[0]
each_of_two = densities.Density(densities.normal_density, 1, 2)(many, np.eye(2), np.zeros(2), np.ones(()))[0]  # (2, 3)
THREE = np.array([1.0, -2.0, 0.5])
SUMS = {
    "one density": (pt.sum(normal), 1),
    "constants": (pt.sum(THREE + wishart), 1),
    "a constant for all": (pt.sum(np.array([2.5]) + normal), 1),
    "two densities and a log Jacobian": (pt.sum(THREE + wishart + log_jacobian + normal), 3),
    "something else": (pt.sum(wishart + pt.log(kappa)), 1),
    "numbers of few digits": (pt.sum(wishart + pt.cast(kappa, "float32")), 1),
    "along its axis": (pt.sum(normal, axis=0), 1),
    "along both axes": (pt.sum(each_of_two, axis=(1, 0)), 1),
}
VARIABLES = (free, center, kappa)
PLAIN = Mode(linker="py", optimizer=None)


def compiled(outputs, mode):
    with pytensor.config.change_flags(on_opt_error="raise"):
        return pytensor.function([free, center, kappa, many], outputs, mode=mode, on_unused_input="ignore")


def nodes(function):
    return function.maker.fgraph.toposort()


def is_ours(node):
    return isinstance(node.op, (densities.Density, densities.CovarianceMap))


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("name", SUMS)
def test_sums_come_from_the_op_with_the_same_value_and_gradient(name: str, native: bool):
    total, expected = SUMS[name]
    outputs = [total, *pt.grad(total, [free, center], disconnected_inputs="ignore")]
    function = compiled(outputs, stack.sampling_mode(native=native))
    for mine, theirs in zip(function(*VALUES), compiled(outputs, PLAIN)(*VALUES), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-10, atol=1e-10)
    assert sum(getattr(node.op, "total", False) for node in nodes(function)) == expected
    computed = [(type(node.op), getattr(node.op, "function", None)) for node in nodes(function) if is_ours(node)]
    assert len(computed) == len(set(computed))  # nothing is computed in both forms
    added = [node for node in nodes(function) if isinstance(node.op, CAReduce)]
    assert len(added) == (name in ("something else", "numbers of few digits"))


@pytest.mark.slow
def test_numbas_linker_gives_the_same_sums():
    outputs = [SUMS["two densities and a log Jacobian"][0]]
    function = compiled(outputs, "NUMBA")
    assert sum(getattr(node.op, "total", False) for node in nodes(function)) == 3
    np.testing.assert_allclose(function(*VALUES), compiled(outputs, PLAIN)(*VALUES), rtol=1e-12)


@pytest.mark.parametrize(
    "outputs",
    [
        [pt.sum(normal), normal[0]],
        [pt.sum(normal * THREE)],
        [pt.sum(THREE + normal), THREE + normal],
        [pt.sum(normal + kappa.sum())],
        [pt.sum(normal + kappa[:1])],
        [pt.sum(each_of_two, axis=0)],
        [pt.sum(each_of_two + kappa)],
        [pt.sum(normal, dtype="float32")],
        [pt.sum(densities.LocationMap([1.0, 2.0], [3.0, 0.5])(center))],
    ],
    ids=[
        "one by one",
        "weighted",
        "their sums",
        "a number",
        "one entry",
        "one axis",
        "spread",
        "float32",
        "no density",
    ],
)
def test_densities_that_are_used_otherwise_stay(outputs):
    function = compiled(outputs, stack.sampling_mode())
    assert not any(getattr(node.op, "total", False) for node in nodes(function))
    for mine, theirs in zip(function(*VALUES), compiled(outputs, PLAIN)(*VALUES), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12 if mine.dtype == np.float64 else 1e-6)


def test_other_terms_keep_all_digits():
    few = pt.tensor(shape=(3,), dtype="float32")
    with pytensor.config.change_flags(on_opt_error="raise"):
        function = pytensor.function([*VARIABLES, few], pt.sum(normal + few), mode=stack.sampling_mode())
    value = function(*VALUES[:3], np.array([2.0**24, 1.0, 1.0], dtype=np.float32))
    expected = compiled([normal.sum()], PLAIN)(*VALUES)[0] + 2.0**24 + 2.0
    assert value == pytest.approx(expected, rel=1e-13)


def test_rows_of_unknown_number_are_not_counted():
    many = pt.tensor(shape=(None, 2))
    given = [pt.tensor(shape=(None, 2, 2)), np.zeros((1, 2)), pt.tensor(shape=(None,))]
    density = densities.Density(densities.normal_density, 1, 2)(many, *given)[0]
    function = pytensor.function(
        [many, given[0], given[2]], pt.sum(np.array([1.0]) + density), mode=stack.sampling_mode()
    )
    assert not any(getattr(node.op, "total", False) for node in nodes(function))
    value = function(VALUES[1], np.stack([np.eye(2)] * 3), np.ones(3))
    normals = -0.5 * (VALUES[1] ** 2).sum() - 3 * np.log(2 * np.pi)
    assert value == pytest.approx(3.0 + normals)


def test_forms_that_give_the_sum_have_its_gradient():
    in_total, height = MAP.in_total(), 1.7
    total = height * in_total(free)[1] + pt.sum(in_total(free)[0] * np.arange(4.0).reshape(2, 2))
    each = height * pt.sum(log_jacobian) + pt.sum(covariance * np.arange(4.0).reshape(2, 2))
    mine, theirs = (compiled(pt.grad(one, free), PLAIN)(*VALUES) for one in (total, each))
    np.testing.assert_allclose(mine, theirs, rtol=1e-12)
    density = densities.Density(densities.normal_density, 1, 2, total=True)(center, covariance, np.zeros((3, 2)), kappa)
    mine, theirs = (compiled(pt.grad(one, center), PLAIN)(*VALUES) for one in (3.0 * density[0], 3.0 * normal.sum()))
    np.testing.assert_allclose(mine, theirs, rtol=1e-12)
