"""The rule by which checks become a verdict."""

import pytest

from mixtures.crosscheck.outcome import Check, CheckStatus, decide

NAMES = ("density identity", "stationarity", "dominance", "modes", "location", "scale", "prior pull")


def passing(**failing):
    names = (
        "identifiability",
        "density identity",
        "stationarity",
        "curvature",
        "dominance",
        "modes",
        "sampler",
        "labels",
        "location",
        "scale",
        "prior pull",
    )
    return [
        Check(
            name,
            "?",
            failing.get(name.replace(" ", "_"), CheckStatus.PASS),
            sentence=f"sentence of {name}.",
            next_step="a step",
        )
        for name in names
    ]


def test_everything_passing_is_agreement():
    assert decide(passing()).word == "agree"


@pytest.mark.parametrize("name", NAMES)
def test_each_deciding_check_alone_makes_the_programs_differ_and_is_named(name):
    verdict = decide(passing(**{name.replace(" ", "_"): CheckStatus.FAIL}))
    assert verdict.word == "differ"
    assert verdict.deciding == (name,)
    assert f"sentence of {name}" in verdict.sentence


def test_a_sampler_that_failed_makes_everything_else_inconclusive():
    verdict = decide(passing(sampler=CheckStatus.FAIL, location=CheckStatus.FAIL, identifiability=CheckStatus.FAIL))
    assert (verdict.word, verdict.deciding) == ("inconclusive", ("sampler",))


def test_singular_information_and_degenerate_draws_mean_not_identified_before_they_mean_different():
    for name in ("curvature", "identifiability"):
        assert decide(passing(**{name: CheckStatus.FAIL}, location=CheckStatus.FAIL)).word == "not identified"


def test_the_priors_pull_is_the_reason_when_it_fails_beside_location():
    verdict = decide(passing(prior_pull=CheckStatus.FAIL, location=CheckStatus.FAIL))
    assert verdict.word == "differ"
    assert verdict.deciding[0] == "prior pull"


def test_a_warning_about_the_prior_is_said_in_an_agreeing_sentence():
    verdict = decide(passing(prior_pull=CheckStatus.WARN))
    assert verdict.word == "agree"
    assert "sentence of prior pull" in verdict.sentence


def test_labels_and_warnings_alone_never_decide():
    assert decide(passing(labels=CheckStatus.FAIL, stationarity=CheckStatus.WARN)).word == "agree"
