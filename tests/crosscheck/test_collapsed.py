"""More components than the rows bear: a verdict with its reason, and parameters that can be computed with, not an error."""

import numpy as np
import pytest

import mixtures as mx
from mixtures.em.methods import SQUAREM, Run
from mixtures.em.program import Params, Program
from mixtures.em.run import NEARLY_SINGULAR, _arrived
from mixtures.em.status import Status

EIGHT = mx.Mixture(mx.Gaussian("x"), n_components=8)


@pytest.fixture(scope="module")
def rows():
    return {"x": np.random.default_rng(0).normal(size=20)}


def test_a_maximum_likelihood_fit_that_collapses_is_a_verdict(rows, tmp_path):
    with pytest.raises(mx.FitError, match="collapsed"):
        mx.fit(EIGHT, rows, rng=1, starts=4)
    found = mx.cross_check(EIGHT, rows, rng=1, starts=4)
    assert found.verdict.word == "not identified"
    assert found.verdict.deciding == ("identifiability",)
    assert "no maximum likelihood estimate with 8 components" in found.verdict.sentence
    assert "fewer components" in found.verdict.sentence
    assert found.mle.status is Status.COLLAPSING
    assert not found.mle.converged
    assert found.map.converged
    assert found.posterior is None
    assert "highest start, which collapsed" in found.summary()
    found.plot()
    found.to_html(tmp_path / "check.html")


@pytest.mark.parametrize("closed", [1e-12, 1e-20, 1e-200])
def test_an_emptied_component_that_has_closed_in_is_put_to_rest(closed):
    spec = mx.Mixture(mx.Gaussian("x"), n_components=3)
    data = {"x": np.r_[np.linspace(-1, 1, 20), np.linspace(5, 7, 20)]}
    found = mx.fit(mx.Mixture(mx.Gaussian("x"), n_components=2), data, rng=1, starts=3)
    rows = spec.rows(data)
    program = Program(spec.resolve(rows), rows)
    theta = {
        "mean": np.r_[found.point["mean"], [[3.0]]],
        "covariance": np.r_[found.point["covariance"], [[[closed]]]],
    }
    run = Run(program, SQUAREM(), program.to_standard(Params(np.r_[found.point["weights"], 0.0], (theta,))))
    reached = _arrived(run, Status.EMPTIED, 0.0, None, NEARLY_SINGULAR)
    assert reached.kind == "optimum"
    assert np.count_nonzero(reached.p.weights) == 2
    covariance = program.to_data(reached.p).thetas[0]["covariance"][reached.p.weights == 0]
    assert covariance.item() > 0.1
    assert reached.evaluation.log_likelihood == pytest.approx(run.evaluation.log_likelihood, abs=1e-12)
    kept = program.with_emptied_at_rest(run.p, 0.0)
    np.testing.assert_array_equal(kept.thetas[0]["covariance"], run.p.thetas[0]["covariance"])
