"""Several points of one program in one pass: on small data most of a pass is the calls, and the points share them.

A stacked point has weights (S, K) and parameter arrays (S J, ...): component j of point s is component s J + j of its group, so
that the formulas of families and priors, written for any number of components, serve unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..domains import Domain
from ..families.base import Array, DegenerateComponentError, Layout, Theta
from ..priors import Dirichlet, Numbers
from .program import CompiledGroup, Evaluation, Params, Program

__all__ = ["DegeneratePointError", "Stack", "StackEvaluation", "join", "most_points"]

BUFFER = 1 << 17
"""Numbers computed at a time; more do not stay in cache."""
BETWEEN_PASSES = 16
"""Points that share the steps between passes of kernels; more save little and keep the first to arrive waiting."""


class DegeneratePointError(DegenerateComponentError):
    """A component of one of the points has no density any more; `begun` are evaluations of the points before it."""

    def __init__(self, component: int, point: int, begun: Sequence[Evaluation] = ()) -> None:
        super().__init__(component)
        self.point, self.begun = point, begun


def numbers_per_row(program: Program) -> int:
    """Numbers that a pass computes for a row and a point, roughly."""
    return sum(len(g.components) * (len(g.scale) + 2) for g in program.groups)


def most_points(program: Program) -> int:
    """Points that are taken together without loss; 1 where the rows alone fill the cache.

    Kernels pass over one point at a time. Points then share the steps in between, which take about as long as a short pass.
    """
    if program.passes is not None:
        return BETWEEN_PASSES if program.passes.are_short else 1
    return max(1, BUFFER // (numbers_per_row(program) * len(program.v)))


@dataclass(frozen=True)
class StackEvaluation:
    """Of S points: log_likelihood and objective (S,), mass (S, K), and the statistics of each group, leading axis S J."""

    log_likelihood: Array
    objective: Array
    mass: Array
    statistics: tuple[dict[str, Array], ...]


class Stack:
    """A program seen by S points at once.

    Parameters
    ----------
    program
        The program.
    size
        S.
    """

    def __init__(self, program: Program, size: int) -> None:
        self.program, self.size = program, size

    # -- what every group has S times ------------------------------------------------------------------------------------

    @cached_property
    def layouts(self) -> list[dict[str, Layout]]:
        """The layouts over S J components: nothing is shared between points."""
        return [{name: _repeated(layout, self.size) for name, layout in g.layout.items()} for g in self.program.groups]

    @cached_property
    def numbers(self) -> list[dict[str, Numbers]]:
        """The numbers of the priors over S J components."""
        return [
            {
                key: {name: _tiled(value, self.size) for name, value in numbers.items()}
                for key, numbers in g.numbers.items()
            }
            for g in self.program.groups
        ]

    # -- passes ----------------------------------------------------------------------------------------------------------

    def evaluate(self, p: Params, begun: Sequence[Evaluation] = ()) -> StackEvaluation:
        """One pass at S points, responsibilities soft; `begun` are evaluations of the first of them that there are already.

        Raises
        ------
        DegeneratePointError
            If a component of some point has no density any more.
        """
        if self.program.passes is not None:
            return self._one_by_one(p, begun)
        with np.errstate(divide="ignore"):
            log_weights = np.log(p.weights)
        value, mass = np.zeros(self.size), np.zeros(p.weights.shape)
        statistics: list[dict[str, Array]] = [{} for _ in self.program.groups]
        rows = max(64, BUFFER // (self.size * numbers_per_row(self.program)))
        for start in range(0, len(self.program.v), rows):
            self._block(p, slice(start, start + rows), log_weights, value, mass, statistics)
        objective = value + self.log_prior(p) if self.program.is_map else value
        return StackEvaluation(value, objective, mass, tuple(statistics))

    def _block(
        self, p: Params, block: slice, log_weights: Array, value: Array, mass: Array, statistics: list[dict[str, Array]]
    ) -> None:
        """Add what a block of rows adds to value (S,), mass (S, K) and statistics. Row arrays are (S, K, rows) here."""
        program, v = self.program, self.program.v[block]
        joint, work = None, []
        for g, theta in zip(program.groups, p.thetas, strict=True):
            try:
                density, own = g.family.e_step(g.x_of(block), theta)
            except DegenerateComponentError as error:
                point, component = divmod(error.component, len(g.components))
                raise DegeneratePointError(component, point) from None
            work.append(own)
            part = density.T.reshape(self.size, len(g.components), len(v))
            if joint is None and g.group.covers_all:
                joint = part + log_weights[:, :, None]
                continue
            if joint is None:
                joint = np.repeat(log_weights[:, :, None], len(v), axis=2)
            joint[:, g.components] += part
        assert joint is not None
        top = joint.max(axis=1)
        top = np.where(np.isfinite(top), top, 0.0)
        joint -= top[:, None]
        np.exp(joint, out=joint)
        total = joint.sum(axis=1)
        with np.errstate(divide="ignore"):
            value += (top + np.log(total)) @ v
        joint *= (v / np.where(total > 0, total, 1.0))[:, None]
        mass += joint.sum(axis=2)
        for g, own, theta, sums in zip(program.groups, work, p.thetas, statistics, strict=True):
            R = joint if g.group.covers_all else joint[:, g.components]
            R = R.reshape(-1, len(v)).T
            for name, found in g.family.statistics_after(own, g.x_of(block), R, theta).items():
                sums[name] = sums[name] + found if name in sums else found

    def _one_by_one(self, p: Params, begun: Sequence[Evaluation]) -> StackEvaluation:
        found = list(begun)
        for s in range(len(found), self.size):
            try:
                found.append(self.program.evaluate(self.point(p, s)))
            except DegenerateComponentError as error:
                raise DegeneratePointError(error.component, s, found) from None
        statistics = tuple(
            {name: np.concatenate([one.statistics[g][name] for one in found]) for name in found[0].statistics[g]}
            for g in range(len(self.program.groups))
        )
        return StackEvaluation(
            np.array([one.log_likelihood for one in found]),
            np.array([one.objective for one in found]),
            np.array([one.mass for one in found]),
            statistics,
        )

    def m_step(self, evaluation: StackEvaluation, p: Params) -> Params:
        """The M-step of S points."""
        program = self.program
        thetas = tuple(
            g.family.maximise(S, theta, layout, numbers if program.is_map else None)
            for g, S, theta, layout, numbers in zip(
                program.groups, evaluation.statistics, p.thetas, self.layouts, self.numbers, strict=True
            )
        )
        if program.fixed_weights is not None:
            return Params(p.weights, thetas)
        counts = evaluation.mass
        if program.is_map and program.weight_numbers is not None:
            counts = counts + program.weight_numbers["alpha"] - 1.0
        return Params(counts / counts.sum(axis=1, keepdims=True), thetas)

    # -- priors and scores -----------------------------------------------------------------------------------------------

    def log_prior(self, p: Params) -> Array:
        """Log prior densities (S,), standardised parameters."""
        total, spec = np.zeros(self.size), self.program.spec
        if self.program.weight_numbers is not None and isinstance(spec.weights, Dirichlet):
            total = total + spec.weights.log_density([p.weights], [], self.program.weight_numbers, [])
        for position, (g, theta) in enumerate(zip(self.program.groups, p.thetas, strict=True)):
            for term in g.terms:
                values, domains, owners = self._term(position, g, theta, term.parameters)
                each = term.prior.log_density(values, domains, self.numbers[position][term.key], owners)
                total = total + each.reshape(self.size, -1).sum(axis=1)
        return total

    def score(self, evaluation: StackEvaluation, p: Params) -> tuple[Array, list[Theta]]:
        """As `Program.score` for S points: weights (S, K) and every parameter (S J, ...)."""
        program = self.program
        with np.errstate(divide="ignore", invalid="ignore"):
            weights = np.where(p.weights > 0, evaluation.mass / p.weights, 0.0)
        found = [
            dict(g.family.score(S, theta))
            for g, S, theta in zip(program.groups, evaluation.statistics, p.thetas, strict=True)
        ]
        if not program.is_map:
            return weights, found
        if program.weight_numbers is not None and isinstance(program.spec.weights, Dirichlet):
            everyone = [np.ones(self.size, dtype=bool)]
            slope = program.spec.weights.gradient([p.weights], [], program.weight_numbers, everyone)[0]
            weights = weights + np.where(p.weights > 0, slope, 0.0)
        for position, (g, theta) in enumerate(zip(program.groups, p.thetas, strict=True)):
            for term in g.terms:
                values, domains, owners = self._term(position, g, theta, term.parameters)
                slopes = term.prior.gradient(values, domains, self.numbers[position][term.key], owners)
                for name, slope in zip(term.parameters, slopes, strict=True):
                    found[position][name] = found[position][name] + slope
        return weights, found

    def _term(
        self, position: int, g: CompiledGroup, theta: Theta, names: tuple[str, ...]
    ) -> tuple[list[Array], list[Domain], list[NDArray[np.bool_]]]:
        domains = {q.name: q.domain for q in g.family.parameters}
        owners = [self.layouts[position][name].counted for name in names]
        return [theta[name] for name in names], [domains[name] for name in names], owners

    # -- points of the stack ---------------------------------------------------------------------------------------------

    def point(self, p: Params, s: int) -> Params:
        """Point s."""
        thetas = tuple(
            {name: value[s * len(g.components) : (s + 1) * len(g.components)] for name, value in theta.items()}
            for g, theta in zip(self.program.groups, p.thetas, strict=True)
        )
        return Params(p.weights[s], thetas)

    def evaluation(self, found: StackEvaluation, s: int) -> Evaluation:
        """What the pass says of point s."""
        statistics = tuple(
            {name: value[s * len(g.components) : (s + 1) * len(g.components)] for name, value in S.items()}
            for g, S in zip(self.program.groups, found.statistics, strict=True)
        )
        return Evaluation(float(found.log_likelihood[s]), float(found.objective[s]), found.mass[s], statistics)

    def taken(self, p: Params, keep: NDArray[np.intp]) -> Params:
        """The stacked points `keep`."""
        return Params(
            p.weights[keep],
            tuple(self._take(g, theta, keep) for g, theta in zip(self.program.groups, p.thetas, strict=True)),
        )

    def taken_evaluation(self, found: StackEvaluation, keep: NDArray[np.intp]) -> StackEvaluation:
        """What the pass says of the points `keep`."""
        statistics = tuple(self._take(g, S, keep) for g, S in zip(self.program.groups, found.statistics, strict=True))
        return StackEvaluation(found.log_likelihood[keep], found.objective[keep], found.mass[keep], statistics)

    def put(self, p: Params, where: NDArray[np.intp], other: Params) -> Params:
        """p with the points `where` from another stack of as many."""
        weights = p.weights.copy()
        weights[where] = other.weights
        groups = zip(self.program.groups, p.thetas, other.thetas, strict=True)
        return Params(weights, tuple(self._put(g, theta, where, theirs) for g, theta, theirs in groups))

    def put_evaluation(
        self, found: StackEvaluation, where: NDArray[np.intp], other: StackEvaluation
    ) -> StackEvaluation:
        """What the pass says, of the points `where` from another pass."""
        value, objective, mass = found.log_likelihood.copy(), found.objective.copy(), found.mass.copy()
        value[where], objective[where], mass[where] = other.log_likelihood, other.objective, other.mass
        groups = zip(self.program.groups, found.statistics, other.statistics, strict=True)
        return StackEvaluation(value, objective, mass, tuple(self._put(g, S, where, theirs) for g, S, theirs in groups))

    def _put(self, g: CompiledGroup, arrays: Theta, where: NDArray[np.intp], others: Theta) -> Theta:
        index = (where[:, None] * len(g.components) + np.arange(len(g.components))).ravel()
        put = {name: value.copy() for name, value in arrays.items()}
        for name, value in put.items():
            value[index] = others[name]
        return put

    def _take(self, g: CompiledGroup, arrays: Theta, keep: NDArray[np.intp]) -> Theta:
        index = (keep[:, None] * len(g.components) + np.arange(len(g.components))).ravel()
        return {name: value[index] for name, value in arrays.items()}


def join(points: Sequence[Params]) -> Params:
    """The stacked point made of these."""
    thetas = tuple(
        {name: np.concatenate([p.thetas[g][name] for p in points]) for name in theta}
        for g, theta in enumerate(points[0].thetas)
    )
    return Params(np.array([p.weights for p in points]), thetas)


def _tiled(value: NDArray[Any], size: int) -> NDArray[Any]:
    return np.concatenate([value] * size)


def _repeated(layout: Layout, size: int) -> Layout:
    count = len(layout.groups)
    groups = np.concatenate([layout.groups + s * count for s in range(size)])
    sets = np.repeat(np.arange(size), count)
    return Layout(_tiled(layout.free, size), _tiled(layout.fixed, size), groups, _tiled(layout.owners, size), sets)
