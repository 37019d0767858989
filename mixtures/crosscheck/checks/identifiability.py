"""Can the data tell the components apart?"""

from __future__ import annotations

from itertools import product

import numpy as np

from ...criteria import count_parameters
from ...em.program import Params, Program
from ...families.base import Layout
from ...spec import Mixture
from ..evidence import Evidence
from ..outcome import Check, CheckStatus

__all__ = ["from_specification", "identifiability"]

QUESTION = "can the data tell the components apart?"
DEGENERATE_SHARE = 0.05


def from_specification(spec: Mixture) -> Check:
    """What is known before any fitting.

    More free parameters than cell probabilities: proven not identified. One column that identifies weights and its own parameters by
    itself: identified where that column's parameters differ, because its K distributions are then linearly independent and leave the
    other columns' only one solution. Tripartitions with min(K, cells) summing to 2 K + 2: generically identified. Otherwise not proven.

    References
    ----------
    Blischke (1964), Estimating the parameters of mixtures of binomial distributions, JASA 59, 510-528, for a binomial column.
    Allman, Matias & Rhodes (2009), Annals of Statistics 37, 3099-3132, corollary 5. Yakowitz & Spragins (1968), Annals of Mathematical
    Statistics 39, 209-214, for Gaussian components.
    """
    cells = [group.family.identifiability_cells() for group in spec.groups]
    k = spec.n_components
    if k == 1:
        return Check(
            "identifiability", QUESTION, CheckStatus.PASS, {"proven": False}, "One component: nothing to tell apart."
        )
    if any(found is None for found in cells):
        return Check(
            "identifiability",
            QUESTION,
            CheckStatus.PASS,
            {"proven": False},
            "Not restricted by the specification: columns take many values.",
        )
    each = np.concatenate([np.asarray(found) for found in cells])
    outcomes, parameters = float(np.prod(each)) - 1.0, count_parameters(spec)
    numbers = {"parameters": parameters, "cell probabilities": outcomes}
    if parameters > outcomes:
        sentence = (
            f"{parameters} free parameters but only {outcomes:.0f} free cell probabilities: proven not identified."
        )
        return Check(
            "identifiability",
            QUESTION,
            CheckStatus.FAIL,
            {**numbers, "proven": True},
            sentence,
            "fewer components, more columns, or repeated measurements per row",
        )
    alone = _column_that_suffices(spec)
    if alone is not None:
        column, source = alone
        rest = " and, with it, the other columns" if len(each) > 1 else ""
        sentence = f"Identified where components differ in {column!r}, a column that suffices{rest} ({source})."
        return Check("identifiability", QUESTION, CheckStatus.PASS, {**numbers, "proven": False}, sentence)
    reach = _tripartition(each, k)
    if reach >= 2 * k + 2:
        sentence = f"Generically identified (Allman, Matias & Rhodes 2009: {reach} >= {2 * k + 2})."
        return Check("identifiability", QUESTION, CheckStatus.PASS, {**numbers, "proven": False}, sentence)
    sentence = f"Not proven identified: three groups of columns reach {reach}, {2 * k + 2} would suffice."
    return Check(
        "identifiability",
        QUESTION,
        CheckStatus.WARN,
        {**numbers, "proven": False},
        sentence,
        "more columns or fewer components",
    )


def _column_that_suffices(spec: Mixture) -> tuple[str, str] | None:
    """A column that identifies weights and its own parameters, which may differ in all components, and the source that proves it."""
    for group in spec.groups:
        enough = group.family.identified_components()
        if enough is None or not group.covers_all:
            continue
        for j, column in enumerate(group.family.columns):
            if enough[j] >= spec.n_components and any(_may_differ(each, j) for each in group.layout.values()):
                return column, group.family.identified_by
    return None


def _may_differ(layout: Layout, column: int) -> bool:
    """Whether the specification makes no two components alike in that column."""
    free, fixed, groups = layout.free[:, column], layout.fixed[:, column], layout.groups
    alike = (groups[:, None] == groups) | (~free[:, None] & ~free & (fixed[:, None] == fixed))
    return not np.any(alike & ~np.eye(len(groups), dtype=bool))


def _tripartition(cells: np.ndarray, k: int) -> int:
    """Largest sum over three groups of columns of min(K, number of cells), by search for few columns and balancing for many."""
    if len(cells) <= 9:
        best = 0
        for groups in product(range(3), repeat=len(cells)):
            sizes = [min(k, int(np.prod(cells[np.array(groups) == g]))) for g in range(3)]
            best = max(best, sum(sizes))
        return best
    totals = [1.0, 1.0, 1.0]
    for count in sorted(cells, reverse=True):
        totals[int(np.argmin(totals))] *= count
    return int(sum(min(k, total) for total in totals))


def identifiability(evidence: Evidence) -> Check:
    """From the specification, then from the draws: components that are empty or duplicates of another."""
    first = from_specification(evidence.resolved)
    if first.status is CheckStatus.FAIL or evidence.draws is None or evidence.resolved.n_components == 1:
        return first
    program = evidence.mle.program
    picked = evidence.draws.thinned(200)
    empty, duplicate = 0, 0
    for i in picked:
        p = program.to_standard(evidence.draws.params(evidence.resolved, int(i)))
        empty += bool(np.any(p.weights * program.total < 1.0)) and evidence.resolved.fixed_weights is None
        duplicate += _has_duplicate(program, p)
    numbers = {
        **first.numbers,
        "draws with an empty component": empty / len(picked),
        "draws with a duplicate": duplicate / len(picked),
    }
    worst, what = max((empty, "an empty component"), (duplicate, "two components that coincide"))
    if worst / len(picked) > DEGENERATE_SHARE:
        sentence = f"{100 * worst / len(picked):.0f} % of the draws have {what}: the data support fewer components."
        return Check(
            "identifiability", QUESTION, CheckStatus.FAIL, numbers, sentence, "fit with a smaller n_components"
        )
    return Check(
        "identifiability",
        QUESTION,
        first.status,
        numbers,
        f"{first.sentence} {100 * worst / len(picked):.1f} % of the draws have empty or coinciding components.",
        first.next_step,
    )


def _has_duplicate(program: Program, p: Params) -> bool:
    """Whether two components give every row nearly the same density (log ratio within 0.1)."""
    joint = program.log_joint(p)[:2000]
    with np.errstate(invalid="ignore", divide="ignore"):
        density = joint - np.log(p.weights)
        for j in range(density.shape[1]):
            for k in range(j):
                if np.nanmax(np.abs(density[:, j] - density[:, k])) < 0.1:
                    return True
    return False
