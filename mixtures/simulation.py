"""Toy problems that carry their answer: rows drawn from a specification with given parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .arguments import check_kind
from .em.parameters import Parameters
from .em.program import Params
from .errors import SpecError
from .families.base import Array
from .results import EMFit
from .rng import RNGLike, as_generator
from .spec import Mixture, check_specification

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["simulate"]

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


def _draw_rows(spec: Mixture, p: Params, z: NDArray[np.intp], rng: np.random.Generator) -> Array:
    """Rows (n, all columns), row i from component z[i]."""
    values = np.empty((len(z), len(spec.columns)))
    for group, theta in zip(spec.groups, p.thetas, strict=True):
        place = np.full(spec.n_components, -1, dtype=np.intp)
        place[list(group.components)] = np.arange(len(group.components))
        own = np.flatnonzero(place[z] >= 0)
        values[own[:, None], np.array(group.columns)] = group.family.draw(place[z[own]], theta, rng)
    return values
