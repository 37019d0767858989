"""Relabelling: each draw's components get the labels of the EM estimate's, within exchangeable groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ..families.base import Array, Theta
from ..kernels.threads import thread_count
from ..matching import match_components, shares_of
from ..spec import Mixture, free_dim, free_entry_dim
from .op import allocated, joints_of_draws, parts_of

__all__ = ["Relabelling", "permute", "relabel"]


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
    shares = shares_of(pivot, weights)
    agreement = np.empty((len(draws), spec.n_components, spec.n_components))
    entropy = np.empty(len(draws))
    total = weights.sum()

    def match(some: slice, joint: Array) -> None:
        with np.errstate(all="ignore"):
            value, responsibilities = allocated(joint)
            surprise = responsibilities * (value[:, None] - joint)
        if not np.isfinite(joint).all():
            surprise = np.where(responsibilities > 0, surprise, 0.0)
        agreement[some] = shares @ responsibilities.transpose(0, 2, 1)
        entropy[some] = surprise.sum(axis=1) @ weights / total

    joints_of_draws(parts, columns, draws, match, thread_count())
    return _matched(spec, agreement, mass, entropy)


def _matched(spec: Mixture, agreement: Array, mass: Array, entropy: Array) -> Relabelling:
    """Best matchings for given agreement (draws, K, K): rows are the pivot's components, columns the draw's."""
    permutation, margin = match_components(spec, agreement)
    confidence = np.clip(0.5 * margin, 0.0, 1.0)
    taken = np.take_along_axis(agreement, permutation[:, :, None], axis=2)[:, :, 0]
    occupied = mass > 0
    return Relabelling(permutation, confidence, taken[:, occupied].mean(axis=1), entropy)


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
            if len(owners) and not layout.is_partial:
                axes[free_dim(public)] = (own[owners], _places(spec, own, position))
    for dim, (components, place) in axes.items():
        order = place[permutation[..., components]]
        for name, variable in found.items():
            if dim in variable.dims:
                found[name] = _take(variable, dim, order)
    for group in spec.groups:
        for parameter, public in group.names.items():
            layout = group.layout[parameter]
            entry = free_entry_dim(public)
            partial = [name for name, variable in found.items() if entry in variable.dims]
            for name in partial:
                whole = found[public].transpose("chain", "draw", ...).values
                dims = ("chain", "draw", entry)
                found[name] = found[name].transpose(*dims).copy(data=whole[:, :, layout.estimated])
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
