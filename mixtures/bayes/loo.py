"""Leave-one-out cross-validation of a posterior: a person is left out, not a pattern."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from ..errors import FitError
from . import stack

__all__ = ["loo"]


def loo(posterior: Any, **kwargs: Any) -> Any:
    """Pareto-smoothed leave-one-out cross-validation of draws from `sample`.

    Merged rows are expanded to as many rows as their count: each stands for that many people.

    Parameters
    ----------
    posterior
        What `sample` returned.
    **kwargs
        For `arviz_stats.loo`, e.g. `pointwise=True`.

    Returns
    -------
    arviz_stats ELPDData

    Raises
    ------
    SpecError
        If `posterior` holds no draws.
    FitError
        If the rows had fractional weights, for which leaving one out is not defined, or the pointwise log-likelihood was
        too large to be kept.

    References
    ----------
    Vehtari, Gelman & Gabry (2017), Statistics and Computing 27, 1413-1432.
    """
    import arviz_stats

    stack.check_container(posterior, "loo(posterior)")
    if not stack.has_group(posterior, "log_likelihood"):
        raise FitError(
            "These draws carry no pointwise log-likelihood (draws times rows were too many). Sample again with fewer draws."
        )
    tree = stack.as_datatree(posterior)
    pointwise = tree["log_likelihood"]
    values = pointwise["y"]
    if stack.has_group(posterior, "row_counts"):
        if "unweighted" not in pointwise.attrs:  # computed by PyMC, which multiplies by the row's weight
            values = values / stack.group(posterior, "row_counts")["count"]
        index = _expansion(stack.group(posterior, "row_counts"))
        values = values.isel(row=index).assign_coords(row=np.arange(len(index)))
    groups = {"/posterior": tree["posterior"].to_dataset(), "/log_likelihood": xr.Dataset({"y": values})}
    return arviz_stats.loo(xr.DataTree.from_dict(groups), **{"var_name": "y", **kwargs})


def _expansion(counts: xr.Dataset) -> Any:
    """For every person the distinct row of the data that describes them."""
    if counts.attrs.get("weighting") == "fractional":
        raise FitError(
            "LOO is not defined under fractional sample_weight: there is no one row to leave out. Use counts, or no weights."
        )
    if counts.attrs.get("weighting") == "none" and "inverse" in counts:
        return counts["inverse"].values
    return np.repeat(np.arange(counts.sizes["row"]), np.rint(counts["count"].values).astype(int))
