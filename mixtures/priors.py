"""Priors: densities on the parameters that a statistician names, never on a factor or a logarithm of them.

Every prior turns into *numbers*: a dict of arrays with a leading component axis, all in the units of the data or all
standardised. The densities here are the EM program's; the PyMC program builds its own from the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .domains import Covariance, Domain, Positive, Shares, Simplex, UnitInterval
from .errors import SpecError
from .linear import factors

__all__ = [
    "Beta",
    "Dirichlet",
    "FraleyRaftery",
    "GammaPrior",
    "NormalInverseWishart",
    "Numbers",
    "Prior",
    "default_prior",
]

Array = NDArray[np.float64]
Numbers = Mapping[str, Array]


def _frozen(value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, str | bool):
        raise TypeError
    if np.ndim(value) == 0:
        return float(value)
    return tuple(_frozen(item) for item in np.asarray(value, dtype=np.float64).tolist())


def _is_finite(value: Any) -> bool:
    return bool(np.size(value)) and bool(np.all(np.isfinite(value)))


@dataclass(frozen=True)
class Prior:
    """Interface of priors. Fields are numbers, nested tuples of numbers, or None for what is resolved against data."""

    domain: ClassVar[type[Domain] | None] = None
    """The domain a one-slot prior belongs to; None for a joint prior, which goes in `prior=`."""

    def __post_init__(self) -> None:
        for field in fields(self):
            given = getattr(self, field.name)
            try:
                value = _frozen(given)
            except (TypeError, ValueError, OverflowError):
                value = np.nan
            if (value is None and field.default is not None) or (value is not None and not _is_finite(value)):
                raise SpecError(
                    f"{type(self).__name__}({field.name}={given!r}): expected a number or an array of finite numbers."
                )
            object.__setattr__(self, field.name, value)
        self.check()

    def __repr__(self) -> str:
        shown = [(f.name, getattr(self, f.name)) for f in fields(self) if getattr(self, f.name) != f.default]
        return f"{type(self).__name__}({', '.join(f'{name}={_plain(value)}' for name, value in shown)})"

    def check(self) -> None:
        """Raise SpecError for numbers that make no proper prior."""

    @property
    def is_resolved(self) -> bool:
        """Whether every number is given."""
        return all(getattr(self, f.name) is not None for f in fields(self))

    def resolve(self, x: Array, v: Array) -> Prior:
        """The prior with every number given, open ones taken from the rows x (n, d) with weights v (n,)."""
        return self

    def fit_shape(self, shape: tuple[int, ...], where: str) -> None:
        """Raise SpecError if the numbers given are no proper prior for a parameter of that shape."""

    def numbers(self, shape: tuple[int, ...], where: str) -> dict[str, Array]:
        """The numbers for one component's parameter of that shape."""
        raise NotImplementedError

    def to_standard(self, numbers: Numbers, center: Array, scale: Array) -> dict[str, Array]:
        """The numbers of the same prior for columns (x - center) / scale."""
        return dict(numbers)

    def log_density(
        self, values: Sequence[Array], domains: Sequence[Domain], numbers: Numbers, owners: Sequence[NDArray[np.bool_]]
    ) -> Array:
        """Log density (J,) with its constants of parameters `values` (J, ...), counted where `owners` (J,) holds."""
        raise NotImplementedError

    def gradient(
        self, values: Sequence[Array], domains: Sequence[Domain], numbers: Numbers, owners: Sequence[NDArray[np.bool_]]
    ) -> list[Array]:
        """Derivative of the summed log density with respect to each of `values`, same shapes."""
        raise NotImplementedError

    def draw(
        self, domains: Sequence[Domain], numbers: Numbers, groups: Sequence[NDArray[np.intp]], rng: np.random.Generator
    ) -> list[Array]:
        """One draw of each parameter, (J, ...); components of one group get the same value."""
        raise NotImplementedError

    def given(self, drawn: Sequence[Array], free: Sequence[NDArray[np.bool_]], fixed: Sequence[Array]) -> list[Array]:
        """A draw with what is fixed put in its place; the rest is then a draw given that."""
        return [np.where(keep, value, known) for keep, value, known in zip(free, drawn, fixed, strict=True)]

    def draw_problem(self, domains: Sequence[Domain], numbers: Numbers) -> str | None:
        """Why `draw` is not the prior's own distribution, only good for points to try, or None."""
        return None

    def mode_problem(self, numbers: Numbers) -> str | None:
        """Why the prior has no interior mode (so that `estimate="map"` is refused), or None."""
        return None


def _refuse_unless_positive(prior: str, name: str, value: Any) -> None:
    if value is not None and not (np.ndim(value) == 0 and value > 0):
        raise SpecError(
            f"{prior}: {name} must be one number greater than 0, or the posterior is improper; found {_plain(value)}."
        )


def _plain(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_plain(item) for item in value) + "]"
    return repr(value)


class _EachEntry(Prior):
    """Priors with independent entries: the numbers are broadcast to the parameter's shape."""

    def fit_shape(self, shape: tuple[int, ...], where: str) -> None:
        for field in fields(self):
            found = np.shape(getattr(self, field.name))
            if found not in ((), shape):
                raise SpecError(
                    f"{where}: {type(self).__name__} has {field.name} of shape {found}; one number or an array of "
                    f"shape {shape} is needed."
                )

    def numbers(self, shape: tuple[int, ...], where: str) -> dict[str, Array]:
        self.fit_shape(shape, where)
        values = {field.name: np.asarray(getattr(self, field.name), dtype=np.float64) for field in fields(self)}
        return {name: np.broadcast_to(value, shape).copy() for name, value in values.items()}

    def check(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and not np.all(np.asarray(value) > 0):
                raise SpecError(
                    f"{type(self).__name__}: {field.name} must be greater than 0, or the prior is improper; found "
                    f"{_plain(value)}."
                )

    def _each(self, value: Array, numbers: Numbers) -> Array:
        raise NotImplementedError

    def _slope(self, value: Array, numbers: Numbers) -> Array:
        raise NotImplementedError

    def _sample(self, numbers: Numbers, rng: np.random.Generator) -> Array:
        raise NotImplementedError

    def log_density(
        self, values: Sequence[Array], domains: Sequence[Domain], numbers: Numbers, owners: Sequence[NDArray[np.bool_]]
    ) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            each = np.where(_entries(owners[0], values[0]), self._each(values[0], numbers), 0.0)
        return each.reshape(len(each), -1).sum(axis=1)

    def gradient(
        self, values: Sequence[Array], domains: Sequence[Domain], numbers: Numbers, owners: Sequence[NDArray[np.bool_]]
    ) -> list[Array]:
        return [np.where(_entries(owners[0], values[0]), self._slope(values[0], numbers), 0.0)]

    def draw(
        self, domains: Sequence[Domain], numbers: Numbers, groups: Sequence[NDArray[np.intp]], rng: np.random.Generator
    ) -> list[Array]:
        return [self._sample(numbers, rng)[_owner_of(groups[0])]]


def _entries(counted: NDArray[np.bool_], value: Array) -> NDArray[np.bool_]:
    """Which entries of a value (J, ...) count, from components (J,) or entries that do."""
    return counted.reshape(-1, *(1,) * (value.ndim - 1)) if counted.ndim == 1 else counted


def _owner_of(groups: NDArray[np.intp]) -> NDArray[np.intp]:
    """For each component the first component of its group."""
    first: dict[int, int] = {}
    return np.array([first.setdefault(int(group), j) for j, group in enumerate(groups)], dtype=np.intp)


@dataclass(frozen=True, repr=False)
class Beta(_EachEntry):
    """Beta prior on probabilities, density proportional to p^(alpha - 1) (1 - p)^(beta - 1).

    Parameters
    ----------
    alpha, beta
        Positive numbers, or arrays with one number per column.

    Raises
    ------
    SpecError
        If a number is not positive.

    Examples
    --------
    >>> Beta(2, 2)
    Beta(alpha=2.0, beta=2.0)

    References
    ----------
    Gelman et al. (2013), Bayesian Data Analysis, 3rd edition, section 2.4.
    """

    alpha: Any = 1.0
    beta: Any = 1.0
    domain: ClassVar[type[Domain] | None] = UnitInterval

    def __repr__(self) -> str:
        return f"Beta(alpha={_plain(self.alpha)}, beta={_plain(self.beta)})"

    def _each(self, value: Array, numbers: Numbers) -> Array:
        from scipy.special import betaln, xlog1py, xlogy

        a, b = numbers["alpha"], numbers["beta"]
        return xlogy(a - 1.0, value) + xlog1py(b - 1.0, -value) - betaln(a, b)

    def _slope(self, value: Array, numbers: Numbers) -> Array:
        a, b = numbers["alpha"] - 1.0, numbers["beta"] - 1.0
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(a == 0, 0.0, a / value) - np.where(b == 0, 0.0, b / (1.0 - value))

    def _sample(self, numbers: Numbers, rng: np.random.Generator) -> Array:
        return rng.beta(numbers["alpha"], numbers["beta"])

    def mode_problem(self, numbers: Numbers) -> str | None:
        low = min(float(np.min(numbers["alpha"])), float(np.min(numbers["beta"])))
        return None if low >= 1 else f"Beta with a parameter of {low:g} (below 1) has no interior mode"


@dataclass(frozen=True, repr=False)
class GammaPrior(_EachEntry):
    """Gamma prior on positive parameters, density proportional to t^(shape - 1) exp(-rate t).

    For a parameter between two bounds, as degrees of freedom, it is truncated to them.

    Parameters
    ----------
    shape
        Positive number or one per column.
    rate
        Positive number or one per column; None takes one over the value that the family finds plausible, for a Poisson
        the column's mean: the weight of one observation.

    Examples
    --------
    >>> GammaPrior(2, 0.5)
    GammaPrior(shape=2.0, rate=0.5)
    """

    shape: Any = 1.0
    rate: Any = None
    domain: ClassVar[type[Domain] | None] = Positive

    def __repr__(self) -> str:
        return (
            f"GammaPrior(shape={_plain(self.shape)}, rate={_plain(self.rate)})"
            if self.rate is not None
            else f"GammaPrior(shape={_plain(self.shape)})"
        )

    def resolve(self, x: Array, v: Array) -> Prior:
        if self.rate is not None:
            return self
        there = ~np.isnan(x) * v[:, None]
        total = there.sum(axis=0)
        mean = (there * np.nan_to_num(x)).sum(axis=0) / np.where(total > 0, total, 1.0)
        return GammaPrior(self.shape, 1.0 / np.where(mean > 0, mean, 1.0))

    def _each(self, value: Array, numbers: Numbers) -> Array:
        from scipy.special import gammaln, xlogy

        a, b = numbers["shape"], numbers["rate"]
        return xlogy(a - 1.0, value) - b * value + a * np.log(b) - gammaln(a)

    def _slope(self, value: Array, numbers: Numbers) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(numbers["shape"] == 1, 0.0, (numbers["shape"] - 1.0) / value) - numbers["rate"]

    def log_density(
        self, values: Sequence[Array], domains: Sequence[Domain], numbers: Numbers, owners: Sequence[NDArray[np.bool_]]
    ) -> Array:
        found = super().log_density(values, domains, numbers, owners)
        bounds = _bounds(domains)
        if bounds == (0.0, np.inf):
            return found
        low, high = self.mass_below(numbers, bounds)
        inside = np.log(high - low).reshape(len(found), -1).sum(axis=1)
        return np.where(owners[0], found - inside, found)

    @staticmethod
    def mass_below(numbers: Numbers, bounds: tuple[float, float]) -> tuple[Array, Array]:
        """How much of the untruncated distributions lies below each of two bounds."""
        from scipy.special import gammainc

        low, high = (np.asarray(gammainc(numbers["shape"], numbers["rate"] * bound)) for bound in bounds)
        return low, high

    def draw(
        self, domains: Sequence[Domain], numbers: Numbers, groups: Sequence[NDArray[np.intp]], rng: np.random.Generator
    ) -> list[Array]:
        bounds = _bounds(domains)
        if bounds == (0.0, np.inf):
            return super().draw(domains, numbers, groups, rng)
        from scipy.special import gammaincinv

        low, high = self.mass_below(numbers, bounds)
        drawn = gammaincinv(numbers["shape"], low + (high - low) * rng.random(low.shape)) / numbers["rate"]
        return [np.clip(drawn, *bounds)[_owner_of(groups[0])]]

    def _sample(self, numbers: Numbers, rng: np.random.Generator) -> Array:
        return rng.gamma(numbers["shape"], 1.0 / numbers["rate"])

    def mode_problem(self, numbers: Numbers) -> str | None:
        low = float(np.min(numbers["shape"]))
        return None if low >= 1 else f"GammaPrior with shape {low:g} (below 1) has no interior mode"


def _bounds(domains: Sequence[Domain]) -> tuple[float, float]:
    return domains[0].bounds if isinstance(domains[0], Positive) else (0.0, np.inf)


@dataclass(frozen=True, repr=False)
class Dirichlet(_EachEntry):
    """Dirichlet prior on the weights.

    Parameters
    ----------
    alpha
        One positive number for all components, or one per component.

    Raises
    ------
    SpecError
        If a number is not positive; where it is used, if its length is not the number of components.

    Examples
    --------
    >>> Dirichlet(2)
    Dirichlet(2.0)
    """

    alpha: Any = 1.0
    domain: ClassVar[type[Domain] | None] = Simplex

    def __repr__(self) -> str:
        return f"Dirichlet({_plain(self.alpha)})"

    def log_density(
        self, values: Sequence[Array], domains: Sequence[Domain], numbers: Numbers, owners: Sequence[NDArray[np.bool_]]
    ) -> Array:
        from scipy.special import gammaln, xlogy

        alpha = numbers["alpha"]
        each = gammaln(alpha.sum(-1)) - gammaln(alpha).sum(-1) + xlogy(alpha - 1.0, values[0]).sum(-1)
        total = each.reshape(len(each), -1).sum(axis=1)
        return np.where(owners[0], total, 0.0) if owners else np.asarray(total)

    def _slope(self, value: Array, numbers: Numbers) -> Array:
        a = numbers["alpha"] - 1.0
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(a == 0, 0.0, a / value)

    def draw(
        self, domains: Sequence[Domain], numbers: Numbers, groups: Sequence[NDArray[np.intp]], rng: np.random.Generator
    ) -> list[Array]:
        drawn = rng.standard_gamma(numbers["alpha"])
        shares = drawn / drawn.sum(axis=-1, keepdims=True)
        return [shares[_owner_of(groups[0])] if groups else shares]

    def mode_problem(self, numbers: Numbers) -> str | None:
        low = float(np.min(numbers["alpha"]))
        return None if low >= 1 else f"Dirichlet with a parameter of {low:g} (below 1) has no interior mode"


@dataclass(frozen=True, repr=False)
class NormalInverseWishart(Prior):
    """Joint prior on a Gaussian block's means and covariances.

    Full structure: Sigma_k ~ IW(nu, Lambda) and mean_k given Sigma_k ~ N(m, Sigma_k / kappa). Diagonal: variance_kj ~
    IG(nu / 2, Lambda_jj / 2) and mean_kj ~ N(m_j, variance_kj / kappa). Spherical: variance_k ~ IG(nu / 2,
    tr Lambda / (2 d)). Tied: one covariance, K means given it.

    Parameters
    ----------
    mean
        m (d,), in data units; None takes the mean of the data.
    kappa
        Rows that the prior on the mean is worth; None takes the default of the specification.
    nu
        Degrees of freedom, above d - 1; None takes d + 2.
    scale_matrix
        Lambda (d, d), in squared data units; None takes the pooled within-group covariance of a k-means partition.

    Raises
    ------
    SpecError
        If kappa <= 0, nu <= d - 1 or Lambda is not positive definite: the posterior would be improper.

    Examples
    --------
    >>> NormalInverseWishart(kappa=0.01)
    NormalInverseWishart(kappa=0.01)

    References
    ----------
    Fraley & Raftery (2007), Bayesian regularization for normal mixture estimation, Journal of Classification 24,
    155-181.
    """

    mean: Any = None
    kappa: Any = None
    nu: Any = None
    scale_matrix: Any = None

    def check(self) -> None:
        for name in ("kappa", "nu"):
            _refuse_unless_positive("NormalInverseWishart", name, getattr(self, name))

    def fit_shape(self, shape: tuple[int, ...], where: str) -> None:
        d = shape[0]
        if np.shape(self.mean) not in ((), (d,)):
            raise SpecError(
                f"{where}: NormalInverseWishart has mean of shape {np.shape(self.mean)}; shape ({d},) is needed, one "
                "number per column."
            )
        if self.nu is not None and self.nu <= d - 1:
            raise SpecError(
                f"{where}: NormalInverseWishart needs nu > d - 1 = {d - 1} for {d} columns, or the posterior is "
                f"improper; found nu = {self.nu:g}."
            )
        if self.scale_matrix is None:
            return
        matrix = np.atleast_2d(self.scale_matrix)
        if matrix.shape != (d, d):
            raise SpecError(
                f"{where}: NormalInverseWishart has scale_matrix of shape {np.shape(self.scale_matrix)}; shape ({d}, "
                f"{d}) is needed."
            )
        problem = Covariance().problem(matrix)
        if problem:
            raise SpecError(
                f"{where}: the scale_matrix of NormalInverseWishart {problem}; found {_plain(self.scale_matrix)}."
            )

    def numbers(self, shape: tuple[int, ...], where: str) -> dict[str, Array]:
        self.fit_shape(shape, where)
        mean = np.broadcast_to(np.asarray(self.mean, dtype=np.float64), shape).copy()
        matrix = np.array(self.scale_matrix, dtype=np.float64, ndmin=2)
        return {
            "mean": mean,
            "kappa": np.asarray(float(self.kappa)),
            "nu": np.asarray(float(self.nu)),
            "scale_matrix": matrix,
        }

    def to_standard(self, numbers: Numbers, center: Array, scale: Array) -> dict[str, Array]:
        return {
            **numbers,
            "mean": (numbers["mean"] - center) / scale,
            "scale_matrix": numbers["scale_matrix"] / np.multiply.outer(scale, scale),
        }

    def log_density(
        self, values: Sequence[Array], domains: Sequence[Domain], numbers: Numbers, owners: Sequence[NDArray[np.bool_]]
    ) -> Array:
        from scipy.special import gammaln

        mean, sigma = values
        d = mean.shape[1]
        kappa, nu, matrix, gap = numbers["kappa"], numbers["nu"], numbers["scale_matrix"], mean - numbers["mean"]
        log_det, precision = _log_det_and_inverse(sigma)
        on_mean = 0.5 * (
            d * np.log(kappa / (2 * np.pi)) - log_det - kappa * np.einsum("ji,jik,jk->j", gap, precision, gap)
        )
        structure, code = domains[1].structure, domains[1].code  # type: ignore[attr-defined]
        if structure == "full" or code is not None:
            constant: Array | float = 0.0
            if code is None:
                log_det_of_matrix = np.linalg.slogdet(matrix)[1]
                log_gamma = np.array([_log_gamma(0.5 * v, d) for v in nu.tolist()])
                constant = 0.5 * nu * log_det_of_matrix - 0.5 * nu * d * np.log(2.0) - log_gamma
            on_sigma = constant - 0.5 * (nu + d + 1) * log_det - 0.5 * np.einsum("jik,jki->j", matrix, precision)
        else:
            beta, variance = _inverse_gamma_numbers(structure, matrix, sigma)
            alpha = 0.5 * nu[:, None]
            on_sigma = (alpha * np.log(beta) - gammaln(alpha) - (alpha + 1) * np.log(variance) - beta / variance).sum(
                axis=1
            )
        known = _known(owners[0], sigma)
        for j in np.flatnonzero(known.any(axis=1)):  # given those entries of the mean
            kept = known[j]
            part = sigma[j][np.ix_(kept, kept)] / kappa[j]
            away = np.linalg.solve(part, gap[j, kept])
            on_mean[j] += 0.5 * (kept.sum() * np.log(2 * np.pi) + np.linalg.slogdet(part)[1] + gap[j, kept] @ away)
        some = owners[0] if owners[0].ndim == 1 else owners[0].any(axis=1)
        return np.where(some, on_mean, 0.0) + np.where(owners[1], on_sigma, 0.0)

    def gradient(
        self, values: Sequence[Array], domains: Sequence[Domain], numbers: Numbers, owners: Sequence[NDArray[np.bool_]]
    ) -> list[Array]:
        mean, sigma = values
        d = mean.shape[1]
        kappa, nu, matrix, gap = numbers["kappa"], numbers["nu"], numbers["scale_matrix"], mean - numbers["mean"]
        _, precision = _log_det_and_inverse(sigma)
        pulled = np.einsum("jik,jk->ji", precision, gap)
        by_mean = -kappa[:, None] * pulled
        from_mean = 0.5 * (kappa[:, None, None] * pulled[:, :, None] * pulled[:, None, :] - precision)
        structure, code = domains[1].structure, domains[1].code  # type: ignore[attr-defined]
        if structure == "full" or code is not None:
            by_sigma = 0.5 * (precision @ matrix @ precision - (nu + d + 1)[:, None, None] * precision)
        else:
            beta, variance = _inverse_gamma_numbers(structure, matrix, sigma)
            slope = (beta / variance - (0.5 * nu[:, None] + 1)) / variance
            by_sigma = _diagonal_matrices(slope if structure == "diagonal" else np.repeat(slope / d, d, axis=1))
        known = _known(owners[0], sigma)
        for j in np.flatnonzero(known.any(axis=1)):
            place = np.ix_(known[j], known[j])
            inverse = np.linalg.inv(sigma[j][place])
            pull = inverse @ gap[j, known[j]]
            from_mean[j][place] -= 0.5 * (kappa[j] * np.outer(pull, pull) - inverse)
        some: NDArray[np.bool_] = np.asarray(owners[0] if owners[0].ndim == 1 else owners[0].any(axis=1))
        total = np.where(some[:, None, None], from_mean, 0.0) + np.where(owners[1][:, None, None], by_sigma, 0.0)
        return [np.where(_entries(owners[0], mean), by_mean, 0.0), total]

    def given(self, drawn: Sequence[Array], free: Sequence[NDArray[np.bool_]], fixed: Sequence[Array]) -> list[Array]:
        """Free entries of a mean move by the regression on the known ones, which makes them a draw given these."""
        mean, sigma = super().given(drawn, free, fixed)
        known = _known(free[0], sigma)
        for j in np.flatnonzero(known.any(axis=1)):
            a, b = known[j], ~known[j]
            gap = fixed[0][j, a] - drawn[0][j, a]
            mean[j, b] += sigma[j][np.ix_(b, a)] @ np.linalg.solve(sigma[j][np.ix_(a, a)], gap)
        return [mean, sigma]

    def draw_problem(self, domains: Sequence[Domain], numbers: Numbers) -> str | None:
        code = domains[1].code  # type: ignore[attr-defined]
        alike = bool(np.ptp(numbers["nu"]) == 0) and np.ptp(numbers["scale_matrix"], axis=0).max(initial=0.0) == 0
        if code is None or (code == "VEI" and alike):
            return None
        return f"the prior of structure={code!r} cannot be drawn from yet"

    def draw(
        self, domains: Sequence[Domain], numbers: Numbers, groups: Sequence[NDArray[np.intp]], rng: np.random.Generator
    ) -> list[Array]:
        from scipy.stats import invwishart

        count, d = numbers["mean"].shape
        structure = domains[1].structure  # type: ignore[attr-defined]
        code = domains[1].code  # type: ignore[attr-defined]
        structure = "full" if code is not None else structure  # drawn without regard to the code, and brought to it
        sigma = np.empty((count, d, d))
        for j in range(count):
            nu, matrix = float(numbers["nu"][j]), numbers["scale_matrix"][j]
            if structure == "full":
                sigma[j] = np.reshape(invwishart.rvs(nu, matrix, random_state=rng), (d, d))
            else:
                beta, _ = _inverse_gamma_numbers(structure, matrix[None], matrix[None])
                sigma[j] = np.diag(np.broadcast_to(beta[0] / rng.gamma(0.5 * nu, size=beta.shape[1]), (d,)))
        sigma = domains[1].nearest(sigma[_owner_of(groups[1])])
        if code == "VEI":
            sigma = _with_equal_shapes(numbers, rng)
        noise = np.einsum("jik,jk->ji", np.linalg.cholesky(sigma), rng.standard_normal((count, d)))
        return [(numbers["mean"] + noise / np.sqrt(numbers["kappa"])[:, None])[_owner_of(groups[0])], sigma]


@lru_cache(maxsize=1024)
def _log_gamma(a: float, d: int) -> float:
    """Log of the multivariate gamma function: the same few are asked for in every pass."""
    from scipy.special import multigammaln

    return float(multigammaln(a, d))


def _known(counted: NDArray[np.bool_], sigma: Array) -> NDArray[np.bool_]:
    """Entries (J, d) of means that are known while others of the same mean are not."""
    if counted.ndim == 1:
        return np.zeros(sigma.shape[:2], dtype=bool)
    return np.asarray(~counted & counted.any(axis=1, keepdims=True))


def _with_equal_shapes(numbers: Numbers, rng: np.random.Generator) -> Array:
    """Diagonal covariances of one shape, from the first component's numbers.

    With shape_j proportional to Lambda_jj / p_j, p is Dirichlet with J (nu + d + 1) / 2 for each column; volumes given the shape are
    inverse gamma with d (nu + d + 1) / 2 and tr(Lambda shape^-1) / 2.
    """
    count, d = numbers["mean"].shape
    scatter, half = np.diag(numbers["scale_matrix"][0]), 0.5 * (float(numbers["nu"][0]) + d + 1.0)
    shape = scatter / rng.dirichlet(np.full(d, count * half))
    shape /= np.exp(np.log(shape).mean())
    volumes = 0.5 * np.sum(scatter / shape) / rng.gamma(d * half, size=count)
    return _diagonal_matrices(volumes[:, None] * shape)


def _log_det_and_inverse(sigma: Array) -> tuple[Array, Array]:
    _, inverse, half_log_det = factors(sigma)
    return 2.0 * half_log_det, inverse.transpose(0, 2, 1) @ inverse


def _inverse_gamma_numbers(structure: str, matrix: Array, sigma: Array) -> tuple[Array, Array]:
    """Half the prior scatter, and the variances, that a structure's inverse gamma is about: (J, d) or (J, 1)."""
    diagonal, variance = np.diagonal(matrix, axis1=1, axis2=2), np.diagonal(sigma, axis1=1, axis2=2)
    if structure == "diagonal":
        return 0.5 * diagonal, variance
    return 0.5 * diagonal.mean(axis=1, keepdims=True), variance[:, :1]


def _diagonal_matrices(values: Array) -> Array:
    return values[:, :, None] * np.eye(values.shape[1])


@dataclass(frozen=True, repr=False)
class FraleyRaftery(Prior):
    """The data-dependent Normal-inverse-Wishart of Fraley & Raftery.

    m is the data mean, kappa = 0.01, nu = d + 2, Lambda = S / K^(2/d). It doubles the variances when components lie far
    apart compared with their width; the default prior of `Gaussian` avoids that.

    Examples
    --------
    >>> FraleyRaftery()
    FraleyRaftery()

    References
    ----------
    Fraley & Raftery (2007), Bayesian regularization for normal mixture estimation, Journal of Classification 24,
    155-181.
    """

    kappa: Any = 0.01

    def check(self) -> None:
        _refuse_unless_positive("FraleyRaftery", "kappa", self.kappa)

    @property
    def is_resolved(self) -> bool:
        return False


def default_prior(domain: Domain) -> Prior | None:
    """The prior of a free parameter for which neither the user nor the family names one."""
    return {
        UnitInterval: Beta(1.0, 1.0),
        Positive: GammaPrior(1.0),
        Shares: Dirichlet(1.0),
        Simplex: Dirichlet(1.0),
    }.get(type(domain))
