"""Drawing with nutpie, which compiles the model itself and takes starts as a random expression, evaluated once per chain."""

from __future__ import annotations

from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from ..em.program import Program
from ..errors import FitError
from .chains import ChainStart
from .compile import free_values

__all__ = ["POOL", "draw_with_nutpie"]

POOL = 16
"""Starts that every chain picks one of, by its own seed."""


def draw_with_nutpie(
    model: pm.Model,
    program: Program,
    starts: list[ChainStart],
    *,
    random_seed: int,
    progressbar: bool,
    **settings: Any,
) -> Any:
    """Draws of nutpie's NUTS; every chain begins at one of `starts`, picked by its seed.

    Raises
    ------
    FitError
        If nutpie is not installed.
    """
    try:
        import nutpie
    except ImportError:
        raise FitError(
            "nuts_sampler='nutpie' needs nutpie: pip install 'mixtures-toolkit[fast]', or use nuts_sampler='pymc'."
        ) from None
    compiled = nutpie.compile_pymc_model(model, initial_points=_random_starts(program, starts), jitter_rvs=set())
    return nutpie.sample(compiled, seed=random_seed, progress_bar=progressbar, save_warmup=False, **settings)


def _random_starts(program: Program, starts: list[ChainStart]) -> dict[str, Any]:
    """One of the starts, the same for every variable, picked by a random number that each chain seeds."""
    index = pt.floor(pm.Uniform.dist(0.0, 1.0) * len(starts)).astype("int64")
    named = [free_values(program, start.p) for start in starts]
    return {name: pt.as_tensor(np.stack([one[name] for one in named]))[index] for name in named[0]}
