"""Is the estimate where the posterior is, as wide as it is, and how much of the answer is the prior?"""

from __future__ import annotations

import numpy as np

from ..diagnostics import ess_bulk
from ..evidence import Evidence
from ..outcome import Check, CheckStatus

__all__ = ["location", "prior_pull", "scale", "z_scores"]


def z_scores(evidence: Evidence) -> np.ndarray:
    """(MLE - posterior mean) / posterior sd per scalar (m,), on the unconstrained scale; NaN at a boundary."""
    draws = evidence.draw_marginals.reshape(-1, evidence.draw_marginals.shape[-1])
    with np.errstate(invalid="ignore", divide="ignore"):
        z = (evidence.scalars.marginal(evidence.mle.fit.point) - draws.mean(axis=0)) / draws.std(axis=0, ddof=1)
    return np.where(np.isfinite(z), z, np.nan)


def location(evidence: Evidence) -> Check:
    """z per parameter and D^2 / p between MLE and posterior mean; never against chi-square: an estimate is a centre, not a draw."""
    question = "is the estimate where the posterior is?"
    if evidence.draws is None:
        return Check("location", question, CheckStatus.NOT_APPLICABLE, sentence="There are no draws.")
    z = z_scores(evidence)
    if np.all(np.isnan(z)):
        return Check("location", question, CheckStatus.NOT_APPLICABLE, sentence="Every parameter is at a boundary.")
    worst = int(np.nanargmax(np.abs(z)))
    distance = _squared_distance(evidence)
    mcse = 1.0 / np.sqrt(ess_bulk(evidence.draw_marginals[..., worst]))
    numbers = {
        "largest |z|": abs(float(z[worst])),
        "of": evidence.scalars.labels[worst],
        "D^2 / p": distance,
        "MCSE of z": mcse,
    }
    value = abs(float(z[worst]))
    text = f"{evidence.scalars.labels[worst]} is {value:.2f} posterior sds from the posterior mean (D^2 / p = {distance:.2f})"
    if value <= 1.0 + 2 * mcse and distance <= 0.25 + 2 * mcse:
        return Check(
            "location",
            question,
            CheckStatus.PASS,
            numbers,
            f"At most {value:.2f} posterior sds apart ({numbers['of']}), D^2 / p = {distance:.3f}.",
        )
    status = CheckStatus.FAIL if value > 2.0 + 2 * mcse or distance > 1.0 + 2 * mcse else CheckStatus.WARN
    return Check(
        "location",
        question,
        status,
        numbers,
        f"{text}.",
        "look at check.plot() for a skewed or second mode, and at the prior pull",
    )


def _squared_distance(evidence: Evidence) -> float:
    """Squared Mahalanobis distance of MLE and posterior mean in free coordinates, per coordinate."""
    assert evidence.draws is not None
    coordinates, program = evidence.mle.curvature.coordinates, evidence.mle.program
    if not coordinates.size:
        return 0.0
    picked = evidence.draws.thinned(2000)
    points = np.stack(
        [coordinates.vector(program.to_standard(evidence.draws.params(evidence.resolved, int(i)))) for i in picked]
    )
    gap = coordinates.vector(evidence.mle.p) - points.mean(axis=0)
    spread = np.cov(points.T).reshape(len(gap), len(gap))
    return float(gap @ np.linalg.lstsq(spread, gap, rcond=1e-12)[0]) / len(gap)


def scale(evidence: Evidence) -> Check:
    """Ratio of standard errors to posterior sds on the unconstrained scale."""
    question = "do standard errors match posterior sds?"
    if evidence.draws is None or not evidence.mle.curvature.is_maximum:
        return Check(
            "scale",
            question,
            CheckStatus.NOT_APPLICABLE,
            sentence="There are no standard errors or no draws to compare.",
        )
    draws = evidence.draw_marginals.reshape(-1, evidence.draw_marginals.shape[-1])
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = evidence.standard_errors[1] / draws.std(axis=0, ddof=1)
    if np.all(np.isnan(ratio)):
        return Check("scale", question, CheckStatus.NOT_APPLICABLE, sentence="Every parameter is at a boundary.")
    worst = int(np.nanargmax(np.abs(np.log(ratio))))
    value = float(ratio[worst])
    numbers = {
        "smallest ratio": float(np.nanmin(ratio)),
        "largest ratio": float(np.nanmax(ratio)),
        "of": evidence.scalars.labels[worst],
    }
    span = f"{np.nanmin(ratio):.2f} to {np.nanmax(ratio):.2f}"
    if 0.8 <= value <= 1.25:
        return Check("scale", question, CheckStatus.PASS, numbers, f"Standard error over posterior sd from {span}.")
    status = CheckStatus.WARN if 0.5 <= value <= 2.0 else CheckStatus.FAIL
    sentence = f"Standard error over posterior sd is {value:.2f} for {evidence.scalars.labels[worst]} (all: {span})."
    return Check(
        "scale",
        question,
        status,
        numbers,
        sentence,
        "trust the posterior intervals: the likelihood is not quadratic at this sample size",
    )


def prior_pull(evidence: Evidence) -> Check:
    """|MAP - MLE| in standard errors, on the unconstrained scale."""
    question = "how much of the answer is the prior?"
    if evidence.map is None or not evidence.mle.curvature.is_maximum:
        reason = (
            "The posterior density has no interior mode."
            if evidence.map is None
            else "There are no standard errors to measure by."
        )
        return Check("prior pull", question, CheckStatus.NOT_APPLICABLE, sentence=reason)
    with np.errstate(invalid="ignore"):  # both on one edge: infinity less infinity
        gap = evidence.scalars.marginal(evidence.map.fit.point) - evidence.scalars.marginal(evidence.mle.fit.point)
    with np.errstate(invalid="ignore"):
        pull = np.abs(gap) / evidence.standard_errors[1]
    if np.all(np.isnan(pull)):
        return Check("prior pull", question, CheckStatus.NOT_APPLICABLE, sentence="Every parameter is at a boundary.")
    worst = int(np.nanargmax(pull))
    value, label = float(pull[worst]), evidence.scalars.labels[worst]
    numbers = {"largest pull": value, "of": label}
    if value <= 0.5:
        return Check(
            "prior pull",
            question,
            CheckStatus.PASS,
            numbers,
            f"The prior moves {label} most, by {value:.2f} standard errors.",
        )
    sentence = f"The prior pulls {label} by {value:.2f} standard errors."
    status = CheckStatus.WARN if value <= 2.0 else CheckStatus.FAIL
    return Check(
        "prior pull",
        question,
        status,
        numbers,
        sentence,
        "state the prior with the result, or weaken it (spec.resolve(data) shows its numbers)",
    )
