"""Counts that are independent given the component: a whole family in one file, written as another package would."""

import numpy as np
from scipy.special import gammaln, xlogy

from mixtures import Family
from mixtures.domains import Parameter, Positive


class Counts(Family):
    """One or many columns of counts, independent given the component.

    Parameters
    ----------
    *columns
        Names of the columns; their values are 0, 1, 2, ...
    rate
        Expected count, shape (d,): free (None), fixed, a `GammaPrior`, or `Shared()`. The default prior is
        GammaPrior(1, 1 / mean of the column).

    Examples
    --------
    >>> Counts("goals", "cards")
    Counts('goals', 'cards')
    """

    parameters = (Parameter("rate", Positive()),)
    separable = True
    allowed_values = "counts 0, 1, 2, ..."

    def allowed(self, x):
        return np.isfinite(x) & (x >= 0) & (x == np.floor(x))

    def log_density(self, x, theta):
        rate = theta["rate"]
        return xlogy(x[:, None], rate).sum(axis=2) - rate.sum(axis=1) - gammaln(x + 1).sum(axis=1)[:, None]

    def statistics(self, x, R, theta):
        return {"mass": R.sum(axis=0), "total": R.T @ x}

    def score(self, S, theta):
        total, rate = S["total"], theta["rate"]
        return {"rate": np.divide(total, rate, out=np.zeros_like(rate), where=total > 0) - S["mass"][:, None]}

    def maximise(self, S, theta, layout, prior):
        where = layout["rate"]
        total, mass = where.pooled(S["total"]), where.pooled(S["mass"])[:, None]
        if prior and "rate" in prior:
            total, mass = total + prior["rate"]["shape"] - 1.0, mass + prior["rate"]["rate"]
        return {"rate": where.filled(np.divide(total, mass, out=theta["rate"].copy(), where=mass > 0))}

    def draw(self, z, theta, rng):
        return rng.poisson(theta["rate"][z]).astype(np.float64)

    def pymc_log_density(self, x, theta):
        import pymc as pm

        return pm.logp(pm.Poisson.dist(mu=theta["rate"][None]), x[:, None]).sum(axis=2)
