"""Priors as PyMC's distributions: each declares its named parameters once, for the model and for the reference density.

Nothing of the NumPy formulas is used here: the two programs are written twice on purpose, and meet in a check.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import singledispatch
from typing import Any, Protocol

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from ..domains import Covariance
from ..em.program import PriorTerm
from ..errors import UnsupportedError
from ..families.base import Array, Layout
from ..priors import Beta, Dirichlet, GammaPrior, NormalInverseWishart, Prior
from .densities import (
    Density,
    coupled_density,
    diagonal_density,
    normal_density,
    spherical_density,
    wishart_density,
)
from .transforms import LogRatios, Standardised, StandardisedCovariance, VolumesAndShapes

__all__ = ["Scope", "covariance_distribution", "declare", "mean_distribution"]


class Scope(Protocol):
    """Where a prior's variables go: named variables of a model, or terms of a log density at given values."""

    center: Array
    scale: Array
    reference: bool
    """Whether densities are made of PyMC's own distributions alone."""

    def covariance_domain(self, parameter: str) -> Covariance:
        """The domain of a covariance parameter."""
        ...

    def layout(self, parameter: str) -> Layout:
        """How the parameter hangs together over the components, in data units."""
        ...

    def bounds(self, parameter: str) -> tuple[float, float]:
        """What the values of a positive parameter lie between."""
        ...

    def own(self, parameter: str, value: Any) -> Any:
        """What of `value` (J, ...) is estimated: rows of components, or entries where the parameter is fixed in part."""
        ...

    def variable(self, parameter: str, distribution: Any, *args: Any, transform: Any = None, **kwargs: Any) -> Any:
        """Declare the parameter's owned values; returns the values of all J components."""
        ...


@singledispatch
def declare(prior: Prior, term: PriorTerm, scope: Scope) -> None:
    """Declare the parameters that a prior is a density of. Register a function for a prior type of your own."""
    raise UnsupportedError(
        f"{prior!r}: the PyMC program has no form of this prior. Register one with mixtures.bayes.priors.declare."
    )


@declare.register
def _dirichlet(prior: Dirichlet, term: PriorTerm, scope: Scope) -> None:
    (name,) = term.parameters
    scope.variable(name, pm.Dirichlet, scope.own(name, term.numbers["alpha"]), default_transform=LogRatios())


@declare.register
def _beta(prior: Beta, term: PriorTerm, scope: Scope) -> None:
    (name,) = term.parameters
    scope.variable(name, pm.Beta, *(scope.own(name, term.numbers[key]) for key in ("alpha", "beta")))


@declare.register
def _gamma(prior: GammaPrior, term: PriorTerm, scope: Scope) -> None:
    (name,) = term.parameters
    numbers = [scope.own(name, term.numbers[key]) for key in ("shape", "rate")]
    low, high = scope.bounds(name)
    if (low, high) == (0.0, np.inf):
        scope.variable(name, pm.Gamma, *numbers)
    else:
        scope.variable(name, pm.Truncated, pm.Gamma.dist(*numbers), lower=low, upper=high)


@declare.register
def _normal_inverse_wishart(prior: NormalInverseWishart, term: PriorTerm, scope: Scope) -> None:
    mean_name, covariance_name = term.parameters
    numbers = term.numbers
    domain = scope.covariance_domain(covariance_name)
    structure = domain.structure if numbers["mean"].shape[-1] > 1 else "diagonal"
    given = (scope.own(covariance_name, numbers[key]) for key in ("nu", "scale_matrix"))
    transform: Any = StandardisedCovariance(scope.scale, structure)
    distribution = covariance_distribution(structure, reference=scope.reference)
    if domain.code is not None:
        transform = VolumesAndShapes(scope.scale, domain.code, len(numbers["nu"]))
        distribution = coupled_distribution(domain.code, reference=scope.reference)
    covariance = scope.variable(covariance_name, pm.CustomDist, *given, transform=transform, **distribution)

    layout = scope.layout(mean_name)
    if layout.is_partial:
        distribution = PartlyKnownMeans.of(layout).distribution(reference=scope.reference)
        columns = np.nonzero(layout.estimated)[1]
        transform = Standardised(scope.center[columns], scope.scale[columns], 1)
        parameters = (covariance, numbers["mean"], numbers["kappa"], numbers["mean"][layout.estimated])
        scope.variable(mean_name, pm.CustomDist, *parameters, transform=transform, **distribution)
        return
    owned, kappa, center = (scope.own(mean_name, value) for value in (covariance, numbers["kappa"], numbers["mean"]))
    if not scope.reference:
        transform = Standardised(scope.center, scope.scale, 1)
        scope.variable(mean_name, pm.CustomDist, owned, center, kappa, transform=transform, **mean_distribution())
    elif structure == "full":
        transform = Standardised(scope.center, scope.scale, 1)
        scope.variable(mean_name, pm.MvNormal, center, owned / kappa[..., None, None], transform=transform)
    else:
        transform = Standardised(scope.center, scope.scale, 0)
        variance = pt.diagonal(owned, axis1=-2, axis2=-1)
        scope.variable(mean_name, pm.Normal, center, pt.sqrt(variance / kappa[..., None]), transform=transform)


# -- distributions given as arguments of `pm.CustomDist` -----------------------------------------------------------------


def mean_distribution() -> Mapping[str, Any]:
    """N(center, covariance / kappa) on vectors (..., d), parameters covariance, center and kappa."""

    def logp(value: Any, covariance: Any, center: Any, kappa: Any) -> Any:
        return Density(normal_density, 1, 2)(
            value, *(_unpad(a, value.ndim + n) for a, n in ((covariance, 1), (center, 0), (kappa, -1)))
        )[0]

    def support_point(rv: Any, size: Any, covariance: Any, center: Any, kappa: Any) -> Any:
        return pt.broadcast_to(center, rv.shape)

    def random(covariance: Array, center: Array, kappa: Array, rng: np.random.Generator, size: Any = None) -> Array:
        return _draw_means(rng, _batch(size, kappa, covariance), covariance, center, kappa)

    return {"logp": logp, "random": random, "support_point": support_point, "signature": "(d,d),(d),()->(d)"}


@dataclass(frozen=True)
class PartlyKnownMeans:
    """N(center, covariance / kappa) of the free entries (m,) of means (J, d), given the known entries of the same mean.

    free and fixed are (J, d), as nested tuples.
    """

    free: tuple[tuple[bool, ...], ...]
    fixed: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, layout: Layout) -> PartlyKnownMeans:
        """From a layout in data units."""
        free, fixed = layout.estimated.tolist(), layout.fixed.tolist()
        return cls(tuple(map(tuple, free)), tuple(map(tuple, fixed)))

    def __call__(self, value: Array, covariance: Array, center: Array, kappa: Array) -> tuple[Array, Array, Array]:
        """Log density with its gradients in the free entries and the covariances, in NumPy."""
        free, mean = np.array(self.free), np.array(self.fixed)
        mean[free] = value
        total, by_mean, by_covariance = np.zeros(()), np.zeros_like(mean), np.zeros_like(covariance)
        for j in np.flatnonzero(free.any(axis=1)):
            whole = normal_density(mean[j], covariance[j], center[j], kappa[j])
            total, by_mean[j], by_covariance[j] = total + whole[0], whole[1], whole[2]
            known = np.flatnonzero(~free[j])
            if len(known):
                place = np.ix_(known, known)
                part = normal_density(mean[j, known], covariance[j][place], center[j, known], kappa[j])
                total = total - part[0]
                by_covariance[j][place] -= part[2]
        return total, by_mean[free], by_covariance

    def distribution(self, *, reference: bool) -> Mapping[str, Any]:
        """Arguments of `pm.CustomDist`, parameters covariance, center, kappa and the center's free entries (m,)."""
        free = np.array(self.free)

        def logp(value: Any, covariance: Any, center: Any, kappa: Any, own: Any) -> Any:
            covariance, center, kappa = _unpad(covariance, 3), _unpad(center, 2), _unpad(kappa, 1)
            if not reference:
                return Density(self, 1, 2)(value, covariance, center, kappa)[0]
            mean = pt.set_subtensor(pt.as_tensor(np.array(self.fixed))[np.nonzero(free)], value)
            terms = []
            for j in np.flatnonzero(free.any(axis=1)):
                spread = covariance[j] / kappa[j]
                terms.append(pm.logp(pm.MvNormal.dist(center[j], spread), mean[j]))
                known = np.flatnonzero(~free[j])
                if len(known):
                    part = pm.MvNormal.dist(center[j, known], spread[known][:, known])
                    terms.append(-pm.logp(part, mean[j, known]))
            return pt.add(*terms)

        def support_point(rv: Any, size: Any, covariance: Any, center: Any, kappa: Any, own: Any) -> Any:
            return own

        def random(
            covariance: Array, center: Array, kappa: Array, own: Array, rng: np.random.Generator, size: Any = None
        ) -> Array:
            drawn = np.array(self.fixed)
            for j in np.flatnonzero(free.any(axis=1)):
                a, b = np.flatnonzero(~free[j]), np.flatnonzero(free[j])
                slopes = np.linalg.solve(covariance[j][np.ix_(a, a)], covariance[j][np.ix_(a, b)]).T
                rest = covariance[j][np.ix_(b, b)] - slopes @ covariance[j][np.ix_(a, b)]
                about = center[j, b] + slopes @ (drawn[j, a] - center[j, a])
                drawn[j, b] = rng.multivariate_normal(about, rest / kappa[j])
            return drawn[free]

        return {
            "logp": logp,
            "random": random,
            "support_point": support_point,
            "signature": "(j,d,d),(j,d),(j),(m)->(m)",
        }


def covariance_distribution(structure: str, *, reference: bool) -> Mapping[str, Any]:
    """Inverse Wishart (full) or inverse gamma on the variances, a density on matrices (..., d, d), parameters nu and Lambda.

    References
    ----------
    Gelman et al. (2013), Bayesian Data Analysis, 3rd edition, appendix A.
    """
    fast = {"full": wishart_density, "diagonal": diagonal_density, "spherical": spherical_density}[structure]

    def logp(value: Any, nu: Any, matrix: Any) -> Any:
        nu, matrix = _unpad(nu, value.ndim - 2), _unpad(matrix, value.ndim)
        if reference:
            return (_inverse_wishart if structure == "full" else _inverse_gamma)(structure, value, nu, matrix)
        return _constant(structure, nu, matrix) + Density(fast, 2, 1)(value, nu, matrix)[0]

    def support_point(rv: Any, size: Any, nu: Any, matrix: Any) -> Any:
        return pt.broadcast_to(matrix / (nu[..., None, None] + matrix.shape[-1] + 1.0), rv.shape)

    draw = {"full": _draw_full, "diagonal": _draw_diagonal, "spherical": _draw_spherical}[structure]

    def random(nu: Array, matrix: Array, rng: np.random.Generator, size: Any = None) -> Array:
        return draw(rng, _batch(size, nu, matrix), nu, matrix)

    return {"logp": logp, "random": random, "support_point": support_point, "signature": "(),(d,d)->(d,d)"}


def coupled_distribution(code: str, *, reference: bool) -> Mapping[str, Any]:
    """The kernel of an inverse Wishart for each of J covariances of one structure, a density of their volumes and shapes on the log scale.

    Parameters are nu (J,) and Lambda (J, d, d). The normalising constant, which depends on the structure, is left out in both
    programs.
    """

    def logp(value: Any, nu: Any, matrix: Any) -> Any:
        nu, matrix = _unpad(nu, value.ndim - 2), _unpad(matrix, value.ndim)
        if reference:
            return (_inverse_wishart("full", value, nu, matrix) - _constant("full", nu, matrix)).sum(axis=-1)
        return Density(coupled_density, 3, 1)(value, nu, matrix)[0]

    def support_point(rv: Any, size: Any, nu: Any, matrix: Any) -> Any:
        first = pt.diagonal(matrix, axis1=-2, axis2=-1)[..., :1, :, None] / (
            nu[..., :1, None, None] + matrix.shape[-1] + 1.0
        )
        return first * np.eye(matrix.type.shape[-1]) + pt.zeros_like(matrix)

    def random(nu: Array, matrix: Array, rng: np.random.Generator, size: Any = None) -> Array:
        alike = np.ptp(nu, axis=-1).max() == 0 and np.ptp(matrix, axis=-3).max() == 0
        if code != "VEI" or not alike:
            raise UnsupportedError(
                f"The prior of structure={code!r} cannot be drawn from yet; sample its posterior instead."
            )
        return _draw_equal_shapes(rng, _batch(size, nu[..., 0], matrix[..., 0, :, :]), nu, matrix)

    return {"logp": logp, "random": random, "support_point": support_point, "signature": "(j),(j,d,d)->(j,d,d)"}


def _unpad(value: Any, ndim: int) -> Any:
    """A parameter without the axes that PyMC puts in front of it."""
    return value[(0,) * (value.ndim - ndim)] if value.ndim > ndim else value


def _inverse_wishart(structure: str, value: Any, nu: Any, matrix: Any) -> Any:
    factor = pt.linalg.cholesky(value, on_error="nan")
    half = pt.linalg.solve_triangular(factor, pt.linalg.cholesky(matrix), lower=True, b_ndim=2)
    log_det = 2.0 * pt.log(pt.diagonal(factor, axis1=-2, axis2=-1)).sum(axis=-1)
    rest = -0.5 * (nu + matrix.shape[-1] + 1) * log_det - 0.5 * (half * half).sum(axis=(-2, -1))
    return _constant(structure, nu, matrix) + rest


def _inverse_gamma(structure: str, value: Any, nu: Any, matrix: Any) -> Any:
    variance = pt.diagonal(value, axis1=-2, axis2=-1)
    variance = variance if structure == "diagonal" else variance[..., :1]
    return pm.logp(pm.InverseGamma.dist(alpha=0.5 * nu[..., None], beta=_rate(structure, matrix)), variance).sum(
        axis=-1
    )


def _rate(structure: str, matrix: Any) -> Any:
    half = 0.5 * pt.diagonal(matrix, axis1=-2, axis2=-1)
    return half if structure == "diagonal" else half.mean(axis=-1, keepdims=True)


def _constant(structure: str, nu: Any, matrix: Any) -> Any:
    """Logarithm of the density's normalising constant."""
    if structure != "full":
        shape = 0.5 * nu[..., None]
        return (shape * pt.log(_rate(structure, matrix)) - pt.gammaln(shape)).sum(axis=-1)
    d = matrix.type.shape[-1]
    log_det = 2.0 * pt.log(pt.diagonal(pt.linalg.cholesky(matrix), axis1=-2, axis2=-1)).sum(axis=-1)
    log_gamma = 0.25 * d * (d - 1) * np.log(np.pi) + pt.gammaln(0.5 * (nu[..., None] - np.arange(d))).sum(axis=-1)
    return 0.5 * nu * (log_det - d * np.log(2.0)) - log_gamma


# -- drawing ------------------------------------------------------------------------------------------------------------


def _batch(size: Any, one: Array, matrix: Array) -> tuple[int, ...]:
    """Batch shape asked for, or that of parameters of which there is a number and a matrix each."""
    if size is not None:
        return tuple(int(n) for n in np.atleast_1d(size))
    return np.broadcast_shapes(np.shape(one), np.shape(matrix)[:-2])


def _draw_means(
    rng: np.random.Generator, batch: tuple[int, ...], covariance: Array, center: Array, kappa: Array
) -> Array:
    noise = rng.standard_normal((*batch, center.shape[-1]))
    factor = np.linalg.cholesky(covariance)
    return center + np.einsum("...ij,...j->...i", factor, noise) / np.sqrt(kappa)[..., None]


def _draw_full(rng: np.random.Generator, batch: tuple[int, ...], nu: Array, matrix: Array) -> Array:
    from scipy.stats import invwishart

    d = matrix.shape[-1]
    nus, matrices = np.broadcast_to(nu, batch), np.broadcast_to(matrix, (*batch, d, d))
    drawn = np.empty((*batch, d, d))
    for index in np.ndindex(*batch):
        drawn[index] = np.reshape(invwishart.rvs(float(nus[index]), matrices[index], random_state=rng), (d, d))
    return drawn


def _draw_diagonal(rng: np.random.Generator, batch: tuple[int, ...], nu: Array, matrix: Array) -> Array:
    d = matrix.shape[-1]
    rate = 0.5 * np.diagonal(matrix, axis1=-2, axis2=-1)
    variance = rate / rng.gamma(np.broadcast_to(0.5 * nu[..., None], (*batch, d)))
    return variance[..., None] * np.eye(d)


def _draw_spherical(rng: np.random.Generator, batch: tuple[int, ...], nu: Array, matrix: Array) -> Array:
    d = matrix.shape[-1]
    rate = 0.5 * np.trace(matrix, axis1=-2, axis2=-1) / d
    variance = rate / rng.gamma(np.broadcast_to(0.5 * nu, batch))
    return variance[..., None, None] * np.eye(d)


def _draw_equal_shapes(rng: np.random.Generator, batch: tuple[int, ...], nu: Array, matrix: Array) -> Array:
    """Diagonal covariances of one shape: Lambda_jj / shape_j is in proportion to a Dirichlet vector, volumes are inverse gamma given it."""
    count, d = matrix.shape[-3], matrix.shape[-1]
    scatter = matrix[..., 0, :, :].diagonal(axis1=-2, axis2=-1)
    power = 0.5 * (nu[..., 0, None] + d + 1.0)
    gammas = rng.standard_gamma(np.broadcast_to(count * power, (*batch, d)))
    shape = np.log(scatter) - np.log(gammas)
    shape = np.exp(shape - shape.mean(axis=-1, keepdims=True))
    rate = 0.5 * (scatter / shape).sum(axis=-1, keepdims=True)
    volumes = rate / rng.standard_gamma(np.broadcast_to(d * power, (*batch, count)))
    return (volumes[..., None] * shape[..., None, :])[..., None] * np.eye(d)
