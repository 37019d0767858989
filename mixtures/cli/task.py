"""What a command is asked to do: the rows, and the specification that options or a file describe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..datasets import DatasetInfo, Suggestion, list_datasets, load_dataset
from ..errors import DataError, SpecError, nearest
from ..families.registry import family_class
from ..spec import Mixture
from .csvfile import read_csv

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ModelOptions", "Task", "read_task"]

DEFAULT_FAMILY = "Gaussian"


@dataclass(frozen=True)
class ModelOptions:
    """The options that describe a model."""

    spec: Path | None = None
    columns: str | None = None
    n_components: int | None = None
    family: str | None = None
    structure: str | None = None

    @property
    def names(self) -> list[str]:
        """The plain options that were given, as they are written."""
        written = {
            "--columns": self.columns,
            "--k": self.n_components,
            "--family": self.family,
            "--structure": self.structure,
        }
        return [name for name, value in written.items() if value is not None]


@dataclass(frozen=True)
class Task:
    """A specification, the rows it is for, the column of row weights if any, and what the rows are called."""

    specification: Mixture
    data: pd.DataFrame
    sample_weight: str | None
    source: str

    @contextmanager
    def named(self) -> Iterator[None]:
        """Begin errors about the data with where they come from."""
        try:
            yield
        except DataError as error:
            raise DataError(f"{self.source}: {error}") from error


def read_task(data: str, options: ModelOptions, weights: str | None) -> Task:
    """Read the rows and the model.

    Parameters
    ----------
    data
        Name of a built-in data set, or the path of a CSV file.
    options
        The model; what it leaves open is taken from the built-in data set's own suggestion.
    weights
        Column that holds counts or weights of rows.

    Raises
    ------
    DataError
        If there are no such data.
    SpecError
        If the options do not describe a model.
    """
    info = next((info for info in list_datasets() if info.name == data), None)
    frame = load_dataset(data) if info is not None else read_csv(_path(data))
    if info is not None and weights is None:
        weights = info.suggestion.sample_weight
    if options.spec is not None:
        if options.names:
            raise SpecError(f"--spec describes the whole model; leave out {', '.join(options.names)}.")
        specification = Mixture.from_file(options.spec)
    else:
        specification = _from_options(options, _suggested(info, frame, options, data))
    return Task(specification, frame, weights, data)


def _path(data: str) -> Path:
    path = Path(data)
    if not path.exists() and not path.suffix and path.name == data:
        names = [info.name for info in list_datasets()]
        raise DataError(
            f"{data!r} is neither a file nor a built-in data set.{nearest(data, names)} "
            f"The data sets are {', '.join(names)}."
        )
    return path


def _suggested(info: DatasetInfo | None, frame: pd.DataFrame, options: ModelOptions, data: str) -> Suggestion:
    """What stands in for options that were left out."""
    if info is not None:
        return info.suggestion
    if options.columns is None or options.n_components is None:
        found = ", ".join(str(name) for name in frame.columns)
        raise SpecError(
            f"{data}: say which columns and how many components, --columns a,b --k 2, or give --spec FILE.toml. "
            f"The columns are {found}."
        )
    return Suggestion(DEFAULT_FAMILY, (), options.n_components)


def _from_options(options: ModelOptions, otherwise: Suggestion) -> Mixture:
    columns = otherwise.columns
    if options.columns is not None:
        columns = tuple(name.strip() for name in options.columns.split(","))
    family = family_class(options.family if options.family is not None else otherwise.family)
    further: dict[str, Any] = {} if options.structure is None else {"structure": options.structure}
    n_components = options.n_components if options.n_components is not None else otherwise.n_components
    return Mixture(family(*columns, **further), n_components)
