import pytest

import mixtures as mx


@pytest.fixture(scope="session")
def old_faithful():
    return mx.load_dataset("old_faithful")


@pytest.fixture(scope="session")
def two_components():
    return mx.Mixture(mx.Gaussian("eruptions", "waiting"), n_components=2)


@pytest.fixture(scope="session")
def agreeing(old_faithful, two_components):
    """One full cross-check of Old Faithful, shared by the claims about its parts."""
    return mx.cross_check(two_components, old_faithful, rng=1)
