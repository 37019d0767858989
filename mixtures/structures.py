"""Covariances by volume, shape and orientation: their maxima of likelihood, and free coordinates near one of them.

Sigma_k = lambda_k D_k A_k D_k' with volumes lambda_k, shapes A_k (diagonal, determinant 1) and orientations D_k (orthogonal), of
which each is equal over the J components of a block ("E"), their own ("V") or the identity ("I"): three letters. Arrays here have
leading axes (S, J): S sets of J components each, nothing shared between sets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .domains import Covariance, Parameter

__all__ = ["Chart", "Projected", "maximise_structure"]

Array = NDArray[np.float64]
MOST_STEPS = 500
"""Steps of an inner loop; a few suffice."""
TOLERANCE = 1e-13
MOST_AXES = 50
"""Columns up to which Newton's method on the angles of all pairs of axes is worth its matrix."""
NEAR_ENOUGH = 0.1
"""Largest rotation of a sweep from which on Newton's method is tried too."""
SMALLEST_ANGLE = 1e-10
"""Rotation by which common axes count as found; the objective then differs by its square."""
TINY = np.finfo(np.float64).tiny


def maximise_structure(code: str, scatter: Array, rows: Array, now: Array) -> Array:
    """Covariances (S, J, d, d) of a structure that minimise sum_k rows_k log|Sigma_k| + tr(scatter_k Sigma_k^-1).

    Parameters
    ----------
    code
        Three letters.
    scatter
        (S, J, d, d), sums of squares about the means.
    rows
        (S, J), their divisors; components with 0 keep their shapes, orientations and own volumes.
    now
        (S, J, d, d), covariances of that structure where inner loops begin; what is found is no worse.

    Returns
    -------
    (S, J, d, d); not finite in sets where there is no minimum, because scatter is singular.

    References
    ----------
    Celeux & Govaert (1995), Gaussian parsimonious clustering models, Pattern Recognition 28, 781-793; Browne & McNicholas (2014),
    Estimating common principal components in high dimensions, Advances in Data Analysis and Classification 8, 217-226.
    """
    with np.errstate(all="ignore"):
        return _maximised(code, scatter, rows, now)


def _maximised(code: str, scatter: Array, rows: Array, now: Array) -> Array:
    volume, shape, orientation = code[0], code[1], code[2]
    if orientation == "I":
        variances, axes = scatter.diagonal(axis1=-2, axis2=-1), None
    elif orientation == "V":
        variances, axes = np.linalg.eigh(scatter)
    elif shape == "E":
        return _equal_shape_and_orientation(scatter, rows, now)
    else:
        axes = _common_axes(scatter, rows, now, volume)
        variances = np.einsum("sab,sjac,scb->sjb", axes, scatter, axes)
        axes = axes[:, None]
    variances = np.maximum(variances, 0.0)
    held = _variances(now, axes, orientation)
    best = (_own_shapes if shape == "V" else _equal_shape)(variances, rows, held, volume)
    if axes is None:
        return best[..., None] * np.eye(best.shape[-1])
    return (axes * best[..., None, :]) @ axes.swapaxes(-1, -2)


def _variances(now: Array, axes: Array | None, orientation: str) -> Array:
    """The current covariances' variances (S, J, d) along axes."""
    if axes is None:
        return now.diagonal(axis1=-2, axis2=-1)
    if orientation == "V":
        return np.asarray(np.linalg.eigvalsh(now))
    return np.einsum("sjab,sjac,sjcb->sjb", np.broadcast_to(axes, now.shape), now, np.broadcast_to(axes, now.shape))


def _geometric_mean(values: Array) -> Array:
    """Of the last axis, kept; 0 where one is 0."""
    with np.errstate(divide="ignore"):
        return np.exp(np.log(values).mean(axis=-1, keepdims=True))


def _own_shapes(variances: Array, rows: Array, now: Array, volume: str) -> Array:
    """Shapes of their own: equal volumes ("E") or, along common axes, volumes of their own."""
    rows = rows[..., None]
    if volume == "V":
        return np.where(rows > 0, variances / np.where(rows > 0, rows, 1.0), now)
    size = _geometric_mean(variances)
    own = np.where(rows > 0, variances / size, now / _geometric_mean(now))
    return own * size.sum(axis=1, keepdims=True) / np.maximum(rows.sum(axis=1, keepdims=True), TINY)


def _equal_shape(variances: Array, rows: Array, now: Array, volume: str) -> Array:
    """One shape for the components of a set."""
    total, count = variances.sum(axis=1, keepdims=True), rows.sum(axis=1, keepdims=True)[..., None]
    if volume == "E":
        best = total / np.maximum(count, TINY)
        return np.where(count > 0, np.broadcast_to(best, now.shape), now)
    shape = _shape_of_own_volumes(variances, rows, now)
    own = (variances / shape).mean(axis=-1, keepdims=True) / np.maximum(rows[..., None], TINY)
    return np.where(rows[..., None] > 0, own, _geometric_mean(now)) * shape


def _shape_of_own_volumes(variances: Array, rows: Array, now: Array) -> Array:
    """The shape (S, 1, d) that minimises sum_k rows_k log sum_j variances_kj / shape_j, a convex function of its logarithm.

    Newton's method, with a step of the fixed-point iteration where it does not lower the function.
    """
    d = variances.shape[-1]
    count = rows.sum(axis=1)

    def value(log_shape: Array) -> tuple[Array, Array]:
        parts = variances * np.exp(-log_shape)[:, None]
        each = parts.sum(axis=-1)
        shares = parts / np.maximum(each, TINY)[..., None]
        return (rows * np.log(np.maximum(each, TINY))).sum(axis=1), shares

    log_shape = np.log(np.maximum(now, TINY)).mean(axis=1)
    log_shape -= log_shape.mean(axis=-1, keepdims=True)
    height, shares = value(log_shape)
    for _ in range(MOST_STEPS):
        weighted = rows[..., None] * shares
        pull = weighted.sum(axis=1)
        hessian = (
            pull[..., None] * np.eye(d) - np.einsum("sja,sjb->sab", weighted, shares) + count[:, None, None] / d**2
        )
        slope = pull - count[:, None] / d
        if not np.all(np.isfinite(hessian)) or np.abs(slope).max(initial=0.0) <= TOLERANCE * max(
            count.max(initial=0.0), TINY
        ):
            break
        ridge = 1e-14 * np.maximum(count, TINY)[:, None, None] * np.eye(d)
        newton = np.linalg.solve(hessian + ridge, slope[..., None])[..., 0]
        fixed_point = np.log(np.maximum(pull, TINY * count[:, None]) * d / np.maximum(count, TINY)[:, None])
        tried = log_shape + newton
        better, its_shares = value(tried)
        worse = ~(better <= height) | (np.abs(newton).max(axis=-1) > 2.0)
        if worse.any():
            tried = np.where(worse[:, None], log_shape + fixed_point, tried)
            better, its_shares = value(tried)
        tried -= tried.mean(axis=-1, keepdims=True)
        moved = np.abs(tried - log_shape).max(initial=0.0)
        log_shape, height, shares = tried, better, its_shares
        if moved <= TOLERANCE:
            break
    shape = np.exp(log_shape)
    return (shape / _geometric_mean(shape))[:, None]


def _equal_shape_and_orientation(scatter: Array, rows: Array, now: Array) -> Array:
    """Multiples of one matrix: Sigma_k = lambda_k C, by the fixed point C = sum_k rows_k scatter_k / tr(scatter_k C^-1), which descends."""
    d = scatter.shape[-1]
    C = _unit_determinant((rows[..., None, None] * now / _size(now)[..., None, None]).sum(axis=1) + TINY * np.eye(d))
    for _ in range(MOST_STEPS):
        inverse = np.linalg.inv(C)
        each = np.einsum("sjab,sba->sj", scatter, inverse)
        fresh = np.where(rows > 0, rows / np.maximum(each, TINY), 0.0)
        found = _unit_determinant(np.einsum("sj,sjab->sab", fresh, scatter))
        gap = np.abs(np.linalg.solve(C, found) - np.eye(d)).max(initial=0.0)
        C = found
        if not gap > 10 * TOLERANCE:
            break
    each = np.einsum("sjab,sba->sj", scatter, np.linalg.inv(C)) / d
    volumes = np.where(rows > 0, each / np.maximum(rows, TINY), _size(now))
    return volumes[..., None, None] * C[:, None]


def _size(matrix: Array) -> Array:
    """The d-th root of the determinant; 0 where it is not positive."""
    sign, log_det = np.linalg.slogdet(matrix)
    return np.asarray(np.where(sign > 0, np.exp(log_det / matrix.shape[-1]), 0.0))


def _unit_determinant(matrix: Array) -> Array:
    size = _size(matrix)
    return np.asarray(np.where(size > 0, matrix.T / size.T, np.nan).T)


# -- common axes --------------------------------------------------------------------------------------------------------


def _common_axes(scatter: Array, rows: Array, now: Array, volume: str) -> Array:
    """Axes (S, d, d) common to a set, with shapes of its components' own, by rotations of two axes at a time, then Newton's method.

    For given variances along the axes the best rotation of two of them is known in closed form; variances are renewed after each,
    which majorises the function of the axes alone, so that every rotation descends.
    """
    axes = _lower_of(scatter, rows, volume, common_basis(now), np.linalg.eigh(scatter.sum(axis=1))[1])
    turned = _turned(axes, scatter)
    for _ in range(MOST_STEPS):
        largest = _sweep(axes, turned, rows, volume)
        if largest <= SMALLEST_ANGLE or not np.isfinite(largest):
            break
        if largest < NEAR_ENOUGH and axes.shape[-1] <= MOST_AXES:
            axes, turned, largest = _newton_on_axes(axes, turned, scatter, rows, volume)
            if largest <= SMALLEST_ANGLE:
                break
    return axes


def _sweep(axes: Array, turned: Array, rows: Array, volume: str) -> float:
    """Rotations of every two axes (in place); the largest angle."""
    largest, d = 0.0, axes.shape[-1]
    for p in range(d - 1):
        for q in range(p + 1, d):
            along = np.maximum(turned.diagonal(axis1=-2, axis2=-1), TINY)
            weight = _geometric_mean(along)[..., 0] if volume == "E" else rows
            gap = weight * (1.0 / along[..., p] - 1.0 / along[..., q])
            difference = (gap * 0.5 * (turned[..., p, p] - turned[..., q, q])).sum(axis=1)
            product = (gap * turned[..., p, q]).sum(axis=1)
            angle = 0.5 * np.arctan2(-product, -difference)
            angle = np.where(np.hypot(product, difference) > 0, angle - np.pi * np.round(angle / np.pi), 0.0)
            _rotate(axes, turned, p, q, angle)
            largest = max(largest, float(np.abs(angle).max(initial=0.0)))
    return largest


def _newton_on_axes(axes: Array, turned: Array, scatter: Array, rows: Array, volume: str) -> tuple[Array, Array, float]:
    """One Newton step on the objective as a function of the axes alone, in sets where it descends; its largest entry.

    With M = D' W D and D turned by exp(X), the entries on M's diagonal change by 2 (M X)_pp + (M X X)_pp - (X M X)_pp + ...
    """
    d = axes.shape[-1]
    below, above = np.tril_indices(d, -1)
    pairs = np.arange(len(below))
    basis = np.zeros((len(below), d, d))
    basis[pairs, below, above], basis[pairs, above, below] = 1.0, -1.0
    along = np.maximum(turned.diagonal(axis1=-2, axis2=-1), TINY)
    weight = _geometric_mean(along)[..., 0] / d if volume == "E" else rows
    share = weight[..., None] / along
    first = 2.0 * np.einsum("sjpb,mbp->sjmp", turned, basis) / along[:, :, None]
    slope = np.einsum("sj,sjmp->sm", weight, first)
    # Sums over the entries of basis m, +1 at (i, j) and -1 at (j, i), and of basis n, +1 at (k, l) and -1 at (l, k).
    each = np.einsum("sjpb,sjp->sbp", turned, share)
    i, j, k, l = below[:, None], above[:, None], below, above  # noqa: E741 (as in the comment)
    half = (j == k) * each[:, i, l] - (j == l) * each[:, i, k] - (i == k) * each[:, j, l] + (i == l) * each[:, j, k]
    third = np.einsum("mpb,spbc->smpc", basis, np.einsum("sjp,sjbc->spbc", share, turned))
    half -= third[:, :, above, below] - third[:, :, below, above]
    by_root = (np.sqrt(weight)[..., None, None] * first).swapaxes(1, 2).reshape(len(axes), len(below), -1)
    hessian = half + half.swapaxes(-1, -2) - by_root @ by_root.swapaxes(-1, -2)
    if volume == "E":
        total = first.sum(axis=-1)
        hessian += np.einsum("sj,sjm,sjn->smn", weight / d, total, total)
    values, vectors = np.linalg.eigh(np.where(np.isfinite(hessian), hessian, 0.0))
    usable = values[:, 0] > 1e-12 * np.abs(values).max(axis=1)
    along_each = np.vecmat(slope, vectors) / np.where(values > 0, values, np.inf)
    step = -np.matvec(vectors, along_each)
    step = np.where(usable[:, None], step, 0.0)
    tried = axes @ cayley(step, d)[1]
    its_turned = _turned(tried, scatter)
    height = _height(turned, rows, volume)
    better = _height(its_turned, rows, volume) <= height + 1e-14 * np.maximum(np.abs(height), rows.sum(axis=1))
    axes, turned = (
        np.where(better[:, None, None], tried, axes),
        np.where(better[:, None, None, None], its_turned, turned),
    )
    sure = np.where(better & usable, np.abs(step).max(axis=1, initial=0.0), np.inf)
    return axes, turned, float(sure.max(initial=0.0))


def _turned(axes: Array, matrices: Array) -> Array:
    return np.asarray(axes.swapaxes(-1, -2)[:, None] @ matrices @ axes[:, None])


def _rotate(axes: Array, turned: Array, p: int, q: int, angle: Array) -> None:
    """Rotate axes p and q (in place), and the matrices seen along them."""
    c, s = np.cos(angle)[:, None], np.sin(angle)[:, None]
    first, second = axes[..., p].copy(), axes[..., q].copy()
    axes[..., p], axes[..., q] = c * first + s * second, c * second - s * first
    c, s = c[..., None], s[..., None]
    first, second = turned[..., p].copy(), turned[..., q].copy()
    turned[..., p], turned[..., q] = c * first + s * second, c * second - s * first
    first, second = turned[..., p, :].copy(), turned[..., q, :].copy()
    turned[..., p, :], turned[..., q, :] = c * first + s * second, c * second - s * first


def _lower_of(scatter: Array, rows: Array, volume: str, *candidates: Array) -> Array:
    """Of each set the axes along which the objective is lower."""
    heights = []
    for axes in candidates:
        along = np.log(np.maximum(_turned(axes, scatter).diagonal(axis1=-2, axis2=-1), TINY))
        heights.append(
            (rows * along.sum(axis=-1)).sum(axis=1) if volume == "V" else np.exp(along.mean(axis=-1)).sum(axis=1)
        )
    return np.where((heights[1] < heights[0])[:, None, None], candidates[1], candidates[0]).copy()


def _height(turned: Array, rows: Array, volume: str) -> Array:
    """The objective (S,) as a function of the scatter seen along common axes, but for an increasing map."""
    logs = np.log(np.maximum(turned.diagonal(axis1=-2, axis2=-1), TINY))
    return (rows * logs.sum(axis=-1)).sum(axis=1) if volume == "V" else np.exp(logs.mean(axis=-1)).sum(axis=1)


def common_basis(matrices: Array, start: Array | None = None) -> Array:
    """Axes (S, d, d), near `start`, along which matrices (S, J, d, d) that commute are all diagonal.

    References
    ----------
    Cardoso & Souloumiac (1996), Jacobi angles for simultaneous diagonalization, SIAM Journal on Matrix Analysis 17, 161-164.
    """
    sets, _, d, _ = matrices.shape
    axes = np.tile(np.eye(d), (sets, 1, 1)) if start is None else start.copy()
    turned = _turned(axes, matrices / np.trace(matrices, axis1=-2, axis2=-1)[..., None, None])
    for _ in range(50):
        largest = 0.0
        for p in range(d - 1):
            for q in range(p + 1, d):
                gap, off = turned[..., p, p] - turned[..., q, q], 2.0 * turned[..., p, q]
                angle = 0.25 * np.arctan2(2.0 * (gap * off).sum(axis=1), (gap**2 - off**2).sum(axis=1))
                angle = np.where(np.abs(off).max(axis=1) > 1e-15, angle, 0.0)
                _rotate(axes, turned, p, q, angle)
                largest = max(largest, float(np.abs(angle).max(initial=0.0)))
        if largest <= 1e-15:
            break
    return axes


# -- coordinates --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Projected(Covariance):
    """Coordinates of every component for itself, whose points are brought back to the structure: for long steps.

    Parameters
    ----------
    code
        Three letters.
    count
        J, the number of components of a set.
    """

    count: int = 1

    def constrain(self, free: Array, shape: tuple[int, ...]) -> Array:
        value = super().constrain(free, shape)
        assert self.code is not None
        with np.errstate(all="ignore"):
            sets = value.reshape(-1, self.count, *shape)
            found = np.full_like(sets, np.nan)
            finite = np.isfinite(sets).all(axis=(1, 2, 3))
            found[finite] = maximise_structure(self.code, sets[finite], np.ones(sets[finite].shape[:2]), sets[finite])
        return found.reshape(value.shape)

    def unit_lengths(self, shape: tuple[int, ...], spread: Array) -> Array:
        return Covariance(self.structure).unit_lengths(shape, spread)


@dataclass(frozen=True, eq=False)
class Chart(Covariance):
    """Free coordinates of the J covariances of a structure near given ones.

    Of each component the logarithm of its volume, the logarithms of its shape (the last is what makes their sum 0), and the entries of a
    skew matrix X below the diagonal, which turns the given axes by the Cayley map (I - X / 2)^-1 (I + X / 2). Coordinates
    of what is shared are the first component's.

    Parameters
    ----------
    code
        Three letters.
    at
        (J, d, d), the given covariances.
    alive
        (J,), whether a component has coordinates of its own.
    """

    at: Array = field(default_factory=lambda: np.zeros((0, 0, 0)))
    alive: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=bool))

    @property
    def letters(self) -> str:
        """The code."""
        assert self.code is not None
        return self.code

    @cached_property
    def base(self) -> Array:
        """The given axes, one per component (J, d, d)."""
        return self._axes(self.at[None], None)[0]

    def _axes(self, sets: Array, base: Array | None) -> Array:
        """Axes (S, J, d, d); ordered by variance, or common to the components, with the signs of the base."""
        d = sets.shape[-1]
        if self.letters[2] == "I":
            return np.broadcast_to(np.eye(d), sets.shape)
        if self.letters[2] == "V":
            axes = np.asarray(np.linalg.eigh(sets)[1])
        else:
            start = np.repeat(base[None, 0], len(sets), axis=0) if base is not None else np.linalg.eigh(sets[:, 0])[1]
            axes = np.broadcast_to(common_basis(sets, start)[:, None], sets.shape).copy()
        if base is None:
            axes[..., -1] *= np.sign(np.linalg.det(axes))[..., None]
            return axes
        signs = np.sign((base * axes).sum(axis=-2))
        return np.asarray(axes * np.where(signs == 0, 1.0, signs)[..., None, :])

    def _parts(self, value: Array) -> tuple[Array, Array]:
        """Axes and variances along them, of values (S J, d, d)."""
        sets = value.reshape(-1, len(self.at), *value.shape[1:])
        axes = self._axes(sets, self.base)
        return axes, np.maximum(np.einsum("sjab,sjac,sjcb->sjb", axes, sets, axes), TINY)

    def unconstrain(self, value: Array) -> Array:
        axes, variances = self._parts(value)
        d = value.shape[-1]
        logs = np.log(variances)
        volume = logs.mean(axis=-1, keepdims=True)
        rotation = self.base.swapaxes(-1, -2) @ axes
        identity = np.eye(d)
        skew = 2.0 * (rotation - identity) @ np.linalg.pinv(rotation + identity)
        rows, columns = np.tril_indices(d, -1)
        free = np.concatenate([volume, (logs - volume)[..., :-1], skew[..., rows, columns]], axis=-1)
        return free.reshape(len(value), -1)

    def constrain(self, free: Array, shape: tuple[int, ...]) -> Array:
        d = shape[-1]
        coordinates = self._shared(free.reshape(-1, len(self.at), free.shape[-1]))
        volume, part = coordinates[..., :1], coordinates[..., 1:d]
        logs = volume + np.concatenate([part, -part.sum(axis=-1, keepdims=True)], axis=-1)
        axes = self.base @ cayley(coordinates[..., d:], d)[1]
        with np.errstate(over="ignore"):
            value = (axes * np.exp(logs)[..., None, :]) @ axes.swapaxes(-1, -2)
        return np.asarray(0.5 * (value + value.swapaxes(-1, -2))).reshape(len(free), *shape)

    def pullback(self, value: Array, gradient: Array) -> Array:
        d = value.shape[-1]
        axes, variances = self._parts(value)
        slopes = gradient.reshape(axes.shape)
        slopes = 0.5 * (slopes + slopes.swapaxes(-1, -2))
        turned = axes.swapaxes(-1, -2) @ slopes @ axes
        along = variances * turned.diagonal(axis1=-2, axis2=-1)
        rotation = self.base.swapaxes(-1, -2) @ axes
        M = 0.5 * (rotation + np.eye(d))  # (I - X / 2)^-1
        P = 2.0 * M @ (variances[..., :, None] * turned) @ rotation.swapaxes(-1, -2) @ M
        rows, columns = np.tril_indices(d, -1)
        spin = P[..., columns, rows] - P[..., rows, columns]
        shape = along[..., :-1] - along[..., -1:]
        found = np.concatenate([along.sum(axis=-1, keepdims=True), shape, spin], axis=-1)
        for letter, own in zip(self.letters, _slices(d), strict=True):
            if letter == "E":
                found[..., 0, own] = found[..., own].sum(axis=1)
        return found.reshape(len(value), -1)

    def at_boundary(self, value: Array) -> NDArray[np.bool_]:
        """Coordinates that are not free: of the identity, of what the first component has for all, and of components that are not alive."""
        d = value.shape[-1]
        held = np.zeros((len(value), d * (d + 1) // 2), dtype=bool)
        for letter, own in zip(self.letters, _slices(d), strict=True):
            held[1:, own] |= letter == "E"
            held[~self.alive, own] |= letter == "V"
            held[:, own] |= letter == "I"
        return held

    def unit_lengths(self, shape: tuple[int, ...], spread: Array) -> Array:
        return np.ones(shape[0] * (shape[0] + 1) // 2)

    def coordinate_names(self, parameter: Parameter, columns: Sequence[str]) -> list[str]:
        rows, others = np.tril_indices(len(columns), -1)
        shapes = [f"shape {i}" for i in range(len(columns) - 1)]
        return ["volume", *shapes, *(f"rotation {i}, {j}" for i, j in zip(rows, others, strict=True))]

    def _shared(self, coordinates: Array) -> Array:
        found = coordinates.copy()
        for letter, own in zip(self.letters, _slices(self.at.shape[-1]), strict=True):
            if letter == "E":
                found[..., own] = coordinates[:, :1, own]
            elif letter == "I":
                found[..., own] = 0.0
        return found


def cayley(entries: Array, d: int) -> tuple[Array, Array]:
    """(I - X / 2)^-1 and the rotation (I - X / 2)^-1 (I + X / 2), for skew X (..., d, d) given below the diagonal."""
    rows, columns = np.tril_indices(d, -1)
    half = np.zeros((*entries.shape[:-1], d, d))
    half[..., rows, columns] = 0.5 * entries
    half[..., columns, rows] = -0.5 * entries
    inverse = np.linalg.inv(np.eye(d) - half)
    return np.asarray(inverse), np.asarray(inverse @ (np.eye(d) + half))


def _slices(d: int) -> tuple[slice, slice, slice]:
    """Coordinates of volume, shape and orientation."""
    return slice(0, 1), slice(1, d), slice(d, d * (d + 1) // 2)
