"""The specification that a container of draws carries."""

from __future__ import annotations

from typing import Any

from ..spec import Mixture

__all__ = ["resolved_of"]


def resolved_of(posterior: Any) -> Mixture | None:
    """The resolved specification stored with draws from `sample`, or None for draws from elsewhere."""
    text = dict(posterior.attrs).get("mixtures_resolved")
    return Mixture.from_json(text) if text else None
