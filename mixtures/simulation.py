"""Toy problems that carry their answer: rows drawn from a specification with given parameters, or with parameters from its priors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .arguments import check_kind, check_whole
from .data import Rows
from .em.parameters import Parameters
from .em.program import Params, Program
from .errors import SpecError
from .families.base import Array
from .results import EMFit
from .rng import RNGLike, as_generator
from .spec import Mixture, check_specification

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["prior_predictive", "simulate"]

BLOCK = 65536
"""Rows drawn at a time: a family may build one matrix per row."""


def simulate(
    spec: Mixture,
    parameters: Mapping[str, Any] | EMFit,
    n: int,
    *,
    rng: RNGLike = None,
    component: str | None = "component",
) -> pd.DataFrame:
    """Draw rows from a finite mixture with known parameters.

    Parameters
    ----------
    spec
        The specification.
    parameters
        `Parameters`, a mapping of arrays, an xarray Dataset or an `EMFit`; data units, components first.
    n
        Number of rows.
    rng
        Seed or generator; one seed gives the same rows again.
    component
        Name of the column that holds the component each row was drawn from; None leaves it out.

    Returns
    -------
    pandas.DataFrame
        One column of floats per column of the specification, and the true component as integers.

    Raises
    ------
    SpecError
        For no specification, parameters that do not fit it, a negative `n`, or a `component` that is a column already.

    Examples
    --------
    >>> import mixtures as mx
    >>> spec = mx.Mixture(mx.Gaussian("x") * mx.Bernoulli("hit"), n_components=2)
    >>> truth = {
    ...     "weights": [0.3, 0.7],
    ...     "mean": [[0], [9]],
    ...     "covariance": [[[1]], [[4]]],
    ...     "probability": [[0], [1]],
    ... }
    >>> simulate(spec, truth, 4, rng=3).round(2)
          x  hit  component
    0 -0.45  0.0          0
    1 -0.22  0.0          0
    2  4.96  1.0          1
    3  8.54  1.0          1
    """
    call = "simulate(spec, parameters, n)"
    check_specification(spec, call)
    check_kind(parameters, (Mapping, EMFit), call, "pass a fit, or a mapping from names to arrays, as parameters")
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 0:
        raise SpecError(f"simulate(n={n!r}): the number of rows is an integer >= 0.")
    check_kind(component, (str, type(None)), "simulate(component=...)", "pass the name of a column, or None")
    if component in spec.columns:
        raise SpecError(
            f"simulate(component={component!r}): the specification has a column of that name. "
            "Choose another name, or None to leave the true component out."
        )
    p = Parameters(spec, parameters.point if isinstance(parameters, EMFit) else parameters).params()
    generator = as_generator(rng)
    z = generator.choice(spec.n_components, size=int(n), p=p.weights / p.weights.sum())
    blocks = [_draw_rows(spec, p, z[start : start + BLOCK], generator) for start in range(0, len(z), BLOCK)]
    values = np.concatenate(blocks) if blocks else np.empty((0, len(spec.columns)))

    import pandas as pd

    frame = pd.DataFrame(values, columns=list(spec.columns))
    if component is not None:
        frame[component] = z
    return frame


def prior_predictive(
    spec: Mixture, data: Any = None, *, n: int | None = None, draws: int = 500, rng: RNGLike = None
) -> xr.Dataset:
    """Draw parameters from the priors, and rows from the mixture that each draw describes.

    Exchangeable components are not put in order: every draw is as the priors have it.

    Parameters
    ----------
    spec
        The specification; with `data=None` every prior must be in numbers, as in what `spec.resolve(data)` returns.
    data
        The rows that default priors are resolved against, as for `fit`; None where nothing is open.
    n
        Rows per draw; None takes as many as the data have.
    draws
        Number of draws.
    rng
        Seed or generator; one seed gives the same draws again.

    Returns
    -------
    xarray.Dataset
        The parameters under their names with a leading dim `draw`, the rows `y` (draw, row, column), and `allocation` (draw, row), the
        component that each row was drawn from.

    Raises
    ------
    SpecError
        If something has no prior in numbers and there are no data, naming it, or `n` or `draws` is below 1.
    DataError
        If the data do not fit the specification.
    UnsupportedError
        For priors that there are no exact draws from: of covariances that are equal in one respect only, but for VEI.

    Examples
    --------
    >>> import mixtures as mx
    >>> coins = mx.Mixture(
    ...     mx.Binomial("heads", trials=10, probability=mx.Beta(2, 2)), n_components=2, weights=mx.Dirichlet(5.0)
    ... )
    >>> found = prior_predictive(coins, n=30, draws=400, rng=1)
    >>> dict(found.sizes)
    {'draw': 400, 'component': 2, 'binomial_column': 1, 'row': 30, 'column': 1}
    >>> round(float(found["y"].mean()), 1)
    5.0

    References
    ----------
    Box (1980), Sampling and Bayes' inference in scientific modelling and robustness, JRSS A 143, 383-430.
    """
    import xarray as xr

    check_specification(spec, "prior_predictive(spec)")
    check_whole("prior_predictive", "draws", draws, 1)
    check_whole("prior_predictive", "n", n, 1, or_none=True)
    if data is not None:
        rows = spec.rows(data)
        spec, n = spec.resolve(rows), rows.n if n is None else n
    if not spec.is_resolved:
        raise SpecError(
            f"prior_predictive: {', '.join(spec.open_slots)} of {spec!r} has no prior in numbers. Pass data, which default priors are "
            "resolved against, or give priors."
        )
    if n is None:
        raise SpecError("prior_predictive(n=None): without data the number of rows per draw is needed, e.g. n=100.")
    spec.check_supported()
    nothing = Rows(spec.columns, np.zeros((1, len(spec.columns))), np.ones(1), None, 1, "none")
    program = Program(spec, nothing, standardise=False)
    program.refuse_prior_without_draws()
    generator = as_generator(rng)
    points, values, components = [], [], []
    for _ in range(draws):
        p = program.prior_draw(generator)
        z = generator.choice(spec.n_components, size=int(n), p=p.weights / p.weights.sum())
        points.append(Parameters.of(spec, p))
        components.append(z)
        values.append(_draw_rows(spec, p, z, generator))
    first = points[0].to_dataset()
    variables: dict[str, Any] = {
        str(name): (("draw", *first[name].dims), np.stack([point[str(name)] for point in points])) for name in first
    }
    variables["y"] = (("draw", "row", "column"), np.stack(values))
    variables["allocation"] = (("draw", "row"), np.stack(components))
    coords = {**first.coords, "draw": np.arange(draws), "row": np.arange(int(n)), "column": list(spec.columns)}
    return xr.Dataset(variables, coords=coords, attrs={"mixtures_resolved": spec.to_json()})


def _draw_rows(spec: Mixture, p: Params, z: NDArray[np.intp], rng: np.random.Generator) -> Array:
    """Rows (n, all columns), row i from component z[i]."""
    values = np.empty((len(z), len(spec.columns)))
    for group, theta in zip(spec.groups, p.thetas, strict=True):
        place = np.full(spec.n_components, -1, dtype=np.intp)
        place[list(group.components)] = np.arange(len(group.components))
        own = np.flatnonzero(place[z] >= 0)
        values[own[:, None], np.array(group.columns)] = group.family.draw(place[z[own]], theta, rng)
    return values
