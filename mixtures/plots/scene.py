"""What a picture shows, taken from a result: rows, parameters of the fit, and parameters of some posterior draws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data import Rows
from ..families.base import Array, Family, Theta
from ..spec import Group, Mixture

__all__ = ["GroupScene", "scenes"]


@dataclass(frozen=True)
class GroupScene:
    """One block over the components that have it.

    `x` (m, d) and `row_weights` (m,) are the rows; `theta` and `weights` the estimate; `draws` the (weights, theta) of some posterior draws.
    """

    group: Group
    x: Array
    row_weights: Array
    weights: Array
    theta: Theta
    draws: tuple[tuple[Array, Theta], ...]
    names: tuple[str, ...]
    """Of all columns of the specification."""

    @property
    def family(self) -> Family:
        """The block."""
        return self.group.family

    def few_draws(self, count: int = 30) -> tuple[tuple[Array, Theta], ...]:
        """Some of the draws, evenly spaced: as many as thin lines can show."""
        return self.draws[:: max(1, -(-len(self.draws) // count))]

    def column_density(self, column: int, at: Array, weights: Array, theta: Theta) -> Array | None:
        """Weighted density (len(at), J) of one column in each component; None for families that do not give it."""
        marginal = self.family.marginal(theta, [column])
        if marginal is None:
            return None
        return weights * np.exp(self.family.log_density(at[:, None], marginal))


def scenes(
    spec: Mixture, rows: Rows, point: Mapping[str, Array], posterior: Any = None, draws: int = 400
) -> list[GroupScene]:
    """One scene for each array of components in a specification.

    Parameters
    ----------
    spec
        The specification.
    rows
        The rows it was fitted to.
    point
        Named parameters of the estimate, data units.
    posterior
        A Dataset of draws with dims chain and draw, or None.
    draws
        Number of draws to take, evenly spaced.
    """
    named = [] if posterior is None else _some_draws(spec, posterior, point, draws)
    found = []
    for group in spec.groups:
        if group.family.evidence:
            continue
        own = list(group.components)
        theta = {name: np.asarray(point[public]) for name, public in group.names.items()}
        drawn = tuple(
            (one["weights"][own], {name: one[public] for name, public in group.names.items()}) for one in named
        )
        weights = np.asarray(point["weights"])[own]
        found.append(
            GroupScene(group, rows.values[:, list(group.columns)], rows.weights, weights, theta, drawn, spec.columns)
        )
    return found


def _some_draws(spec: Mixture, posterior: Any, point: Mapping[str, Array], count: int) -> list[dict[str, Array]]:
    """Named parameters of evenly spaced draws; what was not drawn, because it is fixed, is as in the estimate."""
    names = ["weights", *(public for group in spec.groups for public in group.names.values())]
    stacked = {
        name: np.asarray(posterior[name].stack(sample=("chain", "draw")).transpose("sample", ...).values)
        for name in names
        if name in posterior
    }
    total = min((len(values) for values in stacked.values()), default=0)
    chosen = np.unique(np.linspace(0, max(total - 1, 0), min(count, total)).round().astype(int))
    return [{name: stacked[name][i] if name in stacked else np.asarray(point[name]) for name in names} for i in chosen]
