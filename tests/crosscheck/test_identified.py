"""What is known of identification before any fitting, and what the checks of draws advise."""

import numpy as np
import pytest

import mixtures as mx
from mixtures.crosscheck.checks import chains
from mixtures.crosscheck.checks.identifiability import from_specification
from mixtures.crosscheck.outcome import CheckStatus


def known(block, k, **options):
    return from_specification(mx.Mixture(block, n_components=k, **options))


@pytest.mark.parametrize("k", [2, 3, 4])
def test_one_binomial_column_identifies_k_components_from_2k_minus_1_trials_on(k):
    enough = known(mx.Binomial("heads", trials=2 * k - 1), k)
    assert enough.status is CheckStatus.PASS
    assert "Identified where components differ in 'heads'" in enough.sentence
    assert "Blischke 1964" in enough.sentence
    few = known(mx.Binomial("heads", trials=2 * k - 2), k)
    assert few.status is CheckStatus.FAIL
    assert few.numbers["proven"]


def test_the_rule_is_true_of_the_map_from_parameters_to_cells():
    """The Jacobian of cell probabilities in weights and probabilities has full rank from 2 K - 1 trials on, and not below."""
    from scipy.stats import binom

    def cells(v, k, trials):
        w = np.append(v[: k - 1], 1 - v[: k - 1].sum())
        return binom.pmf(np.arange(trials + 1)[:, None], trials, v[k - 1 :]) @ w

    for k in (2, 3):
        v = np.r_[np.full(k - 1, 0.8 / k), np.linspace(0.15, 0.8, k)]
        for trials in (2 * k - 2, 2 * k - 1, 2 * k):
            step = 1e-6 * np.eye(len(v))
            slopes = np.array([cells(v + h, k, trials) - cells(v - h, k, trials) for h in step]) / 2e-6
            assert (np.linalg.matrix_rank(slopes, tol=1e-6) == len(v)) == (trials >= 2 * k - 1)


def test_one_column_that_suffices_carries_the_others():
    found = known(mx.Binomial("heads", trials=5) * mx.Bernoulli("a"), 3)
    assert found.status is CheckStatus.PASS
    assert "suffices and, with it, the other columns" in found.sentence
    assert known(mx.Binomial("heads", trials=4) * mx.Bernoulli("a"), 3).status is CheckStatus.WARN


@pytest.mark.parametrize("probability", [mx.Shared(), 0.5])
def test_a_column_in_which_components_are_alike_does_not_suffice(probability):
    block = mx.Binomial("heads", trials=9, probability=probability, name="coin") * mx.Bernoulli("a")
    assert known(block, 2).status is CheckStatus.WARN


def test_components_that_are_fixed_apart_may_differ():
    spec = mx.Mixture([mx.Binomial("heads", trials=3, probability=p) for p in (0.5, 0.7)])
    assert from_specification(spec).status is CheckStatus.PASS


@pytest.mark.parametrize(
    ("divergent", "rhat", "advice"),
    [
        (0.0, 1.3, "more draws and chains (draws=4000, chains=8)"),
        (
            0.005,
            1.3,
            "more draws and chains (draws=4000, chains=8), and smaller steps (target_accept=0.99) because some draws diverged",
        ),
        (0.2, 1.0, "smaller steps (target_accept=0.99)"),
        (0.2, 1.3, "smaller steps (target_accept=0.99), and more draws and chains (draws=4000, chains=8)"),
    ],
)
def test_smaller_steps_are_advised_only_where_draws_diverged(monkeypatch, divergent, rhat, advice):
    class Some:
        draws = object()

    monkeypatch.setattr(chains, "_invariant", lambda evidence: {"log-likelihood": np.zeros((2, 2))})
    monkeypatch.setattr(chains, "_divergent_share", lambda evidence: divergent)
    monkeypatch.setattr(chains, "rhat_rank", lambda value: rhat)
    monkeypatch.setattr(chains, "ess_bulk", lambda value: 1000.0)
    found = chains.sampler(Some())
    assert found.status is CheckStatus.FAIL
    assert found.next_step == advice
