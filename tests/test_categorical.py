"""Categorical columns: against counts, the Bernoulli family, scipy and a known mixture."""

import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

import mixtures as mx
from mixtures import Categorical, Shared
from mixtures.testing import check_family, variants

TRUTH = {
    "weights": [0.4, 0.6],
    "probability": [
        [[0.7, 0.2, 0.1], [0.1, 0.1, 0.8], [0.5, 0.5, 0.0], [0.6, 0.3, 0.1]],
        [[0.1, 0.3, 0.6], [0.6, 0.3, 0.1], [0.1, 0.2, 0.7], [0.0, 0.2, 0.8]],
    ],
}
BLOCK = Categorical("a", "b", "c", "d", categories=3)


@pytest.fixture(scope="module")
def data():
    return mx.simulate(mx.Mixture(BLOCK, 2), TRUTH, 800, rng=1, component=None)


def log_likelihood(x, weights, probability):
    joint = [np.log(w) + np.log(p[np.arange(4), x]).sum(axis=1) for w, p in zip(weights, probability, strict=True)]
    return float(logsumexp(joint, axis=0).sum())


def test_every_law_holds():
    for block in [*variants(Categorical), Categorical("a", "b", categories=3, probability=mx.Dirichlet(2.5))]:
        check_family(block, rng=7)
    check_family(Categorical("a", categories=3, probability=[[0.2, 0.3, 0.5]]), rng=7)


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
def test_em_recovers_a_known_mixture_with_impossible_values(data):
    fit = mx.fit(mx.Mixture(BLOCK, 2), data, rng=1, starts=8)
    assert fit.status is mx.Status.BOUNDARY
    assert fit.n_parameters() == 1 + 2 * 4 * 2
    assert fit.parameters["probability"].dims == ("component", "categorical_column", "categorical_category")
    p = fit.point["probability"][::-1]
    np.testing.assert_allclose(p, TRUTH["probability"], atol=0.06)
    assert p[0, 2, 2] == p[1, 3, 0] == 0.0
    expected = log_likelihood(data.to_numpy().astype(int), fit.point["weights"], fit.point["probability"])
    assert fit.log_likelihood == pytest.approx(expected, rel=1e-12)


def test_two_categories_are_the_bernoulli_family():
    rng = np.random.default_rng(3)
    z = rng.random(300) < 0.4
    items = (rng.random((300, 5)) < np.where(z[:, None], 0.8, 0.25)).astype(float)
    data = dict(zip("abcde", items.T, strict=True))
    one = mx.fit(mx.Mixture(mx.Bernoulli(*"abcde"), 2), data, rng=1, starts=6)
    two = mx.fit(mx.Mixture(Categorical(*"abcde", categories=2), 2), data, rng=1, starts=6)
    assert two.log_likelihood == pytest.approx(one.log_likelihood, rel=1e-12)
    assert two.n_parameters() == one.n_parameters()
    best = {tuple(np.round(p, 5)) for p in one.point["probability"]}
    assert {tuple(np.round(p, 5)) for p in two.point["probability"][:, :, 1]} == best


def test_map_of_one_component_is_counts_plus_alpha_minus_one():
    x, alpha = [0, 2, 2, 1, 2], np.array([2.0, 1.0, 3.0])
    spec = mx.Mixture(Categorical("a", categories=3, probability=mx.Dirichlet(alpha[None])), 1)
    fit = mx.fit(spec, {"a": x}, rng=1, estimate="map")
    mode = (np.bincount(x) + alpha - 1.0) / (5 + alpha.sum() - 3)
    np.testing.assert_allclose(fit.point["probability"][0, 0], mode, rtol=1e-12)
    log_prior = stats.dirichlet(alpha).logpdf(mode)
    assert fit.log_posterior == pytest.approx(np.log(mode[x]).sum() + log_prior, rel=1e-12)


@pytest.mark.parametrize("shared", [False, True])
def test_a_short_chain_lies_on_the_simplex(data, shared):
    block = BLOCK.replace(probability=mx.Dirichlet(2.0))
    if shared:
        block = Categorical("a", "b", "c", categories=3, name="x", probability=Shared(mx.Dirichlet(2.0))) * Categorical(
            "d", categories=3, name="y"
        )
    found = mx.sample(mx.Mixture(block, 2), data, draws=20, tune=20, chains=1, rng=1, progress=False)
    for name in ("x_probability", "y_probability") if shared else ("probability",):
        drawn = np.asarray(found.posterior[name])
        assert drawn.shape[-1] == 3
        np.testing.assert_allclose(drawn.sum(axis=-1), 1.0, rtol=1e-12)
        assert np.all(drawn > 0)


@pytest.mark.slow
def test_cross_check_agrees_at_zeros(data):
    found = mx.cross_check(mx.Mixture(BLOCK, 2), data, rng=1, draws=500, tune=500)
    assert found.verdict.word == "agree", found.summary()
    assert "probability[1, c, 2]" in found.table.index


@pytest.mark.parametrize("categories", [1, 0, 2.0, True, None])
def test_categories_are_an_integer_from_2(categories):
    with pytest.raises(
        mx.SpecError, match=rf"Categorical\('a'\): categories={categories!r}; needed is .* integer >= 2"
    ):
        Categorical("a", categories=categories)


def test_values_and_probabilities_out_of_range_are_refused():
    with pytest.raises(mx.DataError, match=r"Column 'a', row 1: found 3, but Categorical takes integers 0 to 2"):
        mx.fit(mx.Mixture(Categorical("a", categories=3), 1), {"a": [0, 3, 1]})
    with pytest.raises(mx.SpecError, match=r"must sum to 1 in every row \(found 0\.9\)"):
        Categorical("a", categories=3, probability=[[0.2, 0.3, 0.4]])
    with pytest.raises(mx.SpecError, match=r"Dirichlet has alpha of shape \(3,\)"):
        Categorical("a", "b", categories=3, probability=mx.Dirichlet([1, 2, 3]))
