"""Missing cells: for families with independent columns they add nothing, others complete their statistics pattern by pattern."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property, lru_cache
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from ..priors import Numbers
from .base import Array, Family, Layout, Theta

__all__ = ["observed_cells", "rows_by_pattern", "whitened_by_pattern"]


def observed_cells(family: Family, x: Array) -> Family:
    """The family itself where x (n, d) has no missing cell (NaN), else its formulas on the cells that are there.

    Values missing at random leave the likelihood of the observed cells: the product over them for independent columns, else the
    marginal density, whose EM replaces the statistics of missing cells by their conditional expectations.

    References
    ----------
    Little & Rubin (2019), Statistical Analysis with Missing Data, 3rd edition, sections 6.2 and 11.2.
    """
    missing = np.isnan(x)
    if not missing.any() or family.reads_missing:
        return family
    if not family.separable:
        return cast(Family, _ObservedPatterns(family, _patterns(~missing), _fills(family, x)))
    alike: dict[bytes, list[int]] = {}
    for j in range(x.shape[1]):
        alike.setdefault(missing[:, j].tobytes(), []).append(j)
    kind = _ObservedCells if family.skips_missing else _ObservedPieces
    return cast(Family, kind(family, tuple(tuple(columns) for columns in alike.values()), _fills(family, x)))


def _fills(family: Family, x: Array) -> tuple[float, ...]:
    """A legal value for every column."""
    return tuple(_legal(family, column[~np.isnan(column)]) for column in x.T)


class _Observed:
    """A family on rows with missing cells.

    Parameters
    ----------
    family
        The family; what is not defined here is its own.
    pieces
        Positions of columns that are observed together.
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


class _ObservedCells(_Observed):
    """One with independent columns; those that are missing in the same rows form a piece."""

    @cached_property
    def blocks(self) -> tuple[Family, ...]:
        """The family on the columns of each piece."""
        return tuple(self.family.marginal_block(columns) for columns in self.pieces)

    def pymc_log_density(self, x: Any, theta: Mapping[str, Any]) -> Any:
        import pytensor.tensor as pt

        total = 0.0
        for block, columns in zip(self.blocks, self.pieces, strict=True):
            missing = pt.isnan(x[:, columns[0]])[:, None]
            own = pt.switch(missing, np.array([self.fills[j] for j in columns]), x[:, list(columns)])
            density = block.pymc_log_density(own, {name: value[:, list(columns)] for name, value in theta.items()})
            total = total + pt.switch(missing, 0.0, density)
        return total


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


class _ObservedPatterns(_Observed):
    """One that completes its statistics: the pieces are the patterns of observed columns, complete rows and empty ones among them."""

    def log_density(self, x: Array, theta: Theta) -> Array:
        return self.e_step(x, theta)[0]

    def e_step(self, x: Array, theta: Theta) -> tuple[Array, list[_Pattern]]:
        total = np.zeros((len(x), len(next(iter(theta.values())))), order="F")
        found = []
        for columns, rows in rows_by_pattern(x):
            work = None
            if columns:
                own, part = x[rows][:, list(columns)], _part(self.family, theta, columns)
                density, work = self._block(columns).e_step(own, part)
                total[rows] = density
            found.append(_Pattern(columns, rows, work))
        return total, found

    def statistics(self, x: Array, R: Array, theta: Theta) -> dict[str, Array]:
        return self.statistics_after(self.e_step(x, theta)[1], x, R, theta)

    def statistics_after(self, work: list[_Pattern], x: Array, R: Array, theta: Theta) -> dict[str, Array]:
        """The observed cells' statistics, completed by what is to be expected of the others."""
        total: dict[str, Array] = {}
        for columns, rows, own in work:
            S: Mapping[str, Array] = {"mass": R[rows].sum(axis=0)}
            if columns:
                part = _part(self.family, theta, columns)
                S = self._block(columns).statistics_after(own, x[rows][:, list(columns)], R[rows], part)
            if len(columns) < x.shape[1]:
                S = self.family.completed(S, theta, columns)
            total = {name: total[name] + value if name in total else value for name, value in S.items()}
        return total

    def _block(self, columns: tuple[int, ...]) -> Family:
        return self.family if len(columns) == len(self.family.columns) else _marginal_block(self.family, columns)

    def pymc_log_density(self, x: Any, theta: Mapping[str, Any]) -> Any:
        import pytensor.tensor as pt

        everything = np.arange(len(self.family.columns))
        patterns = np.array([np.isin(everything, columns) for columns in self.pieces])
        missing = pt.isnan(x)
        pattern = pt.argmax(pt.all(pt.neq(missing[:, None, :], patterns[None]), axis=2), axis=1)
        return self.family.pymc_log_density_observed(
            pt.switch(missing, np.array(self.fills), x), patterns, pattern, theta
        )


class _Pattern(NamedTuple):
    """Rows with the same observed columns, and the work of the E-step on them."""

    columns: tuple[int, ...]
    rows: NDArray[np.intp]
    work: Any


@lru_cache(maxsize=256)
def _marginal_block(family: Family, columns: tuple[int, ...]) -> Family:
    return family.marginal_block(columns)


def whitened_by_pattern(
    x: Any, center: Any, covariance: Any, patterns: NDArray[np.bool_], pattern: Any
) -> tuple[Any, Any, Any]:
    """Rows whitened by the Cholesky factor of their observed columns, as PyTensor expressions.

    Parameters
    ----------
    x
        Rows (n, d), missing cells filled with anything.
    center, covariance
        (J, d) and (J, d, d).
    patterns, pattern
        Distinct sets of observed columns (P, d), and the one that each row has (n,).

    Returns
    -------
    Whitened rows (n, J, d), in which a missing column stands alone with variance 1; half the log determinants of the observed columns'
    covariances (n, J); and which columns are observed (n, 1, d).
    """
    import pytensor.tensor as pt

    both = patterns[:, None, :, None] & patterns[:, None, None, :]
    identity = np.eye(patterns.shape[1])
    factor = pt.linalg.cholesky(pt.switch(both, covariance[None], identity), on_error="nan")
    inverse = pt.linalg.solve_triangular(factor, pt.as_tensor(identity[None, None]), lower=True, b_ndim=2)
    away = (x[:, None, :] - center[None])[:, :, None, :]
    log_sd = pt.log(pt.diagonal(factor, axis1=-2, axis2=-1)).sum(axis=-1)[pattern]
    return (inverse[pattern] * away).sum(axis=-1), log_sd, pt.as_tensor(patterns)[pattern][:, None, :]


def rows_by_pattern(x: Array) -> Iterator[tuple[tuple[int, ...], NDArray[np.intp]]]:
    """Every distinct set of observed columns in x (n, d), and the rows in which those are observed."""
    if not len(x):
        return
    keys = _keys(~np.isnan(x))
    order = np.argsort(keys, kind="stable")
    starts = np.flatnonzero(np.r_[True, keys[order[1:]] != keys[order[:-1]]])
    for rows in np.split(order, starts[1:]):
        yield tuple(np.flatnonzero(~np.isnan(x[rows[0]])).tolist()), rows


def _patterns(observed: NDArray[np.bool_]) -> tuple[tuple[int, ...], ...]:
    """The distinct sets of observed columns, complete rows first."""
    rows = np.unique(observed, axis=0)[::-1]
    return tuple(tuple(np.flatnonzero(row).tolist()) for row in rows)


def _keys(observed: NDArray[np.bool_]) -> NDArray[Any]:
    """A number per row (n, d) that is the same for equal rows alone."""
    d = observed.shape[1]
    if d <= 52:
        return np.asarray(observed @ np.exp2(np.arange(d)))
    return np.unique(observed, axis=0, return_inverse=True)[1].reshape(-1)


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
    return replace(layout, free=layout.free[:, columns], fixed=layout.fixed[:, columns])
