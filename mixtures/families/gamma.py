"""Gamma columns: positive measurements that are independent given the component."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..domains import Parameter, Positive
from ..errors import DataError
from ..priors import GammaPrior, Numbers, Prior
from ..slots import Fixed, inner_slot
from .base import Array, DegenerateComponentError, Family, Layout, Theta
from .formulas import Formula, Formulas, Notation, formulas, ratio

__all__ = ["Gamma"]

LARGEST_SHAPE = 1e12
"""A component with a larger shape, whose relative standard deviation is below 1e-6, has closed in on one value."""
SHAPES = (1e-12, 10.0 * LARGEST_SHAPE)
"""The M-step looks for shapes between these."""
ITERATIONS = 100
SERIES_FROM = 30.0
"""From this shape on, differences with the logarithm come from their asymptotic series."""


class Gamma(Family):
    """One or many columns of positive numbers, independent given the component.

    The density is rate^shape x^(shape - 1) exp(-rate x) / Gamma(shape), with mean shape / rate and variance
    shape / rate^2.

    Parameters
    ----------
    *columns
        Names of the columns; their values are greater than 0.
    shape
        Shape, (d,): free (None), fixed, a `GammaPrior`, or `Shared()`. The default prior is GammaPrior(2, 1 / a) with
        a = mean^2 / variance of the column within the groups of a deterministic partition of the rows, the largest
        over the groups: its mode is a, and it weighs one observation.
    rate
        Rate, (d,), in one over the columns' units: as shape. The default prior is GammaPrior(2, 1 / b) with
        b = mean / variance within the groups, the largest.
    name
        Name of the block.

    Raises
    ------
    SpecError
        For a fixed shape or rate that is not above 0, or a prior that is none for positive numbers.

    Notes
    -----
    A component that closes in on one value has a likelihood without bound: its shape runs to infinity. Components are
    therefore measured by their squared relative standard deviation, 1 / shape, over its mean in all components of the
    block; below 0.005 they are nearly singular, as are Gaussian ones with so small an eigenvalue.

    Examples
    --------
    >>> Gamma("claim", shape=2)
    Gamma('claim', shape=2.0)

    References
    ----------
    Choi & Wette (1969), Maximum likelihood estimation of the parameters of the gamma distribution and their bias,
    Technometrics 11, 683-690. Minka (2002), Estimating a Gamma distribution, technical report.
    """

    parameters = (Parameter("shape", Positive(reaches_zero=False)), Parameter("rate", Positive(reaches_zero=False)))
    separable: ClassVar[bool] = True
    allowed_values: ClassVar[str] = "numbers greater than 0"

    def allowed(self, x: Array) -> NDArray[np.bool_]:
        return np.isfinite(x) & (x > 0)

    def standardise(self, x: Array, v: Array) -> tuple[Array, Array]:
        if not isinstance(inner_slot(self.slots["shape"]), Fixed):
            used = x[v > 0]
            for column, low, high in zip(self.columns, np.nanmin(used, axis=0), np.nanmax(used, axis=0), strict=True):
                if low == high:
                    raise DataError(
                        f"Column {column!r} is constant (every row is {low:g}): the likelihood has no largest shape. "
                        "Leave it out, or fix shape=."
                    )
        return super().standardise(x, v)

    def default_prior(self, parameter: Parameter) -> Prior:
        return GammaPrior(2.0)

    def prior_rows(self, parameter: Parameter, x: Array, v: Array, partition: Array) -> tuple[Array, Array]:
        """The largest shape, or rate, among the moment estimates of the groups, those of all rows if no group has any."""
        for groups in (partition, np.ones((len(x), 1))):
            weights = (groups * v[:, None]).T[:, :, None] * ~np.isnan(x)
            mass = np.maximum(weights.sum(axis=1), np.finfo(np.float64).tiny)
            mean = (weights * np.nan_to_num(x)).sum(axis=1) / mass
            variance = (weights * np.nan_to_num(x - mean[:, None]) ** 2).sum(axis=1) / mass
            up = mean**2 if parameter.name == "shape" else mean
            each = np.divide(up, variance, out=np.zeros_like(mean), where=variance > 1e-12 * mean**2)
            largest = each.max(axis=0)
            if np.all(largest > 0):
                break
        return np.where(largest > 0, largest, 1.0)[None], np.ones(1)

    # -- the formulas ------------------------------------------------------------------------------
    # With m = shape / rate the current mean and excess(x) = x / m - 1 - log(x / m), never negative, the log density is
    # constant(shape) - shape excess(x) - log x: nothing large is cancelled, however narrow the component.

    def log_density(self, x: Array, theta: Theta) -> Array:
        return self.e_step(x, theta)[0]

    def e_step(self, x: Array, theta: Theta) -> tuple[Array, tuple[Array, Array]]:
        """The log density; x / m - 1 and log(x / m), (J, d, n)."""
        shape = theta["shape"]
        narrow = shape.max(axis=1) > LARGEST_SHAPE
        if narrow.any():
            raise DegenerateComponentError(int(np.argmax(narrow)))
        away, log_away = _away(x, theta)
        with np.errstate(over="ignore"):
            excess = np.matmul(shape[:, None], away - log_away)[:, 0]
        constant = _log_constant(shape).sum(axis=1)
        return (constant[:, None] - excess - np.log(x).sum(axis=1)).T, (away, log_away)

    def statistics(self, x: Array, R: Array, theta: Theta) -> dict[str, Array]:
        return self.statistics_after(_away(x, theta), x, R, theta)

    def statistics_after(self, work: tuple[Array, Array], x: Array, R: Array, theta: Theta) -> dict[str, Array]:
        """Mass, and sums of x / m - 1 and log(x / m): total and total log, centred at the current mean m."""
        away, log_away = (np.matmul(each, R.T[:, :, None])[:, :, 0] for each in work)
        return {"mass": R.sum(axis=0), "away": away, "log_away": log_away}

    def score(self, S: Mapping[str, Array], theta: Theta) -> Theta:
        shape, rate = theta["shape"], theta["rate"]
        by_shape = S["mass"][:, None] * _log_minus_digamma(shape) + S["log_away"]
        return {"shape": by_shape, "rate": -S["away"] * shape / rate}

    def maximise(
        self, S: Mapping[str, Array], theta: Theta, layout: Mapping[str, Layout], prior: Mapping[str, Numbers] | None
    ) -> Theta:
        return _MStep(S, theta, layout, prior or {}).solve()

    def draw(self, z: NDArray[np.intp], theta: Theta, rng: np.random.Generator) -> Array:
        standard = rng.standard_gamma(theta["shape"][z])
        return np.maximum(standard, np.finfo(np.float64).tiny) / theta["rate"][z]

    def pymc_log_density(self, x: Any, theta: Mapping[str, Any]) -> Any:
        import pymc as pm

        known = pm.Gamma.dist(alpha=theta["shape"][None, :, :], beta=theta["rate"][None, :, :])
        return pm.logp(known, x[:, None, :]).sum(axis=-1)

    def degeneracy(self, theta: Theta, weights: Array) -> Array:
        """Squared relative standard deviation (J,) over its mean in all components, the smallest over columns."""
        squared = 1.0 / theta["shape"]
        return np.asarray((squared / (weights @ squared / weights.sum())).min(axis=1))

    def moments(self, theta: Theta) -> tuple[Array, Array]:
        mean = theta["shape"] / theta["rate"]
        return mean, (mean / theta["rate"])[:, :, None] * np.eye(mean.shape[1])


class _MStep:
    """The M-step of shapes a and rates b, (J, d): Newton's method on the shapes, with the best rates for them.

    The objective sum_k n_k (a_k log b_k - log Gamma(a_k)) + a_k L_k - b_k T_k, with L and T the sums of log x and x, is
    concave in (a, b), and stays so where components share values and under priors that have a mode. The best rate of a
    group of components is (sum n_k a_k + alpha - 1) / (sum T_k + beta); what is left is concave in the shapes.
    """

    def __init__(
        self, S: Mapping[str, Array], theta: Theta, layout: Mapping[str, Layout], prior: Mapping[str, Numbers]
    ) -> None:
        self.now, self.shapes, self.rates = theta, layout["shape"], layout["rate"]
        flat = {"shape": np.ones_like(theta["shape"]), "rate": np.zeros_like(theta["shape"])}
        self.on_shape, self.on_rate = prior.get("shape", flat), prior.get("rate", flat)
        self.mean = theta["shape"] / theta["rate"]
        self.mass = np.repeat(S["mass"][:, None], self.mean.shape[1], axis=1)
        self.log_away, self.total = S["log_away"], self.mean * (self.mass + S["away"])
        self.shape_mass = self.shapes.pooled(self.mass)
        self.open = self.shapes.free & ((self.shape_mass > 0) | (self.on_shape["shape"] > 1))
        self.same_shape = self.shapes.groups[:, None] == self.shapes.groups
        self.same_rate = self.rates.groups[:, None] == self.rates.groups

    def solve(self) -> Theta:
        """Shapes and rates at the maximum: Newton's steps, at most tenfold, shortened where the objective would fall."""
        shape = self.shapes.filled(np.clip(self.now["shape"], *SHAPES))
        height, last = self.objective(shape), np.inf
        for _ in range(ITERATIONS):
            step, share = self.newton_step(shape), np.ones(shape.shape[1])
            while True:
                moved = np.clip(np.clip(shape + share * step, 0.1 * shape, 10.0 * shape), *SHAPES)
                tried = np.where(self.open, moved, shape)
                reached = self.objective(tried)
                low = reached < height - 1e-9 * np.maximum(1.0, np.abs(height))
                if not low.any() or share.min() < 1e-6:
                    break
                share = np.where(low, 0.25 * share, share)
            change = float(np.max(np.abs(tried / shape - 1.0), initial=0.0))
            shape, height = tried, reached
            if change < 1e-15 or (change >= last and change < 1e-6):
                break
            last = change
        return {"shape": shape, "rate": self.best_rate(shape)[0]}

    def best_rate(self, shape: Array) -> tuple[Array, Array]:
        """Rates (J, d) that are best for these shapes, and the events that each rests on, infinite where it is given."""
        events = self.rates.pooled(self.mass * shape) + self.on_rate["shape"] - 1.0
        time = self.rates.pooled(self.total) + self.on_rate["rate"]
        some = (events > 0) & (time > 0)
        rate = np.divide(events, time, out=self.now["rate"].copy(), where=some)
        return self.rates.filled(rate), np.where(some & self.rates.free, events, np.inf)

    def objective(self, shape: Array) -> Array:
        """Expected log density and log prior, up to a constant, of each column (d,)."""
        from scipy.special import gammaln

        rate, _ = self.best_rate(shape)
        each = shape * (self.mass * np.log(rate * self.mean) + self.log_away)
        each -= self.mass * gammaln(shape) + rate * self.total
        for where, numbers, value in ((self.shapes, self.on_shape, shape), (self.rates, self.on_rate, rate)):
            log_prior = (numbers["shape"] - 1.0) * np.log(value) - numbers["rate"] * value
            each += np.where(where.owners[:, None], log_prior, 0.0)
        return np.asarray(each.sum(axis=0))

    def newton_step(self, shape: Array) -> Array:
        """Newton's step (J, d), the same for components that share a shape; zero where there is nothing to find."""
        from scipy.special import polygamma

        rate, events = self.best_rate(shape)
        slope = self.mass * (np.log(rate * self.mean / shape) + _log_minus_digamma(shape)) + self.log_away
        slope = self.shapes.pooled(slope) + (self.on_shape["shape"] - 1.0) / shape - self.on_shape["rate"]
        slope = np.where(self.open, slope, 0.0)
        curve = self.shape_mass * polygamma(1, shape) + (self.on_shape["shape"] - 1.0) / shape**2
        curve = np.where(self.open, curve, 1.0)
        if np.any(self.same_rate & ~self.same_shape):
            return self._coupled_step(slope, curve, events)
        given_up = self.shapes.pooled(self.mass * self.rates.pooled(self.mass) / events)
        floor = 0.5 * self.shape_mass / shape**2  # trigamma(a) - 1 / a is above 1 / (2 a^2)
        return slope / np.where(self.open, np.maximum(curve - given_up, floor), 1.0)

    def _coupled_step(self, slope: Array, curve: Array, events: Array) -> Array:
        """Where components of different shapes share a rate, their steps (J, d) solve one system per column."""
        owners = np.flatnonzero(self.shapes.groups == np.arange(len(self.shapes.groups)))
        raters = np.flatnonzero(self.rates.groups == np.arange(len(self.rates.groups)))
        step = np.zeros_like(slope)
        for j in range(slope.shape[1]):
            mass = (self.same_shape[owners] * self.mass[:, j]) @ self.same_rate[:, raters]
            mass = np.where(self.open[owners, j, None], mass, 0.0)
            matrix = np.diag((1.0 + 1e-15) * curve[owners, j]) - (mass / events[raters, j]) @ mass.T
            step[owners, j] = np.linalg.solve(matrix, slope[owners, j])
        return step[self.shapes.groups]


def _away(x: Array, theta: Theta) -> tuple[Array, Array]:
    """x / m - 1 and log(x / m) of rows x and current means m, (J, d, n), with x / m kept positive and finite."""
    limits = np.finfo(np.float64)
    with np.errstate(over="ignore", under="ignore"):
        ratio = np.clip(x.T * (theta["rate"] / theta["shape"])[:, :, None], limits.tiny, limits.max)
    return ratio - 1.0, np.log(ratio)


def _log_constant(shape: Array) -> Array:
    """shape log shape - shape - log Gamma(shape), by Stirling's series for large shapes."""
    from scipy.special import gammaln

    inverse = 1.0 / np.maximum(shape, SERIES_FROM)
    square = inverse**2
    tail = inverse * (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square * (1 / 1680 - square / 1188))))
    series = 0.5 * (np.log(np.maximum(shape, SERIES_FROM)) - np.log(2.0 * np.pi)) - tail
    small = np.minimum(shape, SERIES_FROM)
    return np.where(shape >= SERIES_FROM, series, small * np.log(small) - small - gammaln(small))


def _log_minus_digamma(shape: Array) -> Array:
    """log shape - digamma(shape), by its asymptotic series for large shapes."""
    from scipy.special import digamma

    inverse = 1.0 / np.maximum(shape, SERIES_FROM)
    square = inverse**2
    series = 0.5 * inverse + square * (
        1 / 12 - square * (1 / 120 - square * (1 / 252 - square * (1 / 240 - square / 132)))
    )
    small = np.minimum(shape, SERIES_FROM)
    return np.where(shape >= SERIES_FROM, series, np.log(small) - digamma(small))


@formulas.register
def _formulas(block: Gamma, notation: Notation) -> Formulas:
    shape, rate, x = notation.symbol("shape", "a"), notation.symbol("rate", r"\lambda"), notation.cell
    a, b = shape.at(), rate.at()
    density = notation.density(
        f"Gamma({a.words}, {b.words})",
        rf"\frac{{{b.latex}^{{{a.latex}}}}}{{\Gamma({a.latex})}} {x.latex}^{{{a.latex} - 1}} e^{{-{b.latex} {x.latex}}}",
    )
    m_step = {}
    if not shape.is_fixed:
        k = shape.k
        own, of_rate = shape.at(k), rate.at(k)
        words = f"{shape.total.words} (log {of_rate.words} - digamma({own.words}) + log {x.words})"
        latex = rf"{shape.total.latex} (\log {of_rate.latex} - \psi({own.latex}) + \log {x.latex})"
        if shape.prior is not None:
            words, latex = f"{words} + (a - 1) / {a.words} - b", rf"{latex} + \frac{{a - 1}}{{{a.latex}}} - b"
        together = "" if rate.is_fixed else f", together with {rate.name}"
        m_step["shape"] = Formula(f"{a.words} solves {words} = 0{together}", f"{latex} = 0")
    if not rate.is_fixed:
        m_step["rate"] = ratio(rate, rate.total.of(shape.at(rate.k)), rate.total.of(x), ("a - 1", "b"))
    return Formulas(density, m_step, {"shape": shape, "rate": rate})
