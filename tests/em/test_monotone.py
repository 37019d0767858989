"""No method's own objective ever falls, on random problems."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mixtures as mx
from mixtures.em import run as em_run
from mixtures.em.methods import EM, SQUAREM, HardEM, Run
from mixtures.em.program import Program
from mixtures.em.run import climb
from mixtures.em.starts import KINDS, StartMaker
from mixtures.errors import DataError

STRUCTURES = ["full", "diagonal", "spherical"]


class Watched(Run):
    """A climb that notes, for every accepted point, the size of the terms that its objective sums: rows, and prior."""

    latest = None

    def accept(self, p, evaluation):
        if not self.history:
            self.sizes = []
            Watched.latest = self
        super().accept(p, evaluation)
        rows, _ = self.method.assign(self.program.log_joint(p))
        prior = abs(self.program.log_prior(p)) if self.program.is_map else 0.0
        self.sizes.append(float(self.program.v @ np.abs(rows)) + prior)


@st.composite
def problems(draw):
    """A specification, data, row weights, an estimate, a method and a start: all that a climb needs."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_gaussian = draw(st.integers(0, 3))
    n_binary = draw(st.integers(0 if n_gaussian else 1, 4))
    k = draw(st.integers(1, 4))
    n = draw(st.integers(2, 80))
    group = rng.integers(k, size=n)
    blocks, columns = [], {}
    if n_gaussian:
        offset = draw(st.sampled_from([0.0, 1.0, 1e4, 1e8]))
        unit = draw(st.sampled_from([1.0, 1e-8, 1e8, 1e-3]))
        spread = draw(st.sampled_from([0.0, 1.0, 4.0, 30.0]))
        rotation = np.linalg.qr(rng.standard_normal((n_gaussian, n_gaussian)))[0]
        x = rng.standard_normal((n, n_gaussian)) * 10 ** rng.uniform(-2, 0, n_gaussian) @ rotation
        x = (x + spread * rng.standard_normal((k, n_gaussian))[group] + offset) * unit
        if draw(st.booleans()):
            x = unit * np.round(x / unit, 1)
        names = [f"x{j}" for j in range(n_gaussian)]
        columns.update(dict(zip(names, x.T, strict=True)))
        tied = mx.Shared() if draw(st.booleans()) else None
        blocks.append(mx.Gaussian(*names, structure=draw(st.sampled_from(STRUCTURES)), covariance=tied))
    if n_binary:
        p = rng.beta(*draw(st.sampled_from([(1.0, 1.0), (0.1, 0.1), (5.0, 1.0)])), size=(k, n_binary))
        names = [f"b{j}" for j in range(n_binary)]
        columns.update(dict(zip(names, (rng.random((n, n_binary)) < p[group]).astype(float).T, strict=True)))
        prior = draw(st.sampled_from([None, mx.Beta(2, 2), mx.Beta(1, 5)]))
        blocks.append(mx.Bernoulli(*names, probability=prior))
    weights = draw(st.sampled_from([None, "equal", mx.Dirichlet(2.0)]))
    spec = mx.Mixture(blocks[0] if len(blocks) == 1 else blocks[0] * blocks[1], n_components=k, weights=weights)
    sample_weight = {
        "none": None,
        "counts": rng.integers(0, 5, size=n).astype(float),
        "fractional": rng.gamma(0.7, size=n) * draw(st.sampled_from([1.0, 1e-3, 1e3])),
    }[draw(st.sampled_from(["none", "counts", "fractional"]))]
    estimate = draw(st.sampled_from(["mle", "map"]))
    method = draw(st.sampled_from([EM(300), SQUAREM(300), HardEM(300)]))
    kind = draw(st.sampled_from(list(KINDS)))
    return spec, columns, sample_weight, estimate, method, kind, rng


def objective_never_falls(problem):
    spec, columns, sample_weight, estimate, method, kind, rng = problem
    try:
        rows = spec.rows(columns, sample_weight=sample_weight)
        program = Program(spec.resolve(rows), rows, estimate)
    except DataError:
        return  # constant, collinear or too few distinct rows: no problem to solve
    start = StartMaker.of(program).make(kind, rng)
    with mock.patch.object(em_run, "Run", Watched):
        end = climb(program, method, start)
    run = Watched.latest
    history, sizes = np.array(run.history), np.array(run.sizes)
    falls = history[:-1] - history[1:]
    allowed = 1e-13 * np.maximum(sizes[:-1], sizes[1:])
    worst = int(np.argmax(falls - allowed)) if len(falls) else 0
    assert np.all(falls <= allowed), (
        f"pass {worst} of {len(falls)}: falls by {falls[worst]}, {allowed[worst]} allowed; {end.kind}"
    )


@settings(max_examples=60)
@given(problems())
def test_no_objective_ever_falls(problem):
    objective_never_falls(problem)


@pytest.mark.slow
@settings(max_examples=1000, suppress_health_check=[HealthCheck.too_slow])
@given(problems())
def test_no_objective_ever_falls_on_1000_problems(problem):
    objective_never_falls(problem)
