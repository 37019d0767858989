"""Drawing with nutpie, which compiles the model itself and takes starts as a random expression, evaluated once per chain."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from ..em.program import Program
from ..errors import FitError
from ..kernels.ahead import make_expected_ready
from . import stack
from .chains import ChainStart
from .compile import free_values

__all__ = ["POOL", "Nutpie", "without_gaps"]

POOL = 16
"""Starts that every chain picks one of, by its own seed."""


class Nutpie:
    """nutpie's NUTS on a model; it compiles the model itself.

    Raises
    ------
    FitError
        If nutpie is not installed.
    """

    def __init__(self, model: pm.Model, program: Program, target_accept: float) -> None:
        try:
            import nutpie
        except ImportError:
            raise FitError(
                "nuts_sampler='nutpie' needs nutpie: pip install 'mixtures-toolkit[fast]', or use nuts_sampler='pymc'."
            ) from None
        self.library: Any = nutpie
        self.model, self.program, self.target_accept = model, program, target_accept

    def prepare(self, starts: list[ChainStart]) -> None:
        """Compile the model; every chain will begin at one of `starts`, picked by its seed."""
        first = _random_starts(self.program, starts)
        self.compiled = self.library.compile_pymc_model(self.model, initial_points=first, jitter_rvs=set())
        make_expected_ready()  # before nutpie's threads call it

    @property
    def knows_its_matrix(self) -> bool:
        """nutpie adapts a mass matrix of its own."""
        return False

    def draw(self, *, random_seed: int, progressbar: bool, **settings: Any) -> Any:
        """What nutpie hands back, of an interrupted run the draws that there are.

        Raises
        ------
        KeyboardInterrupt
            If there are none.
        """
        with warnings.catch_warnings():
            few = r"(More chains .* than draws|Found chain dimension to be longer than draw)"  # of an interrupted run
            warnings.filterwarnings("ignore", message=few, category=UserWarning)
            trace = self.library.sample(
                self.compiled,
                seed=random_seed,
                progress_bar=progressbar,
                save_warmup=False,
                target_accept=self.target_accept,
                **settings,
            )
        return without_gaps(trace)


def _random_starts(program: Program, starts: list[ChainStart]) -> dict[str, Any]:
    """One of the starts, the same for every variable, picked by a random number that each chain seeds."""
    index = pt.floor(pm.Uniform.dist(0.0, 1.0) * len(starts)).astype("int64")
    named = [free_values(program, start.p) for start in starts]
    return {name: pt.as_tensor(np.stack([one[name] for one in named]))[index] for name in named[0]}


def without_gaps(trace: Any) -> Any:
    """The trace with as many draws as there can be in chains of one length; nutpie fills those of an interrupted run with NaN.

    Raises
    ------
    KeyboardInterrupt
        If no chain has a draw.
    """
    posterior = stack.group(trace, "posterior")
    free = next(iter(posterior.data_vars.values())).transpose("chain", "draw", ...).values
    drawn = ~np.isnan(free).any(axis=tuple(range(2, free.ndim)))
    lengths = drawn.sum(axis=1)
    longest = np.argsort(-lengths, kind="stable")
    count = 1 + int(np.argmax(lengths[longest] * np.arange(1, len(lengths) + 1)))
    length = int(lengths[longest[count - 1]])
    if length == 0:
        raise KeyboardInterrupt
    if drawn.all():
        return trace
    chains = np.sort(longest[:count])
    for name in stack.group_names(trace):
        data = stack.group(trace, name)
        if {"chain", "draw"} <= set(data.dims):
            stack.set_group(trace, name, data.isel(chain=chains, draw=slice(length)))
    return trace
