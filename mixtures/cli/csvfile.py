"""Comma-separated files, read strictly: whatever is wrong is said with the path and the line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DataError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["read_csv"]

DELIMITERS = ",;\t"


def read_csv(path: Path) -> pd.DataFrame:
    """Read a file with a header line; rows are labelled with their lines.

    Columns are separated by commas, semicolons or tabs, whichever the header has most of. Empty cells and NA are missing.

    Raises
    ------
    DataError
        If the file is missing, no text, empty, has no header or lines of different lengths; path and line are named.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "points.csv")
    ...     _ = path.write_text("x,y\\n1,2.5\\n3,\\n")
    ...     read_csv(path)
            x    y
    line 2  1  2.5
    line 3  3  NaN
    """
    import pandas as pd

    text = _text(path)
    delimiter = max(DELIMITERS, key=text.split("\n", 1)[0].count)
    lines = _lines(path, text, delimiter)
    header = _header(path, next(lines, (0, []))[1])
    numbers = []
    for number, cells in lines:
        if len(cells) != len(header):
            raise DataError(
                f"{path}, line {number}: {len(cells)} values where the header names {len(header)} columns. "
                "Write one value per column; leave a missing one empty between its delimiters."
            )
        numbers.append(number)
    if not numbers:
        raise DataError(f"{path}: the file has a header and no rows.")
    try:
        frame = pd.read_csv(io.StringIO(text), sep=delimiter, names=header, header=0, index_col=False, low_memory=False)
    except pd.errors.ParserError as error:
        raise DataError(f"{path}: {error}.") from error
    for name in frame.columns[frame.dtypes.map(pd.api.types.is_string_dtype)]:
        parsed = pd.to_numeric(frame[name], errors="coerce")
        if parsed.notna().any():  # then the cell to complain of is the one that is no number
            frame[name] = frame[name].astype(object).where(parsed.isna(), parsed)
    if len(frame) == len(numbers):
        frame.index = pd.Index([f"line {number}" for number in numbers])
    return frame


def _text(path: Path) -> str:
    if path.is_dir():
        raise DataError(f"{path} is a directory. Name a CSV file in it.")
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file. Check the path.") from None
    except OSError as error:
        raise DataError(f"{path}: the file cannot be read ({error.strerror}).") from error
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}, line {line}: byte {error.start} is not UTF-8 text. Is this a CSV file? If it is, save it as UTF-8."
        ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DataError(f"{path}, line {line}: a NUL byte; the file is binary, not CSV.")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _lines(path: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Number and cells of every line that is not blank; a record over several lines has the number of its first."""
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    first = 1
    try:
        for cells in reader:
            if len(cells) > 1 or any(cell.strip() for cell in cells):
                yield first, cells
            first = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}, line {first}: {error}. Look for a quote that is not closed.") from error


def _header(path: Path, cells: list[str]) -> list[str]:
    """Names of the columns, checked; a column without one gets the name that pandas would give it."""
    if not cells:
        raise DataError(f"{path}: the file is empty. It needs a line of column names and a line for each row.")
    names = [cell.strip() or f"Unnamed: {position}" for position, cell in enumerate(cells)]
    repeated = [name for position, name in enumerate(names) if name in names[:position]]
    if repeated:
        raise DataError(f"{path}, line 1: two columns are named {repeated[0]!r}. Rename one of them.")
    return names
