"""What a parameter slot of a specification can hold: free, fixed (whole or in part), a prior, or shared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import SpecError
from .priors import Prior

__all__ = ["Fixed", "Free", "Shared", "Slot", "inner_slot", "is_known", "parse_slot"]


@dataclass(frozen=True)
class Free:
    """To be estimated, under the default prior. Inside an array it marks the entries to be estimated.

    Examples
    --------
    >>> Free()
    Free()
    """

    def __repr__(self) -> str:
        return "Free()"


@dataclass(frozen=True)
class Fixed:
    """Known values, of which some entries may be `Free()`, with a prior of those; without one an array is written as it is.

    Parameters
    ----------
    value
        A number or nested lists, stored as tuples so that specifications can be compared.
    prior
        Prior of the entries that are free; None takes the default.

    Raises
    ------
    SpecError
        For a prior where nothing is free.

    Examples
    --------
    >>> from mixtures import Beta
    >>> Fixed([0.5, Free()], prior=Beta(2, 2))
    Fixed([0.5, Free()], prior=Beta(alpha=2.0, beta=2.0))
    """

    value: Any
    prior: Prior | None = None

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "value", _to_tuples(self.value))
        except (TypeError, OverflowError):
            raise SpecError(
                f"Fixed({self.value!r}): a number or an array is needed, with Free() inside for parts."
            ) from None
        if self.prior is not None and (self.is_whole or not isinstance(self.prior, Prior)):
            raise SpecError(
                f"Fixed({_to_lists(self.value)!r}, prior={self.prior!r}): a prior on what is fixed has nothing to act on. Mark "
                "entries as Free(), or drop prior=."
            )

    @property
    def array(self) -> NDArray[np.float64]:
        """The values, with NaN where an entry is to be estimated."""
        return np.array(_replace_free(self.value), dtype=np.float64)

    @property
    def is_whole(self) -> bool:
        """Whether nothing in it is left to be estimated."""
        return not any(isinstance(leaf, Free) for leaf in _leaves(self.value))

    def __repr__(self) -> str:
        value = repr(_to_lists(self.value))
        return value if self.prior is None else f"Fixed({value}, prior={self.prior!r})"


@dataclass(frozen=True)
class Shared:
    """One value for several components: all of them, or those that name the same group.

    Parameters
    ----------
    inner
        What the shared value itself is: None (free), a number or array (fixed) or a prior.
    group
        Name of the group of components that share it; None means all components of the block.

    Examples
    --------
    >>> Shared()
    Shared()
    >>> Shared(group="wide")
    Shared(group='wide')
    """

    inner: Any = None
    group: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.inner, Shared):
            raise SpecError("Shared(Shared(...)): a shared slot cannot hold a shared slot. Write Shared once.")
        if self.group is not None and not (isinstance(self.group, str) and self.group):
            raise SpecError(f"Shared(group={self.group!r}): a group is named by a string, e.g. group='wide'.")
        inner = parse_slot(self.inner, "Shared")
        object.__setattr__(self, "inner", None if isinstance(inner, Free) else inner)

    def __repr__(self) -> str:
        parts = [repr(self.inner)] if self.inner is not None else []
        return f"Shared({', '.join(parts + ([f'group={self.group!r}'] if self.group is not None else []))})"


Slot = Free | Fixed | Shared | Prior


def parse_slot(value: Any, where: str) -> Slot:
    """The canonical slot for what a user wrote.

    Raises
    ------
    SpecError
        If `value` is none of the legal forms.
    """
    if value is None:
        return Free()
    if isinstance(value, Free | Fixed | Shared | Prior):
        return value
    try:
        nested = _to_tuples(value)
    except (TypeError, OverflowError):
        raise SpecError(
            f"{where}: a slot takes nothing (free), a number or an array (fixed; Free() inside for parts), a prior, "
            f"or Shared(); found {value!r}."
        ) from None
    if any(leaf != leaf for leaf in _leaves(nested)):
        raise SpecError(f"{where}: found NaN in {value!r}; an entry that is to be estimated is written Free().")
    if not any(True for _ in _leaves(nested)):
        raise SpecError(f"{where}: found the empty array {value!r}; leave the slot out to estimate the parameter.")
    if all(isinstance(leaf, Free) for leaf in _leaves(nested)):
        return Free()
    return Fixed(nested)


def inner_slot(slot: Slot) -> Free | Fixed | Prior:
    """The slot itself, or what a shared slot holds."""
    if isinstance(slot, Shared):
        return Free() if slot.inner is None else slot.inner
    return slot


def is_known(slot: Slot) -> bool:
    """Whether nothing in the slot is left to be estimated."""
    inner = inner_slot(slot)
    return isinstance(inner, Fixed) and inner.is_whole


def _to_tuples(value: Any) -> Any:
    if isinstance(value, Free):
        return value
    if isinstance(value, bool):
        raise TypeError
    if isinstance(value, int | float | np.integer | np.floating):
        return float(value)
    if isinstance(value, np.ndarray):
        return _to_tuples(value.tolist())
    if isinstance(value, list | tuple):
        return tuple(_to_tuples(item) for item in value)
    raise TypeError


def _to_lists(value: Any) -> Any:
    return [_to_lists(item) for item in value] if isinstance(value, tuple) else value


def _replace_free(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_replace_free(item) for item in value]
    return np.nan if isinstance(value, Free) else value


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, tuple):
        for item in value:
            yield from _leaves(item)
    else:
        yield value
