"""Every family obeys every law: both are discovered, so a new family or a new law needs no line here."""

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import minimize

from mixtures import (
    Bernoulli,
    Beta,
    Dirichlet,
    Family,
    FraleyRaftery,
    Gaussian,
    Mixture,
    NormalInverseWishart,
    Shared,
    families,
)
from mixtures.em.program import Program
from mixtures.testing import LAWS, Case, variants

FAMILIES = [
    found
    for found in (getattr(families, name) for name in families.__all__)
    if issubclass(found, Family) and found is not Family
]
WITH_PRIORS = [
    Bernoulli("a", "b", probability=Beta([2.0, 3.5], 4)),
    Gaussian("a", "b", prior=FraleyRaftery()),
    Gaussian("a", "b", prior=NormalInverseWishart([1.0, -2.0], 3.0, 7.0, [[2.0, 0.3], [0.3, 1.0]])),
]
BLOCKS = [block for family in FAMILIES for block in variants(family)] + WITH_PRIORS


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("block", BLOCKS, ids=repr)
def test_every_family_obeys_every_law(block, law):
    law(Case.of(block, seed=11))


def scipy_gaussian(x, theta, j):
    return stats.multivariate_normal(theta["mean"][j], theta["covariance"][j]).logpdf(x)


def scipy_bernoulli(x, theta, j):
    return stats.bernoulli(theta["probability"][j]).logpmf(x).sum(axis=1)


def scipy_binomial(x, theta, j):
    trials = 12 if x.max() > 1 else 1  # the numbers of trials that the variants have
    return stats.binom(trials, theta["probability"][j]).logpmf(x).sum(axis=1)


def scipy_exponential(x, theta, j):
    return stats.expon(scale=1.0 / theta["rate"][j]).logpdf(x).sum(axis=1)


def scipy_gamma(x, theta, j):
    return stats.gamma(theta["shape"][j], scale=1.0 / theta["rate"][j]).logpdf(x).sum(axis=1)


def scipy_poisson(x, theta, j):
    return stats.poisson(theta["rate"][j]).logpmf(x).sum(axis=1)


def scipy_student(x, theta, j):
    return stats.multivariate_t(theta["location"][j], theta["scale"][j], theta["df"][j]).logpdf(x)


def scipy_uniform(x, theta, j):
    return stats.uniform(theta["low"][j], theta["high"][j] - theta["low"][j]).logpdf(x).sum(axis=1)


def scipy_categorical(x, theta, j):
    values = range(theta["probability"].shape[2])
    return sum(
        stats.rv_discrete(values=(values, p)).logpmf(column)
        for column, p in zip(x.T, theta["probability"][j], strict=True)
    )


def scipy_labels(x, theta, j):
    """A point mass at the label; of several columns the share of the label's, against the largest."""
    label = int(theta["label"][j])
    if x.shape[1] == 1:
        return stats.randint(label, label + 1).logpmf(x[:, 0])
    return stats.bernoulli(x[:, label] / x[:, theta["label"].astype(int)].max(axis=1)).logpmf(1)


SCIPY = {
    "Labels": scipy_labels,
    "Categorical": scipy_categorical,
    "Bernoulli": scipy_bernoulli,
    "Binomial": scipy_binomial,
    "Exponential": scipy_exponential,
    "Gamma": scipy_gamma,
    "Gaussian": scipy_gaussian,
    "Poisson": scipy_poisson,
    "StudentT": scipy_student,
    "Uniform": scipy_uniform,
}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_density_equals_that_of_scipy(family):
    for block in variants(family):
        case = Case.of(block, seed=5)
        expected = np.column_stack([SCIPY[family.__name__](case.x, case.theta, j).reshape(-1) for j in range(2)])
        np.testing.assert_allclose(block.log_density(case.x, case.theta), expected, rtol=1e-11, atol=1e-11)


def test_density_is_exact_far_from_the_origin():
    x = 1e8 + np.array([[0.0], [1.0], [3.0]])
    theta = {"mean": np.array([[1e8 + 1.0]]), "covariance": np.array([[[4.0]]])}
    expected = stats.norm(1.0, 2.0).logpdf([0.0, 1.0, 3.0])
    np.testing.assert_allclose(Gaussian("x").log_density(x, theta)[:, 0], expected, rtol=1e-14)


@pytest.mark.parametrize(("p", "x", "density", "score"), [(0.0, 0.0, 0.0, -1.0), (1.0, 1.0, 0.0, 1.0)])
def test_probabilities_of_0_and_1_are_legal_where_the_rows_agree(p, x, density, score):
    block, theta, rows = Bernoulli("a"), {"probability": np.array([[p]])}, np.array([[x]])
    assert block.log_density(rows, theta)[0, 0] == density
    assert block.log_density(1.0 - rows, theta)[0, 0] == -np.inf
    S = block.statistics(rows, np.ones((1, 1)), theta)
    assert block.score(S, theta)["probability"][0, 0] == score


# --- the divisors of the posterior scatter: one column of the table in the design each ---

PRIOR = NormalInverseWishart([0.3, -0.2], 0.7, 5.0, [[1.5, 0.4], [0.4, 0.8]])
D, K = 2, 2
DIVISORS = {
    ("full", False): lambda n, nu: n + nu + D + 2,
    ("full", True): lambda n, nu: n.sum() + nu + D + 1 + K,
    ("diagonal", False): lambda n, nu: n + nu + 3,
    ("diagonal", True): lambda n, nu: n.sum() + nu + 2 + K,
    ("spherical", False): lambda n, nu: D * n + nu + 2 + D,
    ("spherical", True): lambda n, nu: D * n.sum() + nu + 2 + K * D,
}


def weighted_rows(rng):
    x = rng.standard_normal((40, D)) @ [[1.0, 0.4], [0.0, 0.8]] + [0.5, 1.0]
    return x, rng.dirichlet((1.0, 1.0), 40)


def m_step(block, x, R, estimate):
    """The M-step of a two-component mixture in data units, through the program."""
    spec = Mixture(block.replace(prior=PRIOR), 2, weights=Dirichlet(1.0))
    program = Program(spec, spec.rows(dict(zip("ab", x.T, strict=True))), estimate)
    return program.to_data(program.from_responsibilities(R)).thetas[0]


def scatter_about(x, r, mean):
    return (r[:, None] * (x - mean)).T @ (x - mean)


@pytest.mark.parametrize(("structure", "tied"), DIVISORS)
def test_map_covariance_is_posterior_scatter_over_the_divisor_of_its_structure(structure, tied):
    x, R = weighted_rows(np.random.default_rng(1))
    block = Gaussian("a", "b", structure=structure, covariance=Shared() if tied else None)
    found = m_step(block, x, R, "map")
    m, kappa, nu, scale = np.array(PRIOR.mean), PRIOR.kappa, PRIOR.nu, np.array(PRIOR.scale_matrix)
    n = R.sum(axis=0)
    mean = (R.T @ x + kappa * m) / (n[:, None] + kappa)
    gaps = mean - m
    scatter = np.stack([scatter_about(x, R[:, j], mean[j]) + kappa * np.outer(gaps[j], gaps[j]) for j in range(K)])
    if tied:
        scatter = np.repeat(scatter.sum(axis=0)[None], K, axis=0)
    if structure == "spherical":
        scatter = np.stack([(np.trace(one) + np.trace(scale) / D) * np.eye(D) for one in scatter])
    else:
        scatter = scatter + scale
    if structure == "diagonal":
        scatter = scatter * np.eye(D)
    expected = scatter / np.broadcast_to(DIVISORS[structure, tied](n, nu), K)[:, None, None]
    np.testing.assert_allclose(found["mean"], mean, rtol=1e-10)
    np.testing.assert_allclose(found["covariance"], expected, rtol=1e-10, atol=1e-14)


def log_posterior(x, R, theta, structure, tied, estimate):
    """Expected complete-data log likelihood, plus the log prior for "map", from scipy's densities alone."""
    value = sum(float(R[:, j] @ scipy_gaussian(x, theta, j)) for j in range(K))
    if estimate == "mle":
        return value
    nu, scale = PRIOR.nu, np.array(PRIOR.scale_matrix)
    for j in range(K):
        sigma = theta["covariance"][j]
        value += stats.multivariate_normal(PRIOR.mean, sigma / PRIOR.kappa).logpdf(theta["mean"][j])
        if j and tied:
            continue
        if structure == "full":
            value += stats.invwishart(nu, scale).logpdf(sigma)
        elif structure == "diagonal":
            value += stats.invgamma(nu / 2, scale=np.diag(scale) / 2).logpdf(np.diag(sigma)).sum()
        else:
            value += stats.invgamma(nu / 2, scale=np.trace(scale) / (2 * D)).logpdf(sigma[0, 0])
    return value


def unpack(vector, structure, tied):
    means, rest = vector[: D * K].reshape(K, D), vector[D * K :]
    covariances = []
    for free in np.repeat(rest[None], K, axis=0) if tied else rest.reshape(K, -1):
        if structure == "full":
            factor = np.array([[np.exp(free[0]), 0.0], [free[1], np.exp(free[2])]])
            covariances.append(factor @ factor.T)
        else:
            covariances.append(np.diag(np.broadcast_to(np.exp(free), D)))
    return {"mean": means, "covariance": np.stack(covariances)}


@pytest.mark.parametrize("estimate", ["mle", "map"])
@pytest.mark.parametrize(("structure", "tied"), DIVISORS)
def test_no_optimiser_finds_anything_above_the_m_step(structure, tied, estimate):
    x, R = weighted_rows(np.random.default_rng(2))
    block = Gaussian("a", "b", structure=structure, covariance=Shared() if tied else None)
    found = m_step(block, x, R, estimate)
    size = {"full": 3, "diagonal": 2, "spherical": 1}[structure] * (1 if tied else K)

    def objective(vector):
        return -log_posterior(x, R, unpack(vector, structure, tied), structure, tied, estimate)

    best = minimize(objective, np.zeros(D * K + size), method="BFGS", options={"gtol": 1e-4})
    assert log_posterior(x, R, found, structure, tied, estimate) >= -best.fun - 1e-7
    theta = unpack(best.x, structure, tied)
    for name in ("mean", "covariance"):
        np.testing.assert_allclose(found[name], theta[name], atol=2e-5)


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 1.0), (3.0, 1.5)])
def test_map_probability_is_the_mode_of_its_beta_posterior(alpha, beta):
    rng = np.random.default_rng(3)
    x, R = (rng.random((30, 2)) < 0.4).astype(float), rng.dirichlet((1.0, 1.0), 30)
    spec = Mixture(Bernoulli("a", "b", probability=Beta(alpha, beta)), 2, weights=Dirichlet(1.0))
    program = Program(spec, spec.rows(x), "map")
    found = program.to_data(program.from_responsibilities(_of_merged(program, x, R))).thetas[0]["probability"]
    ones, zeros = R.T @ x, R.T @ (1.0 - x)
    np.testing.assert_allclose(found, (ones + alpha - 1) / (ones + zeros + alpha + beta - 2), rtol=1e-12)


def _of_merged(program, x, R):
    """Mean responsibilities of the rows that were merged into each distinct row."""
    member = (program.rows.inverse[:, None] == np.arange(len(program.v))).astype(float)
    return (member.T @ R) / program.v[:, None]


@pytest.mark.parametrize("structure", ["full", "diagonal", "spherical"])
def test_a_fixed_mean_drops_the_kappa_term_and_its_share_of_the_divisor(structure):
    x, R = weighted_rows(np.random.default_rng(4))
    block = Gaussian("a", "b", mean=[0.0, 1.0], structure=structure)
    layout, d = block.layout((block, block)), 2
    numbers = {key: np.stack([value] * 2) for key, value in PRIOR.numbers((2,), "").items()}
    theta = {"mean": np.tile([0.0, 1.0], (2, 1)), "covariance": np.stack([np.eye(2)] * 2)}
    S = block.statistics(x, R, theta)
    found = block.maximise(S, theta, layout, {"joint": numbers})["covariance"]
    n, nu, scale = R.sum(axis=0), PRIOR.nu, np.array(PRIOR.scale_matrix)
    divisor = {"full": n + nu + d + 1, "diagonal": n + nu + 2, "spherical": d * n + nu + 2}[structure]
    for j in range(2):
        scatter = scatter_about(x, R[:, j], [0.0, 1.0])
        if structure == "spherical":
            scatter = (np.trace(scatter) + np.trace(scale) / d) * np.eye(d)
        else:
            scatter = (scatter + scale) * (np.eye(d) if structure == "diagonal" else 1.0)
        np.testing.assert_allclose(found[j], scatter / divisor[j], rtol=1e-10, atol=1e-14)


def test_weights_at_the_mode_are_counts_plus_alpha_minus_one():
    x, R = weighted_rows(np.random.default_rng(5))
    spec = Mixture(Gaussian("a", "b", prior=PRIOR), 2, weights=Dirichlet([2.0, 4.0]))
    program = Program(spec, spec.rows(x), "map")
    counts = R.sum(axis=0) + np.array([1.0, 3.0])
    np.testing.assert_allclose(program.from_responsibilities(R).weights, counts / counts.sum(), rtol=1e-12)
