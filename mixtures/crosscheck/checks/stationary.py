"""Is the estimate a stationary point of PyMC's own density, and a maximum?"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...em.coordinates import newton_decrement
from ...em.program import Params
from ...families.base import Array, Theta
from ..evidence import Estimate, Evidence
from ..outcome import Check, CheckStatus

__all__ = ["curvature", "stationarity"]

PASS, WARN = 1e-4, 1e-3
NUDGE = 1e-9
"""How far inside the edge one-sided slopes are taken."""
QUESTION = "is the estimate a stationary point of PyMC's own density?"


def stationarity(evidence: Evidence) -> Check:
    """lambda = sqrt(g' H^-1 g) from PyMC's gradient at MLE (log-likelihood) and MAP (plus log prior), in standard errors."""
    numbers: dict[str, float] = {}
    broken: list[str] = []
    for name, estimate in evidence.estimates:
        numbers[f"lambda of the {name}"] = _decrement(evidence, estimate)
        broken += [f"{name}: {problem}" for problem in _edge_problems(evidence, estimate)]
    worst = max(numbers, key=lambda key: numbers[key])
    value = numbers[worst]
    if value <= PASS and not broken:
        text = ", ".join(f"{key} {number:.1e}" for key, number in numbers.items())
        return Check(
            "stationarity",
            QUESTION,
            CheckStatus.PASS,
            numbers,
            f"PyMC's gradient vanishes there: {text} standard errors.",
        )
    status = CheckStatus.WARN if value <= WARN and not broken else CheckStatus.FAIL
    distance = (
        "no maximum is near (the information is not positive definite)"
        if not np.isfinite(value)
        else f"{worst} is {value:.2g} standard errors"
    )
    sentence = (
        f"The estimate is not stationary: {distance}."
        if not broken
        else f"A boundary condition is broken, {broken[0]}."
    )
    return Check(
        "stationarity",
        QUESTION,
        status,
        numbers,
        sentence,
        "mx.fit(spec, data), which climbs on until lambda is below 1e-6",
    )


def _decrement(evidence: Evidence, estimate: Estimate) -> float:
    gradient = _reference_gradient(evidence, estimate, estimate.p)
    return newton_decrement(gradient, estimate.curvature.information)[0]


def _reference_pieces(evidence: Evidence, estimate: Estimate, p: Params) -> tuple[Array, list[Theta]]:
    """PyMC's gradient in the weights and, standardised, in every parameter."""
    program = estimate.program
    found = evidence.reference.evaluate(program.to_data(p))
    weights, thetas = found.likelihood_gradient
    if program.is_map:
        prior_weights, prior = found.prior_gradient
        weights = weights + prior_weights
        thetas = [{name: own[name] + other[name] for name in own} for own, other in zip(thetas, prior, strict=True)]
    return weights, program.gradient_to_standard(thetas)


def _reference_gradient(evidence: Evidence, estimate: Estimate, p: Params) -> Array:
    weights, thetas = _reference_pieces(evidence, estimate, p)
    return estimate.curvature.coordinates.pull(p, weights, thetas)


def _edge_problems(evidence: Evidence, estimate: Estimate) -> list[str]:
    """Where a weight is 0 or a probability 0 or 1: slopes, taken just inside, that point back into the parameter space."""
    program, p = estimate.program, estimate.p
    inside, edges = _nudged(estimate, p)
    if not edges:
        return []
    weights, thetas = _reference_pieces(evidence, estimate, inside)
    thetas = [
        {q.name: q.domain.tangent(at[q.name], slopes[q.name]) for q in compiled.family.parameters}
        for compiled, at, slopes in zip(program.groups, inside.thetas, thetas, strict=True)
    ]
    slack = 1e-6 * program.total
    problems = []
    for kind, place, sign in edges:
        if kind == "weights":
            slope = float(weights[place[0]] - program.total)
        else:
            slope = sign * float(thetas[kind[0]][kind[1]][place])
        if slope > slack:
            label = "weights" if kind == "weights" else program.groups[kind[0]].group.names[kind[1]]
            problems.append(
                f"{label}{list(place)} is at its edge although the density rises inwards (slope {slope:.3g})"
            )
    return problems


def _nudged(estimate: Estimate, p: Params) -> tuple[Params, list[Any]]:
    """The point moved just inside all edges, and where it was moved: kind, index, sign of the inward direction."""
    edges: list[Any] = []
    weights = p.weights
    empty = np.flatnonzero(weights <= 0) if estimate.program.fixed_weights is None else np.zeros(0, dtype=np.intp)
    if len(empty):
        weights = np.where(weights <= 0, NUDGE, weights)
        weights = weights / weights.sum()
        edges += [("weights", (int(k),), 1.0) for k in empty]
    thetas = []
    for g, (compiled, theta) in enumerate(zip(estimate.program.groups, p.thetas, strict=True)):
        moved = dict(theta)
        for parameter in compiled.family.parameters:
            value = theta[parameter.name]
            inner = parameter.domain.nudge_inside(value, NUDGE)
            for index in np.argwhere((inner != value) & compiled.layout[parameter.name].free):
                place = tuple(int(i) for i in index)
                own = value[place[0]]
                if np.array_equal(parameter.domain.one_moved(own, inner[place[0]], place[1:]), own):
                    continue  # it gave way to another entry
                if p.weights[compiled.components[place[0]]] > 0:
                    edges.append(((g, parameter.name), place, float(np.sign(inner[place] - value[place]))))
            moved[parameter.name] = inner
        thetas.append(moved)
    return p._replace(weights=weights, thetas=tuple(thetas)), edges


def curvature(evidence: Evidence) -> Check:
    """Eigenvalues of the observed information, scaled to unit diagonal: below 0 a saddle, near 0 a ridge."""
    question = "a maximum, not a saddle or a ridge?"
    found = evidence.mle.curvature
    numbers = {"smallest eigenvalue": found.smallest, "coordinates": found.coordinates.size}
    if found.is_maximum:
        sentence = f"The information is positive definite (smallest scaled eigenvalue {found.smallest:.2g})."
        status = CheckStatus.PASS
        if found.smallest < 1e-4:
            status = CheckStatus.WARN
            sentence = (
                f"The information is almost singular ({found.smallest:.2g}); flattest along {found.flat_direction()}."
            )
        return Check(
            "curvature",
            question,
            status,
            numbers,
            sentence,
            "" if status is CheckStatus.PASS else "an informative prior or fewer components",
        )
    kind = "a saddle" if found.smallest < -1e-7 else "a ridge: the information is singular"
    return Check(
        "curvature",
        question,
        CheckStatus.FAIL,
        numbers,
        f"The estimate sits on {kind}; the flat direction moves {found.flat_direction()}.",
        "a smaller n_components or an informative prior",
    )
