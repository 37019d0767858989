"""Log densities of rows with the scores of all parameters, for whole mixtures: one call from parameters to gradient.

What a sampler asks for thousands of times on rows that never change; everything small (factors, scores) is done in loops here, so
that nothing but the rows costs time. Functions take (values, v, weights, parameters..., columns, kept) and return the weighted row
log densities (n,), their sum, and its derivatives in the weights and in each parameter. Unless `kept`, there are no row densities,
which saves their logarithms' way through memory. Where a component has no density, all rows are -inf and all slopes 0.

References
----------
Fisher's identity: McLachlan & Krishnan (2008), The EM Algorithm and Extensions, 2nd edition, section 3.7.
"""

from __future__ import annotations

import numpy as np
from numba.core import types

from .compiling import ROUNDING, Compiled, array, given, inner, read_only
from .gaussian import diagonal_pass, full_pass, pair_pass, single_pass

__all__ = [
    "added",
    "bernoulli_scores",
    "diagonal_scores",
    "factorise",
    "full_scores",
    "invert_deviations",
    "invert_factor",
    "pair_scores",
    "single_scores",
]

HALF_LOG_TAU = 0.5 * np.log(2.0 * np.pi)


@inner(ROUNDING)
def factorise(matrix, lower, inverse):
    """A matrix's lower Cholesky factor and that one's inverse in place of zeros (d, d), and its log determinant; NaN where there is none."""
    d, log_det = matrix.shape[0], 0.0
    for i in range(d):
        for j in range(i + 1):
            s = matrix[i, j]
            for h in range(j):
                s -= lower[i, h] * lower[j, h]
            if i == j:
                if not s > 0.0:
                    return np.nan
                lower[i, i] = np.sqrt(s)
                log_det += np.log(lower[i, i])
            else:
                lower[i, j] = s / lower[j, j]
    for j in range(d):
        inverse[j, j] = 1.0 / lower[j, j]
        for i in range(j + 1, d):
            s = 0.0
            for h in range(j, i):
                s -= lower[i, h] * inverse[h, j]
            inverse[i, j] = s / lower[i, i]
    return log_det


@inner(ROUNDING)
def invert_factor(matrix, inverse):
    """A matrix's inverse lower Cholesky factor in place of zeros (d, d), and its log determinant; NaN where there is none."""
    return factorise(matrix, np.zeros(matrix.shape), inverse)


@inner(ROUNDING)
def _weigh(v, rows):
    """Row log densities times their weights, in place; rows of weight 0 add nothing, whatever their density."""
    for i in range(rows.size):
        if v[i] == 0.0:
            rows[i] = 0.0
        elif np.isnan(rows[i]):
            rows[i] = -np.inf
        else:
            rows[i] = v[i] * rows[i]


@inner(ROUNDING)
def _regular(rows, total, slopes, found):
    """Whether there is a density with finite slopes; if not, rows and their sum become -inf and slopes 0."""
    sum_ = 0.0
    for i in range(slopes.size):
        sum_ += abs(slopes[i])
    if found and sum_ < np.inf:
        if np.isnan(total[0]):
            total[0] = -np.inf  # as the row that makes it so
        return
    for i in range(slopes.size):
        slopes[i] = 0.0
    for i in range(rows.size):
        rows[i] = -np.inf
    total[0] = -np.inf


@inner(ROUNDING)
def added(rows):
    """The sum of rows (n,)."""
    sum_ = 0.0
    for i in range(rows.size):
        sum_ += rows[i]
    return sum_


@inner(ROUNDING)
def _by_weights(mass, weights, slopes):
    for k in range(weights.size):
        if weights[k] > 0.0:
            slopes[k] = mass[k] / weights[k]


def _full_scores(values, v, weights, mean, covariance, columns, kept):
    n, k, d = values.shape[0], mean.shape[0], mean.shape[1]
    wide = 4 * ((d + 3) // 4)
    rows, total, slopes = np.empty(n if kept else 0), np.empty(1), np.zeros(k * (1 + d + d * d))
    mean_slopes, covariance_slopes = slopes[k : k + k * d].reshape(k, d), slopes[k + k * d :].reshape(k, d, d)
    location, inverse, constant = np.zeros((k, wide)), np.zeros((k, wide, wide)), np.empty(k)
    for j in range(k):
        constant[j] = np.log(weights[j]) - d * HALF_LOG_TAU - invert_factor(covariance[j], inverse[j])
        for i in range(d):
            location[j, i] = mean[j, i]
    regular = not np.isnan(added(constant))
    if regular:
        mass, first, second = np.zeros(k), np.zeros((k, wide)), np.zeros((k, wide, wide))
        center, scale = np.zeros(d), np.ones(d)
        total[0] = full_pass(
            values, columns, center, scale, v, location, inverse, constant, 0, n, rows, mass, first, second
        )
        _weigh(v, rows)
        _by_weights(mass, weights, slopes)
        turned = np.empty((d, d))
        for j in range(k):
            a = inverse[j]
            for i in range(d):
                for h in range(i, d):
                    mean_slopes[j, i] += a[h, i] * first[j, h]
                second[j, i, i] -= mass[j]
            for g in range(d):  # turned = excess L^-1, of which the lower triangle of excess is given
                for h in range(d):
                    s = 0.0
                    for i in range(h, d):
                        s += (second[j, g, i] if g >= i else second[j, i, g]) * a[i, h]
                    turned[g, h] = s
            for i in range(d):
                for h in range(d):
                    s = 0.0
                    for g in range(i, d):
                        s += a[g, i] * turned[g, h]
                    covariance_slopes[j, i, h] = 0.5 * s
    _regular(rows, total, slopes, regular)
    return rows, total[0], slopes[:k], mean_slopes, covariance_slopes


@inner(ROUNDING)
def invert_deviations(weights, mean, covariance, location, inverse, constant):
    """Put means and inverse standard deviations (K, d), and log density at the mean plus log weight (K,); whether variances are positive."""
    k, d = mean.shape
    regular = True
    for j in range(k):
        constant[j] = np.log(weights[j]) - d * HALF_LOG_TAU
        for i in range(d):
            regular = regular and covariance[j, i, i] > 0.0
            sd = np.sqrt(covariance[j, i, i])
            location[j, i], inverse[j, i] = mean[j, i], 1.0 / sd
            constant[j] -= np.log(sd)
    return regular


def _diagonal_scores(values, v, weights, mean, covariance, columns, kept):
    n, k, d = values.shape[0], mean.shape[0], mean.shape[1]
    rows, total, slopes = np.empty(n if kept else 0), np.empty(1), np.zeros(k * (1 + d + d * d))
    mean_slopes, covariance_slopes = slopes[k : k + k * d].reshape(k, d), slopes[k + k * d :].reshape(k, d, d)
    location, inverse, constant = np.empty((k, d)), np.empty((k, d)), np.empty(k)
    regular = invert_deviations(weights, mean, covariance, location, inverse, constant)
    if regular:
        mass, first, second = np.zeros(k), np.zeros((k, d)), np.zeros((k, d))
        center, scale = np.zeros(d), np.ones(d)
        total[0] = diagonal_pass(
            values, columns, center, scale, v, location, inverse, constant, 0, n, rows, mass, first, second
        )
        _weigh(v, rows)
        _by_weights(mass, weights, slopes)
        for j in range(k):
            for i in range(d):
                a = inverse[j, i]
                mean_slopes[j, i] = a * first[j, i]
                covariance_slopes[j, i, i] = 0.5 * a * a * (second[j, i] - mass[j])
    _regular(rows, total, slopes, regular)
    return rows, total[0], slopes[:k], mean_slopes, covariance_slopes


def _bernoulli_scores(values, v, weights, probability, columns, kept):
    n, k, d = values.shape[0], probability.shape[0], probability.shape[1]
    rows, joint, log_weights, mass = np.empty(n), np.empty(k), np.empty(k), np.zeros(k)
    logs, sums = np.empty((2, d, k)), np.zeros((2, d, k))  # of zeros, then of ones
    for h in range(k):
        log_weights[h] = np.log(weights[h])
        for j in range(d):
            logs[0, j, h], logs[1, j, h] = np.log1p(-probability[h, j]), np.log(probability[h, j])
    for i in range(n):
        for h in range(k):
            joint[h] = log_weights[h]
        for j in range(d):
            one = logs[1 if values[i, columns[j]] != 0.0 else 0, j]
            for h in range(k):
                joint[h] += one[h]
        top = -np.inf
        for h in range(k):
            top = max(top, joint[h])
        if top == -np.inf:
            rows[i] = -np.inf
            continue
        sum_ = 0.0
        for h in range(k):
            joint[h] = np.exp(joint[h] - top)
            sum_ += joint[h]
        rows[i] = top + np.log(sum_)
        share = v[i] / sum_
        for h in range(k):
            joint[h] *= share
            mass[h] += joint[h]
        for j in range(d):
            one = sums[1 if values[i, columns[j]] != 0.0 else 0, j]
            for h in range(k):
                one[h] += joint[h]
    _weigh(v, rows)
    total, slopes = np.empty(1), np.zeros(k + k * d)
    total[0] = added(rows)
    found = slopes[k:].reshape(k, d)
    _by_weights(mass, weights, slopes)
    for h in range(k):
        for j in range(d):
            if sums[1, j, h] != 0.0:
                found[h, j] += sums[1, j, h] / probability[h, j]
            if sums[0, j, h] != 0.0:
                found[h, j] -= sums[0, j, h] / (1.0 - probability[h, j])
    _regular(rows, total, slopes, True)
    return rows, total[0], slopes[:k], found


def _signature(*ndims):
    outputs = types.Tuple((array(1), types.float64, array(1), *(array(ndim) for ndim in ndims)))
    inputs = (read_only(2), *(read_only(ndim) for ndim in (1, 1, *ndims)), given(1, types.intp), types.boolean)
    return outputs(*inputs)


full_scores = Compiled(_signature(2, 3), _full_scores)
"""Gaussians with full covariances: parameters mean (K, d) and covariance (K, d, d)."""
pair_scores = Compiled(_signature(2, 3), _full_scores, calls={"full_pass": pair_pass})
"""The same for two columns."""
diagonal_scores = Compiled(_signature(2, 3), _diagonal_scores)
"""Gaussians with diagonal covariances; entries off the diagonal have slope 0."""
single_scores = Compiled(_signature(2, 3), _diagonal_scores, calls={"diagonal_pass": single_pass})
"""The same for one column."""
bernoulli_scores = Compiled(_signature(2), _bernoulli_scores)
"""Bernoulli columns: parameter probability (K, d)."""
