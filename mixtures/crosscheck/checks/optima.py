"""Is there something better than the estimate, and do other optima hold posterior mass?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...em.run import Optimum
from ..evidence import Estimate, Evidence
from ..outcome import Check, CheckStatus

__all__ = ["Polished", "dominance", "modes", "polish"]

HIGHER = 1e-6
POLISHED = 21
MODE_DRAWS = 60
ELSEWHERE = 0.05


@dataclass(frozen=True)
class Polished:
    """Optima reached by EM from posterior draws: sound and nearly singular ones, and how many draws led to each."""

    sound: tuple[Optimum, ...]
    counts: tuple[int, ...]
    singular: tuple[Optimum, ...]
    tried: int

    def better(self, estimate: Estimate) -> Optimum | None:
        """The highest sound optimum that lies above the estimate."""
        higher = [o for o in self.sound if o.evaluation.objective > estimate.optimum.evaluation.objective + HIGHER]
        return max(higher, key=lambda o: o.evaluation.objective) if higher else None


def polish(evidence: Evidence, estimate: Estimate, draws: np.ndarray) -> Polished:
    """Climb with the estimate's own program from those draws."""
    assert evidence.draws is not None
    sound: list[Optimum] = []
    counts: list[int] = []
    singular: list[Optimum] = []
    for i in draws:
        start = estimate.program.to_standard(evidence.draws.params(evidence.resolved, int(i)))
        found = estimate.climb_from(start)
        if found is None:
            continue
        if found.kind in ("nearly singular", "collapsing"):
            singular.append(found)
            continue
        for position, known in enumerate(sound):
            if abs(known.evaluation.objective - found.evaluation.objective) <= HIGHER * max(
                1.0, 1e-3 * abs(known.evaluation.objective)
            ):
                counts[position] += 1
                break
        else:
            sound.append(found)
            counts.append(1)
    return Polished(tuple(sound), tuple(counts), tuple(singular), len(draws))


def polished_for_dominance(evidence: Evidence, estimate: Estimate) -> Polished:
    """From the best draw and 20 others."""
    assert evidence.draws is not None
    best = int(np.argmax(evidence.draw_log_likelihood))
    others = evidence.rng.choice(evidence.draws.count, size=min(POLISHED - 1, evidence.draws.count), replace=False)
    return polish(evidence, estimate, np.unique(np.append(others, best)))


def dominance(evidence: Evidence) -> Check:
    """Draws above the estimate, and optima that EM reaches from draws: one that is higher by 1e-6 fails."""
    question = "is there something better?"
    if evidence.draws is None:
        return Check("dominance", question, CheckStatus.NOT_APPLICABLE, sentence="There are no draws.")
    above = evidence.draw_log_likelihood - evidence.mle.fit.log_likelihood
    numbers: dict[str, float] = {"draws above the MLE": int(np.sum(above > HIGHER)), "largest gap": float(above.max())}
    found = polished_for_dominance(evidence, evidence.mle)
    numbers["climbs"] = found.tried
    numbers["nearly singular optima reached"] = len(found.singular)
    better = found.better(evidence.mle)
    replaced = evidence.mle.replaced
    if replaced is not None:
        gap = evidence.mle.fit.log_likelihood - replaced.log_likelihood
        weights = _weights(evidence.mle.fit.point["weights"])
        sentence = (
            f"The estimate at {replaced.log_likelihood:.4f} was not the best: EM from posterior draws reached {evidence.mle.fit.log_likelihood:.4f} "
            f"(weights {weights}), higher by {gap:.4g}, which replaces it here."
        )
        status = CheckStatus.FAIL if evidence.mle.given else CheckStatus.WARN
        return Check(
            "dominance",
            question,
            status,
            {**numbers, "replaced log-likelihood": replaced.log_likelihood},
            sentence,
            "mx.fit(spec, data, starts=200)",
        )
    if better is not None:
        value = better.evaluation.log_likelihood - evidence.mle.program.log_scale
        sentence = (
            f"EM from posterior draws reached a higher optimum, {value:.4f} (weights {_weights(better.p.weights)})."
        )
        return Check(
            "dominance",
            question,
            CheckStatus.FAIL,
            {**numbers, "better log-likelihood": value},
            sentence,
            "mx.fit(spec, data, starts=200)",
        )
    singular = (
        f" {len(found.singular)} climbs ended in nearly singular optima, which are not candidates."
        if found.singular
        else ""
    )
    return Check(
        "dominance",
        question,
        CheckStatus.PASS,
        numbers,
        f"No draw and no climb from {found.tried} draws lies above the estimate.{singular}",
    )


def modes(evidence: Evidence) -> Check:
    """Optima of the posterior density reached from evenly spaced draws, and the share of draws that lead to each.

    References
    ----------
    Yao, Vehtari & Gelman (2022), Stacking for non-mixing Bayesian computations, JMLR 23.
    """
    question = "do other optima hold posterior mass?"
    if evidence.draws is None:
        return Check("modes", question, CheckStatus.NOT_APPLICABLE, sentence="There are no draws.")
    estimate = evidence.map or evidence.mle
    found = polish(evidence, estimate, evidence.draws.thinned(MODE_DRAWS))
    target = estimate.optimum.evaluation.objective
    offset = estimate.program.objective_offset(estimate.p)
    here = sum(
        c
        for o, c in zip(found.sound, found.counts, strict=True)
        if abs(o.evaluation.objective - target) <= HIGHER * max(1.0, 1e-3 * abs(target))
    )
    total = sum(found.counts) + len(found.singular)
    share = 1.0 - here / total if total else 0.0
    order = np.argsort([-c for c in found.counts])
    listing = [
        {
            "share": found.counts[i] / total,
            "objective": found.sound[i].evaluation.objective + offset,
            "log_likelihood": found.sound[i].evaluation.log_likelihood - estimate.program.log_scale,
            "weights": [round(float(w), 4) for w in found.sound[i].p.weights],
        }
        for i in order
    ]
    numbers = {"share elsewhere": share, "optima": listing, "climbs": total}
    if share <= ELSEWHERE:
        return Check(
            "modes",
            question,
            CheckStatus.PASS,
            numbers,
            f"{100 * (1 - share):.0f} % of {total} draws lead to the estimate's mode.",
        )
    other = next(
        (row for row in listing if abs(row["objective"] - offset - target) > HIGHER * max(1.0, 1e-3 * abs(target))),
        None,
    )
    where = (
        f"; the largest other optimum has log-likelihood {other['log_likelihood']:.3f} (weights {_weights(other['weights'])})"
        if other
        else ""
    )
    return Check(
        "modes",
        question,
        CheckStatus.FAIL,
        numbers,
        f"{100 * share:.0f} % of the posterior mass leads to optima other than the estimate's{where}.",
        "report both optima, use fewer components, or say with an informative prior which one is meant",
    )


def _weights(weights: object) -> str:
    return " / ".join(f"{w:.4f}" for w in np.asarray(weights, dtype=float))
