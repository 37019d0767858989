"""Columns of rows, copied to where kernels work: as vectors where a column is contiguous, whatever its layout else."""

from __future__ import annotations

from typing import Any

from numba.core.imputils import impl_ret_borrowed
from numba.extending import intrinsic

from .compiling import ROUNDING, inner

__all__ = ["standardised_column", "tile_weights"]

ITEM = 8
"""Bytes from one number to the next in a contiguous column."""


@intrinsic
def _as_contiguous(typing_context: Any, column: Any) -> Any:
    """The same array with a type that says that its numbers are contiguous: the caller has looked at its stride."""
    contiguous = column.copy(layout="C")

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return impl_ret_borrowed(context, builder, signature.return_type, args[0])

    return contiguous(column), generate


@inner(ROUNDING)
def standardised_column(column, center, inverse_scale, out):
    """(column - center) inverse_scale, to the beginning of out."""
    if column.strides[0] == ITEM:
        packed = _as_contiguous(column)
        for b in range(column.size):
            out[b] = (packed[b] - center) * inverse_scale
    else:
        for b in range(column.size):
            out[b] = (column[b] - center) * inverse_scale


@inner(ROUNDING)
def tile_weights(v, start, begin, count, out):
    """Weights of rows begin to begin + count, to the beginning of out; one weight of all rows stands there from the tile at `start` on."""
    if begin == start or v.strides[0] != 0:
        standardised_column(v[begin : begin + count], 0.0, 1.0, out)
