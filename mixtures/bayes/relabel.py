"""Relabelling: each draw's components get the labels of the EM estimate's, within exchangeable groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ..data import Rows
from ..families.base import Array, Theta
from ..spec import Mixture, free_dim
from .op import Part, log_joint, log_sum_exp, parts_of

__all__ = ["MAX_ROWS", "Relabelling", "permute", "relabel", "rows_for_relabelling"]

MAX_ROWS = 2000
"""Rows that labels are compared on; of more, a systematic sample by weight."""


@dataclass(frozen=True)
class Relabelling:
    """How the draws' components were matched to the pivot's.

    Attributes
    ----------
    permutation
        (draws, K): component `permutation[s, k]` of draw s became component k.
    confidence
        (draws,) in [0, 1]: the margin between the best and the second-best matching, halved. A matching scores the sum
        over components of the share of the pivot component's mass that the matched component takes; 1 means that every
        other matching has no row in common, 0 that two are equally good.
    agreement
        (draws,) in [0, 1]: mean share of a pivot component's mass that its matched component takes.
    entropy
        (draws,) mean entropy of the rows' allocation, in nats; label-invariant.
    """

    permutation: NDArray[np.intp]
    confidence: Array
    agreement: Array
    entropy: Array


def rows_for_relabelling(rows: Rows) -> tuple[NDArray[np.intp], Array]:
    """Indices and weights of at most `MAX_ROWS` rows: all, or every so many by cumulative weight."""
    if len(rows.values) <= MAX_ROWS:
        return np.arange(len(rows.values)), rows.weights
    places = (np.arange(MAX_ROWS) + 0.5) * rows.total / MAX_ROWS
    index, counts = np.unique(np.searchsorted(np.cumsum(rows.weights), places), return_counts=True)
    return index, counts.astype(np.float64)


def relabel(
    spec: Mixture, values: Array, weights: Array, pivot: Array, draws: Sequence[tuple[Array, list[Theta]]]
) -> Relabelling:
    """Match the components of every draw to the pivot's, by the rows that they claim.

    Parameters
    ----------
    spec
        The specification; only components of one of its exchangeable groups are permuted.
    values, weights
        Rows (n, c) in data units and their weights (n,).
    pivot
        Responsibilities (n, K) of the estimate.
    draws
        Weights (K,) and parameters of each draw, data units.

    References
    ----------
    Papastamoulis & Iliopoulos (2010), An artificial allocations based solution to the label switching problem in Bayesian
    analysis of mixtures of distributions, Journal of Computational and Graphical Statistics 19, 313-331.
    """
    parts = parts_of(spec, values)
    columns = [np.ascontiguousarray(values[:, part.columns]) for part in parts]
    mass = weights @ pivot
    share = (pivot * weights[:, None] / np.where(mass > 0, mass, 1.0)).T
    agreement = np.empty((len(draws), spec.n_components, spec.n_components))
    entropy = np.empty(len(draws))
    total = weights.sum()
    for s, (w, thetas) in enumerate(draws):
        responsibilities = _responsibilities(parts, columns, w, thetas)
        agreement[s] = share @ responsibilities
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.where(responsibilities > 0, np.log(responsibilities), 0.0)
        entropy[s] = -float(weights @ (responsibilities * logs).sum(axis=1)) / total
    return _matched(spec, agreement, mass, entropy)


def _responsibilities(parts: Sequence[Part], columns: Sequence[Array], weights: Array, thetas: list[Theta]) -> Array:
    with np.errstate(all="ignore"):
        return log_sum_exp(log_joint(parts, columns, np.log(weights), thetas))[1]


def _matched(spec: Mixture, agreement: Array, mass: Array, entropy: Array) -> Relabelling:
    """Best matchings for given agreement (draws, K, K): rows are the pivot's components, columns the draw's."""
    count, k = len(agreement), spec.n_components
    permutation = np.tile(np.arange(k), (count, 1))
    confidence = np.ones(count)
    for members in spec.exchangeable:
        if len(members) == 1:
            continue
        own = np.array(members)
        chosen, margin = _assign(agreement[:, own[:, None], own[None, :]])
        permutation[:, own] = own[chosen]
        confidence = np.minimum(confidence, np.clip(0.5 * margin, 0.0, 1.0))
    taken = np.take_along_axis(agreement, permutation[:, :, None], axis=2)[:, :, 0]
    occupied = mass > 0
    return Relabelling(permutation, confidence, taken[:, occupied].mean(axis=1), entropy)


def _assign(agreement: Array) -> tuple[NDArray[np.intp], Array]:
    """Best assignment (draws, m) of each agreement matrix (draws, m, m), and its lead over the second best."""
    if agreement.shape[1] == 2:
        lead = agreement[:, 0, 0] + agreement[:, 1, 1] - agreement[:, 0, 1] - agreement[:, 1, 0]
        return np.where(lead[:, None] >= 0, np.array([0, 1]), np.array([1, 0])), np.abs(lead)
    from scipy.optimize import linear_sum_assignment

    chosen = np.empty(agreement.shape[:2], dtype=np.intp)
    lead = np.empty(len(agreement))
    each = np.arange(agreement.shape[1])
    for s, matrix in enumerate(agreement):
        chosen[s] = linear_sum_assignment(matrix, maximize=True)[1]
        best, second = matrix[each, chosen[s]].sum(), -np.inf
        for k in each:  # the second best differs from the best in at least one pair
            without = matrix.copy()
            without[k, chosen[s, k]] -= 2.0 * len(each)
            second = max(second, without[linear_sum_assignment(without, maximize=True)].sum())
        lead[s] = best - second
    return chosen, lead


def permute(posterior: xr.Dataset, spec: Mixture, permutation: NDArray[np.intp]) -> xr.Dataset:
    """The draws with components in the pivot's order; every variable with a component axis moves.

    Parameters
    ----------
    posterior
        Variables with dims (chain, draw, ...).
    permutation
        (chain, draw, K).
    """
    found = dict(posterior.data_vars)
    every = np.arange(spec.n_components)
    axes = {"component": (every, every)}
    for group in spec.groups:
        own = np.array(group.components)
        axes[group.component_dim] = (own, _places(spec, own, np.arange(len(own))))
        for parameter, public in group.names.items():
            layout = group.layout[parameter]
            owners = np.flatnonzero(layout.owners)
            position = (
                np.array([np.argmax(layout.groups[owners] == g) for g in layout.groups]) if len(owners) else owners
            )
            if len(owners):
                axes[free_dim(public)] = (own[owners], _places(spec, own, position))
    for dim, (components, place) in axes.items():
        order = place[permutation[..., components]]
        for name, variable in found.items():
            if dim in variable.dims:
                found[name] = _take(variable, dim, order)
    return posterior.assign(found)


def _places(spec: Mixture, components: NDArray[np.intp], position: NDArray[np.intp]) -> NDArray[np.intp]:
    """Where along an axis (K,) the value of each component is; -1 for components that have none."""
    place = np.full(spec.n_components, -1)
    place[components] = position
    return place


def _take(variable: xr.DataArray, dim: str, order: Any) -> xr.DataArray:
    axes = ("chain", "draw", dim)
    moved = variable.transpose(*axes, ...)
    index = order.reshape(*order.shape, *(1,) * (moved.ndim - 3))
    taken = moved.copy(data=np.take_along_axis(moved.values, index, axis=2))
    return taken.transpose(*variable.dims)
