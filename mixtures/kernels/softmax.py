"""From log(w f) to row values and responsibilities, in tiles of rows."""

from __future__ import annotations

import numpy as np
from numba.core import types

from .columns import tile_weights
from .compiling import ROUNDING, SUMMING, Compiled, array, inner, read_only
from .numeric import exponential, logarithm

__all__ = ["TILE", "ratio_tile", "soft_tile", "softmax"]

TILE = 256
"""Rows in a tile."""
ROW = TILE + 8
"""Length of a buffer's row: neighbouring rows must not lie a multiple of 2048 bytes apart, where they fight for the same cache sets."""
QUARTER = TILE // 4
NEAR = 100.0
"""How far above the first entry of log(w f) the largest may be for it to serve in its place: the row value loses 1e-14 at most."""


@inner(ROUNDING)
def _is_near(joint, count):
    """Whether no entry of joint (K, 256) is far above its row's first, which then serves in place of the largest.

    It does not where the first is infinite, nor where any entry is NaN.
    """
    first, far = joint[0], 0
    for b in range(count):
        far += 0 if abs(first[b]) < np.inf else 1
    for k in range(1, joint.shape[0]):
        one = joint[k]
        for b in range(count):
            far += 0 if one[b] - first[b] <= NEAR else 1
    return far == 0


@inner(ROUNDING)
def _exponentials(joint, begin, top, total, count):
    """exp(joint - top) in place of joint (K, 256) from row `begin` on, and added to total (256,)."""
    for k in range(begin, joint.shape[0]):
        one = joint[k]
        for b in range(count):
            ratio = exponential(one[b] - top[b])
            one[b] = ratio
            total[b] += ratio


@inner(ROUNDING)
def _ratios_to_largest(joint, top, total, rows, count):
    """Turn joint (K, 256) into ratios to its largest entry, with their total and row values (256,); `top` is room for the largest."""
    first = joint[0]
    for b in range(count):
        top[b], total[b] = first[b], 0.0
    for k in range(1, joint.shape[0]):
        one = joint[k]
        for b in range(count):
            top[b] = one[b] if one[b] > top[b] else top[b]
    for b in range(count):
        top[b] = top[b] if abs(top[b]) < np.inf else 0.0
    _exponentials(joint, 0, top, total, count)
    for b in range(count):
        rows[b] = top[b] + logarithm(total[b])


@inner(ROUNDING)
def _is_constant(v, count):
    differing = 0
    for b in range(count):
        differing += 0 if v[b] == v[0] else 1
    return differing == 0


@inner(SUMMING)
def _inverted(total):
    """1 / total in place of total (256,), and the sum of its logarithms: four rows share a logarithm and a division.

    Totals of ratios that are no larger than exp(NEAR) have products of four that are far from overflow.
    """
    logs = 0.0
    for b in range(QUARTER):
        t0, t1, t2, t3 = total[b], total[QUARTER + b], total[2 * QUARTER + b], total[3 * QUARTER + b]
        low, high = t0 * t1, t2 * t3
        product = low * high
        inverse = 1.0 / product
        logs += logarithm(product)
        of_low, of_high = inverse * high, inverse * low
        total[b], total[QUARTER + b] = of_low * t1, of_low * t0
        total[2 * QUARTER + b], total[3 * QUARTER + b] = of_high * t3, of_high * t2
    return logs


@inner(SUMMING)
def _sum(values, count):
    sum_ = 0.0
    for b in range(count):
        sum_ += values[b]
    return sum_


@inner(SUMMING)
def _normalised(joint, shares, mass, count):
    """Turn ratios (K, 256) into responsibilities times row weights, and add their sums to mass (K,)."""
    for k in range(joint.shape[0]):
        one = joint[k]
        sum_ = 0.0
        for b in range(count):
            one[b] *= shares[b]
            sum_ += one[b]
        mass[k] += sum_


@inner(SUMMING)
def _weighted_sum(rows, v, count):
    """Rows of weight 0 add nothing, whatever their density."""
    sum_ = 0.0
    for b in range(count):
        sum_ += v[b] * rows[b] if v[b] != 0.0 else 0.0
    return sum_


@inner(ROUNDING)
def ratio_tile(joint, v, count, work, begin, rows):
    """Ratios in place of joint (K, 256); the weighted sum of row values, which go to rows (n,) from row `begin` on unless that is empty.

    Ratios times work[1] of work (>= 3, 256) are responsibilities times row weights. Ratios are to the first entry where that is
    near the largest, which needs one exponential less.
    """
    shares, values = work[1], work[2]
    if _is_near(joint, count):
        first = joint[0]
        for b in range(TILE):
            shares[b] = 1.0
        _exponentials(joint, 1, first, shares, count)
        if rows.size == 0 and _is_constant(v, count):
            value = v[0] * (_sum(first, count) + _inverted(shares))
            for b in range(count):
                first[b] = 1.0
                shares[b] *= v[0]
            return value
        for b in range(count):
            values[b] = first[b] + logarithm(shares[b])
            first[b] = 1.0
    else:
        _ratios_to_largest(joint, work[0], shares, values, count)
    if rows.size > 0:
        for b in range(count):
            rows[begin + b] = values[b]
    for b in range(count):
        shares[b] = v[b] / (shares[b] if shares[b] > 0.0 else 1.0)
    return _weighted_sum(values, v, count)


@inner(ROUNDING)
def soft_tile(joint, v, count, work, mass, begin, rows):
    """As `ratio_tile`, with responsibilities times row weights in place of joint, their sums added to mass (K,)."""
    value = ratio_tile(joint, v, count, work, begin, rows)
    _normalised(joint, work[1], mass, count)
    return value


def _softmax(joint, v, start, stop, rows, mass):
    """As `soft_tile` for all tiles (tiles, K, 256) of rows start to stop; row values go to rows (n,) unless that is empty."""
    work = np.empty((3, ROW))
    weight = np.empty(ROW)
    value = 0.0
    for tile in range((stop - start + TILE - 1) // TILE):
        begin = start + tile * TILE
        count = min(TILE, stop - begin)
        tile_weights(v, start, begin, count, weight)
        value += soft_tile(joint[tile], weight, count, work, mass, begin, rows)
    return value


softmax = Compiled(
    types.float64(array(3), read_only(1), types.intp, types.intp, array(1), array(1)),
    _softmax,
)
"""softmax(joint, v, start, stop, rows, mass) -> sum of v times row values."""
