"""Components over the data: ellipses on a scatter, densities on a histogram, or a profile of means."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..families.base import Array, Theta
from .canvas import COLORS, GREY, INK, color, marker, shortened, stroke
from .scene import GroupScene

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Panel", "panels"]

MOST = 3
"""Panels per block: the pairs or columns in which the components lie farthest apart."""
CONTENT = 0.9
"""Share of a component that its ellipse holds."""


@dataclass(frozen=True)
class Panel:
    """One panel: how it is drawn, the height in inches that it needs, and whether posterior draws are lines of their own in it."""

    draw: Callable[[Axes], None]
    height: float = 3.6
    draws_apart: bool = True


def panels(scenes: Sequence[GroupScene], n_components: int) -> list[Panel]:
    """The panels of all blocks, chosen by what their families can tell of themselves; none for a family that tells nothing.

    A column whose density is drawn has one panel, with the components of every block that has it.
    """
    found: list[Panel] = []
    drawn: set[int] = set()
    for scene in scenes:
        moments = scene.family.moments(scene.theta)
        if scene.family.identifiability_cells() is not None and moments is not None:
            found.append(Panel(partial(_profile, scene), max(3.6, 0.9 + 0.3 * scene.x.shape[1]), draws_apart=False))
            continue
        contours = scene.family.contours(scene.theta, CONTENT)
        if scene.x.shape[1] > 1 and contours is not None:
            found += [Panel(partial(_ellipses, scene, pair)) for pair in _pairs(scene, *contours)]
        else:
            for column in [c for c in scene.group.columns if _tells_density(scene, c)][:MOST]:
                if column not in drawn:
                    drawn.add(column)
                    parts = [other for other in scenes if _tells_density(other, column)]
                    found.append(Panel(partial(_densities, parts, column, n_components)))
    return found


def _tells_density(scene: GroupScene, column: int) -> bool:
    """Whether the block has that column of the specification, and can give its density."""
    own = scene.group.columns
    return column in own and scene.family.marginal(scene.theta, [own.index(column)]) is not None


def _pairs(scene: GroupScene, mean: Array, covariance: Array) -> list[tuple[int, int]]:
    """Pairs of columns, those with the largest between-component part of the spread first."""
    share = scene.weights / scene.weights.sum()
    between = share @ (mean - share @ mean) ** 2
    apart = between / np.einsum("j,jaa->a", share, covariance)
    pairs = itertools.combinations(range(len(apart)), 2)
    return sorted(sorted(pairs, key=lambda pair: -apart[pair[0]] - apart[pair[1]])[:MOST])


def _scatter(axes: Axes, scene: GroupScene, i: int, j: int) -> None:
    size = 12.0 * scene.row_weights / np.median(scene.row_weights)
    axes.scatter(
        scene.x[:, i], scene.x[:, j], s=np.minimum(size, 200.0), color=GREY, alpha=0.45, linewidths=0, rasterized=True
    )


def _ellipses(scene: GroupScene, pair: tuple[int, int], axes: Axes) -> None:
    """EM's ellipses drawn thick over those of posterior draws, on the scatter of two columns."""
    from matplotlib.collections import LineCollection

    i, j = pair
    _scatter(axes, scene, i, j)
    for _, theta in scene.few_draws():
        for k, curve in zip(scene.group.components, _curves(scene, theta, pair), strict=True):
            axes.add_collection(
                LineCollection([curve], colors=color(k), alpha=0.2, linewidths=0.6, zorder=2), autolim=False
            )
    mean = scene.family.contours(scene.theta, CONTENT)[0]  # type: ignore[index]
    for k, curve, place in zip(scene.group.components, _curves(scene, scene.theta, pair), mean, strict=True):
        axes.plot(curve[:, 0], curve[:, 1], linewidth=2.0, zorder=3, label=f"component {k}", **stroke(k))
        _number(axes, place[i], place[j], k)
    names = shortened(scene.family.columns)
    axes.set_xlabel(names[i])
    axes.set_ylabel(names[j])
    axes.set_title(f"Each ellipse holds {CONTENT:.0%} of its component")
    axes.margins(0.04)


def _number(axes: Axes, x: float, y: float, component: int) -> None:
    """The component's number in its colour."""
    from matplotlib.patheffects import withStroke

    outline = [withStroke(linewidth=3, foreground="white")]
    text: dict[str, Any] = {"weight": "bold", "ha": "center", "va": "center", "zorder": 5, "path_effects": outline}
    axes.text(x, y, str(component), color=color(component), **text)


def _curves(scene: GroupScene, theta: Theta, pair: tuple[int, int]) -> list[Array]:
    """One ellipse (points, 2) per component."""
    center, matrix = scene.family.contours(theta, CONTENT)  # type: ignore[misc]
    angle = np.linspace(0.0, 2.0 * np.pi, 121)
    circle = np.column_stack([np.cos(angle), np.sin(angle)])
    chosen = list(pair)
    return [
        m[chosen] + circle @ np.linalg.cholesky(c[np.ix_(chosen, chosen)]).T
        for m, c in zip(center, matrix, strict=True)
    ]


def _densities(parts: Sequence[GroupScene], column: int, n_components: int, axes: Axes) -> None:
    """The density of one column in every component that has one, and their sum where that is all of them, over a histogram of the rows."""
    scene = parts[0]
    place = [part.group.columns.index(column) for part in parts]
    x = scene.x[:, place[0]]
    there = ~np.isnan(x)
    x, row_weights = x[there], scene.row_weights[there]
    edges, at, style = _grid(scene, x, row_weights)
    heights = np.histogram(x, bins=edges, weights=row_weights, density=True)[0]
    axes.stairs(heights, edges, fill=True, color=GREY, alpha=0.35, zorder=1)

    total, covered, tallest = np.zeros(len(at)), 0, 0.0
    for part, j in zip(parts, place, strict=True):
        inside = np.all(part.family.allowed(at[:, None]), axis=1)
        density = part.column_density(j, at[inside], part.weights, part.theta)
        assert density is not None
        for weights, theta in part.few_draws():
            drawn = part.column_density(j, at[inside], weights, theta)
            assert drawn is not None
            tallest = max(tallest, float(drawn.max(initial=0.0)))
            for k, curve in zip(part.group.components, drawn.T, strict=True):
                axes.plot(at[inside], curve, color=color(k), alpha=0.2, linewidth=0.6, zorder=2)
        for k, curve in zip(part.group.components, density.T, strict=True):
            axes.plot(at[inside], curve, linewidth=2.0, zorder=4, label=f"component {k}", **stroke(k), **style)
            if n_components > len(COLORS):  # dashes drown in the sum
                top = int(np.argmax(curve))
                _number(axes, at[inside][top], curve[top], k)
        total[inside] += density.sum(axis=1)
        covered += density.shape[1]
    whole = covered == n_components > 1
    if whole:
        axes.plot(at, total, color=INK, linewidth=1.2, zorder=3, label="mixture", **style)
    peak = max(heights.max(), total.max())
    axes.set_ylim(0.0, max(1.12 * peak, min(1.04 * tallest, 1.6 * peak)))
    axes.set_xlabel(shortened(scene.names)[column])
    axes.set_ylabel("density")
    axes.set_title("Components, weighted" + (" (black: their sum)" if whole else ""))


def _grid(scene: GroupScene, x: Array, row_weights: Array) -> tuple[Array, Array, dict[str, Any]]:
    """Edges of the histogram's bins, places where densities are drawn, and how: counts have no density between them."""
    low, high = float(x.min()), float(x.max())
    between = low + (high - low or 1.0) / np.array([np.pi, np.e])
    if np.all(scene.family.allowed(between[:, None])):
        bins = int(np.clip(np.ceil(3.0 * row_weights.sum() ** (1.0 / 3.0)), 8, 60))
        margin = 0.05 * (high - low)
        return np.linspace(low, high, bins + 1), np.linspace(low - margin, high + margin, 481), {}
    width = int(np.ceil((high - low + 1.0) / 60.0))
    edges = np.arange(low - 0.5, high + width + 0.5, width)
    return edges, np.arange(low, high + 1.0), {"marker": "o", "markersize": 3}


def _profile(scene: GroupScene, axes: Axes) -> None:
    """Means of the columns by component: EM's marks over posterior intervals, and the share in all rows."""
    mean = scene.family.moments(scene.theta)[0]  # type: ignore[index]
    n_components, d = mean.shape
    place = np.arange(d)
    drawn = np.array([scene.family.moments(theta)[0] for _, theta in scene.draws])  # type: ignore[index]
    for index, k in enumerate(scene.group.components):
        y = place + (index - (n_components - 1) / 2.0) * min(0.5 / n_components, 0.16)
        if len(drawn):
            low, high = np.quantile(drawn[:, index], [0.025, 0.975], axis=0)
            axes.hlines(y, low, high, color=color(k), alpha=0.4, linewidth=5.0, zorder=2)
        axes.plot(
            mean[index], y, linewidth=1.0, marker=marker(k), markersize=5, zorder=3, label=f"component {k}", **stroke(k)
        )
    there = ~np.isnan(scene.x) * scene.row_weights[:, None]
    overall = (there * np.nan_to_num(scene.x)).sum(axis=0) / there.sum(axis=0)
    axes.plot(overall, place, color=INK, marker="|", markersize=9, linestyle="none", zorder=4, label="all rows")
    axes.set_yticks(place, shortened(scene.family.columns))
    axes.set_ylim(d - 0.5, -0.5)
    names = [public for name, public in scene.group.names.items() if np.array_equal(scene.theta[name], mean)]
    axes.set_xlabel(names[0] if names else "mean")
    axes.set_title("Profile of the components (black ticks: all rows)")
