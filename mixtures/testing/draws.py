"""Laws of draws: legal rows, distributed as the density says."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..families.base import Array, Theta
from .case import STEP, Case, each_close, law, moved


@law
def draws_are_legal_rows(case: Case) -> None:
    """Draws are (n, d) float64, pass `check` and have a density."""
    due = (len(case.z), len(case.block.columns))
    assert case.x.shape == due, f"draw has shape {case.x.shape} where {due} is due"
    assert case.x.dtype == np.float64, f"draw has dtype {case.x.dtype} where float64 is due"
    case.block.check(case.x)
    own = case.block.log_density(case.x, case.theta)[np.arange(len(case.z)), case.z]
    assert np.all(np.isfinite(own)), "a drawn row has no density under its own component"


@law
def draws_follow_the_density(case: Case) -> None:
    """Bartlett's identities for each component's draws: the score has mean 0, and its square is minus its slope.

    References
    ----------
    Bartlett (1953), Approximate confidence intervals, Biometrika 40, 12-19.
    """
    for j, x, own in _large_sample(case):
        parts = [_bartlett(case, part, own) for part in np.array_split(x, 15)]
        for what, rows in zip(("mean of the score", "information identity"), zip(*parts, strict=True), strict=True):
            _centred(np.concatenate(rows), f"{what} of the draws of component {j}")


@law
def moments_are_those_of_the_draws(case: Case) -> None:
    """Where a family states means and covariances of its columns, its draws have them."""
    moments = case.block.moments(case.theta)
    if moments is None:
        return
    for j, x, _ in _large_sample(case):
        away = x - moments[0][j]
        _centred(away, f"distance of the draws of component {j} from the stated mean")
        products = away[:, :, None] * away[:, None, :] - moments[1][j]
        _centred(products.reshape(len(x), -1), f"distance of the draws of component {j} from the stated covariance")


@law
def marginal_describes_some_of_the_columns(case: Case) -> None:
    """Where a family has parameters for some of its columns, the score there has mean 0 over draws of these columns."""
    for kept in ([0], list(range(len(case.block.columns)))[1:], list(range(len(case.block.columns)))):
        theta = case.block.marginal(case.theta, kept) if kept else None
        if theta is None:
            continue
        if len(kept) == len(case.block.columns):
            each_close(theta, case.theta, "the marginal of all columns")
        for j, x, _ in _large_sample(case):
            own = {name: value[j : j + 1] for name, value in theta.items()}
            rows = [_row_scores(case, part, own) for part in np.array_split(x[:, kept], 15)]
            _centred(np.concatenate(rows), f"mean of the marginal score of the draws of component {j}")


def _large_sample(case: Case) -> Iterator[tuple[int, Array, Theta]]:
    """For each component: its index, rows (1200, d) drawn from it and its parameters, J = 1."""
    z = np.resize(np.arange(2), 2400)
    x = case.block.draw(z, case.theta, case.rng)
    for j in range(2):
        yield j, x[z == j], {name: value[j : j + 1] for name, value in case.theta.items()}


def _centred(values: Array, what: str) -> None:
    """Assert that the means of the columns of values (n, m) are 0 within 6 standard errors."""
    error = values.std(axis=0) / np.sqrt(len(values))
    gap = np.max(np.abs(values.mean(axis=0)) / (error + 1e-7), initial=0.0)
    assert gap < 6.0, f"{what} is {gap:.1f} standard errors from 0"


def _bartlett(case: Case, x: Array, own: Theta) -> tuple[Array, Array]:
    """Scores of single rows (n, m) and score score' + d score, (n, m m), in free coordinates."""
    score = _row_scores(case, x, own)
    slopes = []
    for q in case.parameters:
        for _, (up, down) in moved(own, q):
            slopes.append((_row_scores(case, x, up) - _row_scores(case, x, down)) / (2 * STEP))
    second = score[:, :, None] * score[:, None, :] + (np.stack(slopes, axis=2) if slopes else 0.0)
    return score, second.reshape(len(x), -1)


def _row_scores(case: Case, x: Array, own: Theta) -> Array:
    """Score of every row (n, m): each row is a component of its own, with the same parameters."""
    many = {name: np.repeat(value, len(x), axis=0) for name, value in own.items()}
    slope = case.block.score(case.block.statistics(x, np.eye(len(x)), many), many)
    return np.concatenate([q.domain.pullback(many[q.name], slope[q.name]) for q in case.parameters], axis=1)
