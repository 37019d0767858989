"""A first mass matrix for NUTS: the variances that the observed information at the EM estimate foretells.

Without it a sampler spends a good part of its tuning on finding out that the posterior of many rows is narrow.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pymc as pm
from pymc.blocking import DictToArrayBijection
from pymc.step_methods.hmc.quadpotential import QuadPotentialDiagAdapt

from ..em.program import Params, Program
from ..families.base import Array
from .compile import sampled_point

__all__ = ["informed_step"]

STEP = 1e-5
"""Half the distance between the gradients whose difference is a column of the information."""
WIDEST = 1.0
"""Largest variance of a coordinate at first: coordinates are standardised, so that priors are about as wide."""
WEIGHT = 10
"""What the first variances count for, in draws."""
MOST = 400
"""More coordinates than this, and the first variances are 1."""


def informed_step(model: pm.Model, program: Program, estimate: Params, *, mode: Any, target_accept: float) -> pm.NUTS:
    """NUTS whose diagonal mass matrix begins at the inverse of the information at an estimate (data units) and adapts from there.

    Parameters
    ----------
    model
        The compiled specification.
    program
        Its EM program.
    estimate
        A point inside the parameter space.
    mode
        How PyTensor compiles the density.
    target_accept
        Acceptance rate that steps adapt to.

    References
    ----------
    Neal (2011), MCMC using Hamiltonian dynamics, Handbook of Markov Chain Monte Carlo, section 5.4.1.
    """
    density = model.logp_dlogp_function(ravel_inputs=True, mode=mode)
    density.set_extra_values({})
    density.trust_input = True
    at = DictToArrayBijection.map(sampled_point(model, program, estimate))
    potential = QuadPotentialDiagAdapt(len(at.data), at.data, _variances(density, at), WEIGHT)
    with model:
        return pm.NUTS(logp_dlogp_func=density, potential=potential, target_accept=target_accept)


def _variances(density: Any, at: Any) -> Array:
    """Diagonal of the inverse information at a point, where that has one; else of a unit normal."""
    size = len(at.data)
    if size > MOST:
        return np.ones(size)
    information = np.empty((size, size))
    for i in range(size):
        ends = []
        for sign in (1.0, -1.0):
            moved = at.data.copy()
            moved[i] += sign * STEP
            ends.append(density(at._replace(data=moved))[1])
        information[i] = (ends[1] - ends[0]) / (2.0 * STEP)
    information = 0.5 * (information + information.T)
    if not np.isfinite(information).all():
        return np.ones(size)
    values, vectors = np.linalg.eigh(information)
    variances = (vectors**2) @ (1.0 / np.maximum(values, 1.0 / WIDEST))
    return np.asarray(np.minimum(variances, WIDEST))
