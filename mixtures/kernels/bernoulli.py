"""Bernoulli densities and counts from rows packed eight columns to a byte.

A byte of a row has 256 values: per pass and component the log densities of all of them are tabulated, and a row's density is
one look-up per byte. Responsibilities are summed per value of a byte, and counts of ones and zeros come from these sums. This
takes an eighth of the operations of a matrix product, and an eighth of a byte per cell.

References
----------
Arlazarov, Dinic, Kronrod & Faradzev (1970), Soviet Mathematics Doklady 11, 1209-1210 (tables of partial sums).
"""

from __future__ import annotations

import numpy as np
from numba.core import types

from .compiling import ROUNDING, Compiled, array, given, inner, read_only
from .softmax import ROW, TILE, soft_tile

__all__ = ["VALUES", "density", "pack", "statistics", "tabulate", "whole_pass"]

VALUES = 256
"""Values of a byte."""
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
        for g in range(table.shape[1]):
            one = table[j, g]
            one[0] = 0.0
            size = 1
            for i in range(8 * g, min(8 * g + 8, d)):
                for c in range(size):
                    one[size + c] = one[c] + on[j, i]
                    one[c] += off[j, i]
                size *= 2


tabulate = Compiled(types.void(given(2), given(2), array(3)), _tabulate)
"""tabulate(on, off, table): table (J, bytes, 256) of the sums of on (J, d) where a bit is set and off (J, d) where it is not."""


@inner(ROUNDING)
def _look_up(codes, table, begin, count, out):
    """Add one component's log densities of a tile to out (ROW,)."""
    for g in range(codes.shape[0]):
        byte, one = codes[g, begin : begin + count], table[g]
        for b in range(count):
            out[b] += one[byte[b]]


@inner(ROUNDING)
def _tally(codes, r, begin, count, tally):
    """Add r (ROW,) of a tile to tally (bytes, 256) by the value of each byte."""
    for g in range(codes.shape[0]):
        byte, one = codes[g, begin : begin + count], tally[g]
        for b in range(count):
            one[byte[b]] += r[b]


@inner(ROUNDING)
def _count(tally, ones, zeros):
    """Sums where a bit is set and where it is not, (J, d), from sums by value; `tally` is used up."""
    for j in range(ones.shape[0]):
        for g in range(tally.shape[1]):
            one = tally[j, g]
            size = VALUES
            for bit in range(7, -1, -1):
                size //= 2
                up = down = 0.0
                for c in range(size):
                    up += one[size + c]
                    down += one[c]
                    one[c] += one[size + c]
                if 8 * g + bit < ones.shape[1]:
                    ones[j, 8 * g + bit] += up
                    zeros[j, 8 * g + bit] += down


def _whole_pass(codes, v, table, log_weights, start, stop, rows, mass, ones, zeros):
    k = table.shape[0]
    joint, work, weight = np.empty((k, ROW)), np.empty((3, ROW)), np.empty(ROW)
    tally = np.zeros(table.shape)
    value = 0.0
    for begin in range(start, stop, TILE):
        count = min(TILE, stop - begin)
        for b in range(count):
            weight[b] = v[begin + b]
        for j in range(k):
            joint[j] = log_weights[j]
            _look_up(codes, table[j], begin, count, joint[j])
        value += soft_tile(joint, weight, count, work, mass)
        for j in range(k):
            _tally(codes, joint[j], begin, count, tally[j])
        if rows.size > 0:
            for b in range(count):
                rows[begin + b] = work[2, b]
    _count(tally, ones, zeros)
    return value


whole_pass = Compiled(
    types.float64(
        _CODES, read_only(1), given(3), given(1), types.intp, types.intp, array(1), array(1), array(2), array(2)
    ),
    _whole_pass,
)
"""whole_pass(codes, v, table, log_weights, start, stop, rows, mass, ones, zeros) -> the sum of v times row values."""


def _density(codes, table, start, stop, places, joint):
    for tile in range((stop - start + TILE - 1) // TILE):
        begin = start + tile * TILE
        for j in range(places.size):
            _look_up(codes, table[j], begin, min(TILE, stop - begin), joint[tile, places[j]])


density = Compiled(
    types.void(_CODES, given(3), types.intp, types.intp, given(1, types.intp), array(3)),
    _density,
)
"""density(codes, table, start, stop, places, joint): adds log densities to joint (tiles, K, ROW) at components places (J,)."""


def _statistics(codes, joint, places, start, stop, ones, zeros):
    tally = np.zeros((places.size, codes.shape[0], VALUES))
    for tile in range((stop - start + TILE - 1) // TILE):
        begin = start + tile * TILE
        for j in range(places.size):
            _tally(codes, joint[tile, places[j]], begin, min(TILE, stop - begin), tally[j])
    _count(tally, ones, zeros)


statistics = Compiled(
    types.void(_CODES, given(3), given(1, types.intp), types.intp, types.intp, array(2), array(2)),
    _statistics,
)
"""statistics(codes, joint, places, start, stop, ones, zeros): adds responsibilities where a column is 1 and where it is 0."""
