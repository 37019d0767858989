"""Every check can fail: known wrong answers are caught, and the right check catches them."""

import numpy as np
import pytest

import mixtures as mx
from mixtures.crosscheck import check as check_module
from mixtures.crosscheck.checks.stationary import stationarity
from mixtures.crosscheck.evidence import Estimate, Evidence
from mixtures.crosscheck.outcome import CheckStatus
from mixtures.em.program import Program
from mixtures.results import given_fit


def evidence_without_draws(spec, data, parameters):
    rows = spec.rows(data)
    resolved = spec.resolve(rows)
    fit = given_fit(spec, resolved, rows, parameters)
    return Evidence(
        spec,
        resolved,
        rows,
        Estimate(fit, Program(resolved, rows), given=True),
        None,
        None,
        resolved,
        np.random.default_rng(0),
    )


def plateau(old_faithful):
    """scikit-learn's stop on a plateau of the three-component likelihood, after 6 passes at its default tolerance."""
    from sklearn.mixture import GaussianMixture

    found = GaussianMixture(3, random_state=0).fit(old_faithful[["eruptions", "waiting"]])
    assert found.n_iter_ == 6
    assert found.score(old_faithful[["eruptions", "waiting"]]) * len(old_faithful) == pytest.approx(-1126.890, abs=1e-3)
    return {"weights": found.weights_, "mean": found.means_, "covariance": found.covariances_}


def test_a_stop_on_a_plateau_fails_stationarity(old_faithful):
    spec = mx.Mixture(mx.Gaussian("eruptions", "waiting"), n_components=3)
    found = stationarity(evidence_without_draws(spec, old_faithful, plateau(old_faithful)))
    assert found.status is CheckStatus.FAIL, found


def inferior(old_faithful):
    """The published three-component optimum at -1127.0720."""
    spec = mx.Mixture(mx.Gaussian("eruptions", "waiting"), n_components=3)
    fit = mx.fit(spec, old_faithful, rng=0, starts=60)
    record = next(r for r in fit.optima if abs(r.log_likelihood + 1127.0720) < 1e-3)
    np.testing.assert_allclose(np.sort(record.point["weights"]), [0.0893, 0.3558, 0.5548], atol=1e-4)
    return spec, record.point


@pytest.fixture(scope="module")
def three_component_draws(old_faithful):
    spec = mx.Mixture(mx.Gaussian("eruptions", "waiting"), n_components=3)
    return mx.sample(spec, old_faithful, rng=1, draws=200, tune=300, chains=2)


@pytest.mark.slow
def test_an_inferior_optimum_passes_stationarity_and_fails_dominance_by_name(old_faithful, three_component_draws):
    spec, point = inferior(old_faithful)
    assert stationarity(evidence_without_draws(spec, old_faithful, point)).status is CheckStatus.PASS
    found = mx.cross_check(spec, old_faithful, fit=point, posterior=three_component_draws, rng=1)
    assert found["dominance"].status is CheckStatus.FAIL
    assert "-1127.07" in found["dominance"].sentence
    assert found.mle.log_likelihood > -1127.0


def test_a_mixture_of_single_tosses_is_not_identified_before_any_sampling(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("sampled")

    monkeypatch.setattr(check_module, "sample", refuse)
    tosses = {"heads": np.random.default_rng(0).integers(0, 2, 50)}
    found = mx.cross_check(mx.Mixture(mx.Bernoulli("heads"), n_components=2), tosses, rng=1)
    assert found.verdict.word == "not identified"
    assert found.posterior is None
    assert "proven not identified" in found.verdict.sentence


@pytest.fixture(scope="module")
def strong_prior(old_faithful):
    prior = mx.NormalInverseWishart(kappa=50, mean=[2.5, 54.5])
    return mx.Mixture([mx.Gaussian("eruptions", "waiting", prior=prior), mx.Gaussian("eruptions", "waiting")])


@pytest.mark.slow
def test_a_prior_that_moves_a_mean_by_five_posterior_sds_differs_by_location(old_faithful, strong_prior):
    found = mx.cross_check(strong_prior, old_faithful, rng=1, draws=600, tune=400)
    assert found.verdict.word == "differ"
    assert "location" in found.verdict.deciding
    assert found.table["z"].abs().idxmax() == "mean[0, eruptions]"
    assert found.table.loc["mean[0, eruptions]", "z"] < -4.5


def test_draws_under_another_prior_fail_the_density_identity_which_names_the_log_prior(
    old_faithful, two_components, strong_prior
):
    draws = mx.sample(strong_prior, old_faithful, rng=1, draws=50, tune=150, chains=2)
    found = mx.cross_check(two_components, old_faithful, posterior=draws, rng=1)
    assert found["density identity"].status is CheckStatus.FAIL
    assert "log-prior" in found["density identity"].sentence


def test_draws_of_another_model_are_refused(old_faithful, agreeing):
    with pytest.raises(mx.SpecError, match="another model"):
        mx.cross_check(
            mx.Mixture(mx.Gaussian("eruptions", "waiting", structure="diagonal"), 2),
            old_faithful,
            posterior=agreeing.posterior,
            rng=1,
        )


def test_draws_of_other_rows_are_refused(old_faithful, agreeing):
    spec = agreeing.specification
    with pytest.raises(mx.SpecError, match="posterior= was drawn from other rows"):
        mx.cross_check(spec, old_faithful, posterior=agreeing.posterior, sample_weight=np.full(272, 2), rng=1)


def test_a_mixture_without_anything_to_estimate_is_not_sampled():
    spec = mx.Mixture([mx.Gaussian("x", mean=m, covariance=1.0) for m in (0.0, 6.0)], weights="equal")
    with pytest.raises(mx.SpecError, match="every parameter is fixed"):
        mx.sample(spec, {"x": np.r_[0.0, 1.0, 6.0]}, draws=5, tune=5)
