"""Where chains begin: most in a cloud around the EM estimate, some around whatever EM reaches from random partitions."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..em.coordinates import Coordinates
from ..em.methods import SQUAREM
from ..em.program import Params, Program
from ..em.run import climb
from ..families.base import Array, DegenerateComponentError
from ..partition import squared_distances, unit_variance

__all__ = ["CLOUD", "ChainStart", "chain_starts", "interior"]

CLOUD = 0.5
"""Spread of the cloud, in standard errors of the estimate."""
EVERY = 4
"""One chain in so many starts from what EM reaches from a random partition."""
WIDE = 1.5
"""Spread of a dispersed start around its optimum, in standard errors."""
TRIES = 8
"""Random partitions tried for a dispersed start."""
NEGLIGIBLE = 15.0
"""An optimum whose log posterior mass lies so far below the pivot's is no start."""
MAX_COORDINATES = 160
"""More free coordinates than this, and the cloud's spread is that of an average component's share of the rows."""


class ChainStart(NamedTuple):
    """A chain's first point in data units, how it was chosen ("cloud" or "dispersed"), and the optimum it lies around."""

    p: Params
    kind: str
    center: Params


def chain_starts(program: Program, pivot: Params, chains: int, rng: np.random.Generator) -> list[ChainStart]:
    """First points of the chains; the last one in four (at least one from two chains on) is dispersed.

    Parameters
    ----------
    program
        The EM program whose optimum the pivot is.
    pivot
        The EM estimate, data units.
    chains
        Number of chains.
    rng
        Generator; each start depends on it and nothing else.
    """
    dispersed = -(-chains // EVERY) if chains > 1 else 0
    kinds = ["cloud"] * (chains - dispersed) + ["dispersed"] * dispersed
    inside = interior(program, program.to_standard(pivot))
    cloud = _Cloud(program, inside)
    standard = program.to_standard(pivot)
    makers = {"cloud": cloud.start, "dispersed": lambda stream: _dispersed(program, standard, cloud, stream)}
    streams = rng.spawn(chains)
    found = [(kind, *makers[kind](stream)) for kind, stream in zip(kinds, streams, strict=True)]
    return [ChainStart(program.to_data(p), kind, center) for kind, p, center in found]


def interior(program: Program, p: Params) -> Params:
    """The point moved off the edges of the parameter space, where free coordinates are infinite, by half a row's worth."""
    weights = p.weights
    if program.fixed_weights is None:
        weights = np.maximum(weights, 0.5 / (program.total + len(weights)))
    step = 0.5 / (program.total + 1.0)
    thetas = tuple(
        {
            q.name: q.domain.nudge_inside(q.domain.nearest_edge(theta[q.name], step), step)
            for q in compiled.family.parameters
        }
        for compiled, theta in zip(program.groups, p.thetas, strict=True)
    )
    return Params(weights / weights.sum(), thetas)


class _Cloud:
    """Normal in free coordinates, half a standard error wide; in flat directions no wider than half a unit."""

    def __init__(self, program: Program, p: Params) -> None:
        self.program, self.p, self.coordinates = program, p, Coordinates(program, p)
        self.here, self.center = self.coordinates.vector(p), program.to_data(p)
        self.factor = self._factor()

    def _factor(self) -> Array:
        size = self.coordinates.size
        try:
            information = self.coordinates.information(self.p) if size <= MAX_COORDINATES else np.full((1, 1), np.nan)
        except (DegenerateComponentError, np.linalg.LinAlgError):
            information = np.full((1, 1), np.nan)
        if not np.all(np.isfinite(information)):
            return np.eye(size) * (self.program.n_components / self.program.total) ** 0.5
        values, vectors = np.linalg.eigh(information)
        return vectors / np.sqrt(np.maximum(values, 1.0))

    def draw(self, rng: np.random.Generator, spread: float = CLOUD) -> Params:
        """A point of the cloud, so many standard errors wide, at which the density is finite."""
        step = spread * self.factor @ rng.standard_normal(len(self.here))
        for _ in range(6):
            p = self.coordinates.params(self.here + step)
            if _has_density(self.program, p):
                return p
            step = 0.5 * step
        return self.p

    def start(self, rng: np.random.Generator, spread: float = CLOUD) -> tuple[Params, Params]:
        """Such a point, and the centre in data units."""
        return self.draw(rng, spread), self.center


def _has_density(program: Program, p: Params) -> bool:
    try:
        return bool(np.isfinite(program.evaluate(p).objective))
    except (DegenerateComponentError, np.linalg.LinAlgError):
        return False


def _dispersed(program: Program, pivot: Params, cloud: _Cloud, rng: np.random.Generator) -> tuple[Params, Params]:
    """A wide cloud around an optimum that EM reaches from a random partition, its exchangeable components shuffled.

    An optimum with a negligible share of the posterior, by Laplace's approximation, is passed over: a chain would stay
    there for ever and say nothing. Where none of the tries leads elsewhere, the optimum is the pivot's own.
    """
    best = _log_mass(program, pivot)
    for _ in range(TRIES):
        try:
            found = climb(program, SQUAREM(max_passes=2000), _random_partition(program, rng))
            if found.kind == "optimum" and not _log_mass(program, found.p) < best - NEGLIGIBLE:
                around = _Cloud(program, interior(program, _shuffled(program, found.p, rng)))
                return around.start(rng, WIDE)
        except (DegenerateComponentError, np.linalg.LinAlgError):
            continue
    return cloud.start(rng, WIDE)


def _log_mass(program: Program, p: Params) -> float:
    """Laplace's approximation of the log posterior mass around an optimum; its log density alone where it has no curvature."""
    objective = program.evaluate(p).objective
    coordinates = Coordinates(program, p)
    if not 0 < coordinates.size <= MAX_COORDINATES:
        return objective
    sign, log_det = np.linalg.slogdet(coordinates.information(p))
    return objective - 0.5 * float(log_det) if sign > 0 else objective


def _shuffled(program: Program, p: Params, rng: np.random.Generator) -> Params:
    order = np.arange(program.n_components)
    for members in program.spec.exchangeable:
        order[list(members)] = rng.permutation(members)
    return program.permuted(p, order)


def _random_partition(program: Program, rng: np.random.Generator) -> Params:
    """An M-step under the prior from the cells around K random rows."""
    z = np.concatenate([compiled.x for compiled in program.groups], axis=1)
    z = unit_variance(z, np.ones(len(z)))
    count = program.n_components
    centers = z[rng.choice(len(z), size=min(count, len(z)), replace=False, p=program.v / program.total)]
    R = np.full((len(z), count), 0.05 / count)
    R[np.arange(len(z)), squared_distances(z, centers).argmin(axis=1)] += 0.95
    return interior(program, program.from_responsibilities(R))
