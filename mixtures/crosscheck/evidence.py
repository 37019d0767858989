"""Everything the checks look at, computed once."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bayes import stack
from ..bayes.reference import Reference
from ..data import Rows
from ..em.methods import SQUAREM
from ..em.program import Params, Program
from ..em.run import Optimum, climb
from ..families.base import Array, DegenerateComponentError
from ..results import EMFit
from ..spec import Mixture
from ..uncertainty import Curvature, Scalars, curvature_at

__all__ = ["Draws", "Estimate", "Evidence"]


@dataclass(frozen=True)
class Draws:
    """Posterior draws: named arrays (chains, draws, ...) in data units, relabelled."""

    container: Any
    values: dict[str, Array]

    @classmethod
    def of(cls, container: Any, spec: Mixture) -> Draws:
        """From the stack's container; only the specification's parameters are kept."""
        posterior = stack.group(container, "posterior")
        names = ["weights"] + [public for group in spec.groups for public in group.names.values()]
        shape = (posterior.sizes["chain"], posterior.sizes["draw"])
        values = {}
        for name in names:
            if name in posterior:
                values[name] = np.asarray(posterior[name].transpose("chain", "draw", ...).values)
            elif name == "weights" and spec.fixed_weights is not None:
                values[name] = np.broadcast_to(spec.fixed_weights, (*shape, spec.n_components))
        return cls(container, values)

    @property
    def shape(self) -> tuple[int, int]:
        """Chains and draws."""
        chains, draws = self.values["weights"].shape[:2]
        return chains, draws

    @property
    def count(self) -> int:
        """Draws of all chains."""
        return self.shape[0] * self.shape[1]

    def params(self, spec: Mixture, index: int) -> Params:
        """Draw number `index` of all, in data units."""
        at = np.unravel_index(index, self.shape)
        thetas = tuple({q.name: self.values[g.names[q.name]][at] for q in g.family.parameters} for g in spec.groups)
        weights = self.values["weights"][at]
        return Params(weights / weights.sum(), thetas)

    def thinned(self, count: int) -> NDArray[np.intp]:
        """Evenly spaced draw numbers over all chains."""
        return np.unique(np.linspace(0, self.count - 1, min(count, self.count)).round().astype(np.intp))


@dataclass
class Estimate:
    """A point estimate with the program that it is an optimum of. Points are in standardised coordinates."""

    fit: EMFit
    program: Program
    given: bool = False
    replaced: EMFit | None = None

    @cached_property
    def p(self) -> Params:
        """The estimate."""
        return self.program.to_standard(self.fit.params)

    @cached_property
    def curvature(self) -> Curvature:
        """Observed information there."""
        return curvature_at(self.program, self.p)

    @cached_property
    def optimum(self) -> Optimum:
        """The estimate as a known optimum for climbs that come near it."""
        evaluation = self.program.evaluate(self.p)
        information = self.curvature.information if self.curvature.is_maximum and self.is_stationary else None
        e = float(np.min(self.program.degeneracy(self.p)))
        return Optimum(
            self.p, evaluation, "optimum", self.fit.status, self.decrement, e, 0, 0, (), information=information
        )

    @cached_property
    def decrement(self) -> float:
        """Distance to the stationary point in standard errors, by the EM program's own score."""
        from ..em.coordinates import newton_decrement

        coordinates = self.curvature.coordinates
        gradient = coordinates.gradient(self.program.evaluate(self.p), self.p)
        return newton_decrement(gradient, self.curvature.information)[0]

    @property
    def is_stationary(self) -> bool:
        """Whether the estimate is near enough to its optimum to stand for it."""
        return self.decrement < 1e-3

    def climb_from(self, p: Params) -> Optimum | None:
        """The optimum reached from p, or None where the start has no density."""
        try:
            return climb(self.program, SQUAREM(max_passes=3000), p, known=[self.optimum], threshold=self.fit.threshold)
        except (DegenerateComponentError, np.linalg.LinAlgError):
            return None


@dataclass
class Evidence:
    """What the checks share."""

    specification: Mixture
    resolved: Mixture
    rows: Rows
    mle: Estimate
    map: Estimate | None
    draws: Draws | None
    posterior_resolved: Mixture
    rng: np.random.Generator
    notes: list[str] = field(default_factory=list)

    @cached_property
    def scalars(self) -> Scalars:
        """Rows of the table."""
        return Scalars(self.resolved)

    @cached_property
    def reference(self) -> Reference:
        """PyMC's own distributions, compiled once."""
        return Reference(self.posterior_resolved, self.rows)

    @property
    def estimates(self) -> list[tuple[str, Estimate]]:
        """The MLE and, where it exists, the MAP, with their names."""
        return [("MLE", self.mle)] + ([("MAP", self.map)] if self.map is not None else [])

    @cached_property
    def standard_errors(self) -> tuple[Array, Array]:
        """Standard errors of the MLE's scalars, natural and unconstrained scale."""
        return self.mle.curvature.standard_errors(self.scalars)

    @cached_property
    def draw_log_likelihood(self) -> Array:
        """Log-likelihood (draws,) of every draw, data units."""
        assert self.draws is not None
        if stack.has_group(self.draws.container, "log_likelihood"):
            rows = stack.group(self.draws.container, "log_likelihood")["y"].transpose("chain", "draw", ...).values
            if rows.shape[-1] == len(self.rows.weights):
                return (rows @ self.rows.weights).reshape(-1)
        program = self.mle.program
        points = (program.to_standard(self.draws.params(self.resolved, i)) for i in range(self.draws.count))
        return np.array([float(program.v @ program.row_log_likelihood(p)) for p in points])

    @cached_property
    def draw_scalars(self) -> Array:
        """The table's scalars (chains, draws, m) in data units."""
        assert self.draws is not None
        return self.scalars.natural(self.draws.values)

    @cached_property
    def draw_marginals(self) -> Array:
        """The table's scalars (chains, draws, m) on the unconstrained scale."""
        assert self.draws is not None
        return self.scalars.marginal(self.draws.values)
