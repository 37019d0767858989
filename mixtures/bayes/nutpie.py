"""Drawing with nutpie, which compiles the model itself and takes starts as a random expression, one seed per chain."""

from __future__ import annotations

from typing import Any

import pymc as pm

from ..em.program import Params, Program
from ..errors import FitError

__all__ = ["draw"]


def draw(model: pm.Model, program: Program, pivot: Params, **settings: Any) -> Any:
    """Draws of nutpie's NUTS."""
    raise FitError("nuts_sampler='nutpie' is not supported yet.")
