"""Categorical columns: one of several unordered values, independent given the component (latent class analysis)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..domains import Parameter, Shares
from ..errors import SpecError
from ..priors import Numbers, Prior
from .base import Array, Family, Layout, Theta
from .formulas import Formula, Formulas, Notation, formulas, ratio

__all__ = ["Categorical"]


class Categorical(Family):
    """One or many columns with the same number of unordered values, independent given the component.

    Parameters
    ----------
    *columns
        Names of the columns; their values are 0, 1, ..., categories - 1.
    categories
        Number of values a cell can take, an integer >= 2.
    probability
        Probabilities of the values, shape (d, categories), rows that sum to 1: free (None), fixed, a `Dirichlet`
        prior, or `Shared()`. The default prior is Dirichlet(1).
    prior, name
        No joint prior is legal; the name of the block.

    Raises
    ------
    SpecError
        For categories that are no integer >= 2, and rows of probabilities that do not sum to 1.

    Examples
    --------
    >>> Categorical("vote", "party", categories=3)
    Categorical('vote', 'party', categories=3)

    References
    ----------
    Goodman (1974), Exploratory latent structure analysis using both identifiable and unidentifiable models, Biometrika
    61, 215-231.
    """

    options: ClassVar[dict[str, Any]] = {"categories": None}
    option_choices: ClassVar[dict[str, tuple[Any, ...]]] = {"categories": (2, 4)}
    discrete: ClassVar[bool] = True
    separable: ClassVar[bool] = True
    categories: int

    def __init__(
        self,
        *columns: str,
        categories: Any = None,
        probability: Any = None,
        prior: Prior | None = None,
        name: str | None = None,
    ) -> None:
        if isinstance(categories, bool) or not isinstance(categories, int | np.integer) or categories < 2:
            raise SpecError(
                f"Categorical({', '.join(map(repr, columns))}): categories={categories!r}; needed is the number of "
                "values a cell can take, an integer >= 2. Columns with different numbers are different blocks."
            )
        super().__init__(*columns, categories=int(categories), probability=probability, prior=prior, name=name)

    @property
    def parameters(self) -> tuple[Parameter, ...]:  # type: ignore[override]
        return (Parameter("probability", Shares(), ("column", "category"), self.categories),)

    @property
    def allowed_values(self) -> str:  # type: ignore[override]
        """What cells can be, in words."""
        return f"integers 0 to {self.categories - 1} (categories={self.categories})"

    def allowed(self, x: Array) -> NDArray[np.bool_]:
        return (x >= 0) & (x < self.categories) & (x == np.floor(x))

    def log_density(self, x: Array, theta: Theta) -> Array:
        with np.errstate(divide="ignore"):
            logs = np.log(theta["probability"])
        return logs[:, np.arange(x.shape[1]), x.astype(np.intp)].sum(axis=2).T

    def statistics(self, x: Array, R: Array, theta: Theta) -> dict[str, Array]:
        counts = np.stack([R.T @ (x == value) for value in range(self.categories)], axis=2)
        return {"mass": R.sum(axis=0), "counts": counts}

    def score(self, S: Mapping[str, Array], theta: Theta) -> Theta:
        p = theta["probability"]
        with np.errstate(divide="ignore"):
            return {"probability": np.divide(S["counts"], p, out=np.zeros_like(p), where=S["counts"] > 0)}

    def maximise(
        self, S: Mapping[str, Array], theta: Theta, layout: Mapping[str, Layout], prior: Mapping[str, Numbers] | None
    ) -> Theta:
        where = layout["probability"]
        counts = where.pooled(S["counts"])
        if prior is not None and "probability" in prior:
            counts = counts + prior["probability"]["alpha"] - 1.0
        total = counts.sum(axis=2, keepdims=True)
        return {"probability": where.filled(np.divide(counts, total, out=theta["probability"].copy(), where=total > 0))}

    def draw(self, z: NDArray[np.intp], theta: Theta, rng: np.random.Generator) -> Array:
        upto = theta["probability"][z].cumsum(axis=2)
        return (rng.random((*upto.shape[:2], 1)) * upto[:, :, -1:] >= upto).sum(axis=2).astype(np.float64)

    def pymc_log_density(self, x: Any, theta: Mapping[str, Any]) -> Any:
        import pymc as pm

        p = theta["probability"]
        each = [
            pm.logp(pm.Categorical.dist(p=p[None, :, j, :]), x[:, None, j].astype("int64"))
            for j in range(len(self.columns))
        ]
        return sum(each[1:], each[0])

    def identifiability_cells(self) -> Array | None:
        return np.full(len(self.columns), float(self.categories))


@formulas.register
def _formulas(block: Categorical, notation: Notation) -> Formulas:
    p, x = notation.symbol("probability", "p", notation.column + "c"), notation.cell
    density = notation.density(
        f"Categorical({p.at().words}), c = 0 to {block.categories - 1}",
        rf"\prod_c {p.at().latex}^{{[{x.latex} = c]}}",
    )
    there = Formula(f"[{x.words} = c]", f"[{x.latex} = c]")
    update = ratio(p, p.total.of(there), p.total, ("alpha_c - 1", f"sum_c alpha_c - {block.categories}"))
    return Formulas(density, {} if p.is_fixed else {"probability": update}, {"probability": p})
