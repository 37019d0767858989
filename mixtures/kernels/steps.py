"""EM steps of unrestricted mixtures: one call per thread from parameters to parameters.

A pass over ten thousand rows takes 70 microseconds, and what NumPy does around it, on three matrices of two by two, 50. All threads
call the same function with the same arguments, rows and parameters first: those of Gaussians are (values, columns, center,
inverse_scale, v, weights, mean, covariance, size, taken, sums, mass, first, second, shares, means, covariances). They share the
chunks of `size` rows: the next to be taken and the number of those done stand in taken (2,), zeros before, and what passes add up
in sums (chunks, .), zeros before, a row for each. Who is done last adds up the chunks in their order, so that threads change
nothing, and puts the sum of v times row values in the first place of sums, the statistics at these parameters in mass (K,) and the
arrays that follow it, and into the rest the weights and parameters that maximise the expected complete-data log-likelihood. That
sum is NaN where a component collapses or empties, which is left to the formulas of the family. Results go to given arrays because
numba makes those that it returns in Python code, where an interrupt would become another error.

References
----------
McLachlan & Peel (2000), Finite Mixture Models, section 3.2.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import cgutils, types
from numba.extending import intrinsic

from .bernoulli import WORDS
from .bernoulli import whole_pass as bernoulli_pass
from .compiling import ROUNDING, Compiled, array, given, inner, read_only
from .gaussian import diagonal_pass, full_pass, pair_pass, single_pass
from .scores import HALF_LOG_TAU, added, factorise, invert_deviations

__all__ = ["bernoulli_step", "diagonal_step", "full_step", "pair_step", "single_step"]


@intrinsic
def _take(typing_context: Any, counts: Any, place: Any) -> Any:
    """The number at a place of counts, which grows by one: no two threads are given the same."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, args[0])
        pointer = cgutils.get_item_pointer(context, builder, signature.args[0], array, [args[1]])
        return builder.atomic_rmw("add", pointer, context.get_constant(types.intp, 1), "seq_cst")

    return types.intp(counts, types.intp), generate


@inner(ROUNDING)
def _add_up(sums):
    """Add all rows to the first, one after the other."""
    for chunk in range(1, sums.shape[0]):
        for i in range(sums.shape[1]):
            sums[0, i] += sums[chunk, i]


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
    size,
    taken,
    sums,
    mass,
    firsts,
    seconds,
    shares,
    means,
    covariances,
):
    n, k, d = values.shape[0], mean.shape[0], mean.shape[1]
    chunk, wide = _take(taken, 0), 4 * ((d + 3) // 4)
    if chunk >= sums.shape[0]:
        return
    if not _is_positive(weights):
        sums[0, 0] = np.nan
        return
    rows, constant, lower = np.empty(0), np.empty(k), np.zeros((k, d, d))
    location, inverse = np.zeros((k, wide)), np.zeros((k, wide, wide))
    for j in range(k):
        constant[j] = np.log(weights[j]) - d * HALF_LOG_TAU - factorise(covariance[j], lower[j], inverse[j])
        for i in range(d):
            location[j, i] = mean[j, i]
    if np.isnan(added(constant)):
        sums[0, 0] = np.nan
        return
    begin, middle, done = 1 + k, 1 + k + k * wide, 0
    while chunk < sums.shape[0]:
        own, start = sums[chunk], chunk * size
        first, second = own[begin:middle].reshape((k, wide)), own[middle:].reshape((k, wide, wide))
        own[0] = full_pass(
            *(values, columns, center, inverse_scale, v, location, inverse, constant),
            *(start, min(n, start + size), rows, own[1:begin], first, second),
        )
        done, chunk = _take(taken, 1), _take(taken, 0)
    if done < sums.shape[0] - 1:  # another thread is the last
        return
    _add_up(sums)
    own = sums[0]
    first, second = own[begin:middle].reshape((k, wide)), own[middle:].reshape((k, wide, wide))
    mass[:] = own[1:begin]
    if not _is_positive(mass):
        sums[0, 0] = np.nan
        return
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


def _diagonal_step(
    values,
    columns,
    center,
    inverse_scale,
    v,
    weights,
    mean,
    covariance,
    size,
    taken,
    sums,
    mass,
    firsts,
    seconds,
    shares,
    means,
    covariances,
):
    n, k, d = values.shape[0], mean.shape[0], mean.shape[1]
    chunk = _take(taken, 0)
    if chunk >= sums.shape[0]:
        return
    rows, constant, location, inverse = np.empty(0), np.empty(k), np.empty((k, d)), np.empty((k, d))
    if not (_is_positive(weights) and invert_deviations(weights, mean, covariance, location, inverse, constant)):
        sums[0, 0] = np.nan
        return
    begin, middle, done = 1 + k, 1 + k + k * d, 0
    while chunk < sums.shape[0]:
        own, start = sums[chunk], chunk * size
        first, second = own[begin:middle].reshape((k, d)), own[middle:].reshape((k, d))
        own[0] = diagonal_pass(
            *(values, columns, center, inverse_scale, v, location, inverse, constant),
            *(start, min(n, start + size), rows, own[1:begin], first, second),
        )
        done, chunk = _take(taken, 1), _take(taken, 0)
    if done < sums.shape[0] - 1:  # another thread is the last
        return
    _add_up(sums)
    own = sums[0]
    first, second = own[begin:middle].reshape((k, d)), own[middle:].reshape((k, d))
    mass[:] = own[1:begin]
    seconds[:] = 0.0
    covariances[:] = 0.0
    if not _is_positive(mass):
        sums[0, 0] = np.nan
        return
    total = added(mass)
    for j in range(k):
        m = mass[j]
        shares[j] = m / total
        for i in range(d):
            sd, away = np.sqrt(covariance[j, i, i]), first[j, i] / m
            firsts[j, i] = first[j, i]
            seconds[j, i, i] = second[j, i]
            means[j, i] = mean[j, i] + sd * away
            covariances[j, i, i] = sd * (second[j, i] - first[j, i] * away) * sd / m


def _bernoulli_step(words, v, table, weights, probability, size, taken, sums, mass, ones, zeros, shares, probabilities):
    n, k, d = v.size, probability.shape[0], probability.shape[1]
    chunk = _take(taken, 0)
    if chunk >= sums.shape[0]:
        return
    if not _is_positive(weights):
        sums[0, 0] = np.nan
        return
    rows, log_weights, begin, middle, done = np.empty(0), np.log(weights), 1 + k, 1 + k + k * d, 0
    while chunk < sums.shape[0]:
        own, start = sums[chunk], chunk * size
        one, zero = own[begin:middle].reshape((k, d)), own[middle:].reshape((k, d))
        own[0] = bernoulli_pass(
            words, v, table, log_weights, start, min(n, start + size), rows, own[1:begin], one, zero
        )
        done, chunk = _take(taken, 1), _take(taken, 0)
    if done < sums.shape[0] - 1:  # another thread is the last
        return
    _add_up(sums)
    own = sums[0]
    one, zero = own[begin:middle].reshape((k, d)), own[middle:].reshape((k, d))
    mass[:] = own[1:begin]
    if not _is_positive(mass):
        sums[0, 0] = np.nan
        return
    total = added(mass)
    for j in range(k):
        shares[j] = mass[j] / total
        for i in range(d):
            ones[j, i], zeros[j, i] = one[j, i], zero[j, i]
            cells = one[j, i] + zero[j, i]
            probabilities[j, i] = one[j, i] / cells if cells > 0.0 else probability[j, i]


_SHARED = (types.intp, array(1, types.intp), array(2))
_STEP = types.void(
    *(read_only(2), given(1, types.intp), given(1), given(1)),
    *(read_only(ndim) for ndim in (1, 1, 2, 3)),
    *_SHARED,
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
bernoulli_step = Compiled(
    types.void(
        *(WORDS, read_only(1), given(4), read_only(1), read_only(2)),
        *_SHARED,
        *(array(ndim) for ndim in (1, 2, 2, 1, 2)),
    ),
    _bernoulli_step,
)
"""Bernoulli columns, their rows packed and the probabilities' logarithms tabulated (`bernoulli.pack`, `bernoulli.tabulate`)."""
