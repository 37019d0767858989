"""Weights and probabilities at 0 and 1: going onto an edge that the climb runs to, and leaving one where it does not belong."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from ..domains import Domain
from ..families.base import Array
from .methods import Run
from .program import Params

__all__ = ["leave_edges", "snap_to_edges"]

EDGE = 1e-6
"""Probabilities and weights this close to an edge are tried at the edge, all at once."""
NEAR_EDGE = 0.05
"""Probabilities this close to an edge are tried there one by one: EM alone may creep towards it for thousands of passes."""
NUDGE = 1e-4
"""How far inside a value on an edge is tried, to see whether it belongs there."""

Move = Callable[[Domain, Array], Array]


def snap_to_edges(run: Run) -> None:
    """Put weights and probabilities that run to an edge onto it, where that does not lower the objective."""
    together = _all_at_edge(run)
    if together is not None:
        height = run.evaluation.objective
        _accept_above(run, together, height - 1e-14 * abs(height))  # rounding must not keep it off the edge
    for candidate in _single_moves(run, lambda domain, value: domain.nearest_edge(value, NEAR_EDGE)):
        _accept_above(run, candidate, run.evaluation.objective)


def leave_edges(run: Run) -> bool:
    """Move inside from every edge where the objective rises that way; whether there was one.

    The likelihood is concave in the weights and in one probability, so that a small step tells.
    """
    slack = 1e-12 * abs(run.evaluation.objective)
    left = [
        _accept_above(run, candidate, run.evaluation.objective + slack)
        for candidate in _single_moves(run, lambda domain, value: domain.nudge_inside(value, NUDGE))
    ]
    free = run.program.fixed_weights is None
    for k in np.flatnonzero((run.p.weights <= 0) & free):
        weights = (1.0 - NUDGE) * run.p.weights
        weights[k] = NUDGE
        left.append(_accept_above(run, Params(weights, run.p.thetas), run.evaluation.objective + slack))
    return any(left)


def _accept_above(run: Run, candidate: Params, height: float) -> bool:
    evaluation = run.evaluate(candidate)
    if evaluation.objective > height:
        run.accept(candidate, evaluation)
        return True
    return False


def _all_at_edge(run: Run) -> Params | None:
    """All weights and probabilities that are within `EDGE` of an edge put onto it; None where there are none."""
    p, weights = run.p, run.p.weights
    if run.program.fixed_weights is None and np.any((weights > 0) & (weights < EDGE)):
        weights = np.where(weights < EDGE, 0.0, weights)
        weights = weights / weights.sum()
    thetas, moved = [], weights is not p.weights
    for compiled, theta in zip(run.program.groups, p.thetas, strict=True):
        changed = dict(theta)
        for parameter in compiled.family.parameters:
            value = theta[parameter.name]
            snapped = np.where(compiled.layout[parameter.name].free, parameter.domain.nearest_edge(value, EDGE), value)
            if not np.array_equal(snapped, value):
                changed[parameter.name], moved = snapped, True
        thetas.append(changed)
    return Params(weights, tuple(thetas)) if moved else None


def _single_moves(run: Run, move: Move) -> Iterator[Params]:
    """The current point with one free scalar moved, for every scalar that `move` changes."""
    for g, compiled in enumerate(run.program.groups):
        for parameter in compiled.family.parameters:
            layout, value = compiled.layout[parameter.name], run.p.thetas[g][parameter.name]
            moved = move(parameter.domain, value)
            owned = layout.owners.reshape(-1, *(1,) * (value.ndim - 1))
            for component, *entry in np.argwhere((moved != value) & layout.free & owned):
                now = run.p.thetas[g][parameter.name].copy()
                one = parameter.domain.one_moved(value[component], moved[component], tuple(int(i) for i in entry))
                if np.array_equal(one, value[component]):
                    continue
                now[layout.groups == layout.groups[component]] = one
                theta = {**run.p.thetas[g], parameter.name: now}
                yield Params(run.p.weights, (*run.p.thetas[:g], theta, *run.p.thetas[g + 1 :]))
