"""Standard errors from the observed information, and the scalars that tables are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .domains import LOGIT, Domain, Link, UnitInterval
from .em.coordinates import Coordinates, smallest_relative_curvature
from .em.program import Params, Program
from .families.base import Array
from .spec import Group, Mixture

__all__ = ["Curvature", "Scalars", "curvature_at"]


@dataclass(frozen=True)
class _Piece:
    """The shown scalars of one parameter: public name, components that own a value, entries, domain."""

    name: str
    owners: tuple[int, ...]
    sharers: tuple[tuple[int, ...], ...]
    entries: tuple[tuple[int, ...], ...]
    domain: Domain
    shape: tuple[int, ...]
    axes: tuple[str, ...]
    shared: bool
    """Whether one value serves all components."""
    estimated: NDArray[np.bool_]
    """Which entries of which owner are estimated, (owners, entries); the others are fixed and not shown."""

    @property
    def places(self) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        """Of every shown scalar the components that have it and its entry."""
        return [(self.sharers[i], self.entries[j]) for i, j in np.argwhere(self.estimated)]


@dataclass(frozen=True)
class Scalars:
    """Every scalar parameter of a specification, one a row of a table, and the scale on which it is compared.

    A shared value is one scalar; fixed values are none.
    """

    spec: Mixture

    @cached_property
    def pieces(self) -> tuple[_Piece, ...]:
        """One piece per parameter with free values."""
        found = []
        for group in self.spec.groups:
            for parameter in group.family.parameters:
                layout = group.layout[parameter.name]
                owners = tuple(int(j) for j in np.flatnonzero(layout.owners))
                shape = parameter.shape(len(group.columns))
                if owners:
                    sharers = tuple(
                        tuple(group.components[i] for i in np.flatnonzero(layout.groups == layout.groups[j]))
                        for j in owners
                    )
                    public = group.names[parameter.name]
                    found.append(
                        _Piece(
                            public,
                            owners,
                            sharers,
                            tuple(parameter.domain.entries(shape)),
                            parameter.domain,
                            shape,
                            parameter.axes,
                            len(layout.groups) > 1 and len(set(layout.groups.tolist())) == 1,
                            np.array([[layout.free[(j, *e)] for e in parameter.domain.entries(shape)] for j in owners]),
                        )
                    )
        return tuple(found)

    @cached_property
    def n_weights(self) -> int:
        """Number of rows for weights: K unless they are fixed or there is one component."""
        return 0 if self.spec.fixed_weights is not None or self.spec.n_components == 1 else self.spec.n_components

    @cached_property
    def labels(self) -> list[str]:
        """Labels such as `mean[0, waiting]`; what all components share shows none, what some share shows them, `mean[0+2, waiting]`."""
        found = [f"weights[{k}]" for k in range(self.n_weights)]
        for piece in self.pieces:
            columns = self._columns(piece.name)
            shared = piece.shared
            for own, entry in piece.places:
                place = ([] if shared else ["+".join(map(str, own))]) + [
                    columns[i] if axis == "column" else str(i) for axis, i in zip(piece.axes, entry, strict=True)
                ]
                found.append(f"{piece.name}[{', '.join(place)}]" if place else piece.name)
        return found

    @cached_property
    def components(self) -> list[int]:
        """Component of each scalar, the first of those that share it."""
        return [own[0] for own in self.sharers]

    @cached_property
    def sharers(self) -> list[tuple[int, ...]]:
        """The components of each scalar: several where they share it."""
        found: list[tuple[int, ...]] = [(k,) for k in range(self.n_weights)]
        for piece in self.pieces:
            found += [own for own, _ in piece.places]
        return found

    @cached_property
    def links(self) -> list[Link]:
        """The scale of each scalar on which its intervals are made: logit of weights and probabilities, log of variances."""
        found = [LOGIT] * self.n_weights
        for piece in self.pieces:
            found += [piece.domain.link(entry) for _, entry in piece.places]
        return found

    def _group(self, name: str) -> Group:
        return next(group for group in self.spec.groups if name in group.names.values())

    def _columns(self, name: str) -> tuple[str, ...]:
        return self._group(name).family.columns

    def natural(self, values: Mapping[str, Array]) -> Array:
        """The scalars (..., m) in data units from named arrays with any leading sample axes (..., J, *shape)."""
        parts = [np.asarray(values["weights"])] if self.n_weights else []
        for piece in self.pieces:
            value = np.asarray(values[piece.name])
            lead = value.shape[: value.ndim - 1 - len(piece.shape)]
            flat = value.reshape(-1, *value.shape[len(lead) :])[:, list(piece.owners)]
            picked = np.stack([flat[_at(entry, 2)] for entry in piece.entries], axis=2)
            parts.append(picked[:, piece.estimated].reshape(*lead, -1))
        return np.concatenate(parts, axis=-1)

    def marginal(self, values: Mapping[str, Array]) -> Array:
        """The scalars (..., m) on their unconstrained scale: logit of probabilities and weights, log-Cholesky of covariances."""
        parts = []
        if self.n_weights:
            weights = np.asarray(values["weights"])
            flat = weights.reshape(-1, weights.shape[-1])
            parts.append(UnitInterval().unconstrain(flat).reshape(weights.shape))
        for piece in self.pieces:
            value = np.asarray(values[piece.name])
            lead = value.shape[: value.ndim - 1 - len(piece.shape)]
            own = value.reshape(-1, *value.shape[len(lead) :])[:, list(piece.owners)]
            with np.errstate(divide="ignore"):
                free = piece.domain.marginal(own.reshape(-1, *piece.shape))
            parts.append(free.reshape(-1, *piece.estimated.shape)[:, piece.estimated].reshape(*lead, -1))
        return np.concatenate(parts, axis=-1)


@dataclass(frozen=True)
class Curvature:
    """The observed information at a point and what follows from it.

    Attributes
    ----------
    coordinates
        Free coordinates (m) on the face of the parameter space that the point lies on.
    information
        Minus the Hessian of the objective (m, m), by central differences of the exact score.
    """

    coordinates: Coordinates
    at: Params
    information: Array

    @cached_property
    def smallest(self) -> float:
        """Smallest eigenvalue of the information scaled to unit diagonal: below 0 a saddle, near 0 a ridge."""
        return smallest_relative_curvature(self.information)

    @cached_property
    def is_maximum(self) -> bool:
        """Whether every direction falls."""
        return self.smallest > 1e-8

    @cached_property
    def covariance(self) -> Array:
        """Inverse of the information (m, m); NaN where there is no maximum."""
        if not self.is_maximum:
            return np.full_like(self.information, np.nan)
        scale = 1.0 / np.sqrt(np.diag(self.information))
        return np.linalg.inv(self.information * np.outer(scale, scale)) * np.outer(scale, scale)

    def flat_direction(self, most: int = 4) -> str:
        """The coordinates that move along the flattest direction, heaviest first."""
        scale = 1.0 / np.sqrt(np.maximum(np.abs(np.diag(self.information)), 1e-300))
        vector = np.linalg.eigh(self.information * np.outer(scale, scale))[1][:, 0]
        order = np.argsort(-np.abs(vector))[:most]
        labels = self.coordinates.labels()
        return ", ".join(labels[i] for i in order if abs(vector[i]) > 0.1)

    def standard_errors(self, scalars: Scalars) -> tuple[Array, Array]:
        """Standard errors (m,) of the table's scalars, on the natural and on the unconstrained scale, by the delta method.

        NaN for scalars on a boundary.

        References
        ----------
        Louis (1982), Journal of the Royal Statistical Society B 44, 226-233.
        """
        natural, marginal = self.jacobians(scalars)
        found = []
        for jacobian in (natural, marginal):
            variance = np.einsum("ai,ij,aj->a", jacobian, self.covariance, jacobian)
            moves = np.any(jacobian != 0, axis=1)
            found.append(np.where(moves & (variance >= 0), np.sqrt(np.maximum(variance, 0.0)), np.nan))
        return found[0], found[1]

    def jacobians(self, scalars: Scalars) -> tuple[Array, Array]:
        """Derivatives (len(labels), m) of the table's scalars in the coordinates, on the natural and on the unconstrained scale."""
        here = self.coordinates.vector(self.at)
        columns: list[list[Array]] = [[], []]
        for i in range(len(here)):
            step = np.zeros(len(here))
            step[i] = 1e-5 * max(1.0, abs(here[i]))
            sides = [self._named(self.coordinates.params(here + sign * step)) for sign in (1.0, -1.0)]
            for form, column in zip((scalars.natural, scalars.marginal), columns, strict=True):
                high, low = form(sides[0]), form(sides[1])
                with np.errstate(invalid="ignore"):
                    slope = (high - low) / (2.0 * step[i])
                column.append(np.where(np.isfinite(slope), slope, 0.0))
        shape = (len(scalars.labels), 0)
        return tuple(np.stack(column, axis=1) if column else np.zeros(shape) for column in columns)  # type: ignore[return-value]

    def _named(self, p: Params) -> dict[str, Array]:
        """Named values in data units, locations relative to the centre so that an offset costs no digits."""
        program = self.coordinates.program
        return named_values(program.spec, program.to_data(p, relative=True))

    def points_around(self, rng: np.random.Generator, count: int) -> list[Params]:
        """Points 1 to 3 standard errors away in random directions, standardised coordinates; none where there is no maximum."""
        if not self.is_maximum or not self.coordinates.size:
            return []
        factor = np.linalg.cholesky(self.covariance + 0.0)
        here, found = self.coordinates.vector(self.at), []
        for _ in range(count):
            direction = rng.standard_normal(len(here))
            direction *= rng.uniform(1.0, 3.0) / np.linalg.norm(direction)
            found.append(self.coordinates.params(here + factor @ direction))
        return found


def _at(entry: tuple[int, ...], lead: int) -> Any:
    """Index of one entry behind so many leading axes."""
    return (*(slice(None),) * lead, *entry)


def named_values(spec: Mixture, p: Params) -> dict[str, Array]:
    """The engine's arrays under their public names."""
    values = {"weights": p.weights}
    for group, theta in zip(spec.groups, p.thetas, strict=True):
        values.update({group.names[name]: value for name, value in theta.items()})
    return values


def curvature_at(program: Program, p: Params) -> Curvature:
    """Curvature of the program's objective at p (standardised coordinates)."""
    coordinates = Coordinates(program, p)
    return Curvature(coordinates, p, coordinates.information(p))
