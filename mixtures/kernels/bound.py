"""Kernels bound to a block's rows: what a large pass calls in place of the family's NumPy formulas, with the same numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..families.base import Array, Family, Theta
from ..linear import Factors
from . import bernoulli, gaussian, scores, steps
from .compiling import Compiled, ready_together
from .softmax import ROW, TILE
from .threads import run

__all__ = ["BernoulliKernel", "DiagonalGaussianKernel", "FullGaussianKernel", "Kernel", "NumPyKernel", "RowSource"]

WIDEST_STEP = 32
"""Columns up to which `steps` does what is done once per pass as fast as BLAS does."""

Sums = dict[str, Array]
Places = NDArray[np.intp]


class RowSource(NamedTuple):
    """Rows as kernels read them: values (n, c), the columns (d,) of a block, and their centre and scale (d,)."""

    values: Array
    columns: Places
    center: Array
    scale: Array

    def standardised(self, start: int, stop: int) -> Array:
        """Rows start to stop as the family's formulas take them, (rows, d)."""
        return np.asarray((self.values[start:stop, self.columns] - self.center) / self.scale)


class Kernel:
    """Interface: a block's densities and statistics over ranges of rows; threads call it side by side.

    A buffer `joint` is (tiles, K, ROW) with 256 rows in a tile; `places` (J,) are the block's components among all K.
    """

    whole = False
    """Whether there is `whole_pass`, for mixtures of this block alone."""
    scores: Compiled | None = None
    """Row log densities and scores of mixtures of this block alone, in one call (see `mixtures.kernels.scores`)."""
    most_scored: float = math.inf
    """Most rows for which `scores` is faster than passes."""
    step: Compiled | None = None
    """The whole EM step of an unrestricted mixture of this block alone, in one call (see `mixtures.kernels.steps`)."""
    summed: int
    """Numbers that a pass of `step` adds up: the sum of v times row values, mass and sums."""
    at_once = 1
    """Entries of a parameter in the time that one takes a Gaussian."""

    def at(self, theta: Theta) -> Any:
        """What passes at theta need, computed once and before any thread starts."""
        raise NotImplementedError

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the accumulators that `statistics` adds to; asked for after `at`."""
        raise NotImplementedError

    def work_per_row(self) -> int:
        """Numbers per row that `density` leaves for `statistics`."""
        return 0

    def work(self, tiles: int) -> Any:
        """A buffer for them."""
        return np.empty(0)

    def density(self, at: Any, start: int, stop: int, places: Places, joint: Array, work: Any) -> None:
        """Add log densities of rows start to stop to joint."""
        raise NotImplementedError

    def statistics(self, at: Any, start: int, stop: int, places: Places, joint: Array, work: Any, sums: Sums) -> None:
        """Add statistics of the same rows to sums, from responsibilities in joint and what `density` left in work."""
        raise NotImplementedError

    def whole_pass(
        self, at: Any, log_weights: Array, v: Array, start: int, stop: int, rows: Array, mass: Array, sums: Sums
    ) -> float:
        """A pass over rows start to stop: the sum of v times row values; mass (K,) and sums are added to."""
        raise NotImplementedError

    def whole_step(
        self, v: Array, weights: Array, theta: Theta, size: int, threads: int
    ) -> tuple[float, Sums, Array, Theta] | None:
        """The sum of v times row values, statistics, and the weights and parameters that maximise; None where a component fails.

        Threads share chunks of `size` rows.
        """
        raise NotImplementedError

    def _one_call(
        self, arguments: tuple[Any, ...], n: int, size: int, threads: int, results: list[Array]
    ) -> float | None:
        """Call `step` on every thread; the sum of v times row values, and results are filled unless it is None."""
        assert self.step is not None
        chunks = -(-n // size)
        taken, sums = np.zeros(2, dtype=np.intp), np.zeros((chunks, self.summed))
        step, arguments, threads = (
            ready_together(self.step),
            (*arguments, size, taken, sums, *results),
            min(threads, chunks),
        )
        if threads == 1:
            step(*arguments)
        else:
            run(lambda _: step(*arguments), threads, threads)
        value = float(sums[0, 0])
        return None if math.isnan(value) else value

    def named(self, mass: Array, sums: Sums) -> Sums:
        """The family's statistics."""
        raise NotImplementedError


class NumPyKernel(Kernel):
    """The formulas of a family without kernels."""

    def __init__(self, rows: RowSource, family: Family, count: int) -> None:
        self.rows, self.family, self.count = rows, family, count
        self.found: dict[str, tuple[int, ...]] = {}

    def at(self, theta: Theta) -> Theta:
        row = self.rows.standardised(0, 1)
        self.family.log_density(row, theta)  # shows what is wrong with theta
        if not self.found:
            statistics = self.family.statistics(row, np.ones((1, self.count)), theta)
            self.found = {name: value.shape for name, value in statistics.items()}
        return theta

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return self.found

    def work(self, tiles: int) -> list[Any]:
        """Room for standardised rows, and for what the family's E-step leaves for its statistics."""
        return [None, None]

    def density(self, at: Theta, start: int, stop: int, places: Places, joint: Array, work: list[Any]) -> None:
        work[0] = self.rows.standardised(start, stop)
        density, work[1] = self.family.e_step(work[0], at)
        for tile in range(-(-(stop - start) // TILE)):
            part = density[tile * TILE : (tile + 1) * TILE].T
            joint[tile, places, : part.shape[1]] += part

    def statistics(
        self, at: Theta, start: int, stop: int, places: Places, joint: Array, work: list[Any], sums: Sums
    ) -> None:
        own = joint[:, places, :TILE].transpose(0, 2, 1).reshape(-1, len(places))[: stop - start]
        for name, value in self.family.statistics_after(work[1], work[0], own, at).items():
            sums[name] += value

    def named(self, mass: Array, sums: Sums) -> Sums:
        return sums


class _GaussianKernel(Kernel):
    whole = True

    def __init__(self, rows: RowSource, count: int, factorise: Callable[[Array], Factors]) -> None:
        self.count, self.d, self.factorise = count, len(rows.columns), factorise
        self.source = (rows.values, rows.columns, rows.center, 1.0 / rows.scale)
        self.found = 2 * ((count,), (count, self.d), (count, self.d, self.d))

    def whole_step(
        self, v: Array, weights: Array, theta: Theta, size: int, threads: int
    ) -> tuple[float, Sums, Array, Theta] | None:
        results = [np.empty(shape) for shape in self.found]
        arguments = (*self.source, v, weights, theta["mean"], theta["covariance"])
        value = self._one_call(arguments, len(v), size, threads, results)
        if value is None:
            return None
        mass, first, second, shares, mean, covariance = results
        sums = {"mass": mass, "first": first, "second": second}
        return value, sums, shares, {"mean": mean, "covariance": covariance}


class FullGaussianKernel(_GaussianKernel):
    """Gaussians with full covariances.

    Parameters
    ----------
    rows
        Where the rows are.
    count
        J, the number of components.
    factorise
        Factors of covariances (J, d, d).
    """

    def __init__(self, rows: RowSource, count: int, factorise: Callable[[Array], Factors]) -> None:
        super().__init__(rows, count, factorise)
        self.wide = 4 * -(-self.d // 4)
        self.scores, self.one_pass, self.step = scores.full_scores, gaussian.full_pass, steps.full_step
        if self.d == 2:
            self.scores, self.one_pass, self.step = scores.pair_scores, gaussian.pair_pass, steps.pair_step
        if self.d > WIDEST_STEP:
            self.step = None
        self.summed = 1 + count * (1 + self.wide + self.wide**2)
        i, j = np.indices((self.d, self.d))
        self.mirrored = np.maximum(i, j) * self.wide + np.minimum(i, j)  # where the lower triangle has each entry

    def at(self, theta: Theta) -> tuple[Array, Array, Array]:
        found = self.factorise(theta["covariance"])
        mean, inverse = np.zeros((self.count, self.wide)), np.zeros((self.count, self.wide, self.wide))
        mean[:, : self.d], inverse[:, : self.d, : self.d] = theta["mean"], found.inverse
        return mean, inverse, -0.5 * self.d * np.log(2.0 * np.pi) - found.half_log_det

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {"first": (self.count, self.wide), "second": (self.count, self.wide, self.wide)}

    def work_per_row(self) -> int:
        return self.count * self.wide

    def work(self, tiles: int) -> Array:
        return np.empty((tiles, self.count, self.wide // 4, 4 * ROW))

    def density(self, at: Any, start: int, stop: int, places: Places, joint: Array, work: Array) -> None:
        gaussian.density(*self.source, *at, start, stop, places, joint, work)

    def statistics(self, at: Any, start: int, stop: int, places: Places, joint: Array, work: Array, sums: Sums) -> None:
        gaussian.statistics(work, joint, places, stop - start, sums["first"], sums["second"])

    def whole_pass(
        self, at: Any, log_weights: Array, v: Array, start: int, stop: int, rows: Array, mass: Array, sums: Sums
    ) -> float:
        mean, inverse, constant = at
        return float(
            self.one_pass(
                *self.source,
                v,
                mean,
                inverse,
                constant + log_weights,
                start,
                stop,
                rows,
                mass,
                sums["first"],
                sums["second"],
            )
        )

    def named(self, mass: Array, sums: Sums) -> Sums:
        second = sums["second"].reshape(self.count, -1).take(self.mirrored, axis=1)
        return {"mass": mass, "first": sums["first"][:, : self.d].copy(), "second": second}


class DiagonalGaussianKernel(_GaussianKernel):
    """Gaussians of one column, or with diagonal covariances."""

    def __init__(self, rows: RowSource, count: int, factorise: Callable[[Array], Factors]) -> None:
        super().__init__(rows, count, factorise)
        self.scores, self.one_pass, self.step = scores.diagonal_scores, gaussian.diagonal_pass, steps.diagonal_step
        if self.d == 1:
            self.scores, self.one_pass, self.step = scores.single_scores, gaussian.single_pass, steps.single_step
        self.summed = 1 + count * (1 + 2 * self.d)

    def at(self, theta: Theta) -> tuple[Array, Array, Array]:
        sd = np.diagonal(self.factorise(theta["covariance"]).lower, axis1=1, axis2=2)
        return (
            np.ascontiguousarray(theta["mean"]),
            1.0 / sd,
            -0.5 * self.d * np.log(2.0 * np.pi) - np.log(sd).sum(axis=1),
        )

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {"first": (self.count, self.d), "second": (self.count, self.d)}

    def work_per_row(self) -> int:
        return self.count * self.d

    def work(self, tiles: int) -> Array:
        return np.empty((tiles, self.count, self.d, ROW))

    def density(self, at: Any, start: int, stop: int, places: Places, joint: Array, work: Array) -> None:
        gaussian.diagonal_density(*self.source, *at, start, stop, places, joint, work)

    def statistics(self, at: Any, start: int, stop: int, places: Places, joint: Array, work: Array, sums: Sums) -> None:
        gaussian.diagonal_statistics(work, joint, places, stop - start, sums["first"], sums["second"])

    def whole_pass(
        self, at: Any, log_weights: Array, v: Array, start: int, stop: int, rows: Array, mass: Array, sums: Sums
    ) -> float:
        mean, inverse, constant = at
        return float(
            self.one_pass(
                *self.source,
                v,
                mean,
                inverse,
                constant + log_weights,
                start,
                stop,
                rows,
                mass,
                sums["first"],
                sums["second"],
            )
        )

    def named(self, mass: Array, sums: Sums) -> Sums:
        return {"mass": mass, "first": sums["first"], "second": sums["second"][:, :, None] * np.eye(self.d)}


class BernoulliKernel(Kernel):
    """Bernoulli columns, packed into words when the kernel is made."""

    whole = True
    scores, step = scores.bernoulli_scores, steps.bernoulli_step
    most_scored = 2000
    at_once = 8

    def __init__(self, rows: RowSource, count: int, threads: int = 1) -> None:
        self.count, self.d = count, len(rows.columns)
        self.summed = 1 + count * (1 + 2 * self.d)
        words = -(-self.d // bernoulli.WORD)
        self.words = np.zeros((words, len(rows.values) + bernoulli.ROWS), dtype=np.uint64)
        step = 65536
        blocks = -(-len(rows.values) // step)
        _ = bernoulli.pack.ready

        def pack(block: int) -> None:
            stop = min(len(rows.values), (block + 1) * step)
            bernoulli.pack(rows.values, rows.columns, block * step, stop, self.words)

        run(pack, blocks, threads)

    def at(self, theta: Theta) -> Array:
        width = bernoulli.width(self.count)
        table = _on_lines((-(-self.count // width), -(-self.d // 8), bernoulli.VALUES, width))
        bernoulli.tabulate(np.ascontiguousarray(theta["probability"], dtype=np.float64), table)
        return table

    def whole_step(
        self, v: Array, weights: Array, theta: Theta, size: int, threads: int
    ) -> tuple[float, Sums, Array, Theta] | None:
        each = (self.count,), (self.count, self.d)
        results = [np.empty(shape) for shape in (*each, each[1], *each)]
        arguments = (self.words, v, self.at(theta), weights, theta["probability"])
        value = self._one_call(arguments, len(v), size, threads, results)
        if value is None:
            return None
        mass, ones, zeros, shares, probability = results
        return value, {"mass": mass, "ones": ones, "zeros": zeros}, shares, {"probability": probability}

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {"ones": (self.count, self.d), "zeros": (self.count, self.d)}

    def density(self, at: Any, start: int, stop: int, places: Places, joint: Array, work: Array) -> None:
        bernoulli.density(self.words, at, start, stop, places, joint)

    def statistics(self, at: Any, start: int, stop: int, places: Places, joint: Array, work: Array, sums: Sums) -> None:
        bernoulli.statistics(self.words, joint, places, start, stop, sums["ones"], sums["zeros"])

    def whole_pass(
        self, at: Any, log_weights: Array, v: Array, start: int, stop: int, rows: Array, mass: Array, sums: Sums
    ) -> float:
        return float(
            bernoulli.whole_pass(self.words, v, at, log_weights, start, stop, rows, mass, sums["ones"], sums["zeros"])
        )

    def named(self, mass: Array, sums: Sums) -> Sums:
        return {"mass": mass, **sums}


def _on_lines(shape: tuple[int, ...]) -> Array:
    """Zeros that begin where a line of the cache does, so that entries of four or eight numbers never straddle two."""
    size = math.prod(shape)
    room = np.zeros(size + 7)
    begin = -room.ctypes.data % 64 // 8
    return room[begin : begin + size].reshape(shape)
