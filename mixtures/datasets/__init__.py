"""Data sets that come with the package, each with its citation.

`SOURCES.md` beside the files says where each one comes from.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

from ..errors import DataError, nearest

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DatasetInfo", "Suggestion", "list_datasets", "load_dataset"]


@dataclass(frozen=True)
class Suggestion:
    """A mixture that suits a data set: family by name, its columns, number of components, column of counts if any."""

    family: str
    columns: tuple[str, ...]
    n_components: int
    sample_weight: str | None = None


@dataclass(frozen=True)
class DatasetInfo:
    """What a data set is: its name, size, columns, one sentence, the work to cite, and what to try first."""

    name: str
    rows: int
    columns: tuple[str, ...]
    description: str
    citation: str
    suggestion: Suggestion


_VOTES = (
    "handicapped_infants",
    "water_project",
    "budget_resolution",
    "physician_fee_freeze",
    "el_salvador_aid",
    "religious_groups_in_schools",
    "anti_satellite_test_ban",
    "nicaraguan_contras_aid",
    "mx_missile",
    "immigration",
    "synfuels_cutback",
    "education_spending",
    "superfund_right_to_sue",
    "crime",
    "duty_free_exports",
    "south_africa_export_act",
)

_DATASETS = (
    DatasetInfo(
        name="old_faithful",
        rows=272,
        columns=("eruptions", "waiting"),
        description="Length of an eruption of the Old Faithful geyser and waiting time to the next one, in minutes.",
        citation=(
            "Azzalini, A. & Bowman, A. W. (1990). A look at some data on the Old Faithful geyser. "
            "Applied Statistics 39, 357-365."
        ),
        suggestion=Suggestion("Gaussian", ("eruptions", "waiting"), 2),
    ),
    DatasetInfo(
        name="galaxies",
        rows=82,
        columns=("velocity",),
        description=(
            "Velocities of galaxies in the Corona Borealis region, in km/s. "
            "Entry 78 reads 26690; some printings have 26960."
        ),
        citation=(
            "Roeder, K. (1990). Density estimation with confidence sets exemplified by superclusters and voids in the "
            "galaxies. Journal of the American Statistical Association 85, 617-624."
        ),
        suggestion=Suggestion("Gaussian", ("velocity",), 3),
    ),
    DatasetInfo(
        name="iris",
        rows=150,
        columns=("sepal_length", "sepal_width", "petal_length", "petal_width", "species"),
        description="Four measurements of an iris flower, in cm, and its species (text).",
        citation=(
            "Fisher, R. A. (1936). The use of multiple measurements in taxonomic problems. "
            "Annals of Eugenics 7, 179-188."
        ),
        suggestion=Suggestion("Gaussian", ("sepal_length", "sepal_width", "petal_length", "petal_width"), 3),
    ),
    DatasetInfo(
        name="lsat6",
        rows=30,
        columns=("item1", "item2", "item3", "item4", "item5", "count"),
        description=(
            "Five test items, right (1) or wrong (0), answered by 1000 people: one row per pattern of answers, "
            "`count` is the number of people who gave it (use it as sample_weight)."
        ),
        citation=(
            "Bock, R. D. & Lieberman, M. (1970). Fitting a response model for n dichotomously scored items. "
            "Psychometrika 35, 179-197."
        ),
        suggestion=Suggestion("Bernoulli", ("item1", "item2", "item3", "item4", "item5"), 2, sample_weight="count"),
    ),
    DatasetInfo(
        name="house_votes_84",
        rows=435,
        columns=("party", *_VOTES),
        description=(
            "Party (text) and 16 votes of the members of the US House of Representatives in 1984, yes (1) or no (0); "
            "NaN where no vote is recorded."
        ),
        citation="Schlimmer, J. (1987). Congressional Voting Records. UCI Machine Learning Repository.",
        suggestion=Suggestion("Bernoulli", _VOTES, 2),
    ),
)


def list_datasets() -> tuple[DatasetInfo, ...]:
    """The data sets that `load_dataset` knows.

    Examples
    --------
    >>> [(info.name, info.rows) for info in list_datasets()]
    [('old_faithful', 272), ('galaxies', 82), ('iris', 150), ('lsat6', 30), ('house_votes_84', 435)]
    """
    return _DATASETS


def load_dataset(name: str) -> pd.DataFrame:
    """Read one of the data sets that come with the package.

    Parameters
    ----------
    name
        One of the names of `list_datasets`, which also gives the citation.

    Returns
    -------
    pandas.DataFrame
        A fresh frame, one row per observation (for "lsat6" one per pattern of answers). Missing cells are NaN.

    Raises
    ------
    DataError
        If there is no data set of that name.

    Examples
    --------
    >>> load_dataset("old_faithful").head(2)
       eruptions  waiting
    0        3.6       79
    1        1.8       54
    """
    names = [info.name for info in _DATASETS]
    if name not in names:
        raise DataError(
            f"There is no data set named {name!r}.{nearest(name, names)} The data sets are {', '.join(names)}."
        )
    import pandas as pd

    with files(__name__).joinpath(f"{name}.csv").open("rb") as file:
        return pd.read_csv(file)
