"""Binomial, exponential, Poisson and uniform columns: against scipy, closed forms and published numbers."""

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

import mixtures as mx
from mixtures import Binomial, Exponential, Poisson, Shared, Uniform
from mixtures.testing import check_family, variants


def distribution(block, value):
    """The distribution of scipy for one entry of the one free parameter."""
    if isinstance(block, Binomial):
        return stats.binom(block.trials, value)
    return stats.poisson(value) if isinstance(block, Poisson) else stats.expon(scale=1.0 / value)


def log_f(block, x, value):
    known = distribution(block, value)
    return (known.logpdf if isinstance(block, Exponential) else known.logpmf)(x)


# --- one block, its free parameter, a truth that two components can be told apart by, a prior and scipy's form of it ---
CASES = [
    (Binomial("a", "b", trials=12), [[0.2, 0.6], [0.7, 0.1]], mx.Beta(3, 2), stats.beta(3, 2)),
    (Exponential("a", "b"), [[0.01, 3.0], [0.3, 80.0]], mx.GammaPrior(3, 0.5), stats.gamma(3, scale=2.0)),
    (Poisson("a", "b"), [[2.0, 11.0], [9.0, 1.0]], mx.GammaPrior(3, 0.5), stats.gamma(3, scale=2.0)),
]
WEIGHTS = [0.35, 0.65]
with_cases = pytest.mark.parametrize(("block", "truth", "prior", "known"), CASES, ids=lambda item: type(item).__name__)


def name_of(block):
    return block.parameters[0].name


def simulated(block, truth, n=600):
    return mx.simulate(mx.Mixture(block, 2), {"weights": WEIGHTS, name_of(block): truth}, n, rng=3, component=None)


def log_likelihood(block, x, weights, values):
    joint = [
        np.log(w) + sum(log_f(block, x[:, j], one[j]) for j in range(len(one)))
        for w, one in zip(weights, values, strict=True)
    ]
    return float(logsumexp(joint, axis=0).sum())


# --- laws ---


@pytest.mark.parametrize("family", [Binomial, Exponential, Poisson, Uniform], ids=lambda family: family.__name__)
def test_every_law_holds(family):
    for block in variants(family):
        check_family(block, rng=7)


@with_cases
def test_laws_hold_with_priors_and_fixed_values(block, truth, prior, known):
    check_family(block.replace(**{name_of(block): prior}), rng=1)
    check_family(block.replace(**{name_of(block): truth[0]}), rng=2)
    check_family(block.replace(**{name_of(block): Shared(prior)}), rng=3)


# --- densities ---


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_binomial_probabilities_sum_to_one_edges_included(p):
    density = Binomial("a", trials=7).log_density(np.arange(8.0)[:, None], {"probability": np.array([[p]])})
    np.testing.assert_allclose(density[:, 0], stats.binom(7, p).logpmf(np.arange(8)), rtol=1e-12, atol=1e-12)
    assert np.exp(density).sum() == pytest.approx(1.0, rel=1e-13)


def test_poisson_probabilities_sum_to_one_and_rate_0_is_certain_of_0():
    x = np.arange(200.0)[:, None]
    density = Poisson("a").log_density(x, {"rate": np.array([[37.5], [0.0]])})
    assert np.exp(density).sum(axis=0) == pytest.approx([1.0, 1.0], rel=1e-12)
    assert density[0, 1] == 0.0
    assert np.all(density[1:, 1] == -np.inf)


def test_exponential_density_integrates_to_one():
    block, theta = Exponential("a"), {"rate": np.array([[0.2]])}
    value = quad(lambda x: float(np.exp(block.log_density(np.array([[x]]), theta)[0, 0])), 0.0, np.inf)[0]
    assert value == pytest.approx(1.0, rel=1e-8)


@pytest.mark.parametrize(
    ("block", "theta", "cell", "expected"),
    [
        (Poisson("a"), {"rate": 1e9}, 1e9, stats.poisson(1e9).logpmf(1e9)),
        (Poisson("a"), {"rate": 3.0}, 1e6, stats.poisson(3.0).logpmf(1e6)),
        (Exponential("a"), {"rate": 1e-9}, 1e12, stats.expon(scale=1e9).logpdf(1e12)),
        (Binomial("a", trials=10**6), {"probability": 1e-12}, 10**6, stats.binom(10**6, 1e-12).logpmf(10**6)),
    ],
)
def test_log_densities_stay_finite_where_densities_do_not(block, theta, cell, expected):
    theta = {name: np.array([[value]]) for name, value in theta.items()}
    assert block.log_density(np.array([[float(cell)]]), theta)[0, 0] == pytest.approx(expected, rel=1e-9)


# --- the M-step, against an optimiser that knows scipy's densities alone ---


@pytest.mark.parametrize("estimate", ["mle", "map"])
@pytest.mark.parametrize("shared", [False, True])
@with_cases
def test_no_optimiser_finds_anything_above_the_m_step(block, truth, prior, known, shared, estimate):
    x, rng = simulated(block, truth, 40).to_numpy(), np.random.default_rng(5)
    R, name = rng.dirichlet((1.0, 1.0), 40) * rng.uniform(0.5, 2.0, (40, 1)), name_of(block)
    block = block.replace(**{name: Shared() if shared else None})
    theta = {name: np.full((2, 2), 0.5)}
    numbers = {name: {key: np.stack([value] * 2) for key, value in prior.numbers((2,), "").items()}}
    S = block.statistics(x, R, theta)
    found = block.maximise(S, theta, block.layout((block, block)), numbers if estimate == "map" else None)[name]
    for k, j in np.ndindex(2, 2):
        weight = R.sum(axis=1) if shared else R[:, k]

        def objective(t, weight=weight, j=j):
            value = np.exp(t) if isinstance(block, Exponential | Poisson) else 1.0 / (1.0 + np.exp(-t))
            extra = float(known.logpdf(value)) if estimate == "map" else 0.0
            return -float(weight @ log_f(block, x[:, j], value)) - extra

        best = minimize_scalar(objective, bounds=(-9.0, 9.0), method="bounded", options={"xatol": 1e-10}).x
        value = np.exp(best) if isinstance(block, Exponential | Poisson) else 1.0 / (1.0 + np.exp(-best))
        assert found[k, j] == pytest.approx(value, rel=1e-5)


@with_cases
def test_fixed_values_stay_and_an_empty_component_keeps_its_own(block, truth, prior, known):
    x, name, theta = simulated(block, truth, 40).to_numpy(), name_of(block), np.array(truth)
    fixed = block.replace(**{name: truth[1]})
    S = block.statistics(x, np.ones((40, 2)) * [1.0, 0.0], {name: theta})
    found = block.maximise(S, {name: theta}, fixed.layout((block, fixed)), None)[name]
    np.testing.assert_array_equal(found[1], truth[1])
    alone = block.maximise(S, {name: theta}, block.layout((block, block)), None)[name]
    mean = x.mean(axis=0) / (block.trials if isinstance(block, Binomial) else 1.0)
    np.testing.assert_allclose(alone[0], 1.0 / mean if isinstance(block, Exponential) else mean, rtol=1e-12)
    np.testing.assert_array_equal(alone[1], truth[1])


# --- whole programs ---


@with_cases
def test_em_recovers_a_known_mixture(block, truth, prior, known):
    data, name = simulated(block, truth, 2000), name_of(block)
    fit = mx.fit(mx.Mixture(block, 2), data, rng=1, starts=8)
    assert fit.converged
    weights, values = fit.point["weights"], fit.point[name]
    assert fit.log_likelihood == pytest.approx(log_likelihood(block, data.to_numpy(), weights, values), rel=1e-11)
    assert fit.log_likelihood >= log_likelihood(block, data.to_numpy(), WEIGHTS, truth)
    np.testing.assert_allclose(weights, WEIGHTS, atol=0.04)
    np.testing.assert_allclose(values, truth, rtol=0.15)


@with_cases
def test_map_is_the_mode_of_its_posterior(block, truth, prior, known):
    data, name = simulated(block, truth, 150), name_of(block)
    fit = mx.fit(mx.Mixture(block.replace(**{name: prior}), 2), data, rng=1, starts=8, estimate="map")

    def log_posterior(values):
        flat = log_likelihood(block, data.to_numpy(), fit.point["weights"], values)
        return flat + float(known.logpdf(values).sum() + stats.dirichlet([1, 1]).logpdf([0.5, 0.5]))

    best = log_posterior(fit.point[name])
    assert fit.log_posterior == pytest.approx(best, rel=1e-11)
    for index in np.ndindex(2, 2):
        for factor in (0.99, 1.01):
            moved = fit.point[name].copy()
            moved[index] *= factor
            assert log_posterior(moved) < best


@with_cases
def test_a_short_chain_is_drawn(block, truth, prior, known):
    data, name = simulated(block, truth, 100), name_of(block)
    found = mx.sample(mx.Mixture(block, 2), data, draws=20, tune=20, chains=1, rng=1, progress=False)
    drawn = np.asarray(found.posterior[name])
    assert drawn.shape == (1, 20, 2, 2)
    assert np.all(np.isfinite(drawn))
    assert len(np.unique(drawn[0, :, 0, 0])) > 5


@with_cases
def test_missing_cells_add_nothing(block, truth, prior, known):
    full, name = simulated(block, truth, 400), name_of(block)
    data = full.copy()
    data.loc[::5, "a"] = np.nan
    fit = mx.fit(mx.Mixture(block, 2), data, rng=1, starts=6)
    x, values = data.to_numpy(), fit.point[name]
    joint = [
        np.log(w) + sum(np.where(np.isnan(x[:, j]), 0.0, log_f(block, full.to_numpy()[:, j], one[j])) for j in (0, 1))
        for w, one in zip(fit.point["weights"], values, strict=True)
    ]
    assert fit.log_likelihood == pytest.approx(float(logsumexp(joint, axis=0).sum()), rel=1e-11)
    np.testing.assert_allclose(values, truth, rtol=0.3)
    assert np.isfinite(mx.fit(mx.Mixture(block, 2), data, rng=1, starts=6, estimate="map").log_posterior)


@with_cases
def test_text_form_and_equality(block, truth, prior, known):
    spec = mx.Mixture(block.replace(**{name_of(block): prior}), 2)
    assert mx.Mixture.from_toml(spec.to_toml()) == spec
    assert eval(repr(block)) == block


# --- binomial ---

HEADS = {"heads": [5, 9, 8, 4, 7]}
COINS = {"weights": [0.5, 0.5], "probability": [[0.6], [0.5]]}


def test_the_coins_of_do_and_batzoglou():
    """Do & Batzoglou (2008), figure 1: 0.71 and 0.58 after one pass, 0.80 and 0.52 at the end; digits from the formulas."""
    em = mx.compile_em(mx.Mixture(Binomial("heads", trials=10), 2, weights="equal"), HEADS)
    np.testing.assert_allclose(em.step(COINS)["probability"][:, 0], [0.713012, 0.581339], atol=5e-7)
    last, history = em.run(COINS, passes=200)
    np.testing.assert_allclose(last["probability"][:, 0], [0.796789, 0.519583], atol=5e-7)
    assert np.all(np.diff(history) >= -1e-12)


def test_the_coins_by_fit():
    fit = mx.fit(mx.Mixture(Binomial("heads", trials=10), 2, weights="equal"), HEADS, rng=1, starts=5)
    np.testing.assert_allclose(fit.point["probability"][:, 0], [0.519583, 0.796789], atol=5e-7)


def test_one_trial_is_the_bernoulli_family():
    rng = np.random.default_rng(2)
    x, theta = (rng.random((50, 3)) < 0.4).astype(float), {"probability": rng.random((2, 3))}
    one = Binomial("a", "b", "c", trials=1).log_density(x, theta)
    np.testing.assert_allclose(one, mx.Bernoulli("a", "b", "c").log_density(x, theta), rtol=1e-12)


@pytest.mark.parametrize("trials", [0, -3, 2.0, "10", True, None])
def test_trials_that_are_no_number_of_trials_are_refused_with_slot_and_column(trials):
    with pytest.raises(mx.SpecError, match=rf"Binomial\('heads'\): trials={trials!r}; needed is .* an integer >= 1"):
        Binomial("heads", trials=trials)


def test_successes_beyond_the_trials_are_refused_by_cell():
    with pytest.raises(
        mx.DataError, match=r"Column 'heads', row 1: found 9, but Binomial takes integers 0 to 8 \(trials=8\)"
    ):
        mx.fit(mx.Mixture(Binomial("heads", trials=8), 2), HEADS)


def test_trials_of_two_kinds_are_two_blocks():
    spec = mx.Mixture(Binomial("a", trials=3, name="a") * Binomial("b", trials=5, name="b"), 2)
    assert [group.names["probability"] for group in spec.groups] == ["a_probability", "b_probability"]


def test_a_missing_number_of_trials_in_toml_is_named_with_its_place():
    text = mx.Mixture(Binomial("heads", trials=10), 2).to_toml()
    assert "trials = 10\n" in text
    with pytest.raises(mx.SpecError, match=r"component\.blocks\[0\].*trials=None"):
        mx.Mixture.from_toml(text.replace("trials = 10\n", ""))


# --- exponential ---


def test_the_default_prior_of_a_rate_weighs_one_waiting_time():
    x = {"a": [1.0, 2.0, 6.0], "b": [10.0, 20.0, 60.0]}
    for given in (None, mx.GammaPrior()):
        block = mx.Mixture(Exponential("a", "b", rate=given), 1).resolve(x).components[0].blocks[0]
        assert block.slots["rate"] == mx.GammaPrior(1.0, [3.0, 30.0])


def test_the_default_prior_and_open_bounds_come_from_the_cells_that_are_there():
    x = {"a": [1.0, np.nan, 3.0], "b": [10.0, 20.0, 60.0]}
    rates = mx.Mixture(Exponential("a", "b"), 1).resolve(x).components[0].blocks[0]
    assert rates.slots["rate"] == mx.GammaPrior(1.0, [2.0, 30.0])
    box = mx.Mixture(Uniform("a", "b"), 1).resolve(x).components[0].blocks[0]
    assert box == Uniform("a", "b", low=[1.0, 10.0], high=[3.0, 60.0])


def test_map_rates_follow_the_units_of_the_column():
    data = simulated(Exponential("a", "b"), CASES[1][1], 300)
    rates = [
        mx.fit(mx.Mixture(Exponential("a", "b"), 2), c * data, rng=1, starts=4, estimate="map").point["rate"] * c
        for c in (1.0, 3600.0)
    ]
    np.testing.assert_allclose(rates[1], rates[0], rtol=1e-5)


@pytest.mark.parametrize("cell", [0.0, -1.0])
def test_waiting_times_are_above_0(cell):
    with pytest.raises(mx.DataError, match=r"row 2: found .* Exponential takes numbers greater than 0"):
        mx.fit(mx.Mixture(Exponential("a"), 1), {"a": [1.0, 2.0, cell]})


# --- Poisson ---


def test_a_component_of_zeros_alone_has_rate_0():
    fit = mx.fit(mx.Mixture(Poisson("goals"), 2), {"goals": [0] * 30 + [7, 8, 9, 6, 7, 8] * 5}, rng=1, starts=5)
    assert fit.status is mx.Status.BOUNDARY
    assert fit.point["rate"][0, 0] == 0.0


def test_chains_start_off_a_rate_of_0():
    data = {"goals": [0] * 30 + [7, 8, 9, 6, 7, 8] * 5}
    found = mx.sample(
        mx.Mixture(Poisson("goals"), 2), data, draws=20, tune=20, chains=2, cores=1, rng=1, progress=False
    )
    drawn = np.asarray(found.posterior["rate"])
    assert np.all(drawn > 0)
    assert np.all(drawn[..., 0, 0] < 1.0)


def test_counts_are_integers():
    with pytest.raises(mx.DataError, match=r"row 1: found 1\.5, but Poisson takes counts 0, 1, 2, \.\.\."):
        mx.fit(mx.Mixture(Poisson("goals"), 1), {"goals": [1, 1.5, 2]})


# --- uniform ---


def test_the_weight_of_overlapping_boxes_has_a_closed_form():
    """Boxes [0, 2] and [1, 3]: the overlap says nothing, so that the weight is n1 / (n1 + n3) of the rows outside it."""
    rng = np.random.default_rng(0)
    x = np.r_[rng.uniform(0, 2, 300), rng.uniform(1, 3, 700)]
    fit = mx.fit(mx.Mixture([Uniform("x", low=0, high=2), Uniform("x", low=1, high=3)]), {"x": x}, rng=1)
    left, right = np.sum(x < 1), np.sum(x > 2)
    assert fit.converged
    assert fit.point["weights"][0] == pytest.approx(left / (left + right), abs=1e-6)
    np.testing.assert_array_equal(fit.point["low"][:, 0], [0.0, 1.0])


def test_open_bounds_are_the_range_of_the_data_and_are_stored():
    x = {"a": [3.0, -1.0, 2.0], "b": [0.0, 5.0, 1.0]}
    spec = mx.Mixture(Uniform("a", "b", high=[9.0, mx.Free()]), 1).resolve(x)
    assert spec.components[0].blocks[0] == Uniform("a", "b", low=[-1.0, 0.0], high=[9.0, 5.0])
    assert spec.is_resolved
    assert not mx.Mixture(Uniform("a", "b"), 1, weights=[1.0]).is_resolved
    assert mx.Mixture.from_toml(spec.to_toml()) == spec


def test_rows_outside_the_box_have_no_density_under_it_and_edges_have():
    block, theta = Uniform("a", "b"), {"low": np.array([[0.0, 0.0]]), "high": np.array([[2.0, 4.0]])}
    x = np.array([[0.0, 4.0], [1.0, 2.0], [2.1, 1.0], [1.0, -0.1]])
    np.testing.assert_allclose(block.log_density(x, theta)[:, 0], [-np.log(8)] * 2 + [-np.inf] * 2)


def noisy():
    rng = np.random.default_rng(4)
    return {"x": np.r_[rng.normal(10, 1, 300), rng.normal(20, 0.5, 300), rng.uniform(-30, 60, 100)]}


NOISE = mx.Mixture([mx.Gaussian("x"), mx.Gaussian("x"), Uniform("x", low=-30, high=60)])


@pytest.mark.parametrize("estimate", ["mle", "map"])
def test_a_noise_component_takes_up_what_lies_between(estimate):
    fit = mx.fit(NOISE, noisy(), rng=1, starts=8, estimate=estimate)
    assert fit.converged
    np.testing.assert_allclose(fit.point["mean"][:, 0], [10.0, 20.0], atol=0.2)
    np.testing.assert_allclose(fit.point["covariance"][:, 0, 0], [1.0, 0.25], atol=0.2)
    np.testing.assert_allclose(fit.point["weights"], np.array([3, 3, 1]) / 7, atol=0.03)
    parts = [
        stats.norm(m, np.sqrt(s)).pdf(noisy()["x"])
        for m, s in zip(fit.point["mean"][:, 0], fit.point["covariance"][:, 0, 0], strict=True)
    ]
    density = fit.point["weights"] @ [*parts, np.full(700, 1 / 90)]
    assert fit.log_likelihood == pytest.approx(np.log(density).sum(), rel=1e-10)


def test_a_short_chain_with_noise_is_drawn():
    found = mx.sample(NOISE, noisy(), draws=20, tune=20, chains=1, rng=1, progress=False)
    assert np.asarray(found.posterior["mean"]).shape == (1, 20, 2, 1)


def test_draws_of_a_box_are_uniform():
    theta = {"low": np.array([[-1.0, 5.0], [0.0, 0.0]]), "high": np.array([[2.0, 7.0], [1.0, 9.0]])}
    z = np.resize([0, 1], 4000)
    x = Uniform("a", "b").draw(z, theta, np.random.default_rng(6))
    for k, j in np.ndindex(2, 2):
        low, high = theta["low"][k, j], theta["high"][k, j]
        assert stats.kstest(x[z == k, j], stats.uniform(low, high - low).cdf).pvalue > 1e-3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"low": 1, "high": 1}, "in column 'a' low=1 is not below high=1"),
        ({"low": [0, 3], "high": [1, 2]}, "in column 'b' low=3 is not below high=2"),
        ({"low": -np.inf, "high": 1}, "low must be finite"),
        ({"low": mx.GammaPrior(), "high": 1}, "no prior for low"),
        ({"low": [0, 1, 2]}, r"low has shape \(3,\)"),
    ],
)
def test_boxes_without_volume_are_refused_by_column(arguments, words):
    with pytest.raises(mx.SpecError, match=words):
        Uniform("a", "b", **arguments)


def test_a_constant_column_makes_no_box():
    with pytest.raises(mx.DataError, match="Column 'b': the range of the data, 1 to 1, is no box with a volume"):
        mx.Mixture(Uniform("a", "b"), 1).resolve({"a": [0.0, 1.0], "b": [1.0, 1.0]})


def test_shared_bounds_are_refused():
    with pytest.raises(mx.UnsupportedError, match="bounds are numbers"):
        mx.Mixture(Uniform("a", low=Shared()), 2).resolve({"a": [0.0, 1.0, 2.0]})
