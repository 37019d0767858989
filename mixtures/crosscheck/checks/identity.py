"""Do both programs describe the same model?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...bayes.op import RowMixture
from ...em.program import Params, Program
from ..evidence import Evidence
from ..outcome import Check, CheckStatus

__all__ = ["density_identity"]

TOLERANCE = 1e-8
QUESTION = "do both programs describe the same model?"


def density_identity(evidence: Evidence) -> Check:
    """NumPy program and Op each against PyMC's own distributions, per row and for the log prior with its constants."""
    worst = {"rows, NumPy": 0.0, "rows, Op": 0.0, "log prior": 0.0}
    where = dict.fromkeys(worst, "")
    op, rows = RowMixture.of(evidence.resolved, evidence.rows.values), evidence.rows
    program = evidence.mle.program
    count = 0
    for place, p in _points(evidence):
        count += 1
        standard = program.to_standard(p)
        reference = evidence.reference.evaluate(p)
        arrays = [
            theta[q.name]
            for g, theta in zip(evidence.resolved.groups, p.thetas, strict=True)
            for q in g.family.parameters
        ]
        found = {
            "rows, NumPy": _gap(_row_log_density(program, p), reference.rows),
            "rows, Op": _gap(
                op.evaluate(rows.values, np.ones(len(rows.weights)), p.weights, *arrays)[0], reference.rows
            ),
            "log prior": _gap(program.log_prior_data_units(standard), reference.log_prior),
        }
        for name, gap in found.items():
            if not gap <= worst[name]:
                worst[name], where[name] = gap, place
    bad = [name for name, gap in worst.items() if not gap <= TOLERANCE]
    numbers = {**worst, "points": count, "tolerance": TOLERANCE}
    if not bad:
        return Check(
            "density identity",
            QUESTION,
            CheckStatus.PASS,
            numbers,
            f"Largest relative difference {max(worst.values()):.1e} over {count} points, rows and log prior.",
        )
    first = bad[0]
    names = (
        "the log-prior"
        if bad == ["log prior"]
        else "the row log densities"
        if "log prior" not in bad
        else "row log densities and log-prior"
    )
    return Check(
        "density identity",
        QUESTION,
        CheckStatus.FAIL,
        numbers,
        f"The programs differ in {names}: {first} by {worst[first]:.2g} relative, {where[first]}.",
        "compare the priors of both sides, spec.resolve(data) against the specification stored with the posterior"
        if bad == ["log prior"]
        else "mixtures.testing.check_family on each block",
    )


def _gap(ours: object, theirs: object) -> float:
    """Largest |ours - theirs| / max(1, |theirs|); equal infinities agree, NaN never does."""
    a, b = np.atleast_1d(np.asarray(ours, dtype=float)), np.atleast_1d(np.asarray(theirs, dtype=float))
    same = (a == b) | (np.isneginf(a) & np.isneginf(b))
    with np.errstate(invalid="ignore"):
        gap = np.where(same, 0.0, np.abs(a - b) / np.maximum(1.0, np.abs(b)))
    return float(np.max(np.where(np.isnan(gap), np.inf, gap)))


def _row_log_density(program: Program, p: Params) -> np.ndarray:
    return program.row_log_likelihood(program.to_standard(p))


def _points(evidence: Evidence) -> Iterator[tuple[str, Params]]:
    """Estimates, 10 points 1 to 3 standard errors around each side's, 10 posterior draws and 5 prior draws, in data units."""
    program = evidence.mle.program
    for name, estimate in evidence.estimates:
        yield f"at the {name}", estimate.fit.params
    for p in evidence.mle.curvature.points_around(evidence.rng, 10):
        yield "near the MLE", program.to_data(p)
    if evidence.draws is not None:
        for i in evidence.rng.choice(evidence.draws.count, size=min(10, evidence.draws.count), replace=False):
            yield f"at posterior draw {i}", evidence.draws.params(evidence.resolved, int(i))
    for _ in range(5):
        yield "at a prior draw", program.to_data(program.prior_draw(evidence.rng))
