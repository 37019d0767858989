"""Exponential columns: waiting times that are independent given the component."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..domains import Parameter, Positive
from ..priors import Numbers
from .base import Array, Family, Layout, Theta
from .formulas import Formulas, Notation, formulas, ratio

__all__ = ["Exponential"]


class Exponential(Family):
    """One or many columns of waiting times, independent given the component, density rate exp(-rate x).

    Parameters
    ----------
    *columns
        Names of the columns; their values are greater than 0. Zeros, which a recorder rounds to, need an offset: a
        component on them alone would have an infinite density.
    rate
        One over the mean, shape (d,), in one over the columns' units: free (None), fixed, a `GammaPrior`, or
        `Shared()`. The default prior is GammaPrior(1, mean of the column).
    name
        Name of the block.

    Raises
    ------
    SpecError
        For a fixed rate that is not above 0, or a prior that is none for rates.

    Examples
    --------
    >>> Exponential("seconds", rate=[0.5])
    Exponential('seconds', rate=0.5)

    References
    ----------
    Titterington, Smith & Makov (1985), Statistical Analysis of Finite Mixture Distributions, Wiley, section 4.3.
    """

    parameters = (Parameter("rate", Positive()),)
    separable: ClassVar[bool] = True
    allowed_values: ClassVar[str] = "numbers greater than 0"

    def allowed(self, x: Array) -> NDArray[np.bool_]:
        return np.isfinite(x) & (x > 0)

    def prior_rows(self, parameter: Parameter, x: Array, v: Array, partition: Array) -> tuple[Array, Array]:
        """One over the mean of each column."""
        there = v[:, None] * ~np.isnan(x)
        return (there.sum(axis=0) / np.nansum(v[:, None] * x, axis=0))[None], np.ones(1)

    def log_density(self, x: Array, theta: Theta) -> Array:
        with np.errstate(divide="ignore"):
            constant = np.log(theta["rate"]).sum(axis=1)
        return (constant[:, None] - theta["rate"] @ x.T).T

    def statistics(self, x: Array, R: Array, theta: Theta) -> dict[str, Array]:
        return {"mass": R.sum(axis=0), "total": R.T @ x}

    def score(self, S: Mapping[str, Array], theta: Theta) -> Theta:
        mass = S["mass"][:, None] + np.zeros_like(S["total"])
        return {"rate": np.divide(mass, theta["rate"], out=np.zeros_like(mass), where=mass > 0) - S["total"]}

    def maximise(
        self, S: Mapping[str, Array], theta: Theta, layout: Mapping[str, Layout], prior: Mapping[str, Numbers] | None
    ) -> Theta:
        where = layout["rate"]
        mass, total = where.pooled(S["mass"])[:, None] + np.zeros_like(S["total"]), where.pooled(S["total"])
        if prior is not None and "rate" in prior:
            mass, total = mass + prior["rate"]["shape"] - 1.0, total + prior["rate"]["rate"]
        some = (mass > 0) & (total > 0)
        return {"rate": where.filled(np.divide(mass, total, out=theta["rate"].copy(), where=some))}

    def draw(self, z: NDArray[np.intp], theta: Theta, rng: np.random.Generator) -> Array:
        rate = theta["rate"][z]
        return np.maximum(rng.standard_exponential(rate.shape), np.finfo(np.float64).tiny) / rate

    def pymc_log_density(self, x: Any, theta: Mapping[str, Any]) -> Any:
        import pymc as pm

        return pm.logp(pm.Exponential.dist(lam=theta["rate"][None, :, :]), x[:, None, :]).sum(axis=-1)


@formulas.register
def _formulas(block: Exponential, notation: Notation) -> Formulas:
    rate, x = notation.symbol("rate", r"\lambda"), notation.cell
    value = rate.at().latex
    density = notation.density(f"Exponential({rate.at().words})", rf"{value} e^{{-{value} {x.latex}}}")
    update = ratio(rate, rate.total, rate.total.of(x), ("a - 1", "b"))
    return Formulas(density, {} if rate.is_fixed else {"rate": update}, {"rate": rate})
