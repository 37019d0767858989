"""What `sample` hands back: the stack's own container of draws, relabelled, with groups of ours beside PyMC's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ..data import Rows
from ..em.program import Params, Program
from ..families.base import Array, Theta
from ..kernels.threads import thread_count
from ..matching import rows_to_match_on
from ..spec import Mixture
from . import stack
from .op import RowMixture
from .relabel import Relabelling, permute, relabel

__all__ = ["MAX_LOG_LIKELIHOOD", "assemble"]

MAX_LOG_LIKELIHOOD = 50_000_000
"""Most entries (draws times distinct rows) for which the pointwise log-likelihood is kept: 400 MB."""


def assemble(trace: Any, spec: Mixture, program: Program, pivot: Params, attrs: Mapping[str, Any]) -> Any:
    """The container for draws `trace` of PyMC, relabelled to the pivot (data units).

    Groups beside PyMC's: `log_likelihood` (per distinct row, unweighted), `row_counts`, `relabelling`, `label_invariant`.
    """
    rows, resolved = program.rows, program.spec
    posterior = stack.group(trace, "posterior")
    posterior = posterior[[name for name in posterior.data_vars if not str(name).endswith("__")]]  # nutpie keeps both
    posterior = posterior.drop_vars([name for name in posterior.coords if "___dim_" in str(name)])
    shape = (posterior.sizes["chain"], posterior.sizes["draw"])
    draws = _draws(resolved, posterior)
    index, weights = rows_to_match_on(rows)
    responsibilities = program.responsibilities(program.to_standard(pivot))
    found = relabel(resolved, rows.values[index], weights, responsibilities[index], draws)
    groups = {name: stack.group(trace, name) for name in stack.group_names(trace)}
    groups = {**groups, **_data_groups(rows)}
    permutation = found.permutation.reshape(*shape, -1)
    groups["posterior"] = permute(posterior, resolved, permutation)
    coords = {"chain": posterior["chain"].values, "draw": posterior["draw"].values, "row": np.arange(len(rows.values))}
    log_likelihood = _log_likelihood(resolved, rows, draws)
    if log_likelihood is not None:
        values = log_likelihood.reshape(*shape, -1)
        variables = {"y": (("chain", "draw", "row"), values)}
        groups["log_likelihood"] = xr.Dataset(variables, coords=coords, attrs={"unweighted": 1})
    groups["row_counts"] = _row_counts(rows)
    groups["relabelling"] = _relabelling(found, permutation, responsibilities, len(index), coords)
    invariant = _invariant(resolved, rows, groups, found, log_likelihood)
    groups["label_invariant"] = invariant
    groups["label_invariant_summary"] = _diagnostics(invariant)
    own = {
        "mixtures_specification": spec.to_json(),
        "mixtures_resolved": resolved.to_json(),
        "mixtures_versions": json.dumps(stack.versions()),
        "mixtures_weighting": rows.weighting,
    }
    return stack.make_container(groups, {**own, **attrs})


def _draws(spec: Mixture, posterior: xr.Dataset) -> list[tuple[Array, list[Theta]]]:
    """Weights and parameters of every draw, chain by chain, in data units."""

    def flat(name: str) -> Array:
        value = posterior[name].transpose("chain", "draw", ...).values
        return np.ascontiguousarray(value.reshape(-1, *value.shape[2:]))

    weights = flat("weights")
    groups = [
        {parameter.name: flat(group.names[parameter.name]) for parameter in group.family.parameters}
        for group in spec.groups
    ]
    return [
        (weights[s], [{name: value[s] for name, value in arrays.items()} for arrays in groups])
        for s in range(len(weights))
    ]


def _log_likelihood(spec: Mixture, rows: Rows, draws: list[tuple[Array, list[Theta]]]) -> Array | None:
    """Log density (draws, n) of every distinct row, or None where that would be too large."""
    n = len(rows.values)
    if n * len(draws) > MAX_LOG_LIKELIHOOD:
        return None
    found = np.empty((len(draws), n))
    RowMixture.of(spec, rows.values).row_densities(rows.values, draws, found, thread_count())
    return found


def _data_groups(rows: Rows) -> dict[str, xr.Dataset]:
    """What was observed, and the weight of each row, as the model holds them."""
    coords = {"row": np.arange(len(rows.values)), "column": list(rows.columns)}
    observed = xr.Dataset({"y": (("row", "column"), rows.filled)}, coords=coords)
    data: dict[str, Any] = {"data": (("row", "column"), rows.filled), "row_weight": ("row", rows.weights)}
    if rows.has_missing:
        data["observed"] = (("row", "column"), rows.observed)
    return {"observed_data": observed, "constant_data": xr.Dataset(data, coords=coords)}


def _row_counts(rows: Rows) -> xr.Dataset:
    """Weight of each distinct row, and for every given row the distinct row it was merged into (-1: weight zero)."""
    variables: dict[str, Any] = {"count": ("row", rows.weights)}
    if rows.inverse is not None:
        variables["inverse"] = ("given_row", rows.inverse.astype(np.int64))
    attrs = {"weighting": rows.weighting, "n_given": rows.n_given}
    return xr.Dataset(variables, coords={"row": np.arange(len(rows.values))}, attrs=attrs)


def _relabelling(
    found: Relabelling, permutation: NDArray[np.intp], pivot: Array, rows_used: int, coords: Mapping[str, Any]
) -> xr.Dataset:
    sample, shape = ("chain", "draw"), permutation.shape[:2]
    variables = {
        "permutation": ((*sample, "component"), permutation.astype(np.int64)),
        "confidence": (sample, found.confidence.reshape(shape)),
        "agreement": (sample, found.agreement.reshape(shape)),
        "pivot_responsibilities": (("row", "component"), pivot),
        "pivot_allocation": ("row", pivot.argmax(axis=1)),
    }
    coords = {**coords, "component": np.arange(pivot.shape[1])}
    return xr.Dataset(variables, coords=coords, attrs={"rows_used": rows_used})


# -- quantities that no permutation changes -----------------------------------------------------------------------------


def _invariant(
    spec: Mixture, rows: Rows, groups: Mapping[str, xr.Dataset], found: Relabelling, log_likelihood: Array | None
) -> xr.Dataset:
    """Quantities (chain, draw, quantity) that are the same for any order of exchangeable components; constants left out."""
    posterior = groups["posterior"]
    shape = (posterior.sizes["chain"], posterior.sizes["draw"])
    values: dict[str, Array] = {}
    if log_likelihood is not None:
        values["log-likelihood"] = (log_likelihood @ rows.weights).reshape(shape)
    for name in ("lp", "logp"):
        if name in groups.get("sample_stats", ()):
            values["log density sampled"] = groups["sample_stats"][name].transpose("chain", "draw").values
    weights = posterior["weights"].transpose("chain", "draw", ...).values
    values["sum of squared weights"] = (weights**2).sum(axis=-1)
    values["entropy of the allocation"] = found.entropy.reshape(shape)
    for group in spec.groups:
        own = weights[..., list(group.components)]
        own = own / own.sum(axis=-1, keepdims=True)
        for parameter in group.family.parameters:
            public = group.names[parameter.name]
            array = posterior[public].transpose("chain", "draw", ...).values
            for entry in parameter.domain.entries(parameter.shape(len(group.columns))):
                place: Any = (..., slice(None), *entry)
                one = array[place]
                label = f"{public}[{', '.join(parameter.place(group.family.columns, entry))}]"
                mean = (own * one).sum(axis=-1)
                values[f"weighted mean of {label}"] = mean
                values[f"weighted variance of {label}"] = (own * (one - mean[..., None]) ** 2).sum(axis=-1)
    kept = {name: value for name, value in values.items() if _varies(value)}
    data = np.stack(list(kept.values()), axis=-1) if kept else np.zeros((*shape, 0))
    coords = {"chain": posterior["chain"].values, "draw": posterior["draw"].values, "quantity": list(kept)}
    return xr.Dataset({"value": (("chain", "draw", "quantity"), data)}, coords=coords)


def _varies(value: Array) -> bool:
    return bool(np.all(np.isfinite(value)) and np.ptp(value) > 1e-13 * np.max(np.abs(value)))


def _diagnostics(invariant: xr.Dataset) -> xr.Dataset:
    """Rank R-hat and bulk ESS of the label-invariant quantities; NaN where there are too few draws or one chain only."""
    value = invariant["value"]
    names = {"r_hat": "rhat", "ess_bulk": "ess"}
    if value.sizes["quantity"] == 0 or value.sizes["draw"] < 4:
        empty = np.full(value.sizes["quantity"], np.nan)
        return xr.Dataset(dict.fromkeys(names, ("quantity", empty)), coords={"quantity": value["quantity"].values})
    import arviz_stats

    found: dict[str, Any] = {"ess_bulk": arviz_stats.ess(invariant, method="bulk")["value"]}
    single = value.sizes["chain"] < 2
    found["r_hat"] = (
        xr.full_like(found["ess_bulk"], np.nan) if single else arviz_stats.rhat(invariant, method="rank")["value"]
    )
    return xr.Dataset(
        {name: ("quantity", np.asarray(found[name])) for name in names}, coords={"quantity": value["quantity"].values}
    )
