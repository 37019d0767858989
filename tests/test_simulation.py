"""Toy problems carry their answer: simulated rows have the moments of their components."""

import tracemalloc

import numpy as np
import pytest

import mixtures as mx

SPEC = mx.Mixture(mx.Gaussian("x", "y") * mx.Bernoulli("hit", "miss"), n_components=2)
TRUTH = {
    "weights": [0.3, 0.7],
    "mean": [[0.0, 10.0], [5.0, -5.0]],
    "covariance": [[[1.0, 0.6], [0.6, 2.0]], [[4.0, -1.0], [-1.0, 1.0]]],
    "probability": [[0.1, 0.5], [0.8, 1.0]],
}


def test_the_rows_have_the_columns_of_the_specification_and_their_component():
    frame = mx.simulate(SPEC, TRUTH, 7, rng=1)
    assert list(frame.columns) == ["x", "y", "hit", "miss", "component"]
    assert len(frame) == 7
    assert frame["component"].dtype.kind == "i"
    assert set(frame["hit"]) <= {0.0, 1.0}
    assert list(mx.simulate(SPEC, TRUTH, 7, component=None)) == ["x", "y", "hit", "miss"]
    assert "class" in mx.simulate(SPEC, TRUTH, 7, component="class")


def test_each_component_has_its_share_and_moments():
    n = 200_000  # several blocks
    frame = mx.simulate(SPEC, TRUTH, n, rng=2)
    shares = frame["component"].value_counts(normalize=True)
    np.testing.assert_allclose(shares[[0, 1]], TRUTH["weights"], atol=5 / np.sqrt(n))
    for k, own in frame.groupby("component"):
        error = 6 / np.sqrt(len(own))
        np.testing.assert_allclose(own[["x", "y"]].mean(), TRUTH["mean"][k], atol=2 * error)
        np.testing.assert_allclose(np.cov(own[["x", "y"]].T), TRUTH["covariance"][k], atol=6 * error)
        np.testing.assert_allclose(own[["hit", "miss"]].mean(), TRUTH["probability"][k], atol=error)
        assert abs(np.corrcoef(own["x"], own["hit"])[0, 1]) < error, "blocks are independent given the component"


def test_one_seed_gives_one_set_of_rows():
    first, again, other = (mx.simulate(SPEC, TRUTH, 50, rng=seed) for seed in (4, 4, 5))
    assert first.equals(again)
    assert not first.equals(other)


def test_a_fit_and_its_parameters_are_legal_answers_to_simulate_from():
    data = mx.load_dataset("old_faithful")
    found = mx.fit(mx.Mixture(mx.Gaussian("eruptions", "waiting"), n_components=2), data, rng=1, starts=3)
    frames = [
        mx.simulate(found.specification, parameters, 20, rng=1)
        for parameters in (found, found.point, found.parameters, dict(found.point))
    ]
    assert all(frame.equals(frames[0]) for frame in frames)


def test_the_truth_is_found_again():
    frame = mx.simulate(SPEC, TRUTH, 3000, rng=6)
    found = mx.fit(SPEC, frame, rng=1, starts=5)
    np.testing.assert_allclose(found.point["mean"], TRUTH["mean"], atol=0.3)
    np.testing.assert_allclose(found.point["probability"], TRUTH["probability"], atol=0.05)
    assert np.mean(found.predict(frame) == frame["component"]) > 0.99


def test_a_component_without_weight_is_never_drawn_and_edges_are_kept():
    spec = mx.Mixture(mx.Bernoulli("a"), n_components=2)
    frame = mx.simulate(spec, {"weights": [0.0, 1.0], "probability": [[0.0], [1.0]]}, 100, rng=1)
    assert set(frame["component"]) == {1}
    assert set(frame["a"]) == {1.0}


def test_no_rows_are_a_legal_number_of_rows():
    frame = mx.simulate(SPEC, TRUTH, 0)
    assert frame.shape == (0, 5)


@pytest.mark.parametrize("n", [-1, 2.5, True, "many"], ids=repr)
def test_other_numbers_of_rows_are_refused(n):
    with pytest.raises(mx.SpecError, match="the number of rows is an integer >= 0"):
        mx.simulate(SPEC, TRUTH, n)


def test_a_component_column_never_hides_a_column_of_the_specification():
    with pytest.raises(mx.SpecError, match="has a column of that name"):
        mx.simulate(SPEC, TRUTH, 5, component="hit")


def test_wrong_parameters_are_refused_by_name():
    with pytest.raises(mx.SpecError, match="'probability' is missing"):
        mx.simulate(SPEC, {name: value for name, value in TRUTH.items() if name != "probability"}, 5)
    with pytest.raises(mx.SpecError, match="component 1 must be positive definite"):
        mx.simulate(SPEC, {**TRUTH, "covariance": [np.eye(2), -np.eye(2)]}, 5)


def test_rows_of_many_columns_have_their_components_moments_and_take_no_more_memory_than_themselves():
    d, n = 40, 20_000
    rng = np.random.default_rng(0)
    factor = np.tril(0.1 * rng.normal(size=(2, d, d))) + np.eye(d)
    theta = {"mean": rng.normal(size=(2, d)), "covariance": factor @ factor.transpose(0, 2, 1)}
    z = rng.integers(2, size=n)
    tracemalloc.start()
    found = mx.Gaussian(*(f"x{j}" for j in range(d))).draw(z, theta, rng)
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert held < 4 * found.nbytes
    for k in range(2):
        own = found[z == k]
        assert np.abs(own.mean(axis=0) - theta["mean"][k]).max() < 0.08
        assert np.abs(np.cov(own.T) - theta["covariance"][k]).max() < 0.12
