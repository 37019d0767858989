"""The words that both directions of the text form use."""

from __future__ import annotations

from .. import priors
from ..priors import Prior

__all__ = ["FREE", "PRIORS", "SCHEMA"]

SCHEMA = 1
FREE = "free"
"""Stands for an entry of an array that is to be estimated."""

PRIORS: dict[str, type[Prior]] = {
    name: found
    for name, found in ((name, getattr(priors, name)) for name in priors.__all__)
    if isinstance(found, type) and issubclass(found, Prior) and found is not Prior
}
"""Priors by the name of their class."""
