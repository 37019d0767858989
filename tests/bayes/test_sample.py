"""Sampling end to end with few draws: what comes back, what runs on it, and what is refused."""

import json

import arviz as az
import arviz_stats
import numpy as np
import pymc as pm
import pytest
from helpers_bayes import CASES, ITEMS, LSAT, SMALL

import mixtures as mx
from mixtures.bayes import stack

FEW = {"draws": 50, "tune": 50, "chains": 2, "cores": 2, "rng": 1}
FAITHFUL = mx.load_dataset("old_faithful")
SPEC = mx.Mixture(mx.Gaussian("eruptions", "waiting"), n_components=2)


@pytest.fixture(scope="module")
def posterior():
    return mx.sample(SPEC, FAITHFUL, **FEW)


@pytest.fixture(scope="module")
def model():
    return mx.compile_pymc(SPEC, FAITHFUL)


@pytest.fixture(scope="module")
def patterns():
    spec = mx.Mixture(mx.Bernoulli(*ITEMS), n_components=2)
    return mx.sample(spec, LSAT, sample_weight="count", **FEW)


def test_the_container_is_the_stacks_own(posterior):
    import xarray as xr

    assert isinstance(posterior, xr.DataTree if stack.HAS_DATATREE else az.InferenceData)
    names = set(stack.group_names(posterior))
    assert {"posterior", "sample_stats", "observed_data", "constant_data", "log_likelihood"} <= names
    assert {"row_counts", "relabelling", "label_invariant", "label_invariant_summary"} <= names


def test_tuning_is_shorter_where_the_mass_matrix_is_known():
    normal = mx.Mixture(mx.Gaussian("waiting"), n_components=2)
    classes = mx.Mixture(mx.Bernoulli("a", "b", "c"), n_components=2)
    noise = {column: np.random.default_rng(1).integers(2, size=40) for column in "abc"}  # a posterior far from normal
    for spec, data, expected in ((normal, FAITHFUL, 300), (classes, noise, 1000)):
        found = mx.sample(spec, data, draws=4, chains=1, rng=1)
        assert stack.group(found, "posterior").attrs["tuning_steps"] == expected


def test_draws_are_in_data_units_around_the_estimate(posterior):
    draws = stack.group(posterior, "posterior")
    assert draws["mean"].dims == ("chain", "draw", "component", "gaussian_column")
    np.testing.assert_allclose(draws["mean"].mean(("chain", "draw")), [[2.04, 54.5], [4.29, 80.0]], rtol=0.03)
    np.testing.assert_allclose(draws["weights"].sum("component"), 1.0)


def test_the_log_likelihood_is_that_of_the_em_program(posterior):
    draws, case = stack.group(posterior, "posterior"), SPEC.resolve(FAITHFUL)
    rows = SPEC.rows(FAITHFUL)
    program = mx.em.program.Program(case, rows)
    at = {"chain": 1, "draw": 7}
    one = draws.isel(at)
    p = mx.em.program.Params(
        one["weights"].values, ({"mean": one["mean"].values, "covariance": one["covariance"].values},)
    )
    found = stack.group(posterior, "log_likelihood")["y"].isel(at).values
    np.testing.assert_allclose(found, program.row_log_likelihood(program.to_standard(p)), rtol=1e-9)
    assert found.shape == (272,)


def test_one_seed_gives_the_same_draws(posterior):
    again = mx.sample(SPEC, FAITHFUL, **{**FEW, "cores": 1})
    np.testing.assert_array_equal(
        stack.group(again, "posterior")["mean"].values, stack.group(posterior, "posterior")["mean"].values
    )


@pytest.mark.filterwarnings("ignore:Estimated shape parameter of Pareto")
def test_arviz_and_pymc_take_the_container(posterior, model):
    assert len(az.summary(posterior)) == 2 + 4 + 8
    with_predictions = pm.sample_posterior_predictive(posterior, model=model, progressbar=False, random_seed=1)
    drawn = stack.group(with_predictions, "posterior_predictive")["y"]
    assert drawn.shape == (2, 50, 272, 2)
    assert float(drawn.mean(("chain", "draw", "row"))[1]) == pytest.approx(70.9, abs=1.0)
    ours = stack.group(posterior, "log_likelihood")["y"].values
    elpd = arviz_stats.loo(stack.as_datatree(posterior)).elpd
    assert arviz_stats.loo(posterior).elpd == pytest.approx(elpd)
    assert mx.loo(posterior).elpd == pytest.approx(elpd)
    theirs = pm.compute_log_likelihood(posterior, model=model, progressbar=False)
    np.testing.assert_allclose(stack.group(theirs, "log_likelihood")["y"].values, ours, rtol=1e-9)


@pytest.mark.filterwarnings("ignore:Numba will use object mode to run CustomDist")  # PyMC 6: `random=` of the priors
def test_prior_predictive_draws_have_the_shape_of_the_data(model):
    found = pm.sample_prior_predictive(3, model=model, random_seed=1)
    assert stack.group(found, "prior_predictive")["y"].shape == (1, 3, 272, 2)


def test_the_specification_and_versions_travel_with_the_draws(posterior, tmp_path):
    assert mx.Mixture.from_json(posterior.attrs["mixtures_specification"]) == SPEC
    assert mx.Mixture.from_json(posterior.attrs["mixtures_resolved"]) == SPEC.resolve(FAITHFUL)
    assert "pymc" in json.loads(posterior.attrs["mixtures_versions"])
    assert json.loads(posterior.attrs["mixtures_chain_starts"]) == ["cloud", "dispersed"]
    stack.save(posterior, tmp_path / "draws.nc")
    again = mx.load(tmp_path / "draws.nc")
    assert type(again) is type(posterior)
    assert dict(again.attrs) == dict(posterior.attrs)
    for name in stack.group_names(posterior):
        stack.group(again, name).broadcast_equals(stack.group(posterior, name))


def test_label_invariant_quantities_are_diagnosed(posterior):
    summary = stack.group(posterior, "label_invariant_summary")
    assert {"r_hat", "ess_bulk"} == set(summary.data_vars)
    assert "log-likelihood" in summary["quantity"].values
    assert (summary["ess_bulk"] > 10).all()
    relabelling = stack.group(posterior, "relabelling")
    assert float(relabelling["confidence"].min()) > 0.8
    assert relabelling["permutation"].shape == (2, 50, 2)


def test_counts_and_expanded_rows_are_the_same_posterior(patterns):
    expanded = LSAT.loc[LSAT.index.repeat(LSAT["count"])].drop(columns="count").reset_index(drop=True)
    people = mx.sample(mx.Mixture(mx.Bernoulli(*ITEMS), n_components=2), expanded, **FEW)
    for name in ("weights", "probability"):
        np.testing.assert_array_equal(
            stack.group(patterns, "posterior")[name].values, stack.group(people, "posterior")[name].values
        )
    assert stack.group(patterns, "log_likelihood").sizes["row"] == 30
    one, other = (_loo(draws) for draws in (patterns, people))
    assert one.n_data_points == other.n_data_points == 1000
    assert one.elpd == pytest.approx(other.elpd, abs=1e-6)


def _loo(draws):
    import warnings

    with warnings.catch_warnings():  # few draws
        warnings.filterwarnings("ignore", "Estimated shape parameter of Pareto")
        return mx.loo(draws)


def test_loo_takes_a_log_likelihood_that_pymc_weighted(patterns):
    before = _loo(patterns).elpd
    copy = stack.make_container({name: stack.group(patterns, name) for name in stack.group_names(patterns)})
    model = mx.compile_pymc(mx.Mixture(mx.Bernoulli(*ITEMS), n_components=2), LSAT, sample_weight="count")
    pm.compute_log_likelihood(copy, model=model, progressbar=False)
    assert _loo(copy).elpd == pytest.approx(before, abs=1e-6)


def test_loo_refuses_fractional_weights():
    case = CASES["row weights"]
    draws = mx.sample(case.spec, case.data, sample_weight=case.sample_weight, draws=8, tune=8, chains=1, rng=1)
    with pytest.raises(mx.FitError, match="fractional"):
        mx.loo(draws)


@pytest.mark.parametrize("name", ["full tied", "spherical", "one component", "equal weights", "product"])
def test_every_shape_of_model_is_sampled(name: str):
    case = CASES[name]
    draws = mx.sample(case.spec, case.data, draws=15, tune=20, chains=1, rng=2)
    posterior = stack.group(draws, "posterior")
    for group in case.resolved.groups:
        for parameter in group.family.parameters:
            assert np.isfinite(posterior[group.names[parameter.name]]).all()
    assert posterior["weights"].sizes["component"] == case.resolved.n_components


def test_data_far_from_zero_are_sampled():
    shifted = {"x": np.asarray(SMALL["x"]) + 1e8}
    spec = mx.Mixture(mx.Gaussian("x"), n_components=2)
    near = mx.sample(spec, SMALL, draws=100, tune=100, chains=1, rng=1)
    far = mx.sample(spec, shifted, draws=100, tune=100, chains=1, rng=1)
    means = [stack.group(draws, "posterior")["mean"].mean(("chain", "draw")).values for draws in (near, far)]
    np.testing.assert_allclose(means[1] - 1e8, means[0], atol=0.2)
    assert np.std(stack.group(far, "posterior")["mean"].values[..., 0, 0]) > 0.05


def test_a_given_pivot_is_used_and_a_foreign_one_refused():
    case = CASES["full"]
    pivot = mx.fit(case.spec, case.data, rng=1)
    draws = mx.sample(case.spec, case.data, pivot=pivot, draws=8, tune=8, chains=1, rng=1)
    assert draws.attrs["mixtures_pivot"] == "mle"
    with pytest.raises(mx.SpecError, match="another specification"):
        mx.sample(CASES["spherical"].spec, case.data, pivot=pivot, draws=8, tune=8, chains=1)


@pytest.mark.parametrize("wrong", [{"draws": 0}, {"chains": 0}, {"tune": -1}, {"cores": 0}, {"draws": 2.5}])
def test_wrong_counts_are_refused(wrong: dict):
    with pytest.raises(mx.SpecError, match=next(iter(wrong))):
        mx.sample(CASES["full"].spec, SMALL, **wrong)


def test_an_unknown_sampler_is_refused():
    with pytest.raises(mx.SpecError, match="'pymc' and 'nutpie'"):
        mx.sample(CASES["full"].spec, SMALL, nuts_sampler="gibbs")


def test_a_prior_without_interior_mode_is_sampled_all_the_same():
    spec = mx.Mixture(mx.Bernoulli("s", "t", probability=mx.Beta(0.5, 0.5)), n_components=1)
    draws = mx.sample(spec, {"s": [0, 1, 1, 0], "t": [1, 1, 1, 1]}, draws=20, tune=50, chains=1, rng=1)
    assert draws.attrs["mixtures_pivot"] == "mle"


@pytest.mark.slow
def test_four_chains_of_a_thousand_draws_have_converged():
    draws = mx.sample(SPEC, FAITHFUL, rng=1)
    summary = stack.group(draws, "label_invariant_summary")
    assert (summary["r_hat"] < 1.01).all()
    assert (summary["ess_bulk"] > 400).all()


def test_fits_before_and_after_sampling_in_processes_do_not_hang():
    case = CASES["one column"]
    before = mx.fit(case.spec, case.data, rng=1)
    mx.sample(case.spec, case.data, draws=5, tune=5, chains=2, cores=2, rng=1)
    assert mx.fit(case.spec, case.data, rng=1).log_likelihood == before.log_likelihood


@pytest.mark.slow
def test_workers_that_are_not_forked_give_the_same_draws(monkeypatch: pytest.MonkeyPatch):
    case = CASES["product"]
    few = {"draws": 5, "tune": 5, "chains": 2, "cores": 2, "rng": 1}
    forked = mx.sample(case.spec, case.data, **few)
    monkeypatch.setattr("mixtures.bayes.sample.START_METHOD", "spawn")
    spawned = mx.sample(case.spec, case.data, **few)
    np.testing.assert_array_equal(
        stack.group(spawned, "posterior")["mean"].values, stack.group(forked, "posterior")["mean"].values
    )


def test_draws_by_nutpie_come_back_in_the_same_form(tmp_path):
    pytest.importorskip("nutpie")
    case = CASES["one column"]
    draws = mx.sample(case.spec, case.data, draws=50, tune=50, chains=2, cores=2, rng=1, nuts_sampler="nutpie")
    assert set(stack.group(draws, "posterior")) == {"weights", "mean", "covariance"}
    assert stack.has_group(draws, "observed_data")
    stack.save(draws, tmp_path / "draws.nc")


def test_a_missing_nutpie_is_named(monkeypatch: pytest.MonkeyPatch):
    import sys

    monkeypatch.setitem(sys.modules, "nutpie", None)
    with pytest.raises(mx.FitError, match=r"mixtures-toolkit\[fast\]"):
        mx.sample(CASES["one column"].spec, SMALL, draws=5, tune=5, chains=1, rng=1, nuts_sampler="nutpie")
