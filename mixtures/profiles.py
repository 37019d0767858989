"""Profile-likelihood intervals: how far one parameter can move before the likelihood, maximised over the others, falls too low."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .domains import IDENTITY
from .em.program import Params
from .errors import FitError, SpecError, nearest
from .families.base import Array, DegenerateComponentError
from .intervals import Estimated, estimated, normal_quantile
from .kernels.threads import one_blas_thread
from .results import EMFit
from .uncertainty import named_values

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ProfileInterval", "profile_interval"]

FIRST_STEP = 0.3
"""First step along the parameter, as a share of the Wald interval's half-width."""
GROWTH = 1.25
"""Factor by which steps grow."""
FARTHEST = 30.0
"""Half-widths from the estimate at which a side counts as open."""
FARTHEST_LOG = 20.0
"""The same on a logarithmic or logit scale: a factor of 5e8."""
REACH = 10.0
"""Standard errors that one solution may move any of the others by: it stays on the branch it came from."""
FAR_OUT = 1e3
"""What stands for infinity on a logarithmic or logit scale."""
SOLVED = 1e-3
"""Distance from the constrained maximum, in standard errors, at which it counts as found."""
PRECISION = 1e-9
"""Change of the log-likelihood at which one attempt at a constrained maximum ends."""
ROUNDS = 10
"""Attempts at a constrained maximum, each from where the last one ended."""
HIGHER = 1e-6
"""Rise of the log-likelihood above the estimate's that shows the estimate not to be the maximum."""


@dataclass(frozen=True, eq=False)
class ProfileInterval:
    """A likelihood-ratio interval of one parameter.

    Attributes
    ----------
    parameter, level
        What it is the interval of.
    estimate, lower, upper
        In data units; an end is the edge of the parameter space (0, 1 or infinity) where the profile never falls low enough. Other
        probabilities that are estimated at 0 or 1 are held there (with a warning), which makes the interval too narrow, if anything.
    curve
        The profile as far as it was followed, by rising value: value, log_likelihood (maximised over all other parameters) and
        signed_root, the signed square root of twice its fall, which is straight where the Wald interval serves.
    """

    parameter: str
    level: float
    estimate: float
    lower: float
    upper: float
    curve: pd.DataFrame

    def __repr__(self) -> str:
        return f"<ProfileInterval: {self.parameter} {self.estimate:.5g}, {100 * self.level:g} % from {self.lower:.5g} to {self.upper:.5g}>"


def profile_interval(
    fit: EMFit, data: Any, parameter: str, *, level: float = 0.95, sample_weight: Any = None
) -> ProfileInterval:
    """The values of a parameter that a likelihood-ratio test does not reject, the other parameters at their best for each.

    The constrained maxima are found by sequential quadratic programming with the exact score, followed outwards from the estimate: they
    stay on the estimate's branch of the likelihood.

    Parameters
    ----------
    fit
        A maximum-likelihood fit that has converged.
    data
        The rows that it was made from.
    parameter
        Label of a scalar as in the table of `standard_errors`, e.g. "mean[0, waiting]".
    level
        Probability that the interval should cover the parameter with.
    sample_weight
        As it was given to `fit`: counts of persons.

    Returns
    -------
    ProfileInterval

    Raises
    ------
    SpecError
        For an unknown parameter (the nearest label is named) or a level outside (0, 1).
    DataError
        If the rows are not those of the fit, or weights are fractional.
    FitError
        If the fit is a MAP fit or not at a maximum, the parameter is at an edge, the profile rises above the estimate, or a constrained
        maximum is not found.

    Examples
    --------
    >>> import mixtures as mx
    >>> data = mx.load_dataset("old_faithful")
    >>> fit = mx.fit(mx.Mixture(mx.Gaussian("waiting"), n_components=2), data, starts=5, rng=1)
    >>> mx.profile_interval(fit, data, "weights[0]")
    <ProfileInterval: weights[0] 0.36089, 95 % from 0.3012 to 0.4231>

    References
    ----------
    Venzon & Moolgavkar (1988), A method for computing profile-likelihood-based confidence intervals, Applied Statistics 37, 87-94.
    """
    half = normal_quantile(level, "profile_interval")
    if isinstance(fit, EMFit) and fit.estimate == "map":
        raise FitError(
            "profile_interval: a likelihood-ratio interval needs the maximum of the likelihood, and this is estimate='map'. Fit again with "
            "estimate='mle', or sample the posterior."
        )
    found = estimated("profile_interval", fit, data, sample_weight)
    labels = found.scalars.labels
    if parameter not in labels:
        raise SpecError(
            f"profile_interval: unknown parameter {parameter!r}.{nearest(str(parameter), labels)} This fit has {', '.join(labels)}."
        )
    with one_blas_thread():
        return _interval(_Profile(found, labels.index(parameter), half), level)


class _Point(NamedTuple):
    """A constrained maximum: value t on the link's scale, whitened coordinates u (m,), and the root of twice the fall, signed."""

    t: float
    u: Array
    root: float


class _Side(NamedTuple):
    """One side of the profile: the end of the interval on the link's scale, infinite if open, and the points passed."""

    end: float
    points: list[_Point]


class _Profile:
    """The profile of scalar `index`, in coordinates u that are standard normal to first order: c = c_hat + T u, T T' the covariance."""

    def __init__(self, found: Estimated, index: int, half: float) -> None:
        self.found, self.index, self.half = found, index, half
        curvature = found.curvature
        self.program, self.coordinates = found.program, curvature.coordinates
        self.here = self.coordinates.vector(curvature.at)
        self.turn = np.linalg.cholesky(curvature.covariance)
        self.height = self.program.evaluate(curvature.at).log_likelihood
        self.label, self.link = found.scalars.labels[index], found.scalars.links[index]
        if not curvature.jacobians(found.scalars)[0][index].any():
            raise FitError(
                f"profile_interval: {self.label} is at the edge of the parameter space ({found.estimate[index]:g}), where the likelihood "
                "ratio has another distribution. Use bootstrap(fit, data)."
            )
        self.best = self.value(np.zeros(len(self.here)))
        self.slope = self.value_slope(np.zeros(len(self.here)))
        self.error = float(np.linalg.norm(self.slope))

    def params(self, u: Array) -> Params:
        """The parameters at u, standardised."""
        return self.coordinates.params(self.here + self.turn @ u)

    def value(self, u: Array) -> float:
        """The scalar on the link's scale, locations relative to the columns' centres so that an offset costs no digits."""
        return float(self._values(u[None])[0])

    def value_slope(self, u: Array) -> Array:
        """Its derivative (m,) in u, by central differences."""
        step = 1e-5
        moves = step * np.eye(len(u))
        both = self._values(np.concatenate([u + moves, u - moves]))
        return (both[: len(u)] - both[len(u) :]) / (2.0 * step)

    def _values(self, many: Array) -> Array:
        p = self.program.to_data(self.coordinates.points(self.here + many @ self.turn.T), relative=True)
        by_point = Params(
            p.weights,
            tuple(
                {name: value.reshape(len(many), -1, *value.shape[1:]) for name, value in theta.items()}
                for theta in p.thetas
            ),
        )
        values = self.found.scalars.natural(named_values(self.program.spec, by_point))[:, self.index]
        with np.errstate(divide="ignore"):
            linked = np.asarray(self.link.forward(values))
        return linked if self.link is IDENTITY else np.clip(linked, -FAR_OUT, FAR_OUT)

    def fall(self, u: Array) -> tuple[float, Array]:
        """How far the log-likelihood lies below the estimate's, and the derivative (m,) of that."""
        try:
            with np.errstate(all="ignore"):
                p = self.params(u)
                evaluation = self.program.evaluate(p)
                depth = self.height - evaluation.log_likelihood
                gradient = -self.turn.T @ self.coordinates.gradient(evaluation, p)
            if np.isfinite(depth) and np.all(np.isfinite(gradient)):
                return depth, gradient
        except (DegenerateComponentError, np.linalg.LinAlgError):
            pass
        return FAR_OUT**2 + 0.5 * float(u @ u), u

    def solve(self, t: float, start: Array) -> _Point:
        """The maximum of the likelihood where the scalar is t, near `start`."""
        from scipy.optimize import minimize

        condition = {
            "type": "eq",
            "fun": lambda u: np.array([(self.value(u) - t) / self.error]),
            "jac": lambda u: (self.value_slope(u) / self.error)[None],
        }
        u, left = start, np.inf
        for _ in range(ROUNDS):
            bounds = np.stack([u - REACH, u + REACH], axis=1)
            options = {"ftol": PRECISION, "maxiter": 100}
            u = minimize(
                self.fall, u, jac=True, method="SLSQP", bounds=bounds, constraints=[condition], options=options
            ).x
            depth, gradient = self.fall(u)
            along = self.value_slope(u) / self.error
            across = gradient - along * (along @ gradient) / max(float(along @ along), 1e-300)
            left = float(np.hypot(np.linalg.norm(across), (self.value(u) - t) / self.error))
            if left <= SOLVED:
                break
        if not left <= SOLVED:
            raise FitError(
                f"profile_interval: at {self.label} = {self.shown(t):.6g} the others' maximum was not found (still {left:.2g} standard errors "
                "away). Use bootstrap(fit, data), or fewer components."
            )
        if depth < -HIGHER:
            self._refuse_higher(t, u, -depth)
        return _Point(t, u, float(np.sign(t - self.best) * np.sqrt(2.0 * max(depth, 0.0))))

    def _refuse_higher(self, t: float, u: Array, gain: float) -> None:
        """The profile has left the estimate's branch for a higher one: say of which sort that is."""
        where = f"profile_interval: at {self.label} = {self.shown(t):.6g} the log-likelihood is {gain:.6g} above the estimate's"
        if float(np.min(self.program.degeneracy(self.params(u)))) < self.found.fit.threshold:
            raise FitError(
                f"{where}, where a component is nearly singular: the likelihood is unbounded that way. Use bootstrap(fit, data), or sample "
                "the posterior."
            )
        raise FitError(
            f"{where}: another optimum lies that way. Fit again with more starts; if none finds a sound one, use bootstrap(fit, data)."
        )

    def sides(self) -> tuple[_Side, _Side]:
        """Below and above the estimate."""
        return self._side(-1.0), self._side(1.0)

    def _side(self, sign: float) -> _Side:
        points = [_Point(self.best, np.zeros(len(self.here)), 0.0)]
        step, farthest = FIRST_STEP * self.half * self.error, FARTHEST * self.half * self.error
        if self.link is not IDENTITY:
            farthest = min(farthest, FARTHEST_LOG)
        while abs(points[-1].root) < self.half:
            t = points[-1].t + sign * step
            if abs(t - self.best) > farthest:
                return _Side(sign * np.inf, points[1:])
            points.append(self.solve(t, self._ahead(points, t)))
            step *= GROWTH
        end = self._crossing(points[-2], points[-1])
        return _Side(end.t, [*points[1:], end])

    def _ahead(self, points: list[_Point], t: float) -> Array:
        """Where the line through the last two points, or the tangent at the estimate, has the value t."""
        last = points[-1]
        if len(points) == 1:
            return last.u + self.slope * (t - last.t) / self.error**2
        before = points[-2]
        return last.u + (last.u - before.u) * (t - last.t) / (last.t - before.t)

    def _crossing(self, near: _Point, far: _Point) -> _Point:
        """The point between two neighbours at which the root is the quantile."""
        from scipy.optimize import brentq

        known = {near.t: near, far.t: far}

        def above(t: float) -> float:
            if t not in known:
                share = (t - near.t) / (far.t - near.t)
                known[t] = self.solve(t, near.u + share * (far.u - near.u))
            return abs(known[t].root) - self.half

        brentq(above, near.t, far.t, xtol=1e-8 * self.error)
        return min(known.values(), key=lambda point: abs(abs(point.root) - self.half))

    def shown(self, t: float) -> float:
        """A value in data units."""
        shift = float(self.found.estimate[self.index]) - self.best if self.link is IDENTITY else 0.0
        return shift + float(self.link.inverse(np.array(t)))


def _interval(profile: _Profile, level: float) -> ProfileInterval:
    import pandas as pd

    lower, upper = profile.sides()
    estimate = _Point(profile.best, np.zeros(len(profile.here)), 0.0)
    points = sorted([*lower.points, estimate, *upper.points], key=lambda point: point.t)
    curve = pd.DataFrame(
        {
            "value": [profile.shown(point.t) for point in points],
            "log_likelihood": [profile.found.fit.log_likelihood - 0.5 * point.root**2 for point in points],
            "signed_root": [point.root for point in points],
        }
    )
    middle = float(profile.found.estimate[profile.index])
    return ProfileInterval(profile.label, level, middle, profile.shown(lower.end), profile.shown(upper.end), curve)
