"""A deterministic weighted k-means partition: the same rows give the same groups, whatever their offset or units."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["kmeans", "principal_partition", "squared_distances", "trimmed_partition", "unit_variance"]

Array = NDArray[np.float64]
KEPT = 0.975
"""Share of a normal group's rows that are kept when noise is left out."""
MOST_STEPS = 100
"""Renewals of centers and covariance before they are taken as they are."""
MOST_ROWS = 10_000
"""More rows than this, and the groups' centers come from every so-many-th row."""


def unit_variance(x: Array, v: Array) -> Array:
    """Columns (n, d) with mean 0 and variance 1 under row weights v (n,); missing cells (NaN) become 0, the mean."""
    there = ~np.isnan(x)
    if there.all():
        center = np.average(x, axis=0, weights=v)
        spread = np.sqrt(np.average((x - center) ** 2, axis=0, weights=v))
        return np.asarray((x - center) / np.where(spread > 0, spread, 1.0))
    weights = there * v[:, None]
    total = np.maximum(weights.sum(axis=0), np.finfo(np.float64).tiny)
    z = np.where(there, x - (weights * np.where(there, x, 0.0)).sum(axis=0) / total, 0.0)
    spread = np.sqrt((weights * z**2).sum(axis=0) / total)
    return np.asarray(z / np.where(spread > 0, spread, 1.0))


def squared_distances(z: Array, centers: Array) -> Array:
    """Squared Euclidean distances (n, K) of rows z (n, d), standardised, to centers (K, d)."""
    cross = z @ centers.T
    cross *= -2.0
    cross += np.einsum("nd,nd->n", z, z)[:, None]
    cross += np.einsum("kd,kd->k", centers, centers)
    return np.maximum(cross, 0.0, out=cross)


def kmeans(z: Array, v: Array, centers: Array, *, iterations: int = 100) -> NDArray[np.intp]:
    """Lloyd's algorithm from given centers (K, d) on rows z (n, d) with weights v (n,); group of each row (n,).

    A group that loses all rows takes over the row farthest from its center.

    References
    ----------
    Lloyd (1982), IEEE Transactions on Information Theory 28, 129-137.
    """
    centers = centers.copy()
    group = np.full(len(z), -1, dtype=np.intp)
    for _ in range(iterations):
        distance = squared_distances(z, centers)
        fresh = np.argmin(distance, axis=1).astype(np.intp)
        for k in range(len(centers)):
            if not np.any(fresh == k):
                nearest = np.where(
                    np.bincount(fresh, minlength=len(centers))[fresh] > 1, distance[np.arange(len(z)), fresh], -1.0
                )
                fresh[int(np.argmax(nearest))] = k
        if np.array_equal(fresh, group):
            break
        group = fresh
        for k in range(len(centers)):
            member = group == k
            if member.any():
                centers[k] = np.average(z[member], axis=0, weights=v[member])
    return group


def principal_partition(x: Array, v: Array, n_groups: int) -> Array:
    """Indicator matrix (n, K) of a k-means partition of the standardised columns, started by splitting along principal axes.

    The group with the largest within-group sum of squares is cut at its mean along its first principal axis until there are K groups;
    Lloyd's algorithm follows.

    References
    ----------
    Su & Dy (2007), In search of deterministic methods for initializing k-means and Gaussian mixture clustering, Intelligent Data Analysis 11.
    """
    z_all, v_all = unit_variance(x, v), v
    every = max(1, len(z_all) // MOST_ROWS)
    z, v = z_all[::every], v_all[::every]
    group = np.zeros(len(z), dtype=np.intp)
    for fresh in range(1, n_groups):
        order = sorted(range(fresh), key=lambda k: -_sum_of_squares(z[group == k], v[group == k]))
        for k in order:
            member = np.flatnonzero(group == k)
            above = _above_mean_on_first_axis(z[member], v[member])
            if 0 < above.sum() < len(member):
                group[member[above]] = fresh
                break
    used = [k for k in range(n_groups) if np.any(group == k)]
    centers = np.stack([np.average(z[group == k], axis=0, weights=v[group == k]) for k in used])
    group = kmeans(z, v, centers)
    if every > 1:
        centers = np.stack([np.average(z[group == k], axis=0, weights=v[group == k]) for k in range(len(used))])
        group = squared_distances(z_all, centers).argmin(axis=1)
    return (group[:, None] == np.arange(n_groups)).astype(np.float64)


def trimmed_partition(x: Array, v: Array, n_groups: int) -> Array:
    """Indicator matrix (n, K) of groups of one common shape, in which rows that look like noise belong to no group.

    A row is left out if its squared Mahalanobis distance to the nearest group's center lies above the 97.5 % point of chi-square with d
    degrees of freedom, the distance being in the metric of the covariance within groups of the rows that are kept, corrected for what is
    cut off of a normal; if that left out more than half of the rows, those nearest are kept. Centers and covariance start at medians and
    median absolute deviations of the groups of `principal_partition`, with K groups and with the K largest of K + 1, and are renewed
    until no row changes; of the two ends the one whose ellipsoids hold half of the rows in the smaller volume is taken. Where rows are
    too much alike for that, the partition is `principal_partition`'s.

    References
    ----------
    Cuesta-Albertos, Gordaliza & Matrán (1997), Trimmed k-means: an attempt to robustify quantizers, Annals of Statistics 25, 553-576.
    Rousseeuw & van Zomeren (1990), Unmasking multivariate outliers and leverage points, JASA 85, 633-639 (the 97.5 % point).
    """
    z_all = unit_variance(x, v)
    every = max(1, len(z_all) // MOST_ROWS)
    z, w = z_all[::every], v[::every]
    plain = principal_partition(x, v, n_groups)
    best, least = None, np.inf
    for start in (plain, principal_partition(x, v, n_groups + 1)):
        sizes = v @ start
        used = np.sort(np.argsort(-sizes, kind="stable")[:n_groups])
        own = start[::every][:, used]
        if not own.any(axis=0).all():
            continue
        centers = np.stack([_medians(z[own[:, k] > 0], w[own[:, k] > 0]) for k in range(n_groups)])
        found = _concentrated(z, w, centers)
        if found is not None and found.volume < least:
            best, least = found, found.volume
    if best is None:
        return plain
    group, distance = _nearest(z_all, best.centers, best.shape)
    return ((group[:, None] == np.arange(n_groups)) & _kept(distance, v, z.shape[1])[:, None]).astype(np.float64)


class _Concentrated(NamedTuple):
    """Centers, the covariance within groups, and the volume, up to a constant, of the ellipsoids that hold half of the rows."""

    centers: Array
    shape: Array
    volume: float


def _concentrated(z: Array, w: Array, centers: Array) -> _Concentrated | None:
    """Centers and covariance renewed from the rows that are kept until no row changes; None where rows are too much alike."""
    from scipy.special import gammainc

    d = z.shape[1]
    correction = KEPT / float(gammainc(0.5 * d + 1.0, 0.5 * _cut(d)))
    group = squared_distances(z, centers).argmin(axis=1)
    shape = np.diag((1.4826 * _medians(np.abs(z - centers[group]), w)) ** 2)
    last = np.full(len(z), -2)
    for _ in range(MOST_STEPS):
        if np.linalg.eigvalsh(shape)[0] < 1e-10:
            return None
        group, distance = _nearest(z, centers, shape)
        kept = _kept(distance, w, d)
        now = np.where(kept, group, -1)
        if np.array_equal(now, last):
            break
        last, away = now, np.zeros_like(z)
        for k in range(len(centers)):
            own = now == k
            if own.any():
                centers[k] = np.average(z[own], axis=0, weights=w[own])
                away[own] = z[own] - centers[k]
        shape = correction * (away * w[:, None]).T @ away / w[kept].sum()
    half = _medians(distance[:, None], w)[0] ** (0.5 * d)
    return _Concentrated(centers, shape, half * float(np.sqrt(np.linalg.det(shape))))


def _kept(distance: Array, v: Array, d: int) -> NDArray[np.bool_]:
    """Which rows count as no noise, by their squared distances; at least half of them."""
    return np.asarray(distance <= max(_cut(d), _medians(distance[:, None], v)[0]))


def _cut(d: int) -> float:
    """The point of chi-square with d degrees of freedom below which `KEPT` lies."""
    from scipy.special import gammaincinv

    return 2.0 * float(gammaincinv(0.5 * d, KEPT))


def _medians(x: Array, v: Array) -> Array:
    """Of each column the smallest value at which half of the weight is reached."""
    order = np.argsort(x, axis=0, kind="stable")
    reached = np.cumsum(v[order], axis=0)
    first = (reached >= 0.5 * reached[-1]).argmax(axis=0)
    return np.take_along_axis(x, np.take_along_axis(order, first[None], axis=0), axis=0)[0]


def _nearest(z: Array, centers: Array, shape: Array) -> tuple[NDArray[np.intp], Array]:
    """The nearest center of each row in the metric of a covariance, and the squared distance to it."""
    inverse = np.linalg.inv(np.linalg.cholesky(shape))
    distance = squared_distances(z @ inverse.T, centers @ inverse.T)
    group = distance.argmin(axis=1)
    return group, distance[np.arange(len(z)), group]


def _sum_of_squares(z: Array, v: Array) -> float:
    return float(np.sum(v[:, None] * (z - np.average(z, axis=0, weights=v)) ** 2)) if len(z) else 0.0


def _above_mean_on_first_axis(z: Array, v: Array) -> NDArray[np.bool_]:
    away = z - np.average(z, axis=0, weights=v)
    axis = np.linalg.eigh((away * v[:, None]).T @ away)[1][:, -1]
    axis = axis * np.sign(axis[np.argmax(np.abs(axis))])
    return (away @ axis) > 1e-12
