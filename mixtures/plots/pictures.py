"""The two pictures: a cross-check, and a fit over its data."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import FigureBase

    from ..results import EMFit
    from ..spec import Mixture
    from .canvas import Picture
    from .forest import Scale
    from .panels import Panel

__all__ = ["plot_cross_check", "plot_fit"]

WIDTH, WIDE = 11.0, 16.0
"""Inches, for a forest of one and of two columns."""
PER_ROW = 3
"""Panels beside one another."""
PER_COLUMN = 46
"""Rows of the forest before it takes a second column."""
STYLE: dict[Any, Any] = {
    "text.parse_math": False,  # names of columns may hold a dollar sign
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}


def plot_cross_check(check: Any) -> Picture:
    """Draw a cross-check: the components over the data, and EM's marks over the posterior's intervals.

    Parameters
    ----------
    check
        A `CrossCheck`.

    Returns
    -------
    matplotlib.figure.Figure
        `figure.savefig(path)` writes it. Where the maximum likelihood fit collapsed, the components are those of the posterior mode.
    """
    import matplotlib

    from ..em.status import Status
    from .canvas import Picture
    from .forest import ROW_HEIGHT, Scale
    from .panels import panels
    from .scene import scenes

    spec, table = check.resolved, check.table
    sound = check.map is None or check.mle.status is not Status.COLLAPSING
    point = (check.mle if sound else check.map).point
    found = panels(scenes(spec, check.rows, point, _draws_of(check.posterior)), spec.n_components)
    columns = 1 if len(table) <= PER_COLUMN else 2
    forest_height = ROW_HEIGHT * math.ceil(len(table) / columns) + 0.8
    scale = Scale.of(table)
    with_forest = bool(np.isfinite(scale.unit).any())
    heights = [_height(found)] * bool(found) + [forest_height] * with_forest
    with matplotlib.rc_context(STYLE):
        figure = Picture(figsize=(WIDTH if columns == 1 else WIDE, sum(heights) + 1.0), layout="constrained")
        parts = figure.subfigures(max(len(heights), 1), 1, height_ratios=heights or None, squeeze=False)[:, 0]
        if found:
            _draw_panels(parts[0], found)
        if with_forest:
            _draw_table(parts[-1], table, _colors(spec), scale, columns)
        figure.suptitle(f"EM against the posterior: {check.verdict.word}", fontsize=12.0)
        drawn = check.posterior is not None
        apart = drawn and any(panel.draws_apart for panel in found)
        intervals = drawn and with_forest
        _legend(figure, spec.n_components, with_forest=with_forest, with_posterior=intervals, with_draws=apart)
    return figure


def plot_fit(fit: EMFit, data: Any, *, sample_weight: Any = None) -> Picture:
    """Draw a fit: its components over the data.

    Parameters
    ----------
    fit
        The fit.
    data
        The rows, in any form that `mixtures.fit` takes.
    sample_weight
        Counts or weights of the rows (n,), or the name of a column.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    SpecError
        If `fit` is none.
    DataError
        If the data do not have the columns of the fit.

    Examples
    --------
    >>> import mixtures as mx
    >>> data = mx.load_dataset("galaxies")
    >>> picture = plot_fit(mx.fit(mx.Mixture(mx.Gaussian("velocity"), n_components=3), data, rng=1), data)
    >>> picture.axes[0].get_xlabel()
    'velocity'
    """
    import matplotlib

    from ..arguments import check_kind
    from ..results import EMFit
    from .canvas import Picture
    from .panels import panels
    from .scene import scenes

    check_kind(fit, EMFit, "plot_fit(fit, data)", "pass what mx.fit returns")
    spec = fit.resolved
    rows = spec.rows(data, sample_weight=sample_weight)
    found = panels(scenes(spec, rows, fit.point), spec.n_components)
    with matplotlib.rc_context(STYLE):
        figure = Picture(figsize=(WIDTH, _height(found) + 0.8), layout="constrained")
        _draw_panels(figure, found)
        figure.suptitle(f"{fit.estimate.upper()}, log-likelihood {fit.log_likelihood:.4f}", fontsize=12.0)
        _legend(figure, spec.n_components)
    return figure


def _draws_of(posterior: Any) -> Any:
    if posterior is None:
        return None
    from ..bayes import stack

    return stack.group(posterior, "posterior")


def _rows_of(found: list[Panel]) -> list[list[Panel]]:
    return [found[i : i + PER_ROW] for i in range(0, len(found), PER_ROW)]


def _height(found: list[Panel]) -> float:
    return sum(max(panel.height for panel in row) for row in _rows_of(found))


def _draw_panels(part: FigureBase, found: list[Panel]) -> None:
    """The panels, up to three beside one another; those of an incomplete last row share its width."""
    rows = _rows_of(found)
    if not rows:
        return
    heights = [max(panel.height for panel in row) for row in rows]
    strips = part.subfigures(len(rows), 1, height_ratios=heights, squeeze=False)[:, 0]
    for strip, row in zip(strips, rows, strict=True):
        for axes, panel in zip(strip.subplots(1, len(row), squeeze=False)[0], row, strict=True):
            panel.draw(axes)


def _colors(spec: Mixture) -> list[str]:
    """The colour of each scalar: its component's, and a neutral one where several components share it."""
    from ..uncertainty import Scalars
    from .canvas import NEUTRAL, color

    return [color(own[0]) if len(own) == 1 else NEUTRAL for own in Scalars(spec).sharers]


def _draw_table(part: FigureBase, table: pd.DataFrame, colors: list[str], scale: Scale, columns: int) -> None:
    """The forest in one or two columns of equally many rows."""
    from .forest import draw_forest

    length = math.ceil(len(table) / columns)
    for i, axes in enumerate(part.subplots(1, columns, squeeze=False)[0]):
        rows = slice(i * length, (i + 1) * length)
        draw_forest(axes, table.iloc[rows], colors[rows], scale.of_rows(rows), length)


def _legend(
    figure: Picture,
    n_components: int,
    *,
    with_forest: bool = False,
    with_posterior: bool = False,
    with_draws: bool = False,
) -> None:
    """One legend for the whole picture, below it: of what is in it."""
    from matplotlib.lines import Line2D

    from .canvas import COLORS, GREY, INK, stroke

    components = [Line2D([], [], linewidth=3.0, label=f"component {k}", **stroke(k)) for k in range(n_components)]
    marks: list[Line2D] = []
    mark: dict[str, Any] = {"color": INK, "markeredgecolor": INK, "markersize": 4.5}
    if with_forest:
        marks.append(Line2D([], [], marker="o", linewidth=1.0, label="MLE ± 1.96 standard errors", **mark))
    if with_posterior:
        marks.append(Line2D([], [], marker="D", markerfacecolor="white", linestyle="none", label="MAP", **mark))
        marks.append(Line2D([], [], color=GREY, linewidth=6.0, alpha=0.6, label="posterior, 95 % interval"))
    if with_draws:
        marks.append(Line2D([], [], color=GREY, linewidth=0.7, label="posterior draws"))
    handles, columns = _by_rows(components, marks, Line2D([], [], linestyle="none", label=" "))
    length = 1.6 if n_components <= len(COLORS) else 2.4  # dashes take more
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, columnspacing=1.2, handlelength=length)


def _by_rows(components: list[Any], marks: list[Any], blank: Any) -> tuple[list[Any], int]:
    """Handles for a legend that Matplotlib fills column by column, and its columns: a short one is one row."""
    if len(components) + len(marks) <= 7:
        return components + marks, len(components) + len(marks)
    columns = max(len(marks), min(len(components), 5))
    padded = [row + [blank] * (-len(row) % columns) for row in (components, marks)]
    grid = padded[0] + padded[1]
    return [grid[i] for j in range(columns) for i in range(j, len(grid), columns)], columns
