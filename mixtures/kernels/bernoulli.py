"""Bernoulli densities and counts from rows packed eight columns to a byte.

A byte of a row has 256 values: per pass and component the log densities of all of them are tabulated, and a row's density is
one look-up per byte. Responsibilities are summed per value of a byte, and counts of ones and zeros come from these sums. This
takes an eighth of the operations of a matrix product, and an eighth of a byte per cell. Four components, or eight where there are
more, stand side by side in the tables, (components / side, bytes, 256, side), the last filled up: one look-up serves them together,
and eight numbers are a line of the cache. Eight bytes of a row are a word, (words, rows). Words of four rows go through the tables
together: their sums stay in registers, where rows and components change places at the end.

References
----------
Arlazarov, Dinic, Kronrod & Faradzev (1970), Soviet Mathematics Doklady 11, 1209-1210 (tables of partial sums).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from .columns import tile_weights
from .compiling import ROUNDING, Compiled, array, given, inner, read_only
from .softmax import ROW, TILE, soft_tile

__all__ = ["ROWS", "VALUES", "WORD", "WORDS", "density", "pack", "statistics", "tabulate", "whole_pass", "width"]

VALUES = 256
"""Values of a byte."""
FOUR, EIGHT = 4, 8
"""Components side by side."""
ROWS = 4
"""Rows taken together: there is room for as many words behind the last row's."""
BYTES = 8
"""Bytes in a word."""
WORD = 8 * BYTES
"""Columns in a word."""
WORDS = types.Array(types.uint64, 2, "C", readonly=True)
"""Type of packed rows (words, n and some)."""


@inner(ROUNDING)
def _width(count):
    return FOUR if count <= FOUR else EIGHT


def width(count: int) -> int:
    """How many of so many components stand side by side."""
    return int(_width.py_func(count))


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


@inner(ROUNDING)
def _double(one, size, i, on, off):
    """Four sums, from i on, of entries without and with the next bit, from the first `size`, which lack it."""
    up0, up1, up2, up3 = on[i], on[i + 1], on[i + 2], on[i + 3]
    down0, down1, down2, down3 = off[i], off[i + 1], off[i + 2], off[i + 3]
    for entry in range(size):
        first, second = one[entry, i : i + FOUR], one[size + entry, i : i + FOUR]
        a, b, c, d = first[0], first[1], first[2], first[3]
        second[0], second[1], second[2], second[3] = a + up0, b + up1, c + up2, d + up3
        first[0], first[1], first[2], first[3] = a + down0, b + down1, c + down2, d + down3


def _tabulate(probability, table):
    (k, d), side = probability.shape, table.shape[3]
    on, off = np.empty(side), np.empty(side)
    for h in range(table.shape[0]):
        on[:] = off[:] = 0.0
        for j in range(d):
            for i in range(min(side, k - side * h)):
                p = probability[side * h + i, j]
                on[i], off[i] = np.log(p), np.log1p(-p)
            one = table[h, j // 8]
            if j % 8 == 0:
                one[0] = 0.0
            for i in range(0, side, FOUR):
                _double(one, 1 << (j % 8), i, on, off)


tabulate = Compiled(types.void(given(2), array(4)), _tabulate)
"""tabulate(probability, table): table (K / side, bytes, 256, side), zeros before, of the log densities of all values of a byte."""


# -- four rows and four or eight components ---------------------------------------------------------------------------------------


def _long(value: int) -> Any:
    return ir.Constant(ir.IntType(64), value)


def _place(context: Any, builder: Any, kind: Any, value: Any, index: Any) -> Any:
    """Pointer to an entry of a contiguous array, counted along memory."""
    return builder.gep(context.make_array(kind)(context, builder, value).data, [index])


def _numbers(count: int) -> Any:
    return ir.VectorType(ir.DoubleType(), count)


def _several(builder: Any, start: Any, index: Any, count: int) -> Any:
    """Pointer to so many numbers of an array from `index` on."""
    return builder.bitcast(builder.gep(start, [index]), _numbers(count).as_pointer())


def _words(builder: Any, start: Any) -> list[Any]:
    """The words of four rows."""
    return [builder.load(builder.gep(start, [_long(i)])) for i in range(ROWS)]


def _entry(builder: Any, word: Any, table: Any, g: Any, side: int) -> Any:
    """Pointer to the entry that the g-th byte of a word has in its table."""
    byte = builder.and_(builder.lshr(word, builder.mul(g, _long(8))), _long(VALUES - 1))
    place = builder.add(builder.mul(g, _long(VALUES)), byte)
    return _several(builder, table, builder.mul(place, _long(side)), side)


def _mixed(builder: Any, a: Any, b: Any, places: Sequence[int]) -> Any:
    """Numbers of two vectors, counted through both."""
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), len(places)), tuple(places)))


def _turned(builder: Any, rows: list[Any]) -> list[Any]:
    """The columns of four rows of four numbers."""
    a, b, c, d = rows
    even, odd = (
        (_mixed(builder, a, b, places), _mixed(builder, c, d, places)) for places in ((0, 4, 2, 6), (1, 5, 3, 7))
    )
    first, last = (0, 1, 4, 5), (2, 3, 6, 7)
    return [_mixed(builder, low, high, places) for places in (first, last) for low, high in (even, odd)]


def _columns(builder: Any, rows: list[Any], side: int) -> list[Any]:
    """The columns, four numbers each, of four rows of `side` numbers."""
    if side == FOUR:
        return _turned(builder, rows)
    return [
        column
        for begin in range(0, side, FOUR)
        for column in _turned(builder, [_mixed(builder, row, row, range(begin, begin + FOUR)) for row in rows])
    ]


def _rows(builder: Any, columns: list[Any]) -> list[Any]:
    """The reverse."""
    halves = [_turned(builder, columns[begin : begin + FOUR]) for begin in range(0, len(columns), FOUR)]
    if len(halves) == 1:
        return halves[0]
    return [_mixed(builder, low, high, range(EIGHT)) for low, high in zip(*halves, strict=True)]


@intrinsic(prefer_literal=True)
def _look_up_rows(
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
    side: Any,
) -> Any:
    """Sums of the entries of four rows, whose words begin at `place`, in `side` rows of out (.. ROW) from `at` on.

    They begin with the numbers of `start`, from h on, or where h < 0 with what out has.
    """
    width = side.literal_value

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source, entries, to, begin = (
            _place(context, builder, signature.args[i], args[i], args[i + 1]) for i in (0, 2, 5, 7)
        )
        each = _words(builder, source)
        parts = [_several(builder, to, _long(ROW * i), ROWS) for i in range(width)]
        sums = [cgutils.alloca_once(builder, _numbers(width)) for _ in each]
        with builder.if_else(builder.icmp_signed(">=", args[8], _long(0))) as (anew, further):
            with anew:
                numbers = builder.load(_several(builder, begin, _long(0), width), align=8)
                for sum_ in sums:
                    builder.store(numbers, sum_)
            with further:
                known = _rows(builder, [builder.load(part, align=8) for part in parts])
                for sum_, row in zip(sums, known, strict=True):
                    builder.store(row, sum_)
        with cgutils.for_range(builder, args[4]) as loop:
            for word, sum_ in zip(each, sums, strict=True):
                entry = builder.load(_entry(builder, word, entries, loop.index, width), align=8)
                builder.store(builder.fadd(builder.load(sum_), entry), sum_)
        found = _columns(builder, [builder.load(sum_) for sum_ in sums], width)
        for part, column in zip(parts, found, strict=True):
            builder.store(column, part, align=8)
        return context.get_dummy_value()

    kinds = (words, types.intp, table, types.intp, types.intp, out, types.intp, start, types.intp, side)
    return types.void(*kinds), generate


@intrinsic(prefer_literal=True)
def _tally_rows(
    typing_context: Any, words: Any, place: Any, tally: Any, first: Any, count: Any, numbers: Any, at: Any, side: Any
) -> Any:
    """The reverse: what four rows have in `side` rows of numbers (.. ROW), added to the entries of their words."""
    width = side.literal_value

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source, start, parts = (_place(context, builder, signature.args[i], args[i], args[i + 1]) for i in (0, 2, 5))
        each = _words(builder, source)
        columns = [builder.load(_several(builder, parts, _long(ROW * i), ROWS), align=8) for i in range(width)]
        rows = _rows(builder, columns)
        with cgutils.for_range(builder, args[4]) as loop:
            for word, row in zip(each, rows, strict=True):
                entry = _entry(builder, word, start, loop.index, width)
                builder.store(builder.fadd(builder.load(entry, align=8), row), entry, align=8)
        return context.get_dummy_value()

    return types.void(words, types.intp, tally, types.intp, types.intp, numbers, types.intp, side), generate


@inner(ROUNDING)
def _look_up(words, table, h, begin, count, start, out, at):
    """Log densities of a tile's rows under the h-th components side by side, plus theirs of `start`, to out (.. ROW) from `at`."""
    size, count = table.shape[1], min(count, TILE)  # tells the compiler that indices cannot overflow
    for w in range(words.shape[0]):
        place, first = words.shape[1] * w + begin, table.shape[3] * VALUES * (size * h + BYTES * w)
        bytes_, origin = min(BYTES, size - BYTES * w), table.shape[3] * h if w == 0 else -1
        if table.shape[3] == EIGHT:
            for b in range(0, count, ROWS):
                _look_up_rows(words, place + b, table, first, bytes_, out, at + b, start, origin, EIGHT)
        else:
            for b in range(0, count, ROWS):
                _look_up_rows(words, place + b, table, first, bytes_, out, at + b, start, origin, FOUR)


@inner(ROUNDING)
def _tally(words, numbers, at, h, begin, count, tally):
    """Responsibilities of the same components, in numbers (.. ROW) from `at`, added to tally (J / side, bytes, 256, side) by value of a byte.

    Behind the last row there must be zeros up to a multiple of four.
    """
    size, count = tally.shape[1], min(count, TILE)
    for w in range(words.shape[0]):
        place, first = words.shape[1] * w + begin, tally.shape[3] * VALUES * (size * h + BYTES * w)
        bytes_ = min(BYTES, size - BYTES * w)
        if tally.shape[3] == EIGHT:
            for b in range(0, count, ROWS):
                _tally_rows(words, place + b, tally, first, bytes_, numbers, at + b, EIGHT)
        else:
            for b in range(0, count, ROWS):
                _tally_rows(words, place + b, tally, first, bytes_, numbers, at + b, FOUR)


@inner(ROUNDING)
def _halves(one, size, i, up, down):
    """Sums of four numbers, from i on, of the second and of the first `size` entries; the second are added to the first."""
    a = b = c = d = e = f = g = h = 0.0
    for entry in range(size):
        first, second = one[entry, i : i + FOUR], one[size + entry, i : i + FOUR]
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
    up[i], up[i + 1], up[i + 2], up[i + 3] = a, b, c, d
    down[i], down[i + 1], down[i + 2], down[i + 3] = e, f, g, h


@inner(ROUNDING)
def _count(tally, ones, zeros):
    """Sums where a bit is set and where it is not, (J, d), from sums by value; `tally` is used up."""
    width = tally.shape[3]
    up, down = np.empty(width), np.empty(width)
    for h in range(tally.shape[0]):
        for j in range(ones.shape[1] - 1, -1, -1):
            for i in range(0, width, FOUR):
                _halves(tally[h, j // 8], 1 << (j % 8), i, up, down)
            for i in range(min(width, ones.shape[0] - width * h)):
                ones[width * h + i, j] += up[i]
                zeros[width * h + i, j] += down[i]


def _whole_pass(words, v, table, log_weights, start, stop, rows, mass, ones, zeros):
    k, groups, width = log_weights.size, table.shape[0], table.shape[3]
    every, work, weight = np.zeros((width * groups, ROW)), np.empty((3, ROW)), np.empty(ROW)
    joint, numbers, origin, tally = every[:k], every.reshape(-1), np.zeros(width * groups), np.zeros(table.shape)
    origin[:k] = log_weights
    value = 0.0
    for begin in range(start, stop, TILE):
        count = min(TILE, stop - begin)
        tile_weights(v, start, begin, count, weight)
        for h in range(groups):
            _look_up(words, table, h, begin, count, origin, numbers, width * h * ROW)
        value += soft_tile(joint, weight, count, work, mass, begin, rows)
        if count < TILE:
            every[:, count : count + ROWS] = 0.0
        for h in range(groups):
            _tally(words, numbers, width * h * ROW, h, begin, count, tally)
    _count(tally, ones, zeros)
    return value


whole_pass = Compiled(
    types.float64(
        WORDS, read_only(1), given(4), given(1), types.intp, types.intp, array(1), array(1), array(2), array(2)
    ),
    _whole_pass,
)
"""whole_pass(words, v, table, log_weights, start, stop, rows, mass, ones, zeros) -> the sum of v times row values."""


def _density(words, table, start, stop, places, joint):
    width = table.shape[3]
    numbers, origin = np.empty(width * ROW), np.zeros(width * table.shape[0])
    for tile in range((stop - start + TILE - 1) // TILE):
        begin = start + tile * TILE
        count = min(TILE, stop - begin)
        for h in range(table.shape[0]):
            _look_up(words, table, h, begin, count, origin, numbers, 0)
            for i in range(min(width, places.size - width * h)):
                one, out = numbers[i * ROW : i * ROW + ROW], joint[tile, places[width * h + i]]
                for b in range(count):
                    out[b] += one[b]


density = Compiled(
    types.void(WORDS, given(4), types.intp, types.intp, given(1, types.intp), array(3)),
    _density,
)
"""density(words, table, start, stop, places, joint): adds log densities to joint (tiles, K, ROW) at components places (J,)."""


def _statistics(words, joint, places, start, stop, ones, zeros):
    width = _width(places.size)
    tally = np.zeros(((places.size + width - 1) // width, (ones.shape[1] + 7) // 8, VALUES, width))
    numbers = np.zeros(width * ROW)
    for tile in range((stop - start + TILE - 1) // TILE):
        begin = start + tile * TILE
        count = min(TILE, stop - begin)
        for h in range(tally.shape[0]):
            for i in range(min(width, places.size - width * h)):
                one, out = joint[tile, places[width * h + i]], numbers[i * ROW : i * ROW + ROW]
                for b in range(count):
                    out[b] = one[b]
                out[count : count + ROWS] = 0.0  # rows behind the last, which are taken together with it
            _tally(words, numbers, 0, h, begin, count, tally)
    _count(tally, ones, zeros)


statistics = Compiled(
    types.void(WORDS, given(3), given(1, types.intp), types.intp, types.intp, array(2), array(2)),
    _statistics,
)
"""statistics(words, joint, places, start, stop, ones, zeros): adds responsibilities where a column is 1 and where it is 0."""
