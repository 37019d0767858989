"""What families tell of themselves for pictures is true: moments are those of draws, marginals those of the joint density."""

import numpy as np
import pytest

from mixtures import Family, families
from mixtures.testing import Case, variants

FAMILIES = [
    found
    for found in (getattr(families, name) for name in families.__all__)
    if issubclass(found, Family) and found is not Family
]
BLOCKS = [block for family in FAMILIES for block in variants(family)]


@pytest.mark.parametrize("block", BLOCKS, ids=repr)
def test_moments_are_those_of_draws(block):
    theta = Case.of(block, seed=2).theta
    known = block.moments(theta)
    if known is None:
        pytest.skip("the family does not tell its moments")
    n = 40_000
    for j in range(2):
        x = block.draw(np.full(n, j), theta, np.random.default_rng(7))
        mean, covariance = known[0][j], known[1][j]
        sd = np.sqrt(np.diag(covariance))
        np.testing.assert_array_less(np.abs(x.mean(axis=0) - mean), 5.0 * sd / np.sqrt(n))
        away = np.abs(np.cov(x, rowvar=False).reshape(covariance.shape) - covariance)
        np.testing.assert_array_less(away, 8.0 * np.outer(sd, sd) / np.sqrt(n))


@pytest.mark.parametrize("block", BLOCKS, ids=repr)
def test_marginals_have_the_joint_s_moments_and_all_columns_are_the_joint(block):
    case = Case.of(block, seed=2)
    d = len(block.columns)
    whole = block.marginal(case.theta, range(d))
    assert whole is not None
    np.testing.assert_array_equal(block.log_density(case.x, whole), block.log_density(case.x, case.theta))
    for column in range(d):
        alone = block.marginal(case.theta, [column])
        known = block.moments(case.theta)
        if alone is None or known is None:
            continue
        mean, covariance = block.moments(alone)
        np.testing.assert_array_equal(mean[:, 0], known[0][:, column])
        np.testing.assert_array_equal(covariance[:, 0, 0], known[1][:, column, column])
