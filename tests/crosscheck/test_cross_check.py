"""The cross-check on real data: it agrees where it should."""

import numpy as np
import pytest

import mixtures as mx
from mixtures.crosscheck.outcome import CheckStatus

ITEMS = ("item1", "item2", "item3", "item4", "item5")


def test_old_faithful_agrees(agreeing):
    assert agreeing.verdict.word == "agree", agreeing.summary()
    assert all(check.status is not CheckStatus.FAIL for check in agreeing.checks)


def test_the_table_has_a_row_per_scalar_parameter_and_the_columns_that_the_design_names(agreeing):
    assert list(agreeing.table.columns) == [
        "component",
        "mle",
        "se",
        "map",
        "mean",
        "sd",
        "lower",
        "upper",
        "mcse",
        "ess",
        "rhat",
        "z",
    ]
    assert len(agreeing.table) == 2 + 4 + 6
    assert agreeing.table.loc["mean[0, waiting]", "mle"] == pytest.approx(54.47852, abs=1e-5)
    assert np.all(agreeing.table["rhat"] < 1.01)


def test_standard_errors_and_posterior_sds_are_of_one_size(agreeing):
    ratio = agreeing.table["se"] / agreeing.table["sd"]
    assert ratio.between(0.75, 1.3).all()


def test_the_density_identity_holds_at_all_kinds_of_points(agreeing):
    numbers = agreeing["density identity"].numbers
    assert numbers["points"] == 2 + 10 + 10 + 5
    assert max(numbers["rows, NumPy"], numbers["rows, Op"], numbers["log prior"]) <= 1e-8


def test_the_summary_leads_with_the_verdict_and_names_every_check(agreeing):
    text = agreeing.summary()
    assert text.startswith("verdict: agree")
    assert all(check.name in text for check in agreeing.checks)
    assert "<pre" in agreeing._repr_html_()


def test_the_same_seed_gives_the_same_cross_check(old_faithful):
    spec = mx.Mixture(mx.Gaussian("waiting"), n_components=2)
    runs = [mx.cross_check(spec, old_faithful, rng=5, draws=20, tune=40, chains=2, starts=3) for _ in range(2)]
    np.testing.assert_array_equal(runs[0].table.to_numpy(), runs[1].table.to_numpy())


def test_a_cross_check_from_parts_equals_its_parts(agreeing, old_faithful, two_components):
    again = mx.cross_check(two_components, old_faithful, fit=agreeing.mle, posterior=agreeing.posterior, rng=1)
    assert again.mle is agreeing.mle
    assert again.posterior is agreeing.posterior
    assert again.verdict.word == "agree"


@pytest.mark.slow
def test_lsat6_agrees_from_patterns_with_counts():
    spec = mx.Mixture(mx.Bernoulli(*ITEMS), n_components=2)
    found = mx.cross_check(spec, mx.load_dataset("lsat6"), sample_weight="count", rng=1)
    assert found.verdict.word == "agree", found.summary()


@pytest.mark.slow
def test_components_30_sds_apart_agree_under_the_default_prior_and_differ_by_the_prior_under_fraley_and_raftery():
    rng = np.random.default_rng(0)
    data = {"x": np.concatenate([rng.normal(0, 1, 60), rng.normal(30, 1, 60)])}
    kind = {"rng": 1}  # the default number of draws: with few, R-hat is above 1.01 by chance now and then
    default = mx.cross_check(mx.Mixture(mx.Gaussian("x"), 2), data, **kind)
    assert default.verdict.word == "agree", default.summary()
    pulled = mx.cross_check(mx.Mixture(mx.Gaussian("x", prior=mx.FraleyRaftery()), 2), data, **kind)
    assert pulled.verdict.word == "differ"
    assert pulled.verdict.deciding[0] == "prior pull"
    assert "prior pulls covariance" in pulled.verdict.sentence


@pytest.mark.parametrize("phase", ["EM, maximum likelihood", "EM, maximum a posteriori"])
def test_an_interrupted_comparison_keeps_its_fits_and_is_inconclusive(phase):
    def interrupt(now, done, total):
        if now == phase and done == 3:
            raise KeyboardInterrupt

    spec = mx.Mixture(mx.Gaussian("eruptions", "waiting"), n_components=2)
    found = mx.cross_check(spec, mx.load_dataset("old_faithful"), rng=1, progress=interrupt)
    assert found.verdict.word == "inconclusive"
    assert found.verdict.deciding == ("interruption",)
    assert found.posterior is None
    assert found.mle.log_likelihood == pytest.approx(-1130.26396, abs=1e-4)
    assert (found.map is None) == (phase == "EM, maximum likelihood")
    assert "interrupted" in found.summary()


def test_interrupted_checks_keep_the_draws_and_can_be_made_again():
    def interrupt(now, done, total):
        if now == "checks" and done == 2:
            raise KeyboardInterrupt

    spec, data = mx.Mixture(mx.Gaussian("eruptions"), n_components=2), mx.load_dataset("old_faithful")
    found = mx.cross_check(spec, data, rng=1, draws=50, tune=50, chains=2, progress=interrupt)
    assert found.verdict.deciding == ("interruption",)
    assert "the draws are kept" in found.checks[0].sentence
    (legend,) = found.plot().legends
    assert [text.get_text() for text in legend.get_texts()] == ["component 0", "component 1", "posterior draws"]
    again = mx.cross_check(spec, data, rng=1, fit=found.mle, posterior=found.posterior)
    assert again.verdict.deciding != ("interruption",)
    assert len(again.checks) == 11


@pytest.mark.slow
def test_a_known_null_beside_an_alternative_agrees_and_is_never_swapped():
    """Local false discovery rates: 5000 z values, weights 0.9 / 0.1, null N(0, 1), alternative N(2.5, 1)."""
    rng = np.random.default_rng(1)
    z = np.where(rng.random(5000) < 0.9, rng.normal(size=5000), 2.5 + rng.normal(size=5000))
    found = mx.cross_check(mx.Mixture([mx.Gaussian("z", mean=0.0, covariance=1.0), mx.Gaussian("z")]), {"z": z}, rng=1)
    assert found.verdict.word == "agree", found.summary()
    assert list(found.table.index) == ["weights[0]", "weights[1]", "mean[1, z]", "covariance[1, z, z]"]
    assert found.table.loc["mean[1, z]", "mle"] == pytest.approx(2.5, abs=0.4)


@pytest.mark.slow
def test_measured_counted_and_binary_columns_agree_together():
    rng = np.random.default_rng(2)
    z = rng.integers(2, size=400)
    data = {
        "height": rng.normal(size=400) + 3.0 * z,
        "smoker": (rng.random(400) < np.where(z, 0.7, 0.2)).astype(float),
        "visits": rng.poisson(np.where(z, 6.0, 1.5)).astype(float),
    }
    spec = mx.Mixture(mx.Gaussian("height") * mx.Bernoulli("smoker") * mx.Poisson("visits"), n_components=2)
    found = mx.cross_check(spec, data, rng=1)
    assert found.verdict.word == "agree", found.summary()
    assert found.table.loc["rate[0, visits]", "mle"] == pytest.approx(1.5, abs=0.3)


@pytest.mark.slow
def test_house_votes_with_missing_votes_agree():
    data = mx.load_dataset("house_votes_84")
    found = mx.cross_check(mx.Mixture(mx.Bernoulli(*data.columns[1:]), n_components=2), data, rng=1)
    assert found.verdict.word == "agree", found.summary()
    assert found.mle.log_likelihood == pytest.approx(-3104.69784, abs=1e-3)
