"""A value of the text together with the path that leads to it: what every error names."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..errors import SpecError, nearest
from ..slots import Free
from .words import FREE
from .writing import toml_key

__all__ = ["Place", "located"]


@contextmanager
def located(path: str) -> Iterator[None]:
    """Puts the path in front of what a constructor complains about."""
    try:
        yield
    except SpecError as error:
        raise type(error)(f"{path}: {error}") from error


@dataclass(frozen=True)
class Place:
    """A value of the text together with the path that leads to it."""

    value: Any
    path: str

    def wrong(self, expected: str) -> SpecError:
        """The error to raise where the value is not what is `expected`."""
        return SpecError(f"{self.path or 'the specification'}: {expected} is needed; found {reprlib.repr(self.value)}.")

    def table(self) -> dict[str, Any]:
        """The value, which must be a table."""
        if not isinstance(self.value, dict):
            raise self.wrong("a table")
        return self.value

    def get(self, key: str) -> Place | None:
        """The place of a key, or None where it is not given."""
        if key not in self.table():
            return None
        return Place(self.value[key], self._below(key))

    def _below(self, key: object) -> str:
        return f"{self.path}.{toml_key(str(key))}".removeprefix(".")

    def need(self, key: str) -> Place:
        """The place of a key that must be given."""
        found = self.get(key)
        if found is not None:
            return found
        for given in self.value:
            if nearest(given, [key]):
                raise SpecError(f"{self._below(given)}: unknown key.{nearest(given, [key])}")
        raise SpecError(f"{self.path or 'the specification'}: the key {key!r} is missing.")

    def refuse_unknown(self, legal: Sequence[str]) -> None:
        """Refuse keys that mean nothing here."""
        for key in self.table():
            if key not in legal:
                raise SpecError(f"{self._below(key)}: unknown key.{nearest(key, legal)} Legal are {', '.join(legal)}.")

    def items(self) -> list[Place]:
        """The places of a list's entries, of which there must be one at least."""
        if not isinstance(self.value, list) or not self.value:
            raise self.wrong("a list with at least one entry")
        return [Place(item, f"{self.path}[{i}]") for i, item in enumerate(self.value)]

    def string(self) -> str:
        """The value, which must be a string."""
        if not isinstance(self.value, str):
            raise self.wrong("a string")
        return self.value

    def integer(self) -> int:
        """The value, which must be an integer."""
        if not isinstance(self.value, int) or isinstance(self.value, bool):
            raise self.wrong("an integer")
        return self.value

    def numbers(self, *, free: bool) -> Any:
        """A number or a nested list of numbers, in which `free` allows the string "free"."""
        if isinstance(self.value, list):
            return [place.numbers(free=free) for place in self.items()]
        if free and self.value == FREE:
            return Free()
        if not isinstance(self.value, int | float) or isinstance(self.value, bool):
            raise self.wrong('a number, a list of numbers or "free"' if free else "a number or a list of numbers")
        return self.value
