"""Climbs that share their steps arrive where each arrives alone, with NumPy's formulas and with kernels."""

import numpy as np
import pytest

import mixtures as mx
from mixtures.em import run, stack
from mixtures.em.passes import VARIABLE
from mixtures.em.program import Params, Program

SPECS = {
    "full": mx.Mixture(mx.Gaussian("x", "y"), n_components=3),
    "product": mx.Mixture(mx.Gaussian("x", "y", structure="diagonal") * mx.Bernoulli("b", "c"), n_components=2),
    "two kinds": mx.Mixture([mx.Gaussian("x", "y")] * 2 + [mx.Gaussian("x", "y", structure="spherical", name="round")]),
}


def table(n: int = 400):
    rng = np.random.default_rng(3)
    z = rng.integers(3, size=n)
    x = np.array([[-2.5, 0.0], [0.0, 2.5], [3.0, 0.0]])[z] + rng.normal(size=(n, 2))
    items = (rng.random((n, 2)) < np.array([0.2, 0.5, 0.8])[z][:, None]).astype(float)
    return {"x": x[:, 0], "y": x[:, 1], "b": items[:, 0], "c": items[:, 1]}


@pytest.mark.parametrize(
    ("name", "estimate", "kernels"),
    [
        ("full", "mle", "always"),
        ("full", "map", "never"),
        ("product", "mle", "never"),
        ("two kinds", "map", "always"),
        pytest.param("product", "map", "always", marks=pytest.mark.slow),
    ],
)
def test_company_changes_no_optimum(name: str, estimate: str, kernels: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(VARIABLE, kernels)
    together, sizes = [], []
    for size in (None, 1):
        with monkeypatch.context() as patch:
            chosen = run.party_size

            def asked(program, method, size=size, chosen=chosen):
                sizes.append(size or chosen(program, method))
                return sizes[-1]

            patch.setattr(run, "party_size", asked)
            together.append(mx.fit(SPECS[name], table(), estimate=estimate, starts=12, rng=1))
    assert sizes[0] >= 4
    assert sizes[1] == 1
    company, alone = together
    assert company.log_likelihood == pytest.approx(alone.log_likelihood, rel=1e-10)
    best = [[one for one in found.optima if one.kind == "optimum"] for found in together]
    assert [one.count for one in best[0]] == [one.count for one in best[1]]
    for mine, theirs in zip(*best, strict=True):
        assert mine.objective == pytest.approx(theirs.objective, rel=1e-9)


@pytest.mark.parametrize(("n", "size"), [(2_000, stack.BETWEEN_PASSES), (200_000, 1)])
def test_climbs_over_many_rows_are_made_alone(n: int, size: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(VARIABLE, "always")
    spec = SPECS["full"]
    rows = spec.rows(table(n))
    assert stack.most_points(Program(spec.resolve(rows), rows)) == size


def test_passes_before_a_point_without_density_are_not_made_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(VARIABLE, "always")
    spec = SPECS["full"]
    rows = spec.rows(table())
    program = Program(spec.resolve(rows), rows)
    sound = program.neutral()
    closed = Params(sound.weights, tuple({**theta, "covariance": 0.0 * theta["covariance"]} for theta in sound.thetas))
    passes, evaluate = [], program.evaluate
    monkeypatch.setattr(program, "evaluate", lambda p: passes.append(p) or evaluate(p))
    three = stack.Stack(program, 3)
    with pytest.raises(stack.DegeneratePointError) as caught:
        three.evaluate(stack.join([sound, sound, closed]))
    assert (caught.value.point, len(caught.value.begun), len(passes)) == (2, 2, 3)
    whole = three.evaluate(stack.join([sound] * 3), caught.value.begun)
    assert len(passes) == 4
    again = three.evaluate(stack.join([sound] * 3))
    np.testing.assert_array_equal(whole.objective, again.objective)
    np.testing.assert_array_equal(whole.mass, again.mass)
