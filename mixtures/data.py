"""The rows that both programs read: the named columns as one float64 matrix with a weight for each row."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .errors import DataError
from .tables import Table, as_numbers, name_list, open_table, row_label

__all__ = ["LARGE", "Rows", "read_rows"]

LARGE = 1 << 22
"""Numbers (32 MB) from which on rows are looked at in place, block by block, and not copied where that can be helped."""
LARGEST = 1e140
"""Larger values overflow when they are squared and summed."""
EVERYWHERE = "everywhere"
"""What `read_rows` is told of a column whose cells may be missing in every row."""
BLOCK = 1 << 16
"""Rows in such a block."""
SAMPLE = 200_000
"""Rows, evenly spaced, on which it is judged whether equal rows are many, if there are more than five times as many."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of the named columns, ready for the programs.

    Attributes
    ----------
    columns
        Names of the d columns.
    values
        (m, d). The given rows in their order or, when equal rows were merged, the distinct rows in lexicographic order.
    weights
        (m,), all positive. Weight of each row of `values`: the sum over the given rows merged into it.
    inverse
        (n_given,) row of `values` that each given row went to, -1 for a row of weight zero, which is dropped; None when
        `values` are the given rows one for one.
    n_given
        Number of rows given.
    weighting
        "none" without `sample_weight`, "counts" when all weights are integers, else "fractional".
    index
        (n_given,) labels of the given rows where the table has labels other than 0, 1, 2, ...; else None.
    """

    columns: tuple[str, ...]
    values: NDArray[np.float64]
    weights: NDArray[np.float64]
    inverse: NDArray[np.intp] | None
    n_given: int
    weighting: Literal["none", "counts", "fractional"]
    index: NDArray[Any] | None = None

    @property
    def total(self) -> float:
        """Sum of the weights."""
        return float(self.weights.sum())

    @property
    def n(self) -> int:
        """Sample size: the sum of counts; under fractional weights the number of given rows with a positive one."""
        if self.weighting != "fractional":
            return round(self.total)
        return self.n_given if self.inverse is None else int(np.count_nonzero(self.inverse >= 0))

    @cached_property
    def has_missing(self) -> bool:
        """Whether a cell is missing (NaN)."""
        return any(bool(np.isnan(block.sum())) for _, block in self.blocks())

    @cached_property
    def observed(self) -> NDArray[np.bool_]:
        """Which cells (m, d) are there."""
        return ~np.isnan(self.values)

    @cached_property
    def filled(self) -> NDArray[np.float64]:
        """`values` with missing cells replaced by the column's first observed value, for those who cannot hold NaN."""
        if not self.has_missing:
            return self.values
        fills = [column[~np.isnan(column)][:1] for column in self.values.T]
        return np.where(self.observed, self.values, np.array([fill[0] if len(fill) else 0.0 for fill in fills]))

    def blocks(self) -> Iterator[tuple[int, NDArray[np.float64]]]:
        """`values` in blocks, each with the number of its first row."""
        return ((start, self.values[start : start + BLOCK]) for start in range(0, len(self.values), BLOCK))

    def thinned(self, most: int) -> Rows:
        """Evenly spaced rows, fewer than twice `most`; all where there are no more."""
        every = max(1, len(self.values) // most)
        if every == 1:
            return self
        return replace(self, values=self.values[::every], weights=self.weights[::every], inverse=None)

    def row_name(self, row: int) -> str:
        """Row `row` of `values` as the user would name it: the first given row that went there.

        Examples
        --------
        >>> rows = read_rows({"x": [5.0, 1.0, 1.0, 1.0]}, ["x"])
        >>> rows.values.tolist(), rows.row_name(0)
        ([[1.0], [5.0]], 'row 1')
        """
        given = row if self.inverse is None else int(np.flatnonzero(self.inverse == row)[0])
        return row_label(given, self.index)


def _sample_weights(table: Table, sample_weight: Any, n: int) -> NDArray[np.float64]:
    """Weights of the n given rows, checked."""
    if isinstance(sample_weight, str):
        what, weights = f"sample_weight, column {sample_weight!r},", table.column(sample_weight, "weight column")
    else:
        what, weights = "sample_weight", as_numbers(sample_weight, "sample_weight", table.index)
    if weights.size != n:
        raise DataError(f"{what} has {weights.size} values, the data have {n} rows. Pass one weight for each row.")
    bad = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if bad.size:
        raise DataError(
            f"{what} is {weights[bad[0]]:g} in {row_label(int(bad[0]), table.index)} ({bad.size} such in all). "
            "Weights are finite and not negative; 0 leaves a row out."
        )
    if not weights.any():
        raise DataError(f"{what} is zero in every row: no row is left to fit. Pass at least one positive weight.")
    return weights


def _matrix(table: Table, names: Sequence[str]) -> NDArray[np.float64]:
    """The columns as one matrix (n, d): a copy, in which -0.0 is 0.0, unless it is a large array already."""
    ready = table.matrix
    if ready is not None and ready.dtype == np.float64 and ready.size >= LARGE:
        view = ready.view()
        view.flags.writeable = False
        return view
    values = np.zeros((0, 0))
    for j, name in enumerate(names):
        column = table.column(name)
        if j == 0:
            if not column.size:
                raise DataError(f"The data are empty: columns {name_list(names)} have no rows. Pass at least one row.")
            values = np.empty((column.size, len(names)), order="F" if column.size * len(names) >= LARGE else "C")
        if column.size != len(values):
            raise DataError(
                f"Column {name!r} has {column.size} values where {names[0]!r} has {len(values)}. Pass equal lengths."
            )
        np.add(column, 0.0, out=values[:, j])
    return values


def _blocks(values: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
    return (values[start : start + BLOCK] for start in range(0, len(values), BLOCK))


def _refuse_not_finite(
    values: NDArray[np.float64],
    used: NDArray[np.bool_],
    columns: Sequence[str],
    table: Table,
    may_miss: Mapping[str, str],
    keep_empty: bool,
) -> bool:
    """Whether cells are missing where they may be."""
    finite = True
    for start, block in zip(range(0, len(values), BLOCK), _blocks(values), strict=False):
        if not block.size or max(block.max(), -block.min()) <= LARGEST:  # so not where one is NaN
            continue
        finite = finite and bool(np.isfinite(block).all())
        large = np.argwhere((np.abs(block) > LARGEST) & np.isfinite(block) & used[start : start + BLOCK, None])
        if len(large):
            i, j = (int(k) for k in large[0])
            raise DataError(
                f"Column {columns[j]!r}, {row_label(start + i, table.index)}: {block[i, j]:g} is too large for squares of it to be "
                "computed. Rescale the column."
            )
    if finite:
        return False
    bad = ~np.isfinite(values) & used[:, None]
    where_allowed = np.array([may_miss.get(column) in ("", EVERYWHERE) for column in columns])
    allowed = np.isnan(values) & where_allowed
    needed = np.array([may_miss.get(column) != EVERYWHERE for column in columns])
    empty = np.flatnonzero(np.isnan(values[used]).all(axis=0) & needed)
    if len(empty) and not keep_empty:
        raise DataError(f"Column {columns[empty[0]]!r} has no value in any row. Leave it out.")
    bad &= ~allowed
    if not bad.any():
        return bool(allowed.any())
    i, j = (int(k) for k in np.argwhere(bad)[0])
    where = f"Column {columns[j]!r}, {row_label(i, table.index)}"
    if np.isinf(values[i, j]):
        count = int(np.isinf(values[bad]).sum())
        raise DataError(
            f"{where}: an infinite value ({values[i, j]:g}; {count} such cell(s) in all). Correct them or drop their rows."
        )
    missing = np.isnan(values) & bad
    affected = name_list(columns[k] for k in range(len(columns)) if missing[:, k].any())
    raise DataError(
        f"{where}: a missing value (NaN). {int(missing.sum())} such cells in {int(missing.any(axis=1).sum())} of "
        f"{len(values)} rows, in {affected}. {may_miss.get(columns[j]) or 'Missing values are not taken here'}: drop the "
        f"rows that have one ({table.drop_missing}) or leave out their columns."
    )


def _equal_rows(values: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """First occurrence of each distinct row, in lexicographic order, and for each row the distinct row it equals."""
    if np.isnan(values).any():
        values = np.where(np.isnan(values), np.inf, values)  # missing cells are equal to each other
    order = np.lexsort(values.T[::-1])
    ordered = values[order]
    new = np.ones(len(values), dtype=bool)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    inverse = np.empty(len(values), dtype=np.intp)
    inverse[order] = np.cumsum(new) - 1
    return order[new], inverse


def _mostly_distinct(values: NDArray[np.float64]) -> bool:
    """Whether more than half of the rows are distinct; one column with so many distinct values shows it cheaply."""
    if len(values) > 5 * SAMPLE:
        values = values[:: len(values) // SAMPLE]
    half = len(values) / 2
    return any(np.unique(column).size > half for column in values.T) or _equal_rows(values)[0].size > half


def read_rows(
    data: Any,
    columns: Sequence[str],
    *,
    sample_weight: Any = None,
    merge: bool = True,
    may_miss: Mapping[str, str] | None = None,
    keep_empty: bool = False,
    may_lack: Collection[str] = (),
) -> Rows:
    """Read the named columns of a table as numbers, with a weight for each row.

    Parameters
    ----------
    data
        A pandas or polars frame (or another eager frame that narwhals reads), an xarray Dataset of 1-D variables or a
        2-D DataArray with the columns' names as a coordinate, a dict of 1-D arrays, or a NumPy array whose columns are
        taken by position. True and False become 1 and 0.
    columns
        Names of the d columns.
    sample_weight
        (n_given,) weights of the rows, or the name of the column that holds them. Integers are counts. A row of weight
        zero is as good as absent.
    merge
        Merge equal rows, if that at least halves their number or if `sample_weight` is given: patterns with counts, and
        the same people one by one, then give identical `values` and `weights`.
    may_miss
        For every column that may have missing cells an empty text, or EVERYWHERE; for the others why they may not.
    keep_empty
        Keep rows whose cells are all missing; they are dropped otherwise, as if their weight were zero.
    may_lack
        Columns that the table may do without: all their cells are missing then.

    Raises
    ------
    DataError
        If a column is absent, not 1-D or not numeric, a cell missing or infinite, no row is there, or the weights are
        unusable.

    Examples
    --------
    >>> rows = read_rows({"a": [1, 0, 1, 1], "b": [0, 1, 0, 0]}, ["a", "b"])
    >>> rows.values.tolist(), rows.weights.tolist()
    ([[0.0, 1.0], [1.0, 0.0]], [1.0, 3.0])
    """
    names = tuple(columns)
    table = open_table(data, names)
    lacking = [name for name in names if name in may_lack and name not in table.names]
    if lacking:
        there = tuple(name for name in names if name not in lacking)
        rows = read_rows(
            data, there, sample_weight=sample_weight, merge=merge, may_miss=may_miss, keep_empty=keep_empty
        )
        place = [there.index(name) if name in there else -1 for name in names]
        unknown = np.full((len(rows.values), 1), np.nan)
        return replace(rows, columns=names, values=np.concatenate([rows.values, unknown], axis=1)[:, place])
    if not table.names:
        raise DataError("The data are empty: no columns and no rows. Pass a table with at least one row.")
    values = _matrix(table, names)
    n = len(values)
    given = sample_weight is not None
    weights = _sample_weights(table, sample_weight, n) if given else np.broadcast_to(1.0, n)
    used = weights > 0 if given else np.broadcast_to(True, n)
    if _refuse_not_finite(values, used, names, table, may_miss or {}, keep_empty) and not keep_empty:
        used = used & ~np.isnan(values).all(axis=1)

    weighting: Literal["none", "counts", "fractional"] = "none"
    if given:
        weighting = "counts" if np.array_equal(weights, np.rint(weights)) else "fractional"
    inverse: NDArray[np.intp] | None = None
    if not used.all():
        inverse = np.where(used, np.cumsum(used, dtype=np.intp) - 1, -1)
        values, weights = values[used], weights[used]
    if merge and (given or not _mostly_distinct(values)):
        first, of_used = _equal_rows(values)
        values = values[first]
        weights = np.asarray(np.bincount(of_used, weights=weights), dtype=np.float64)
        inverse = of_used if inverse is None else np.where(used, of_used[inverse], -1)
    return Rows(names, values, weights, inverse, n, weighting, table.index)
