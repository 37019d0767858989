"""Prior densities and changes of coordinates of a few numbers, in loops: where NumPy's calls cost more than the arithmetic.

The formulas are those of `mixtures.bayes.densities`, with which tests compare them. Parameters of J components come first in every
array; densities and log Jacobians (J,) come with their sum. A density that is not finite somewhere is -inf with slopes of 0; a
pullback that is not finite is 0.
"""

from __future__ import annotations

import numpy as np
from numba.core import types

from .compiling import ROUNDING, Compiled, array, inner, read_only
from .scores import added, invert_factor

__all__ = [
    "covariance",
    "covariance_pullback",
    "diagonal_density",
    "location",
    "location_pullback",
    "normal_density",
    "simplex",
    "simplex_pullback",
    "spherical_density",
    "wishart_density",
]

FULL, DIAGONAL, SPHERICAL = 0, 1, 2


@inner(ROUNDING)
def _kept(slopes):
    """Slopes (size,) that are not all finite become 0."""
    sum_ = 0.0
    for i in range(slopes.size):
        sum_ += abs(slopes[i])
    if not sum_ < np.inf:
        for i in range(slopes.size):
            slopes[i] = 0.0


@inner(ROUNDING)
def _regular(density, slopes):
    """Where there is no density somewhere, there is none: -inf everywhere, with slopes (size,) of 0."""
    sum_ = 0.0
    for j in range(density.size):
        sum_ += abs(density[j])
    if not sum_ < np.inf:
        for j in range(density.size):
            density[j] = -np.inf
        for i in range(slopes.size):
            slopes[i] = 0.0


# -- weights --------------------------------------------------------------------------------------------------------------


@inner(ROUNDING)
def _shares(free, shares):
    """Shares (K,) from log ratios (K - 1,) to the last one."""
    last = free.size
    top = 0.0
    for i in range(last):
        top = max(top, free[i])
    total = np.exp(-top)
    shares[last] = total
    for i in range(last):
        shares[i] = np.exp(free[i] - top)
        total += shares[i]
    for i in range(last + 1):
        shares[i] /= total


def _simplex(free):
    shares, log_jacobian = np.empty(free.size + 1), 0.0
    _shares(free, shares)
    for i in range(shares.size):
        log_jacobian += np.log(shares[i])
    return shares, log_jacobian


def _simplex_pullback(free, gradient, of_jacobian):
    shares, found, mean, along = np.empty(free.size + 1), np.empty(free.size), 0.0, of_jacobian.item()
    _shares(free, shares)
    for i in range(shares.size):
        mean += shares[i] * gradient[i]
    for i in range(found.size):
        found[i] = shares[i] * (gradient[i] - mean) + along * (1.0 - shares.size * shares[i])
    _kept(found)
    return found


simplex = Compiled(types.Tuple((array(1), types.float64))(read_only(1)), _simplex)
"""Weights and the log Jacobian."""
simplex_pullback = Compiled(array(1)(read_only(1), read_only(1), read_only(0)), _simplex_pullback)


# -- locations and covariances --------------------------------------------------------------------------------------------


def _location(free, origin, units):
    found = np.empty(free.shape)
    for j in range(free.shape[0]):
        for i in range(free.shape[1]):
            found[j, i] = origin[i] + units[i] * free[j, i]
    return found


def _location_pullback(free, gradient, units):
    count, d = free.shape
    flat = np.empty(count * d)
    found = flat.reshape(count, d)
    for j in range(count):
        for i in range(d):
            found[j, i] = gradient[j, i] * units[i]
    _kept(flat)
    return found


location = Compiled(array(2)(read_only(2), read_only(1), read_only(1)), _location)
location_pullback = Compiled(array(2)(read_only(2), read_only(2), read_only(1)), _location_pullback)


@inner(ROUNDING)
def _log_cholesky(free, units, lower):
    """The lower factor (d, d) at coordinates (m,), row by row."""
    m = 0
    for i in range(units.size):
        for h in range(i):
            lower[i, h] = free[m] * units[i]
            m += 1
        lower[i, i] = np.exp(free[m]) * units[i]
        m += 1


def _covariance(free, units, power, constant, structure):
    count, d = free.shape[0], units.size
    found, lower, log_jacobian = np.zeros((count, d, d)), np.zeros((d, d)), np.empty(count)
    for j in range(count):
        s = constant
        for m in range(power.size):
            s += free[j, m] * power[m]
        log_jacobian[j] = s
        if structure == FULL:
            _log_cholesky(free[j], units, lower)
            for i in range(d):
                for h in range(i + 1):
                    s = 0.0
                    for g in range(h + 1):
                        s += lower[i, g] * lower[h, g]
                    found[j, i, h] = found[j, h, i] = s
        else:
            for i in range(d):
                sd = np.exp(free[j, i if structure == DIAGONAL else 0]) * units[i]
                found[j, i, i] = sd * sd
    return found, log_jacobian, added(log_jacobian)


def _covariance_pullback(free, gradient, of_jacobian, units, power, constant, structure):
    d, flat, lower = units.size, np.empty(free.size), np.zeros((units.size, units.size))
    found = flat.reshape(free.shape)
    for j in range(free.shape[0]):
        for m in range(power.size):
            found[j, m] = of_jacobian[j] * power[m]
        if structure == FULL:
            _log_cholesky(free[j], units, lower)
            m = 0
            for i in range(d):
                for h in range(i + 1):
                    s = 0.0
                    for g in range(h, d):
                        s += (gradient[j, i, g] + gradient[j, g, i]) * lower[g, h]
                    found[j, m] += s * (units[i] if h < i else lower[i, i])
                    m += 1
        else:
            for i in range(d):
                place = i if structure == DIAGONAL else 0
                sd = np.exp(free[j, place]) * units[i]
                found[j, place] += 2.0 * gradient[j, i, i] * sd * sd
    _kept(flat)
    return found


_UNITS = (read_only(1), read_only(1), types.float64, types.intp)

covariance = Compiled(types.Tuple((array(3), array(1), types.float64))(read_only(2), *_UNITS), _covariance)
"""Covariances (J, d, d), log Jacobians (J,) and their sum, from log-Cholesky coordinates (J, m).

covariance(free, units, power, constant, structure): a log Jacobian is constant + free @ power; `structure` is 0 for full, 1 for
diagonal, 2 for spherical covariances.
"""
covariance_pullback = Compiled(array(2)(read_only(2), read_only(3), read_only(1), *_UNITS), _covariance_pullback)


def _normal_density(value, covariance, center, kappa):
    count, d = value.shape
    density, flat = np.empty(count), np.empty(count * d * (d + 1))
    slopes, spread = flat[: count * d].reshape(count, d), flat[count * d :].reshape(count, d, d)
    inverse, white, pulled = np.zeros((d, d)), np.empty(d), np.empty(d)
    for j in range(count):
        log_det, square = invert_factor(covariance[j], inverse), 0.0
        for i in range(d):
            s = 0.0
            for h in range(i + 1):
                s += inverse[i, h] * (value[j, h] - center[j, h])
            white[i] = s
            square += s * s
        for i in range(d):
            s = 0.0
            for h in range(i, d):
                s += inverse[h, i] * white[h]
            pulled[i] = s
            slopes[j, i] = -kappa[j] * s
        density[j] = 0.5 * d * np.log(kappa[j] / (2.0 * np.pi)) - log_det - 0.5 * kappa[j] * square
        for i in range(d):
            for h in range(i + 1):
                s = 0.0
                for g in range(i, d):
                    s += inverse[g, i] * inverse[g, h]
                spread[j, i, h] = spread[j, h, i] = 0.5 * (kappa[j] * pulled[i] * pulled[h] - s)
    _regular(density, flat)
    return density, added(density), slopes, spread


def _wishart_density(value, nu, matrix):
    count, d = value.shape[0], value.shape[1]
    density, flat = np.empty(count), np.empty(count * d * d)
    slopes = flat.reshape(count, d, d)
    inverse, precision, product = np.zeros((d, d)), np.empty((d, d)), np.empty((d, d))
    for j in range(count):
        power, log_det, trace = nu[j] + d + 1.0, invert_factor(value[j], inverse), 0.0
        for i in range(d):
            for h in range(i + 1):
                s = 0.0
                for g in range(i, d):
                    s += inverse[g, i] * inverse[g, h]
                precision[i, h] = precision[h, i] = s
        for i in range(d):
            for h in range(d):
                s = 0.0
                for g in range(d):
                    s += matrix[j, i, g] * precision[g, h]
                product[i, h] = s
            trace += product[i, i]
        density[j] = -power * log_det - 0.5 * trace
        for i in range(d):
            for h in range(d):
                s = 0.0
                for g in range(d):
                    s += precision[i, g] * product[g, h]
                slopes[j, i, h] = 0.5 * (s - power * precision[i, h])
    _regular(density, flat)
    return density, added(density), slopes


def _diagonal_density(value, nu, matrix):
    count, d = value.shape[0], value.shape[1]
    density, flat = np.zeros(count), np.zeros(count * d * d)
    slopes = flat.reshape(count, d, d)
    for j in range(count):
        for i in range(d):
            variance, shape = value[j, i, i], 0.5 * nu[j]
            ratio = 0.5 * matrix[j, i, i] / variance
            density[j] -= (shape + 1.0) * np.log(variance) + ratio
            slopes[j, i, i] = (ratio - shape - 1.0) / variance
    _regular(density, flat)
    return density, added(density), slopes


def _spherical_density(value, nu, matrix):
    count, d = value.shape[0], value.shape[1]
    density, flat = np.zeros(count), np.zeros(count * d * d)
    slopes = flat.reshape(count, d, d)
    for j in range(count):
        rate = 0.0
        for i in range(d):
            rate += 0.5 * matrix[j, i, i] / d
        variance, shape = value[j, 0, 0], 0.5 * nu[j]
        ratio = rate / variance
        density[j] = -(shape + 1.0) * np.log(variance) - ratio
        for i in range(d):
            slopes[j, i, i] = (ratio - shape - 1.0) / variance / d
    _regular(density, flat)
    return density, added(density), slopes


_OF_COVARIANCES = types.Tuple((array(1), types.float64, array(3)))(read_only(3), read_only(1), read_only(3))

normal_density = Compiled(
    types.Tuple((array(1), types.float64, array(2), array(3)))(read_only(2), read_only(3), read_only(2), read_only(1)),
    _normal_density,
)
wishart_density = Compiled(_OF_COVARIANCES, _wishart_density)
diagonal_density = Compiled(_OF_COVARIANCES, _diagonal_density)
spherical_density = Compiled(_OF_COVARIANCES, _spherical_density)
