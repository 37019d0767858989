"""Poisson columns: counts that are independent given the component."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..domains import Parameter, Positive
from .base import Array, Family, Theta
from .formulas import Formulas, Notation, formulas, ratio

__all__ = ["Poisson"]

_LOG_ZERO = -1e300  # stands for log 0 in a matrix product, where 0 * -inf would be nan


class Poisson(Family):
    """One or many columns of counts, independent given the component.

    Parameters
    ----------
    *columns
        Names of the columns; their values are 0, 1, 2, ...
    rate
        Expected count, shape (d,): free (None), fixed, a `GammaPrior`, or `Shared()`. The default prior is
        GammaPrior(1, 1 / mean of the column). A component of zeros alone has rate 0.
    name
        Name of the block.

    Raises
    ------
    SpecError
        For a fixed rate that is not above 0, or a prior that is none for rates.

    Examples
    --------
    >>> Poisson("goals", "cards")
    Poisson('goals', 'cards')

    References
    ----------
    McLachlan & Peel (2000), Finite Mixture Models, Wiley, section 5.4.
    """

    parameters = (Parameter("rate", Positive()),)
    discrete: ClassVar[bool] = True
    separable: ClassVar[bool] = True
    ratio: ClassVar[tuple[str, str] | None] = ("total", "mass")
    allowed_values: ClassVar[str] = "counts 0, 1, 2, ..."

    def allowed(self, x: Array) -> NDArray[np.bool_]:
        return np.isfinite(x) & (x >= 0) & (x == np.floor(x))

    def log_density(self, x: Array, theta: Theta) -> Array:
        from scipy.special import gammaln

        rate = theta["rate"]
        with np.errstate(divide="ignore"):
            log_rate = np.maximum(np.log(rate), _LOG_ZERO)
        with np.errstate(over="ignore"):
            power = log_rate @ x.T
        total = (power - rate.sum(axis=1)[:, None]).T - gammaln(x + 1.0).sum(axis=1)[:, None]
        return np.where(total < 0.5 * _LOG_ZERO, -np.inf, total)

    def statistics(self, x: Array, R: Array, theta: Theta) -> dict[str, Array]:
        return {"mass": R.sum(axis=0), "total": R.T @ x}

    def score(self, S: Mapping[str, Array], theta: Theta) -> Theta:
        total, rate = S["total"], theta["rate"]
        with np.errstate(divide="ignore"):
            up = np.divide(total, rate, out=np.zeros_like(rate), where=total > 0)
        return {"rate": up - S["mass"][:, None]}

    def draw(self, z: NDArray[np.intp], theta: Theta, rng: np.random.Generator) -> Array:
        return rng.poisson(theta["rate"][z]).astype(np.float64)

    def pymc_log_density(self, x: Any, theta: Mapping[str, Any]) -> Any:
        import pymc as pm

        return pm.logp(pm.Poisson.dist(mu=theta["rate"][None, :, :]), x[:, None, :]).sum(axis=-1)


@formulas.register
def _formulas(block: Poisson, notation: Notation) -> Formulas:
    rate, x = notation.symbol("rate", r"\lambda"), notation.cell
    value = rate.at().latex
    density = notation.density(
        f"Poisson({rate.at().words})", rf"\frac{{{value}^{{{x.latex}}} e^{{-{value}}}}}{{{x.latex}!}}"
    )
    update = ratio(rate, rate.total.of(x), rate.total, ("a - 1", "b"))
    return Formulas(density, {} if rate.is_fixed else {"rate": update}, {"rate": rate})
