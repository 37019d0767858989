"""A mass matrix for NUTS from the observed information at the EM estimates.

Without it a sampler spends a good part of its tuning on finding out that the posterior of many rows is narrow. Where the posterior is
nearly normal around the estimates, the whole inverse information is the matrix: components that overlap make their parameters
correlated, which variances alone do not see. Elsewhere its diagonal is where PyMC's adaptation begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pymc as pm
from pymc.blocking import DictToArrayBijection
from pymc.step_methods.hmc.quadpotential import PotentialState, QuadPotential, QuadPotentialDiagAdapt
from pymc.step_methods.state import dataclass_state

from ..em.program import Params, Program
from ..families.base import Array
from .compile import sampled_point
from .direct import DirectCall

__all__ = ["NearestPotential", "informed_step", "sampled_density"]

STEP = 1e-5
"""Half the distance between the gradients whose difference is a column of the information."""
WIDEST = 1.0
"""Largest variance along any direction at first: coordinates are standardised, so that priors are about as wide."""
WEIGHT = 10
"""What first variances count for, in draws."""
DRAWS, APART = 256, 1.0
"""A posterior is nearly normal when the standard deviation of its log ratio to the normal density, over so many draws, is at most 1."""
MOST = 400
"""More coordinates than this, and the first variances are 1."""


def sampled_density(model: pm.Model, mode: Any) -> Any:
    """The log density of the sampled coordinates and its gradient on the data of now, in a mode whose linker is `DirectLinker`."""
    shapes = {variable.name: variable.type.shape for variable in model.value_vars}
    known = all(length is not None for shape in shapes.values() for length in shape)
    # Any point will do, but where none is given PyMC compiles a function to find one.
    anywhere = {name: np.zeros(shape) for name, shape in shapes.items()} if known else None
    density = model.logp_dlogp_function(ravel_inputs=True, initial_point=anywhere, mode=mode, trust_input=True)
    density.set_extra_values({})
    density._pytensor_function = DirectCall(density._pytensor_function)
    return density


def informed_step(
    model: pm.Model, program: Program, centers: Sequence[Params], density: Any, *, target_accept: float
) -> pm.NUTS:
    """NUTS whose mass matrix is the inverse of the information at the estimates, or begins at its diagonal.

    Parameters
    ----------
    model
        The compiled specification.
    program
        Its EM program.
    centers
        The estimates around which chains start, in data units and inside the parameter space; the main one first.
    density
        The model's log density and gradient, as `sampled_density` gives it.
    target_accept
        Acceptance rate that steps adapt to.

    References
    ----------
    Neal (2011), MCMC using Hamiltonian dynamics, Handbook of Markov Chain Monte Carlo, section 5.4.1.
    """
    points = [DictToArrayBijection.map(sampled_point(model, program, center)) for center in centers]
    size = len(points[0].data)
    potential: QuadPotential
    if size > MOST:
        density(points[0])  # loads what is compiled, before chains have processes of their own
        potential = QuadPotentialDiagAdapt(size, points[0].data, np.ones(size), WEIGHT)
    else:
        inverses = [_Inverse(density, point) for point in points]
        covariances = [inverse.covariance for inverse in inverses]
        if all(_is_normal(density, point, found) for point, found in zip(points, covariances, strict=True)):
            potential = NearestPotential(np.array([point.data for point in points]), np.array(covariances))
        else:
            potential = QuadPotentialDiagAdapt(size, points[0].data, inverses[0].variances, WEIGHT)
    with model:
        return pm.NUTS(logp_dlogp_func=density, potential=potential, target_accept=target_accept)


class _Inverse:
    """The inverse information at a point, where that has one; else that of unit normals."""

    def __init__(self, density: Any, at: Any) -> None:
        information = _information(density, at)
        if not np.isfinite(information).all():
            information = np.eye(len(information))
        values, self.vectors = np.linalg.eigh(information)
        self.values = 1.0 / np.maximum(values, 1.0 / WIDEST)

    @property
    def variances(self) -> Array:
        return np.asarray((self.vectors**2) @ self.values)

    @property
    def covariance(self) -> Array:
        found = (self.vectors * self.values) @ self.vectors.T
        return np.asarray(0.5 * (found + found.T))


def _information(density: Any, at: Any) -> Array:
    """Second differences (m, m) of minus the log density."""
    size = len(at.data)
    information = np.empty((size, size))
    for i in range(size):
        ends = []
        for sign in (1.0, -1.0):
            moved = at.data.copy()
            moved[i] += sign * STEP
            ends.append(density(at._replace(data=moved))[1])
        information[i] = (ends[1] - ends[0]) / (2.0 * STEP)
    return 0.5 * (information + information.T)


def _is_normal(density: Any, at: Any, covariance: Array) -> bool:
    """Whether the density around a point is that of a normal distribution, to within `APART` in its logarithm."""
    try:
        factor = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        return False
    rng, apart = np.random.default_rng(0), np.empty(DRAWS)
    for i in range(DRAWS):
        step = rng.normal(size=len(factor))
        apart[i] = density(at._replace(data=at.data + factor @ step))[0] + 0.5 * step @ step
    return bool(np.isfinite(apart).all() and np.std(apart) <= APART)


@dataclass_state
class _NearestState(PotentialState):
    nearest: int | None
    covariance: Array
    root: Array


class NearestPotential(QuadPotential):
    """Kinetic energy with the covariance of positions (m, m) that belongs to the nearest of several points.

    Parameters
    ----------
    centers
        (c, m), points that chains may be near.
    covariances
        (c, m, m), the covariance around each. A chain takes that of the point which is nearest, in its own metric, after its first
        draw, and keeps it.
    """

    _state_class = _NearestState

    def __init__(self, centers: Array, covariances: Array, rng: Any = None) -> None:
        super().__init__(rng)
        self.dtype = np.dtype(np.float64)
        self.centers, self.covariances = centers, covariances
        self.reset()

    def reset(self) -> None:
        """Forget the choice, as a new chain does."""
        self.nearest: int | None = None
        self._take(0)

    def _take(self, index: int) -> None:
        self.covariance = self.covariances[index]
        self.root = np.ascontiguousarray(np.linalg.inv(np.linalg.cholesky(self.covariance)).T)

    def velocity(self, x: Array, out: Any = None) -> Any:
        return np.dot(self.covariance, x, out=out)

    def energy(self, x: Array, velocity: Array | None = None) -> float:
        return float(0.5 * np.dot(x, self.velocity(x) if velocity is None else velocity))

    def velocity_energy(self, x: Array, v_out: Array) -> float:
        return self.energy(x, self.velocity(x, v_out))

    def random(self) -> Array:
        return np.asarray(np.dot(self.root, self.rng.normal(size=len(self.root))))

    def update(self, sample: Array, grad: Array, tune: bool) -> None:
        if self.nearest is None and tune:
            away = zip(sample - self.centers, self.covariances, strict=True)
            self.nearest = int(np.argmin([one @ np.linalg.solve(covariance, one) for one, covariance in away]))
            self._take(self.nearest)
