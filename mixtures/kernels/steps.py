"""EM steps of unrestricted Gaussian mixtures: one call from parameters to parameters, for rows so few that small arrays cost as much.

A pass over ten thousand rows takes 70 microseconds, and what NumPy does around it, on three matrices of two by two, 50. Functions take
(values, columns, center, inverse_scale, v, weights, mean, covariance) and then where to put results: the statistics mass (K,),
first (K, d) and second (K, d, d) at these parameters, and the weights, means and covariances that maximise the expected
complete-data log-likelihood. They return the sum of v times row values, or NaN where a component collapses or empties, which is
left to the formulas of the family. Results go to given arrays because numba makes those that it returns in Python code, where an
interrupt would become another error.

References
----------
McLachlan & Peel (2000), Finite Mixture Models, section 3.2.
"""

from __future__ import annotations

import numpy as np
from numba.core import types

from .compiling import ROUNDING, Compiled, array, given, inner, read_only
from .gaussian import diagonal_pass, full_pass, pair_pass, single_pass
from .scores import HALF_LOG_TAU, added, factorise, invert_deviations

__all__ = ["diagonal_step", "full_step", "pair_step", "single_step"]


@inner(ROUNDING)
def _is_positive(mass):
    """Whether all are positive and finite."""
    bad = 0
    for k in range(mass.size):
        bad += 0 if 0.0 < mass[k] < np.inf else 1
    return bad == 0


def _full_step(
    values,
    columns,
    center,
    inverse_scale,
    v,
    weights,
    mean,
    covariance,
    mass,
    firsts,
    seconds,
    shares,
    means,
    covariances,
):
    n, k, d = values.shape[0], mean.shape[0], mean.shape[1]
    wide = 4 * ((d + 3) // 4)
    rows, constant, lower = np.empty(0), np.empty(k), np.zeros((k, d, d))
    location, first = np.zeros((k, wide)), np.zeros((k, wide))
    inverse, second = np.zeros((k, wide, wide)), np.zeros((k, wide, wide))
    mass[:] = 0.0
    for j in range(k):
        constant[j] = np.log(weights[j]) - d * HALF_LOG_TAU - factorise(covariance[j], lower[j], inverse[j])
        for i in range(d):
            location[j, i] = mean[j, i]
    if np.isnan(added(constant)):
        return np.nan
    value = full_pass(
        values, columns, center, inverse_scale, v, location, inverse, constant, 0, n, rows, mass, first, second
    )
    if not _is_positive(mass):
        return np.nan
    total = added(mass)
    for j in range(k):
        a, m = lower[j], mass[j]
        shares[j] = m / total
        for i in range(d):
            firsts[j, i] = first[j, i]
            for h in range(i + 1):
                seconds[j, i, h] = seconds[j, h, i] = second[j, i, h]
                second[j, i, h] = second[j, h, i] = second[j, i, h] - first[j, i] * (first[j, h] / m)
        for i in range(d):
            s = 0.0
            for h in range(i + 1):
                s += a[i, h] * (first[j, h] / m)
            means[j, i] = mean[j, i] + s
        # The covariance is L inner L' / m, with inner in `second`; L inner comes in place of the inverse.
        for i in range(d):
            for h in range(d):
                inverse[j, i, h] = 0.0
                for g in range(i + 1):
                    inverse[j, i, h] += a[i, g] * second[j, g, h]
        for i in range(d):
            for h in range(i + 1):
                s = 0.0
                for g in range(h + 1):
                    s += inverse[j, i, g] * a[h, g]
                covariances[j, i, h] = covariances[j, h, i] = s / m
    return value


def _diagonal_step(
    values,
    columns,
    center,
    inverse_scale,
    v,
    weights,
    mean,
    covariance,
    mass,
    first,
    seconds,
    shares,
    means,
    covariances,
):
    n, k, d = values.shape[0], mean.shape[0], mean.shape[1]
    rows, constant = np.empty(0), np.empty(k)
    location, inverse, second = np.empty((k, d)), np.empty((k, d)), np.zeros((k, d))
    mass[:] = 0.0
    first[:] = 0.0
    seconds[:] = 0.0
    covariances[:] = 0.0
    if not invert_deviations(weights, mean, covariance, location, inverse, constant):
        return np.nan
    value = diagonal_pass(
        values, columns, center, inverse_scale, v, location, inverse, constant, 0, n, rows, mass, first, second
    )
    if not _is_positive(mass):
        return np.nan
    total = added(mass)
    for j in range(k):
        m = mass[j]
        shares[j] = m / total
        for i in range(d):
            sd, away = np.sqrt(covariance[j, i, i]), first[j, i] / m
            seconds[j, i, i] = second[j, i]
            means[j, i] = mean[j, i] + sd * away
            covariances[j, i, i] = sd * (second[j, i] - first[j, i] * away) * sd / m
    return value


_STEP = types.float64(
    *(read_only(2), given(1, types.intp), given(1), given(1)),
    *(read_only(ndim) for ndim in (1, 1, 2, 3)),
    *(array(ndim) for ndim in (1, 2, 3, 1, 2, 3)),
)

full_step = Compiled(_STEP, _full_step)
"""Full covariances."""
pair_step = Compiled(_STEP, _full_step, calls={"full_pass": pair_pass})
"""The same for two columns."""
diagonal_step = Compiled(_STEP, _diagonal_step)
"""Diagonal covariances."""
single_step = Compiled(_STEP, _diagonal_step, calls={"diagonal_pass": single_pass})
"""The same for one column."""
