"""The Gaussian family: full, diagonal or spherical covariance, per component or tied; one column is the normal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..domains import Covariance, Parameter, Real, power_of_two
from ..errors import DataError, SpecError, nearest
from ..linear import Factors, factors
from ..priors import FraleyRaftery, NormalInverseWishart, Numbers, Prior
from ..slots import Fixed, Free, Shared, Slot, inner_slot, is_known
from .base import JOINT, Array, DegenerateComponentError, Family, Layout, Theta
from .missing import observed_cells, rows_by_pattern, whitened_by_pattern

if TYPE_CHECKING:
    from ..kernels.bound import Kernel, RowSource

__all__ = ["Gaussian", "canonical"]

SMALLEST = 1e-140
"""Smaller standard deviations underflow when they are squared and multiplied."""
_SOME = np.finfo(np.float64).smallest_normal
"""In place of masses that are 0, or too small to be divided by."""
MOST_STEPS = 200
"""EM steps for the moments of rows with missing cells, which only scale a prior."""
_STRUCTURES = ("full", "diagonal", "spherical")
_CODES = {
    "VVV": ("full", False),
    "EEE": ("full", True),
    "VVI": ("diagonal", False),
    "EEI": ("diagonal", True),
    "VII": ("spherical", False),
    "EII": ("spherical", True),
}
_COUPLED = ("VEI", "EVI", "VEE", "EVE", "VVE", "EEV", "VEV", "EVV")
"""Codes of structures that are equal in one respect and not in another: no word says them."""
_TURNS_WITH_UNITS = ("spherical", "EVE", "VVE", "EEV", "VEV")
"""Structures that other units of one column alone would not leave what they are."""


class Gaussian(Family):
    """Normal columns with a mean vector and a covariance matrix per component.

    Parameters
    ----------
    *columns
        Names of the d columns.
    mean
        Slot for the mean, shape (d,), in the columns' units.
    covariance
        Slot for the covariance, shape (d, d), in squared units; `Shared()` ties it over components.
    structure
        "full", "diagonal" or "spherical", each tied by `covariance=Shared()`; or three letters for volume, shape and orientation,
        each equal (E), of its own (V) or along the columns (I): VVV, EEE, VVI, EEI, VII and EII are those words' codes, and VEI,
        EVI, VEE, EVE, VVE, EEV, VEV and EVV say what no word does. EVE, VVE, EEV and VEV mean what they say in the columns'
        units. Structures with an orientation that is equal for shapes that are not, or the reverse, are fitted by EM, not sampled.
    prior
        `NormalInverseWishart(...)` or `FraleyRaftery()`. The default takes m from the data mean, nu = d + 2,
        Lambda = W, the pooled within-group covariance of a k-means partition, and
        kappa = 0.01 / max(1, tr(W^-1 S) / d). Where other components have nothing to estimate in these columns, as a
        `Uniform` for noise, W leaves out the rows that look like noise (Rousseeuw & van Zomeren 1990).
    name
        Name of the block.

    Raises
    ------
    SpecError
        For slots, structures or priors that are not legal.

    Examples
    --------
    >>> Gaussian("eruptions", "waiting", structure="EEE")
    Gaussian('eruptions', 'waiting', covariance=Shared())

    References
    ----------
    Celeux & Govaert (1995), Gaussian parsimonious clustering models, Pattern Recognition 28, 781-793. Rousseeuw & van
    Zomeren (1990), Unmasking multivariate outliers and leverage points, JASA 85, 633-639.
    """

    options: ClassVar[dict[str, Any]] = {"structure": "full"}
    option_choices: ClassVar[dict[str, tuple[Any, ...]]] = {"structure": (*_STRUCTURES, *_COUPLED)}
    option_words: ClassVar[dict[str, tuple[Any, ...]]] = {"structure": (*_STRUCTURES, *_CODES, *_COUPLED)}
    joint_priors: ClassVar[tuple[type[Prior], ...]] = (NormalInverseWishart, FraleyRaftery)
    completes_missing: ClassVar[bool] = True
    structure: str

    def __init__(
        self,
        *columns: str,
        mean: Any = None,
        covariance: Any = None,
        structure: str = "full",
        prior: Prior | None = None,
        name: str | None = None,
    ) -> None:
        structure, covariance = canonical("Gaussian", columns, structure, covariance)
        super().__init__(*columns, mean=mean, covariance=covariance, structure=structure, prior=prior, name=name)

    @property
    def parameters(self) -> tuple[Parameter, ...]:  # type: ignore[override]
        domain = Covariance(self.structure)
        if self.structure in _COUPLED:
            domain = Covariance("diagonal" if self.structure[2] == "I" else "full", self.structure)
        return (Parameter("mean", Real()), Parameter("covariance", domain, ("column", "column")))

    @property
    def _has_own_covariance(self) -> bool:
        """Whether the full covariance is free and nobody else's, or known."""
        return self.structure == "full" and (is_known(self.slots["covariance"]) or not self.is_shared("covariance"))

    @property
    def _along_columns(self) -> bool:
        """Whether covariances are diagonal."""
        return self.structure in ("diagonal", "spherical") or self.structure[2] == "I"

    def _check_slots(self) -> None:
        super()._check_slots()
        if self.prior is not None and all(is_known(self.slots[key]) for key in ("mean", "covariance")):
            raise SpecError(
                f"{self!r}: a prior on fixed mean and covariance has nothing to act on. Leave one free or drop prior=."
            )

    def unsupported(self, parameter: str, slot: Slot) -> str | None:
        if isinstance(inner_slot(slot), Prior):
            return (
                f"{parameter}={slot!r}: a prior on one of the two parameters alone is not supported yet; "
                "use prior=NormalInverseWishart(...)."
            )
        if parameter == "mean" and isinstance(inner_slot(slot), Fixed) and not is_known(slot):
            if isinstance(slot, Shared):
                return f"{parameter}={slot!r}: a mean fixed in part cannot be shared yet; write it for each component."
            if not (self.structure in ("diagonal", "spherical") or self._has_own_covariance):
                return f"{parameter}={slot!r}: a mean fixed in part needs a covariance of its own that is not tied to others."
            return None
        if parameter == "mean" and isinstance(slot, Shared) and not is_known(slot):
            return f"{parameter}={slot!r}: sharing means that are estimated is not supported yet; fix them, or share covariances."
        if parameter == "covariance" and self.structure in _COUPLED and not isinstance(slot, Free):
            return f"{parameter}={slot!r}: structure={self.structure!r} says what is shared; leave the covariance free."
        return super().unsupported(parameter, slot)

    def cannot_be_sampled(self) -> str | None:
        if self.structure in _COUPLED and self.structure[2] != "I":
            return (
                f"structure={self.structure!r} has no coordinates yet that a sampler could use: fit it by EM, or sample "
                "'full', 'diagonal', 'spherical', VEI or EVI"
            )
        return None

    # -- data --------------------------------------------------------------------------------------

    def standardise(self, x: Array, v: Array) -> tuple[Array, Array]:
        """Centre at a median that is a data value; the scale is the standard deviation, one for all columns where the structure asks for it."""
        there = [~np.isnan(column) for column in x.T]
        center = np.array([_median(column[keep]) for column, keep in zip(x.T, there, strict=True)])
        spread = np.sqrt([_variance(x[keep, j] - center[j], v[keep]) for j, keep in enumerate(there)])
        if not np.all(spread > SMALLEST):
            j = int(np.argmin(spread))
            away = np.abs(x[there[j], j] - center[j]).max()
            if away > 0:
                raise DataError(
                    f"Column {self.columns[j]!r}: its values differ by no more than {2.0 * away:.2g}, too little for squares of it to be "
                    "computed. Rescale the column."
                )
            raise DataError(
                f"Column {self.columns[j]!r} is constant (every row is {center[j]:g}): its variance is 0. Leave it out."
            )
        if self.structure in _TURNS_WITH_UNITS:
            spread = np.full_like(spread, np.sqrt(np.mean(spread**2)))
        return center, spread

    def resolve(self, x: Array, v: Array, partition: Array) -> Family:
        center, scale = self.standardise(x, v)
        scale = power_of_two(scale)
        z = (x - center) / scale
        mean, total, z, unseen = _moments(self, z, v)
        _refuse_singular(total, self.columns)
        if all(is_known(self.slots[key]) for key in ("mean", "covariance")):
            return self
        grouped = np.sum(v * partition.sum(axis=1))
        within = unseen / v.sum() + sum(_scatter(z, v * partition[:, k]) for k in range(partition.shape[1])) / grouped
        if np.linalg.eigvalsh(within / np.sqrt(np.outer(np.diag(total), np.diag(total))))[0] < 1e-10:
            within = total / partition.shape[1] ** 2
        d, n_components = len(self.columns), partition.shape[1]
        asked = self.prior or NormalInverseWishart()
        if isinstance(asked, FraleyRaftery):
            asked = NormalInverseWishart(
                None, asked.kappa, None, total / n_components ** (2.0 / d) * np.outer(scale, scale)
            )
        assert isinstance(asked, NormalInverseWishart)
        kappa = 0.01 / max(1.0, float(np.trace(np.linalg.solve(within, total))) / d)
        mean = center + scale * mean
        given = (asked.mean, asked.kappa, asked.nu, asked.scale_matrix)
        default = (mean, kappa, d + 2.0, within * np.outer(scale, scale))
        prior = NormalInverseWishart(
            *(value if value is not None else other for value, other in zip(given, default, strict=True))
        )
        prior.numbers((d,), repr(self))
        return self.replace(prior=prior)

    # -- the formulas ------------------------------------------------------------------------------

    def log_density(self, x: Array, theta: Theta) -> Array:
        return self.e_step(x, theta)[0]

    def e_step(self, x: Array, theta: Theta) -> tuple[Array, Array]:
        y = _whiten(x, theta)
        constant = -0.5 * x.shape[1] * np.log(2.0 * np.pi) - _factors(theta["covariance"]).half_log_det
        return (constant[:, None] - 0.5 * np.einsum("jdn,jdn->jn", y, y)).T, y

    def statistics(self, x: Array, R: Array, theta: Theta) -> dict[str, Array]:
        """Centred at theta: with y = L^-1 (x - mean), the sums of r, r y and r y y', of which diagonal ones suffice there."""
        return self.statistics_after(_whiten(x, theta), x, R, theta)

    def statistics_after(self, work: Array, x: Array, R: Array, theta: Theta) -> dict[str, Array]:
        y, weighted = work, R.T[:, None, :] * work
        if not self._along_columns:
            second = weighted @ y.transpose(0, 2, 1)
        else:
            second = np.einsum("jdn,jdn->jd", weighted, y)[:, :, None] * np.eye(y.shape[1])
        return {"mass": R.sum(axis=0), "first": weighted.sum(axis=2), "second": second}

    def score(self, S: Mapping[str, Array], theta: Theta) -> Theta:
        inverse = _factors(theta["covariance"]).inverse
        turned = inverse.transpose(0, 2, 1)
        excess = S["second"] - S["mass"][:, None, None] * np.eye(S["second"].shape[-1])
        return {"mean": np.einsum("jab,jb->ja", turned, S["first"]), "covariance": 0.5 * turned @ excess @ inverse}

    def maximise(
        self, S: Mapping[str, Array], theta: Theta, layout: Mapping[str, Layout], prior: Mapping[str, Numbers] | None
    ) -> Theta:
        """The M-step. Where rows weigh otherwise in the sums than they count in the divisor, S has their "weight" (J,)."""
        mass, factor = S["mass"], _factors(theta["covariance"]).lower
        weight = S.get("weight", mass)
        away = S["first"] / np.maximum(weight, _SOME)[:, None]
        center = theta["mean"] + np.matvec(factor, away)
        inner = S["second"] - S["first"][:, :, None] * away[:, None, :]
        scatter = _in_columns_units(factor, inner)
        numbers = None if prior is None else prior.get(JOINT)
        mean, scatter = _maximise_mean(weight, center, scatter, theta["mean"], layout["mean"], numbers)
        covariance = self._maximise_covariance(mass, scatter, theta["covariance"], layout, numbers)
        if layout["mean"].is_partial and not self._along_columns:
            about_center = _in_columns_units(factor, inner)
            for j in np.flatnonzero(layout["mean"].owners & ~layout["mean"].free.all(axis=1)):
                own = None if numbers is None else {name: value[j] for name, value in numbers.items()}
                sigma = None if layout["covariance"].free[j].any() else covariance[j]
                if mass[j] > 0 or own is not None:
                    masses = float(mass[j]), float(weight[j])
                    mean[j], covariance[j] = _mean_known_in_part(
                        masses, center[j], about_center[j], mean[j], ~layout["mean"].free[j], sigma, own
                    )
        return {"mean": mean, "covariance": covariance}

    def _maximise_covariance(
        self, mass: Array, scatter: Array, now: Array, layout: Mapping[str, Layout], numbers: Numbers | None
    ) -> Array:
        """Posterior scatter over its divisor (design table: full, diagonal, spherical, each also tied)."""
        d, where = now.shape[-1], layout["covariance"]
        scatter, rows = where.pooled(scatter), where.pooled(mass)
        if self.structure == "spherical":
            scatter, rows = np.trace(scatter, axis1=1, axis2=2)[:, None, None] * np.eye(d), d * rows
        if numbers is not None:
            matrix, means = numbers["scale_matrix"], where.pooled(layout["mean"].estimated.astype(np.float64))
            if self.structure == "spherical":
                matrix = (np.trace(matrix, axis1=1, axis2=2) / d)[:, None, None] * np.eye(d)
                rows = rows + means.sum(axis=1)
            elif self.structure == "diagonal":
                rows = rows[:, None] + means
            else:
                rows = rows + means.max(axis=1)
            scatter = scatter + matrix
            added = numbers["nu"] + (2 if self.structure in ("diagonal", "spherical") else d + 1)
            rows = rows + (added[:, None] if self.structure == "diagonal" else added)
        if self.structure in _COUPLED:
            return self._maximise_together(scatter, rows, now, where)
        if self.structure == "diagonal":
            scatter = scatter * np.eye(d)
        rows = rows.reshape(len(rows), -1, 1)
        best = scatter * (0.5 / np.maximum(rows, _SOME))
        best = best + best.transpose(0, 2, 1)
        return where.filled(best if (rows > 0).all() else np.where(rows > 0, best, now))

    def _maximise_together(self, scatter: Array, rows: Array, now: Array, where: Layout) -> Array:
        from ..structures import maximise_structure

        sets = (where.n_sets, -1)
        shapes = scatter.reshape(*sets, *scatter.shape[1:]), rows.reshape(*sets), now.reshape(*sets, *now.shape[1:])
        best = maximise_structure(self.structure, *shapes)
        best[~np.isfinite(best).all(axis=(1, 2, 3))] = 0.0  # found singular at the next density
        return np.asarray(0.5 * (best + best.swapaxes(-1, -2))).reshape(now.shape)

    def draw(self, z: NDArray[np.intp], theta: Theta, rng: np.random.Generator) -> Array:
        factor = _factors(theta["covariance"]).lower
        found = rng.standard_normal((len(z), factor.shape[-1]))
        for j in np.unique(z):
            own = z == j
            found[own] = theta["mean"][j] + found[own] @ factor[j].T
        return found

    def pymc_log_density(self, x: Any, theta: Mapping[str, Any]) -> Any:
        import pymc as pm
        import pytensor.tensor as pt

        count, d = int(theta["mean"].type.shape[0]), len(self.columns)
        mean, covariance = theta["mean"], theta["covariance"]
        if self._along_columns or d == 1:
            sd = pt.sqrt(pt.diagonal(covariance, axis1=1, axis2=2))
            return pm.logp(pm.Normal.dist(mu=mean[None], sigma=sd[None]), x[:, None, :]).sum(axis=-1)
        return pt.stack([pm.logp(pm.MvNormal.dist(mu=mean[k], cov=covariance[k]), x) for k in range(count)], axis=1)

    def pymc_log_density_observed(
        self, x: Any, patterns: NDArray[np.bool_], pattern: Any, theta: Mapping[str, Any]
    ) -> Any:
        """Standard normals of the whitened rows."""
        import pymc as pm
        import pytensor.tensor as pt

        white, log_sd, seen = whitened_by_pattern(x, theta["mean"], theta["covariance"], patterns, pattern)
        return pt.switch(seen, pm.logp(pm.Normal.dist(0.0, 1.0), white), 0.0).sum(axis=-1) - log_sd

    # -- optional ----------------------------------------------------------------------------------

    def kernel(self, rows: RowSource, count: int) -> Kernel:
        from ..kernels.bound import DiagonalGaussianKernel, FullGaussianKernel

        full = not self._along_columns and len(self.columns) > 1
        found = (FullGaussianKernel if full else DiagonalGaussianKernel)(rows, count, _factors)
        if self.structure not in ("full", "diagonal"):
            found.step = None
        return found

    def degeneracy(self, theta: Theta, weights: Array) -> Array:
        """Smallest eigenvalue (J,) of each covariance where the pooled within-component covariance is the identity."""
        pooled = np.einsum("j,jab->ab", weights / weights.sum(), theta["covariance"])
        inverse = np.linalg.inv(np.linalg.cholesky(pooled))
        return np.asarray(np.linalg.eigvalsh(inverse @ theta["covariance"] @ inverse.T), dtype=np.float64)[:, 0]

    def marginal(self, theta: Theta, columns: Sequence[int]) -> Theta:
        kept = list(columns)
        return {"mean": theta["mean"][:, kept], "covariance": theta["covariance"][:, kept][:, :, kept]}

    def marginal_block(self, columns: Sequence[int]) -> Family:
        plain = {"structure": "diagonal" if self._along_columns else "full"} if self.structure in _COUPLED else {}
        return type(self)(*(self.columns[j] for j in columns), name=self.name, **{**self.option_values(), **plain})

    def completed(self, S: Mapping[str, Array], theta: Theta, columns: Sequence[int]) -> dict[str, Array]:
        """With whitened observed cells y and B = L^-1 Sigma[:, o] L_o^-T, whole rows have mean B y and covariance I - B B' given them.

        References
        ----------
        Little & Rubin (2019), Statistical Analysis with Missing Data, 3rd edition, section 11.2.
        """
        d, mass, kept = len(self.columns), S["mass"], list(columns)
        if not kept:
            return {"mass": mass, "first": np.zeros((len(mass), d)), "second": mass[:, None, None] * np.eye(d)}
        covariance = theta["covariance"]
        observed = _factors(covariance[:, kept][:, :, kept]).inverse
        B = _factors(covariance).inverse @ covariance[:, :, kept] @ observed.transpose(0, 2, 1)
        turned = B.transpose(0, 2, 1)
        with np.errstate(all="ignore"):  # a component that has closed in is found out at the next density
            second = B @ S["second"] @ turned + mass[:, None, None] * (np.eye(d) - B @ turned)
        if self._along_columns:
            second = second * np.eye(d)
        return {"mass": mass, "first": np.einsum("jab,jb->ja", B, S["first"]), "second": second}

    def moments(self, theta: Theta) -> tuple[Array, Array]:
        return theta["mean"], theta["covariance"]


def canonical(family: str, columns: tuple[Any, ...], structure: str, covariance: Any) -> tuple[str, Any]:
    """One stored form per model, structure and slot: codes become words, the letter E becomes `Shared()`; one column has a volume alone."""
    word, tied = structure, False
    if structure not in _STRUCTURES:
        word = str(structure).upper()
        if word in _CODES:
            word, tied = _CODES[word]
        elif word not in _COUPLED:
            legal = [*_STRUCTURES, *_CODES, *_COUPLED]
            raise SpecError(
                f"{family}(structure={structure!r}): unknown structure.{nearest(str(structure), legal)} Legal are "
                f"{', '.join(legal)}."
            )
    if len(columns) == 1 and (not isinstance(columns[0], list | tuple) or len(columns[0]) == 1):
        tied = tied or (word in _COUPLED and word[0] == "E")
        word = "full"
    if tied and (covariance is None or isinstance(covariance, Free)):
        covariance = Shared()
    return word, covariance


def _scatter(z: Array, v: Array) -> Array:
    if v.sum() <= 0:
        return np.zeros((z.shape[1], z.shape[1]))
    away = z - np.average(z, axis=0, weights=v)
    return (away * v[:, None]).T @ away


def _median(values: Array) -> float:
    """A median that is one of the values."""
    return float(np.partition(values, len(values) // 2)[len(values) // 2])


def _variance(away: Array, v: Array) -> float:
    return float(np.average((away - np.average(away, weights=v)) ** 2, weights=v))


def _moments(block: Gaussian, z: Array, v: Array) -> tuple[Array, Array, Array, Array]:
    """Mean (d,) and covariance (d, d) of the rows, the rows with missing cells as one normal expects them, and the covariance that leaves out.

    With missing cells the moments are those of the one normal of largest likelihood, found by EM.
    """
    d = z.shape[1]
    if not np.isnan(z).any():
        return np.average(z, axis=0, weights=v), _scatter(z, v) / v.sum(), z, np.zeros((d, d))
    plain = Gaussian(*block.columns)
    family = observed_cells(plain, z)
    columns = [(column[~np.isnan(column)], v[~np.isnan(column)]) for column in z.T]
    theta = {
        "mean": np.array([[np.average(values, weights=w) for values, w in columns]]),
        "covariance": np.diag([_variance(values, w) for values, w in columns])[None],
    }
    layout = plain.layout((plain,))
    for _ in range(MOST_STEPS):
        before = theta
        try:
            theta = family.maximise(family.statistics(z, v[:, None], theta), theta, layout, None)
            _factors(theta["covariance"])
        except DegenerateComponentError:
            break
        if np.abs(theta["covariance"] - before["covariance"]).max() < 1e-9:
            break
    mean, covariance = theta["mean"][0], theta["covariance"][0]
    filled, unseen = z.copy(), np.zeros((d, d))
    for kept, rows in rows_by_pattern(z):
        seen = np.array(kept, dtype=np.intp)
        lost = np.setdiff1d(np.arange(d), seen)
        slope = np.linalg.lstsq(covariance[np.ix_(seen, seen)], covariance[np.ix_(seen, lost)], rcond=None)[0]
        filled[np.ix_(rows, lost)] = mean[lost] + (z[np.ix_(rows, seen)] - mean[seen]) @ slope
        rest = covariance[np.ix_(lost, lost)] - covariance[np.ix_(lost, seen)] @ slope
        unseen[np.ix_(lost, lost)] += v[rows].sum() * rest
    return mean, covariance, filled, unseen


def _refuse_singular(total: Array, columns: tuple[str, ...]) -> None:
    """An error naming the columns where a covariance has no inverse."""
    sd = np.sqrt(np.diag(total))
    values, vectors = np.linalg.eigh(total / np.outer(sd, sd))
    if values[0] < 1e-12:
        involved = [columns[j] for j in np.flatnonzero(np.abs(vectors[:, 0]) > 0.05)]
        raise DataError(
            f"Columns {', '.join(map(repr, involved))} are linearly dependent (a copy, a sum, or fewer rows than "
            "columns): their covariance is singular. Leave one of them out."
        )


def _factors(covariance: Array) -> Factors:
    try:
        return factors(covariance)
    except np.linalg.LinAlgError:
        for j, matrix in enumerate(covariance):
            try:
                np.linalg.cholesky(matrix)
            except np.linalg.LinAlgError:
                raise DegenerateComponentError(j) from None
        raise


def _whiten(x: Array, theta: Theta) -> Array:
    """y = L^-1 (x - mean), (J, d, n), with L the Cholesky factor of the covariance."""
    return _factors(theta["covariance"]).inverse @ (x.T - theta["mean"][:, :, None])


def _in_columns_units(factor: Array, inner: Array) -> Array:
    """Whitened scatter (J, d, d) in the columns' units."""
    return np.asarray(factor @ inner @ factor.transpose(0, 2, 1))


def _mean_known_in_part(
    masses: tuple[float, float],
    center: Array,
    scatter: Array,
    mean: Array,
    known: NDArray[np.bool_],
    sigma: Array | None,
    numbers: Numbers | None,
) -> tuple[Array, Array]:
    """Mean (d,) and covariance (d, d) of a component whose mean is `known` in some columns; sigma where that is known too.

    The density of the known columns times that of the others given them, which is a regression: its slopes come from the
    scatter about the center of rows and prior, the covariance of the known columns from the scatter about their mean. masses are
    the rows in the divisor, and their weight in the sums.
    """
    mass, weight = masses
    d, a, b = len(center), np.flatnonzero(known), np.flatnonzero(~known)
    kappa = 0.0 if numbers is None else float(numbers["kappa"])
    prior_mean = center if numbers is None else numbers["mean"]
    matrix = np.zeros((d, d)) if numbers is None else numbers["scale_matrix"]
    divisor = mass + (0.0 if numbers is None else float(numbers["nu"]) + d + 1.0)
    pooled = (weight * center + kappa * prior_mean) / (weight + kappa)
    away = center - prior_mean
    about = matrix + scatter + weight * kappa / (weight + kappa) * np.outer(away, away)
    gap = center[a] - mean[a]
    found = mean.copy()
    try:
        slopes = np.linalg.solve(*((about if sigma is None else sigma)[np.ix_(a, other)] for other in (a, b))).T
    except np.linalg.LinAlgError:
        return found, np.zeros((d, d))  # found singular at the next density
    found[b] = pooled[b] + slopes @ (mean[a] - pooled[a])
    if sigma is not None:
        return found, sigma
    covariance = np.empty((d, d))
    covariance[np.ix_(a, a)] = (matrix[np.ix_(a, a)] + scatter[np.ix_(a, a)] + weight * np.outer(gap, gap)) / divisor
    covariance[np.ix_(b, a)] = slopes @ covariance[np.ix_(a, a)]
    covariance[np.ix_(a, b)] = covariance[np.ix_(b, a)].T
    rest = (about[np.ix_(b, b)] - slopes @ about[np.ix_(a, b)]) / (divisor + (0.0 if numbers is None else 1.0))
    covariance[np.ix_(b, b)] = rest + slopes @ covariance[np.ix_(a, b)]
    return found, 0.5 * (covariance + covariance.T)


def _maximise_mean(
    mass: Array, center: Array, scatter: Array, now: Array, where: Layout, numbers: Numbers | None
) -> tuple[Array, Array]:
    """Means (J, d), and the scatter (J, d, d) about them plus the prior's share."""
    occupied = (mass > 0)[:, None]
    if numbers is None:
        if where.all_free and occupied.all():
            return center, scatter
        best = np.where(occupied, center, now)
    else:
        kappa = numbers["kappa"][:, None]
        best = (mass[:, None] * center + kappa * numbers["mean"]) / (mass[:, None] + kappa)
    mean = where.filled(best)
    gap = center - mean
    scatter = scatter + mass[:, None, None] * gap[:, :, None] * gap[:, None, :]
    if numbers is not None:
        pulled = np.where(where.free, mean - numbers["mean"], 0.0)
        scatter = scatter + numbers["kappa"][:, None, None] * pulled[:, :, None] * pulled[:, None, :]
    return mean, scatter
