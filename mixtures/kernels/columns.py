"""Columns of rows, copied to where kernels work: as vectors where a column is contiguous, whatever its layout else."""

from __future__ import annotations

from typing import Any

from numba.core.imputils import impl_ret_borrowed
from numba.extending import intrinsic

from .compiling import ROUNDING, inner

__all__ = ["copy_column"]

ITEM = 8
"""Bytes from one number to the next in a contiguous column."""


@intrinsic
def _as_contiguous(typing_context: Any, column: Any) -> Any:
    """The same array with a type that says that its numbers are contiguous, which the caller knows."""
    contiguous = column.copy(layout="C")

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return impl_ret_borrowed(context, builder, signature.return_type, args[0])

    return contiguous(column), generate


@inner(ROUNDING)
def copy_column(column, center, inverse_scale, out):
    """(column - center) inverse_scale, to the beginning of out."""
    if column.strides[0] == ITEM:
        near = _as_contiguous(column)
        for b in range(column.size):
            out[b] = (near[b] - center) * inverse_scale
    else:
        for b in range(column.size):
            out[b] = (column[b] - center) * inverse_scale
