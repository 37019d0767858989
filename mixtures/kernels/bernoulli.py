"""Bernoulli densities and counts from rows packed eight columns to a byte.

A byte of a row has 256 values: per pass and component the log densities of all of them are tabulated, and a row's density is
one look-up per byte. Responsibilities are summed per value of a byte, and counts of ones and zeros come from these sums. This
takes an eighth of the operations of a matrix product, and an eighth of a byte per cell. Four components stand side by side in
the tables, (components / 4, bytes, 256, 4), the last four filled up: one look-up serves them together.

References
----------
Arlazarov, Dinic, Kronrod & Faradzev (1970), Soviet Mathematics Doklady 11, 1209-1210 (tables of partial sums).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from .compiling import ROUNDING, Compiled, array, given, inner, read_only
from .softmax import ROW, TILE, soft_tile

__all__ = ["SIDE", "VALUES", "density", "pack", "statistics", "tabulate", "whole_pass"]

VALUES = 256
"""Values of a byte."""
SIDE = 4
"""Components side by side."""
_CODES = types.Array(types.uint8, 2, "C", readonly=True)


def _pack(values, columns, start, stop, codes):
    for j in range(columns.size):
        byte, bit, column = codes[j // 8], np.uint8(1 << (j % 8)), columns[j]
        for i in range(start, stop):
            if values[i, column] != 0.0:
                byte[i] |= bit


pack = Compiled(
    types.void(read_only(2), given(1, types.intp), types.intp, types.intp, types.Array(types.uint8, 2, "C")), _pack
)
"""pack(values, columns, start, stop, codes): sets the bits of codes (bytes, n) where a column is not 0."""


def _tabulate(on, off, table):
    d = on.shape[1]
    for j in range(on.shape[0]):
        side = j % SIDE
        for g in range(table.shape[1]):
            one = table[j // SIDE, g]
            one[0, side] = 0.0
            size = 1
            for i in range(8 * g, min(8 * g + 8, d)):
                for c in range(size):
                    one[size + c, side] = one[c, side] + on[j, i]
                    one[c, side] += off[j, i]
                size *= 2


tabulate = Compiled(types.void(given(2), given(2), array(4)), _tabulate)
"""tabulate(on, off, table): table (J / 4, bytes, 256, 4) of the sums of on (J, d) where a bit is set and off (J, d) where it is not."""


@intrinsic
def _add_four(typing_context: Any, out: Any, at: Any, one: Any, place: Any) -> Any:
    """Four numbers of `one` from `place` on, added to those of `out` from `at` on, both counted along contiguous memory."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        four = ir.VectorType(ir.DoubleType(), SIDE).as_pointer()
        to, source = (
            builder.bitcast(
                builder.gep(context.make_array(signature.args[i])(context, builder, args[i]).data, [args[i + 1]]), four
            )
            for i in (0, 2)
        )
        total = builder.fadd(builder.load(to, align=8), builder.load(source, align=8))
        builder.store(total, to, align=8)
        return context.get_dummy_value()

    return types.void(out, types.intp, one, types.intp), generate


@inner(ROUNDING)
def _look_up(codes, table, begin, count, out):
    """Log densities of four components and a tile, out (ROW * 4,)."""
    count = min(count, TILE)  # tells the compiler that indices cannot overflow
    out[: SIDE * count] = 0.0
    for g in range(codes.shape[0]):
        byte = codes[g, begin : begin + count]
        for b in range(count):
            _add_four(out, SIDE * b, table, SIDE * (VALUES * g + np.intp(byte[b])))


@inner(ROUNDING)
def _tally(codes, r, begin, count, tally):
    """Add r (ROW * 4,) of four components and a tile to tally (bytes, 256, 4) by the value of each byte."""
    count = min(count, TILE)
    for g in range(codes.shape[0]):
        byte = codes[g, begin : begin + count]
        for b in range(count):
            _add_four(tally, SIDE * (VALUES * g + np.intp(byte[b])), r, SIDE * b)


@inner(ROUNDING)
def _spread(four, count, joint, first, places):
    """Add four (ROW * 4,) to the rows of joint (K, ROW) of components places[first] and the next three."""
    for side in range(min(SIDE, places.size - first)):
        out = joint[places[first + side]]
        for b in range(count):
            out[b] += four[4 * b + side]


@inner(ROUNDING)
def _gather(joint, first, places, count, four):
    """The reverse of `_spread`; where there is no component, four stays as it is."""
    for side in range(min(SIDE, places.size - first)):
        one = joint[places[first + side]]
        for b in range(count):
            four[4 * b + side] = one[b]


@inner(ROUNDING)
def _count(tally, ones, zeros):
    """Sums where a bit is set and where it is not, (J, d), from sums by value; `tally` is used up."""
    for j in range(ones.shape[0]):
        side = j % SIDE
        for g in range(tally.shape[1]):
            one = tally[j // SIDE, g]
            size = VALUES
            for bit in range(7, -1, -1):
                size //= 2
                up = down = 0.0
                for c in range(size):
                    up += one[size + c, side]
                    down += one[c, side]
                    one[c, side] += one[size + c, side]
                if 8 * g + bit < ones.shape[1]:
                    ones[j, 8 * g + bit] += up
                    zeros[j, 8 * g + bit] += down


def _whole_pass(codes, v, table, log_weights, start, stop, rows, mass, ones, zeros):
    k = log_weights.size
    joint, work, weight = np.empty((k, ROW)), np.empty((3, ROW)), np.empty(ROW)
    tally, four, places = np.zeros(table.shape), np.zeros(SIDE * ROW), np.arange(k)
    value = 0.0
    for begin in range(start, stop, TILE):
        count = min(TILE, stop - begin)
        for b in range(count):
            weight[b] = v[begin + b]
        for j in range(k):
            joint[j] = log_weights[j]
        for h in range(table.shape[0]):
            _look_up(codes, table[h], begin, count, four)
            _spread(four, count, joint, SIDE * h, places)
        value += soft_tile(joint, weight, count, work, mass)
        for h in range(table.shape[0]):
            _gather(joint, SIDE * h, places, count, four)
            _tally(codes, four, begin, count, tally[h])
        if rows.size > 0:
            for b in range(count):
                rows[begin + b] = work[2, b]
    _count(tally, ones, zeros)
    return value


whole_pass = Compiled(
    types.float64(
        _CODES, read_only(1), given(4), given(1), types.intp, types.intp, array(1), array(1), array(2), array(2)
    ),
    _whole_pass,
)
"""whole_pass(codes, v, table, log_weights, start, stop, rows, mass, ones, zeros) -> the sum of v times row values."""


def _density(codes, table, start, stop, places, joint):
    four = np.empty(SIDE * ROW)
    for tile in range((stop - start + TILE - 1) // TILE):
        begin = start + tile * TILE
        count = min(TILE, stop - begin)
        for h in range(table.shape[0]):
            _look_up(codes, table[h], begin, count, four)
            _spread(four, count, joint[tile], SIDE * h, places)


density = Compiled(
    types.void(_CODES, given(4), types.intp, types.intp, given(1, types.intp), array(3)),
    _density,
)
"""density(codes, table, start, stop, places, joint): adds log densities to joint (tiles, K, ROW) at components places (J,)."""


def _statistics(codes, joint, places, start, stop, ones, zeros):
    tally = np.zeros(((places.size + SIDE - 1) // SIDE, codes.shape[0], VALUES, SIDE))
    four = np.zeros(SIDE * ROW)
    for tile in range((stop - start + TILE - 1) // TILE):
        begin = start + tile * TILE
        count = min(TILE, stop - begin)
        for h in range(tally.shape[0]):
            _gather(joint[tile], SIDE * h, places, count, four)
            _tally(codes, four, begin, count, tally[h])
    _count(tally, ones, zeros)


statistics = Compiled(
    types.void(_CODES, given(3), given(1, types.intp), types.intp, types.intp, array(2), array(2)),
    _statistics,
)
"""statistics(codes, joint, places, start, stop, ones, zeros): adds responsibilities where a column is 1 and where it is 0."""
