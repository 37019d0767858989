"""Free coordinates of a point: one vector of the parameters that can move, its gradient and the observed information."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..domains import Domain, Simplex
from ..families.base import Array, Theta
from .program import Evaluation, Params, Program

__all__ = ["Coordinates", "newton_decrement", "smallest_relative_curvature"]

STEP = 6e-6
"""Step of central differences of the score: the cube root of the rounding unit."""


@dataclass(frozen=True)
class _Section:
    """Coordinates of one parameter: the components that own a value and which of their coordinates are free."""

    group: int
    name: str
    owners: NDArray[np.intp]
    active: NDArray[np.bool_]


class Coordinates:
    """The map between parameters and a vector, on the face of the parameter space that contains `at`.

    Empty components, probabilities of 0 and 1, and fixed entries have no coordinates: they keep their values.
    """

    def __init__(self, program: Program, at: Params) -> None:
        self.program, self.at = program, at
        free_weights = program.fixed_weights is None
        self.occupied = np.flatnonzero(at.weights > 0)
        self.n_weights = max(len(self.occupied) - 1, 0) if free_weights else 0
        self.sections = tuple(self._sections())

    def _sections(self) -> list[_Section]:
        found = []
        for g, (compiled, theta) in enumerate(zip(self.program.groups, self.at.thetas, strict=True)):
            alive = self.at.weights[compiled.components] > 0
            for parameter in compiled.family.parameters:
                layout = compiled.layout[parameter.name]
                living = np.array([np.any(alive[layout.groups == group]) for group in layout.groups])
                owners = np.flatnonzero(layout.owners & living)
                if not len(owners):
                    continue
                active = ~parameter.domain.at_boundary(theta[parameter.name][owners])
                free = layout.free[owners].reshape(len(owners), -1)
                if free.shape == active.shape:
                    active = active & free
                if active.any():
                    found.append(_Section(g, parameter.name, owners, active))
        return found

    @cached_property
    def size(self) -> int:
        """Number of coordinates."""
        return self.n_weights + sum(int(section.active.sum()) for section in self.sections)

    def _domain(self, section: _Section) -> Domain:
        return next(q for q in self.program.groups[section.group].family.parameters if q.name == section.name).domain

    def vector(self, p: Params) -> Array:
        """Coordinates (m,) of p, which lies on the same face."""
        parts = [Simplex().unconstrain(p.weights[None, self.occupied])[0]] if self.n_weights else []
        parts += [self._domain(s).unconstrain(p.thetas[s.group][s.name][s.owners])[s.active] for s in self.sections]
        return np.concatenate(parts) if parts else np.zeros(0)

    def params(self, vector: Array) -> Params:
        """The parameters at coordinates (m,)."""
        weights = self.at.weights
        if self.n_weights:
            weights = np.zeros_like(weights)
            weights[self.occupied] = Simplex().constrain(vector[None, : self.n_weights], ())[0]
        thetas: list[Theta] = [dict(theta) for theta in self.at.thetas]
        start = self.n_weights
        for s in self.sections:
            stop = start + int(s.active.sum())
            value = thetas[s.group][s.name].copy()
            domain, own = self._domain(s), value[s.owners]
            with np.errstate(divide="ignore"):
                free = domain.unconstrain(own)
            free[s.active] = vector[start:stop]
            moved = domain.constrain(free, own.shape[1:])
            value[s.owners] = moved if s.active.all() else _keep_boundary(moved, own, domain)
            groups = self.program.groups[s.group].layout[s.name].groups
            for owner in s.owners:
                value[groups == groups[owner]] = value[owner]
            thetas[s.group][s.name] = value
            start = stop
        return Params(weights, tuple(thetas))

    def gradient(self, evaluation: Evaluation, p: Params) -> Array:
        """Gradient (m,) of the objective at p, from the statistics taken there."""
        return self.pull(p, *self.program.score(evaluation, p))

    def pull(self, p: Params, by_weights: Array, by_theta: list[Theta]) -> Array:
        """Gradient (m,) in coordinates from gradients in the weights (K,) and in every parameter."""
        parts = []
        if self.n_weights:
            parts.append(Simplex().pullback(p.weights[None, self.occupied], by_weights[None, self.occupied])[0])
        for s in self.sections:
            groups = self.program.groups[s.group].layout[s.name].groups
            slope = by_theta[s.group][s.name]
            pooled = np.stack([slope[groups == groups[owner]].sum(axis=0) for owner in s.owners])
            parts.append(self._domain(s).pullback(p.thetas[s.group][s.name][s.owners], pooled)[s.active])
        return np.concatenate(parts) if parts else np.zeros(0)

    def information(self, p: Params) -> Array:
        """Observed information (m, m): minus the Hessian of the objective, by central differences of the exact score."""
        here = self.vector(p)
        rows = np.empty((self.size, self.size))
        for i in range(self.size):
            step = np.zeros(self.size)
            step[i] = STEP * max(1.0, abs(here[i]))
            sides = []
            for sign in (1.0, -1.0):
                q = self.params(here + sign * step)
                sides.append(self.gradient(self.program.evaluate(q), q))
            rows[i] = (sides[1] - sides[0]) / (2.0 * step[i])
        return 0.5 * (rows + rows.T)

    def labels(self) -> list[str]:
        """A readable name per coordinate, e.g. `covariance[0; waiting, eruptions]`."""
        found = [f"weights[{k}]" for k in self.occupied[: self.n_weights]]
        for s in self.sections:
            compiled = self.program.groups[s.group]
            parameter = next(q for q in compiled.family.parameters if q.name == s.name)
            entries = parameter.domain.entries(parameter.shape(len(compiled.scale)))
            columns = compiled.family.columns
            public = compiled.group.names[s.name]
            for row, owner in enumerate(s.owners):
                for i, entry in enumerate(entries):
                    if s.active[row, i]:
                        place = ", ".join(columns[c] for c in entry)
                        found.append(
                            f"{public}[{compiled.components[owner]}; {place}]"
                            if place
                            else f"{public}[{compiled.components[owner]}]"
                        )
        return found


def _keep_boundary(moved: Array, own: Array, domain: Domain) -> Array:
    edge = domain.at_boundary(own).reshape(own.shape)
    return np.where(edge, own, moved)


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
