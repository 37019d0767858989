"""The figure that pictures are drawn on, and its colours."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

__all__ = ["COLORS", "GREY", "INK", "NEUTRAL", "Picture", "color", "marker", "shortened", "stroke"]

INK, GREY, NEUTRAL = "#000000", "#8c8c8c", "#4d4d4d"
"""For sums and estimates, for rows of data, and for what belongs to several components."""
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")
"""Okabe & Ito (2008), Color Universal Design: told apart by readers of every kind of colour vision."""


_DASHES: tuple[Any, ...] = ("solid", (0, (4.0, 1.2)), (0, (1.2, 1.0)), (0, (4.0, 1.2, 1.2, 1.2)))
_MARKERS = ("o", "s", "^", "D")
"""Of the first seven components, the next seven, and so on."""


def color(component: int) -> str:
    """The colour of a component; beyond seven they repeat, and `stroke` and `marker` tell the components apart."""
    return COLORS[component % len(COLORS)]


def stroke(component: int) -> dict[str, Any]:
    """Colour and dashes of a component's lines."""
    return {"color": color(component), "linestyle": _DASHES[component // len(COLORS) % len(_DASHES)]}


def marker(component: int) -> str:
    """The mark of a component."""
    return _MARKERS[component // len(COLORS) % len(_MARKERS)]


def shortened(names: Sequence[str], most: int = 32) -> list[str]:
    """Names that fit beside an axis: long ones lose their middle, and those that would then look alike are numbered.

    Examples
    --------
    >>> shortened(["waiting", "a_long_name_of_item_1", "a_long_name_of_item_2"], 12)
    ['waiting', 'a_long…tem_1', 'a_long…tem_2']
    >>> shortened(["a_long_name_1_of_item", "a_long_name_2_of_item"], 12)
    ['a_lo…item #1', 'a_lo…item #2']
    """
    found = [_cut(name, most) for name in names]
    for i, (short, name) in enumerate(zip(list(found), names, strict=True)):
        if any(other == short and names[j] != name for j, other in enumerate(map(_cut, names, [most] * len(names)))):
            number = f" #{i + 1}"
            found[i] = _cut(name, most - len(number)) + number
    return found


def _cut(name: str, most: int) -> str:
    if len(name) <= most:
        return name
    head = most // 2
    return f"{name[:head]}…{name[len(name) - (most - head - 1) :]}"


class Picture(Figure):
    """A Matplotlib figure that belongs to no window and that notebooks show as an image."""

    def png(self, dpi: float = 150) -> bytes:
        """The figure as the bytes of a PNG file."""
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=dpi)
        return buffer.getvalue()

    def _repr_png_(self) -> bytes:
        return self.png(dpi=100)
