"""Randomness enters by `rng=` alone (Scientific Python SPEC 7)."""

from __future__ import annotations

import numpy as np

from .errors import SpecError

__all__ = ["RNGLike", "as_generator", "spawn_seeds"]

RNGLike = int | np.random.Generator | np.random.SeedSequence | np.random.BitGenerator | None


def as_generator(rng: RNGLike) -> np.random.Generator:
    """A NumPy generator from a seed, a seed sequence, a generator (used as it is) or None (fresh entropy).

    Raises
    ------
    SpecError
        If `rng` cannot seed a generator.

    Examples
    --------
    >>> float(as_generator(1).random()) == float(as_generator(1).random())
    True
    """
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError) as error:
        raise SpecError(f"rng={rng!r} cannot seed a generator. Pass an integer >= 0 or a numpy Generator.") from error


def spawn_seeds(rng: np.random.Generator, count: int) -> list[int]:
    """Integers that seed `count` independent streams (PyMC takes integers)."""
    return [int(seed) for seed in rng.integers(0, 2**31 - 1, size=count)]
