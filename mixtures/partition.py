"""A deterministic weighted k-means partition: the same rows give the same groups, whatever their offset or units."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["kmeans", "principal_partition", "squared_distances", "unit_variance"]

Array = NDArray[np.float64]
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


def _sum_of_squares(z: Array, v: Array) -> float:
    return float(np.sum(v[:, None] * (z - np.average(z, axis=0, weights=v)) ** 2)) if len(z) else 0.0


def _above_mean_on_first_axis(z: Array, v: Array) -> NDArray[np.bool_]:
    away = z - np.average(z, axis=0, weights=v)
    axis = np.linalg.eigh((away * v[:, None]).T @ away)[1][:, -1]
    axis = axis * np.sign(axis[np.argmax(np.abs(axis))])
    return (away @ axis) > 1e-12
