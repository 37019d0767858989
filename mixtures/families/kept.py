"""What formulas make of rows alone, kept while the rows are the same."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import wraps
from typing import TypeVar

from .base import Array

__all__ = ["once_for_rows", "unchanging"]

T = TypeVar("T")


def unchanging(array: Array) -> bool:
    """Whether nobody can write to the array: it is read-only and no view of another."""
    return not array.flags.writeable and array.base is None


def once_for_rows(function: Callable[[Array], T]) -> Callable[[Array], T]:
    """The function, whose result is kept while rows that nobody can change are alive; the result must not hold them itself."""
    kept: dict[int, tuple[weakref.ref[Array], T]] = {}

    @wraps(function)
    def call(x: Array) -> T:
        if not unchanging(x):
            return function(x)
        key = id(x)
        found = kept.get(key)
        if found is None or found[0]() is not x:
            found = kept[key] = (weakref.ref(x, lambda _: kept.pop(key, None)), function(x))
        return found[1]

    return call
