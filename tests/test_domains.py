"""Free coordinates reach every legal value and no other, and gradients follow values through them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixtures.domains import (
    Covariance,
    Interval,
    Known,
    Parameter,
    Positive,
    Real,
    Shares,
    Simplex,
    UnitInterval,
    check_fixed,
    labels,
)
from mixtures.errors import SpecError

VECTORS = [Real(), Positive(), Interval(low=1.0, high=200.0), UnitInterval()]
COVARIANCES = [Covariance(structure) for structure in ("full", "diagonal", "spherical")]
SHAPES = {Simplex(): (4,), Shares(): (2, 4)} | dict.fromkeys(VECTORS, (3,)) | dict.fromkeys(COVARIANCES, (3, 3))
DOMAINS = list(SHAPES)
with_domains = pytest.mark.parametrize("domain", DOMAINS, ids=repr)


def free_coordinates(domain, seed, spread=1.0):
    rows = 1 if domain == Simplex() else 2
    width = domain.unconstrain(np.stack([domain.neutral(SHAPES[domain])] * rows)).shape[1]
    return spread * np.random.default_rng(seed).standard_normal((rows, width))


@with_domains
@given(seed=st.integers(0, 2**32 - 1), spread=st.sampled_from([0.01, 1.0, 3.0]))
def test_free_coordinates_give_legal_values_and_come_back(domain, seed, spread):
    free = free_coordinates(domain, seed, spread)
    value = domain.constrain(free, SHAPES[domain])
    assert value.shape == (len(free), *SHAPES[domain])
    assert all(domain.problem(one) is None for one in value)
    assert not domain.at_boundary(value).any()
    np.testing.assert_allclose(domain.unconstrain(value), free, rtol=1e-7, atol=1e-9)


@with_domains
@given(seed=st.integers(0, 2**32 - 1))
def test_pulled_back_gradients_equal_differences(domain, seed):
    """For the function sum G * value, whose gradient in the value is G (symmetric where the value is)."""
    shape, free = SHAPES[domain], free_coordinates(domain, seed)
    gradient = np.random.default_rng([seed, 1]).standard_normal((len(free), *shape))
    if isinstance(domain, Covariance):
        gradient = gradient + gradient.transpose(0, 2, 1)
    found = domain.pullback(domain.constrain(free, shape), gradient)
    step = 1e-5
    for index in np.ndindex(*free.shape):
        moved = np.zeros_like(free)
        moved[index] = step
        sides = [np.sum(gradient * domain.constrain(free + sign * moved, shape)) for sign in (1.0, -1.0)]
        assert found[index] == pytest.approx((sides[0] - sides[1]) / (2 * step), rel=1e-5, abs=1e-5)


@with_domains
def test_the_neutral_value_is_legal(domain):
    assert domain.problem(domain.neutral(SHAPES[domain])) is None


@pytest.mark.parametrize("domain", [Real(), *COVARIANCES], ids=repr)
@given(seed=st.integers(0, 2**32 - 1))
def test_values_follow_their_columns_into_other_units_and_back(domain, seed):
    rng = np.random.default_rng(seed)
    scale = np.full(3, 8.0) if domain == Covariance("spherical") else np.exp2(rng.integers(-3, 4, 3))
    center, value = rng.standard_normal(3), domain.constrain(free_coordinates(domain, seed), SHAPES[domain])
    there = domain.to_standard(value, center, scale)
    assert all(domain.problem(one) is None for one in there)
    np.testing.assert_allclose(domain.to_data(there, center, scale), value, rtol=1e-12, atol=1e-12)


def test_means_and_covariances_in_other_units_are_those_of_the_moved_columns():
    x = np.random.default_rng(0).standard_normal((50, 2))
    center, scale = np.array([3.0, -1.0]), np.array([2.0, 0.5])
    moved = center + scale * x
    np.testing.assert_allclose(Real().to_data(x.mean(axis=0)[None], center, scale)[0], moved.mean(axis=0))
    np.testing.assert_allclose(Covariance().to_data(np.cov(x.T)[None], center, scale)[0], np.cov(moved.T))


@pytest.mark.parametrize("domain", COVARIANCES, ids=repr)
def test_there_is_one_shown_entry_per_free_coordinate(domain):
    value = domain.constrain(free_coordinates(domain, 1), (3, 3))
    assert len(domain.entries((3, 3))) == domain.unconstrain(value).shape[1] == domain.marginal(value).shape[1]


@pytest.mark.parametrize(
    ("domain", "value", "words"),
    [
        (Real(), [1.0, np.inf], "must be finite"),
        (Positive(), [1.0, 0.0], "greater than 0"),
        (Positive(), [1.0, np.inf], "finite"),
        (Interval(low=1.0, high=200.0), [1.0, 201.0], r"\[1, 200\]"),
        (UnitInterval(), [0.5, 1.2], r"must lie in \[0, 1\]"),
        (UnitInterval(), [-0.1], r"must lie in \[0, 1\]"),
        (Simplex(), [0.5, 0.6], "must sum to 1"),
        (Simplex(), [1.5, -0.5], "must not be negative"),
        (Shares(), [[0.5, 0.5], [0.5, 0.4]], r"must sum to 1 in every row \(found 0.9\)"),
        (Shares(), [[1.5, -0.5]], "must not be negative"),
        (Covariance(), [[1.0, 2.0], [2.0, 1.0]], "positive definite .*-1"),
        (Covariance(), [[1.0, 0.2], [0.1, 1.0]], "must be symmetric"),
        (Covariance(), [[np.inf, 0.0], [0.0, 1.0]], "must be finite"),
        (Covariance("diagonal"), [[1.0, 0.1], [0.1, 1.0]], "must be diagonal"),
        (Covariance("spherical"), [[1.0, 0.0], [0.0, 2.0]], "multiple of the identity"),
    ],
)
def test_illegal_values_are_refused_with_the_reason(domain, value, words):
    parameter = Parameter("theta", domain)
    with pytest.raises(SpecError, match=f"slot: theta .*{words}"):
        check_fixed(parameter, np.array(value), "slot")


@pytest.mark.parametrize(
    "domain", [Real(), Positive(), Interval(low=1.0, high=200.0), UnitInterval(), Covariance()], ids=repr
)
def test_entries_to_be_estimated_are_no_problem(domain):
    value = domain.neutral((2, 2) if isinstance(domain, Covariance) else (2,))
    value[..., 0] = np.nan
    assert domain.problem(value) is None


def test_the_edges_of_the_unit_interval_are_legal_and_have_no_slope():
    value = np.array([[0.0, 0.5, 1.0]])
    assert UnitInterval().problem(value) is None
    assert UnitInterval().at_boundary(value).tolist() == [[True, False, True]]
    found = UnitInterval().pullback(value, np.array([[np.inf, 4.0, -np.inf]]))
    assert found.tolist() == [[0.0, 1.0, 0.0]]


def test_zero_is_the_edge_of_positive_numbers():
    value = np.array([[0.0, 2.0]])
    assert Positive().at_boundary(value).tolist() == [[True, False]]
    assert Positive().pullback(value, np.array([[np.inf, 3.0]])).tolist() == [[0.0, 6.0]]
    assert Positive().nudge_inside(value, 0.1).tolist() == [[0.1, 2.0]]


def test_shares_of_zero_are_edges_of_their_own_alone():
    value = np.array([[[0.0, 0.25, 0.75]], [[0.5, 0.5, 0.0]], [[1.0, 0.0, 0.0]]])
    edges = Shares().at_boundary(value)
    assert edges.tolist() == [[True, False], [False, True], [True, True]]
    back = Shares().constrain(Shares().unconstrain(value), (1, 3))
    np.testing.assert_allclose(back, value, rtol=1e-15, atol=0.0)  # zeros stay zeros
    slope = Shares().pullback(value, np.where(value > 0, 4.0, np.inf))
    np.testing.assert_allclose(slope, 0.0, atol=1e-15)  # equal slopes along the simplex are none
    near = np.array([[[1e-9, 0.25, 0.75 - 1e-9]]])
    assert Shares().nearest_edge(near, 1e-6)[0, 0, 0] == 0.0
    assert Shares().nearest_edge(value, 1e-6) == pytest.approx(value)
    inside = Shares().nudge_inside(value, 0.1)
    assert np.all(inside > 0)
    np.testing.assert_allclose(inside.sum(axis=-1), 1.0)
    one = Shares().one_moved(value[0], inside[0], (0, 0))
    np.testing.assert_allclose(one, inside[0])
    assert Shares().one_moved(value[0], inside[0], (0, 1)).tolist() == value[0].tolist()


def test_known_values_move_with_their_columns_and_have_no_coordinates():
    value = np.array([[0.0, 2.0], [1.0, 5.0]])
    assert Known().unconstrain(value).shape == Known().pullback(value, value).shape == (2, 0)
    assert Known().constrain(Known().unconstrain(value), (2,)).shape == value.shape
    assert Known().at_boundary(value).shape == (2, 0)
    assert Known().to_standard(value, np.ones(2), np.full(2, 2.0)).tolist() == [[-0.5, 0.5], [0.0, 2.0]]
    assert Known().problem(np.array([np.inf])) == "must be finite"


def test_only_values_near_an_edge_are_moved_onto_it():
    value = np.array([[1e-9, 0.3, 1.0 - 1e-9]])
    assert UnitInterval().nearest_edge(value, 1e-6).tolist() == [[0.0, 0.3, 1.0]]
    assert Real().nearest_edge(value, 1e-6) is value


def test_an_index_reads_as_column_names():
    assert labels(["eruptions", "waiting"], (1, 0)) == "waiting, eruptions"


def test_both_ends_of_an_interval_are_legal_and_measured_by_reciprocals():
    domain = Interval(low=1.0, high=200.0, at_high="far")
    value = np.array([[1.0, 200.0, 1.04, 20.0, 10.0]])
    assert domain.at_boundary(value).tolist() == [[True, True, False, False, False]]
    assert domain.nearest_edge(value, 0.05).tolist() == [[1.0, 200.0, 1.0, 200.0, 10.0]]
    inside = domain.nudge_inside(value, 2.0**-53)[0]
    assert 1.0 < inside[0] < 1.0 + 1e-12
    assert 200.0 - 1e-10 < inside[1] < 200.0
    assert domain.pullback(value, np.full((1, 5), np.inf))[0, :2].tolist() == [0.0, 0.0]
    assert domain.edge_words(200.0) == "far"
    assert domain.problem(value) is None
    link = domain.link(())
    np.testing.assert_allclose(link.inverse(link.forward(value[:, 2:])), value[:, 2:])
