"""Random draws as one Op, so that a model's forward sampling runs under every linker of PyTensor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op

from ..families.base import Array
from .stack import register_native

__all__ = ["Drawing", "drawn_by"]


class Drawing(Op):
    """An array drawn by a NumPy function from a seed.

    Inputs are a uniform number that serves as the seed, the batch shape and the parameters; the function takes a generator, the batch shape as a tuple,
    and the parameters.

    Parameters
    ----------
    function
        Comparable and hashable, so that equal draws are the same Op.
    core_ndim
        Axes of one value.
    """

    __props__ = ("core_ndim", "function")

    def __init__(self, function: Callable[..., Array], core_ndim: int) -> None:
        self.function, self.core_ndim = function, core_ndim

    def make_node(self, seed: Any, batch: Sequence[Any], *parameters: Any) -> Apply:
        sizes = [pt.as_tensor_variable(size, dtype="int64") for size in batch]
        inputs = [pt.as_tensor_variable(seed), pt.stack(sizes) if sizes else pt.zeros((0,), dtype="int64")]
        inputs += [pt.as_tensor_variable(parameter) for parameter in parameters]
        return Apply(self, inputs, [pt.tensor(dtype="float64", shape=(None,) * (len(sizes) + self.core_ndim))])

    def perform(self, node: Apply, inputs: Sequence[Array], outputs: Any) -> None:
        seed, batch, *parameters = inputs
        rng = np.random.default_rng(int(float(seed) * 2.0**53))
        drawn = self.function(rng, tuple(int(size) for size in batch), *parameters)
        outputs[0][0] = np.asarray(drawn, dtype=np.float64)


def drawn_by(
    function: Callable[..., Array], core_ndim: int, batch_of: Callable[..., Sequence[Any]]
) -> Callable[..., Any]:
    """The `dist=` of a `pm.CustomDist` whose values `function` draws; `batch_of` gives the batch shape of the parameters alone."""

    def dist(*arguments: Any) -> Any:
        *parameters, size = arguments
        batch = batch_of(*parameters) if _is_none(size) else [size[i] for i in range(_length(size))]
        return Drawing(function, core_ndim)(pm.Uniform.dist(0.0, 1.0), batch, *parameters)

    return dist


def _is_none(size: Any) -> bool:
    return size is None or getattr(size, "data", 0) is None or not hasattr(size.type, "ndim")


def _length(size: Any) -> int:
    length = size.type.shape[0]
    assert length is not None
    return int(length)


register_native(Drawing)
