"""EM's marks over the posterior's intervals, one row per scalar parameter."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..families.base import Array
from ..text import number
from .canvas import GREY, INK, shortened

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["ROW_HEIGHT", "Scale", "draw_forest"]

ROW_HEIGHT = 0.27
"""Inches."""
NORMAL = 1.96
"""Standard errors to either side of the MLE that are comparable with a 95 % interval."""
FARTHEST = 8.0
"""Marks farther out, in units of the axis, become arrows at the edge."""


@dataclass(frozen=True)
class Scale:
    """Where zero lies and how long a unit is in each row: the posterior's mean and sd, or without one EM's own."""

    center: Array
    unit: Array
    name: str

    @classmethod
    def of(cls, table: pd.DataFrame) -> Scale:
        """The posterior's scale; the MLE and its standard error where there are no draws."""
        by_posterior = bool(np.isfinite(_column(table, "mean")).any())
        center, unit = ("mean", "sd") if by_posterior else ("mle", "se")
        name = (
            "posterior standard deviations from the posterior mean" if by_posterior else "standard errors from the MLE"
        )
        units = _column(table, unit)
        return cls(_column(table, center), np.where(units > 0, units, np.nan), name)

    def of_rows(self, rows: slice) -> Scale:
        """The scale of some rows."""
        return Scale(self.center[rows], self.unit[rows], self.name)

    def __call__(self, values: Array) -> Array:
        """Values on the axis; a value at the centre is 0 also where there is no unit."""
        away = values - self.center
        return np.where(away == 0, 0.0, away / self.unit)


def _column(table: pd.DataFrame, name: str) -> Array:
    """A column of the table; NaN where the cross-check ended before there was one."""
    return np.asarray(table[name], dtype=np.float64) if name in table else np.full(len(table), np.nan)


def draw_forest(
    axes: Axes, table: pd.DataFrame, colors: Sequence[str], scale: Scale, length: int | None = None
) -> None:
    """Draw rows of a cross-check's table, each in its colour: posterior interval and mean, MLE with its standard errors, MAP.

    `length` is the number of rows to leave room for, so that two columns have rows of one height.
    """
    y = np.arange(len(table), dtype=np.float64)
    low, high, mean = (scale(_column(table, name)) for name in ("lower", "upper", "mean"))
    axes.axvline(0.0, color=GREY, linewidth=0.8, linestyle=":", zorder=0)
    axes.hlines(y, low, high, colors=colors, alpha=0.45, linewidth=6.0, zorder=1)
    axes.scatter(mean, y, marker="|", s=70, color=colors, linewidths=2.0, zorder=2)

    mle = scale(_column(table, "mle"))
    reach = NORMAL * _column(table, "se") / scale.unit
    axes.hlines(y - 0.24, mle - reach, mle + reach, colors=INK, linewidth=1.0, zorder=3)
    _marks(axes, mle, y - 0.24, "o", INK)
    map_ = scale(_column(table, "map"))
    _marks(axes, map_, y + 0.24, "D", "white")

    _label_rows(axes, table, y)
    farthest = np.nanmax(np.abs(np.concatenate([low, high, mle - reach, mle + reach, map_, [0.0]])))
    limit = 1.08 * float(np.clip(farthest, 2.5, FARTHEST))
    axes.set_xlim(-limit, limit)
    axes.set_ylim((length or len(table)) - 0.4, -0.6)
    axes.set_xlabel(scale.name)


def _marks(axes: Axes, x: Array, y: Array, marker: str, face: str) -> None:
    """Marks where they are, and an arrow at the edge with the distance for those that are farther out."""
    inside = np.abs(x) <= FARTHEST
    axes.scatter(x[inside], y[inside], marker=marker, s=16, facecolor=face, edgecolor=INK, linewidths=0.9, zorder=4)
    for away, height in zip(x[np.abs(x) > FARTHEST], y[np.abs(x) > FARTHEST], strict=True):
        side = float(np.sign(away))
        axes.scatter(
            side * FARTHEST, height, marker=">" if side > 0 else "<", s=24, facecolor=face, edgecolor=INK, zorder=4
        )
        axes.annotate(
            number(away, 2), (side * FARTHEST, height), (-7 * side, 0), textcoords="offset points",
            ha="right" if side > 0 else "left", va="center", fontsize="x-small",
        )  # fmt: skip


def _label_rows(axes: Axes, table: pd.DataFrame, y: Array) -> None:
    """Names to the left, the values of MLE and posterior mean to the right, a line between kinds of parameter."""
    axes.set_yticks(y, shortened([str(label) for label in table.index], 44))
    axes.tick_params(axis="y", length=0)
    text: dict[str, Any] = {"textcoords": "offset points", "fontsize": "small", "ha": "right"}
    for right, name, title in ((52, "mle", "MLE"), (118, "mean", "posterior mean")):
        axes.annotate(title, (1.0, 1.0), (right, 3), xycoords="axes fraction", **text)
        for place, value in zip(y, _column(table, name), strict=True):
            at = (1.0, place)
            axes.annotate(number(value, 4), at, (right, 0), xycoords=("axes fraction", "data"), va="center", **text)
    kinds = [str(label).split("[")[0] for label in table.index]
    for place in np.flatnonzero([a != b for a, b in itertools.pairwise(kinds)]):
        axes.axhline(place + 0.5, color=GREY, linewidth=0.5, zorder=0)
