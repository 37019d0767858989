"""Convergence figures of one scalar, by arviz_stats on both stacks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ess_bulk", "mcse_mean", "rhat_rank"]


def _stats() -> Any:
    from arviz_stats.base import array_stats

    return array_stats


def ess_bulk(values: NDArray[np.float64]) -> float:
    """Bulk effective sample size of (chains, draws); the number of draws for a constant."""
    if np.ptp(values) == 0:
        return float(values.size)
    return float(_stats().ess(values, method="bulk", chain_axis=0, draw_axis=1))


def rhat_rank(values: NDArray[np.float64]) -> float:
    """Rank-normalised split R-hat of (chains, draws); 1 for a constant or a single short chain."""
    if np.ptp(values) == 0:
        return 1.0
    return float(_stats().rhat(values, method="rank", chain_axis=0, draw_axis=1))


def mcse_mean(values: NDArray[np.float64]) -> float:
    """Monte-Carlo standard error of the mean of (chains, draws)."""
    if np.ptp(values) == 0:
        return 0.0
    return float(_stats().mcse(values, method="mean", chain_axis=0, draw_axis=1))
