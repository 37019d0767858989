"""The picture of a selection: a criterion against the number of components, a line for each kind of mixture."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import SpecError
from .pictures import STYLE, WIDTH

if TYPE_CHECKING:
    from ..selection import Selection
    from ..spec import Mixture
    from .canvas import Picture

__all__ = ["plot_selection"]

AXIS = {
    "aic": "AIC (smaller is better)",
    "bic": "BIC (smaller is better)",
    "icl": "ICL (smaller is better)",
    "held_out": "cross-validated log density (larger is better)",
    "loo": "leave-one-out log density of the posterior (larger is better)",
}
MARKERS, LINES = ("o", "s", "^"), ("-", "--", ":")
"""One each for every round of colours."""


def plot_selection(selection: Selection, criterion: str = "bic") -> Picture:
    """Draw a criterion against the number of components.

    Parameters
    ----------
    selection
        What `select` returns.
    criterion
        "aic", "bic", "icl", "held_out" or "loo".

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    SpecError
        For a criterion that was not computed.

    Examples
    --------
    >>> import mixtures as mx
    >>> candidates = [mx.Mixture(mx.Gaussian("waiting"), n_components=k) for k in (1, 2, 3)]
    >>> found = mx.select(candidates, mx.load_dataset("old_faithful"), rng=1, jobs=1)
    >>> plot_selection(found).axes[0].get_xlabel()
    'number of components'
    """
    import matplotlib
    from matplotlib.ticker import MaxNLocator

    from .canvas import INK, Picture, color

    if criterion not in AXIS or criterion not in selection.table:
        legal = [name for name in AXIS if name in selection.table]
        raise SpecError(f"criterion={criterion!r}: computed are {', '.join(legal)}.")
    best = selection.best(criterion).specification
    kinds: dict[str, list[int]] = {}
    for i, spec in enumerate(selection.specifications):
        kinds.setdefault(_kind(spec), []).append(i)
    values = selection.table[criterion].to_numpy(dtype=float)
    counts = np.array([spec.n_components for spec in selection.specifications])
    with matplotlib.rc_context(STYLE):
        figure = Picture(figsize=(0.75 * WIDTH, 5.0), layout="constrained")
        axes = figure.add_subplot()
        for place, (label, members) in enumerate(zip(_labels(list(kinds)), kinds.values(), strict=True)):
            order = sorted(members, key=lambda i: counts[i])
            round_ = place // 7 % len(MARKERS)
            style: dict[str, Any] = {"marker": MARKERS[round_], "linestyle": LINES[round_], "markersize": 4.5}
            axes.plot(counts[order], values[order], color=color(place), label=label, **style)
        chosen = selection.specifications.index(best)
        ring: dict[str, Any] = {
            "markersize": 13,
            "markerfacecolor": "none",
            "markeredgecolor": INK,
            "linestyle": "none",
        }
        axes.plot(counts[chosen], values[chosen], "o", label="chosen", zorder=3, **ring)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("number of components")
        axes.set_ylabel(AXIS[criterion])
        figure.legend(loc="outside right upper")
    return figure


def _kind(spec: Mixture) -> str:
    """The specification without its number of components."""
    return re.sub(r", n_components=\d+", "", repr(spec))


def _labels(kinds: Sequence[str]) -> list[str]:
    """What tells the kinds apart: their arguments, but for those that all of them have."""
    if len(kinds) == 1:
        return ["candidates"]
    parts = [
        re.sub(r"^Mixture\((.*)\)$", r"\1", kind).replace(")", "").replace("(", ", ").split(", ") for kind in kinds
    ]
    common = set(parts[0]).intersection(*parts)
    found = []
    for own in parts:
        words = [re.sub(r"^structure='(.*)'$", r"\1", part) for part in own if part and part not in common]
        found.append(", ".join(words).replace("covariance=Shared", "tied") or "free")
    return found if len(set(found)) == len(found) else [_short(kind) for kind in kinds]


def _short(kind: str) -> str:
    return kind if len(kind) <= 60 else f"{kind[:59]}…"
