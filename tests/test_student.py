"""Student's t: against scipy's densities and fit, optimisers that know scipy's density alone, and the edges of df."""

import re

import numpy as np
import pytest
from scipy import integrate, stats
from scipy.optimize import minimize
from scipy.special import logsumexp

import mixtures as mx
from mixtures import GammaPrior, Gaussian, NormalInverseWishart, Shared, StudentT
from mixtures.testing import check_family

TRUTH = {
    "weights": [0.4, 0.6],
    "location": [[0.0, 0.0], [5.0, 2.0]],
    "scale": [[[1.0, 0.5], [0.5, 2.0]], [[2.0, -0.3], [-0.3, 0.5]]],
    "df": [3.0, 8.0],
}


def simulated(n=400, rng=3):
    return mx.simulate(mx.Mixture(StudentT("a", "b"), 2), TRUTH, n, rng=rng, component=None)


def log_f(x, p):
    """Log density (n, K) of rows (n, d), by scipy alone."""
    return np.column_stack(
        [
            stats.multivariate_t(m, s, nu).logpdf(x).reshape(-1)
            for m, s, nu in zip(p["location"], p["scale"], p["df"], strict=True)
        ]
    )


def log_likelihood(x, p):
    return float(logsumexp(log_f(x, p) + np.log(p["weights"]), axis=1).sum())


def unpacked(v, d):
    """Two components from free numbers: logit of the first weight, locations, log-Cholesky factors, log degrees of freedom."""
    size = d * (d + 1) // 2
    w = 1.0 / (1.0 + np.exp(-v[0]))
    location, rest = v[1 : 1 + 2 * d].reshape(2, d), v[1 + 2 * d :]
    scale = []
    for free in rest[: 2 * size].reshape(2, size):
        factor = np.zeros((d, d))
        factor[np.tril_indices(d)] = free
        factor[np.diag_indices(d)] = np.exp(np.diag(factor))
        scale.append(factor @ factor.T)
    return {"weights": [w, 1.0 - w], "location": location, "scale": scale, "df": np.exp(rest[2 * size :])}


def packed(p):
    d = len(p["location"][0])
    factors = []
    for one in p["scale"]:
        factor = np.linalg.cholesky(one)
        factor[np.diag_indices(d)] = np.log(np.diag(factor))
        factors.append(factor[np.tril_indices(d)])
    w = p["weights"]
    return np.r_[np.log(w[0] / w[1]), np.ravel(p["location"]), np.ravel(factors), np.log(p["df"])]


# --- laws and density ---


@pytest.mark.parametrize(
    "block",
    [
        StudentT("a", "b", df=GammaPrior(4, 0.5)),
        StudentT("a", "b", df=9.5),
        StudentT("a", df=Shared(GammaPrior(3, 0.3)), scale=Shared()),
        StudentT("a", "b", df=Shared(), structure="EII"),
        StudentT("a", "b", prior=mx.FraleyRaftery()),
        StudentT("a", "b", prior=NormalInverseWishart([1.0, -2.0], 3.0, 7.0, [[2.0, 0.3], [0.3, 1.0]])),
    ],
    ids=repr,
)
def test_laws_hold_with_priors_fixed_and_shared_values(block):
    check_family(block, rng=4)


@pytest.mark.parametrize(
    "block", [StudentT("a", "b", location=[0.5, -1.0]), StudentT("a", "b", scale=[[1.0, 0.2], [0.2, 2.0]])], ids=repr
)
def test_laws_hold_with_values_that_are_given_in_units(block):
    check_family(block, rng=4, skip=["units_do_not_matter"])


@pytest.mark.parametrize("df", [1.0, 2.7, 200.0])
def test_one_column_is_the_univariate_t(df):
    theta = {"location": np.array([[1.0]]), "scale": np.array([[[4.0]]]), "df": np.array([df])}
    x = np.array([-1e6, -3.0, 1.0, 5.0])
    found = StudentT("a").log_density(x[:, None], theta)[:, 0]
    np.testing.assert_allclose(found, stats.t(df, 1.0, 2.0).logpdf(x), rtol=1e-12)


def test_columns_are_not_independent_where_the_scale_is_diagonal():
    theta = {"location": np.zeros((1, 2)), "scale": np.eye(2)[None], "df": np.array([3.0])}
    found = StudentT("a", "b", structure="diagonal").log_density(np.array([[2.0, 2.0]]), theta)[0, 0]
    assert found == pytest.approx(stats.multivariate_t([0.0, 0.0], np.eye(2), 3.0).logpdf([2.0, 2.0]), rel=1e-12)
    assert found > 2.0 * stats.t(3.0).logpdf(2.0) + 0.1


def test_missing_cells_leave_the_marginal_t():
    data = simulated(300)
    data.loc[::4, "a"] = np.nan
    data.loc[1::5, "b"] = np.nan
    fit = mx.fit(mx.Mixture(StudentT("a", "b"), 2), data, rng=1, starts=6)
    x, p, total = data.to_numpy(), fit.point, 0.0
    for row in x:
        seen = np.flatnonzero(~np.isnan(row))
        if len(seen):
            own = {"location": p["location"][:, seen], "scale": p["scale"][:, seen][:, :, seen], "df": p["df"]}
            total += logsumexp(log_f(row[None, seen], own)[0] + np.log(p["weights"]))
    assert fit.converged
    assert fit.log_likelihood == pytest.approx(total, rel=1e-11)


# --- one component ---


def test_one_column_and_component_is_scipy_s_fit():
    x = stats.t(4.0, 10.0, 2.0).rvs(400, random_state=5)
    fit = mx.fit(mx.Mixture(StudentT("a"), 1), {"a": x}, rng=1)
    df, location, scale = stats.t.fit(x)
    assert fit.log_likelihood >= stats.t(df, location, scale).logpdf(x).sum() - 1e-9
    assert fit.point["df"][0] == pytest.approx(df, rel=1e-3)
    assert fit.point["location"][0, 0] == pytest.approx(location, abs=1e-3)
    assert np.sqrt(fit.point["scale"][0, 0, 0]) == pytest.approx(scale, rel=1e-3)


@pytest.mark.parametrize("prior", [None, NormalInverseWishart([0.3, -0.2], 5.0, 9.0, [[9.0, 0.4], [0.4, 20.0]])])
def test_no_optimiser_finds_anything_above_one_component(prior):
    """With a prior the objective is scipy's log posterior density, which the divisor of the M-step must be right for."""
    x = stats.multivariate_t([1.0, 2.0], [[1.0, 0.3], [0.3, 2.0]], 3.0).rvs(60, random_state=1)
    spec = mx.Mixture(StudentT("a", "b", prior=prior, df=GammaPrior(3.0, 0.4) if prior else None), 1)
    fit = mx.fit(spec, x, rng=1, estimate="map" if prior else "mle")
    df_prior = stats.gamma(3.0, scale=1 / 0.4)

    def objective(v):
        p = unpacked(np.r_[0.0, v[:2], v[:2], v[2:5], v[2:5], v[5], v[5]], 2)
        m, s, nu = p["location"][0], p["scale"][0], p["df"][0]
        value = stats.multivariate_t(m, s, nu).logpdf(x).sum()
        if prior:
            value += stats.multivariate_normal(prior.mean, s / prior.kappa).logpdf(m)
            value += stats.invwishart(prior.nu, np.array(prior.scale_matrix)).logpdf(s)
            value += df_prior.logpdf(nu) - np.log(df_prior.cdf(200.0) - df_prior.cdf(1.0))
        return -value

    best = minimize(objective, [1.0, 2.0, 0.0, 0.0, 0.3, 1.0], method="BFGS", options={"gtol": 1e-5})
    reached = fit.log_posterior if prior else fit.log_likelihood
    assert reached == pytest.approx(-best.fun, abs=1e-7)
    assert fit.point["df"][0] == pytest.approx(np.exp(best.x[5]), rel=1e-3)


# --- mixtures ---


def test_two_components_are_the_maximum_that_optimisers_find():
    data = simulated()
    fit = mx.fit(mx.Mixture(StudentT("a", "b"), 2), data, rng=1, starts=10)
    x = data.to_numpy()
    assert fit.converged
    assert fit.log_likelihood == pytest.approx(log_likelihood(x, fit.point), rel=1e-12)
    rng, start = np.random.default_rng(0), packed(TRUTH)
    found = [
        minimize(
            lambda v: -log_likelihood(x, unpacked(v, 2)), start + spread * rng.standard_normal(13), method="BFGS"
        ).fun
        for spread in (0.0, 0.3)
    ]
    assert fit.log_likelihood == pytest.approx(-min(found), abs=1e-5)


def test_galaxies_against_brute_force():
    """Two t components on the 82 velocities of Roeder (1990); digits from scipy.optimize on scipy.stats from six starts."""
    data = mx.load_dataset("galaxies")
    x = data[["velocity"]].to_numpy()
    spec = mx.Mixture(StudentT("velocity"), 2)
    fit = mx.fit(spec, data, rng=1)

    def objective(v):
        df = 1.0 + 199.0 / (1.0 + np.exp(-np.clip(v[-2:], -40.0, 40.0)))
        return -log_likelihood(x, unpacked(np.r_[v[:-2], np.log(df)], 1))

    unit = np.std(x)
    found = []
    for low, high in ((0.1, 0.55), (0.5, 0.95), (0.4, 0.6)):
        for t in (-4.0, 0.0):
            centres = np.quantile(x, [low, high])
            start = np.r_[0.0, centres, np.log(unit / 2) * np.ones(2), t, t]
            scale = np.r_[1.0, unit, unit, np.ones(4)]
            ends = minimize(
                lambda u, scale=scale: objective(u * scale), start / scale, method="Nelder-Mead",
                options={"maxiter": 6000, "maxfev": 6000, "xatol": 1e-7, "fatol": 1e-9},
            )  # fmt: skip
            p = unpacked(np.r_[(ends.x * scale)[:-2], 0.0, 0.0], 1)
            variances = np.array(p["scale"])[:, 0, 0]
            if variances.min() > 0.005 * np.dot(p["weights"], variances):
                found.append(-ends.fun)
    assert fit.converged
    assert fit.log_likelihood >= max(found) - 1e-5


def test_an_outlier_does_not_move_the_t():
    rng = np.random.default_rng(2)
    x = np.concatenate([rng.normal(0, 1, 200), rng.normal(8, 1, 200)])
    found = {}
    for family in (StudentT, Gaussian):
        name = "location" if family is StudentT else "mean"
        fits = [
            mx.fit(mx.Mixture(family("x"), 2), {"x": rows}, rng=1, starts=20).point[name][:, 0]
            for rows in (x, np.append(x, [60.0, 70.0]))
        ]
        found[family] = np.abs(fits[1] - fits[0]).max()
    assert found[StudentT] < 0.05
    assert found[Gaussian] > 1.0


# --- the edges of df ---


def test_normal_rows_take_df_to_its_upper_limit_which_the_summary_names():
    x = stats.norm.ppf((np.arange(300) + 0.5) / 300)
    fit = mx.fit(mx.Mixture(StudentT("x"), 1), {"x": x}, rng=1)
    assert fit.status is mx.Status.BOUNDARY
    assert fit.converged
    assert fit.point["df"].tolist() == [200.0]
    assert "on an edge: df[0] = 200 (the upper limit: practically normal)" in fit.summary()
    normal = mx.fit(mx.Mixture(Gaussian("x"), 1), {"x": x}, rng=1)
    assert fit.log_likelihood == pytest.approx(normal.log_likelihood, abs=1.0)
    assert fit.log_likelihood < normal.log_likelihood


def test_tails_heavier_than_cauchy_s_take_df_to_its_lower_limit():
    x = np.random.default_rng(1).standard_t(0.5, 200)
    fit = mx.fit(mx.Mixture(StudentT("x"), 1), {"x": x}, rng=1)
    assert fit.point["df"].tolist() == [1.0]
    assert "df[0] = 1 (the lower limit: Cauchy)" in fit.summary()
    location, scale = stats.cauchy.fit(x)
    assert fit.log_likelihood == pytest.approx(stats.cauchy(location, scale).logpdf(x).sum(), abs=1e-5)
    assert re.search(r"\(covariance\[x, x\]\) +inf", fit.summary())


def test_df_of_200_is_close_to_a_gaussian():
    data = mx.load_dataset("old_faithful")
    columns = ("eruptions", "waiting")
    fits = [
        mx.fit(mx.Mixture(block, 2), data, rng=1, starts=10)
        for block in (StudentT(*columns, df=200.0), Gaussian(*columns))
    ]
    np.testing.assert_allclose(fits[0].point["location"], fits[1].point["mean"], rtol=5e-3)
    np.testing.assert_allclose(fits[0].point["scale"] * 200 / 198, fits[1].point["covariance"], rtol=0.05)
    assert fits[0].log_likelihood == pytest.approx(fits[1].log_likelihood, abs=0.5)


def test_one_df_for_all_is_one_parameter():
    spec = mx.Mixture(StudentT("a", "b", df=Shared()), 2)
    data = simulated()
    fit = mx.fit(spec, data, rng=1, starts=8)
    assert fit.point["df"][0] == fit.point["df"][1]
    assert fit.n_parameters() == mx.fit(mx.Mixture(StudentT("a", "b"), 2), data, rng=1, starts=2).n_parameters() - 1
    table = mx.standard_errors(fit, data)
    assert 1.0 < table.loc["df", "lower"] < table.loc["df", "estimate"] < table.loc["df", "upper"] < 200.0


# --- what is shown, written and sampled ---


def test_the_summary_shows_the_covariance_beside_the_scale():
    fit = mx.fit(mx.Mixture(StudentT("x", df=4.0), 1), {"x": np.random.default_rng(0).standard_t(4, 100)}, rng=1)
    block, p = fit.resolved.components[0].blocks[0], fit.point
    ((covariance, value),) = block.derived({name: p[name] for name in ("location", "scale", "df")})
    assert covariance.name == "covariance"
    np.testing.assert_allclose(value, 2.0 * p["scale"], rtol=1e-12)
    assert "(covariance[x, x])" in fit.summary()


def test_default_priors_are_shown_in_numbers():
    resolved = mx.Mixture(StudentT("a", "b"), 2).resolve(simulated(100)).components[0].blocks[0]
    assert resolved.slots["df"] == GammaPrior(2.0, 0.1)
    gaussian = mx.Mixture(Gaussian("a", "b"), 2).resolve(simulated(100)).components[0].blocks[0]
    assert resolved.prior == gaussian.prior


def test_text_form_and_structures_are_canonical():
    block = StudentT("a", "b", structure="EEE", df=Shared(GammaPrior(2, 0.2)), prior=NormalInverseWishart(kappa=0.1))
    spec = mx.Mixture(block, 2)
    assert block.slots["scale"] == Shared()
    assert mx.Mixture.from_toml(spec.to_toml()) == spec
    assert mx.Mixture.from_json(spec.to_json()) == spec
    assert StudentT("a", structure="spherical") == StudentT("a")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"df": 0.5}, r"df must lie in \[1, 200\]; found 0.5"),
        ({"df": 500}, r"df must lie in \[1, 200\]"),
        ({"df": GammaPrior(2, 100)}, r"next to nothing .* of its mass between 1 and 200"),
        ({"structure": "round"}, r"StudentT\(structure='round'\): unknown structure"),
        (
            {"location": 0.0, "scale": 1.0, "prior": mx.FraleyRaftery()},
            "fixed location and scale has nothing to act on",
        ),
        ({"df": mx.Beta(1, 1)}, "is no prior for df"),
    ],
)
def test_what_is_not_legal_is_refused_by_name(arguments, words):
    with pytest.raises(mx.SpecError, match=words):
        StudentT("a", "b", **arguments)


def test_the_steps_of_em_are_described():
    said = mx.Mixture(StudentT("a", "b", df=GammaPrior(2, 0.1)), 2).describe()
    for line in (
        "x_i ~ t(location_k, scale_k, df_k)",
        "u_ik = (df_k + 2) / (df_k + (x_i - location_k)' scale_k^-1 (x_i - location_k))",
        "location_k = (sum_i r_ik u_ik x_i) / (sum_i r_ik u_ik)",
        "scale_k = (sum_i r_ik u_ik (x_i - location_k)(x_i - location_k)') / (sum_i r_ik)",
        "df_k in [1, 200] solves",
        "+ 2 (a - 1) / df_k - 2 b = 0",
    ):
        assert line in said
    tied = mx.Mixture(
        StudentT("a", structure="EEE", df=3, prior=NormalInverseWishart(0.0, 1.0, 3.0, 1.0)), 2
    ).describe()
    assert "sum_l sum_i r_il u_il (x_i - location_l)(x_i - location_l)' + sum_l kappa" in tied
    assert "/ (sum_l sum_i r_il + nu + 4)" in tied


def test_a_truncated_prior_integrates_to_one_and_is_drawn_from():
    domain = StudentT("a").parameters[2].domain
    prior, owner = GammaPrior(2.0, 0.02), [np.array([True])]
    numbers = {name: value[None] for name, value in prior.numbers((), "df").items()}

    def density(df):
        return float(np.exp(prior.log_density([np.array([df])], [domain], numbers, owner)[0]))

    assert integrate.quad(density, 1.0, 200.0)[0] == pytest.approx(1.0, rel=1e-9)
    many = {name: np.repeat(value, 4000) for name, value in numbers.items()}
    drawn = prior.draw([domain], many, [np.arange(4000)], np.random.default_rng(0))[0]
    mean = integrate.quad(lambda df: df * density(df), 1.0, 200.0)[0]
    assert drawn.min() >= 1.0
    assert drawn.max() <= 200.0
    assert drawn.mean() == pytest.approx(mean, abs=4 * drawn.std() / np.sqrt(4000))


def test_a_short_chain_is_drawn():
    found = mx.sample(
        mx.Mixture(StudentT("a", "b", df=Shared()), 2),
        simulated(80),
        draws=20,
        tune=20,
        chains=1,
        rng=1,
        progress=False,
    )
    drawn = np.asarray(found.posterior["df"])
    assert drawn.shape == (1, 20, 2)
    assert np.all((drawn > 1.0) & (drawn < 200.0))
    assert np.all(drawn[..., 0] == drawn[..., 1])


def test_ellipses_hold_their_share_whatever_the_degrees_of_freedom():
    theta = {name: np.array(TRUTH[name]) for name in ("location", "scale")} | {"df": np.array([1.0, 8.0])}
    block = StudentT("a", "b")
    centre, matrix = block.contours(theta, 0.9)
    for j in range(2):
        x = block.draw(np.full(20000, j), theta, np.random.default_rng(1)) - centre[j]
        inside = np.einsum("ni,ij,nj->n", x, np.linalg.inv(matrix[j]), x) <= 1.0
        assert inside.mean() == pytest.approx(0.9, abs=0.01)
