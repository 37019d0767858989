"""Missing cells, for any family whose columns are independent given the component: they add nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ..priors import Numbers
from .base import Array, Family, Layout, Theta

__all__ = ["observed_cells"]


def observed_cells(family: Family, x: Array) -> Family:
    """The family itself where x (n, d) has no missing cell (NaN), else its formulas on the cells that are there.

    Values missing at random leave the likelihood of the observed cells; for independent columns it is the product over them.

    References
    ----------
    Little & Rubin (2019), Statistical Analysis with Missing Data, 3rd edition, section 6.2.
    """
    missing = np.isnan(x)
    if not missing.any() or family.reads_missing:
        return family
    alike: dict[bytes, list[int]] = {}
    for j in range(x.shape[1]):
        alike.setdefault(missing[:, j].tobytes(), []).append(j)
    fills = tuple(_legal(family, x[~missing[:, j], j]) for j in range(x.shape[1]))
    kind = _ObservedCells if family.skips_missing else _ObservedPieces
    return cast(Family, kind(family, tuple(tuple(columns) for columns in alike.values()), fills))


class _ObservedCells:
    """A family on rows with missing cells. Columns that are missing in the same rows form a piece.

    Parameters
    ----------
    family
        The family; what is not defined here is its own.
    pieces
        Positions of the columns of each piece.
    fills
        A legal value for every column, which stands where a cell is missing in PyMC's densities and counts for nothing.
    """

    def __init__(self, family: Family, pieces: tuple[tuple[int, ...], ...], fills: tuple[float, ...]) -> None:
        self.family, self.pieces, self.fills = family, pieces, fills

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "family":
            raise AttributeError(name)
        return getattr(self.family, name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ObservedCells) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[Any, ...]:
        return (self.family, self.pieces, self.fills)

    def __repr__(self) -> str:
        return repr(self.family)

    def kernel(self, rows: Any, count: int) -> None:
        return None

    def pymc_log_density(self, x: Any, theta: Mapping[str, Any]) -> Any:
        import pytensor.tensor as pt

        total = 0.0
        for block, columns in zip(self.blocks, self.pieces, strict=True):
            missing = pt.isnan(x[:, columns[0]])[:, None]
            own = pt.switch(missing, np.array([self.fills[j] for j in columns]), x[:, list(columns)])
            density = block.pymc_log_density(own, {name: value[:, list(columns)] for name, value in theta.items()})
            total = total + pt.switch(missing, 0.0, density)
        return total

    @cached_property
    def blocks(self) -> tuple[Family, ...]:
        """The family on the columns of each piece."""
        family = self.family
        return tuple(
            type(family)(*(family.columns[j] for j in columns), name=family.name, **family.option_values())
            for columns in self.pieces
        )


class _ObservedPieces(_ObservedCells):
    """The same for formulas that know nothing of missing cells: they are called piece by piece, on the rows that are there."""

    def _each(self, x: Array, theta: Theta) -> Iterator[tuple[Family, Array, NDArray[np.intp], Theta]]:
        """Per piece: the block, its observed rows, which those are, and its parameters."""
        for block, columns in zip(self.blocks, self.pieces, strict=True):
            rows = np.flatnonzero(~np.isnan(x[:, columns[0]]))
            yield block, x[rows][:, list(columns)], rows, _part(self.family, theta, columns)

    def log_density(self, x: Array, theta: Theta) -> Array:
        count = len(next(iter(theta.values())))
        total = np.zeros((len(x), count), order="F")
        for block, own, rows, part in self._each(x, theta):
            total[rows] += block.log_density(own, part)
        return total

    def e_step(self, x: Array, theta: Theta) -> tuple[Array, None]:
        return self.log_density(x, theta), None

    def statistics(self, x: Array, R: Array, theta: Theta) -> dict[str, Array]:
        """Those of every piece, from the rows in which it is observed."""
        found = {}
        for i, (block, own, rows, part) in enumerate(self._each(x, theta)):
            for name, value in block.statistics(own, R[rows], part).items():
                found[f"{name} of piece {i}"] = value
        return found

    def statistics_after(self, work: None, x: Array, R: Array, theta: Theta) -> dict[str, Array]:
        return self.statistics(x, R, theta)

    def _pieces_of(self, S: Mapping[str, Array]) -> list[dict[str, Array]]:
        found: list[dict[str, Array]] = [{} for _ in self.pieces]
        for key, value in S.items():
            name, _, i = key.rpartition(" of piece ")
            found[int(i)][name] = value
        return found

    def score(self, S: Mapping[str, Array], theta: Theta) -> Theta:
        parts = [
            block.score(own, _part(self.family, theta, columns))
            for block, columns, own in zip(self.blocks, self.pieces, self._pieces_of(S), strict=True)
        ]
        return self._joined(theta, parts)

    def maximise(
        self, S: Mapping[str, Array], theta: Theta, layout: Mapping[str, Layout], prior: Mapping[str, Numbers] | None
    ) -> Theta:
        parts = []
        for block, columns, own in zip(self.blocks, self.pieces, self._pieces_of(S), strict=True):
            where = {name: _of_columns(one, columns) for name, one in layout.items()}
            numbers = prior and {key: {n: a[:, columns] for n, a in each.items()} for key, each in prior.items()}
            parts.append(block.maximise(own, _part(self.family, theta, columns), where, numbers))
        return self._joined(theta, parts)

    def _joined(self, theta: Theta, parts: list[Theta]) -> Theta:
        found = {name: np.empty_like(value) for name, value in theta.items()}
        for columns, part in zip(self.pieces, parts, strict=True):
            for name, value in part.items():
                found[name][:, columns] = value
        return found


def _legal(family: Family, observed: Array) -> float:
    """A value that the family can give a density to: an observed one, if there is any."""
    tried = [*observed[:1], 0.0, 1.0, 0.5]
    legal = (value for value in tried if family.allowed(np.full((1, len(family.columns)), value)).all())
    return float(next(legal, tried[0]))


def _part(family: Family, theta: Theta, columns: tuple[int, ...]) -> Theta:
    """The parameters of some columns."""
    found = family.marginal(theta, columns)
    assert found is not None
    return found


def _of_columns(layout: Layout, columns: tuple[int, ...]) -> Layout:
    return layout._replace(free=layout.free[:, columns], fixed=layout.fixed[:, columns])
