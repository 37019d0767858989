"""Families by name, for the text form: ours, and those that other packages announce by entry point."""

from __future__ import annotations

from importlib.metadata import entry_points

from ..errors import SpecError, nearest
from .base import Family

__all__ = ["family_class", "family_name", "family_names"]

ENTRY_POINTS = "mixtures.families"


def _built_in() -> dict[str, type[Family]]:
    from .. import families

    found = (getattr(families, name) for name in families.__all__)
    return {
        item.__name__: item
        for item in found
        if isinstance(item, type) and issubclass(item, Family) and item is not Family
    }


def family_names() -> list[str]:
    """Names of all families that can be used here, ours first.

    Examples
    --------
    >>> family_names()[:2]
    ['Bernoulli', 'Binomial']
    """
    ours = sorted(_built_in())
    return ours + sorted({point.name for point in entry_points(group=ENTRY_POINTS)} - set(ours))


def family_class(name: str) -> type[Family]:
    """The family of that name.

    Raises
    ------
    SpecError
        If no family bears the name, or another package's entry point does not lead to a family.
    """
    built_in = _built_in()
    if name in built_in:
        return built_in[name]
    for point in entry_points(group=ENTRY_POINTS):
        if point.name == name:
            found = point.load()
            if not (isinstance(found, type) and issubclass(found, Family)):
                raise SpecError(
                    f"The entry point {point.value!r} in group {ENTRY_POINTS!r} is no subclass of mixtures.Family; "
                    f"found {found!r}."
                )
            return found
    names = family_names()
    raise SpecError(f"Unknown family {name!r}.{nearest(name, names)} Known are {', '.join(names)}.")


def family_name(family: type[Family]) -> str:
    """The name under which `family_class` finds a family.

    Raises
    ------
    SpecError
        If no package announces it.

    Examples
    --------
    >>> from mixtures import Gaussian
    >>> family_name(Gaussian)
    'Gaussian'
    """
    if _built_in().get(family.__name__) is family:
        return family.__name__
    for point in entry_points(group=ENTRY_POINTS):
        if point.value.endswith(f":{family.__qualname__}") and point.load() is family:
            return point.name
    raise SpecError(
        f"The family {family.__name__} of {family.__module__!r} has no text form yet: its package must announce it in "
        "the "
        f"entry-point group {ENTRY_POINTS!r}, {family.__name__} = '{family.__module__}:{family.__qualname__}'."
    )
