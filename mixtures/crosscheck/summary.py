"""The cross-check as text."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np

from ..em.status import Status
from ..text import missing_cells, number, table

if TYPE_CHECKING:
    from .check import CrossCheck

__all__ = ["check_summary", "check_table"]

_MARKS = {"pass": "ok", "warn": "warn", "fail": "FAIL", "not applicable": "-"}


def check_summary(check: CrossCheck) -> str:
    """The cross-check as text: verdict, checks, table."""
    lines = [
        f"verdict: {check.verdict.word}",
        *textwrap.wrap(check.verdict.sentence, 110),
        "",
        f"{check.specification!r}",
    ]
    weighting = (
        ""
        if check.mle.weighting != "fractional"
        else " (fractional weights: a pseudo-likelihood, standard errors and posterior sds are naive)"
    )
    rows = f"{check.mle.n_rows:g} rows{weighting}{missing_cells(check.mle)}"
    height = "log-likelihood of the highest start, which collapsed," if _collapsed(check) else "maximum log-likelihood"
    lines += [f"{rows}; {height} {check.mle.log_likelihood:.5f}", ""]
    for one in check.checks:
        head = f"{_MARKS[one.status.value]:>4}  {one.name:<17}"
        lines += textwrap.wrap(one.sentence, 110, initial_indent=head, subsequent_indent=" " * len(head))
        if one.next_step and one.status.value in ("warn", "fail"):
            lines += textwrap.wrap(
                f"next: {one.next_step}", 110, initial_indent=" " * len(head), subsequent_indent=" " * len(head)
            )
    lines += ["", check_table(check)]
    lines.append(
        f"components ordered {check.resolved.ordering()}; intervals are 95 % equal-tailed; z on the unconstrained scale"
    )
    return "\n".join(lines)


def _collapsed(check: CrossCheck) -> bool:
    return check.mle.status is Status.COLLAPSING


def check_table(check: CrossCheck) -> str:
    """The table of scalar parameters."""
    frame = check.table
    if "mean" not in frame:
        return table(["parameter", "MLE"], [[label, number(row["mle"])] for label, row in frame.iterrows()])
    header = ["parameter", "MLE", "s.e.", "MAP", "mean", "sd", "2.5 %", "97.5 %", "MCSE", "ESS", "R-hat", "z"]
    rows = []
    for label, row in frame.iterrows():
        wide = [number(row[name]) for name in ("mle",)] + [
            number(row["se"], 3),
            number(row["map"]),
            number(row["mean"]),
            number(row["sd"], 3),
        ]
        rest = [
            number(row["lower"]),
            number(row["upper"]),
            number(row["mcse"], 2),
            f"{row['ess']:.0f}",
            f"{row['rhat']:.3f}",
            "" if np.isnan(row["z"]) else f"{row['z']:+.2f}",
        ]
        rows.append([str(label), *wide, *rest])
    return table(header, rows)
