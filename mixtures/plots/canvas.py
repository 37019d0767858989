"""The figure that pictures are drawn on, and its colours."""

from __future__ import annotations

import io

from matplotlib.figure import Figure

__all__ = ["GREY", "INK", "Picture", "color", "shortened"]

INK, GREY = "#000000", "#8c8c8c"
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")
"""Okabe & Ito (2008), Color Universal Design: told apart by readers of every kind of colour vision."""


def color(component: int) -> str:
    """The colour of a component; beyond seven they repeat, and the component's number is what tells them apart."""
    return _COLORS[component % len(_COLORS)]


def shortened(name: str, most: int = 32) -> str:
    """A name that fits beside an axis."""
    return name if len(name) <= most else f"{name[: most - 1]}…"


class Picture(Figure):
    """A Matplotlib figure that belongs to no window and that notebooks show as an image."""

    def png(self, dpi: float = 150) -> bytes:
        """The figure as the bytes of a PNG file."""
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=dpi)
        return buffer.getvalue()

    def _repr_png_(self) -> bytes:
        return self.png(dpi=100)
