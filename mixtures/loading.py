"""Reading back what was saved: fits and posteriors, told apart by what the file says of itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .arguments import check_path
from .errors import DataError
from .storage import KIND, fit_from_tree

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["load"]


def load(path: str | Path) -> Any:
    """Read a fit saved by `EMFit.save`, or a posterior.

    Parameters
    ----------
    path
        A NetCDF file.

    Returns
    -------
    EMFit or the container of draws
        A posterior comes back in the installed PyMC's container: InferenceData for PyMC 5, DataTree from PyMC 6 on.

    Raises
    ------
    SpecError
        If `path` is no path.
    DataError
        If the file is missing, is no NetCDF file, or holds neither a fit nor a posterior of ours.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import mixtures as mx
    >>> spec = mx.Mixture(mx.Gaussian("velocity"), n_components=2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "galaxies.nc")
    ...     mx.fit(spec, mx.load_dataset("galaxies"), rng=1).save(file)
    ...     load(file).specification
    Mixture(Gaussian('velocity'), n_components=2)
    """
    check_path("load", path)
    with _open(Path(path)) as tree:
        if tree.attrs.get(KIND) == "fit":
            try:
                return fit_from_tree(tree)
            except KeyError as error:
                raise DataError(f"{str(path)!r} says that it holds a fit, but part of it is gone: {error}") from error
        if "posterior" not in tree.children or "mixtures_specification" not in tree.attrs:
            raise DataError(f"{str(path)!r} holds neither a fit nor a posterior: it was not written by mixtures.")
    from .bayes.stack import load as load_container

    return load_container(path)


def _open(path: Path) -> xr.DataTree:
    import xarray as xr

    if not path.is_file():
        raise DataError(f"There is no file {str(path)!r}. A fit is saved by fit.save(path).")
    try:
        return xr.open_datatree(path, engine="h5netcdf", phony_dims="access")
    except (OSError, ValueError) as error:
        raise DataError(f"{str(path)!r} is no NetCDF 4 file, or a damaged one: {error}") from error
