"""Points in parameter space, and the units that they are given in: data units, or the standardised ones that a program computes in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..data import Rows
from ..domains import Parameter, power_of_two
from ..errors import DataError
from ..families.base import Array, Theta
from ..spec import Group

__all__ = ["GroupUnits", "Params", "Units"]

UNITS_FROM = 500_000
"""Rows, evenly spaced, that the units of columns are taken from, if there are at least twice as many."""


class Params(NamedTuple):
    """Weights (K,) and one dict of arrays per group. Light and immutable; the arrays are not written to."""

    weights: Array
    thetas: tuple[Theta, ...]


class GroupUnits(NamedTuple):
    """Centre and scale (d,) of a group's columns, and what unit variance takes beyond."""

    center: Array
    scale: Array
    spread: Array

    @classmethod
    def of_data(cls, group: Group) -> GroupUnits:
        d = len(group.columns)
        return cls(np.zeros(d), np.ones(d), np.ones(d))

    @classmethod
    def of_rows(cls, group: Group, rows: Rows) -> GroupUnits:
        few = rows.thinned(UNITS_FROM)
        try:
            center, spread = group.family.standardise(few.values[:, list(group.columns)], few.weights)
        except DataError:  # these rows do not tell the columns' units
            if few is rows:
                raise
            center, spread = group.family.standardise(rows.values[:, list(group.columns)], rows.weights)
        scale = power_of_two(spread)
        return cls(center, scale, spread / scale)


@dataclass(frozen=True, eq=False)
class Units:
    """The units of all groups, and the parameters that they are units of. It holds no rows."""

    groups: tuple[GroupUnits, ...]
    parameters: tuple[tuple[Parameter, ...], ...]

    @classmethod
    def of(cls, groups: Sequence[Group], rows: Rows | None) -> Units:
        """Units in which the rows are standardised; those of the data where there are none to tell."""
        found = [GroupUnits.of_data(g) if rows is None else GroupUnits.of_rows(g, rows) for g in groups]
        return cls(tuple(_alike(groups, found)), tuple(g.family.parameters for g in groups))

    def to_data(self, p: Params, *, relative: bool = False) -> Params:
        """Parameters in data units; `relative` leaves locations relative to the columns' centres."""
        share = 0.0 if relative else 1.0
        return self._converted(p, lambda q, value, own: q.domain.to_data(value, share * own.center, own.scale))

    def to_standard(self, p: Params) -> Params:
        """Parameters in standardised coordinates, from data units."""
        return self._converted(p, lambda q, value, own: q.domain.to_standard(value, own.center, own.scale))

    def _converted(self, p: Params, convert: Callable[[Parameter, Array, GroupUnits], Array]) -> Params:
        thetas = tuple(
            {q.name: convert(q, theta[q.name], own) for q in parameters}
            for own, parameters, theta in zip(self.groups, self.parameters, p.thetas, strict=True)
        )
        return Params(p.weights, thetas)


def _alike(groups: Sequence[Group], units: Sequence[GroupUnits]) -> list[GroupUnits]:
    """The units with one scale per column, because densities of components can be compared in the same units only.

    Groups that would scale a column differently, and those tied to them by other columns, get one scale for all their columns: 1
    if one of them takes values as they are. Groups that do well in any units take the others'.
    """
    found = list(units)
    asking = [i for i, group in enumerate(groups) if not group.family.any_units]
    tied = {i: {i} for i in asking}  # sets of groups that must have one scale; they only ever grow
    while True:
        scales: dict[int, dict[float, int]] = {}
        for i in asking:
            for column, scale in zip(groups[i].columns, found[i].scale, strict=True):
                scales.setdefault(column, {}).setdefault(float(scale), i)
        torn = next((list(each.values()) for each in scales.values() if len(each) > 1), None)
        if torn is None:
            break
        members = set().union(*(tied[i] for i in torn))
        common = np.ones(1)
        if not any(np.all(units[i].scale == 1.0) and np.all(units[i].center == 0.0) for i in members):
            logs = np.log(np.concatenate([units[i].scale for i in sorted(members)]))
            common = power_of_two(np.exp(logs.mean(keepdims=True)))
        for i in members:
            tied[i] = members
            whole = units[i].scale * units[i].spread
            found[i] = units[i]._replace(scale=np.repeat(common, len(whole)), spread=whole / common)
    chosen = {column: next(iter(each)) for column, each in scales.items()}
    for i, group in enumerate(groups):
        if group.family.any_units:
            scale = np.array([chosen.get(column, 1.0) for column in group.columns])
            found[i] = units[i]._replace(scale=scale, spread=np.ones_like(scale))
    return found
