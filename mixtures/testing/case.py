"""A family with parameters and rows to try the laws on, and the list of the laws."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import NDArray

from ..domains import Parameter
from ..em.program import Params, Program
from ..families.base import Array, Family, Layout, Theta
from ..partition import principal_partition
from ..priors import Dirichlet
from ..slots import Fixed, Free, Shared
from ..spec import Mixture

__all__ = ["ESTIMATES", "LAWS", "STEP", "Case", "close", "each_close", "law", "legal_theta", "moved", "variants"]

Law = Callable[["Case"], None]
LAWS: list[Law] = []
"""All laws; one that is defined with `@law` is found by the tests and by `check_family`."""

N_ROWS = 150
STEP = 1e-5
"""Step of central differences in free coordinates."""
ESTIMATES = ("mle", "map")


def law(function: Law) -> Law:
    """Adds a law to the list."""
    LAWS.append(function)
    return function


@dataclass(frozen=True)
class Case:
    """A family with J = 2 components: legal parameters, rows x (n, d) drawn from them, responsibilities R (n, 2)."""

    block: Family
    theta: Theta
    x: Array
    z: NDArray[np.intp]
    R: Array
    rng: np.random.Generator

    @classmethod
    def of(cls, block: Family, seed: int, n: int = N_ROWS) -> Case:
        """A case for that family and seed."""
        rng = np.random.default_rng(seed)
        theta = legal_theta(block, rng)
        z = np.resize(np.arange(2), n)
        R = rng.dirichlet((1.0, 1.0), n) * rng.uniform(0.5, 1.5, (n, 1))
        return cls(block, theta, block.draw(z, theta, rng), z, R, rng)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The family's parameters."""
        return self.block.parameters

    @cached_property
    def layout(self) -> dict[str, Layout]:
        """How the two components hang together."""
        return self.block.layout((self.block.of_component(0), self.block.of_component(1)))

    def program(self, estimate: str, x: Array | None = None) -> Program:
        """The EM program of a mixture of two such components on the rows, with default priors."""
        x = self.x if x is None else x
        spec = Mixture(self.block, 2)
        rows = spec.rows(dict(zip(self.block.columns, x.T, strict=True)))
        partition = principal_partition(rows.values, rows.weights, 2)
        resolved = self.block.resolve(rows.values, rows.weights, partition)
        return Program(Mixture(resolved, 2, weights=Dirichlet(1.0)), rows, estimate)

    def start(self, program: Program) -> Params:
        """The case's parameters as a point of the program."""
        return program.to_standard(Params(np.array([0.4, 0.6]), (self.theta,)))


def legal_theta(block: Family, rng: np.random.Generator) -> Theta:
    """Random parameters of two components, made from the domains and the block's fixed and shared slots."""
    layout = block.layout((block.of_component(0), block.of_component(1)))
    theta = {}
    for q in block.parameters:
        shape = q.shape(len(block.columns))
        free = q.domain.unconstrain(np.stack([q.domain.neutral(shape)] * 2))
        for spread in (0.7, 0.3, 0.1, 0.0):
            moved = q.domain.constrain(free + spread * rng.standard_normal(free.shape), shape)
            value = q.domain.nearest(layout[q.name].filled(moved)[layout[q.name].groups])
            if all(q.domain.problem(one) is None for one in value):
                break
        theta[q.name] = value
    return theta


def variants(family: type[Family]) -> list[Family]:
    """The models a family has: one and three columns, every option, each parameter free and, if supported, shared or fixed in part.

    Examples
    --------
    >>> from mixtures import Gaussian
    >>> variants(Gaussian)[:2]
    [Gaussian('a'), Gaussian('a', covariance=Shared())]
    """
    found: list[Family] = []
    for columns in (("a",), ("a", "b", "c")):
        for values in product(*family.option_choices.values()):
            free = family(*columns, **dict(zip(family.option_choices, values, strict=True)))
            names = [q.name for q in free.parameters if free.unsupported(q.name, Shared()) is None]
            found += [free, *(free.replace(**{name: Shared()}) for name in names)]
            for q in free.parameters:
                if len(columns) > 1 and q.axes == ("column",) and q.domain.separate and q.domain.size((1,)):
                    partly = Fixed((float(q.domain.neutral((1,))[0]), *[Free()] * (len(columns) - 1)))
                    found += [free.replace(**{q.name: partly})] if free.unsupported(q.name, partly) is None else []
    return list(dict.fromkeys(found))


def close(found: Array, expected: Array, what: str, tolerance: float = 1e-9) -> None:
    """Assert equality up to `tolerance`, relative to values above 1, and say where it is worst."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape, f"{what} has shape {found.shape} where {expected.shape} is due"
    with np.errstate(invalid="ignore"):
        gap = np.abs(found - expected) / np.maximum(1.0, np.abs(expected))
    gap = np.where(found == expected, 0.0, gap)
    worst = np.unravel_index(np.argmax(gap), gap.shape) if gap.size else ()
    assert np.all(gap <= tolerance), f"{what} is {found[worst]:.10g} where {expected[worst]:.10g} is due"


def each_close(found: Theta, expected: Theta, what: str, tolerance: float = 1e-9) -> None:
    """`close` for every array of two dicts."""
    assert set(found) == set(expected), f"{what} has keys {sorted(found)} where {sorted(expected)} are due"
    for name, value in expected.items():
        close(found[name], value, f"{what}[{name!r}]", tolerance)


def moved(theta: Theta, q: Parameter) -> Iterator[tuple[tuple[int, int], tuple[Theta, Theta]]]:
    """For every free coordinate of a parameter: its index and theta a step above and below."""
    free = q.domain.unconstrain(theta[q.name])
    shape = theta[q.name].shape[1:]
    for j, i in np.ndindex(*free.shape):
        step = np.zeros_like(free)
        step[j, i] = STEP
        sides = [{**theta, q.name: q.domain.constrain(free + sign * step, shape)} for sign in (1.0, -1.0)]
        yield (j, i), (sides[0], sides[1])
