"""Binomial columns: successes in a known number of trials, independent given the component."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..domains import Parameter, UnitInterval
from ..errors import SpecError
from ..priors import Numbers, Prior
from .base import Array, Family, Layout, Theta
from .formulas import Formula, Formulas, Notation, formulas, ratio

__all__ = ["Binomial"]

_LOG_ZERO = -1e300  # stands for log 0 in a matrix product, where 0 * -inf would be nan


class Binomial(Family):
    """One or many columns of successes in the same number of trials, independent given the component.

    Parameters
    ----------
    *columns
        Names of the columns; their values are 0, 1, ..., trials.
    trials
        Number of trials behind every cell, an integer >= 1.
    probability
        Probability of a success, shape (d,): free (None), fixed, a `Beta` prior, or `Shared()`. The default prior is
        Beta(1, 1).
    prior, name
        No joint prior is legal; the name of the block.

    Raises
    ------
    SpecError
        For trials that are no integer >= 1, a probability outside [0, 1] or a prior that is none for probabilities.

    Examples
    --------
    >>> Binomial("heads", trials=10)
    Binomial('heads', trials=10)

    References
    ----------
    Blischke (1964), Estimating the parameters of mixtures of binomial distributions, JASA 59, 510-528: K components
    of one column are identified from 2 K - 1 trials on. Do & Batzoglou (2008), What is the expectation maximization
    algorithm?, Nature Biotechnology 26, 897-899.
    """

    parameters = (Parameter("probability", UnitInterval()),)
    options: ClassVar[dict[str, Any]] = {"trials": None}
    option_choices: ClassVar[dict[str, tuple[Any, ...]]] = {"trials": (1, 12)}
    discrete: ClassVar[bool] = True
    separable: ClassVar[bool] = True
    identified_by: ClassVar[str] = "Blischke 1964: K components of one column from 2 K - 1 trials on"
    trials: int

    def __init__(
        self,
        *columns: str,
        trials: Any = None,
        probability: Any = None,
        prior: Prior | None = None,
        name: str | None = None,
    ) -> None:
        if isinstance(trials, bool) or not isinstance(trials, int | np.integer) or trials < 1:
            raise SpecError(
                f"Binomial({', '.join(map(repr, columns))}): trials={trials!r}; needed is the number of trials behind "
                "every cell, an integer >= 1. Columns with different numbers of trials are different blocks."
            )
        super().__init__(*columns, trials=int(trials), probability=probability, prior=prior, name=name)

    @property
    def allowed_values(self) -> str:  # type: ignore[override]
        """What cells can be, in words."""
        return f"integers 0 to {self.trials} (trials={self.trials})"

    def allowed(self, x: Array) -> NDArray[np.bool_]:
        return (x >= 0) & (x <= self.trials) & (x == np.floor(x))

    def log_density(self, x: Array, theta: Theta) -> Array:
        from scipy.special import gammaln

        p, t = theta["probability"], float(self.trials)
        with np.errstate(divide="ignore"):
            on, off = np.maximum(np.log(p), _LOG_ZERO), np.maximum(np.log1p(-p), _LOG_ZERO)
        ways = (gammaln(t + 1.0) - gammaln(x + 1.0) - gammaln(t - x + 1.0)).sum(axis=1)
        total = ((on @ x.T) + (off @ (t - x).T)).T + ways[:, None]
        return np.where(total < 0.5 * _LOG_ZERO, -np.inf, total)

    def statistics(self, x: Array, R: Array, theta: Theta) -> dict[str, Array]:
        return {"mass": R.sum(axis=0), "successes": R.T @ x, "failures": R.T @ (self.trials - x)}

    def score(self, S: Mapping[str, Array], theta: Theta) -> Theta:
        p = theta["probability"]
        with np.errstate(divide="ignore"):
            up = np.divide(S["successes"], p, out=np.zeros_like(p), where=S["successes"] > 0)
            down = np.divide(S["failures"], 1.0 - p, out=np.zeros_like(p), where=S["failures"] > 0)
        return {"probability": up - down}

    def maximise(
        self, S: Mapping[str, Array], theta: Theta, layout: Mapping[str, Layout], prior: Mapping[str, Numbers] | None
    ) -> Theta:
        where = layout["probability"]
        up, down = where.pooled(S["successes"]), where.pooled(S["failures"])
        if prior is not None and "probability" in prior:
            up, down = up + prior["probability"]["alpha"] - 1.0, down + prior["probability"]["beta"] - 1.0
        best = np.divide(up, up + down, out=theta["probability"].copy(), where=up + down > 0)
        return {"probability": where.filled(best)}

    def draw(self, z: NDArray[np.intp], theta: Theta, rng: np.random.Generator) -> Array:
        return rng.binomial(self.trials, theta["probability"][z]).astype(np.float64)

    def pymc_log_density(self, x: Any, theta: Mapping[str, Any]) -> Any:
        import pymc as pm

        p = theta["probability"][None, :, :]
        return pm.logp(pm.Binomial.dist(n=self.trials, p=p), x[:, None, :]).sum(axis=-1)

    def identified_components(self) -> NDArray[np.intp] | None:
        return np.full(len(self.columns), (self.trials + 1) // 2, dtype=np.intp)

    def identifiability_cells(self) -> Array | None:
        return np.full(len(self.columns), self.trials + 1.0)

    def moments(self, theta: Theta) -> tuple[Array, Array]:
        p = theta["probability"]
        return self.trials * p, (self.trials * p * (1.0 - p))[:, :, None] * np.eye(p.shape[1])


@formulas.register
def _formulas(block: Binomial, notation: Notation) -> Formulas:
    p, x, trials = notation.symbol("probability", "p"), notation.cell, block.trials
    value = p.at().latex
    density = notation.density(
        f"Binomial({trials}, {p.at().words})",
        rf"\binom{{{trials}}}{{{x.latex}}} {value}^{{{x.latex}}} (1 - {value})^{{{trials} - {x.latex}}}",
    )
    update = ratio(p, p.total.of(x), Formula(f"{trials}", f"{trials}").of(p.total), ("alpha - 1", "alpha + beta - 2"))
    return Formulas(density, {} if p.is_fixed else {"probability": update}, {"probability": p})
