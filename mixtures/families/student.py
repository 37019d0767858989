"""Student's t: the Gaussian with heavier tails, by degrees of freedom per component; one column is the univariate t."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..domains import Covariance, Interval, Parameter, Real
from ..errors import SpecError
from ..linear import factors
from ..priors import FraleyRaftery, GammaPrior, NormalInverseWishart, Numbers, Prior
from ..slots import Fixed, Shared, Slot, inner_slot, is_known
from .base import Array, Family, Layout, Theta
from .formulas import Formula, Formulas, Notation, Symbol, formulas, maximiser, ratio
from .gaussian import Gaussian, canonical
from .gaussian_formulas import scatter_over_divisor
from .missing import whitened_by_pattern

__all__ = ["StudentT"]

LOWEST, HIGHEST = 1.0, 200.0
"""Degrees of freedom between which they are estimated: from the Cauchy distribution to one that is practically normal."""
DEFAULT_PRIOR = GammaPrior(2.0, 0.1)
LEAST_MASS = 1e-6
"""Share that a prior's untruncated density must have between the bounds."""
ITERATIONS = 100


class StudentT(Family):
    """Columns with a multivariate t distribution per component: a location, a scale matrix and degrees of freedom.

    Rows far from a component weigh little in its location and scale, so that outliers do not move them. The covariance is
    scale * df / (df - 2) where df > 2; `EMFit.summary` shows it under the parameters.

    Parameters
    ----------
    *columns
        Names of the d columns.
    location
        Slot for the location, shape (d,), in the columns' units: the mean where df > 1.
    scale
        Slot for the scale matrix, shape (d, d), in squared units; `Shared()` ties it over components.
    df
        Slot for the degrees of freedom, one number between 1 and 200: free (None), fixed, a `GammaPrior`, which is truncated to
        [1, 200], or `Shared()`. An estimate of 200 says that the component is practically normal. The default prior is
        GammaPrior(2, 0.1), with mode 10.
    structure
        As for `Gaussian`, of the scale matrix. Columns are not independent given the component, whatever the structure: they
        have a common weight.
    prior
        `NormalInverseWishart(...)` or `FraleyRaftery()` on location and scale, as on the mean and the covariance of a
        `Gaussian`, with the same defaults.
    name
        Name of the block.

    Raises
    ------
    SpecError
        For slots, structures or priors that are not legal.

    Notes
    -----
    With z standard normal and u an independent Gamma(df / 2, df / 2) variable, location + L z / sqrt(u), L L' = scale, has this
    distribution. EM takes the u as missing, beside the components.

    Examples
    --------
    >>> StudentT("eruptions", "waiting", df=4, structure="EEE")
    StudentT('eruptions', 'waiting', scale=Shared(), df=4.0)

    References
    ----------
    Peel & McLachlan (2000), Robust mixture modelling using the t distribution, Statistics and Computing 10, 339-348.
    Juárez & Steel (2010), Model-based clustering of non-Gaussian panel data based on skew-t distributions, Journal of Business &
    Economic Statistics 28, 52-66, for the prior on the degrees of freedom.
    """

    options: ClassVar[dict[str, Any]] = {"structure": "full"}
    option_choices: ClassVar[dict[str, tuple[Any, ...]]] = Gaussian.option_choices
    option_words: ClassVar[dict[str, tuple[Any, ...]]] = Gaussian.option_words
    joint_priors: ClassVar[tuple[type[Prior], ...]] = (NormalInverseWishart, FraleyRaftery)
    completes_missing: ClassVar[bool] = True
    structure: str

    def __init__(
        self,
        *columns: str,
        location: Any = None,
        scale: Any = None,
        df: Any = None,
        structure: str = "full",
        prior: Prior | None = None,
        name: str | None = None,
    ) -> None:
        structure, scale = canonical("StudentT", columns, structure, scale)
        super().__init__(*columns, location=location, scale=scale, df=df, structure=structure, prior=prior, name=name)

    @property
    def parameters(self) -> tuple[Parameter, ...]:  # type: ignore[override]
        domain = Interval(
            low=LOWEST, high=HIGHEST, at_low="the lower limit: Cauchy", at_high="the upper limit: practically normal"
        )
        return (
            Parameter("location", Real()),
            Parameter("scale", self._normal.parameters[1].domain, ("column", "column")),
            Parameter("df", domain, ()),
        )

    @cached_property
    def _normal(self) -> Gaussian:
        """The Gaussian of the same columns and structure, whose formulas take the location and the scale matrix."""
        return Gaussian(*self.columns, structure=self.structure, name=self.name)

    def _check_slots(self) -> None:
        super()._check_slots()
        if self.prior is not None and all(is_known(self.slots[key]) for key in ("location", "scale")):
            raise SpecError(
                f"{self!r}: a prior on fixed location and scale has nothing to act on. Leave one free or drop prior=."
            )
        prior = inner_slot(self.slots["df"])
        if isinstance(prior, GammaPrior) and prior.is_resolved:
            low, high = prior.mass_below(prior.numbers((), repr(self)), (LOWEST, HIGHEST))
            if high - low < LEAST_MASS:
                raise SpecError(
                    f"{self!r}: {prior!r} has next to nothing ({high - low:.2g}) of its mass between {LOWEST:g} and "
                    f"{HIGHEST:g}, where degrees of freedom lie."
                )

    @property
    def joint_parameters(self) -> tuple[str, ...]:
        return ("location", "scale")

    def unsupported(self, parameter: str, slot: Slot) -> str | None:
        if parameter == "df":
            return super().unsupported(parameter, slot)
        said = self._normal.unsupported({"location": "mean", "scale": "covariance"}[parameter], slot)
        return said and said.replace("mean", "location").replace("covariance", "scale")

    def cannot_be_sampled(self) -> str | None:
        return self._normal.cannot_be_sampled()

    # -- data --------------------------------------------------------------------------------------

    def standardise(self, x: Array, v: Array) -> tuple[Array, Array]:
        return self._normal.standardise(x, v)

    def resolve(self, x: Array, v: Array, partition: Array) -> Family:
        location, scale, df = (self.slots[key] for key in ("location", "scale", "df"))
        changes: dict[str, Any] = {
            "prior": self._normal.replace(mean=location, covariance=scale, prior=self.prior)
            .resolve(x, v, partition)
            .prior
        }
        inner = inner_slot(df)
        if not isinstance(inner, Fixed):
            prior = inner if isinstance(inner, GammaPrior) else DEFAULT_PRIOR
            if prior.rate is None:
                prior = GammaPrior(prior.shape, DEFAULT_PRIOR.rate)
            changes["df"] = Shared(prior, df.group) if isinstance(df, Shared) else prior
        return self.replace(**changes)

    # -- the formulas ------------------------------------------------------------------------------

    def log_density(self, x: Array, theta: Theta) -> Array:
        return self.e_step(x, theta)[0]

    def e_step(self, x: Array, theta: Theta) -> tuple[Array, tuple[Array, Array]]:
        """The log density; y = L^-1 (x - location), (J, d, n), and squared distances y'y, (J, n)."""
        from scipy.special import gammaln

        y = self._normal.e_step(x, _normal_theta(theta))[1]
        squared = np.einsum("jdn,jdn->jn", y, y)
        df, d = theta["df"], x.shape[1]
        constant = gammaln(0.5 * (df + d)) - gammaln(0.5 * df) - 0.5 * d * np.log(np.pi * df)
        constant = constant - factors(theta["scale"]).half_log_det
        tail = 0.5 * (df + d)[:, None] * np.log1p(squared / df[:, None])
        return (constant[:, None] - tail).T, (y, squared)

    def statistics(self, x: Array, R: Array, theta: Theta) -> dict[str, Array]:
        return self.statistics_after(self.e_step(x, theta)[1], x, R, theta)

    def statistics_after(self, work: tuple[Array, Array], x: Array, R: Array, theta: Theta) -> dict[str, Array]:
        """Sums of r and, with u the expected precision of a row, of r u, r u y and r u y y', and of r (E log u - u)."""
        return self._sums(work[0], x, R, theta, *_expected_precision(work[1], theta["df"], x.shape[1]))

    def expected_statistics(self, x: Array, R: Array, theta: Theta, given: Theta) -> dict[str, Array]:
        y, squared = self.e_step(x, theta)[1][0], self.e_step(x, given)[1][1]
        return self._sums(y, x, R, theta, *_expected_precision(squared, given["df"], x.shape[1]))

    def _sums(self, y: Array, x: Array, R: Array, theta: Theta, u: Array, log_u: Array) -> dict[str, Array]:
        S = self._normal.statistics_after(y, x, R * u.T, _normal_theta(theta))
        return {**S, "mass": R.sum(axis=0), "weight": S["mass"], "log_weight": np.einsum("nj,jn->j", R, log_u - u)}

    def score(self, S: Mapping[str, Array], theta: Theta) -> Theta:
        normal = self._normal.score(S, _normal_theta(theta))
        by_df = 0.5 * (S["mass"] * (1.0 + _log_minus_digamma(theta["df"])) + S["log_weight"])
        return {"location": normal["mean"], "scale": normal["covariance"], "df": by_df}

    def maximise(
        self, S: Mapping[str, Array], theta: Theta, layout: Mapping[str, Layout], prior: Mapping[str, Numbers] | None
    ) -> Theta:
        """Location and scale as a Gaussian's whose rows have weights r u in the sums and r in the divisor; df by Newton's method."""
        where = {"mean": layout["location"], "covariance": layout["scale"]}
        normal = self._normal.maximise(S, _normal_theta(theta), where, prior)
        df = _maximise_df(S, theta["df"], layout["df"], (prior or {}).get("df"))
        return {"location": normal["mean"], "scale": normal["covariance"], "df": df}

    def draw(self, z: NDArray[np.intp], theta: Theta, rng: np.random.Generator) -> Array:
        centred = {"mean": np.zeros_like(theta["location"]), "covariance": theta["scale"]}
        df = theta["df"][z]
        precision = np.maximum(2.0 * rng.standard_gamma(0.5 * df) / df, np.finfo(np.float64).tiny)
        return theta["location"][z] + self._normal.draw(z, centred, rng) / np.sqrt(precision)[:, None]

    def pymc_log_density(self, x: Any, theta: Mapping[str, Any]) -> Any:
        import pymc as pm
        import pytensor.tensor as pt

        location, scale, df = theta["location"], theta["scale"], theta["df"]
        if len(self.columns) == 1:
            one = pm.StudentT.dist(nu=df[None], mu=location[None, :, 0], sigma=pt.sqrt(scale[None, :, 0, 0]))
            return pm.logp(one, x)
        each = [
            pm.logp(pm.MvStudentT.dist(nu=df[k], mu=location[k], scale=scale[k]), x)
            for k in range(int(location.type.shape[0]))
        ]
        return pt.stack(each, axis=1)

    def pymc_log_density_observed(
        self, x: Any, patterns: NDArray[np.bool_], pattern: Any, theta: Mapping[str, Any]
    ) -> Any:
        """Each whitened entry, given q observed before it with sum of squares s, is t with df + q degrees of freedom and squared scale
        (df + s) / (df + q).
        """
        import pymc as pm
        import pytensor.tensor as pt

        white, log_sd, seen = whitened_by_pattern(x, theta["location"], theta["scale"], patterns, pattern)
        white = pt.switch(seen, white, 0.0)
        before = pt.as_tensor(np.cumsum(patterns, axis=1) - patterns)[pattern][:, None, :]
        squares = pt.cumsum(white**2, axis=2) - white**2
        df = theta["df"][None, :, None]
        each = pm.StudentT.dist(nu=df + before, mu=0.0, sigma=pt.sqrt((df + squares) / (df + before)))
        return pt.switch(seen, pm.logp(each, white), 0.0).sum(axis=-1) - log_sd

    # -- optional ----------------------------------------------------------------------------------

    def degeneracy(self, theta: Theta, weights: Array) -> Array:
        """As a Gaussian's, of the scale matrices."""
        return self._normal.degeneracy(_normal_theta(theta), weights)

    def marginal(self, theta: Theta, columns: Sequence[int]) -> Theta:
        own = self._normal.marginal(_normal_theta(theta), columns)
        return {"location": own["mean"], "scale": own["covariance"], "df": theta["df"]}

    def marginal_block(self, columns: Sequence[int]) -> Family:
        plain = self._normal.marginal_block(columns)
        return type(self)(*plain.columns, name=self.name, **plain.option_values())

    def completed(self, S: Mapping[str, Array], theta: Theta, columns: Sequence[int]) -> dict[str, Array]:
        """As a Gaussian's given u, whose expectation takes the observed cells alone; without any it is 1.

        References
        ----------
        Liu & Rubin (1995), ML estimation of the t distribution using EM and its extensions, ECM and ECME, Statistica Sinica 5, 19-39.
        """
        mass = S["mass"]
        own = {"weight": mass, "log_weight": -mass * (1.0 + _log_minus_digamma(theta["df"])), **S}
        return {**own, **self._normal.completed(S, _normal_theta(theta), columns)}

    def moments(self, theta: Theta) -> tuple[Array, Array] | None:
        """Locations and covariances; None where some df is 2 or less."""
        covariance = self._covariance(theta)
        return (theta["location"], covariance) if np.all(theta["df"] > 2.0) else None

    def derived(self, theta: Theta) -> list[tuple[Parameter, Array]]:
        """Covariances, infinite where df is 2 or less."""
        domain = Covariance(self._normal.parameters[1].domain.structure)  # type: ignore[attr-defined]
        return [(Parameter("covariance", domain, ("column", "column")), self._covariance(theta))]

    def _covariance(self, theta: Theta) -> Array:
        df = theta["df"][:, None, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            finite = theta["scale"] * (df / (df - 2.0))
        none = np.where(np.eye(len(self.columns)) > 0, np.inf, np.nan)
        return np.where(df > 2.0, finite, none)

    def contours(self, theta: Theta, content: float) -> tuple[Array, Array]:
        df = theta["df"][:, None, None]
        return theta["location"], theta["scale"] * df * ((1.0 - content) ** (-2.0 / df) - 1.0)


def _normal_theta(theta: Theta) -> Theta:
    return {"mean": theta["location"], "covariance": theta["scale"]}


def _log_minus_digamma(df: Array) -> Array:
    """log(df / 2) - digamma(df / 2): minus the expected logarithm of a Gamma(df / 2, df / 2) variable."""
    from scipy.special import digamma

    return np.asarray(np.log(0.5 * df) - digamma(0.5 * df))


def _expected_precision(squared: Array, df: Array, d: int) -> tuple[Array, Array]:
    """Expectations (J, n) of u and log u given rows at squared distances (J, n): they are Gamma((df + d) / 2, (df + squared) / 2)."""
    u = (df + d)[:, None] / (df[:, None] + squared)
    return u, np.log(u) - _log_minus_digamma(df + d)[:, None]


def _maximise_df(S: Mapping[str, Array], now: Array, where: Layout, numbers: Numbers | None) -> Array:
    """Degrees of freedom (J,) at the maximum of a concave function, by Newton's method between bounds that close in."""
    from scipy.special import polygamma

    mass, total = where.pooled(S["mass"]), where.pooled(S["log_weight"])
    shape = np.ones_like(now) if numbers is None else numbers["shape"]
    rate = np.zeros_like(now) if numbers is None else numbers["rate"]

    def slope(df: Array) -> Array:
        return 0.5 * (mass * (1.0 + _log_minus_digamma(df)) + total) + (shape - 1.0) / df - rate

    low, high = np.full_like(now, LOWEST), np.full_like(now, HIGHEST)
    at_low, at_high = slope(low) <= 0, slope(high) >= 0
    df = np.clip(now, LOWEST, HIGHEST)
    for _ in range(ITERATIONS):
        steep = slope(df)
        low, high = np.where(steep >= 0, df, low), np.where(steep <= 0, df, high)
        curve = mass * (0.5 / df - 0.25 * polygamma(1, 0.5 * df)) - (shape - 1.0) / df**2
        moved = df - np.divide(steep, curve, out=np.zeros_like(df), where=curve < 0)
        moved = np.where((moved >= low) & (moved <= high), moved, np.sqrt(low * high))
        change = np.max(np.abs(moved / df - 1.0))
        df = moved
        if change < 1e-15:
            break
    df = np.where(at_low, LOWEST, np.where(at_high, HIGHEST, df))
    known = (mass > 0) | (shape != 1.0) | (rate != 0.0)
    return where.filled(np.where(known, df, now))


@formulas.register
def _formulas(block: StudentT, notation: Notation) -> Formulas:
    location, scale = notation.symbol("location", r"\mu", ""), notation.symbol("scale", r"\Sigma", "")
    df = notation.symbol("df", r"\nu", "")
    m, s, nu, d = location.at(), scale.at(), df.at(), len(block.columns)
    density = Formula(f"x_i ~ t({m.words}, {s.words}, {nu.words})", rf"x_i \sim t_{{{nu.latex}}}({m.latex}, {s.latex})")
    squared = Formula(
        f"(x_i - {m.words})' {s.words}^-1 (x_i - {m.words})",
        rf"(x_i - {m.latex})^\top {s.latex}^{{-1}} (x_i - {m.latex})",
    )
    e_step: tuple[Formula, ...] = (
        Formula(
            f"u_ik = ({nu.words} + {d}) / ({nu.words} + {squared.words})",
            rf"u_{{ik}} = \frac{{{nu.latex} + {d}}}{{{nu.latex} + {squared.latex}}}",
        ),
    )
    m_step = {}
    if not location.is_fixed:
        weight = location.total.of(_weight(location.k))
        closed = not location.is_shared
        update = ratio(location, weight.of(Formula("x_i", "x_i")), weight, ("kappa m", "kappa"))
        m_step["location"] = update if closed else maximiser(location)
    if not scale.is_fixed:
        m_step["scale"] = (
            maximiser(scale) if location.is_shared else scatter_over_divisor(block, location, scale, _weight(scale.k))
        )
    if not df.is_fixed:
        half = Formula(f"({nu.words} + {d}) / 2", rf"\frac{{{nu.latex} + {d}}}{{2}}")
        e_step += (
            Formula(
                f"e_ik = log u_ik + digamma({half.words}) - log({half.words})",
                rf"e_{{ik}} = \log u_{{ik}} + \psi({half.latex}) - \log {half.latex}",
            ),
        )
        m_step["df"] = _df_formula(df)
    return Formulas(density, m_step, {"location": location, "scale": scale, "df": df}, e_step)


def _df_formula(df: Symbol) -> Formula:
    k, nu = df.k, df.at()
    words = f"{df.total.words} (log({nu.words} / 2) - digamma({nu.words} / 2) + 1 + e_i{k} - u_i{k})"
    latex = rf"{df.total.latex} (\log \frac{{{nu.latex}}}{{2}} - \psi(\frac{{{nu.latex}}}{{2}}) + 1 + e_{{i{k}}} - u_{{i{k}}})"
    if df.prior is not None:
        words = f"{words} + 2 (a - 1) / {nu.words} - 2 b"
        latex = rf"{latex} + \frac{{2 (a - 1)}}{{{nu.latex}}} - 2 b"
    return Formula(f"{nu.words} in [{LOWEST:g}, {HIGHEST:g}] solves {words} = 0, or is the nearer end", f"{latex} = 0")


def _weight(k: str) -> Formula:
    return Formula(f"u_i{k}", f"u_{{i{k}}}")
