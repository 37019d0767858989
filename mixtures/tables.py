"""Tables of any kind read column by column: frames, xarray, dicts of arrays and NumPy arrays look alike from here."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import DataError, nearest

__all__ = ["Table", "as_numbers", "name_list", "open_table", "row_label"]

_READABLE = (
    "a pandas or polars DataFrame (or another eager frame that narwhals reads), an xarray Dataset or DataArray, "
    "a dict of 1-D arrays, or a NumPy array whose columns are taken by position"
)


def name_list(names: Iterable[str], limit: int = 20) -> str:
    """Names in quotes, separated by commas, at most `limit` of them."""
    quoted = [repr(name) for name in names]
    return ", ".join(quoted[:limit]) + (f", ... ({len(quoted)} in all)" if len(quoted) > limit else "")


def row_label(row: int, index: NDArray[Any] | None) -> str:
    """A row as the user would name it: its number from 0 and, where the table has labels of its own, its label.

    Examples
    --------
    >>> row_label(2, None), row_label(0, np.array(["Ann", "Bob"]))
    ('row 2', "row 0 (labelled 'Ann')")
    """
    if index is None:
        return f"row {row}"
    label = index[row]
    return f"row {row} (labelled {str(label)!r})" if isinstance(label, str) else f"row {row} (labelled {label})"


@dataclass(frozen=True)
class Table:
    """A table: the names of its columns, how to get one, the labels of its rows if any, and how to drop rows.

    matrix is the array (n, d) of exactly these columns, where the table is one.
    """

    names: tuple[str, ...]
    get: Callable[[str], NDArray[Any]]
    index: NDArray[Any] | None
    drop_missing: str
    matrix: NDArray[Any] | None = None

    def column(self, name: str, role: str = "column") -> NDArray[np.float64]:
        """Column `name` as float64 (n,); missing cells are NaN."""
        if name not in self.names:
            raise DataError(
                f"There is no {role} {name!r} in the data.{nearest(name, self.names)} "
                f"The columns are {name_list(self.names)}."
            )
        return as_numbers(self.get(name), f"Column {name!r}", self.index)


def as_numbers(raw: Any, what: str, index: NDArray[Any] | None) -> NDArray[np.float64]:
    """A 1-D array of numbers, True and False as float64; missing cells become NaN.

    Raises
    ------
    DataError
        If it is not 1-D or holds anything else; `what` is how the sentence begins.
    """
    array = _array(raw, what)
    if array.ndim != 1:
        raise DataError(f"{what} has shape {array.shape}, but one number per row is needed. Pass a 1-D array.")
    if array.dtype.kind in "fiub":
        return np.asarray(array, dtype=np.float64)
    if array.dtype.kind == "c":
        raise DataError(f"{what} holds complex numbers; a mixture reads real ones. Pass the real or imaginary part.")
    if array.dtype.kind in "mM":
        raise DataError(f"{what} holds dates or durations. Convert them to numbers, such as days since the first.")
    return np.fromiter((_number(cell, what, row, index) for row, cell in enumerate(array)), np.float64, array.size)


def _array(raw: Any, what: str) -> NDArray[Any]:
    if isinstance(raw, np.ma.MaskedArray):
        return (
            np.ma.filled(raw.astype(np.float64), np.nan)
            if raw.dtype.kind in "fiub"
            else np.ma.filled(raw.astype(object), None)
        )
    try:
        return np.asarray(raw)
    except (TypeError, ValueError) as error:
        raise DataError(f"{what} is no array of numbers ({error}).") from error


def _is_missing(cell: Any) -> bool:
    pandas = sys.modules.get("pandas")
    return cell is None or (pandas is not None and (cell is pandas.NA or cell is pandas.NaT))


def _number(cell: Any, what: str, row: int, index: NDArray[Any] | None) -> float:
    if _is_missing(cell):
        return np.nan
    if isinstance(cell, (Real, Decimal, np.bool_)):
        try:
            return float(cell)
        except OverflowError:
            raise DataError(
                f"{what} holds a number too large for float64 in {row_label(row, index)}. Rescale the column."
            ) from None
    where = row_label(row, index)
    if not isinstance(cell, str):
        raise DataError(
            f"{what} holds {cell!r} of type {type(cell).__name__} in {where}; a mixture reads real numbers."
        )
    try:
        float(cell)
    except ValueError:
        advice = "Leave it out, or code it as a 0/1 column per category."
    else:
        advice = "If these are numbers stored as text, convert the column to float first."
    raise DataError(f"{what} holds text: {str(cell)!r} in {where}. {advice}")


def open_table(data: Any, columns: Sequence[str]) -> Table:
    """Find out what kind of table `data` is; `columns` are the names that the columns of a nameless array take."""
    xarray = sys.modules.get("xarray")
    if xarray is not None and isinstance(data, xarray.Dataset):
        return _from_dataset(data, columns)
    if xarray is not None and isinstance(data, xarray.DataArray):
        return _from_dataarray(data, columns)
    if isinstance(data, np.ndarray) and data.dtype.names:
        return _from_mapping({name: data[name] for name in data.dtype.names})
    if isinstance(data, (np.ndarray, list, tuple)):
        return _from_array(data, columns)
    if isinstance(data, Mapping):
        return _from_mapping(data)
    return _from_frame(data, columns)


def _from_mapping(data: Mapping[Any, Any]) -> Table:
    keys = {str(key): key for key in data}
    drop = "keep the rows in which every column is finite (np.isfinite)"
    return Table(tuple(keys), lambda name: data[keys[name]], None, drop)


def _from_array(data: Any, columns: Sequence[str]) -> Table:
    array = _array(data, "The array")
    if array.ndim == 1 and len(columns) == 1:
        array = array[:, None]
    if array.ndim != 2:
        raise DataError(
            f"The array has shape {array.shape}; pass a 2-D array with one column for each of {name_list(columns)}."
        )
    if array.shape[1] != len(columns):
        raise DataError(
            f"The array has {array.shape[1]} columns, the specification names {len(columns)}: {name_list(columns)}. "
            "Columns of an array are taken by position: select those, in that order, or pass a table with names."
        )
    position = {name: j for j, name in enumerate(columns)}
    drop = "data[np.isfinite(data).all(axis=1)]"
    return Table(tuple(columns), lambda name: array[:, position[name]], None, drop, array)


def _from_dataset(data: Any, columns: Sequence[str]) -> Table:
    keys = {str(key): key for key in data.variables}
    dims = {name: data[keys[name]].dims for name in columns if name in keys}
    row_dims = {name: own[0] for name, own in dims.items() if len(own) == 1}
    if len(set(row_dims.values())) > 1:
        found = ", ".join(f"{name!r} over {dim!r}" for name, dim in row_dims.items())
        raise DataError(f"The columns must be variables over one dimension, the rows; found {found}.")
    dim = next(iter(row_dims.values()), None)
    index = data[dim].to_numpy() if dim is not None and dim in data.coords else None
    drop = f"data.dropna({dim!r}, subset={list(columns)})"
    return Table(tuple(keys), lambda name: data[keys[name]].to_numpy(), index, drop)


def _from_dataarray(data: Any, columns: Sequence[str]) -> Table:
    if data.ndim == 1 and len(columns) == 1:
        return _from_dataset(data.to_dataset(name=data.name if data.name is not None else columns[0]), columns)
    if data.ndim != 2:
        raise DataError(
            f"The DataArray has dimensions {data.dims}; pass one with two dimensions, the rows and the columns."
        )
    labels = {dim: [str(label) for label in data[dim].to_numpy()] for dim in data.dims if dim in data.coords}
    if not labels:
        raise DataError("The DataArray has no coordinates: give its column dimension the names of the columns.")
    column_dim = max(reversed(labels), key=lambda dim: len(set(columns) & set(labels[dim])))
    row_dim = next(dim for dim in data.dims if dim != column_dim)
    array = data.transpose(row_dim, column_dim).to_numpy()
    position = {name: j for j, name in enumerate(labels[column_dim])}
    index = data[row_dim].to_numpy() if row_dim in labels else None
    return Table(tuple(position), lambda name: array[:, position[name]], index, f"data.dropna({row_dim!r})")


def _from_frame(data: Any, columns: Sequence[str]) -> Table:
    import narwhals as nw

    try:
        frame = nw.from_native(data, eager_only=True, allow_series=True)
    except TypeError as error:
        hint = " Collect a lazy frame first: data.collect()." if hasattr(data, "collect") else ""
        raise DataError(f"Data of type {type(data).__name__} cannot be read.{hint} Pass {_READABLE}.") from error
    except nw.exceptions.DuplicateError as error:
        raise DataError("The frame has two columns of one name. Rename one of them or leave it out.") from error
    if isinstance(frame, nw.Series):
        frame = frame.alias(frame.name or columns[0]).to_frame()
    keys = {str(key): key for key in frame.columns}
    drop = f"data.dropna(subset={list(columns)})"
    if not frame.implementation.is_pandas_like():
        drop = f"data.drop_nulls({list(columns)})"
    return Table(tuple(keys), lambda name: _frame_column(frame.get_column(keys[name])), _frame_index(frame), drop)


def _frame_column(series: Any) -> NDArray[Any]:
    import narwhals as nw

    if series.dtype.is_numeric() or series.dtype == nw.Boolean:
        series = series.cast(nw.Float64)  # nulls of nullable types become NaN
    return series.to_numpy()


def _frame_index(frame: Any) -> NDArray[Any] | None:
    """Labels of the rows of a pandas-like frame unless they are 0, 1, 2, ..."""
    import narwhals as nw

    index = nw.maybe_get_index(frame)
    if index is None or (type(index).__name__ == "RangeIndex" and (index.start, index.step) == (0, 1)):
        return None  # without making its labels, which pandas would keep
    labels = np.asarray(index)
    return None if labels.dtype.kind in "iu" and np.array_equal(labels, np.arange(labels.size)) else labels
