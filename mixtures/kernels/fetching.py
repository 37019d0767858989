"""Rows of later tiles, asked for from memory while a tile is worked on.

Processors fetch ahead by themselves, but not beyond a page of 4096 bytes, which is a tile of two columns. All lines of a tile
asked for at once would wait for each other as the loads do: they are asked for in parts, between the loops over a tile.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from .columns import ITEM
from .compiling import ROUNDING, inner
from .softmax import TILE

__all__ = ["fetch", "fetched_lines"]

LINE = 64
"""Bytes of a cache line; where a machine's are longer, some are asked for twice."""
DISTANCE = 2
"""Tiles ahead."""
SMALL = 4 << 20
"""Bytes of rows that caches hold from one pass to the next."""
AT_ONCE = 24
"""Lines asked for at once, about as many as a processor has under way: where parts of a tile would be more, as those of wide rows, none."""


@intrinsic
def _ask(typing_context: Any, array: Any, offset: Any) -> Any:
    """Ask for the cache line so many bytes after the array's first number; an address that is none does no harm."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        integer, pointer = ir.IntType(32), ir.IntType(8).as_pointer()
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        kind = ir.FunctionType(ir.VoidType(), [pointer, integer, integer, integer])
        prefetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        read, keep, of_data = (ir.Constant(integer, number) for number in (0, 3, 1))
        builder.call(prefetch, [builder.gep(builder.bitcast(data, pointer), [args[1]]), read, keep, of_data])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


@inner(ROUNDING)
def fetched_lines(values, columns, parts):
    """Cache lines of a tile of these columns (d,) of rows (n, c), to be fetched in parts; none where that does not pay."""
    row = values.strides[0] if values.strides[0] != ITEM else ITEM * columns.size
    lines = TILE * row // LINE
    return lines if row * values.shape[0] > SMALL and lines <= AT_ONCE * parts else 0


@inner(ROUNDING)
def fetch(values, columns, begin, lines, part, parts):
    """Ask for a part of the lines of the tile `DISTANCE` after that of row `begin`."""
    row, per_column = begin + DISTANCE * TILE, TILE * ITEM // LINE
    if row + TILE > values.shape[0]:
        return
    first, end, start = lines * part // parts, lines * (part + 1) // parts, row * values.strides[0]
    if values.strides[0] == ITEM:
        for i in range(first, end):
            column = columns[i // per_column] * values.strides[1]
            _ask(values, start + column + (i % per_column) * LINE)
    else:
        for i in range(first, end):
            _ask(values, start + i * LINE)
