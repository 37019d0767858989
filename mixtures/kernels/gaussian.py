"""Gaussian densities and statistics in tiles of rows: y = L^-1 (x - mean), and the sums of r y and r y y'.

Full covariances take their columns in groups of four, the last filled up with zeros: d below is then a multiple of four, and
the columns of a group lie in one row of a buffer, (d / 4, 4 ROW). Each inner loop does up to sixteen products per row.
"""

from __future__ import annotations

import numpy as np
from numba.core import types

from .columns import standardised_column, tile_weights
from .compiling import ROUNDING, SUMMING, Compiled, array, given, inner, read_only
from .fetching import fetch, fetched_lines
from .softmax import ROW, TILE, ratio_tile, soft_tile

__all__ = [
    "density",
    "diagonal_density",
    "diagonal_pass",
    "diagonal_statistics",
    "full_pass",
    "pair_pass",
    "single_pass",
    "statistics",
]

_1, _2, _3 = ROW, 2 * ROW, 3 * ROW  # where the columns of a group begin, after the first


@inner(ROUNDING)
def _load(values, columns, center, inverse_scale, begin, count, x):
    """Standardised columns of rows begin to begin + count, x (groups, columns in a group * ROW)."""
    in_group = x.shape[1] // ROW
    for j in range(columns.size):
        place = (j % in_group) * ROW
        column, out = values[begin : begin + count, columns[j]], x[j // in_group, place : place + ROW]
        standardised_column(column, center[j], inverse_scale[j], out)


@inner(ROUNDING)
def _put(constant, square, anew, out, count):
    """constant - square / 2 in out (ROW,), or added to what is there."""
    if anew:
        for b in range(count):
            out[b] = constant - 0.5 * square[b]
    else:
        for b in range(count):
            out[b] += constant - 0.5 * square[b]


# -- full covariances -----------------------------------------------------------------------------------------------------


@inner(ROUNDING)
def _whiten_two(x, mean, inverse, constant, y, out, count):
    """As `_whiten` for two columns, anew."""
    count = min(count, TILE)  # tells the compiler that indices cannot overflow
    m0, m1, a00, a10, a11 = mean[0], mean[1], inverse[0, 0], inverse[1, 0], inverse[1, 1]
    for b in range(count):
        t = x[b] - m0
        y0, y1 = t * a00, t * a10 + (x[_1 + b] - m1) * a11
        y[b] = y0
        y[_1 + b] = y1
        out[b] = constant - 0.5 * (y0 * y0 + y1 * y1)


@inner(ROUNDING)
def _whiten(x, mean, inverse, constant, y, anew, out, away, square, count):
    """One component: y = inverse (x - mean), and constant - |y|^2 / 2 in out (ROW,), or added to what is there."""
    count = min(count, TILE)
    for g in range(x.shape[0]):
        t, xg = away[g], x[g]
        m0, m1, m2, m3 = mean[4 * g], mean[4 * g + 1], mean[4 * g + 2], mean[4 * g + 3]
        for b in range(count):
            t[b] = xg[b] - m0
            t[_1 + b] = xg[_1 + b] - m1
            t[_2 + b] = xg[_2 + b] - m2
            t[_3 + b] = xg[_3 + b] - m3
    for b in range(count):
        square[b] = 0.0
    for g in range(x.shape[0]):
        yg = y[g]
        for h in range(g + 1):
            t, a = away[h], inverse[4 * g : 4 * g + 4, 4 * h : 4 * h + 4]
            a00, a01, a02, a03 = a[0, 0], a[0, 1], a[0, 2], a[0, 3]
            a10, a11, a12, a13 = a[1, 0], a[1, 1], a[1, 2], a[1, 3]
            a20, a21, a22, a23 = a[2, 0], a[2, 1], a[2, 2], a[2, 3]
            a30, a31, a32, a33 = a[3, 0], a[3, 1], a[3, 2], a[3, 3]
            if h == 0:
                for b in range(count):
                    t0, t1, t2, t3 = t[b], t[_1 + b], t[_2 + b], t[_3 + b]
                    yg[b] = a00 * t0 + a01 * t1 + a02 * t2 + a03 * t3
                    yg[_1 + b] = a10 * t0 + a11 * t1 + a12 * t2 + a13 * t3
                    yg[_2 + b] = a20 * t0 + a21 * t1 + a22 * t2 + a23 * t3
                    yg[_3 + b] = a30 * t0 + a31 * t1 + a32 * t2 + a33 * t3
            else:
                for b in range(count):
                    t0, t1, t2, t3 = t[b], t[_1 + b], t[_2 + b], t[_3 + b]
                    yg[b] = yg[b] + a00 * t0 + a01 * t1 + a02 * t2 + a03 * t3
                    yg[_1 + b] = yg[_1 + b] + a10 * t0 + a11 * t1 + a12 * t2 + a13 * t3
                    yg[_2 + b] = yg[_2 + b] + a20 * t0 + a21 * t1 + a22 * t2 + a23 * t3
                    yg[_3 + b] = yg[_3 + b] + a30 * t0 + a31 * t1 + a32 * t2 + a33 * t3
        for b in range(count):
            y0, y1, y2, y3 = yg[b], yg[_1 + b], yg[_2 + b], yg[_3 + b]
            square[b] = square[b] + y0 * y0 + y1 * y1 + y2 * y2 + y3 * y3
    _put(constant, square, anew, out, count)


@inner(SUMMING)
def _sums_two(r, y, first, second, count):
    """As `_sums` for two columns."""
    count = min(count, TILE)
    f0 = f1 = s00 = s10 = s11 = 0.0
    for b in range(count):
        y0, y1 = y[b], y[_1 + b]
        w0, w1 = r[b] * y0, r[b] * y1
        f0 += w0
        f1 += w1
        s00 += w0 * y0
        s10 += w1 * y0
        s11 += w1 * y1
    first[0] += f0
    first[1] += f1
    second[0, 0] += s00
    second[1, 0] += s10
    second[1, 1] += s11


@inner(SUMMING)
def _sums(r, y, first, second, count):
    """Add the sums of r y (d,) and, in the lower triangle, r y y' (d, d) of one component and one tile."""
    count = min(count, TILE)
    for g in range(y.shape[0]):
        yg, i = y[g], 4 * g
        f0 = f1 = f2 = f3 = s00 = s10 = s11 = s20 = s21 = s22 = s30 = s31 = s32 = s33 = 0.0
        for b in range(count):
            y0, y1, y2, y3 = yg[b], yg[_1 + b], yg[_2 + b], yg[_3 + b]
            w0, w1, w2, w3 = r[b] * y0, r[b] * y1, r[b] * y2, r[b] * y3
            f0, f1, f2, f3 = f0 + w0, f1 + w1, f2 + w2, f3 + w3
            s00, s10, s20, s30 = s00 + w0 * y0, s10 + w1 * y0, s20 + w2 * y0, s30 + w3 * y0
            s11, s21, s31 = s11 + w1 * y1, s21 + w2 * y1, s31 + w3 * y1
            s22, s32, s33 = s22 + w2 * y2, s32 + w3 * y2, s33 + w3 * y3
        _add_four(first, i, f0, f1, f2, f3)
        second[i, i] += s00
        second[i + 1, i] += s10
        second[i + 1, i + 1] += s11
        second[i + 2, i] += s20
        second[i + 2, i + 1] += s21
        second[i + 2, i + 2] += s22
        _add_four(second[i + 3], i, s30, s31, s32, s33)
        for h in range(g):
            yh, j = y[h], 4 * h
            s00 = s01 = s02 = s03 = s10 = s11 = s12 = s13 = s20 = s21 = s22 = s23 = s30 = s31 = s32 = s33 = 0.0
            for b in range(count):
                w0, w1, w2, w3 = r[b] * yg[b], r[b] * yg[_1 + b], r[b] * yg[_2 + b], r[b] * yg[_3 + b]
                y0, y1, y2, y3 = yh[b], yh[_1 + b], yh[_2 + b], yh[_3 + b]
                s00, s01, s02, s03 = s00 + w0 * y0, s01 + w0 * y1, s02 + w0 * y2, s03 + w0 * y3
                s10, s11, s12, s13 = s10 + w1 * y0, s11 + w1 * y1, s12 + w1 * y2, s13 + w1 * y3
                s20, s21, s22, s23 = s20 + w2 * y0, s21 + w2 * y1, s22 + w2 * y2, s23 + w2 * y3
                s30, s31, s32, s33 = s30 + w3 * y0, s31 + w3 * y1, s32 + w3 * y2, s33 + w3 * y3
            _add_four(second[i], j, s00, s01, s02, s03)
            _add_four(second[i + 1], j, s10, s11, s12, s13)
            _add_four(second[i + 2], j, s20, s21, s22, s23)
            _add_four(second[i + 3], j, s30, s31, s32, s33)


@inner(ROUNDING)
def _add_four(out, j, a, b, c, d):
    out[j] += a
    out[j + 1] += b
    out[j + 2] += c
    out[j + 3] += d


def _full_pass(
    values, columns, center, inverse_scale, v, mean, inverse, constant, start, stop, rows, mass, first, second
):
    k, groups = mean.shape[0], mean.shape[1] // 4
    x, away = np.zeros((groups, 4 * ROW)), np.empty((groups, 4 * ROW))
    y, joint, work, weight = np.empty((k, groups, 4 * ROW)), np.empty((k, ROW)), np.empty((4, ROW)), np.empty(ROW)
    value, parts = 0.0, 2 * k + 1
    lines = fetched_lines(values, columns, parts)
    for begin in range(start, stop, TILE):
        count = min(TILE, stop - begin)
        _load(values, columns, center, inverse_scale, begin, count, x)
        tile_weights(v, start, begin, count, weight)
        for j in range(k):
            fetch(values, columns, begin, lines, j, parts)
            _whiten(x, mean[j], inverse[j], constant[j], y[j], True, joint[j], away, work[3], count)
        fetch(values, columns, begin, lines, k, parts)
        value += soft_tile(joint, weight, count, work, mass, begin, rows)
        for j in range(k):
            fetch(values, columns, begin, lines, k + 1 + j, parts)
            _sums(joint[j], y[j], first[j], second[j], count)
    return value


def _pair_pass(
    values, columns, center, inverse_scale, v, mean, inverse, constant, start, stop, rows, mass, first, second
):
    k = mean.shape[0]
    x, y = np.empty((1, 4 * ROW)), np.empty((k, 4 * ROW))
    joint, work, weight = np.empty((k, ROW)), np.empty((3, ROW)), np.empty(ROW)
    value, parts = 0.0, 2 * k + 1
    lines = fetched_lines(values, columns, parts)
    for begin in range(start, stop, TILE):
        count = min(TILE, stop - begin)
        _load(values, columns, center, inverse_scale, begin, count, x)
        tile_weights(v, start, begin, count, weight)
        for j in range(k):
            fetch(values, columns, begin, lines, j, parts)
            _whiten_two(x[0], mean[j], inverse[j], constant[j], y[j], joint[j], count)
        fetch(values, columns, begin, lines, k, parts)
        value += soft_tile(joint, weight, count, work, mass, begin, rows)
        for j in range(k):
            fetch(values, columns, begin, lines, k + 1 + j, parts)
            _sums_two(joint[j], y[j], first[j], second[j], count)
    return value


_ROWS = (read_only(2), given(1, types.intp), given(1), given(1))
_RANGE = (types.intp, types.intp)

_OF_PASSES = types.float64(
    *_ROWS, read_only(1), given(2), given(3), given(1), *_RANGE, array(1), array(1), array(2), array(3)
)

full_pass = Compiled(_OF_PASSES, _full_pass)
"""The whole pass of a mixture of Gaussians over rows start to stop.

full_pass(values, columns, center, inverse_scale, v, mean, inverse, constant, start, stop, rows, mass, first, second) -> value,
the sum of v times row values. inverse (K, d, d) is that of the Cholesky factors and constant (K,) the log density at the mean
plus the log weight; row values go to rows (n,) unless that is empty; mass (K,), first (K, d) and the lower triangle of second
(K, d, d) are added to.
"""
pair_pass = Compiled(_OF_PASSES, _pair_pass)
"""The same for two columns, where nothing but the two is computed (arrays are filled up to four all the same)."""


def _density(values, columns, center, inverse_scale, mean, inverse, constant, start, stop, places, joint, y):
    groups = mean.shape[1] // 4
    x, away, square = np.zeros((groups, 4 * ROW)), np.empty((groups, 4 * ROW)), np.empty(ROW)
    for tile in range((stop - start + TILE - 1) // TILE):
        begin = start + tile * TILE
        count = min(TILE, stop - begin)
        _load(values, columns, center, inverse_scale, begin, count, x)
        for j in range(places.size):
            _whiten(x, mean[j], inverse[j], constant[j], y[tile, j], False, joint[tile, places[j]], away, square, count)


density = Compiled(
    types.void(*_ROWS, given(2), given(3), given(1), *_RANGE, given(1, types.intp), array(3), array(4)),
    _density,
)
"""density(values, columns, center, inverse_scale, mean, inverse, constant, start, stop, places, joint, y).

Adds log densities to joint (tiles, K, ROW) at components places (J,), and leaves y in (tiles, J, d / 4, 4 ROW).
"""


def _statistics(y, joint, places, n, first, second):
    for tile in range((n + TILE - 1) // TILE):
        count = min(TILE, n - tile * TILE)
        for j in range(places.size):
            _sums(joint[tile, places[j]], y[tile, j], first[j], second[j], count)


statistics = Compiled(types.void(given(4), given(3), given(1, types.intp), types.intp, array(2), array(3)), _statistics)
"""statistics(y, joint, places, n, first, second): adds the sums of r y and (lower triangle) r y y' of n rows."""


# -- diagonal and spherical covariances, and single columns ---------------------------------------------------------------


@inner(ROUNDING)
def _scale_one(x, mean, inverse, constant, y, out, count):
    """As `_scale` for one column, anew."""
    count = min(count, TILE)
    for b in range(count):
        t = (x[b] - mean) * inverse
        y[b] = t
        out[b] = constant - 0.5 * (t * t)


@inner(ROUNDING)
def _scale(x, mean, inverse, constant, y, anew, out, square, count):
    """One component: y = (x - mean) inverse, (d, ROW), and constant - |y|^2 / 2 in out (ROW,), or added to what is there."""
    count = min(count, TILE)
    for i in range(mean.size):
        xi, yi, m, a = x[i], y[i], mean[i], inverse[i]
        if i == 0:
            for b in range(count):
                t = (xi[b] - m) * a
                yi[b] = t
                square[b] = t * t
        else:
            for b in range(count):
                t = (xi[b] - m) * a
                yi[b] = t
                square[b] += t * t
    _put(constant, square, anew, out, count)


@inner(SUMMING)
def _diagonal_sums(r, y, first, second, count):
    """Add the sums of r y (d,) and r y^2 (d,) of one component and one tile."""
    for i in range(first.size):
        yi = y[i]
        f = s = 0.0
        for b in range(count):
            w = r[b] * yi[b]
            f += w
            s += w * yi[b]
        first[i] += f
        second[i] += s


@inner(SUMMING)
def _sums_one(ratio, shares, y, first, second, count):
    """As `_diagonal_sums` for one column, from ratios and the shares that they are of (256,); their sum."""
    count = min(count, TILE)
    mass = f = s = 0.0
    for b in range(count):
        r = ratio[b] * shares[b]
        w = r * y[b]
        mass += r
        f += w
        s += w * y[b]
    first[0] += f
    second[0] += s
    return mass


def _diagonal_pass(
    values, columns, center, inverse_scale, v, mean, inverse, constant, start, stop, rows, mass, first, second
):
    k, d = mean.shape
    x, y, joint, work, weight = (
        np.empty((d, ROW)),
        np.empty((k, d, ROW)),
        np.empty((k, ROW)),
        np.empty((3, ROW)),
        np.empty(ROW),
    )
    value, parts = 0.0, 2 * k + 1
    lines = fetched_lines(values, columns, parts)
    for begin in range(start, stop, TILE):
        count = min(TILE, stop - begin)
        _load(values, columns, center, inverse_scale, begin, count, x)
        tile_weights(v, start, begin, count, weight)
        for j in range(k):
            fetch(values, columns, begin, lines, j, parts)
            _scale(x, mean[j], inverse[j], constant[j], y[j], True, joint[j], work[2], count)
        fetch(values, columns, begin, lines, k, parts)
        value += soft_tile(joint, weight, count, work, mass, begin, rows)
        for j in range(k):
            fetch(values, columns, begin, lines, k + 1 + j, parts)
            _diagonal_sums(joint[j], y[j], first[j], second[j], count)
    return value


def _single_pass(
    values, columns, center, inverse_scale, v, mean, inverse, constant, start, stop, rows, mass, first, second
):
    k = mean.shape[0]
    x, y = np.empty((1, ROW)), np.empty((k, ROW))
    joint, work, weight = np.empty((k, ROW)), np.empty((3, ROW)), np.empty(ROW)
    value, parts = 0.0, 2 * k + 1
    lines = fetched_lines(values, columns, parts)
    for begin in range(start, stop, TILE):
        count = min(TILE, stop - begin)
        _load(values, columns, center, inverse_scale, begin, count, x)
        tile_weights(v, start, begin, count, weight)
        for j in range(k):
            fetch(values, columns, begin, lines, j, parts)
            _scale_one(x[0], mean[j, 0], inverse[j, 0], constant[j], y[j], joint[j], count)
        fetch(values, columns, begin, lines, k, parts)
        value += ratio_tile(joint, weight, count, work, begin, rows)
        for j in range(k):
            fetch(values, columns, begin, lines, k + 1 + j, parts)
            mass[j] += _sums_one(joint[j], work[1], y[j], first[j], second[j], count)
    return value


_OF_DIAGONAL_PASSES = types.float64(
    *_ROWS, read_only(1), given(2), given(2), given(1), *_RANGE, array(1), array(1), array(2), array(2)
)

diagonal_pass = Compiled(_OF_DIAGONAL_PASSES, _diagonal_pass)
"""As `full_pass`, with any d: inverse (K, d) of the standard deviations, second (K, d) the sums of r y^2."""
single_pass = Compiled(_OF_DIAGONAL_PASSES, _single_pass)
"""The same for one column."""


def _diagonal_density(values, columns, center, inverse_scale, mean, inverse, constant, start, stop, places, joint, y):
    x, square = np.empty((columns.size, ROW)), np.empty(ROW)
    for tile in range((stop - start + TILE - 1) // TILE):
        begin = start + tile * TILE
        count = min(TILE, stop - begin)
        _load(values, columns, center, inverse_scale, begin, count, x)
        for j in range(places.size):
            _scale(x, mean[j], inverse[j], constant[j], y[tile, j], False, joint[tile, places[j]], square, count)


diagonal_density = Compiled(
    types.void(*_ROWS, given(2), given(2), given(1), *_RANGE, given(1, types.intp), array(3), array(4)),
    _diagonal_density,
)
"""As `density`, with inverse (J, d) and y (tiles, J, d, ROW)."""


def _diagonal_statistics(y, joint, places, n, first, second):
    for tile in range((n + TILE - 1) // TILE):
        count = min(TILE, n - tile * TILE)
        for j in range(places.size):
            _diagonal_sums(joint[tile, places[j]], y[tile, j], first[j], second[j], count)


diagonal_statistics = Compiled(
    types.void(given(4), given(3), given(1, types.intp), types.intp, array(2), array(2)), _diagonal_statistics
)
"""As `statistics`, with second (J, d) the sums of r y^2."""
