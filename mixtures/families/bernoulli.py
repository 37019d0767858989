"""Bernoulli columns: 0/1 items that are independent given the component (latent class analysis)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..domains import Parameter, UnitInterval
from ..priors import Numbers
from .base import Array, Family, Layout, Theta
from .formulas import Formulas, Notation, formulas, ratio
from .kept import once_for_rows, unchanging

if TYPE_CHECKING:
    from ..kernels.bound import Kernel, RowSource

__all__ = ["Bernoulli"]

_LOG_ZERO = -1e300  # stands for log 0 in a matrix product, where 0 * -inf would be nan


class Bernoulli(Family):
    """One or many 0/1 columns, independent given the component.

    Parameters
    ----------
    *columns
        Names of the columns; their values are 0 or 1 (booleans are taken as such).
    probability
        Probability of a 1, shape (d,): free (None), fixed, a `Beta` prior, or `Shared()`. The default prior is
        Beta(1, 1).
    name
        Name of the block.

    Raises
    ------
    SpecError
        For a probability outside [0, 1] or a prior that is none for probabilities.

    Examples
    --------
    >>> Bernoulli("item1", "item2")
    Bernoulli('item1', 'item2')

    References
    ----------
    Lazarsfeld & Henry (1968), Latent Structure Analysis. Goodman (1974), Biometrika 61, 215-231.
    """

    parameters = (Parameter("probability", UnitInterval()),)
    discrete: ClassVar[bool] = True
    separable: ClassVar[bool] = True
    skips_missing: ClassVar[bool] = True
    allowed_values: ClassVar[str] = "0 or 1"

    def allowed(self, x: Array) -> NDArray[np.bool_]:
        return (x == 0) | (x == 1)

    def log_density(self, x: Array, theta: Theta) -> Array:
        return self.e_step(x, theta)[0]

    def e_step(self, x: Array, theta: Theta) -> tuple[Array, tuple[Array, ...]]:
        p, cells = theta["probability"], _cells(x)
        logs, d = np.empty((len(p), 2 * x.shape[1])), x.shape[1]
        with np.errstate(divide="ignore"):
            np.log(p, out=logs[:, :d])
            np.log1p(-p, out=logs[:, d:])
        if logs.min() >= _LOG_ZERO:
            return _weighted(logs, cells, d).T, cells
        total = _weighted(np.maximum(logs, _LOG_ZERO), cells, d).T
        return np.where(total < 0.5 * _LOG_ZERO, -np.inf, total), cells

    def statistics(self, x: Array, R: Array, theta: Theta) -> dict[str, Array]:
        return self.statistics_after(_cells(x), x, R, theta)

    def statistics_after(self, work: tuple[Array, ...], x: Array, R: Array, theta: Theta) -> dict[str, Array]:
        sums, d = [R.T @ cells.T for cells in work], x.shape[1]
        ones, zeros = sums if len(sums) == 2 else (sums[0][:, :d], sums[0][:, d:])
        return {"mass": np.add.reduce(R, axis=0), "ones": ones, "zeros": zeros}

    def score(self, S: Mapping[str, Array], theta: Theta) -> Theta:
        p = theta["probability"]
        with np.errstate(divide="ignore", invalid="ignore"):
            up = np.where(S["ones"] > 0, S["ones"] / p, 0.0)
            down = np.where(S["zeros"] > 0, S["zeros"] / (1.0 - p), 0.0)
        return {"probability": up - down}

    def maximise(
        self, S: Mapping[str, Array], theta: Theta, layout: Mapping[str, Layout], prior: Mapping[str, Numbers] | None
    ) -> Theta:
        where = layout["probability"]
        ones, zeros = where.pooled(S["ones"]), where.pooled(S["zeros"])
        if prior is not None and "probability" in prior:
            ones = ones + prior["probability"]["alpha"] - 1.0
            zeros = zeros + prior["probability"]["beta"] - 1.0
        total = ones + zeros
        if total.min() > 0:
            return {"probability": where.filled(ones / total)}
        with np.errstate(divide="ignore", invalid="ignore"):
            best = np.where(total > 0, ones / total, theta["probability"])
        return {"probability": where.filled(best)}

    def draw(self, z: NDArray[np.intp], theta: Theta, rng: np.random.Generator) -> Array:
        p = theta["probability"][z]
        return (rng.random(p.shape) < p).astype(np.float64)

    def pymc_log_density(self, x: Any, theta: Mapping[str, Any]) -> Any:
        import pymc as pm

        return pm.logp(pm.Bernoulli.dist(p=theta["probability"][None, :, :]), x[:, None, :]).sum(axis=-1)

    def kernel(self, rows: RowSource, count: int) -> Kernel:
        from ..kernels.bound import BernoulliKernel

        return BernoulliKernel(rows, count)

    def identifiability_cells(self) -> Array | None:
        return np.full(len(self.columns), 2.0)

    def moments(self, theta: Theta) -> tuple[Array, Array]:
        p = theta["probability"]
        return p, (p * (1.0 - p))[:, :, None] * np.eye(p.shape[1])


def _cells(x: Array) -> tuple[Array, ...]:
    """Where cells are 1 and where they are 0; a missing cell (NaN) is neither. One array (2 d, n) for rows that stay, else two (d, n).

    One product is faster than two, but not with what it takes to put the array together.
    """
    if unchanging(x):
        return (_joined(x),)
    return _apart(x)


def _apart(x: Array) -> tuple[Array, Array]:
    if not np.isnan(x.sum()):
        return x.T, (1.0 - x).T
    return np.nan_to_num(x).T, np.nan_to_num(1.0 - x).T


@once_for_rows
def _joined(x: Array) -> Array:
    return np.concatenate(_apart(x))


def _weighted(logs: Array, cells: tuple[Array, ...], d: int) -> Array:
    """Sums (J, n) of logs (J, 2 d) where cells are 1 and where they are 0."""
    if len(cells) == 1:
        return np.asarray(logs @ cells[0])
    return np.asarray(logs[:, :d] @ cells[0] + logs[:, d:] @ cells[1])


@formulas.register
def _formulas(block: Bernoulli, notation: Notation) -> Formulas:
    p, x = notation.symbol("probability", "p"), notation.cell
    value = p.at().latex
    density = notation.density(f"Bernoulli({p.at().words})", rf"{value}^{{{x.latex}}} (1 - {value})^{{1 - {x.latex}}}")
    update = ratio(p, p.total.of(x), p.total, ("alpha - 1", "alpha + beta - 2"))
    return Formulas(density, {} if p.is_fixed else {"probability": update}, {"probability": p})
