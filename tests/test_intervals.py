"""Standard errors and intervals against truths that are computed another way."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.optimize import minimize
from scipy.special import logsumexp

import mixtures as mx
from mixtures import families
from mixtures.em.coordinates import Coordinates
from mixtures.em.program import Program
from mixtures.testing import Case, variants

FAMILIES = [
    found
    for found in (getattr(families, name) for name in families.__all__)
    if issubclass(found, mx.Family) and found is not mx.Family
]
BLOCKS = [block for family in FAMILIES for block in variants(family)]


def hessian(function, here, step=4e-3):
    """Second derivatives of a function, by fourth-order differences of its values alone."""
    m = len(here)

    def crossed(i, j, h):
        a, b = h * (np.arange(m) == i), h * (np.arange(m) == j)
        f = [function(here + s * a + t * b) for s, t in ((1, 1), (1, -1), (-1, 1), (-1, -1))]
        return (f[0] - f[1] - f[2] + f[3]) / (4.0 * h * h)

    found = np.zeros((m, m))
    for i in range(m):
        for j in range(i + 1):
            found[i, j] = found[j, i] = (4.0 * crossed(i, j, step) - crossed(i, j, 2.0 * step)) / 3.0
    return found


def assert_close_as_curvature(found, expected, tolerance=1e-5):
    """Relative to the diagonal, as a correlation is; a direction without information counts as one with 1."""
    scale = np.sqrt(np.maximum(np.abs(np.diag(expected)), 1.0))
    assert np.max(np.abs(found - expected) / np.outer(scale, scale), initial=0.0) < tolerance


# -- the observed information -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("estimate", ["mle", "map"])
@pytest.mark.parametrize("block", BLOCKS, ids=repr)
def test_information_is_minus_the_hessian_of_the_objective(block, estimate):
    case = Case.of(block, seed=5)
    program = case.program(estimate)
    p = case.start(program)
    coordinates = Coordinates(program, p)

    def objective(vector):
        at = coordinates.params(vector)
        prior = program.log_prior(at) if estimate == "map" else 0.0
        return float(program.v @ program.row_log_likelihood(at)) + prior

    expected = -hessian(objective, coordinates.vector(p))
    assert_close_as_curvature(coordinates.information(p), expected)


@pytest.mark.parametrize("block", BLOCKS, ids=repr)
def test_row_scores_are_the_derivatives_of_the_rows_log_densities(block):
    case = Case.of(block, seed=6)
    program = case.program("mle")
    p = case.start(program)
    coordinates = Coordinates(program, p)
    here, scores = coordinates.vector(p), coordinates.row_scores(p)
    for i in range(coordinates.size):
        h = 1e-5 * (np.arange(coordinates.size) == i)
        sides = [program.row_log_likelihood(coordinates.params(here + sign * h)) for sign in (1, -1)]
        np.testing.assert_allclose(scores[:, i], (sides[0] - sides[1]) / 2e-5, rtol=1e-6, atol=1e-6)


def test_row_scores_add_up_to_the_gradient_for_products_missing_cells_and_counts():
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(rng.integers(0, 2, (300, 4)).astype(float), columns=list("abcd"))
    frame.iloc[::7, 1] = np.nan
    frame["x"], frame["v"] = rng.integers(0, 5, 300).astype(float), rng.integers(1, 4, 300)
    frame.loc[::3, "x"] = np.nan
    spec = mx.Mixture(mx.Bernoulli(*"abcd") * mx.Poisson("x"), n_components=2)
    rows = spec.rows(frame, sample_weight="v")
    program = Program(spec.resolve(rows), rows)
    p = program.to_standard(mx.compile_em(spec, frame, sample_weight="v").start(rng=1).params())
    coordinates = Coordinates(program, p)
    np.testing.assert_allclose(
        program.v @ coordinates.row_scores(p), coordinates.gradient(program.evaluate(p), p), atol=1e-9
    )


# -- standard errors --------------------------------------------------------------------------------------------------

TRUTH = {"weights": [0.4, 0.6], "mean": [[0.0], [4.0]], "covariance": [[[1.0]], [[1.0]]]}
TWO = mx.Mixture(mx.Gaussian("x"), n_components=2)
LABELS = ["weights[0]", "weights[1]", "mean[0, x]", "mean[1, x]", "covariance[0, x, x]", "covariance[1, x, x]"]


@pytest.fixture(scope="module")
def two():
    data = mx.simulate(TWO, TRUTH, 400, rng=1, component=None)
    return mx.fit(TWO, data, starts=[TRUTH]), data


def two_log_likelihood(x, p):
    """Of (weight, mean, mean, variance, variance) in the parameters' own units, by scipy's densities."""
    w, means, sds = np.array([p[0], 1.0 - p[0]]), p[1:3], np.sqrt(p[3:5])
    return logsumexp(np.log(w) + stats.norm(means, sds).logpdf(x[:, None]), axis=1).sum()


def natural(fit):
    p = fit.point
    return np.concatenate([p["weights"][:1], p["mean"].ravel(), p["covariance"].ravel()])


def test_standard_errors_are_those_of_scipys_log_likelihood(two):
    fit, data = two
    x, at = data["x"].to_numpy(), natural(fit)
    covariance = np.linalg.inv(-hessian(lambda p: two_log_likelihood(x, p), at, step=1e-3))
    table = mx.standard_errors(fit, data)
    assert list(table.index) == LABELS
    expected = np.sqrt(np.diag(covariance))[[0, 0, 1, 2, 3, 4]]
    np.testing.assert_allclose(table["standard_error"], expected, rtol=1e-5)
    z = stats.norm.ppf(0.975)
    np.testing.assert_allclose(
        np.log(table["upper"][4:] / table["lower"][4:]), 2 * z * expected[4:] / at[3:], rtol=1e-5
    )
    np.testing.assert_allclose(table["upper"].iloc[2] - table["lower"].iloc[2], 2 * z * expected[2], rtol=1e-5)
    logit = np.log(1 / (1 / table.loc["weights[0]"] - 1))
    assert logit["upper"] - logit["lower"] == pytest.approx(2 * z * expected[0] / (at[0] * (1 - at[0])), rel=1e-5)
    plain = mx.standard_errors(fit, data, scale="plain", level=0.9)
    np.testing.assert_allclose(plain["upper"] - plain["estimate"], stats.norm.ppf(0.95) * expected, rtol=1e-5)


def test_sandwich_is_that_of_scipys_row_densities(two):
    fit, data = two
    x, at, step = data["x"].to_numpy(), natural(fit), 1e-5
    bread = np.linalg.inv(-hessian(lambda p: two_log_likelihood(x, p), at, step=1e-3))
    moves = step * np.eye(5)
    scores = np.array(
        [
            [(two_log_likelihood(one, at + h) - two_log_likelihood(one, at - h)) / (2 * step) for h in moves]
            for one in x[:, None]
        ]
    )
    expected = np.sqrt(np.diag(bread @ scores.T @ scores @ bread))[[0, 0, 1, 2, 3, 4]]
    found = mx.standard_errors(fit, data, method="sandwich")["standard_error"]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_sandwich_of_one_normal_component_has_a_closed_form():
    x = np.random.default_rng(4).standard_t(6, size=250) * 3.0 + 1e6
    spec = mx.Mixture(mx.Gaussian("x"), n_components=1)
    fit = mx.fit(spec, {"x": x}, rng=1)
    away = x - x.mean()
    variance, fourth, n = np.mean(away**2), np.mean(away**4), len(x)
    robust = mx.standard_errors(fit, {"x": x}, method="sandwich")["standard_error"]
    np.testing.assert_allclose(robust, [np.sqrt(variance / n), np.sqrt((fourth - variance**2) / n)], rtol=1e-6)
    naive = mx.standard_errors(fit, {"x": x})["standard_error"]
    np.testing.assert_allclose(naive, [np.sqrt(variance / n), variance * np.sqrt(2 / n)], rtol=1e-6)


def test_sandwich_of_fractional_weights_squares_them_row_by_row():
    rng = np.random.default_rng(5)
    x, v = np.round(rng.normal(size=120), 1), rng.uniform(0.2, 3.0, 120)
    fit = mx.fit(mx.Mixture(mx.Gaussian("x"), n_components=1), {"x": x, "v": v}, sample_weight="v", rng=1)
    mean = np.average(x, weights=v)
    found = mx.standard_errors(fit, {"x": x, "v": v}, method="sandwich", sample_weight="v")["standard_error"].iloc[0]
    assert found == pytest.approx(np.sqrt(np.sum((v * (x - mean)) ** 2)) / v.sum(), rel=1e-6)
    with pytest.raises(mx.DataError, match=r"not integer.*sandwich"):
        mx.standard_errors(fit, {"x": x, "v": v}, sample_weight="v")


@pytest.mark.parametrize("method", ["information", "sandwich"])
def test_counts_are_persons(method):
    x = np.array([0.0, 1.0, 2.5, 4.0, 5.0, 7.0])
    counts = np.array([3, 5, 2, 4, 6, 2])
    spec = mx.Mixture(mx.Gaussian("x"), n_components=1)
    grouped = mx.fit(spec, {"x": x, "n": counts}, sample_weight="n", rng=1)
    single = mx.fit(spec, {"x": np.repeat(x, counts)}, rng=1)
    a = mx.standard_errors(grouped, {"x": x, "n": counts}, sample_weight="n", method=method)
    b = mx.standard_errors(single, {"x": np.repeat(x, counts)}, method=method)
    np.testing.assert_allclose(a, b, rtol=1e-8)


def test_every_label_of_a_rich_specification_has_an_interval_inside_the_parameter_space():
    rng = np.random.default_rng(6)
    z = rng.integers(0, 2, 300)
    frame = pd.DataFrame(rng.normal(size=(300, 2)) + 3.0 * z[:, None], columns=["x", "y"])
    frame["hit"] = (rng.random(300) < np.where(z, 0.95, 0.2)).astype(float)
    block = mx.Gaussian("x", "y", covariance=mx.Shared()) * mx.Bernoulli("hit")
    fit = mx.fit(mx.Mixture(block, n_components=2), frame, starts=5, rng=1)
    table = mx.standard_errors(fit, frame)
    assert table.notna().all(axis=None)
    assert (table["lower"] < table["estimate"]).all()
    assert (table["estimate"] < table["upper"]).all()
    bounded = table[table.index.str.startswith(("weights", "probability"))]
    assert ((bounded["lower"] > 0) & (bounded["upper"] < 1)).all()
    assert "covariance[y, x]" in table.index


def test_a_map_fit_has_the_information_of_its_log_posterior():
    rng = np.random.default_rng(7)
    hits = (rng.random(40) < 0.3).astype(float)
    spec = mx.Mixture(mx.Bernoulli("hit", probability=mx.Beta(4, 4)), n_components=1)
    fit = mx.fit(spec, {"hit": hits}, estimate="map", rng=1)
    a, b = hits.sum() + 3.0, (1 - hits).sum() + 3.0
    table = mx.standard_errors(fit, {"hit": hits})
    assert table.attrs["information"] == "log posterior density"
    assert table["standard_error"].iloc[0] == pytest.approx(np.sqrt(a * b / (a + b) ** 3), rel=1e-6)


def test_a_probability_at_an_edge_has_no_standard_error_and_the_others_do():
    rng = np.random.default_rng(8)
    frame = pd.DataFrame({"a": np.ones(60), "b": (rng.random(60) < 0.4).astype(float)})
    fit = mx.fit(mx.Mixture(mx.Bernoulli("a", "b"), n_components=1), frame, rng=1)
    with pytest.warns(mx.MixtureWarning, match=r"probability\[0, a\].*edge"):
        table = mx.standard_errors(fit, frame)
    assert np.isnan(table.loc["probability[0, a]", "standard_error"])
    p = frame["b"].mean()
    assert table.loc["probability[0, b]", "standard_error"] == pytest.approx(np.sqrt(p * (1 - p) / 60), rel=1e-6)


# -- the delta method -------------------------------------------------------------------------------------------------


def test_delta_method_of_log_variance_and_of_the_parameters_themselves(two):
    fit, data = two
    table = mx.standard_errors(fit, data)
    found = mx.delta_method(fit, data, lambda p: np.log(p["covariance"][:, 0, 0]))
    rows = table.loc[LABELS[4:]]
    np.testing.assert_allclose(found.standard_error, rows["standard_error"] / rows["estimate"], rtol=1e-6)
    np.testing.assert_allclose(np.exp(found.upper), rows["upper"], rtol=1e-6)
    same = mx.delta_method(fit, data, lambda p: p["mean"].values, level=0.5)
    assert same.estimate.shape == (2, 1)
    np.testing.assert_allclose(same.standard_error.ravel(), table.loc[LABELS[2:4], "standard_error"], rtol=1e-8)
    assert "0." in repr(same)


def test_delta_method_of_a_scalar_is_a_float_and_of_a_sum_of_weights_exact(two):
    fit, data = two
    found = mx.delta_method(fit, data, lambda p: p["weights"].sum(), method="sandwich")
    assert isinstance(found.estimate, float)
    assert found.estimate == pytest.approx(1.0)
    assert found.standard_error == pytest.approx(0.0, abs=1e-10)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda p: "many", "returned 'many'"),
        (lambda p: float("nan"), "finite numbers"),
        (3.0, "a function of the parameters"),
    ],
)
def test_functions_that_cannot_be_differentiated_are_refused(two, function, message):
    with pytest.raises(mx.SpecError, match=message):
        mx.delta_method(*two, function)


def test_a_function_whose_shape_changes_is_refused(two):
    fit, data = two
    middle = float(fit.point["mean"][0, 0])
    with pytest.raises(mx.SpecError, match="one shape"):
        mx.delta_method(fit, data, lambda p: np.zeros(1 if float(p["mean"][0, 0]) >= middle else 2))


# -- profiles ---------------------------------------------------------------------------------------------------------


def profile_by_brute_force(x, at, index, value):
    """The log-likelihood maximised over the other four of (weight, means, variances), without derivatives."""
    others = [i for i in range(5) if i != index]

    def height(free):
        p = at.copy()
        p[others], p[index] = free, value
        p[0] = 1 / (1 + np.exp(-p[0])) if index != 0 else p[0]
        p[3:] = [np.exp(v) if i != index else v for i, v in enumerate(p[3:], 3)]
        return -two_log_likelihood(x, p)

    start = at.copy()
    start[0] = np.log(at[0] / (1 - at[0]))
    start[3:] = np.log(at[3:])
    found = minimize(
        height, start[others], method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-9, "maxiter": 4000}
    )
    return -found.fun


@pytest.mark.parametrize(("label", "index"), [("weights[0]", 0), ("mean[1, x]", 2), ("covariance[0, x, x]", 3)])
def test_profile_interval_ends_where_the_constrained_maximum_has_fallen_by_half_the_quantile(two, label, index):
    fit, data = two
    found = mx.profile_interval(fit, data, label)
    x, at = data["x"].to_numpy(), natural(fit)
    for end in (found.lower, found.upper):
        fallen = fit.log_likelihood - profile_by_brute_force(x, at, index, end)
        assert fallen == pytest.approx(0.5 * stats.chi2(1).ppf(0.95), abs=1e-5)
    assert found.lower < found.estimate < found.upper
    assert found.curve["value"].is_monotonic_increasing
    assert found.curve["signed_root"].is_monotonic_increasing
    assert found.curve["log_likelihood"].max() == pytest.approx(fit.log_likelihood)


def test_profile_interval_of_one_mean_has_a_closed_form():
    x = np.random.default_rng(9).normal(1e7, 3.0, 60)
    fit = mx.fit(mx.Mixture(mx.Gaussian("x"), n_components=1), {"x": x}, rng=1)
    found = mx.profile_interval(fit, {"x": x}, "mean[0, x]", level=0.9)
    reach = x.std() * np.sqrt(np.expm1(stats.chi2(1).ppf(0.9) / 60))
    np.testing.assert_allclose([found.estimate - found.lower, found.upper - found.estimate], reach, rtol=1e-6)


def test_profile_intervals_do_not_depend_on_units(two):
    fit, data = two
    far = {"x": 1e6 + 4096.0 * data["x"].to_numpy()}
    truth = TRUTH | {"mean": [[1e6], [1e6 + 4 * 4096.0]], "covariance": [[[4096.0**2]], [[4096.0**2]]]}
    other = mx.fit(TWO, far, starts=[truth])
    here, there = mx.profile_interval(fit, data, "mean[0, x]"), mx.profile_interval(other, far, "mean[0, x]")
    np.testing.assert_allclose(
        [(e - 1e6) / 4096.0 for e in (there.lower, there.upper)], [here.lower, here.upper], atol=1e-7
    )


def test_a_side_on_which_the_likelihood_never_falls_low_enough_ends_at_the_edge():
    """A component of few rows: without it the likelihood falls by less than the quantile asks for."""
    x = np.concatenate([np.random.default_rng(13).normal(size=80), [2.4, 2.6]])
    fit = mx.fit(
        mx.Mixture([mx.Gaussian("x", mean=0.0, covariance=1.0), mx.Gaussian("x", mean=2.5, covariance=1.0)]), {"x": x}
    )
    found = mx.profile_interval(fit, {"x": x}, "weights[1]")
    zero = stats.norm.logpdf(x).sum()
    assert fit.log_likelihood - zero < 0.5 * stats.chi2(1).ppf(0.95)
    assert found.lower == 0.0
    assert 0 < found.upper < 1


def test_profile_intervals_of_weights_mirror_each_other(two):
    fit, data = two
    one, other = (mx.profile_interval(fit, data, f"weights[{k}]") for k in (0, 1))
    assert one.lower == pytest.approx(1 - other.upper, abs=1e-7)
    assert one.upper == pytest.approx(1 - other.lower, abs=1e-7)


def test_profile_of_an_unknown_parameter_names_the_nearest(two):
    fit, data = two
    with pytest.raises(mx.SpecError, match=r"Did you mean 'mean\[0, x\]'"):
        mx.profile_interval(fit, data, "means[0, x]")


def test_profile_of_a_map_fit_or_of_an_edge_is_refused(two):
    _, data = two
    fit = mx.fit(TWO, data, starts=[TRUTH], estimate="map")
    with pytest.raises(mx.FitError, match="estimate='map'"):
        mx.profile_interval(fit, data, "weights[0]")
    frame = pd.DataFrame({"a": np.ones(60), "b": np.resize([0.0, 1.0, 1.0], 60)})
    edge = mx.fit(mx.Mixture(mx.Bernoulli("a", "b"), n_components=1), frame, rng=1)
    at_edge = pytest.raises(mx.FitError, match=r"probability\[0, a\] is at the edge")
    with pytest.warns(mx.MixtureWarning, match="held there"), at_edge:
        mx.profile_interval(edge, frame, "probability[0, a]")


# -- the bootstrap ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["parametric", "weighted"])
def test_bootstrap_standard_errors_are_near_those_of_the_information(two, kind):
    fit, data = two
    found = mx.bootstrap(fit, data, kind=kind, draws=150, rng=2)
    expected = mx.standard_errors(fit, data)
    np.testing.assert_allclose(found.standard_errors, expected["standard_error"], rtol=0.25)
    np.testing.assert_allclose(found.draws.mean(), expected["estimate"], atol=3 * expected["standard_error"].max() / 12)
    intervals = found.intervals()
    assert list(intervals.index) == LABELS
    assert (intervals["lower"] < intervals["estimate"]).all()
    assert found.n_failures + len(found.draws) == 150
    assert not found.interrupted


def test_bootstrap_is_reproducible_and_a_longer_run_begins_alike(two):
    fit, data = two
    short, long = (mx.bootstrap(fit, data, kind="weighted", draws=n, rng=7).draws for n in (3, 6))
    pd.testing.assert_frame_equal(short, long.iloc[:3])


def test_bootstrap_matches_components_that_the_ordering_rule_would_swap():
    """Means in the first column are almost equal, so that the order by them changes from draw to draw."""
    spec = mx.Mixture(mx.Gaussian("x", "y"), n_components=2)
    truth = {"weights": [0.5, 0.5], "mean": [[0, 0], [0.05, 6]], "covariance": [np.eye(2)] * 2}
    data = mx.simulate(spec, truth, 200, rng=3, component=None)
    fit = mx.fit(spec, data, starts=[truth])
    found = mx.bootstrap(fit, data, draws=40, rng=3).draws
    gap = np.sign(found["mean[1, y]"] - found["mean[0, y]"])
    assert (gap == gap.iloc[0]).all()
    order = np.sign(found["mean[1, x]"] - found["mean[0, x]"])
    assert set(order) == {-1.0, 1.0}


def test_weighted_bootstrap_treats_counts_as_persons():
    x, counts = np.array([0.0, 1.0]), np.array([30, 10])
    fit = mx.fit(mx.Mixture(mx.Bernoulli("x"), n_components=1), {"x": x, "n": counts}, sample_weight="n", rng=1)
    found = mx.bootstrap(fit, {"x": x, "n": counts}, kind="weighted", draws=400, rng=1, sample_weight="n")
    beta = stats.beta(10, 30)  # shares of a Dirichlet with one 1 per person
    assert stats.kstest(found.draws["probability[0, x]"], beta.cdf).pvalue > 0.01


def test_failed_refits_are_counted_by_status():
    rng = np.random.default_rng(11)
    x = np.concatenate([rng.normal(size=12), [5.0, 5.01, 5.03]])
    fit = mx.fit(mx.Mixture(mx.Gaussian("x"), n_components=2), {"x": x}, starts=10, rng=1, threshold=1e-6)
    found = mx.bootstrap(fit, {"x": x}, draws=60, rng=1)
    assert found.n_failures > 0
    assert len(found.draws) + found.n_failures == 60
    assert all(not status.converged for status in found.failures)
    assert str(found.n_failures) in repr(found) or len(found.failures) > 1


def test_an_interrupted_bootstrap_keeps_what_is_done(two):
    fit, data = two

    def stop(done, total):
        if done == 4:
            raise KeyboardInterrupt

    found = mx.bootstrap(fit, data, kind="weighted", draws=50, rng=1, progress=stop)
    assert len(found.draws) == 4
    assert found.interrupted
    assert "4 draws of 50 (interrupted)" in repr(found)


# -- what is refused --------------------------------------------------------------------------------------------------


def test_other_rows_than_the_fits_are_refused(two):
    fit, data = two
    for call in (mx.standard_errors, mx.bootstrap, lambda *a: mx.profile_interval(*a, "weights[0]")):
        with pytest.raises(mx.DataError, match="it was -"):
            call(fit, data.iloc[1:])
    with pytest.raises(mx.SpecError, match=r"what mx\.fit returns"):
        mx.standard_errors(TWO, data)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "sandwhich"}, "Did you mean 'sandwich'"),
        ({"scale": "log"}, "'unconstrained', 'plain'"),
        ({"level": 95}, "level=95"),
    ],
)
def test_unknown_options_are_refused(two, arguments, message):
    with pytest.raises(mx.SpecError, match=message):
        mx.standard_errors(*two, **arguments)


def test_bad_bootstrap_options_are_refused(two):
    fit, data = two
    with pytest.raises(mx.SpecError, match="'parametric', 'weighted'"):
        mx.bootstrap(fit, data, kind="residual")
    with pytest.raises(mx.SpecError, match="draws=1"):
        mx.bootstrap(fit, data, draws=1)
    frame = pd.DataFrame({"a": [1.0, 0.0, np.nan, 1.0], "b": [0.0, 1.0, 1.0, 0.0]})
    some = mx.fit(mx.Mixture(mx.Bernoulli("a", "b"), n_components=1), frame, rng=1)
    with pytest.raises(mx.DataError, match="missing"):
        mx.bootstrap(some, frame)
    v = [0.5, 1.2, 1.0, 2.0]
    weighted = mx.fit(mx.Mixture(mx.Bernoulli("b"), n_components=1), frame, sample_weight=v, rng=1)
    with pytest.raises(mx.DataError, match="no number of rows"):
        mx.bootstrap(weighted, frame, sample_weight=v)


def test_a_singular_information_names_the_flat_direction():
    """Two components of single tosses: only the mean probability is determined."""
    data = {"x": np.resize([0.0, 1.0, 1.0], 90)}
    fit = mx.fit(mx.Mixture(mx.Bernoulli("x"), n_components=2), data, starts=2, rng=1)
    with pytest.raises(mx.FitError, match=r"singular.*probability\["):
        mx.standard_errors(fit, data)


def test_a_fit_that_is_not_at_a_maximum_is_refused(two):
    _, data = two
    hard = mx.fit(TWO, data, method=mx.HardEM(), starts=3, rng=1)
    with pytest.raises(mx.FitError, match=r"standard errors away.*starts="):
        mx.standard_errors(hard, data)


def test_a_nearly_singular_fit_is_refused():
    x = np.concatenate([np.random.default_rng(17).normal(size=30), np.full(4, 0.1234) + 1e-3 * np.arange(4)])
    with pytest.warns(mx.MixtureWarning, match="nearly singular"):
        fit = mx.fit(
            TWO,
            {"x": x},
            starts=[{"weights": [0.9, 0.1], "mean": [[0.0], [0.1234]], "covariance": [[[1.0]], [[1e-6]]]}],
        )
    with pytest.raises(mx.FitError, match=r"nearly singular.*'map'"):
        mx.standard_errors(fit, {"x": x})


def test_public_names_are_values_of_the_package():
    for name in ("standard_errors", "delta_method", "bootstrap", "profile_interval"):
        assert name in dir(mx)
        assert callable(getattr(mx, name))


def test_rows_that_the_fit_simulates_but_its_specification_refuses():
    rng = np.random.default_rng(14)
    x = np.concatenate([rng.exponential(0.3, 100), np.abs(rng.normal(3.0, 2.0, 100))])
    fit = mx.fit(mx.Mixture([mx.Exponential("x"), mx.Gaussian("x", mean=3.0, covariance=4.0)]), {"x": x}, rng=1)
    with pytest.raises(mx.DataError, match=r"refuses.*Exponential.*kind='weighted'"):
        mx.bootstrap(fit, {"x": x}, draws=20, rng=1)
    assert len(mx.bootstrap(fit, {"x": x}, kind="weighted", draws=5, rng=1).draws) == 5


def test_a_fit_of_nothing_has_no_standard_errors():
    x = {"x": np.linspace(-1.0, 5.0, 30)}
    null = mx.Mixture([mx.Gaussian("x", mean=m, covariance=1.0) for m in (0.0, 4.0)], weights="equal")
    with pytest.raises(mx.SpecError, match=r"every parameter .* is fixed"):
        mx.standard_errors(mx.fit(null, x), x)


def test_a_profile_that_runs_into_a_singular_component_says_so():
    rng = np.random.default_rng(3)
    x = np.round(np.concatenate([rng.normal(size=40), rng.normal(2, 1, size=8)]), 1)
    fit = mx.fit(TWO, {"x": x}, starts=10, rng=1)
    with pytest.raises(mx.FitError, match=r"nearly singular.*bootstrap"):
        mx.profile_interval(fit, {"x": x}, "mean[1, x]")


@pytest.mark.slow
def test_intervals_cover_as_often_as_they_should():
    """See benchmarks/interval_coverage.py for the full table."""
    truth, hits = np.array([0.4, 0.6, 0.0, 4.0, 1.0, 1.0]), np.zeros(6)
    for stream in np.random.default_rng(16).spawn(200):
        data = mx.simulate(TWO, TRUTH, 1000, rng=stream, component=None)
        table = mx.standard_errors(mx.fit(TWO, data, starts=5, rng=stream), data)
        hits += (table["lower"] <= truth) & (truth <= table["upper"])
    assert np.all((hits / 200 > 0.9) & (hits / 200 < 0.99))
