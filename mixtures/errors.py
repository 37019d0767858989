"""What users are told when something is wrong: one exception per kind of mistake, one warning class."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "DataError",
    "FitError",
    "InterruptedRunError",
    "MixtureError",
    "MixtureWarning",
    "SpecError",
    "UnsupportedError",
    "nearest",
]


class MixtureError(Exception):
    """Base of every error that `mixtures` raises on purpose."""


class SpecError(MixtureError, ValueError):
    """The specification is wrong: says which slot, component or key, what was found and what is legal."""


class UnsupportedError(SpecError, NotImplementedError):
    """The specification is meaningful, but this version cannot fit it; the sentence names what is missing."""


class DataError(MixtureError, ValueError):
    """The data do not fit the specification: says which column and row, what was found and what to try."""


class FitError(MixtureError, RuntimeError):
    """No estimate or no posterior could be produced; says why and what to run next."""


class InterruptedRunError(FitError):
    """The user interrupted before there was anything to keep."""


class MixtureWarning(UserWarning):
    """Base of every warning that `mixtures` issues."""


def nearest(name: str, options: Iterable[str]) -> str:
    """The hint `" Did you mean 'x'?"` for the legal name closest to a wrong one, or an empty string.

    Examples
    --------
    >>> nearest("wating", ["eruptions", "waiting"])
    " Did you mean 'waiting'?"
    >>> nearest("zzz", ["eruptions"])
    ''
    """
    names = [str(option) for option in options]
    lower = {option.lower(): option for option in reversed(names)}
    found = difflib.get_close_matches(str(name).lower(), list(lower), n=1, cutoff=0.6)
    return f" Did you mean {lower[found[0]]!r}?" if found else ""
