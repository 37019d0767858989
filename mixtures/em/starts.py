"""Where climbs begin: partitions of several kinds, made from the data and a random generator alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..families.base import Array
from ..partition import kmeans, principal_partition, squared_distances, unit_variance
from .program import Params, Program

__all__ = ["KINDS", "StartMaker"]


@dataclass(frozen=True)
class StartMaker:
    """Makes starting parameters for one program.

    z (n, d) are all columns standardised to unit variance; rows are drawn with their weights.
    """

    program: Program
    z: Array

    @classmethod
    def of(cls, program: Program) -> StartMaker:
        """For a program, from its rows."""
        seen = [group for group in program.groups if not group.family.evidence] or program.groups
        x, v = np.concatenate([group.x for group in seen], axis=1), program.v
        return cls(program, unit_variance(x, v))

    def make(self, kind: str, rng: np.random.Generator) -> Params:
        """Starting parameters of that kind: an M-step from (softened) responsibilities."""
        R = KINDS[kind](self, rng)
        R = R[:, rng.permutation(R.shape[1])]
        return self.program.from_responsibilities(R if self.evidence is None else self._with_evidence(R, self.evidence))

    @cached_property
    def evidence(self) -> Array | None:
        """How plausible each component is for each row (n, K) by what is known before any fit; None where nothing is."""
        groups = [group for group in self.program.groups if group.family.evidence]
        if not groups:
            return None
        total = np.zeros((len(self.z), self.count))
        for group in groups:
            known = {name: layout.fixed for name, layout in group.layout.items()}
            total[:, group.components] += group.family.log_density(group.x, known)
        return np.exp(total)

    def _with_evidence(self, R: Array, plausible: Array) -> Array:
        """Responsibilities with the columns given to the components that what is known speaks for, and that put in."""
        from scipy.optimize import linear_sum_assignment

        agreement = (R * self.program.v[:, None]).T @ plausible
        _, columns = linear_sum_assignment(agreement.T, maximize=True)
        joint = R[:, columns] * plausible
        joint = np.where(joint.sum(axis=1, keepdims=True) > 0, joint, plausible)
        return joint / np.maximum(joint.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)

    @property
    def count(self) -> int:
        """K."""
        return self.program.n_components

    def draw_rows(self, rng: np.random.Generator, size: int) -> NDArray[np.intp]:
        """Distinct row indices, drawn by weight."""
        v = self.program.v
        return rng.choice(len(v), size=size, replace=False, p=v / v.sum())


def _soften(group: NDArray[np.intp], count: int, share: float) -> Array:
    R = np.full((len(group), count), share / count)
    R[np.arange(len(group)), group] += 1.0 - share
    return R


def _spread_rows(z: Array, v: Array, count: int, rng: np.random.Generator) -> Array:
    """Rows far from each other (k-means++ seeding), as centers."""
    chosen = [_draw(v, rng)]
    distance = squared_distances(z, z[chosen])[:, 0]
    while len(chosen) < count:
        share = v * distance
        chosen.append(_draw(share if share.sum() > 0 else v, rng))
        distance = np.minimum(distance, squared_distances(z, z[chosen[-1:]])[:, 0])
    return z[chosen]


def _draw(share: Array, rng: np.random.Generator) -> int:
    """One index, drawn in proportion to `share`."""
    total = np.cumsum(share)
    return int(np.searchsorted(total, rng.random() * total[-1], side="right").clip(0, len(share) - 1))


def _k_means(maker: StartMaker, rng: np.random.Generator) -> Array:
    return _soften(
        kmeans(maker.z, maker.program.v, _spread_rows(maker.z, maker.program.v, maker.count, rng), iterations=4),
        maker.count,
        0.02,
    )


def _random_rows(maker: StartMaker, rng: np.random.Generator) -> Array:
    centers = maker.z[maker.draw_rows(rng, min(maker.count, len(maker.z)))]
    return _soften(squared_distances(maker.z, centers).argmin(axis=1), maker.count, 0.02)


def _random_direction(maker: StartMaker, rng: np.random.Generator) -> Array:
    """Slices along a random direction, at random cut points."""
    along = maker.z @ rng.standard_normal(maker.z.shape[1])
    cuts = np.quantile(along, np.sort(rng.uniform(0.03, 0.97, maker.count - 1)))
    return _soften(np.searchsorted(cuts, along).astype(np.intp), maker.count, 0.02)


def _neighbourhood(maker: StartMaker, rng: np.random.Generator) -> Array:
    """One compact component around a random row, the other rows by k-means: finds narrow optima."""
    z, v = maker.z, maker.program.v
    center = z[maker.draw_rows(rng, 1)]
    order = np.argsort(squared_distances(z, center)[:, 0], kind="stable")
    share = np.exp(rng.uniform(np.log(0.04), np.log(1.0 / maker.count)))
    near = order[np.cumsum(v[order]) <= max(share * v.sum(), v[order[0]])]
    group = np.full(len(z), maker.count - 1, dtype=np.intp)
    rest = np.setdiff1d(np.arange(len(z)), near)
    if maker.count > 1 and len(rest) >= maker.count - 1:
        group[rest] = kmeans(z[rest], v[rest], _spread_rows(z[rest], v[rest], maker.count - 1, rng), iterations=4)
    group[near] = maker.count - 1
    return _soften(group, maker.count, 0.02)


def _random_shares(maker: StartMaker, rng: np.random.Generator) -> Array:
    """Responsibilities at random: all components start near the whole, where EM must tell them apart."""
    return rng.dirichlet(np.full(maker.count, 0.3), size=len(maker.z))


def _principal(maker: StartMaker, rng: np.random.Generator) -> Array:
    return 0.98 * principal_partition(maker.z, maker.program.v, maker.count) + 0.02 / maker.count


KINDS: dict[str, Callable[[StartMaker, np.random.Generator], Array]] = {
    "principal axes": _principal,
    "k-means": _k_means,
    "random rows": _random_rows,
    "neighbourhood": _neighbourhood,
    "random direction": _random_direction,
    "random shares": _random_shares,
}
