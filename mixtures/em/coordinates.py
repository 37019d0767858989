"""Free coordinates of a point: one vector of the parameters that can move, its gradient and the observed information."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..domains import Domain, Simplex
from ..families.base import Array, Theta
from .program import Evaluation, Params, Program
from .stack import Stack

__all__ = ["Coordinates", "newton_decrement", "smallest_relative_curvature"]

STEP = 6e-6
"""Step of central differences of the score: the cube root of the rounding unit."""

ROWS_AT_A_TIME = 32
"""Rows whose scores are taken together: the work for a row grows with it, the number of calls falls."""


@dataclass(frozen=True)
class _Section:
    """Coordinates of one parameter: the components that own a value and which of their coordinates are free.

    Entries on an edge and fixed ones keep their values. sharing (owners, J) says which components take an owner's value; None where
    everyone owns one.
    """

    group: int
    name: str
    domain: Domain
    owners: NDArray[np.intp]
    active: NDArray[np.bool_]
    edge: NDArray[np.bool_]
    sharing: NDArray[np.bool_] | None
    size: int


class Coordinates:
    """The map between parameters and a vector, on the face of the parameter space that contains `at`.

    Empty components, probabilities of 0 and 1, and fixed entries have no coordinates: they keep their values.
    """

    def __init__(self, program: Program, at: Params, *, wide: bool = False) -> None:
        self.program, self.at, self.wide = program, at, wide
        free_weights = program.fixed_weights is None
        self.occupied = np.flatnonzero(at.weights > 0)
        self.n_weights = max(len(self.occupied) - 1, 0) if free_weights else 0
        self.sections = tuple(self._sections())
        self.size = self.n_weights + sum(section.size for section in self.sections)

    def _sections(self) -> list[_Section]:
        found = []
        for g, (compiled, theta) in enumerate(zip(self.program.groups, self.at.thetas, strict=True)):
            alive = self.at.weights[compiled.components] > 0
            for parameter in compiled.family.parameters:
                layout, domain = compiled.layout[parameter.name], parameter.domain
                same = layout.groups[:, None] == layout.groups
                owners = np.flatnonzero(layout.owners & (same @ alive | (domain.is_coupled & alive.any())))
                if not len(owners):
                    continue
                own = theta[parameter.name][owners]
                domain = domain.chart(own, alive[owners], wide=self.wide)
                active = ~domain.at_boundary(own)
                free = layout.free[owners].reshape(len(owners), -1)
                if free.shape == active.shape:
                    active = active & free
                edge = ~active.reshape(own.shape) if active.size == own.size else np.zeros(own.shape, dtype=bool)
                sharing = None if len(owners) == len(layout.groups) else same[owners]
                size = int(active.sum())
                if size:
                    found.append(_Section(g, parameter.name, domain, owners, active, edge, sharing, size))
        return found

    @cached_property
    def units(self) -> Array:
        """What the coordinates (m,) are divided by when columns get unit variance: lengths then do not depend on the data's units."""
        parts = [np.ones(self.n_weights)]
        for s in self.sections:
            lengths = s.domain.unit_lengths(
                self.at.thetas[s.group][s.name].shape[1:], self.program.groups[s.group].spread
            )
            parts.append(np.broadcast_to(lengths, s.active.shape)[s.active])
        return np.concatenate(parts)

    # -- points, one or many ---------------------------------------------------------------------------------------------

    def vector(self, p: Params) -> Array:
        """Coordinates (m,) of p, which lies on the same face."""
        return self.vectors(Params(p.weights[None], p.thetas))[0]

    def vectors(self, p: Params) -> Array:
        """Coordinates (S, m) of stacked points."""
        count = len(p.weights)
        parts = [np.zeros((count, 0))]
        if self.n_weights:
            parts.append(Simplex().unconstrain(p.weights[:, self.occupied]))
        for s in self.sections:
            own = self._owned(p.thetas[s.group][s.name], s, count)
            free = s.domain.unconstrain(own.reshape(-1, *own.shape[2:]))
            parts.append(free.reshape(count, *s.active.shape)[:, s.active])
        return np.concatenate(parts, axis=1)

    def params(self, vector: Array) -> Params:
        """The parameters at coordinates (m,)."""
        p = self.points(vector[None])
        return Params(p.weights[0], p.thetas)

    def reached(self, vector: Array) -> Params | None:
        """The parameters at coordinates (m,); None where they are beyond what floats hold."""
        with np.errstate(over="ignore", invalid="ignore"):
            p = self.params(vector)
        arrays = (p.weights, *(value for theta in p.thetas for value in theta.values()))
        return p if all(np.isfinite(value).all() for value in arrays) else None

    def points(self, vectors: Array) -> Params:
        """The stacked points at coordinates (S, m)."""
        count = len(vectors)
        weights = np.repeat(self.at.weights[None], count, axis=0)
        if self.n_weights:
            weights[:] = 0.0
            weights[:, self.occupied] = Simplex().constrain(vectors[:, : self.n_weights], ())
        thetas: list[Theta] = [
            {name: np.concatenate([value] * count) for name, value in theta.items()} for theta in self.at.thetas
        ]
        start = self.n_weights
        for s in self.sections:
            now = self.at.thetas[s.group][s.name]
            own = now[s.owners]
            with np.errstate(divide="ignore"):
                free = np.repeat(s.domain.unconstrain(own)[None], count, axis=0)
            free[:, s.active] = vectors[:, start : start + s.size]
            moved = s.domain.constrain(free.reshape(-1, free.shape[-1]), own.shape[1:]).reshape(count, *own.shape)
            moved = np.where(s.edge, own, moved) if s.edge.any() else moved
            value = thetas[s.group][s.name].reshape(count, *now.shape)
            if s.sharing is None:
                value[:] = moved
            else:
                for owner, takers in enumerate(s.sharing):
                    value[:, takers] = moved[:, owner : owner + 1]
            start += s.size
        return Params(weights, tuple(thetas))

    def _owned(self, value: Array, s: _Section, count: int) -> Array:
        """The owners' share (S, owners, ...) of a stacked array (S J, ...)."""
        by_point = value.reshape(count, -1, *value.shape[1:])
        return by_point if s.sharing is None else by_point[:, s.owners]

    # -- gradients -------------------------------------------------------------------------------------------------------

    def gradient(self, evaluation: Evaluation, p: Params) -> Array:
        """Gradient (m,) of the objective at p, from the statistics taken there."""
        return self.pull(p, *self.program.score(evaluation, p))

    def pull(self, p: Params, by_weights: Array, by_theta: list[Theta]) -> Array:
        """Gradient (m,) in coordinates from gradients in the weights (K,) and in every parameter."""
        return self.pulls(Params(p.weights[None], p.thetas), by_weights[None], by_theta)[0]

    def pulls(self, p: Params, by_weights: Array, by_theta: list[Theta]) -> Array:
        """Gradients (S, m) of stacked points."""
        count = len(p.weights)
        parts = [np.zeros((count, 0))]
        if self.n_weights:
            parts.append(Simplex().pullback(p.weights[:, self.occupied], by_weights[:, self.occupied]))
        for s in self.sections:
            own, slope = self._owned(p.thetas[s.group][s.name], s, count), by_theta[s.group][s.name]
            slope = slope.reshape(count, -1, *slope.shape[1:])
            if s.sharing is not None:
                slope = np.stack([slope[:, takers].sum(axis=1) for takers in s.sharing], axis=1)
            pulled = s.domain.pullback(own.reshape(-1, *own.shape[2:]), slope.reshape(-1, *slope.shape[2:]))
            parts.append(pulled.reshape(count, *s.active.shape)[:, s.active])
        return np.concatenate(parts, axis=1)

    def row_scores(self, p: Params) -> Array:
        """Gradient (n, m) of every row's log density at p, by Fisher's identity; row weights and priors are left out.

        A row among `ROWS_AT_A_TIME` is a stacked point of its own whose components claim that row alone, so that the statistics and
        the score of any family serve unchanged.
        """
        program, count = self.program, len(self.program.v)
        responsibilities, found = program.responsibilities(p), np.empty((count, self.size))
        for start in range(0, count, ROWS_AT_A_TIME):
            block = slice(start, start + ROWS_AT_A_TIME)
            R = responsibilities[block]
            with np.errstate(divide="ignore", invalid="ignore"):
                by_weights = np.where(p.weights > 0, R / p.weights, 0.0)
            points = self.points(np.repeat(self.vector(p)[None], len(R), axis=0))
            slopes = []
            for g, theta in zip(program.groups, points.thetas, strict=True):
                claimed = np.zeros((len(R), len(R), len(g.components)))
                claimed[range(len(R)), range(len(R))] = R[:, g.components]
                statistics = g.family.statistics(g.x[block], claimed.reshape(len(R), -1), theta)
                slopes.append(dict(g.family.score(statistics, theta)))
            found[block] = self.pulls(points, by_weights, slopes)
        return found

    def information(self, p: Params) -> Array:
        """Observed information (m, m): minus the Hessian of the objective, by central differences of the exact score."""
        if not self.size:
            return np.zeros((0, 0))
        here = self.vector(p)
        step = STEP * np.maximum(1.0, np.abs(here))
        points = self.points(np.concatenate([here + np.diag(step), here - np.diag(step)]))
        stack = Stack(self.program, 2 * self.size)
        gradients = self.pulls(points, *stack.score(stack.evaluate(points), points))
        rows = (gradients[self.size :] - gradients[: self.size]) / (2.0 * step[:, None])
        return 0.5 * (rows + rows.T)

    def labels(self) -> list[str]:
        """A readable name per coordinate, e.g. `covariance[0; waiting, eruptions]`."""
        found = [f"weights[{k}]" for k in self.occupied[: self.n_weights]]
        for s in self.sections:
            compiled = self.program.groups[s.group]
            parameter = next(q for q in compiled.family.parameters if q.name == s.name)
            places = s.domain.coordinate_names(parameter, compiled.family.columns)
            public = compiled.group.names[s.name]
            for row, owner in enumerate(s.owners):
                for i, place in enumerate(places):
                    if s.active[row, i]:
                        found.append(
                            f"{public}[{compiled.components[owner]}; {place}]"
                            if place
                            else f"{public}[{compiled.components[owner]}]"
                        )
        return found


def newton_decrement(gradient: Array, information: Array) -> tuple[float, Array | None]:
    """lambda = sqrt(g' H^-1 g), the distance to the stationary point in standard errors, and the Newton step H^-1 g.

    Infinity and None where the information is not positive definite.

    References
    ----------
    Boyd & Vandenberghe (2004), Convex Optimization, section 9.5.1.
    """
    if not len(gradient):
        return 0.0, np.zeros(0)
    diagonal = np.diag(information)
    if not np.all(np.isfinite(information)) or np.any(diagonal <= 0):
        return np.inf, None
    scale = 1.0 / np.sqrt(diagonal)
    try:
        factor = np.linalg.cholesky(information * np.outer(scale, scale))
    except np.linalg.LinAlgError:
        return np.inf, None
    half = np.linalg.solve(factor, gradient * scale)
    return float(np.sqrt(half @ half)), scale * np.linalg.solve(factor.T, half)


def smallest_relative_curvature(information: Array) -> float:
    """Smallest eigenvalue of the information scaled to unit diagonal: near 0 where some direction is flat."""
    diagonal = np.diag(information)
    if not len(diagonal):
        return 1.0
    if np.any(diagonal <= 0) or not np.all(np.isfinite(information)):
        return float(np.min(diagonal, initial=0.0))
    scale = 1.0 / np.sqrt(diagonal)
    return float(np.linalg.eigvalsh(information * np.outer(scale, scale))[0])
