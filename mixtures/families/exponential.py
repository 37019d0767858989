"""Exponential columns: waiting times that are independent given the component."""

from typing import Any

import numpy as np

from ..domains import Parameter, Positive
from .base import Array, Family, Statistics, Theta


class Exponential(Family):
    """Columns of waiting times, independent given the component, with density rate exp(-rate x).

    Parameters
    ----------
    *columns
        Names of the columns; their values are greater than 0. Zeros, which a recorder rounds to, need an offset.
    rate
        One over the mean, shape (d,): free, fixed, a `GammaPrior` (by default (1, mean of the column)), or `Shared()`.
    name
        Name of the block.

    Examples
    --------
    >>> Exponential("seconds", rate=[0.5])
    Exponential('seconds', rate=0.5)

    References
    ----------
    Titterington, Smith & Makov (1985), Statistical Analysis of Finite Mixture Distributions, Wiley, section 4.3.
    """

    parameters = (Parameter("rate", Positive()),)
    separable, ratio, allowed_values = True, ("mass", "total"), "numbers greater than 0"

    def allowed(self, x: Array) -> Any:
        return np.isfinite(x) & (x > 0)

    def prior_rows(self, parameter: Parameter, x: Array, v: Array, partition: Array) -> tuple[Array, Array]:
        return (v @ ~np.isnan(x) / np.nansum(v[:, None] * x, axis=0))[None], np.ones(1)

    def log_density(self, x: Array, theta: Theta) -> Array:
        with np.errstate(divide="ignore"):
            constant = np.log(theta["rate"]).sum(axis=1)
        return (constant[:, None] - theta["rate"] @ x.T).T

    def statistics(self, x: Array, R: Array, theta: Theta) -> dict[str, Array]:
        return {"mass": R.sum(axis=0), "total": R.T @ x}

    def score(self, S: Statistics, theta: Theta) -> Theta:
        return {"rate": S["mass"][:, None] / np.maximum(theta["rate"], 1e-300) - S["total"]}

    def draw(self, z: Any, theta: Theta, rng: Any) -> Array:
        return np.maximum(rng.standard_exponential(theta["rate"][z].shape), 1e-300) / theta["rate"][z]

    def pymc_log_density(self, x: Any, theta: Any) -> Any:
        import pymc as pm

        return pm.logp(pm.Exponential.dist(lam=theta["rate"][None]), x[:, None]).sum(axis=-1)
