"""Which component is which: two sets of components matched by the rows that they claim, within exchangeable groups."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .data import Rows
from .families.base import Array
from .spec import Mixture

__all__ = ["MAX_ROWS", "match_components", "rows_to_match_on", "shares_of"]

MAX_ROWS = 2000
"""Rows that components are compared on; of more, a systematic sample by weight."""


def rows_to_match_on(rows: Rows) -> tuple[NDArray[np.intp], Array]:
    """Indices and weights of at most `MAX_ROWS` rows: all, or every so many by cumulative weight."""
    if len(rows.values) <= MAX_ROWS:
        return np.arange(len(rows.values)), rows.weights
    places = (np.arange(MAX_ROWS) + 0.5) * rows.total / MAX_ROWS
    index, counts = np.unique(np.searchsorted(np.cumsum(rows.weights), places), return_counts=True)
    return index, counts.astype(np.float64)


def shares_of(pivot: Array, weights: Array) -> Array:
    """Which share (K, n) of a pivot component's mass lies on each row, from responsibilities (n, K) and row weights (n,)."""
    mass = weights @ pivot
    return np.asarray((pivot * weights[:, None] / np.where(mass > 0, mass, 1.0)).T)


def match_components(spec: Mixture, agreement: Array) -> tuple[NDArray[np.intp], Array]:
    """The best matching within exchangeable groups for given agreement (draws, K, K).

    Parameters
    ----------
    spec
        The specification.
    agreement
        Rows are the pivot's components, columns those to be matched.

    Returns
    -------
    permutation, margin
        (draws, K), component `permutation[s, k]` of draw s becomes component k, and (draws,), the lead in total agreement
        over the second-best matching, the smallest over groups; infinite where nothing can be permuted.

    Examples
    --------
    >>> import mixtures as mx
    >>> spec = mx.Mixture(mx.Gaussian("x"), n_components=2)
    >>> match_components(spec, np.array([[[0.1, 0.9], [0.8, 0.2]]]))[0].tolist()
    [[1, 0]]
    """
    permutation = np.tile(np.arange(spec.n_components), (len(agreement), 1))
    margin = np.full(len(agreement), np.inf)
    for members in spec.exchangeable:
        if len(members) == 1:
            continue
        own = np.array(members)
        chosen, lead = _assign(agreement[:, own[:, None], own[None, :]])
        permutation[:, own] = own[chosen]
        margin = np.minimum(margin, lead)
    return permutation, margin


def _assign(agreement: Array) -> tuple[NDArray[np.intp], Array]:
    """Best assignment (draws, m) of each agreement matrix (draws, m, m), and its lead over the second best."""
    if agreement.shape[1] == 2:
        lead = agreement[:, 0, 0] + agreement[:, 1, 1] - agreement[:, 0, 1] - agreement[:, 1, 0]
        return np.where(lead[:, None] >= 0, np.array([0, 1]), np.array([1, 0])), np.abs(lead)
    from scipy.optimize import linear_sum_assignment

    chosen = np.empty(agreement.shape[:2], dtype=np.intp)
    lead = np.empty(len(agreement))
    each = np.arange(agreement.shape[1])
    for s, matrix in enumerate(agreement):
        chosen[s] = linear_sum_assignment(matrix, maximize=True)[1]
        best, second = matrix[each, chosen[s]].sum(), -np.inf
        for k in each:  # the second best differs from the best in at least one pair
            without = matrix.copy()
            without[k, chosen[s, k]] -= 2.0 * len(each)
            second = max(second, without[linear_sum_assignment(without, maximize=True)].sum())
        lead[s] = best - second
    return chosen, lead
