"""Large passes: compiled kernels over chunks of rows, on several threads, with the numbers of the NumPy program."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import SpecError
from ..families.base import Array, Family, Theta

if TYPE_CHECKING:
    from ..kernels.bound import Kernel

__all__ = ["SWITCH", "Block", "Passes", "pays", "work"]

VARIABLE = "MIXTURES_KERNELS"
SWITCH = 600_000
"""Work of a pass (see `work`) from which on kernels pay: there a pass of NumPy's formulas takes half a millisecond, of kernels 0.2."""

PER_THREAD = 800_000
"""Work for which another thread is started: some 0.2 ms, about what passes until that thread runs."""
MOST_CHUNKS = 32
"""Chunks of rows: a function of the rows' number and the model alone, so that results do not depend on threads."""
CHUNK = 400_000
"""Least work of a chunk, some 0.15 ms, where what a chunk costs by itself is 0.005 to 0.01."""
LONGEST = 400_000_000
"""Work of the longest pass in one call, which an interrupt waits for: some 0.1 s."""
BUFFER = 1 << 15
"""Numbers that a buffer between kernels holds at most, where more than one tile would exceed it."""


class Block(NamedTuple):
    """What passes know of a group: its family, its components (J,) among all, its columns, and the units they are read in."""

    family: Family
    components: NDArray[np.intp]
    columns: tuple[int, ...]
    covers_all: bool
    center: Array
    scale: Array


def work(blocks: Sequence[Block], n: int, n_components: int) -> int:
    """Rows times the numbers computed for each: one per entry of every parameter, four per component for its responsibility."""
    entries = sum(
        len(block.components) * math.prod(parameter.shape(len(block.columns)))
        for block in blocks
        for parameter in block.family.parameters
    )
    return n * (entries + 4 * n_components)


def pays(amount: int, switch: int = SWITCH) -> bool:
    """Whether passes of that much work are large enough for kernels; the environment variable MIXTURES_KERNELS overrules.

    Raises
    ------
    SpecError
        If that is neither "always", "never" nor empty.
    """
    asked = os.environ.get(VARIABLE, "")
    if asked not in ("", "always", "never"):
        raise SpecError(f"The environment variable {VARIABLE} is {asked!r}; legal are 'always' and 'never'.")
    return asked == "always" or (not asked and amount >= switch)


@dataclass
class Passes:
    """Kernels bound to rows; made once for them, used by every pass.

    Parameters
    ----------
    values, v
        Rows (n, c) in data units and their weights (n,).
    blocks
        The groups.
    n_components
        K.
    threads
        How many threads a pass may use; None takes OMP_NUM_THREADS, NUMBA_NUM_THREADS or the processors at hand.
    """

    values: Array
    v: Array
    blocks: Sequence[Block]
    n_components: int
    threads: int | None = None
    kernels: list[Kernel] = field(init=False)

    def __post_init__(self) -> None:
        from ..kernels.bound import NumPyKernel, RowSource
        from ..kernels.threads import thread_count

        if self.threads is None:
            self.threads = thread_count()
        self.kernels = []
        for block in self.blocks:
            columns = np.array(block.columns, dtype=np.intp)
            rows = RowSource(
                self.values, columns, np.ascontiguousarray(block.center), np.ascontiguousarray(block.scale)
            )
            bound = block.family.kernel(rows, len(block.components))
            self.kernels.append(bound if bound is not None else NumPyKernel(rows, block.family, len(block.components)))

    @property
    def pays(self) -> bool:
        """Whether a block has compiled functions, or they are asked for: else NumPy's formulas, which keep what they make of the rows, are faster."""
        from ..kernels.bound import NumPyKernel

        return pays(0) or not all(isinstance(kernel, NumPyKernel) for kernel in self.kernels)

    def on(self, values: Array, v: Array) -> Passes:
        """The same for other rows."""
        return replace(self, values=values, v=v)

    @cached_property
    def whole(self) -> Kernel | None:
        """The kernel that does everything at once, where one block is the whole mixture."""
        return (
            self.kernels[0] if len(self.blocks) == 1 and self.blocks[0].covers_all and self.kernels[0].whole else None
        )

    @cached_property
    def _amount(self) -> int:
        """The work of a pass as kernels do it."""
        n = len(self.v)
        each = (work([block], n, 0) // kernel.at_once for block, kernel in zip(self.blocks, self.kernels, strict=True))
        return work([], n, self.n_components) + sum(each)

    @property
    def are_short(self) -> bool:
        """Whether a second thread would not pay."""
        return self._amount < 2 * PER_THREAD

    @cached_property
    def _chunks(self) -> list[tuple[int, int]]:
        """First row and end of each chunk: one, or as many as a power of two where two threads pay, which then share them evenly."""
        n = len(self.v)
        most = 1 if self.are_short else MOST_CHUNKS
        wanted = 1 << max(0, min(most, self._amount // CHUNK).bit_length() - 1)
        size = 256 * max(1, -(-n // (256 * wanted)))
        return [(start, min(n, start + size)) for start in range(0, n, size)]

    def _at(self, weights: Array, thetas: Sequence[Theta]) -> tuple[Array, list[Any]]:
        with np.errstate(divide="ignore"):
            log_weights = np.log(weights)
        return log_weights, [kernel.at(theta) for kernel, theta in zip(self.kernels, thetas, strict=True)]

    def evaluate(
        self, weights: Array, thetas: Sequence[Theta], rows: Array | None = None
    ) -> tuple[float, Array, tuple[dict[str, Array], ...]]:
        """A pass at weights (K,) and the groups' parameters: log-likelihood, mass (K,) and the statistics of each group; row values into rows (n,) if given."""
        log_weights, at = self._at(weights, thetas)
        out = np.empty(0) if rows is None else rows
        ranges, whole = self._chunks, self.whole
        values, masses = [0.0] * len(ranges), np.zeros((len(ranges), len(log_weights)))
        sums = [
            {name: np.zeros((len(ranges), *shape)) for name, shape in kernel.shapes().items()}
            for kernel in self.kernels
        ]

        def one(index: int) -> None:
            start, stop = ranges[index]
            own = [{name: array[index, ...] for name, array in each.items()} for each in sums]
            if whole is not None:
                values[index] = whole.whole_pass(at[0], log_weights, self.v, start, stop, out, masses[index], own[0])
            else:
                values[index] = self._in_blocks(log_weights, at, start, stop, out, masses[index], own)

        self._run(one, len(ranges))
        mass = _summed(masses)
        statistics = tuple(
            kernel.named(
                mass if block.covers_all else mass[block.components],
                {name: _summed(array) for name, array in each.items()},
            )
            for kernel, block, each in zip(self.kernels, self.blocks, sums, strict=True)
        )
        return sum(values), mass, statistics

    def step(self, weights: Array, thetas: Sequence[Theta]) -> tuple[float, dict[str, Array], Array, Theta] | None:
        """A pass and the M-step of a mixture without restrictions, where one call does both and does not keep an interrupt waiting.

        Returns log-likelihood, statistics, and the weights and parameters that maximise; None where there is no such call, or a
        component fails.
        """
        whole = self.whole
        if whole is None or whole.step is None or not 0 < self._amount <= LONGEST:
            return None
        return whole.whole_step(self.v, weights, thetas[0], self._chunks[0][1], self._threads)

    def _in_blocks(
        self,
        log_weights: Array,
        at: list[Any],
        start: int,
        stop: int,
        rows: Array,
        mass: Array,
        sums: list[dict[str, Array]],
    ) -> float:
        """Densities of every group, responsibilities, statistics of every group: block by block of a chunk."""
        value = 0.0
        for begin, end, joint, work in self._pieces(log_weights, at, start, stop):
            value += self._softmax(joint, self.v, begin, end, rows, mass)
            for g, kernel in enumerate(self.kernels):
                kernel.statistics(at[g], begin, end, self.blocks[g].components, joint, work[g], sums[g])
        return value

    def _pieces(
        self, log_weights: Array, at: list[Any], start: int, stop: int
    ) -> Iterator[tuple[int, int, Array, list[Any]]]:
        """Ranges of rows with their log(w f), (tiles, K, 256 and some)."""
        from ..kernels.softmax import ROW, TILE

        per_row = len(log_weights) + sum(kernel.work_per_row() for kernel in self.kernels)
        tiles = min(max(1, BUFFER // (TILE * per_row)), -(-(stop - start) // TILE))
        joint = np.empty((tiles, len(log_weights), ROW))
        work = [kernel.work(tiles) for kernel in self.kernels]
        for begin in range(start, stop, tiles * TILE):
            end = min(stop, begin + tiles * TILE)
            joint[:] = log_weights[:, None]
            for g, kernel in enumerate(self.kernels):
                kernel.density(at[g], begin, end, self.blocks[g].components, joint, work[g])
            yield begin, end, joint, work

    def row_values(self, weights: Array, thetas: Sequence[Theta]) -> Array:
        """Log densities (n,) of the rows, in the units that columns are read in."""
        rows = np.empty(len(self.v))
        self._each_piece(weights, thetas, rows, None)
        return rows

    def responsibilities(self, weights: Array, thetas: Sequence[Theta], out: Array | None = None) -> Array:
        """p(component given row), (n, K), into `out` if given."""
        out = np.empty((len(self.v), len(weights))) if out is None else out
        self._each_piece(weights, thetas, np.empty(0), out)
        return out

    def _each_piece(self, weights: Array, thetas: Sequence[Theta], rows: Array, out: Array | None) -> None:
        from ..kernels.softmax import TILE

        log_weights, at = self._at(weights, thetas)
        ranges, ones = self._chunks, np.broadcast_to(1.0, len(self.v))

        def one(index: int) -> None:
            mass = np.zeros(len(log_weights))
            for begin, end, joint, _ in self._pieces(log_weights, at, *ranges[index]):
                self._softmax(joint, ones, begin, end, rows, mass)
                if out is not None:
                    out[begin:end] = joint[:, :, :TILE].transpose(0, 2, 1).reshape(-1, len(mass))[: end - begin]

        self._run(one, len(ranges))

    @property
    def _softmax(self) -> Callable[..., float]:
        from ..kernels.softmax import softmax

        return softmax

    def _run(self, task: Callable[[int], None], tasks: int) -> None:
        from ..kernels.threads import run

        run(task, tasks, self._threads)

    @cached_property
    def _threads(self) -> int:
        """Threads that pay."""
        return max(1, min(self.threads or 1, self._amount // PER_THREAD))


def _summed(chunks: Array) -> Array:
    return np.asarray(chunks[0] if len(chunks) == 1 else np.add.reduce(chunks, axis=0))
