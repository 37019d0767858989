"""The laws that every family obeys: what `mixtures` tests its own families by, ready for yours.

Each law is a function of a `Case`, which makes legal parameters and rows for a family from its own declaration.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import SpecError, nearest
from ..families.base import Family
from ..rng import RNGLike, as_generator, spawn_seeds
from . import draws, formulas, m_step, outside
from .case import LAWS, Case, variants

__all__ = ["LAWS", "Case", "check_family", "draws", "formulas", "m_step", "outside", "variants"]


def check_family(block: Family, *, rng: RNGLike = 0, skip: Iterable[str] = ()) -> None:
    """Check that a family obeys every law: density, score, statistics, M-step, draws, priors, text form, errors.

    Parameters
    ----------
    block
        The family as a user writes it, e.g. `Gaussian("x", "y", structure="diagonal")`.
    rng
        Seed of the parameters and rows that the laws are tried on.
    skip
        Names of laws to leave out, e.g. "text_form_round_trips" before your package announces the family.

    Raises
    ------
    AssertionError
        Naming the law that is broken and the numbers that break it.

    Examples
    --------
    >>> from mixtures import Bernoulli
    >>> check_family(
    ...     Bernoulli("a", "b"), skip=["density_agrees_with_pymc"]
    ... )  # the law that takes seconds: PyMC is loaded
    """
    names = [law.__name__ for law in LAWS]
    left_out = set(skip)
    for unknown in left_out - set(names):
        raise SpecError(f"skip={unknown!r}: no such law.{nearest(unknown, names)} The laws are {', '.join(names)}.")
    for law, seed in zip(LAWS, spawn_seeds(as_generator(rng), len(LAWS)), strict=True):
        if law.__name__ in left_out:
            continue
        try:
            law(Case.of(block, seed))
        except Exception as error:
            what = str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
            raise AssertionError(f"{block!r} breaks the law {law.__name__}: {what}") from error
