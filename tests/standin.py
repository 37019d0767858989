"""A stand-in for a cross-check: its draws are normal around the estimate, on the scale without constraints."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import xarray as xr

import mixtures as mx
from mixtures.crosscheck.outcome import Check, CheckStatus, Verdict
from mixtures.em.program import Program
from mixtures.uncertainty import Scalars, curvature_at, named_values

CHECKS = (
    Check("sampler", "can the draws be believed?", CheckStatus.PASS, {"rhat": 1.001, "worst": "mean[0]"}, "Yes."),
    Check("scale", "do errors match?", CheckStatus.WARN, {"ratio": np.nan}, "0.7 < 0.8 & more.", "Draw more."),
)


def stand_in(spec, data, *, sample_weight=None, word="agree", chains=2, draws=100):
    """What `cross_check` returns, made in a moment."""
    rows = spec.rows(data, sample_weight=sample_weight)
    mle = mx.fit(spec, rows, rng=1, starts=5)
    map_ = mx.fit(spec, rows, rng=1, starts=[mle.point], estimate="map")
    program = Program(mle.resolved, rows)
    scalars, curvature = Scalars(mle.resolved), curvature_at(program, program.to_standard(mle.params))
    values = _draws(mle, program, curvature, chains, draws)
    dims = {str(name): mle.parameters[name].dims for name in mle.parameters}
    posterior = xr.Dataset({name: (("chain", "draw", *dims[name]), value) for name, value in values.items()})
    drawn = scalars.natural(values).reshape(chains * draws, -1)
    at = scalars.natural(named_values(mle.resolved, mle.params))
    table = pd.DataFrame(
        {
            "component": scalars.components,
            "mle": at,
            "se": curvature.standard_errors(scalars)[0],
            "map": scalars.natural(named_values(mle.resolved, map_.params)),
            "mean": drawn.mean(axis=0),
            "sd": drawn.std(axis=0),
            "lower": np.quantile(drawn, 0.025, axis=0),
            "upper": np.quantile(drawn, 0.975, axis=0),
            "mcse": drawn.std(axis=0) / np.sqrt(len(drawn)),
            "ess": float(len(drawn)),
            "rhat": 1.0,
            "z": (at - drawn.mean(axis=0)) / drawn.std(axis=0),
        },
        index=scalars.labels,
    )
    verdict = Verdict(word, "EM and the posterior <agree>.", ("scale",))
    return SimpleNamespace(
        specification=spec,
        resolved=mle.resolved,
        mle=mle,
        map=map_,
        posterior=_container(posterior, spec),
        table=table,
        checks=CHECKS,
        verdict=verdict,
        rows=rows,
        summary=lambda: f"verdict: {word}\n{verdict.sentence}",
    )


def _draws(mle, program, curvature, chains, draws):
    rng = np.random.default_rng(1)
    factor = np.linalg.cholesky(curvature.covariance)
    here = curvature.coordinates.vector(curvature.at)
    points = [
        program.to_data(curvature.coordinates.params(here + factor @ rng.standard_normal(len(here))))
        for _ in range(chains * draws)
    ]
    named = [named_values(mle.resolved, point) for point in points]
    return {
        name: np.array([one[name] for one in named]).reshape(chains, draws, *value.shape)
        for name, value in named[0].items()
    }


def _container(posterior, spec):
    """Draws as `sample` hands them out: the specification is inside."""
    tree = xr.DataTree.from_dict({"/posterior": posterior})
    tree.attrs["mixtures_specification"] = spec.to_json()
    return tree
