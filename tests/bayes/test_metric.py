"""The mass matrix that chains begin with: where it is dense, what it is, and which one a chain takes."""

import numpy as np
import pymc as pm
import pytest
from pymc.step_methods.hmc.quadpotential import QuadPotentialDiagAdapt

import mixtures as mx
from mixtures.bayes import stack
from mixtures.bayes.chains import chain_starts
from mixtures.bayes.metric import NearestPotential, informed_step, sampled_density
from mixtures.em.program import Program


def step_for(spec: mx.Mixture, data, chains: int = 1, **kwargs) -> tuple[pm.NUTS, Program]:
    rows = spec.rows(data, **kwargs)
    resolved = spec.resolve(rows)
    program = Program(resolved, rows, "map")
    pivot = mx.fit(resolved, rows, estimate="map", rng=1)
    starts = chain_starts(program, pivot.params, chains, np.random.default_rng(1))
    model = mx.compile_pymc(resolved, rows)
    centers = [start.center for start in starts]
    density = sampled_density(model, stack.sampling_mode())
    return informed_step(model, program, centers, density, target_accept=0.9), program


def test_a_single_normal_has_the_textbook_covariance():
    """Means of n rows have variance sigma^2 / n and log standard deviations 1 / (2 n), and they are independent."""
    n = 2000
    x = np.random.default_rng(0).normal(5.0, 3.0, size=n)
    step, program = step_for(mx.Mixture(mx.Gaussian("x"), n_components=1), {"x": x})
    assert isinstance(step.potential, NearestPotential)
    spread = float(np.std(x) / program.groups[0].scale[0])
    found = step.potential.covariance
    np.testing.assert_allclose(np.sort(np.diagonal(found)), sorted([0.5 / n, spread**2 / n]), rtol=0.02)
    assert abs(found[0, 1]) < 0.01 / n


def test_posteriors_that_are_not_normal_adapt_variances():
    """LSAT6's two classes overlap: the posterior is curved (see the notebook on checks)."""
    data = mx.load_dataset("lsat6")
    items = [name for name in data.columns if name != "count"]
    spec = mx.Mixture(mx.Bernoulli(*items), n_components=2)
    assert isinstance(step_for(spec, data, sample_weight="count")[0].potential, QuadPotentialDiagAdapt)


def test_every_chain_has_the_matrix_of_its_own_labels():
    """Components far apart, of different widths: the matrix around shuffled labels is another one."""
    rng = np.random.default_rng(3)
    x = np.concatenate([rng.normal(0.0, 1.0, 300), rng.normal(40.0, 3.0, 900)])
    potential = step_for(mx.Mixture(mx.Gaussian("x"), n_components=2), {"x": x}, chains=12)[0].potential
    assert isinstance(potential, NearestPotential)
    swapped = [
        i for i, center in enumerate(potential.centers) if not np.allclose(center, potential.centers[0], atol=0.1)
    ]
    assert swapped
    potential.update(potential.centers[swapped[0]] + 1e-3, np.zeros(potential.centers.shape[1]), True)
    assert potential.nearest in swapped
    np.testing.assert_allclose(potential.covariance, potential.covariances[swapped[0]], rtol=1e-4, atol=1e-9)
    assert not np.allclose(potential.covariance, potential.covariances[0], rtol=0.2)


@pytest.fixture
def potential() -> NearestPotential:
    a = np.random.default_rng(0).normal(size=(2, 3, 6))
    return NearestPotential(np.array([[0.0, 0.0, 0.0], [9.0, 9.0, 9.0]]), a @ a.transpose(0, 2, 1), rng=5)


def test_momenta_have_the_inverse_covariance_and_their_energy(potential: NearestPotential):
    drawn = np.array([potential.random() for _ in range(20_000)])
    scaled = np.cov(drawn.T) @ potential.covariance
    np.testing.assert_allclose(scaled, np.eye(3), atol=0.06)
    p, v = drawn[0], np.empty(3)
    assert potential.velocity_energy(p, v) == pytest.approx(0.5 * p @ potential.covariance @ p)
    np.testing.assert_allclose(v, potential.covariance @ p)
    assert potential.energy(p) == potential.energy(p, v) == pytest.approx(0.5 * p @ v)


def test_a_chain_keeps_its_matrix_and_the_next_one_begins_anew(potential: NearestPotential):
    fresh, none = potential.sampling_state, np.zeros(3)
    potential.update(np.array([8.0, 9.0, 9.0]), none, True)
    assert potential.nearest == 1
    potential.update(np.zeros(3), none, True)
    assert potential.nearest == 1
    potential.sampling_state = fresh
    assert potential.nearest is None
    np.testing.assert_array_equal(potential.covariance, potential.covariances[0])
    potential.update(np.array([8.0, 9.0, 9.0]), none, False)
    assert potential.nearest is None
