"""Checks of arguments: what was found and what to pass, instead of a traceback from where it first hurts."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from .errors import SpecError

__all__ = ["check_callable", "check_kind", "check_number", "check_path", "check_whole", "described"]


def described(value: Any) -> str:
    """A wrong value as a message names it: its type and, where that is short, the value.

    Examples
    --------
    >>> described(3), described(None), described("x" * 100)
    ('int 3', 'None', 'str')
    """
    if value is None:
        return "None"
    kind, text = type(value).__name__, repr(value)
    return f"{kind} {text}" if len(text) <= 40 and "\n" not in text else kind


def check_kind(value: Any, kind: type | tuple[type, ...], where: str, needed: str) -> None:
    """Refuse a value of another type; `needed` says what to pass.

    Raises
    ------
    SpecError

    Examples
    --------
    >>> check_kind(3, str, "greet(name=...)", "pass a string")
    Traceback (most recent call last):
    mixtures.errors.SpecError: greet(name=...): pass a string; found int 3.
    """
    if not isinstance(value, kind):
        raise SpecError(f"{where}: {needed}; found {described(value)}.")


def check_whole(call: str, name: str, value: Any, least: int, *, or_none: bool = False) -> None:
    """Refuse what is not an integer >= least, nor None where that may be.

    Raises
    ------
    SpecError
    """
    if or_none and value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        needed = "None or an integer" if or_none else "an integer"
        raise SpecError(f"{call}({name}={value!r}): {needed} >= {least} is needed.")


def check_number(call: str, name: str, value: Any, *, least: float) -> None:
    """Refuse what is not a finite number >= least.

    Raises
    ------
    SpecError
    """
    real = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not real or not np.isfinite(value) or value < least:
        raise SpecError(f"{call}({name}={value!r}): a finite number >= {least:g} is needed.")


def check_callable(call: str, name: str, value: Any, example: str) -> None:
    """Refuse what is neither None nor callable.

    Raises
    ------
    SpecError
    """
    if value is not None and not callable(value):
        raise SpecError(f"{call}({name}={value!r}): None or a function is needed, e.g. {example}.")


def check_path(call: str, value: Any) -> None:
    """Refuse what names no file.

    Raises
    ------
    SpecError
    """
    check_kind(value, (str, os.PathLike), f"{call}(path)", "pass the name of a file, e.g. 'fit.nc'")
