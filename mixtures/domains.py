"""The sets that parameters live in: what is legal, and free coordinates without constraints.

A domain works on arrays with a leading component axis, `value (J, *shape)`, and maps each component's value to a row of
free coordinates `(J, m)`. Gradients with respect to a symmetric matrix are symmetric: `d f = sum_ij G_ij d Sigma_ij`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .errors import SpecError

__all__ = [
    "Covariance",
    "Domain",
    "Interval",
    "Known",
    "Link",
    "Parameter",
    "Positive",
    "Real",
    "Shares",
    "Simplex",
    "UnitInterval",
    "power_of_two",
]

Array = NDArray[np.float64]


def power_of_two(scale: Array) -> Array:
    """The nearest powers of two: dividing by them rounds nothing.

    Examples
    --------
    >>> power_of_two(np.array([1.1, 13.6])).tolist()
    [1.0, 16.0]
    """
    return np.exp2(np.round(np.log2(scale)))


class Link(NamedTuple):
    """A scale without bounds for one scalar: the map to it, its inverse and its derivative."""

    name: str
    forward: Callable[[Array], Array]
    inverse: Callable[[Array], Array]
    slope: Callable[[Array], Array]


def _expit(value: Array) -> Array:
    with np.errstate(over="ignore"):
        return np.asarray(1.0 / (1.0 + np.exp(-value)))


IDENTITY = Link("identity", lambda x: x, lambda t: t, lambda x: np.ones_like(x))
LOG = Link("log", np.log, np.exp, lambda x: 1.0 / x)
LOGIT = Link("logit", lambda x: np.log(x) - np.log1p(-x), _expit, lambda x: 1.0 / (x * (1.0 - x)))

LARGEST_LOG = 300.0
"""Logarithm of the largest positive number that coordinates stand for: products with data stay finite."""


class Domain:
    """Interface: one set of legal values and its free coordinates."""

    limits: ClassVar[dict[str, float]] = {}
    """What every single entry keeps to, in the words of JSON Schema."""

    separate: ClassVar[bool] = True
    """Whether entries are legal or not whatever the others are."""

    def problem(self, value: Array) -> str | None:
        """What is wrong with one component's fixed value (entries to be estimated are NaN), or None."""
        raise NotImplementedError

    def estimate_problem(self, value: Array) -> str | None:
        """What is wrong with one component's estimate, or None; estimates may lie on edges where fixed values may not."""
        return self.problem(value)

    def unconstrain(self, value: Array) -> Array:
        """Free coordinates (J, m) of values (J, *shape)."""
        raise NotImplementedError

    def size(self, shape: tuple[int, ...]) -> int:
        """Number of free coordinates of a value of that shape."""
        return int(self.unconstrain(self.neutral(shape)[None]).shape[1])

    def constrain(self, free: Array, shape: tuple[int, ...]) -> Array:
        """Values (J, *shape) of free coordinates (J, m)."""
        raise NotImplementedError

    def pullback(self, value: Array, gradient: Array) -> Array:
        """Gradient in free coordinates (J, m) from the gradient in values (J, *shape)."""
        raise NotImplementedError

    def neutral(self, shape: tuple[int, ...]) -> Array:
        """A legal value for standardised columns, at which a start takes its first statistics."""
        raise NotImplementedError

    def at_boundary(self, value: Array) -> NDArray[np.bool_]:
        """Which free coordinates (J, m) sit on an edge of the set, where they are infinite."""
        return np.zeros(self.unconstrain(value).shape, dtype=bool)

    def edge_words(self, value: float) -> str:
        """What it means that an entry lies on that edge of the set, if there is more to say than the number."""
        return ""

    def nearest_edge(self, value: Array, tolerance: float) -> Array:
        """The value with entries that are within `tolerance` of a legal edge moved onto it."""
        return value

    def nudge_inside(self, value: Array, distance: float) -> Array:
        """The value with entries on an edge moved inside by that much."""
        return value

    def one_moved(self, value: Array, moved: Array, entry: tuple[int, ...]) -> Array:
        """One component's value with that entry as in `moved`, and legal."""
        found = np.array(value)
        found[entry] = moved[entry]
        return found

    def tangent(self, value: Array, gradient: Array) -> Array:
        """The gradient in each entry where the others give way, so that the value stays legal."""
        return gradient

    def entries(self, shape: tuple[int, ...]) -> list[tuple[int, ...]]:
        """Index of every scalar that a table shows, in the order of `marginal`."""
        return list(np.ndindex(*shape))

    def marginal(self, value: Array) -> Array:
        """One unconstrained number per shown entry, (J, len(entries)): the scale on which it is compared."""
        return self.unconstrain(value)

    def chart(self, at: Array, alive: NDArray[np.bool_], *, wide: bool = False) -> Domain:
        """Free coordinates of the values (J, *shape) of several components together, near `at`, or `wide`: usable far away too.

        Components that are not alive (J,) have none of their own.
        """
        return self

    @property
    def is_coupled(self) -> bool:
        """Whether the values of several components are legal only together."""
        return False

    def nearest(self, value: Array) -> Array:
        """Values (J, *shape) that are legal together, near legal ones."""
        return value

    def n_free(self, count: int, shape: tuple[int, ...]) -> int | None:
        """Number of free coordinates of so many components together; None where each has its own."""
        return None

    def coordinate_names(self, parameter: Parameter, columns: Sequence[str]) -> list[str]:
        """What each coordinate is called, after the parameter."""
        return [", ".join(parameter.place(columns, entry)) for entry in self.entries(parameter.shape(len(columns)))]

    def unit_lengths(self, shape: tuple[int, ...], spread: Array) -> Array:
        """What each coordinate (m,) is divided by when columns are divided by `spread`."""
        here = self.unconstrain(self.neutral(shape)[None])
        corners = self.constrain(np.concatenate([here, here + np.eye(here.shape[1])]), shape)
        with np.errstate(all="ignore"):
            moved = self.unconstrain(self.to_standard(corners, np.zeros_like(spread), spread))
        return np.asarray(1.0 / np.diag(moved[1:] - moved[0]))

    def link(self, entry: tuple[int, ...]) -> Link:
        """The scale of that entry on which intervals are made: mapped back, they stay legal."""
        return IDENTITY

    def to_data(self, value: Array, center: Array, scale: Array) -> Array:
        """The value in data units, from the value for columns (x - center) / scale."""
        return value

    def to_standard(self, value: Array, center: Array, scale: Array) -> Array:
        """The value for columns (x - center) / scale, from the value in data units."""
        return value

    def gradient_to_standard(self, gradient: Array, scale: Array) -> Array:
        """The gradient in the standardised value, from the gradient in data units."""
        return gradient


@dataclass(frozen=True)
class Real(Domain):
    """Real numbers; a location, so it moves and stretches with its column."""

    def neutral(self, shape: tuple[int, ...]) -> Array:
        return np.zeros(shape)

    def problem(self, value: Array) -> str | None:
        return "must be finite" if np.any(np.isinf(value)) else None

    def unconstrain(self, value: Array) -> Array:
        return value.reshape(len(value), -1).astype(np.float64)

    def constrain(self, free: Array, shape: tuple[int, ...]) -> Array:
        return free.reshape(len(free), *shape)

    def pullback(self, value: Array, gradient: Array) -> Array:
        return gradient.reshape(len(value), -1)

    def to_data(self, value: Array, center: Array, scale: Array) -> Array:
        return center + scale * value

    def to_standard(self, value: Array, center: Array, scale: Array) -> Array:
        return (value - center) / scale

    def gradient_to_standard(self, gradient: Array, scale: Array) -> Array:
        return gradient * scale


@dataclass(frozen=True)
class Known(Real):
    """Locations that are given or read off the data and never estimated: there are no free coordinates, (J, 0)."""

    def unconstrain(self, value: Array) -> Array:
        return np.zeros((len(value), 0))

    def constrain(self, free: Array, shape: tuple[int, ...]) -> Array:
        return np.zeros((len(free), *shape))

    def pullback(self, value: Array, gradient: Array) -> Array:
        return np.zeros((len(value), 0))


@dataclass(frozen=True)
class Index(Known):
    """Numbers that stand for something, such as a component: given, and the same in any units."""

    to_data, to_standard, gradient_to_standard = Domain.to_data, Domain.to_standard, Domain.gradient_to_standard


@dataclass(frozen=True)
class Positive(Domain):
    """Numbers above zero, free on the log scale.

    Parameters
    ----------
    reaches_zero
        Whether 0 is a limit that estimates may reach (the rate of a Poisson), or no density is left there.
    """

    reaches_zero: bool = True
    limits: ClassVar[dict[str, float]] = {"exclusiveMinimum": 0}

    @property
    def bounds(self) -> tuple[float, float]:
        """What values lie between."""
        return 0.0, np.inf

    def neutral(self, shape: tuple[int, ...]) -> Array:
        return np.ones(shape)

    def problem(self, value: Array) -> str | None:
        legal = (value > 0) & np.isfinite(value) | np.isnan(value)
        return None if np.all(legal) else "must be greater than 0 and finite"

    def estimate_problem(self, value: Array) -> str | None:
        return self.problem(np.where(value == 0, 1.0, value) if self.reaches_zero else value)

    def nearest_edge(self, value: Array, tolerance: float) -> Array:
        return np.where((value < tolerance) & self.reaches_zero, 0.0, value)

    def unconstrain(self, value: Array) -> Array:
        with np.errstate(divide="ignore"):
            return np.log(value.reshape(len(value), -1))

    def constrain(self, free: Array, shape: tuple[int, ...]) -> Array:
        lowest = -np.inf if self.reaches_zero else -LARGEST_LOG
        return np.exp(np.clip(free, lowest, LARGEST_LOG)).reshape(len(free), *shape)

    def link(self, entry: tuple[int, ...]) -> Link:
        return LOG

    def pullback(self, value: Array, gradient: Array) -> Array:
        slope = np.where(value > 0, gradient, 0.0)
        return (slope * value).reshape(len(value), -1)

    def nudge_inside(self, value: Array, distance: float) -> Array:
        return np.where(value <= 0, distance, value)

    def at_boundary(self, value: Array) -> NDArray[np.bool_]:
        return value.reshape(len(value), -1) <= 0


@dataclass(frozen=True)
class Interval(Positive):
    """Positive numbers between two bounds; both are legal answers, free on the logit scale of (value - low) / (high - low) between them.

    How far a value is from a bound is measured by reciprocals, from 0 at the bound to 1 at the other one: degrees of freedom of
    100 and 200 are nearly the same, 1 and 101 are not.

    Parameters
    ----------
    low, high
        The bounds, 0 < low < high.
    at_low, at_high
        What a value at that bound means, in words.
    """

    reaches_zero: ClassVar[bool] = False  # type: ignore[misc]
    low: float = 0.5
    high: float = 2.0
    at_low: str = ""
    at_high: str = ""

    @property
    def limits(self) -> dict[str, float]:  # type: ignore[override]
        return {"minimum": self.low, "maximum": self.high}

    @property
    def bounds(self) -> tuple[float, float]:
        return self.low, self.high

    def neutral(self, shape: tuple[int, ...]) -> Array:
        return np.full(shape, np.sqrt(self.low * self.high))

    def problem(self, value: Array) -> str | None:
        legal = (value >= self.low) & (value <= self.high) | np.isnan(value)
        return None if np.all(legal) else f"must lie in [{self.low:g}, {self.high:g}]"

    def estimate_problem(self, value: Array) -> str | None:
        return self.problem(value)

    def unconstrain(self, value: Array) -> Array:
        flat = value.reshape(len(value), -1)
        with np.errstate(divide="ignore"):
            return np.log(flat - self.low) - np.log(self.high - flat)

    def constrain(self, free: Array, shape: tuple[int, ...]) -> Array:
        value = self.low + (self.high - self.low) * _expit(free)
        return np.clip(value, self.low, self.high).reshape(len(free), *shape)

    def link(self, entry: tuple[int, ...]) -> Link:
        low, high = self.low, self.high
        return Link(
            "logit",
            lambda x: np.log(x - low) - np.log(high - x),
            lambda t: low + (high - low) * _expit(t),
            lambda x: (high - low) / ((x - low) * (high - x)),
        )

    def pullback(self, value: Array, gradient: Array) -> Array:
        inside = (value - self.low) * (self.high - value) / (self.high - self.low)
        return (np.where(inside > 0, gradient, 0.0) * inside).reshape(len(value), -1)

    def nearest_edge(self, value: Array, tolerance: float) -> Array:
        from_high = (1.0 / value - 1.0 / self.high) / (1.0 / self.low - 1.0 / self.high)
        return np.where(from_high < tolerance, self.high, np.where(from_high > 1.0 - tolerance, self.low, value))

    def nudge_inside(self, value: Array, distance: float) -> Array:
        step = distance * (1.0 / self.low - 1.0 / self.high)
        below = np.minimum(1.0 / (1.0 / self.high + step), np.nextafter(self.high, 0.0))
        above = np.maximum(1.0 / (1.0 / self.low - step), np.nextafter(self.low, np.inf))
        return np.where(value <= self.low, above, np.where(value >= self.high, below, value))

    def at_boundary(self, value: Array) -> NDArray[np.bool_]:
        flat = value.reshape(len(value), -1)
        return (flat <= self.low) | (flat >= self.high)

    def edge_words(self, value: float) -> str:
        return self.at_low if value <= self.low else self.at_high if value >= self.high else ""


@dataclass(frozen=True)
class UnitInterval(Domain):
    """Probabilities; 0 and 1 are legal answers, free on the logit scale in between."""

    limits: ClassVar[dict[str, float]] = {"minimum": 0, "maximum": 1}

    def neutral(self, shape: tuple[int, ...]) -> Array:
        return np.full(shape, 0.5)

    def problem(self, value: Array) -> str | None:
        return None if np.all(((value >= 0) & (value <= 1)) | np.isnan(value)) else "must lie in [0, 1]"

    def unconstrain(self, value: Array) -> Array:
        flat = value.reshape(len(value), -1)
        with np.errstate(divide="ignore"):
            return np.log(flat) - np.log1p(-flat)

    def constrain(self, free: Array, shape: tuple[int, ...]) -> Array:
        with np.errstate(over="ignore"):
            return (1.0 / (1.0 + np.exp(-free))).reshape(len(free), *shape)

    def link(self, entry: tuple[int, ...]) -> Link:
        return LOGIT

    def pullback(self, value: Array, gradient: Array) -> Array:
        inside = value * (1.0 - value)
        slope = np.where(inside > 0, gradient, 0.0)  # infinite at an edge, perhaps
        return (slope * inside).reshape(len(value), -1)

    def nearest_edge(self, value: Array, tolerance: float) -> Array:
        return np.where(value < tolerance, 0.0, np.where(value > 1.0 - tolerance, 1.0, value))

    def nudge_inside(self, value: Array, distance: float) -> Array:
        return np.where(value <= 0, distance, np.where(value >= 1, 1.0 - distance, value))

    def at_boundary(self, value: Array) -> NDArray[np.bool_]:
        flat = value.reshape(len(value), -1)
        return (flat <= 0) | (flat >= 1)


@dataclass(frozen=True)
class Simplex(Domain):
    """Positive shares that sum to one, (1, K); free as log ratios to the last share.

    Shares of zero are left out by the caller.
    """

    separate: ClassVar[bool] = False

    limits: ClassVar[dict[str, float]] = {"minimum": 0, "maximum": 1}

    def neutral(self, shape: tuple[int, ...]) -> Array:
        return np.full(shape, 1.0 / shape[-1])

    def problem(self, value: Array) -> str | None:
        if np.any(value < 0):
            return "must not be negative"
        if not np.any(np.isnan(value)) and abs(float(np.sum(value)) - 1.0) > 1e-8:
            return f"must sum to 1 (they sum to {float(np.sum(value)):.6g})"
        return None

    def unconstrain(self, value: Array) -> Array:
        logs = np.log(value)
        return logs[:, :-1] - logs[:, -1:]

    def constrain(self, free: Array, shape: tuple[int, ...]) -> Array:
        full = np.concatenate([free, np.zeros((len(free), 1))], axis=1)
        full = np.exp(full - full.max(axis=1, keepdims=True))
        return full / full.sum(axis=1, keepdims=True)

    def pullback(self, value: Array, gradient: Array) -> Array:
        return (value * (gradient - np.sum(gradient * value, axis=1, keepdims=True)))[:, :-1]

    def marginal(self, value: Array) -> Array:
        return UnitInterval().unconstrain(value)

    def link(self, entry: tuple[int, ...]) -> Link:
        return LOGIT


@dataclass(frozen=True)
class Shares(Simplex):
    """Rows of shares that sum to one, (J, d, C), zeros legal; free as logits of each share among those not yet dealt out.

    Coordinate c of a row is logit(p_c / (p_c + p_c+1 + ...)): a share of 0 makes its own coordinate infinite and no other.

    References
    ----------
    Connor & Mosimann (1969), Journal of the American Statistical Association 64, 194-206.
    """

    def problem(self, value: Array) -> str | None:
        if np.any((value < 0) | np.isinf(value)):
            return "must not be negative or infinite"
        sums = value.sum(axis=-1)
        if np.any(np.abs(sums - 1.0) > 1e-8):
            return f"must sum to 1 in every row (found {sums[np.nanargmax(np.abs(sums - 1.0))]:.6g})"
        return None

    def unconstrain(self, value: Array) -> Array:
        rest = _rest(value)[..., 1:]
        with np.errstate(divide="ignore", invalid="ignore"):
            free = np.log(value[..., :-1]) - np.log(rest)
        return np.where(np.isnan(free), 0.0, free).reshape(len(value), -1)

    def constrain(self, free: Array, shape: tuple[int, ...]) -> Array:
        rows = free.reshape(len(free), *shape[:-1], shape[-1] - 1)
        with np.errstate(over="ignore"):
            taken, left = 1.0 / (1.0 + np.exp(-rows)), 1.0 / (1.0 + np.exp(rows))
        ones = np.ones((*rows.shape[:-1], 1))
        before = np.concatenate([ones, np.cumprod(left, axis=-1)], axis=-1)
        return before * np.concatenate([taken, ones], axis=-1)

    def pullback(self, value: Array, gradient: Array) -> Array:
        weighted = np.where(value > 0, gradient, 0.0) * value
        rest = _rest(value)
        share = np.divide(value, rest, out=np.zeros_like(value), where=rest > 0)[..., :-1]
        slope = weighted[..., :-1] * (1.0 - share) - share * _rest(weighted)[..., 1:]
        return slope.reshape(len(value), -1)

    def at_boundary(self, value: Array) -> NDArray[np.bool_]:
        return ((value[..., :-1] <= 0) | (_rest(value)[..., 1:] <= 0)).reshape(len(value), -1)

    def nearest_edge(self, value: Array, tolerance: float) -> Array:
        kept = np.where(value < tolerance, 0.0, value)
        return np.where((kept == value).all(axis=-1, keepdims=True), value, kept / kept.sum(axis=-1, keepdims=True))

    def nudge_inside(self, value: Array, distance: float) -> Array:
        moved = np.where(value <= 0, distance, value)
        return np.where((moved == value).all(axis=-1, keepdims=True), value, moved / moved.sum(axis=-1, keepdims=True))

    def one_moved(self, value: Array, moved: Array, entry: tuple[int, ...]) -> Array:
        found, row = value.copy(), entry[:-1]
        if value[entry] > 0 and moved[entry] > 0:
            return found  # it gives way to another entry, whose turn is another
        if value[entry] < 1:
            found[row] *= (1.0 - moved[entry]) / (1.0 - value[entry])
            found[entry] = moved[entry]
        return found

    def tangent(self, value: Array, gradient: Array) -> Array:
        return gradient - np.sum(np.where(value > 0, gradient, 0.0) * value, axis=-1, keepdims=True)

    def marginal(self, value: Array) -> Array:
        return UnitInterval().unconstrain(value)


def _rest(value: Array) -> Array:
    """Sums of the last axis from each place on."""
    return np.cumsum(value[..., ::-1], axis=-1)[..., ::-1]


@cache
def _lower(d: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the entries of a lower triangle (d, d)."""
    rows, columns = np.tril_indices(d)
    return rows, columns


@dataclass(frozen=True)
class Covariance(Domain):
    """Symmetric positive definite matrices (J, d, d) of one structure, free as the log-Cholesky factor.

    Parameters
    ----------
    structure
        "full", "diagonal" (off-diagonal zero) or "spherical" (a multiple of the identity).
    code
        Letters for volume, shape and orientation where these are equal for some components and not for others: then `chart`
        has the free coordinates of all components together.

    References
    ----------
    Pinheiro & Bates (1996), Unconstrained parametrizations for variance-covariance matrices, Statistics and
    Computing 6.
    """

    separate: ClassVar[bool] = False
    structure: str = "full"
    code: str | None = None

    def neutral(self, shape: tuple[int, ...]) -> Array:
        return np.eye(shape[-1])

    def chart(self, at: Array, alive: NDArray[np.bool_], *, wide: bool = False) -> Domain:
        from .structures import Chart, Projected

        if self.code is None:
            return self
        return Projected(self.structure, self.code, len(at)) if wide else Chart(self.structure, self.code, at, alive)

    @property
    def is_coupled(self) -> bool:
        return self.code is not None

    def nearest(self, value: Array) -> Array:
        from .structures import maximise_structure

        if self.code is None:
            return value
        return maximise_structure(self.code, value[None], np.ones((1, len(value))), value[None])[0]

    def n_free(self, count: int, shape: tuple[int, ...]) -> int | None:
        if self.code is None:
            return None
        d = shape[0]
        sizes = (1, d - 1, d * (d - 1) // 2)
        return sum({"E": 1, "V": count, "I": 0}[letter] * size for letter, size in zip(self.code, sizes, strict=True))

    def problem(self, value: Array) -> str | None:
        if np.any(np.isinf(value)):
            return "must be finite"
        if np.any(np.isnan(value)):
            return None
        matrix = np.atleast_2d(value)
        variances = np.diag(matrix)
        if np.any(variances <= 0):
            return f"must be positive definite (it has {variances.min():.3g} on its diagonal)"
        sd = np.sqrt(variances)
        correlations = matrix / np.outer(sd, sd)  # whatever the units
        if np.max(np.abs(correlations - correlations.T)) > 1e-10:
            return "must be symmetric"
        smallest = np.linalg.eigvalsh(correlations)[0]
        if smallest <= 0:
            return f"must be positive definite (as correlations, its smallest eigenvalue is {smallest:.3g})"
        off = matrix - np.diag(np.diag(matrix))
        if self.structure != "full" and np.any(off != 0):
            return f"must be diagonal because structure={self.structure!r}"
        if self.structure == "spherical" and np.ptp(np.diag(matrix)) > 1e-12 * abs(matrix[0, 0]):
            return "must be a multiple of the identity because structure='spherical'"
        return None

    def entries(self, shape: tuple[int, ...]) -> list[tuple[int, ...]]:
        d = shape[0]
        if self.structure == "full":
            return [(i, j) for i in range(d) for j in range(i + 1)]
        return [(j, j) for j in range(d if self.structure == "diagonal" else 1)]

    def link(self, entry: tuple[int, ...]) -> Link:
        return LOG if entry[0] == entry[1] else IDENTITY

    def unconstrain(self, value: Array) -> Array:
        d = value.shape[-1]
        if self.structure == "spherical":
            return 0.5 * np.log(value[:, :1, 0])
        if self.structure == "diagonal":
            return 0.5 * np.log(np.diagonal(value, axis1=1, axis2=2))
        rows, columns = _lower(d)
        factor = np.asarray(np.linalg.cholesky(value), dtype=np.float64)
        factor[:, range(d), range(d)] = np.log(factor[:, range(d), range(d)])
        return factor[:, rows, columns]

    def constrain(self, free: Array, shape: tuple[int, ...]) -> Array:
        d, count = shape[0], len(free)
        diagonal = np.arange(d)
        if self.structure != "full":
            value = np.zeros((count, d, d))
            value[:, diagonal, diagonal] = np.exp(2.0 * free)
            return value
        rows, columns = _lower(d)
        factor = np.zeros((count, d, d))
        factor[:, rows, columns] = free
        factor[:, diagonal, diagonal] = np.exp(factor[:, diagonal, diagonal])
        return factor @ factor.transpose(0, 2, 1)

    def pullback(self, value: Array, gradient: Array) -> Array:
        d = value.shape[-1]
        if self.structure != "full":
            each = 2.0 * np.diagonal(gradient, axis1=1, axis2=2) * np.diagonal(value, axis1=1, axis2=2)
            return each if self.structure == "diagonal" else each.sum(axis=1, keepdims=True)
        rows, columns = _lower(d)
        factor = np.linalg.cholesky(value)
        inner = 2.0 * gradient @ factor
        inner[:, range(d), range(d)] *= factor[:, range(d), range(d)]
        return inner[:, rows, columns]

    def to_data(self, value: Array, center: Array, scale: Array) -> Array:
        return value * np.multiply.outer(scale, scale)

    def to_standard(self, value: Array, center: Array, scale: Array) -> Array:
        return value / np.multiply.outer(scale, scale)

    def gradient_to_standard(self, gradient: Array, scale: Array) -> Array:
        return gradient * np.multiply.outer(scale, scale)


class Parameter(NamedTuple):
    """A named parameter of a family: its domain and axes; those not called "column" have `levels` entries."""

    name: str
    domain: Domain
    axes: tuple[str, ...] = ("column",)
    levels: int = 0

    def shape(self, n_columns: int) -> tuple[int, ...]:
        """Shape of one component's value for a block of that many columns."""
        return tuple(n_columns if axis == "column" else self.levels for axis in self.axes)

    def place(self, columns: Sequence[str], entry: tuple[int, ...]) -> list[str]:
        """An index in words: names of columns, numbers of levels."""
        return [columns[i] if axis == "column" else str(i) for axis, i in zip(self.axes, entry, strict=True)]


def check_fixed(parameter: Parameter, value: Array, where: str) -> None:
    """Refuse a fixed value outside the parameter's domain, naming the slot."""
    problem = parameter.domain.problem(value)
    if problem:
        raise SpecError(
            f"{where}: {parameter.name} {problem}; found {np.array2string(np.asarray(value), precision=6)}."
        )


def labels(names: Sequence[str], index: tuple[int, ...]) -> str:
    """The text of an index into an array with column axes, e.g. `waiting, eruptions`."""
    return ", ".join(names[i] for i in index)
