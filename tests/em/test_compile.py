"""`compile_em`: every step of EM by hand is the step that `fit` takes."""

import math
import pickle

import numpy as np
import pandas as pd
import pytest

import mixtures as mx
from mixtures.em.starts import KINDS


@pytest.fixture(scope="module")
def data():
    frame = mx.load_dataset("old_faithful")
    return frame.assign(even=frame["waiting"] % 2)


@pytest.fixture(scope="module")
def em(data):
    return mx.compile_em(mx.Mixture(mx.Gaussian("eruptions", "waiting") * mx.Bernoulli("even"), n_components=2), data)


def test_step_by_step_equals_run(em):
    p = start = em.start(rng=3)
    heights = [em.log_likelihood(p)]
    for _ in range(6):
        p = em.step(p)
        heights.append(em.log_likelihood(p))
    end, history = em.run(start, passes=6)
    np.testing.assert_allclose(history, heights, rtol=1e-12)
    for name in p:
        np.testing.assert_allclose(end[name], p[name], rtol=1e-10)
    assert np.all(np.diff(heights) > 0)


def test_an_e_step_and_an_m_step_make_a_step(em):
    p = em.start(rng=1)
    r = em.e_step(p)
    by_halves, at_once = em.m_step(r), em.step(p)
    for name in at_once:
        np.testing.assert_allclose(by_halves[name], at_once[name], rtol=1e-10)
    assert r.log_likelihood == em.log_likelihood(p)


def test_plain_arrays_of_responsibilities_do_as_well(em):
    p = em.start(rng=1)
    r = em.e_step(p)
    for name, value in em.m_step(np.asarray(r)).items():
        np.testing.assert_allclose(value, em.m_step(r)[name], rtol=1e-8)


def test_the_m_step_is_the_weighted_mean_covariance_and_share(em, data):
    R = np.asarray(em.e_step(em.start(rng=1)))
    p, x = em.m_step(R), data[["eruptions", "waiting"]].to_numpy()
    for k in range(2):
        assert p["weights"][k] == pytest.approx(R[:, k].mean())
        np.testing.assert_allclose(p["mean"][k], np.average(x, axis=0, weights=R[:, k]))
        np.testing.assert_allclose(p["covariance"][k], np.cov(x.T, aweights=R[:, k], ddof=0))
        assert p["probability"][k, 0] == pytest.approx(np.average(data["even"], weights=R[:, k]))


def test_responsibilities_are_one_row_per_row_of_the_data_in_its_order(em, data):
    p = em.start(rng=1)
    r = em.e_step(p)
    assert r.values.shape == (272, 2)
    np.testing.assert_allclose(r.values.sum(axis=1), 1.0)
    shuffled = mx.compile_em(em.specification, data[::-1]).e_step(p)
    np.testing.assert_allclose(shuffled.values, r.values[::-1])


def test_equal_rows_are_not_merged_when_going_step_by_step():
    items = mx.load_dataset("lsat6")
    people = items.loc[items.index.repeat(items["count"])]
    em = mx.compile_em(mx.Mixture(mx.Bernoulli("item1", "item2"), n_components=2), people)
    assert em.e_step(em.start(rng=1)).values.shape == (1000, 2)


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_kind_of_start_is_a_legal_point_in_the_specifications_order(em, kind):
    p = em.start(rng=2, method=kind)
    assert np.isfinite(em.log_likelihood(p))
    assert np.all(np.diff(p["mean"][:, 0]) >= 0)
    assert p["weights"].sum() == pytest.approx(1.0)
    again = em.start(rng=2, method=kind)
    assert all(np.array_equal(p[name], again[name]) for name in p)


def test_run_takes_other_methods(em):
    p = em.start(rng=1)
    fast, history = em.run(p, passes=60, method=mx.SQUAREM())
    slow, _ = em.run(p, passes=60)
    assert em.log_likelihood(fast) >= em.log_likelihood(slow) - 1e-6
    assert np.all(np.diff(history) >= -1e-10)
    _, classification = em.run(p, passes=10, method=mx.HardEM())
    assert np.all(np.diff(classification) >= -1e-10)


def test_a_map_program_climbs_the_log_posterior(data):
    spec = mx.Mixture(mx.Gaussian("eruptions"), n_components=2)
    em = mx.compile_em(spec, data, estimate="map")
    p = em.start(rng=1)
    end, history = em.run(p, passes=20)
    assert history[-1] == pytest.approx(em.log_likelihood(end) + em.log_prior(end), abs=1e-9)
    assert np.all(np.diff(history) > 0)


def test_what_a_fit_returns_does_not_move(em, data):
    found = mx.fit(em.specification, data, rng=1, starts=3)
    moved = em.step(found.point)
    for name in moved:
        np.testing.assert_allclose(moved[name], found.point[name], rtol=1e-7)
    labelled = em.step(found.parameters)
    for name in moved:
        np.testing.assert_array_equal(labelled[name], moved[name])


def test_counts_weigh_the_steps():
    items = mx.load_dataset("lsat6")
    spec = mx.Mixture(mx.Bernoulli("item1", "item2", "item3"), n_components=2)
    counted = mx.compile_em(spec, items, sample_weight="count")
    p = counted.start(rng=1)
    expanded = mx.compile_em(spec, items.loc[items.index.repeat(items["count"])])
    assert counted.log_likelihood(p) == pytest.approx(expanded.log_likelihood(p), abs=1e-9)
    for name, value in counted.step(p).items():
        np.testing.assert_allclose(value, expanded.step(p)[name], rtol=1e-10)


def test_parameters_are_a_light_immutable_mapping(em):
    p = em.start(rng=1)
    assert list(p) == ["weights", "mean", "covariance", "probability"]
    with pytest.raises(ValueError, match="read-only"):
        p["mean"][0, 0] = 1.0
    with pytest.raises(KeyError, match="Did you mean 'weights'"):
        p["wieghts"]
    table = p.to_dataset()
    assert table["mean"].dims == ("component", "gaussian_column")
    assert table["mean"].sel(component=0, gaussian_column="waiting") == p["mean"][0, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mean": None}, "Parameter 'mean' is missing"),
        ({"men": [[0.0], [1.0]]}, "Unknown parameter 'men'. Did you mean 'mean'"),
        ({"mean": [0.0, 1.0]}, r"'mean' has shape \(2,\); \(2, 1\) is needed"),
        ({"weights": [0.7, 0.7]}, r"must sum to 1 \(they sum to 1.4\)"),
        ({"weights": [1.5, -0.5]}, "must not be negative"),
        ({"covariance": [[[1.0]], [[-1.0]]]}, "'covariance' of component 1 must be positive definite"),
        ({"mean": [[0.0], [np.nan]]}, "'mean' of component 1 must not be NaN"),
    ],
)
def test_wrong_parameters_are_refused_by_name(change, message):
    em = mx.compile_em(mx.Mixture(mx.Gaussian("x"), n_components=2), np.arange(9.0)[:, None])
    values = {"weights": [0.5, 0.5], "mean": [[0.0], [5.0]], "covariance": [[[1.0]], [[1.0]]], **change}
    with pytest.raises(mx.SpecError, match=message):
        em.step({name: value for name, value in values.items() if value is not None})


def test_parameters_of_another_specification_are_refused():
    x = np.arange(9.0)[:, None]
    two, three = (mx.compile_em(mx.Mixture(mx.Gaussian("x"), n_components=k), x) for k in (2, 3))
    with pytest.raises(mx.SpecError, match="has shape"):
        two.step(three.start(rng=1))


@pytest.mark.parametrize(
    ("R", "message"),
    [
        (np.full((3, 2), 0.5), r"shape \(3, 2\); \(9, 2\) is needed"),
        (np.full((9, 2), 0.7), "sum to 1"),
        (np.tile([1.5, -0.5], (9, 1)), "non-negative"),
        (np.full((9, 2), np.nan), "non-negative"),
    ],
)
def test_wrong_responsibilities_are_refused(R, message):
    em = mx.compile_em(mx.Mixture(mx.Gaussian("x"), n_components=2), np.arange(9.0)[:, None])
    with pytest.raises(mx.SpecError, match=message):
        em.m_step(R)


def test_an_unknown_kind_of_start_gets_the_nearest_name(em):
    with pytest.raises(mx.SpecError, match="Did you mean 'k-means'"):
        em.start(method="kmeans")


def test_a_step_that_leaves_a_component_without_a_density_says_which(em):
    frame = pd.DataFrame({"x": [0.0, 0.0, 0.0, 1.0, 2.0, 3.0, 4.0]})
    em = mx.compile_em(mx.Mixture(mx.Gaussian("x"), n_components=2), frame)
    R = np.zeros((7, 2))
    R[:3, 0] = R[3:, 1] = 1.0
    with pytest.raises(mx.FitError, match=r"[Cc]omponent 0"):
        em.e_step(em.m_step(R))


def test_parameters_of_a_step_are_the_same_whether_they_are_read_or_handed_on(em):
    p = em.start(rng=2)
    handed_on = em.step(em.step(p))
    read = em.step({name: value.copy() for name, value in em.step(p).items()})
    for name in read:
        np.testing.assert_allclose(handed_on[name], read[name], rtol=1e-12)


def test_parameters_of_a_step_can_be_sent_elsewhere_without_the_rows():
    x = np.random.default_rng(1).normal(size=(100_000, 1))
    p = mx.compile_em(mx.Mixture(mx.Gaussian("x"), n_components=2), x)
    stepped = p.step(p.start(rng=1))
    sent = pickle.dumps(stepped)
    assert len(sent) < x.nbytes / 10
    received = pickle.loads(sent)
    for name in stepped:
        np.testing.assert_array_equal(received[name], stepped[name])
    assert p.log_likelihood(received) == pytest.approx(p.log_likelihood(stepped), rel=1e-13)
    with pytest.raises(ValueError, match="read-only"):
        received["weights"][0] = 1.0


def test_parameters_given_to_two_programs_are_taken_in_the_units_of_each(em, data):
    narrower = mx.compile_em(em.specification, data.iloc[:100])
    p = em.parameters({name: value.copy() for name, value in em.start(rng=1).items()})
    apart = [one.log_likelihood(dict(p)) for one in (em, narrower)]
    assert narrower.log_likelihood(em.start(rng=1)) == pytest.approx(apart[1], rel=1e-13)  # nobody has read it before
    assert [em.log_likelihood(p), narrower.log_likelihood(p)] == pytest.approx(apart, rel=1e-13)
    assert em.log_likelihood(p) == pytest.approx(apart[0], rel=1e-13)


def test_the_log_likelihood_of_many_rows_is_their_exact_sum():
    items = (np.random.default_rng(0).random((1_000_000, 4)) < 0.3).astype(float)
    spec = mx.Mixture(mx.Bernoulli("a", "b", "c", "d"), n_components=2)
    em = mx.compile_em(spec, items)
    p = em.start(rng=1, method="random direction")
    one = np.log(p["weights"]) + items @ np.log(p["probability"]).T + (1.0 - items) @ np.log1p(-p["probability"]).T
    assert em.log_likelihood(p) == pytest.approx(math.fsum(np.logaddexp(*one.T)), rel=1e-13)
