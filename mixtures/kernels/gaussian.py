"""Gaussian densities and statistics in tiles of rows: y = L^-1 (x - mean), sums of r, r y and r y y'."""

from __future__ import annotations

import numpy as np
from numba.core import types

from .compiling import ROUNDING, SUMMING, Compiled, array, given, inner, read_only
from .softmax import ROW, TILE, soft_tile

__all__ = ["density", "diagonal_density", "diagonal_pass", "diagonal_statistics", "full_pass", "statistics"]


@inner(ROUNDING)
def _load(values, columns, center, inverse_scale, begin, count, x):  # type: ignore[no-untyped-def]
    """Standardised rows begin to begin + count as columns x (d, 256)."""
    for j in range(columns.size):
        c, s, one, column = center[j], inverse_scale[j], x[j], columns[j]
        for b in range(count):
            one[b] = (values[begin + b, column] - c) * s


@inner(ROUNDING)
def _load_weights(v, begin, count, weight):  # type: ignore[no-untyped-def]
    """Row weights of a tile."""
    for b in range(count):
        weight[b] = v[begin + b]


# -- full covariances -----------------------------------------------------------------------------------------------------


@inner(ROUNDING)
def _whiten_two(x, mean, inverse, constant, y, out, count):  # type: ignore[no-untyped-def]
    """One component, two columns: y (2, 256), and constant - |y|^2 / 2 added to out (256,)."""
    x0, x1, y0, y1, m0, m1 = x[0], x[1], y[0], y[1], mean[0], mean[1]
    a, a10, a11 = inverse[0, 0], inverse[1, 0], inverse[1, 1]
    for b in range(count):
        t = x0[b] - m0
        y0[b] = t * a
        y1[b] = t * a10 + (x1[b] - m1) * a11
    for b in range(count):
        out[b] += constant - 0.5 * (y0[b] * y0[b] + y1[b] * y1[b])


@inner(ROUNDING)
def _whiten_many(x, mean, inverse, constant, y, out, away, square, count):  # type: ignore[no-untyped-def]
    """One component, any number of columns; four products at a time, so that sums stay in registers."""
    d = mean.size
    for i in range(d):
        xi, ti, m = x[i], away[i], mean[i]
        for b in range(count):
            ti[b] = xi[b] - m
    for b in range(count):
        square[b] = 0.0
    for i in range(d):
        yi = y[i]
        first = i % 4 + 1
        x0, a0 = away[0], inverse[i, 0]
        if first == 1:
            for b in range(count):
                yi[b] = x0[b] * a0
        elif first == 2:
            x1, a1 = away[1], inverse[i, 1]
            for b in range(count):
                yi[b] = x0[b] * a0 + x1[b] * a1
        elif first == 3:
            x1, a1, x2, a2 = away[1], inverse[i, 1], away[2], inverse[i, 2]
            for b in range(count):
                yi[b] = x0[b] * a0 + x1[b] * a1 + x2[b] * a2
        else:
            x1, a1, x2, a2, x3, a3 = away[1], inverse[i, 1], away[2], inverse[i, 2], away[3], inverse[i, 3]
            for b in range(count):
                yi[b] = (x0[b] * a0 + x1[b] * a1) + (x2[b] * a2 + x3[b] * a3)
        for j in range(first, i + 1, 4):
            x0, a0, x1, a1 = away[j], inverse[i, j], away[j + 1], inverse[i, j + 1]
            x2, a2, x3, a3 = away[j + 2], inverse[i, j + 2], away[j + 3], inverse[i, j + 3]
            for b in range(count):
                yi[b] += (x0[b] * a0 + x1[b] * a1) + (x2[b] * a2 + x3[b] * a3)
        for b in range(count):
            square[b] += yi[b] * yi[b]
    for b in range(count):
        out[b] += constant - 0.5 * square[b]


@inner(ROUNDING)
def _whiten(x, mean, inverse, constant, y, out, away, square, count):  # type: ignore[no-untyped-def]
    if mean.size == 2:
        _whiten_two(x, mean, inverse, constant, y, out, count)
    else:
        _whiten_many(x, mean, inverse, constant, y, out, away, square, count)


@inner(SUMMING)
def _sums_two(r, y, first, second, count):  # type: ignore[no-untyped-def]
    y0, y1 = y[0], y[1]
    s0 = s1 = s00 = s10 = s11 = 0.0
    for b in range(count):
        t, u = r[b] * y0[b], r[b] * y1[b]
        s0 += t
        s1 += u
        s00 += t * y0[b]
        s10 += t * y1[b]
        s11 += u * y1[b]
    first[0] += s0
    first[1] += s1
    second[0, 0] += s00
    second[1, 0] += s10
    second[1, 1] += s11


@inner(SUMMING)
def _sums_many(r, y, first, second, weighted, count):  # type: ignore[no-untyped-def]
    for i in range(first.size):
        yi = y[i]
        s0 = 0.0
        for b in range(count):
            weighted[b] = r[b] * yi[b]
            s0 += weighted[b]
        first[i] += s0
        rest = (i + 1) % 4
        for j in range(rest):
            y0 = y[j]
            s0 = 0.0
            for b in range(count):
                s0 += weighted[b] * y0[b]
            second[i, j] += s0
        for j in range(rest, i + 1, 4):
            y0, y1, y2, y3 = y[j], y[j + 1], y[j + 2], y[j + 3]
            s0 = s1 = s2 = s3 = 0.0
            for b in range(count):
                t = weighted[b]
                s0 += t * y0[b]
                s1 += t * y1[b]
                s2 += t * y2[b]
                s3 += t * y3[b]
            second[i, j] += s0
            second[i, j + 1] += s1
            second[i, j + 2] += s2
            second[i, j + 3] += s3


@inner(ROUNDING)
def _sums(r, y, first, second, weighted, count):  # type: ignore[no-untyped-def]
    """Add the sums of r y (d,) and, in the lower triangle, r y y' (d, d) of one component and one tile."""
    if first.size == 2:
        _sums_two(r, y, first, second, count)
    else:
        _sums_many(r, y, first, second, weighted, count)


def _full_pass(values, columns, center, inverse_scale, v, mean, inverse, constant, start, stop, rows, mass, first, second):  # type: ignore[no-untyped-def]
    k, d = mean.shape
    x, away, y, joint, work = np.empty((d, ROW)), np.empty((d, ROW)), np.empty((k, d, ROW)), np.empty((k, ROW)), np.empty((4, ROW))
    weight = np.empty(ROW)
    value = 0.0
    for begin in range(start, stop, TILE):
        count = min(TILE, stop - begin)
        _load(values, columns, center, inverse_scale, begin, count, x)
        _load_weights(v, begin, count, weight)
        joint[:] = 0.0
        for j in range(k):
            _whiten(x, mean[j], inverse[j], constant[j], y[j], joint[j], away, work[3], count)
        value += soft_tile(joint, weight, count, work, mass)
        for j in range(k):
            _sums(joint[j], y[j], first[j], second[j], work[3], count)
        if rows.size > 0:
            for b in range(count):
                rows[begin + b] = work[2, b]
    return value


_ROWS = (read_only(2), given(1, types.intp), given(1), given(1))
_RANGE = (types.intp, types.intp)

full_pass = Compiled(
    types.float64(*_ROWS, read_only(1), given(2), given(3), given(1), *_RANGE, array(1), array(1), array(2), array(3)),
    _full_pass,
)
"""The whole pass of a mixture of Gaussians over rows start to stop.

full_pass(values, columns, center, inverse_scale, v, mean, inverse, constant, start, stop, rows, mass, first, second) -> value,
with inverse (K, d, d) of the Cholesky factors, constant (K,) the log density at the mean plus the log weight, and everything
after `stop` written to; of `second` the lower triangle.
"""


def _density(values, columns, center, inverse_scale, mean, inverse, constant, start, stop, places, joint, y):  # type: ignore[no-untyped-def]
    x, away, square = np.empty((columns.size, ROW)), np.empty((columns.size, ROW)), np.empty(ROW)
    for tile in range((stop - start + TILE - 1) // TILE):
        begin = start + tile * TILE
        count = min(TILE, stop - begin)
        _load(values, columns, center, inverse_scale, begin, count, x)
        for j in range(places.size):
            _whiten(x, mean[j], inverse[j], constant[j], y[tile, j], joint[tile, places[j]], away, square, count)


density = Compiled(
    types.void(*_ROWS, given(2), given(3), given(1), *_RANGE, given(1, types.intp), array(3), array(4)),
    _density,
)
"""density(values, columns, center, inverse_scale, mean, inverse, constant, start, stop, places, joint, y).

Adds log densities to joint (tiles, K, 256) at components places (J,), and leaves the whitened rows in y (tiles, J, d, 256).
"""


def _statistics(y, joint, places, n, first, second):  # type: ignore[no-untyped-def]
    weighted = np.empty(ROW)
    for tile in range((n + TILE - 1) // TILE):
        count = min(TILE, n - tile * TILE)
        for j in range(places.size):
            _sums(joint[tile, places[j]], y[tile, j], first[j], second[j], weighted, count)


statistics = Compiled(types.void(given(4), given(3), given(1, types.intp), types.intp, array(2), array(3)), _statistics)
"""statistics(y, joint, places, count, first, second): adds the sums of r y and (lower triangle) r y y' of `count` rows."""


# -- diagonal and spherical covariances -----------------------------------------------------------------------------------


@inner(ROUNDING)
def _scale(x, mean, inverse, constant, y, out, count):  # type: ignore[no-untyped-def]
    """One component: y = (x - mean) inverse (d, 256), and constant - |y|^2 / 2 added to out (256,)."""
    for b in range(count):
        out[b] += constant
    for i in range(mean.size):
        xi, yi, m, a = x[i], y[i], mean[i], inverse[i]
        for b in range(count):
            t = (xi[b] - m) * a
            yi[b] = t
            out[b] -= 0.5 * (t * t)


@inner(SUMMING)
def _diagonal_sums(r, y, first, second, count):  # type: ignore[no-untyped-def]
    """Add the sums of r y (d,) and r y^2 (d,) of one component and one tile."""
    for i in range(first.size):
        yi = y[i]
        s0 = s1 = 0.0
        for b in range(count):
            t = r[b] * yi[b]
            s0 += t
            s1 += t * yi[b]
        first[i] += s0
        second[i] += s1


def _diagonal_pass(values, columns, center, inverse_scale, v, mean, inverse, constant, start, stop, rows, mass, first, second):  # type: ignore[no-untyped-def]
    k, d = mean.shape
    x, y, joint, work = np.empty((d, ROW)), np.empty((k, d, ROW)), np.empty((k, ROW)), np.empty((3, ROW))
    weight = np.empty(ROW)
    value = 0.0
    for begin in range(start, stop, TILE):
        count = min(TILE, stop - begin)
        _load(values, columns, center, inverse_scale, begin, count, x)
        _load_weights(v, begin, count, weight)
        joint[:] = 0.0
        for j in range(k):
            _scale(x, mean[j], inverse[j], constant[j], y[j], joint[j], count)
        value += soft_tile(joint, weight, count, work, mass)
        for j in range(k):
            _diagonal_sums(joint[j], y[j], first[j], second[j], count)
        if rows.size > 0:
            for b in range(count):
                rows[begin + b] = work[2, b]
    return value


diagonal_pass = Compiled(
    types.float64(*_ROWS, read_only(1), given(2), given(2), given(1), *_RANGE, array(1), array(1), array(2), array(2)),
    _diagonal_pass,
)
"""As `full_pass` for diagonal covariances (and single columns): inverse (K, d) of the standard deviations, second (K, d) the sums of r y^2."""


def _diagonal_density(values, columns, center, inverse_scale, mean, inverse, constant, start, stop, places, joint, y):  # type: ignore[no-untyped-def]
    x = np.empty((columns.size, ROW))
    for tile in range((stop - start + TILE - 1) // TILE):
        begin = start + tile * TILE
        count = min(TILE, stop - begin)
        _load(values, columns, center, inverse_scale, begin, count, x)
        for j in range(places.size):
            _scale(x, mean[j], inverse[j], constant[j], y[tile, j], joint[tile, places[j]], count)


diagonal_density = Compiled(
    types.void(*_ROWS, given(2), given(2), given(1), *_RANGE, given(1, types.intp), array(3), array(4)),
    _diagonal_density,
)
"""As `density`, with inverse (J, d)."""


def _diagonal_statistics(y, joint, places, n, first, second):  # type: ignore[no-untyped-def]
    for tile in range((n + TILE - 1) // TILE):
        count = min(TILE, n - tile * TILE)
        for j in range(places.size):
            _diagonal_sums(joint[tile, places[j]], y[tile, j], first[j], second[j], count)


diagonal_statistics = Compiled(types.void(given(4), given(3), given(1, types.intp), types.intp, array(2), array(2)), _diagonal_statistics)
"""As `statistics`, with second (J, d) the sums of r y^2."""
