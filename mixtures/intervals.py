"""Standard errors and Wald intervals: observed information, sandwich, and the delta method for functions of parameters."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .data import Rows, read_rows
from .em.coordinates import newton_decrement
from .em.parameters import Parameters
from .em.program import Program
from .errors import DataError, FitError, MixtureWarning, SpecError, nearest
from .families.base import Array
from .results import EMFit
from .uncertainty import Curvature, Scalars, curvature_at, named_values

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["DeltaMethod", "Estimated", "check_level", "delta_method", "estimated", "normal_quantile", "standard_errors"]

METHODS = ("information", "sandwich")
SCALES = ("unconstrained", "plain")
STATIONARY = 1e-3
"""Distance to the maximum in standard errors from which on curvature is not that of the estimate."""
SHARE_OF_A_STANDARD_ERROR = 1e-3
"""Step of the central differences that functions of parameters are differentiated by."""


@dataclass(frozen=True, eq=False)
class Estimated:
    """A fit with the rows that it was made from.

    Attributes
    ----------
    program
        The fit's program on the rows, which are merged unless their weights are fractional.
    curvature
        Of the fit's objective at the estimate.
    """

    fit: EMFit
    program: Program
    curvature: Curvature

    @cached_property
    def scalars(self) -> Scalars:
        """What has a standard error: every free scalar."""
        return Scalars(self.fit.resolved)

    @cached_property
    def estimate(self) -> Array:
        """The scalars (m,) in data units."""
        return self.scalars.natural(named_values(self.fit.resolved, self.fit.params))

    @cached_property
    def row_scores(self) -> Array:
        """Gradient (n, m) of every row's log density in the coordinates."""
        return self.curvature.coordinates.row_scores(self.curvature.at)

    @property
    def information_of(self) -> str:
        """What the information is minus the Hessian of."""
        return "log posterior density" if self.program.is_map else "log-likelihood"

    def covariance(self, method: str) -> Array:
        """Estimated covariance (m, m) of the coordinates, by "information" or "sandwich"."""
        bread = self.curvature.covariance
        if method == "information":
            return bread
        v, scores = self.program.v, self.row_scores
        away = scores - np.average(scores, axis=0, weights=v)  # 0 at an MLE; at a MAP it is minus the prior's pull
        meat = away.T @ ((v**2 if self.fit.weighting == "fractional" else v)[:, None] * away)
        return np.asarray(bread @ meat @ bread)


def standard_errors(
    fit: EMFit,
    data: Any,
    *,
    method: str = "information",
    scale: str = "unconstrained",
    level: float = 0.95,
    sample_weight: Any = None,
) -> pd.DataFrame:
    """Standard errors and Wald intervals of every free scalar parameter.

    Parameters
    ----------
    fit
        A fit that has converged.
    data
        The rows that it was made from.
    method
        "information" inverts the observed information, minus the Hessian of the log-likelihood at the estimate (for estimate="map" of
        the log posterior density, so that the numbers are posterior standard deviations to first order). It is taken by central
        differences of the exact score. "sandwich" puts the outer product of the rows' scores between two such inverses and holds when
        the model is wrong, too.
    scale
        "unconstrained" makes each interval on the logit scale of weights and probabilities and on the log scale of variances and rates,
        and maps it back, so that it stays in the parameter space; "plain" takes estimate ± z standard errors.
    level
        Probability that the intervals should cover the parameter with.
    sample_weight
        As it was given to `fit`. Integers are counts of persons. With fractions only the sandwich is valid.

    Returns
    -------
    pandas.DataFrame
        One row per scalar, labelled as in `cross_check` (e.g. `mean[0, waiting]`): estimate, standard_error (in the parameter's own
        units), lower, upper; `attrs` says how they were made. A probability estimated at 0 or 1 has NaN and a warning; the others are then computed with it held there.

    Raises
    ------
    SpecError
        For an unknown method or scale, or a level outside (0, 1).
    DataError
        If the rows are not those of the fit, or their weights are fractional and method is "information".
    FitError
        If the fit is not at a maximum, a component is empty or nearly singular, or the information is singular (the flat direction is named).

    Examples
    --------
    >>> import mixtures as mx
    >>> data = mx.load_dataset("old_faithful")
    >>> fit = mx.fit(mx.Mixture(mx.Gaussian("waiting"), n_components=2), data, starts=5, rng=1)
    >>> mx.standard_errors(fit, data).round(3)
                                     estimate  standard_error   lower   upper
    weights[0]                          0.361           0.031   0.302   0.424
    weights[1]                          0.639           0.031   0.576   0.698
    mean[0, waiting]                   54.615           0.700  53.244  55.986
    mean[1, waiting]                   80.091           0.505  79.102  81.080
    covariance[0, waiting, waiting]    34.471           6.309  24.080  49.347
    covariance[1, waiting, waiting]    34.430           4.705  26.340  45.006

    References
    ----------
    Louis (1982), Finding the observed information matrix when using the EM algorithm, JRSS B 44, 226-233. White (1982), Maximum
    likelihood estimation of misspecified models, Econometrica 50, 1-25. Basford, Greenway, McLachlan & Peel (1997), Standard errors of
    fitted component means of normal mixtures, Computational Statistics 12, 1-17.
    """
    _check_choice("standard_errors", "method", method, METHODS)
    _check_choice("standard_errors", "scale", scale, SCALES)
    z = normal_quantile(level, "standard_errors")
    found = estimated("standard_errors", fit, data, sample_weight, method=method)
    slopes = found.curvature.jacobians(found.scalars)[0]
    variance = np.einsum("ai,ij,aj->a", slopes, found.covariance(method), slopes)
    error = np.where(np.any(slopes != 0, axis=1), np.sqrt(np.maximum(variance, 0.0)), np.nan)
    lower, upper = found.estimate - z * error, found.estimate + z * error
    if scale == "unconstrained":
        lower, upper = _mapped_back(found, z * error)

    import pandas as pd

    table = pd.DataFrame(
        {"estimate": found.estimate, "standard_error": error, "lower": lower, "upper": upper},
        index=found.scalars.labels,
    )
    table.attrs = {"method": method, "scale": scale, "level": level, "information": found.information_of}
    return table


def _mapped_back(found: Estimated, reach: Array) -> tuple[Array, Array]:
    """Intervals of that half-width in data units, made symmetric on the unconstrained scale."""
    ends = np.full((2, len(reach)), np.nan)
    for i in np.flatnonzero(np.isfinite(reach)):
        link, value = found.scalars.links[i], found.estimate[i]
        half = reach[i] * link.slope(value)
        ends[:, i] = link.inverse(link.forward(value) + half * np.array([-1.0, 1.0]))
    return ends[0], ends[1]


@dataclass(frozen=True, eq=False)
class DeltaMethod:
    """A function of the parameters with its standard error.

    Attributes
    ----------
    estimate, standard_error, lower, upper
        Arrays of the function's shape; floats where that is a scalar.
    covariance
        Estimated covariance (s, s) of the s values, in C order.
    level
        Of the intervals.
    """

    estimate: Any
    standard_error: Any
    lower: Any
    upper: Any
    covariance: Array
    level: float

    def __repr__(self) -> str:
        names = ("estimate", "standard_error", "lower", "upper")
        values = (np.array2string(np.asarray(getattr(self, name)), precision=5, separator=", ") for name in names)
        return f"<DeltaMethod: {', '.join(f'{name} {value}' for name, value in zip(names, values, strict=True))}>"


def delta_method(
    fit: EMFit,
    data: Any,
    function: Callable[[xr.Dataset], Any],
    *,
    method: str = "information",
    level: float = 0.95,
    sample_weight: Any = None,
) -> DeltaMethod:
    """Standard error and interval of a smooth function of the parameters.

    Parameters
    ----------
    fit
        A fit that has converged.
    data
        The rows that it was made from.
    function
        Takes the labelled parameters, a Dataset like `fit.parameters`, and returns a number or an array. It is differentiated by central
        differences in unconstrained coordinates, steps of a thousandth of a standard error.
    method
        "information" or "sandwich", as in `standard_errors`.
    level
        Probability that each interval should cover the value with. Intervals are symmetric: let the function return a logarithm or a
        logit where its values are bounded.
    sample_weight
        As it was given to `fit`.

    Returns
    -------
    DeltaMethod

    Raises
    ------
    SpecError, DataError, FitError
        As `standard_errors`; SpecError also if the function does not return finite numbers of one shape.

    Examples
    --------
    >>> import mixtures as mx
    >>> data = mx.load_dataset("old_faithful")
    >>> fit = mx.fit(mx.Mixture(mx.Gaussian("waiting"), n_components=2), data, starts=5, rng=1)
    >>> gap = mx.delta_method(fit, data, lambda p: p["mean"][1, 0] - p["mean"][0, 0])
    >>> round(gap.estimate, 3), round(gap.standard_error, 3)
    (25.476, 0.759)

    References
    ----------
    Oehlert (1992), A note on the delta method, The American Statistician 46, 27-29.
    """
    _check_choice("delta_method", "method", method, METHODS)
    z = normal_quantile(level, "delta_method")
    if not callable(function):
        raise SpecError(
            f"delta_method(function={function!r}): a function of the parameters is needed, e.g. lambda p: p['mean'][1] - p['mean'][0]."
        )
    found = estimated("delta_method", fit, data, sample_weight, method=method)
    coordinates, covariance = found.curvature.coordinates, found.covariance(method)
    here = coordinates.vector(found.curvature.at)
    middle = _values(function, fit.parameters)
    steps = SHARE_OF_A_STANDARD_ERROR * np.sqrt(np.diag(covariance))
    slopes = np.zeros((middle.size, coordinates.size))
    for i, step in enumerate(steps):
        sides = []
        for sign in (1.0, -1.0):
            moved = here + sign * step * (np.arange(len(here)) == i)
            p = Parameters.of(fit.resolved, found.program.to_data(coordinates.params(moved)))
            sides.append(_values(function, p.to_dataset(), middle.shape))
        slopes[:, i] = (sides[0] - sides[1]).ravel() / (2.0 * step)
    own = slopes @ covariance @ slopes.T
    error = np.sqrt(np.maximum(np.diag(own), 0.0)).reshape(middle.shape)
    ends = middle - z * error, middle + z * error
    return DeltaMethod(_plain(middle), _plain(error), _plain(ends[0]), _plain(ends[1]), own, level)


def _plain(value: Array) -> Any:
    """A float where the array has no axes."""
    return value if value.shape else float(value)


def _values(function: Callable[[xr.Dataset], Any], p: xr.Dataset, shape: tuple[int, ...] | None = None) -> Array:
    given = function(p)
    try:
        value = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise SpecError(
            f"delta_method: the function returned {given!r}; a number or an array of numbers is needed."
        ) from None
    if not np.all(np.isfinite(value)):
        raise SpecError(
            f"delta_method: the function returned {np.array2string(value, precision=5)} at or near the estimate; finite numbers are needed."
        )
    if shape is not None and value.shape != shape:
        raise SpecError(
            f"delta_method: the function returned shape {value.shape} near the estimate and {shape} at it; one shape is needed."
        )
    return value


# -- what all of them ask of a fit ------------------------------------------------------------------------------------


def estimated(what: str, fit: EMFit, data: Any, sample_weight: Any, *, method: str = "information") -> Estimated:
    """The fit with its rows, checked to be a proper maximum on them.

    Raises
    ------
    SpecError, DataError, FitError
        See `standard_errors`.
    """
    program = program_of(what, fit, data, sample_weight)
    if fit.weighting == "fractional" and method == "information":
        raise DataError(
            f"{what}: sample_weight is not integer, so the rows' weights multiply a pseudo-likelihood whose information says nothing "
            "about sampling. Use standard_errors(..., method='sandwich') or bootstrap(..., kind='weighted')."
        )
    p = program.to_standard(fit.params)
    empty = np.flatnonzero(p.weights <= 0)
    if len(empty):
        raise FitError(
            f"{what}: component {empty[0]} has weight 0 and the data say nothing about its parameters. "
            "Fit again with fewer components."
        )
    thinnest = float(np.min(program.degeneracy(p)))
    if thinnest < fit.threshold:
        raise FitError(
            f"{what}: a component is nearly singular (smallest eigenvalue {thinnest:.2g}, threshold {fit.threshold:g}): the likelihood is "
            "unbounded near there and its curvature says nothing. Use estimate='map', or fit with a lower threshold= if you mean it."
        )
    curvature = curvature_at(program, p)
    gradient = curvature.coordinates.gradient(program.evaluate(p), p)
    if not curvature.is_maximum:
        raise FitError(
            f"{what}: the information is singular (scaled to unit diagonal, its smallest eigenvalue is {curvature.smallest:.2g}): the data do "
            f"not determine the direction of {curvature.flat_direction()}. Use fewer components, fix or share a parameter, or "
            "estimate='map' with an informative prior."
        )
    distance = newton_decrement(gradient, curvature.information)[0]
    if not distance <= STATIONARY:
        raise FitError(
            f"{what}: the fit is {distance:.2g} standard errors away from the nearest maximum of its "
            f"{'log posterior' if program.is_map else 'log-likelihood'} ({fit.status.name.lower()}, {fit.method!r}). "
            "Climb on with fit(spec, data, starts=[fit.parameters])."
        )
    found = Estimated(fit, program, curvature)
    held = [
        label
        for label, row in zip(found.scalars.labels, curvature.jacobians(found.scalars)[0], strict=True)
        if not row.any()
    ]
    if held:
        more = f" and {len(held) - 5} more" if len(held) > 5 else ""
        warnings.warn(
            f"{what}: {', '.join(held[:5])}{more} at the edge of the parameter space have no standard error; the others are computed with "
            "them held there. bootstrap(fit, data) lets them move, and a prior with estimate='map' moves them inside.",
            MixtureWarning,
            stacklevel=3,
        )
    return found


def program_of(what: str, fit: EMFit, data: Any, sample_weight: Any) -> Program:
    """The fit's program on the rows that it was made from.

    Raises
    ------
    SpecError
        If `fit` is none, or nothing was estimated.
    DataError
        If the fit's log-likelihood on the rows is another than it was.
    """
    if not isinstance(fit, EMFit):
        raise SpecError(f"{what}(fit, data): the first argument is what mx.fit returns; found {type(fit).__name__}.")
    if not Scalars(fit.resolved).labels:
        raise SpecError(f"{what}: every parameter of {fit.specification!r} is fixed. Leave one free.")
    program = Program(fit.resolved, _rows(fit, data, sample_weight), fit.estimate)
    value = float(program.v @ program.row_log_likelihood(program.to_standard(fit.params)))
    if not abs(value - fit.log_likelihood) <= 1e-8 * max(1.0, abs(fit.log_likelihood)):
        raise DataError(
            f"{what}: on these rows the log-likelihood of the fit is {value:.6g}; it was {fit.log_likelihood:.6g}. Pass the rows, and the "
            "sample_weight if there was one, that the fit was made from."
        )
    return program


def _rows(fit: EMFit, data: Any, sample_weight: Any) -> Rows:
    if isinstance(data, Rows):
        return data
    spec = fit.resolved
    rows = read_rows(
        data, spec.columns, sample_weight=sample_weight, merge=fit.weighting != "fractional", may_miss=spec.may_miss
    )
    spec.check_rows(rows)
    return rows


def normal_quantile(level: float, what: str) -> float:
    """Half the width of a normal interval of that level, in standard deviations."""
    from scipy.special import ndtri

    check_level(level, what)
    return float(ndtri(0.5 + 0.5 * level))


def check_level(level: float, what: str) -> None:
    """Refuse a level that is no probability."""
    if isinstance(level, bool) or not isinstance(level, int | float) or not 0.0 < level < 1.0:
        raise SpecError(f"{what}(level={level!r}): a probability between 0 and 1 is needed, e.g. 0.95.")


def _check_choice(what: str, name: str, value: Any, legal: tuple[str, ...]) -> None:
    if value not in legal:
        raise SpecError(
            f"{what}({name}={value!r}): legal are {', '.join(map(repr, legal))}.{nearest(str(value), legal)}"
        )
