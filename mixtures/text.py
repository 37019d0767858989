"""Plain-text tables of results."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import numpy as np

from .domains import Parameter
from .families.base import Array

if TYPE_CHECKING:
    from .results import EMFit
    from .spec import Group

__all__ = ["as_html", "edges", "fit_summary", "number", "table"]

MOST_EDGES = 8
"""Estimates on an edge of their range that a summary names."""


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
    """One row per scalar parameter, one column per component; behind them what families derive from them."""
    point, spec = fit.point, fit.resolved
    rows = [["weights", *[number(w) for w in point["weights"]]]]
    derived = []
    for group in spec.groups:
        theta = {name: point[public] for name, public in group.names.items()}
        for parameter in group.family.parameters:
            rows += _rows_of(fit, group, parameter, group.names[parameter.name], theta[parameter.name])
        for quantity, value in group.family.derived(theta):
            own, public = next(iter(group.names.items()))
            derived += _rows_of(fit, group, quantity, public.removesuffix(own) + quantity.name, value)
    return rows + [[f"({label})", *cells] for label, *cells in derived]


def _rows_of(fit: EMFit, group: Group, parameter: Parameter, public: str, value: Array) -> list[list[str]]:
    rows = []
    for entry in parameter.domain.entries(parameter.shape(len(group.columns))):
        index: Any = (slice(None), *entry)
        cells = dict(zip(group.components, value[index], strict=True))
        label = _label(public, parameter.place(group.family.columns, entry))
        rows.append([label, *[number(cells[k]) if k in cells else "" for k in range(fit.resolved.n_components)]])
    return rows


def _label(public: str, place: list[str]) -> str:
    return f"{public}[{', '.join(place)}]" if place else public


def edges(fit: EMFit) -> list[str]:
    """Estimates on an edge of their range, e.g. `df[0] = 200 (the upper limit: practically normal)`."""
    found = []
    for group in fit.resolved.groups:
        for parameter in group.family.parameters:
            public, domain = group.names[parameter.name], parameter.domain
            value, free = fit.point[public], group.layout[parameter.name].free
            on, entries = domain.at_boundary(value), domain.entries(parameter.shape(len(group.columns)))
            for j, i in np.argwhere(on) if on.shape[1] == len(entries) else ():
                entry = (int(j), *entries[i])
                if free[entry]:
                    place = [str(group.components[j]), *parameter.place(group.family.columns, entries[i])]
                    words = domain.edge_words(float(value[entry]))
                    found.append(f"{_label(public, place)} = {value[entry]:g}" + (f" ({words})" if words else ""))
    return [*found[:MOST_EDGES], f"and {len(found) - MOST_EDGES} more"] if len(found) > MOST_EDGES else found


def missing_cells(fit: EMFit) -> str:
    """How many cells are missing, in words; nothing where none is."""
    return f" ({fit.n_missing:g} missing cells, taken as missing at random)" if fit.n_missing else ""


def fit_summary(fit: EMFit) -> str:
    """The fit as text."""
    name = {"mle": "maximum likelihood", "map": "maximum a posteriori"}[fit.estimate]
    on_edge = edges(fit)
    lines = [
        f"{fit.specification!r}",
        f"{name} by {fit.method!r}, {fit.n_rows:g} rows{missing_cells(fit)}, {fit.n_parameters()} free parameters",
        f"{fit.status.value}",
        *([f"on an edge: {', '.join(on_edge)}"] if on_edge else []),
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
