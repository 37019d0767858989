"""PyMC's own distributions of one model, compiled once for checks: row densities, log prior, and their gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
from pytensor.compile.mode import Mode

from ..data import Rows
from ..domains import Covariance, Positive
from ..em.program import CompiledGroup, Params, Program
from ..families.base import Array, Layout, Theta
from ..spec import Mixture
from .compile import owned, reference_rows
from .op import parts_of, split_thetas
from .priors import declare

__all__ = ["Reference", "ReferenceValue"]

INSIDE = 2.0**-53
"""How far inside an edge slopes are taken where they are infinite on it: the last number below 1."""


@dataclass(frozen=True)
class ReferenceValue:
    """What PyMC's distributions say at one point, everything in data units.

    Attributes
    ----------
    rows
        (n,) log density of every row, unweighted.
    log_prior
        Log prior density of the named parameters, constants included.
    likelihood_gradient, prior_gradient
        Derivatives of sum_i v_i rows_i and of the log prior: in the weights (K,), and one dict of arrays per group. A
        shared parameter has one slope per component's copy, to be summed; slopes in covariances are symmetric.
    """

    rows: Array
    log_prior: float
    likelihood_gradient: tuple[Array, list[Theta]]
    prior_gradient: tuple[Array, list[Theta]]


class Reference:
    """A resolved specification with its rows, in PyMC's own distributions.

    Parameters
    ----------
    spec
        A resolved specification.
    rows
        Its rows.
    """

    def __init__(self, spec: Mixture, rows: Rows) -> None:
        self.spec, self.parts = spec, parts_of(spec, rows.values)
        program = Program(spec, rows, standardise=False)
        weights = pt.tensor("weights", dtype="float64", shape=(program.n_components,))
        arrays = [
            pt.tensor(compiled.group.names[name], dtype="float64", shape=compiled.layout[name].free.shape)
            for compiled, part in zip(program.groups, self.parts, strict=True)
            for name in part.names
        ]
        thetas = split_thetas(self.parts, arrays)
        log_rows = reference_rows(self.parts, pt.as_tensor(rows.values), weights, thetas)
        log_prior = _log_prior(program, weights, thetas)
        total = pt.sum(pt.as_tensor(rows.weights) * log_rows)
        wrt = [weights, *arrays]
        slopes = [slope for value in (total, log_prior) for slope in _gradient(value, wrt)]
        mode = Mode(linker="py", optimizer="fast_compile")
        self._function = pytensor.function(wrt, [log_rows, log_prior, *slopes], mode=mode, on_unused_input="ignore")
        self._function.trust_input = True

    def evaluate(self, p: Params) -> ReferenceValue:
        """Densities and gradients at parameters in data units; one-sided slopes on the edges of the parameter space."""
        log_rows, log_prior, *slopes = self._call(p)
        inside = self._inside(p)
        if inside is not None:
            slopes = self._call(inside)[2:]
        count = len(slopes) // 2
        gradients = [self._pieces(part) for part in (slopes[:count], slopes[count:])]
        return ReferenceValue(log_rows, float(log_prior), gradients[0], gradients[1])

    def _call(self, p: Params) -> list[Array]:
        arrays = [theta[name] for part, theta in zip(self.parts, p.thetas, strict=True) for name in part.names]
        with np.errstate(all="ignore"):
            return self._function(*(np.ascontiguousarray(a, dtype=np.float64) for a in (p.weights, *arrays)))

    def _inside(self, p: Params) -> Params | None:
        """The point moved off the edges that it lies on, or None."""
        thetas = tuple(
            {q.name: q.domain.nudge_inside(theta[q.name], INSIDE) for q in part.family.parameters}
            for part, theta in zip(self.parts, p.thetas, strict=True)
        )
        moved = any(np.any(new[name] != old[name]) for new, old in zip(thetas, p.thetas, strict=True) for name in new)
        if not moved and np.all(p.weights > 0):
            return None
        return Params(np.maximum(p.weights, np.finfo(np.float64).tiny), thetas)

    def _pieces(self, slopes: list[Array]) -> tuple[Array, list[Theta]]:
        found = split_thetas(self.parts, slopes[1:])
        for part, theta in zip(self.parts, found, strict=True):
            for parameter in part.family.parameters:
                if isinstance(parameter.domain, Covariance):
                    slope = theta[parameter.name]
                    theta[parameter.name] = 0.5 * (slope + slope.swapaxes(-1, -2))
        return slopes[0], found


def _gradient(value: Any, wrt: list[Any]) -> list[Any]:
    return pytensor.grad(value, wrt, disconnected_inputs="ignore")


class _TermScope:
    """Adds up the log densities of a group's parameters at given values."""

    reference = True

    def __init__(self, compiled: CompiledGroup, values: dict[str, Any]) -> None:
        self.compiled, self.values = compiled, values
        self.center, self.scale = compiled.center, compiled.scale
        self.terms: list[Any] = []

    def covariance_domain(self, parameter: str) -> Covariance:
        domain = next(q.domain for q in self.compiled.family.parameters if q.name == parameter)
        assert isinstance(domain, Covariance)
        return domain

    def layout(self, parameter: str) -> Layout:
        return self.compiled.group.layout[parameter]

    def bounds(self, parameter: str) -> tuple[float, float]:
        domain = next(q.domain for q in self.compiled.family.parameters if q.name == parameter)
        assert isinstance(domain, Positive)
        return domain.bounds

    def own(self, parameter: str, value: Any) -> Any:
        return owned(self.compiled.layout[parameter], value)

    def variable(self, parameter: str, distribution: Any, *args: Any, transform: Any = None, **kwargs: Any) -> Any:
        value = self.values[parameter]
        if self.compiled.layout[parameter].owners.any():
            self.terms.append(
                pm.logp(
                    distribution.dist(*args, **{k: v for k, v in kwargs.items() if k != "default_transform"}),
                    self.own(parameter, value),
                ).sum()
            )
        return value


def _log_prior(program: Program, weights: Any, thetas: list[dict[str, Any]]) -> Any:
    terms = [pt.constant(0.0)]
    if program.weight_numbers is not None and program.n_components > 1:
        terms.append(pm.logp(pm.Dirichlet.dist(program.weight_numbers["alpha"][0]), weights))
    for compiled, theta in zip(program.groups, thetas, strict=True):
        scope = _TermScope(compiled, theta)
        for term in compiled.data_terms:
            declare(term.prior, term, scope)
        terms += scope.terms
    return pt.add(*terms) if len(terms) > 1 else terms[0]
