"""Priors are scipy's densities on the named parameters, their gradients are slopes, and their draws follow them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mixtures import Beta, Dirichlet, FraleyRaftery, GammaPrior, Gaussian, Mixture, NormalInverseWishart, SpecError
from mixtures.domains import Covariance, Positive, Real, Shares, Simplex, UnitInterval
from mixtures.priors import default_prior

STRUCTURES = ("full", "diagonal", "spherical")
BOTH = np.array([True, True])
MATRIX = [[2.0, 0.5, 0.1], [0.5, 1.0, -0.2], [0.1, -0.2, 0.7]]
JOINT = NormalInverseWishart(mean=[1.0, -1.0, 0.5], kappa=0.3, nu=6.5, scale_matrix=MATRIX)


def stacked(prior, shape, count=2):
    return {name: np.stack([value] * count) for name, value in prior.numbers(shape, "here").items()}


def log_density(prior, values, domains, owners=None):
    owners = owners or [BOTH] * len(values)
    return prior.log_density(values, domains, stacked(prior, values[0].shape[1:]), owners)


def some_normals(rng, structure, d):
    """Means (2, d) and covariances (2, d, d) of a structure."""
    domain = Covariance(structure)
    free = 0.5 * rng.standard_normal(domain.unconstrain(np.stack([np.eye(d)] * 2)).shape)
    return [rng.standard_normal((2, d)), domain.constrain(free, (d, d))], [Real(), domain]


# --- densities ---


@given(alpha=st.floats(0.2, 9), beta=st.floats(0.2, 9), p=st.floats(0.01, 0.99))
def test_beta_is_the_density_of_scipy(alpha, beta, p):
    found = log_density(Beta(alpha, [beta, 2.0]), [np.array([[p, 0.5], [0.3, p]])], [UnitInterval()])
    expected = stats.beta([alpha, alpha], [beta, 2.0]).logpdf([[p, 0.5], [0.3, p]]).sum(axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


@given(shape=st.floats(0.2, 9), rate=st.floats(0.1, 9), t=st.floats(0.01, 20))
def test_gamma_is_the_density_of_scipy(shape, rate, t):
    found = log_density(GammaPrior(shape, rate), [np.array([[t, 1.0], [2.0, t]])], [Positive()])
    expected = stats.gamma(shape, scale=1 / rate).logpdf([[t, 1.0], [2.0, t]]).sum(axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


@given(alpha=st.lists(st.floats(0.2, 9), min_size=2, max_size=5), seed=st.integers(0, 99))
def test_dirichlet_is_the_density_of_scipy(alpha, seed):
    weights = np.random.default_rng(seed).dirichlet(np.full(len(alpha), 2.0))
    numbers = stacked(Dirichlet(alpha), (len(alpha),), count=1)
    found = Dirichlet(alpha).log_density([weights[None]], [], numbers, [])
    np.testing.assert_allclose(found, stats.dirichlet(alpha).logpdf(weights), rtol=1e-9, atol=1e-9)


def test_dirichlet_on_rows_is_the_product_over_rows_counted_by_owners_and_drawn_by_group():
    prior, rng = Dirichlet([[2.0, 1.0, 3.0], [1.0, 4.0, 1.5]]), np.random.default_rng(1)
    value = rng.dirichlet([2.0, 2.0, 2.0], (2, 2))
    expected = [sum(stats.dirichlet(a).logpdf(p) for a, p in zip(prior.alpha, one, strict=True)) for one in value]
    np.testing.assert_allclose(log_density(prior, [value], [Shares()]), expected, rtol=1e-12)
    once = log_density(prior, [value], [Shares()], [np.array([True, False])])
    np.testing.assert_allclose(once, [expected[0], 0.0], rtol=1e-12)
    numbers = stacked(prior, (2, 3))
    drawn = np.stack([prior.draw([Shares()], numbers, [np.array([0, 1])], rng)[0] for _ in range(4000)])
    mean = np.array(prior.alpha) / np.sum(prior.alpha, axis=1, keepdims=True)
    np.testing.assert_allclose(drawn.mean(axis=(0, 1)), mean, atol=0.01)
    shared = prior.draw([Shares()], numbers, [np.array([0, 0])], rng)[0]
    np.testing.assert_array_equal(shared[0], shared[1])


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("structure", STRUCTURES)
def test_normal_inverse_wishart_is_the_product_of_densities_of_scipy(structure, d):
    prior = NormalInverseWishart(JOINT.mean[:d], 0.3, 6.5, np.array(MATRIX)[:d, :d])
    (mean, sigma), domains = some_normals(np.random.default_rng(d), structure, d)
    scale = np.array(prior.scale_matrix)
    expected = []
    for m, s in zip(mean, sigma, strict=True):
        if structure == "full":
            on_sigma = stats.invwishart(6.5, scale).logpdf(s)
        elif structure == "diagonal":
            on_sigma = stats.invgamma(6.5 / 2, scale=np.diag(scale) / 2).logpdf(np.diag(s)).sum()
        else:
            on_sigma = stats.invgamma(6.5 / 2, scale=np.trace(scale) / (2 * d)).logpdf(s[0, 0])
        expected.append(stats.multivariate_normal(prior.mean, s / 0.3).logpdf(m) + on_sigma)
    np.testing.assert_allclose(log_density(prior, [mean, sigma], domains), expected, rtol=1e-11)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_a_tied_covariance_is_counted_once_and_a_fixed_mean_not_at_all(structure):
    values, domains = some_normals(np.random.default_rng(7), structure, 3)
    values[1][1] = values[1][0]
    first, none = np.array([True, False]), np.array([False, False])
    free = log_density(JOINT, values, domains)
    on_sigma = log_density(JOINT, values, domains, [none, BOTH])
    tied = log_density(JOINT, values, domains, [BOTH, first])
    np.testing.assert_allclose(tied, free - on_sigma * [0.0, 1.0], rtol=1e-12)
    assert log_density(JOINT, values, domains, [none, none]).tolist() == [0.0, 0.0]


# --- slopes ---

ENTRYWISE = [
    (Beta([2.0, 0.7], 3.0), UnitInterval()),
    (Beta(1.0, 1.0), UnitInterval()),
    (GammaPrior([2.0, 0.5], 1.5), Positive()),
    (GammaPrior(1.0, 1.5), Positive()),
]


def slope_by_differences(function, values, domains, position):
    """Slope of the summed log density in the free coordinates of one of the values."""
    domain, value = domains[position], values[position]
    free, step = domain.unconstrain(value), 1e-5
    found = np.zeros_like(free)
    for index in np.ndindex(*free.shape):
        moved = np.zeros_like(free)
        moved[index] = step
        sides = []
        for sign in (1.0, -1.0):
            there = list(values)
            there[position] = domain.constrain(free + sign * moved, value.shape[1:])
            sides.append(function(there).sum())
        found[index] = (sides[0] - sides[1]) / (2 * step)
    return found


@pytest.mark.parametrize(("prior", "domain"), ENTRYWISE, ids=str)
@pytest.mark.parametrize("owners", [[True, True], [True, False]])
def test_the_gradient_of_an_entrywise_prior_is_its_slope(prior, domain, owners):
    values, owners = [np.array([[0.2, 0.6], [0.9, 0.4]])], [np.array(owners)]
    gradient = prior.gradient(values, [domain], stacked(prior, (2,)), owners)[0]
    expected = slope_by_differences(lambda v: log_density(prior, v, [domain], owners), values, [domain], 0)
    np.testing.assert_allclose(domain.pullback(values[0], gradient), expected, atol=1e-7)


def test_the_gradient_of_dirichlet_is_its_slope():
    prior, values = Dirichlet([2.0, 1.0, 0.5]), [np.array([[0.2, 0.5, 0.3]])]
    numbers = stacked(prior, (3,), count=1)
    gradient = prior.gradient(values, [Simplex()], numbers, [np.array([True])])[0]
    expected = slope_by_differences(lambda v: prior.log_density(v, [], numbers, []), values, [Simplex()], 0)
    np.testing.assert_allclose(Simplex().pullback(values[0], gradient), expected, atol=1e-7)


@pytest.mark.parametrize(
    "owners", [([True, True], [True, True]), ([True, True], [True, False]), ([False] * 2, [True] * 2)]
)
@pytest.mark.parametrize("structure", STRUCTURES)
def test_the_gradient_of_normal_inverse_wishart_is_its_slope(structure, owners):
    values, domains = some_normals(np.random.default_rng(3), structure, 3)
    owners = [np.array(one) for one in owners]
    gradient = JOINT.gradient(values, domains, stacked(JOINT, (3,)), owners)
    for position in range(2):
        expected = slope_by_differences(lambda v: log_density(JOINT, v, domains, owners), values, domains, position)
        found = domains[position].pullback(values[position], gradient[position])
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


# --- draws: Kolmogorov-Smirnov against the marginals of scipy, fixed seeds ---

APART, TOGETHER = np.array([0, 1]), np.array([0, 0])


def draws(prior, domains, shape, groups, size=1500):
    rng, numbers = np.random.default_rng(5), stacked(prior, shape)
    return [
        np.stack(each) for each in zip(*(prior.draw(domains, numbers, groups, rng) for _ in range(size)), strict=True)
    ]


def assert_follows(sample, distribution):
    assert stats.kstest(sample, distribution.cdf).pvalue > 1e-3


@pytest.mark.parametrize(
    ("prior", "domain", "marginals"),
    [
        (Beta([2.0, 0.7], 3.0), UnitInterval(), [stats.beta(2.0, 3.0), stats.beta(0.7, 3.0)]),
        (GammaPrior([2.0, 0.5], 1.5), Positive(), [stats.gamma(2.0, scale=1 / 1.5), stats.gamma(0.5, scale=1 / 1.5)]),
    ],
)
def test_draws_of_an_entrywise_prior_follow_it(prior, domain, marginals):
    (apart,), (together,) = (draws(prior, [domain], (2,), [groups]) for groups in (APART, TOGETHER))
    for j, marginal in enumerate(marginals):
        assert_follows(apart[:, 1, j], marginal)
    assert not np.any(apart[:, 0] == apart[:, 1])
    np.testing.assert_array_equal(together[:, 0], together[:, 1])


def test_draws_of_dirichlet_follow_it():
    rng, numbers = np.random.default_rng(5), stacked(Dirichlet([2.0, 1.0, 4.0]), (3,), count=1)
    sample = np.stack([Dirichlet([2.0, 1.0, 4.0]).draw([], numbers, [], rng)[0][0] for _ in range(1500)])
    for k, alpha in enumerate([2.0, 1.0, 4.0]):
        assert_follows(sample[:, k], stats.beta(alpha, 7.0 - alpha))


@pytest.mark.parametrize("structure", STRUCTURES)
def test_draws_of_normal_inverse_wishart_follow_it(structure):
    mean, sigma = draws(JOINT, [Real(), Covariance(structure)], (3,), [APART, APART])
    matrix = np.array(MATRIX)
    for j in range(3):
        if structure == "full":
            marginal = stats.invgamma((6.5 - 2) / 2, scale=matrix[j, j] / 2)
        else:
            share = matrix[j, j] if structure == "diagonal" else np.trace(matrix) / 3
            marginal = stats.invgamma(6.5 / 2, scale=share / 2)
        assert_follows(sigma[:, 1, j, j], marginal)
        standardised = (mean[:, 1, j] - JOINT.mean[j]) / np.sqrt(sigma[:, 1, j, j] / JOINT.kappa)
        assert_follows(standardised, stats.norm())
    assert all(Covariance(structure).problem(one) is None for one in sigma[:20, 0])


def test_components_of_one_group_get_one_covariance_and_their_own_means():
    mean, sigma = draws(JOINT, [Real(), Covariance()], (3,), [APART, TOGETHER], size=20)
    np.testing.assert_array_equal(sigma[:, 0], sigma[:, 1])
    assert not np.any(mean[:, 0] == mean[:, 1])


# --- what they are ---


def test_a_prior_in_other_units_is_the_prior_of_the_moved_columns():
    center, scale = np.array([5.0, 1.0, -2.0]), np.array([2.0, 4.0, 0.5])
    values, domains = some_normals(np.random.default_rng(2), "full", 3)
    numbers = stacked(JOINT, (3,))
    there = [domain.to_standard(value, center, scale) for domain, value in zip(domains, values, strict=True)]
    moved = JOINT.to_standard(numbers, center, scale)
    # d (mean, covariance) of standardised columns: |d z / d x| is 1 / scale for means, 1 / (scale_i scale_j) above
    jacobian = np.log(scale).sum() + 4 * np.log(scale).sum()
    expected = JOINT.log_density(values, domains, numbers, [BOTH, BOTH]) + jacobian
    np.testing.assert_allclose(JOINT.log_density(there, domains, moved, [BOTH, BOTH]), expected, rtol=1e-10)


def test_priors_are_compared_and_printed_by_their_numbers():
    assert Beta(2, [1, 3]) == Beta(2.0, np.array([1.0, 3.0]))
    assert hash(Beta(2, 2)) == hash(Beta(2.0, 2.0))
    for prior in (
        Beta(2, [1, 3]),
        GammaPrior(2),
        GammaPrior(2, 0.5),
        Dirichlet([1, 2]),
        JOINT,
        FraleyRaftery(),
        FraleyRaftery(0.1),
    ):
        assert eval(repr(prior)) == prior
    assert Beta(2, 2) != Beta(2, 3)


def test_open_numbers_are_filled_from_the_rows():
    x, v = np.array([[1.0, 0.0], [4.0, 0.0]]), np.array([3.0, 1.0])
    assert not GammaPrior(2).is_resolved
    assert GammaPrior(2).resolve(x, v) == GammaPrior(2, [1 / 1.75, 1.0])  # a column of zeros: rate 1
    assert GammaPrior(2, 3).resolve(x, v) == GammaPrior(2, 3)
    assert not NormalInverseWishart(kappa=1).is_resolved
    assert not FraleyRaftery().is_resolved
    assert JOINT.is_resolved


@pytest.mark.parametrize(
    ("domain", "prior"),
    [
        (UnitInterval(), Beta(1, 1)),
        (Simplex(), Dirichlet(1)),
        (Positive(), GammaPrior(1)),
        (Real(), None),
        (Covariance(), None),
    ],
)
def test_each_domain_has_its_default_prior(domain, prior):
    assert default_prior(domain) == prior


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Beta(0, 1), r"Beta: alpha must be greater than 0, or the prior is improper; found 0\.0"),
        (lambda: Beta(1, [1, -2]), "Beta: beta must be greater than 0"),
        (lambda: Beta("a", 1), r"Beta\(alpha='a'\): expected a number or an array of finite numbers"),
        (lambda: Beta(None, 1), r"Beta\(alpha=None\): expected a number"),
        (lambda: Beta(True, 1), "expected a number"),
        (lambda: Beta([], 1), "expected a number"),
        (lambda: Beta([[1], [1, 2]], 1), "expected a number"),
        (lambda: GammaPrior(1, np.nan), r"GammaPrior\(rate=nan\): expected .* finite"),
        (lambda: GammaPrior(np.inf), "finite"),
        (lambda: Dirichlet(0), "Dirichlet: alpha must be greater than 0, or the prior is improper"),
        (
            lambda: NormalInverseWishart(kappa=0),
            "kappa must be one number greater than 0, or the posterior is improper",
        ),
        (lambda: NormalInverseWishart(kappa=[1, 2]), "kappa must be one number"),
        (lambda: NormalInverseWishart(nu=-1), "nu must be one number greater than 0"),
        (lambda: NormalInverseWishart(scale_matrix=[[1, np.nan], [np.nan, 1]]), "finite numbers"),
        (lambda: FraleyRaftery(kappa=-1), "FraleyRaftery: kappa must be one number greater than 0"),
    ],
)
def test_numbers_that_make_no_proper_prior_are_refused(make, words):
    with pytest.raises(SpecError, match=words):
        make()


@pytest.mark.parametrize(
    ("prior", "words"),
    [
        (NormalInverseWishart(nu=1), r"Gaussian\('x', 'y'\): .*nu > d - 1 = 1 for 2 columns.* improper; found nu = 1"),
        (
            NormalInverseWishart(scale_matrix=[[1, 2], [2, 1]]),
            "scale_matrix of NormalInverseWishart must be positive definite",
        ),
        (NormalInverseWishart(scale_matrix=[[1, 2], [0, 1]]), "must be symmetric"),
        (NormalInverseWishart(scale_matrix=np.eye(3)), r"scale_matrix of shape \(3, 3\); shape \(2, 2\) is needed"),
        (NormalInverseWishart(mean=[1, 2, 3]), r"mean of shape \(3,\); shape \(2,\) is needed"),
    ],
)
def test_a_joint_prior_that_does_not_fit_its_block_is_refused_where_it_is_written(prior, words):
    with pytest.raises(SpecError, match=words):
        Gaussian("x", "y", prior=prior)


@pytest.mark.parametrize(
    ("prior", "shape"),
    [(Beta(0.5, 2), (2,)), (Beta(2, [1, 0.9]), (2,)), (GammaPrior(0.5, 1), (1,)), (Dirichlet(0.5), (3,))],
)
def test_a_parameter_below_1_has_no_mode_and_says_so(prior, shape):
    assert "(below 1) has no interior mode" in prior.mode_problem(stacked(prior, shape))


def test_priors_with_a_mode_have_no_problem():
    assert Beta(1, 1).mode_problem(stacked(Beta(1, 1), (2,))) is None
    assert JOINT.mode_problem(stacked(JOINT, (3,))) is None


def test_a_dirichlet_needs_one_number_per_component():
    with pytest.raises(SpecError, match=r"Dirichlet has alpha of shape \(2,\); one number or an array of shape \(3,\)"):
        Mixture(Gaussian("x"), 3, weights=Dirichlet([1, 2]))
