"""Plain-text tables of results."""

from __future__ import annotations

import html
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .crosscheck.check import CrossCheck
    from .results import EMFit

__all__ = ["as_html", "check_summary", "fit_summary", "number", "table"]


def number(value: Any, digits: int = 5) -> str:
    """A number with that many significant digits, plain where that is readable."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ""
    if isinstance(value, str | bool):
        return str(value)
    if isinstance(value, int | np.integer):
        return str(int(value))
    value = float(value)
    if value == 0 or 1e-4 <= abs(value) < 1e7:
        decimals = digits - 1 - int(np.floor(np.log10(abs(value)))) if value else 0
        return f"{value:.{min(max(decimals, 0), 8)}f}"
    return f"{value:.{digits - 1}g}"


def table(header: list[str], rows: list[list[str]]) -> str:
    """Columns aligned to the right, the first to the left."""
    widths = [max(len(line[i]) for line in [header, *rows]) for i in range(len(header))]

    def line(cells: list[str]) -> str:
        return "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ).rstrip()

    return "\n".join([line(header), *map(line, rows)])


def as_html(text: str) -> str:
    """Text in a fixed-width block for notebooks."""
    return f"<pre style='line-height:1.25'>{html.escape(text)}</pre>"


def parameter_rows(fit: EMFit) -> list[list[str]]:
    """One row per scalar parameter, one column per component."""
    point, spec = fit.point, fit.resolved
    rows = [["weights", *[number(w) for w in point["weights"]]]]
    for group in spec.groups:
        for parameter in group.family.parameters:
            public = group.names[parameter.name]
            for entry in parameter.domain.entries(parameter.shape(len(group.columns))):
                label = f"{public}[{', '.join(group.family.columns[i] for i in entry)}]" if entry else public
                index: Any = (slice(None), *entry)
                cells = dict(zip(group.components, point[public][index], strict=True))
                rows.append([label, *[number(cells[k]) if k in cells else "" for k in range(spec.n_components)]])
    return rows


def fit_summary(fit: EMFit) -> str:
    """The fit as text."""
    name = {"mle": "maximum likelihood", "map": "maximum a posteriori"}[fit.estimate]
    lines = [
        f"{fit.specification!r}",
        f"{name} by {fit.method!r}, {fit.n_rows:g} rows, {fit.n_parameters()} free parameters",
        f"{fit.status.value}",
        f"log-likelihood {fit.log_likelihood:.5f}"
        + (f", log posterior {fit.log_posterior:.5f}" if fit.estimate == "map" else "")
        + f", AIC {fit.aic:.2f}"
        + (f", BIC {fit.bic:.2f}" if fit.weighting != "fractional" else ", BIC not defined with fractional weights"),
        "",
        table(["component", *map(str, range(fit.resolved.n_components))], parameter_rows(fit)),
        f"components ordered {fit.resolved.ordering()}",
        "",
        f"optima reached from {sum(r.count for r in fit.optima)} starts:",
        table(
            ["kind", "log-likelihood", "starts", "smallest eigenvalue", "weights"],
            [
                [
                    r.kind,
                    f"{r.log_likelihood:.4f}",
                    str(r.count),
                    number(r.smallest_eigenvalue, 2),
                    " ".join(f"{w:.4f}" for w in r.point["weights"]),
                ]
                for r in fit.optima
            ],
        ),
    ]
    return "\n".join(lines)


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
    lines += [f"{check.mle.n_rows:g} rows{weighting}; maximum log-likelihood {check.mle.log_likelihood:.5f}", ""]
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
