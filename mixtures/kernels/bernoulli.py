"""Bernoulli densities and counts from rows packed eight columns to a byte.

A byte of a row has 256 values: per pass and component the log densities of all of them are tabulated, and a row's density is
one look-up per byte. Responsibilities are summed per value of a byte, and counts of ones and zeros come from these sums. This
takes an eighth of the operations of a matrix product, and an eighth of a byte per cell. Four components stand side by side in
the tables, (components / 4, bytes, 256, 4), the last four filled up: one look-up serves them together. Eight bytes of a row are
a word, (words, rows). Words of four rows go through the tables together: their sums stay in registers, where rows and components
change places at the end.

References
----------
Arlazarov, Dinic, Kronrod & Faradzev (1970), Soviet Mathematics Doklady 11, 1209-1210 (tables of partial sums).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from .compiling import ROUNDING, Compiled, array, given, inner, read_only
from .softmax import ROW, TILE, keep_rows, soft_tile

__all__ = ["SIDE", "VALUES", "WORD", "density", "pack", "statistics", "tabulate", "whole_pass"]

VALUES = 256
"""Values of a byte."""
SIDE = 4
"""Components side by side, and rows taken together: there is room for as many words behind the last row's."""
BYTES = 8
"""Bytes in a word."""
WORD = 8 * BYTES
"""Columns in a word."""
_WORDS = types.Array(types.uint64, 2, "C", readonly=True)


def _pack(values, columns, start, stop, words):
    for j in range(columns.size):
        word, bit, column = words[j // WORD], np.uint64(1) << np.uint64(j % WORD), columns[j]
        for i in range(start, stop):
            if values[i, column] != 0.0:
                word[i] |= bit


pack = Compiled(
    types.void(read_only(2), given(1, types.intp), types.intp, types.intp, types.Array(types.uint64, 2, "C")), _pack
)
"""pack(values, columns, start, stop, words): sets the bits of words (words, n and some) where a column is not 0."""


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


# -- four rows and four components ------------------------------------------------------------------------------------------------

_FOUR = ir.VectorType(ir.DoubleType(), SIDE)


def _long(value: int) -> Any:
    return ir.Constant(ir.IntType(64), value)


def _place(context: Any, builder: Any, kind: Any, value: Any, index: Any) -> Any:
    """Pointer to an entry of a contiguous array, counted along memory."""
    return builder.gep(context.make_array(kind)(context, builder, value).data, [index])


def _four_of(builder: Any, start: Any, index: Any) -> Any:
    """Pointer to four numbers of an array from `index` on."""
    return builder.bitcast(builder.gep(start, [index]), _FOUR.as_pointer())


def _words(builder: Any, start: Any) -> list[Any]:
    """The words of four rows."""
    return [builder.load(builder.gep(start, [_long(i)])) for i in range(SIDE)]


def _entry(builder: Any, word: Any, table: Any, g: Any) -> Any:
    """Pointer to the entry that the g-th byte of a word has in its table."""
    byte = builder.and_(builder.lshr(word, builder.mul(g, _long(8))), _long(VALUES - 1))
    place = builder.add(builder.mul(g, _long(VALUES)), byte)
    return _four_of(builder, table, builder.mul(place, _long(SIDE)))


def _turned(builder: Any, rows: list[Any]) -> list[Any]:
    """The columns of four rows of four numbers."""

    def mixed(a: Any, b: Any, *places: int) -> Any:
        return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), SIDE), places))

    a, b, c, d = rows
    low, high = [mixed(a, b, 0, 4, 2, 6), mixed(c, d, 0, 4, 2, 6)], [mixed(a, b, 1, 5, 3, 7), mixed(c, d, 1, 5, 3, 7)]
    return [mixed(*low, 0, 1, 4, 5), mixed(*high, 0, 1, 4, 5), mixed(*low, 2, 3, 6, 7), mixed(*high, 2, 3, 6, 7)]


@intrinsic
def _look_up_four(
    typing_context: Any,
    words: Any,
    place: Any,
    table: Any,
    first: Any,
    count: Any,
    out: Any,
    at: Any,
    start: Any,
    h: Any,
) -> Any:
    """Sums of the entries of four rows, whose words begin at `place`, in the four rows of out (.. ROW) from `at` on.

    They begin with four numbers of `start`, from h on, or where h < 0 with what out has.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source, entries, to, begin = (
            _place(context, builder, signature.args[i], args[i], args[i + 1]) for i in (0, 2, 5, 7)
        )
        each, rows = _words(builder, source), [_four_of(builder, to, _long(ROW * i)) for i in range(SIDE)]
        sums = [cgutils.alloca_once(builder, _FOUR) for _ in each]
        with builder.if_else(builder.icmp_signed(">=", args[8], _long(0))) as (anew, further):
            with anew:
                numbers = builder.load(_four_of(builder, begin, _long(0)), align=8)
                for sum_ in sums:
                    builder.store(numbers, sum_)
            with further:
                for sum_, column in zip(sums, _turned(builder, [builder.load(r, align=8) for r in rows]), strict=True):
                    builder.store(column, sum_)
        with cgutils.for_range(builder, args[4]) as loop:
            for word, sum_ in zip(each, sums, strict=True):
                entry = builder.load(_entry(builder, word, entries, loop.index), align=8)
                builder.store(builder.fadd(builder.load(sum_), entry), sum_)
        for row, column in zip(rows, _turned(builder, [builder.load(sum_) for sum_ in sums]), strict=True):
            builder.store(column, row, align=8)
        return context.get_dummy_value()

    return types.void(words, types.intp, table, types.intp, types.intp, out, types.intp, start, types.intp), generate


@intrinsic
def _tally_four(
    typing_context: Any, words: Any, place: Any, tally: Any, first: Any, count: Any, four: Any, at: Any
) -> Any:
    """The reverse: the numbers of four rows, in the rows of four (4 ROW), added to the entries of their words."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source, start, numbers = (_place(context, builder, signature.args[i], args[i], args[i + 1]) for i in (0, 2, 5))
        each = _words(builder, source)
        columns = [builder.load(_four_of(builder, numbers, _long(ROW * i)), align=8) for i in range(SIDE)]
        rows = _turned(builder, columns)
        with cgutils.for_range(builder, args[4]) as loop:
            for word, row in zip(each, rows, strict=True):
                entry = _entry(builder, word, start, loop.index)
                builder.store(builder.fadd(builder.load(entry, align=8), row), entry, align=8)
        return context.get_dummy_value()

    return types.void(words, types.intp, tally, types.intp, types.intp, four, types.intp), generate


@inner(ROUNDING)
def _look_up(words, table, h, begin, count, start, out, at):
    """Log densities of a tile's rows under components 4 h and the next three, plus start[4 h] and so on, to out (.. ROW) from `at`."""
    size, count = table.shape[1], min(count, TILE)  # tells the compiler that indices cannot overflow
    for w in range(words.shape[0]):
        place, first, bytes_ = words.shape[1] * w + begin, SIDE * VALUES * (size * h + BYTES * w), size - BYTES * w
        origin = SIDE * h if w == 0 else -1
        for b in range(0, count, SIDE):
            _look_up_four(words, place + b, table, first, min(BYTES, bytes_), out, at + b, start, origin)


@inner(ROUNDING)
def _tally(words, numbers, at, h, begin, count, tally):
    """Responsibilities of the same components, in numbers (.. ROW) from `at`, added to tally (J / 4, bytes, 256, 4) by value of a byte.

    Behind the last row there must be zeros up to a multiple of four.
    """
    size, count = tally.shape[1], min(count, TILE)
    for w in range(words.shape[0]):
        place, first = words.shape[1] * w + begin, SIDE * VALUES * (size * h + BYTES * w)
        for b in range(0, count, SIDE):
            _tally_four(words, place + b, tally, first, min(BYTES, size - BYTES * w), numbers, at + b)


@inner(ROUNDING)
def _halves(one, size, up, down):
    """Sums (4,) of the second and of the first `size` entries; the second are added to the first."""
    a = b = c = d = e = f = g = h = 0.0
    for i in range(size):
        first, second = one[i], one[size + i]
        a += second[0]
        b += second[1]
        c += second[2]
        d += second[3]
        e += first[0]
        f += first[1]
        g += first[2]
        h += first[3]
        first[0] += second[0]
        first[1] += second[1]
        first[2] += second[2]
        first[3] += second[3]
    up[0], up[1], up[2], up[3] = a, b, c, d
    down[0], down[1], down[2], down[3] = e, f, g, h


@inner(ROUNDING)
def _count(tally, ones, zeros):
    """Sums where a bit is set and where it is not, (J, d), from sums by value; `tally` is used up."""
    up, down = np.empty(SIDE), np.empty(SIDE)
    for h in range(tally.shape[0]):
        for j in range(ones.shape[1] - 1, -1, -1):
            _halves(tally[h, j // 8], 1 << (j % 8), up, down)
            for side in range(min(SIDE, ones.shape[0] - SIDE * h)):
                ones[SIDE * h + side, j] += up[side]
                zeros[SIDE * h + side, j] += down[side]


def _whole_pass(words, v, table, log_weights, start, stop, rows, mass, ones, zeros):
    k, groups = log_weights.size, table.shape[0]
    every, work, weight = np.zeros((SIDE * groups, ROW)), np.empty((3, ROW)), np.empty(ROW)
    joint, numbers, origin, tally = every[:k], every.reshape(-1), np.zeros(SIDE * groups), np.zeros(table.shape)
    origin[:k] = log_weights
    value = 0.0
    for begin in range(start, stop, TILE):
        count = min(TILE, stop - begin)
        for b in range(count):
            weight[b] = v[begin + b]
        for h in range(groups):
            _look_up(words, table, h, begin, count, origin, numbers, SIDE * h * ROW)
        value += soft_tile(joint, weight, count, work, mass)
        if count < TILE:
            every[:, count : count + SIDE] = 0.0
        for h in range(groups):
            _tally(words, numbers, SIDE * h * ROW, h, begin, count, tally)
        keep_rows(work[2], begin, count, rows)
    _count(tally, ones, zeros)
    return value


whole_pass = Compiled(
    types.float64(
        _WORDS, read_only(1), given(4), given(1), types.intp, types.intp, array(1), array(1), array(2), array(2)
    ),
    _whole_pass,
)
"""whole_pass(words, v, table, log_weights, start, stop, rows, mass, ones, zeros) -> the sum of v times row values."""


def _density(words, table, start, stop, places, joint):
    four, origin = np.empty(SIDE * ROW), np.zeros(SIDE * table.shape[0])
    for tile in range((stop - start + TILE - 1) // TILE):
        begin = start + tile * TILE
        count = min(TILE, stop - begin)
        for h in range(table.shape[0]):
            _look_up(words, table, h, begin, count, origin, four, 0)
            for side in range(min(SIDE, places.size - SIDE * h)):
                one, out = four[side * ROW : side * ROW + ROW], joint[tile, places[SIDE * h + side]]
                for b in range(count):
                    out[b] += one[b]


density = Compiled(
    types.void(_WORDS, given(4), types.intp, types.intp, given(1, types.intp), array(3)),
    _density,
)
"""density(words, table, start, stop, places, joint): adds log densities to joint (tiles, K, ROW) at components places (J,)."""


def _statistics(words, joint, places, start, stop, ones, zeros):
    tally = np.zeros(((places.size + SIDE - 1) // SIDE, (ones.shape[1] + 7) // 8, VALUES, SIDE))
    four = np.zeros(SIDE * ROW)
    for tile in range((stop - start + TILE - 1) // TILE):
        begin = start + tile * TILE
        count = min(TILE, stop - begin)
        for h in range(tally.shape[0]):
            for side in range(min(SIDE, places.size - SIDE * h)):
                one, out = joint[tile, places[SIDE * h + side]], four[side * ROW : side * ROW + ROW]
                for b in range(count):
                    out[b] = one[b]
                out[count : count + SIDE] = 0.0  # rows behind the last, which are taken together with it
            _tally(words, four, 0, h, begin, count, tally)
    _count(tally, ones, zeros)


statistics = Compiled(
    types.void(_WORDS, given(3), given(1, types.intp), types.intp, types.intp, array(2), array(2)),
    _statistics,
)
"""statistics(words, joint, places, start, stop, ones, zeros): adds responsibilities where a column is 1 and where it is 0."""
