"""Fits in NetCDF files, with the specification inside as text: no pickle, readable by anything that reads HDF5."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .em import methods
from .em.methods import Method
from .em.parameters import Parameters
from .em.program import Params
from .em.status import Status
from .errors import DataError
from .results import EMFit, OptimumRecord
from .spec import Mixture

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["KIND", "fit_from_tree", "save_fit"]

KIND = "mixtures_kind"
"""Attribute of the file's root that says what the file holds."""
SCHEMA = 1
_TEXTS = ("specification", "resolved", "method", "estimate", "status", "weighting")
_SCALARS = ("log_likelihood", "log_posterior", "decrement", "n_passes", "n_rows", "threshold", "n_missing")
_RECORD_NUMBERS = ("log_likelihood", "objective", "count", "smallest_eigenvalue", "component", "decrement")


def save_fit(fit: EMFit, path: str | Path) -> None:
    """Write a fit to a NetCDF file; `mixtures.load` reads it.

    Parameters
    ----------
    fit
        The fit.
    path
        The file, which is replaced if it is there.

    Raises
    ------
    DataError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import mixtures as mx
    >>> spec = mx.Mixture(mx.Gaussian("velocity"), n_components=3)
    >>> found = mx.fit(spec, mx.load_dataset("galaxies"), rng=1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_fit(found, Path(folder, "galaxies.nc"))
    ...     mx.load(Path(folder, "galaxies.nc")).log_likelihood == found.log_likelihood
    True
    """
    import xarray as xr

    tree = xr.DataTree.from_dict(
        {
            "/": _root(fit),
            "/parameters": fit.point.to_dataset(),
            "/optima": _optima(fit.optima),
            "/optima/parameters": _stacked([record.point for record in fit.optima]),
        }
    )
    try:
        tree.to_netcdf(path, engine="h5netcdf")
    except OSError as error:
        raise DataError(
            f"Cannot write {str(path)!r}: {error.strerror or error}. Choose a folder that exists."
        ) from error


def _root(fit: EMFit) -> xr.Dataset:
    """Everything but the parameters. Texts are variables: an HDF5 attribute holds 64 kB."""
    import xarray as xr

    texts = (
        fit.specification.to_json(),
        fit.resolved.to_json(),
        json.dumps({"name": type(fit.method).__name__, **dataclasses.asdict(fit.method)}),
        fit.estimate,
        fit.status.name,
        fit.weighting,
    )
    variables: dict[str, Any] = {name: ((), text) for name, text in zip(_TEXTS, texts, strict=True)}
    variables.update({name: ((), getattr(fit, name)) for name in _SCALARS})
    variables["history"] = (("pass",), fit.history)
    if fit.subsample is not None:
        variables["subsample"] = ((), fit.subsample)
    return xr.Dataset(variables, attrs={KIND: "fit", "mixtures_schema": SCHEMA})


def _optima(records: Sequence[OptimumRecord]) -> xr.Dataset:
    import xarray as xr

    variables: dict[str, Any] = {name: np.array([getattr(r, name) for r in records]) for name in _RECORD_NUMBERS}
    variables["kind"] = np.array([r.kind for r in records])
    variables["rows"] = np.array([json.dumps(r.rows) for r in records])
    variables["start_kinds"] = np.array([json.dumps(r.start_kinds) for r in records])
    return xr.Dataset({name: (("optimum",), value) for name, value in variables.items()})


def _stacked(points: Sequence[Parameters]) -> xr.Dataset:
    """Parameters of all optima as one Dataset with a leading axis `optimum`."""
    import xarray as xr

    first = points[0].to_dataset()
    return xr.Dataset(
        {
            str(name): (("optimum", *first[name].dims), np.stack([point[str(name)] for point in points]))
            for name in first
        },
        coords=first.coords,
    )


def fit_from_tree(tree: xr.DataTree) -> EMFit:
    """The fit in an opened file that `save_fit` has written.

    Raises
    ------
    DataError
        If the file was written by a later version, or names an algorithm that is not there.
    """
    root = tree.to_dataset()
    if int(root.attrs["mixtures_schema"]) > SCHEMA:
        raise DataError(
            f"The file has schema {root.attrs['mixtures_schema']}, this version of mixtures reads up to {SCHEMA}. "
            "Install a newer version."
        )
    text = {name: str(root[name].values[()]) for name in _TEXTS}
    number = {name: root[name].values[()].item() for name in _SCALARS}
    resolved = Mixture.from_json(text["resolved"])
    return EMFit(
        specification=Mixture.from_json(text["specification"]),
        resolved=resolved,
        estimate=text["estimate"],
        method=_method(json.loads(text["method"])),
        point=_parameters(resolved, tree.children["parameters"].to_dataset()),
        status=Status[text["status"]],
        history=root["history"].values,
        optima=_records(resolved, tree.children["optima"]),
        weighting=text["weighting"],
        subsample=int(root["subsample"]) if "subsample" in root else None,
        **number,
    )


def _method(stored: dict[str, Any]) -> Method:
    name = stored.pop("name")
    found = getattr(methods, name, None)
    if not (isinstance(found, type) and issubclass(found, Method)):
        raise DataError(f"The fit was made by the method {name!r}, which this version of mixtures does not have.")
    return found(**stored)


def _parameters(resolved: Mixture, stored: xr.Dataset, index: Any = ...) -> Parameters:
    """Parameters as they were, not checked: a collapsing optimum may lie on the edge of what is legal."""
    values = {str(name): np.array(stored[name].values[index]) for name in stored}
    thetas = tuple({name: values[public] for name, public in group.names.items()} for group in resolved.groups)
    return Parameters.of(resolved, Params(values["weights"], thetas))


def _records(resolved: Mixture, tree: xr.DataTree) -> tuple[OptimumRecord, ...]:
    table, points = tree.to_dataset(), tree.children["parameters"].to_dataset(inherit=False)
    return tuple(
        OptimumRecord(
            point=_parameters(resolved, points, i),
            kind=str(table["kind"].values[i]),
            rows=tuple(json.loads(str(table["rows"].values[i]))),
            start_kinds=tuple(json.loads(str(table["start_kinds"].values[i]))),
            **{name: table[name].values[i].item() for name in _RECORD_NUMBERS},
        )
        for i in range(table.sizes["optimum"])
    )
