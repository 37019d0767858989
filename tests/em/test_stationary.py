"""What is returned is a stationary point of the density that is promised, judged by scipy's densities alone."""

import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

import mixtures as mx
from mixtures.em.coordinates import Coordinates
from mixtures.em.methods import Run
from mixtures.em.program import Program
from mixtures.em.run import FIRST_FINISH, _ascend, climb
from mixtures.em.starts import StartMaker

STRUCTURES = ["full", "diagonal", "spherical"]
PARTS_OF_A_STANDARD_ERROR = 1e-3


@pytest.fixture(scope="module")
def data():
    frame = mx.load_dataset("old_faithful")
    return frame.assign(even=frame["waiting"] % 2, long=(frame["eruptions"] > 4.3).astype(float))


def log_likelihood(x, p):
    """Of columns eruptions, waiting and, if p has probabilities, even and long."""
    joint = np.log(p["weights"]) + np.stack(
        [stats.multivariate_normal(m, S).logpdf(x[:, :2]) for m, S in zip(p["mean"], p["covariance"], strict=True)],
        axis=1,
    )
    if "probability" in p:
        joint = joint + np.stack([stats.bernoulli(q).logpmf(x[:, 2:]).sum(axis=1) for q in p["probability"]], axis=1)
    return logsumexp(joint, axis=1).sum()


def log_prior(prior, p, structure, tied):
    """The design's priors, on means and (co)variances themselves."""
    total = stats.dirichlet(np.ones(len(p["weights"]))).logpdf(p["weights"])
    mean, scale = np.array(prior.mean), np.array(prior.scale_matrix)
    d = len(mean)
    for k, (m, S) in enumerate(zip(p["mean"], p["covariance"], strict=True)):
        total += stats.multivariate_normal(mean, S / prior.kappa).logpdf(m)
        if tied and k > 0:
            continue
        if structure == "full":
            total += stats.invwishart(prior.nu, scale).logpdf(S)
        elif structure == "diagonal":
            total += stats.invgamma(prior.nu / 2, scale=np.diag(scale) / 2).logpdf(np.diag(S)).sum()
        else:
            total += stats.invgamma(prior.nu / 2, scale=np.trace(scale) / (2 * d)).logpdf(S[0, 0])
    if "probability" in p:
        total += stats.beta(2, 3).logpdf(p["probability"]).sum()
    return total


class Chart:
    """Free coordinates of a point, each in units of about one standard error around it."""

    def __init__(self, point, structure, tied, n):
        self.point, self.structure, self.tied = (
            {name: np.array(value) for name, value in point.items()},
            structure,
            tied,
        )
        self.error = 1 / np.sqrt(n * self.point["weights"])

    def moved(self, name, index, size):
        """The point with one coordinate moved by `size` standard errors."""
        p = {key: value.copy() for key, value in self.point.items()}
        k = index[0]
        step = size * self.error[k]
        if name == "weights":
            p["weights"][k] *= np.exp(step)
            p["weights"] /= p["weights"].sum()
        elif name == "mean":
            p["mean"][index] += step * np.sqrt(p["covariance"][k][index[1], index[1]])
        elif name == "probability":
            odds = p["probability"][index] / (1 - p["probability"][index]) * np.exp(2 * step)
            p["probability"][index] = odds / (1 + odds)
        else:
            factor = np.linalg.cholesky(p["covariance"][k])
            i, j = index[1:]
            factor[i, j] = factor[i, j] * np.exp(step) if i == j else factor[i, j] + step * factor[i, i]
            moved = factor @ factor.T * (np.exp(2 * step) if self.structure == "spherical" else 1.0)
            p["covariance"][slice(None) if self.tied else k] = moved
        return p

    def coordinates(self):
        K, d = self.point["mean"].shape
        yield from (("weights", (k,)) for k in range(K))
        yield from (("mean", (k, j)) for k in range(K) for j in range(d))
        entries = {"full": [(i, j) for i in range(d) for j in range(i + 1)], "diagonal": [(j, j) for j in range(d)]}
        for k in range(1 if self.tied else K):
            yield from (("covariance", (k, *entry)) for entry in entries.get(self.structure, [(0, 0)]))
        if "probability" in self.point:
            yield from (("probability", index) for index in np.ndindex(*self.point["probability"].shape))


class SphericalChart(Chart):
    """All variances move together."""

    def moved(self, name, index, size):
        if name != "covariance":
            return super().moved(name, index, size)
        p = {key: value.copy() for key, value in self.point.items()}
        k = slice(None) if self.tied else index[0]
        p["covariance"][k] = p["covariance"][k] * np.exp(2 * size * self.error[index[0]])
        return p


def is_a_maximum(density, point, structure, tied, n):
    chart = (SphericalChart if structure == "spherical" else Chart)(point, structure, tied, n)
    top, h = density(chart.point), PARTS_OF_A_STANDARD_ERROR
    for name, index in chart.coordinates():
        above, below = density(chart.moved(name, index, h)), density(chart.moved(name, index, -h))
        assert abs(above - below) / (2 * h) < 2e-5, f"{name}{index}: the density rises"
        assert above < top > below, f"{name}{index}: no maximum"


def specification(structure, tied, items=()):
    covariance = mx.Shared() if tied else None
    block = mx.Gaussian("eruptions", "waiting", structure=structure, covariance=covariance)
    return mx.Mixture(block * mx.Bernoulli(*items, probability=mx.Beta(2, 3)) if items else block, n_components=2)


@pytest.mark.parametrize("tied", [False, True], ids=["free", "tied"])
@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("items", [(), ("even", "long")], ids=["gaussian", "product"])
def test_the_map_estimate_is_a_maximum_of_scipys_log_posterior(data, structure, tied, items):
    columns = ["eruptions", "waiting", *items]
    found = mx.fit(specification(structure, tied, items), data, estimate="map", rng=1, starts=5)
    x, prior = data[columns].to_numpy(float), found.resolved.components[0].blocks[0].prior

    def density(p):
        return log_likelihood(x, p) + log_prior(prior, p, structure, tied)

    assert found.status is mx.Status.CONVERGED
    assert found.log_posterior == pytest.approx(density(found.point), abs=1e-8)
    assert found.history[-1] == pytest.approx(found.log_posterior, abs=1e-8)
    is_a_maximum(density, found.point, structure, tied, len(x))


@pytest.mark.parametrize("tied", [False, True], ids=["free", "tied"])
@pytest.mark.parametrize("structure", STRUCTURES)
def test_the_mle_is_a_maximum_of_scipys_log_likelihood(data, structure, tied):
    found = mx.fit(specification(structure, tied), data, rng=1, starts=5)
    x = data[["eruptions", "waiting"]].to_numpy(float)
    assert found.log_likelihood == pytest.approx(log_likelihood(x, found.point), abs=1e-8)
    is_a_maximum(lambda p: log_likelihood(x, p), found.point, structure, tied, len(x))


@pytest.mark.parametrize("method", [mx.EM(), mx.SQUAREM(), mx.SQUAREM(max_passes=20), mx.EM(max_passes=7)], ids=repr)
@pytest.mark.parametrize("estimate", ["mle", "map"])
def test_the_history_ends_with_the_objective_of_what_is_returned(data, estimate, method):
    found = mx.fit(specification("full", False), data, estimate=estimate, method=method, rng=1, starts=3)
    objective = found.log_likelihood if estimate == "mle" else found.log_posterior
    assert found.history[-1] == pytest.approx(objective, abs=1e-9)
    assert found.optima[0].objective == pytest.approx(objective, abs=1e-9)
    program = mx.compile_em(found.specification, data, estimate=estimate)
    assert program.log_likelihood(found.point) == pytest.approx(found.log_likelihood, abs=1e-9)
    again = program.log_likelihood(found.point) + program.log_prior(found.point)
    assert again == pytest.approx(found.log_posterior, abs=1e-9)
    assert found.score(data).sum() == pytest.approx(found.log_likelihood, abs=1e-8)


def test_a_strong_prior_gives_its_mode_and_a_weak_one_the_mle():
    x = np.random.default_rng(1).normal(3.0, 2.0, size=(40, 1))
    mle = mx.fit(mx.Mixture(mx.Gaussian("x"), n_components=1), x).point
    strong = mx.NormalInverseWishart(mean=[-5.0], kappa=1e9, nu=1e9, scale_matrix=[[7e9]])
    pulled = mx.fit(mx.Mixture(mx.Gaussian("x", prior=strong), n_components=1), x, estimate="map").point
    assert pulled["mean"][0, 0] == pytest.approx(-5.0, abs=1e-6)
    assert pulled["covariance"][0, 0, 0] == pytest.approx(7.0, rel=1e-6)
    weak = mx.NormalInverseWishart(mean=[-5.0], kappa=1e-9, nu=1e-9, scale_matrix=[[1e-9]])
    free = mx.fit(mx.Mixture(mx.Gaussian("x", prior=weak), n_components=1), x, estimate="map").point
    assert free["mean"][0, 0] == pytest.approx(mle["mean"][0, 0], rel=1e-8)
    # as nu goes to 0 the divisor stays n + d + 2: a mode in covariance lies below the MLE
    assert free["covariance"][0, 0, 0] == pytest.approx(mle["covariance"][0, 0, 0] * 40 / 43, rel=1e-8)


@pytest.mark.parametrize("seed", [0, 4, 7, 11])
def test_steps_where_information_is_not_positive_definite_rise_and_say_where_they_end(seed):
    spec = mx.Mixture(mx.Bernoulli(*(f"item{j}" for j in range(1, 6))), n_components=3)
    rows = spec.rows(mx.load_dataset("lsat6"), sample_weight="count")
    program = Program(spec.resolve(rows), rows)
    run = Run(program, mx.SQUAREM(), StartMaker.of(program).make("random shares", np.random.default_rng(seed)))
    while len(run.history) < 3 or run.history[-1] - run.history[-2] >= FIRST_FINISH:
        run.method.cycle(run)
    coordinates = Coordinates(program, run.p)
    gradient, information = coordinates.gradient(run.evaluation, run.p), coordinates.information(run.p)
    assert np.linalg.eigvalsh(information)[0] < 0
    begun, height = len(run.history), run.history[-1]
    gradient, information = _ascend(run, coordinates, gradient, information)
    assert run.history[-1] > height
    assert np.all(np.diff(run.history[begun - 1 :]) >= 0)
    np.testing.assert_allclose(gradient, coordinates.gradient(program.evaluate(run.p), run.p), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(information, coordinates.information(run.p))


def test_those_steps_end_on_a_flat_ridge_and_where_passes_do():
    data = {"b0": np.arange(500) % 5 == 0}
    flat = mx.fit(mx.Mixture(mx.Bernoulli("b0"), n_components=2), data, rng=1, starts=10)
    assert flat.n_passes < 10 * 60
    lsat6, items = mx.load_dataset("lsat6"), (f"item{j}" for j in range(1, 6))
    spec, bound = mx.Mixture(mx.Bernoulli(*items), n_components=3), 60
    rows = spec.rows(lsat6, sample_weight="count")
    program = Program(spec.resolve(rows), rows)
    coordinates = 17
    for seed in range(5):
        start = StartMaker.of(program).make("random shares", np.random.default_rng(seed))
        assert climb(program, mx.SQUAREM(max_passes=bound), start).passes <= bound + 2 * (2 * coordinates)


def test_steps_beyond_what_floats_hold_are_not_taken_and_nobody_is_warned():
    spec = mx.Mixture(mx.Gaussian("velocity"), n_components=2)
    rows = spec.rows({"velocity": mx.load_dataset("galaxies").iloc[:, 0]})
    program = Program(spec.resolve(rows), rows)
    p = StartMaker.of(program).make("k-means", np.random.default_rng(1))
    coordinates = Coordinates(program, p)
    here = coordinates.vector(p)
    assert coordinates.reached(here + 500.0 * (np.arange(len(here)) == len(here) - 1)) is None
    back = coordinates.reached(here)
    np.testing.assert_allclose(back.thetas[0]["covariance"], p.thetas[0]["covariance"], rtol=1e-12)


def test_a_climb_that_tries_too_long_a_step_ends_without_a_warning():
    galaxies = mx.load_dataset("galaxies")
    fit = mx.fit(mx.Mixture(mx.Gaussian(galaxies.columns[0]), n_components=6), galaxies, rng=3)
    assert fit.converged
