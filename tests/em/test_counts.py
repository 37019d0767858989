"""LSAT6: rows with counts are the same data as rows written out."""

import numpy as np
import pytest

import mixtures as mx


@pytest.fixture(scope="module")
def patterns():
    return mx.load_dataset("lsat6")


@pytest.fixture(scope="module")
def people(patterns):
    return patterns.loc[patterns.index.repeat(patterns["count"])].sample(frac=1.0, random_state=5)


def items(n_components):
    return mx.Mixture(mx.Bernoulli("item1", "item2", "item3", "item4", "item5"), n_components=n_components)


def test_two_classes_have_their_known_log_likelihood_and_classes(patterns):
    found = mx.fit(items(2), patterns, sample_weight="count", rng=1)
    assert found.status is mx.Status.CONVERGED
    assert found.log_likelihood == pytest.approx(-2467.40552, abs=1e-4)
    assert (found.n_rows, found.weighting, found.n_parameters()) == (1000, "counts", 11)
    # flexmix 2.3-18: flexmix(X ~ 1, k = 2, model = FLXMCmvbinary(), control = list(tolerance = 0))
    np.testing.assert_allclose(found.point["weights"], [0.339522944811, 0.660477055189], atol=1e-6)
    expected = [
        [0.846909112193, 0.519479623969, 0.293043686055, 0.602675684459, 0.770766172358],
        [0.963629121164, 0.806424302126, 0.686632398793, 0.845415858825, 0.921011857447],
    ]
    np.testing.assert_allclose(found.point["probability"], expected, atol=1e-6)


@pytest.mark.parametrize("estimate", ["mle", "map"])
def test_patterns_with_counts_and_expanded_rows_give_one_fit(patterns, people, estimate):
    counted = mx.fit(items(2), patterns, sample_weight="count", estimate=estimate, rng=1)
    expanded = mx.fit(items(2), people, estimate=estimate, rng=1)
    assert expanded.log_likelihood == pytest.approx(counted.log_likelihood, abs=1e-9)
    assert expanded.log_posterior == pytest.approx(counted.log_posterior, abs=1e-9)
    assert expanded.bic == pytest.approx(counted.bic, abs=1e-9)
    for name in counted.point:
        np.testing.assert_allclose(expanded.point[name], counted.point[name], rtol=0, atol=1e-6)
    assert [record.count for record in expanded.optima] == [record.count for record in counted.optima]


def test_one_row_per_person_gets_one_responsibility_per_person(patterns, people):
    found = mx.fit(items(2), patterns, sample_weight="count", rng=1, starts=5)
    each = found.responsibilities(people)
    assert each.shape == (1000, 2)
    assert found.score(people).sum() == pytest.approx(found.log_likelihood, abs=1e-8)
    np.testing.assert_array_equal(found.predict(people), each.values.argmax(axis=1))
    np.testing.assert_allclose(each.mean("row"), found.point["weights"], atol=1e-6)


def test_weight_two_is_the_row_twice_and_weight_zero_its_absence():
    rng = np.random.default_rng(2)
    x = np.r_[rng.normal(0, 1, 40), rng.normal(5, 2, 60)][:, None]
    weights = rng.integers(0, 3, size=100)
    spec = mx.Mixture(mx.Gaussian("x"), n_components=2)
    weighted = mx.fit(spec, x, sample_weight=weights, rng=1, starts=10)
    repeated = mx.fit(spec, np.repeat(x, weights, axis=0), rng=1, starts=10)
    assert repeated.log_likelihood == pytest.approx(weighted.log_likelihood, abs=1e-9)
    np.testing.assert_allclose(repeated.point["mean"], weighted.point["mean"], rtol=1e-8)
    np.testing.assert_allclose(repeated.point["covariance"], weighted.point["covariance"], rtol=1e-7)


def test_fractional_weights_scale_the_log_likelihood_and_have_no_bic():
    x = np.random.default_rng(3).normal(size=(50, 1))
    spec = mx.Mixture(mx.Gaussian("x"), n_components=1)
    half = mx.fit(spec, x, sample_weight=np.full(50, 0.5))
    assert half.log_likelihood == pytest.approx(0.5 * mx.fit(spec, x).log_likelihood, rel=1e-12)
    assert half.weighting == "fractional"
    with pytest.raises(mx.FitError, match="sample size"):
        _ = half.bic
    assert "BIC not defined" in half.summary()
