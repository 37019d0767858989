"""Where PyMC records draws: its own arrays, with one compiled function from sampled to named values for all chains."""

from __future__ import annotations

from typing import Any

import pymc as pm
import pytensor
from pymc.backends.ndarray import NDArray
from pymc.pytensorf import compile as compile_graph

__all__ = ["Recorder"]


class Recorder(NDArray):
    """PyMC copies one recorder per chain; each copy shares the compiled function and starts empty."""

    @classmethod
    def of(cls, model: pm.Model, mode: Any) -> Recorder:
        """For a model; the function is compiled here, in the mode that densities are sampled in."""
        names = model.unobserved_value_vars
        function = compile_graph(
            inputs=[pytensor.In(v, borrow=True) for v in model.value_vars],
            outputs=[pytensor.Out(v, borrow=True) for v in names],
            on_unused_input="ignore",
            mode=mode,
        )
        function.trust_input = True
        return cls(model=model, vars=names, test_point=model.initial_point(), fn=function)

    def __copy__(self) -> Recorder:
        shapes: dict[str, Any] = {"var_shapes": self.var_shapes, "var_dtypes": self.var_dtypes}
        return type(self)(model=self.model, vars=self.vars, fn=self.fn, **shapes)
