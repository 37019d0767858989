"""Choosing K and structure: the published choice, criteria by their definitions, and what happens when fits fail."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import mixtures as mx
from mixtures.plots.choice import AXIS
from mixtures.processes import as_done
from mixtures.selection import SMALLER_IS_BETTER

COLUMNS = ("eruptions", "waiting")


@pytest.fixture(scope="module")
def old_faithful():
    return mx.load_dataset("old_faithful")


@pytest.fixture(scope="module")
def selection(old_faithful):
    specs = [
        mx.Mixture(mx.Gaussian(*COLUMNS, structure=s), n_components=k) for s in ("VVI", "EEE", "VVV") for k in (1, 2, 3)
    ]
    return mx.select(specs, old_faithful, rng=1)


def test_bic_chooses_what_mclust_does(selection):
    """mclust 6 on these data: EEE with 3 components, log-likelihood -1126.326 and BIC -2314.316 in its sign, where EM stops early."""
    best = selection.best("bic")
    assert best.specification == mx.Mixture(mx.Gaussian(*COLUMNS, structure="EEE"), n_components=3)
    assert best.log_likelihood == pytest.approx(-1126.316, abs=2e-3)
    assert best.bic == pytest.approx(2314.30, abs=0.03)


def test_criteria_are_what_they_say(selection, old_faithful):
    row = selection.table.loc[repr(mx.Mixture(mx.Gaussian(*COLUMNS), n_components=2))]
    fit = selection.fits[list(selection.table.index).index(row.name)]
    assert row["aic"] == pytest.approx(-2 * row["log_likelihood"] + 2 * 11)
    assert row["bic"] == pytest.approx(-2 * row["log_likelihood"] + 11 * np.log(272))
    certainty = np.log(fit.responsibilities(old_faithful).values.max(axis=1)).sum()
    assert row["icl"] == pytest.approx(row["bic"] - 2 * certainty)
    assert selection.table["icl"].ge(selection.table["bic"] - 1e-9).all()


def test_held_out_density_prefers_two_components_and_is_that_of_unseen_rows(old_faithful):
    specs = [mx.Mixture(mx.Gaussian("waiting"), n_components=k) for k in (1, 2)]
    found = mx.select(specs, old_faithful, folds=4, starts=5, rng=1)
    assert found.best("held_out").specification == specs[1]
    assert (found.table["held_out"] < found.table["log_likelihood"]).all()
    x = old_faithful["waiting"].to_numpy()
    splits = []
    for seed in range(50):  # one component: the estimates of every fold are known
        fold = np.random.default_rng(seed).permutation(np.arange(len(x)) % 4)
        parts = [(x[fold == j], x[fold != j]) for j in range(4)]
        splits.append(sum(stats.norm.logpdf(new, seen.mean(), seen.std()).sum() for new, seen in parts))
    assert found.table["held_out"].iloc[0] == pytest.approx(np.mean(splits), abs=4 * np.std(splits))


def test_counts_and_expanded_rows_have_the_same_criteria():
    patterns = mx.load_dataset("lsat6")
    items = [f"item{i}" for i in range(1, 6)]
    people = patterns.loc[np.repeat(patterns.index, patterns["count"]), items].reset_index(drop=True)
    specs = [mx.Mixture(mx.Bernoulli(*items), n_components=k) for k in (1, 2)]
    a, b = mx.select(specs, patterns, sample_weight="count", rng=1, starts=5), mx.select(specs, people, rng=1, starts=5)
    numbers = ["log_likelihood", "aic", "bic", "icl"]
    np.testing.assert_allclose(a.table[numbers], b.table[numbers], rtol=1e-8)


def test_what_cannot_be_fitted_keeps_its_row_and_its_reason(old_faithful):
    few = old_faithful.head(3)
    found = mx.select([mx.Mixture(mx.Gaussian("waiting"), n_components=k) for k in (1, 5)], few, rng=1, starts=3)
    assert found.fits[1] is None
    assert "fewer than the 5 components" in found.table["status"].iloc[1]
    assert found.best("bic") is found.fits[0]


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_interruption_keeps_what_is_done(old_faithful, jobs):
    def interrupt(done, total):
        raise KeyboardInterrupt

    specs = [mx.Mixture(mx.Gaussian("waiting"), n_components=k) for k in (1, 2, 3)]
    found = mx.select(specs, old_faithful, rng=1, starts=3, progress=interrupt, jobs=jobs)
    kept = [fit is not None for fit in found.fits]
    assert kept.count(True) == 1  # of two processes either may be the first to be done
    assert jobs > 1 or kept[0]
    said = [status == "not reached: interrupted" for status in found.table["status"]]
    assert said == [not one for one in kept]


@pytest.mark.parametrize("where", ["fit", "loo"])
def test_an_interruption_inside_one_specification_ends_the_selection(old_faithful, monkeypatch, where):
    calls = []

    def interrupted(*args, **kwargs):
        calls.append(1)
        raise mx.errors.InterruptedRunError("Interrupted before there was anything.")

    if where == "fit":
        monkeypatch.setattr("mixtures.selection._quiet_fit", interrupted)
    else:
        monkeypatch.setattr("mixtures.bayes.sample.sample", interrupted)
    specs = [mx.Mixture(mx.Gaussian("waiting"), n_components=k) for k in (1, 2, 3)]
    found = mx.select(specs, old_faithful, rng=1, starts=2, jobs=1, loo=where == "loo")
    assert len(calls) == 1
    assert [fit is None for fit in found.fits] == [where == "fit"] * 3


def test_wrong_calls_are_refused_by_name(old_faithful, selection):
    one = mx.Mixture(mx.Gaussian("waiting"), n_components=1)
    with pytest.raises(mx.SpecError, match="one or more specifications"):
        mx.select([], old_faithful)
    with pytest.raises(mx.SpecError, match="cannot be compared"):
        mx.select([one, mx.Mixture(mx.Gaussian("eruptions"), n_components=1)], old_faithful)
    with pytest.raises(mx.SpecError, match="folds=1"):
        mx.select([one], old_faithful, folds=1)
    with pytest.raises(mx.SpecError, match="criterion='held_out': computed are aic, bic, icl"):
        selection.best("held_out")
    with pytest.raises(mx.SpecError, match="must have more free parameters"):
        mx.bootstrap_test(one, one, old_faithful)


@pytest.mark.slow
def test_the_bootstrap_picks_two_components_for_waiting(old_faithful):
    one, two, three = (mx.Mixture(mx.Gaussian("waiting"), n_components=k) for k in (1, 2, 3))
    first = mx.bootstrap_test(one, two, old_faithful, draws=39, starts=10, rng=1)
    second = mx.bootstrap_test(two, three, old_faithful, draws=39, starts=10, rng=1)
    assert first.statistic > 100
    assert first.p_value == pytest.approx(1 / 40)
    assert second.p_value > 0.05


def test_the_bootstrap_can_be_interrupted(old_faithful):
    one, two = (mx.Mixture(mx.Gaussian("waiting"), n_components=k) for k in (1, 2))

    def interrupt(done, total):
        if done == 2:
            raise KeyboardInterrupt

    found = mx.bootstrap_test(one, two, old_faithful, draws=50, starts=3, rng=1, progress=interrupt)
    assert len(found.draws) == 2
    assert found.p_value == pytest.approx(1 / 3)
    assert found.interrupted
    assert "2 draws of 50 (interrupted)" in repr(found)


def test_held_out_density_counts_people_and_uses_one_division_for_all():
    patterns = {"a": [0.0, 1.0, 0.0, 1.0], "b": [0.0, 0.0, 1.0, 1.0], "n": [40, 10, 10, 40]}
    people = {name: np.repeat(patterns[name], patterns["n"]) for name in ("a", "b")}
    one = mx.Mixture(mx.Bernoulli("a", "b"), n_components=1)
    a = mx.select([one, one], patterns, sample_weight="n", folds=5, rng=1, starts=3)
    b = mx.select([one], people, folds=5, rng=1, starts=3)
    assert a.table["held_out"].iloc[0] == a.table["held_out"].iloc[1]
    assert a.table["held_out"].iloc[0] == pytest.approx(b.table["held_out"].iloc[0], abs=2.0)
    with pytest.raises(mx.SpecError, match="there are 100 rows only"):
        mx.select([one], people, folds=101)


def test_a_specification_that_is_not_supported_keeps_its_row(old_faithful):
    specs = [
        mx.Mixture(mx.Gaussian("waiting"), n_components=1),
        mx.Mixture(mx.Gaussian("waiting", mean=mx.Shared()), n_components=2),
    ]
    found = mx.select(specs, old_faithful, rng=1, starts=3)
    assert found.fits[0] is not None
    assert "not supported yet" in found.table["status"].iloc[1]


def test_the_bootstrap_refuses_what_it_cannot_compare():
    one, two = (mx.Mixture(mx.Bernoulli("a", "b", "c"), n_components=k) for k in (1, 2))
    x = (np.random.default_rng(1).random((60, 3)) < 0.5).astype(float)
    x[0, 0] = np.nan
    with pytest.raises(mx.DataError, match="cells are missing"):
        mx.bootstrap_test(one, two, x)


def test_the_bootstrap_refuses_a_fit_without_a_sound_maximum(old_faithful, monkeypatch):
    from mixtures import selection as module

    fit = module._quiet_fit
    monkeypatch.setattr(module, "_quiet_fit", lambda *a, **k: replace(fit(*a, **k), status=mx.Status.NEARLY_SINGULAR))
    one, two = (mx.Mixture(mx.Gaussian("waiting"), n_components=k) for k in (1, 2))
    with pytest.raises(mx.FitError, match="the fit of the null has no sound maximum"):
        mx.bootstrap_test(one, two, old_faithful, starts=2, rng=1)


@pytest.mark.parametrize("folds", [0, 3])
def test_ctrl_c_inside_a_fit_ends_the_comparison_and_keeps_what_is_done(old_faithful, monkeypatch, folds):
    from mixtures.em import run

    climb, calls = run.climb, []

    def interrupt(*args, **kwargs):
        calls.append(1)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return climb(*args, **kwargs)

    monkeypatch.setattr(run, "climb", interrupt)
    specs = [mx.Mixture(mx.Gaussian("waiting"), n_components=k) for k in (1, 2, 3, 4, 5)]
    found = mx.select(specs, old_faithful, rng=1, starts=5, folds=folds, jobs=1)
    assert found.fits[0] is not None
    assert found.fits[4] is None
    assert "interrupted" in found.table["status"].iloc[4]


def test_processes_do_not_change_the_result_and_errors_keep_their_rows(old_faithful):
    specs = [mx.Mixture(mx.Gaussian(*COLUMNS, structure=s), n_components=k) for s in ("VEV", "EVE") for k in (1, 2)]
    specs.append(mx.Mixture(mx.Gaussian(*COLUMNS), n_components=400))
    done = []
    one, two = (
        mx.select(specs, old_faithful, starts=4, rng=1, jobs=jobs, progress=lambda *at: done.append(at))
        for jobs in (1, 2)
    )
    pd.testing.assert_frame_equal(one.table, two.table)
    assert done == [(i, 5) for i in range(1, 6)] * 2
    assert "fewer than the 400 components" in two.table["status"].iloc[-1]
    assert two.fits[1].log_likelihood == one.fits[1].log_likelihood
    with pytest.raises(mx.SpecError, match="jobs=0: an integer >= 1"):
        mx.select(specs, old_faithful, jobs=0)


def test_a_second_interruption_while_workers_are_ended_leaves_none_behind(monkeypatch: pytest.MonkeyPatch):
    running = as_done(lambda index: time.sleep(60), 4, 2)
    threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
    terminate, calls = multiprocessing.process.BaseProcess.terminate, []

    def interrupted(self):
        calls.append(self)
        if len(calls) == 1:
            raise KeyboardInterrupt
        terminate(self)

    monkeypatch.setattr(multiprocessing.process.BaseProcess, "terminate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        next(running)
    assert len(calls) == 3
    assert not multiprocessing.active_children()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_workers_end_with_a_parent_that_is_killed():
    script = """
import os, time
from mixtures.processes import as_done
def slow(index):
    print(os.getpid(), flush=True)
    time.sleep(2)
for _ in as_done(slow, 9, 2):
    pass
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        workers = {int(process.stdout.readline()) for _ in range(2)}
        process.kill()
        until = time.monotonic() + 20
        while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < until:
            time.sleep(0.1)
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


def _dies(index):
    os._exit(3)


def test_a_worker_that_dies_is_named():
    with pytest.raises(mx.MixtureError, match="A worker process died"):
        list(as_done(_dies, 3, 2))


def test_an_interruption_ends_the_workers():
    def slow(index):
        time.sleep(60)

    running = as_done(slow, 4, 2)
    timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    begun = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        next(running)
    assert time.perf_counter() - begun < 20
    timer.join()
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_fourteen_structures_of_iris_are_no_worse_than_mclusts():
    """Every cell of 14 structures and 1 to 6 components; mclust leaves some empty."""
    codes = list(MCLUST)
    iris = mx.load_dataset("iris")
    columns = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
    specs = [mx.Mixture(mx.Gaussian(*columns, structure=code), n_components=k) for code in codes for k in range(1, 7)]
    found = mx.select(specs, iris, rng=1)
    assert (found.table["status"] == "converged").all()
    theirs = np.array([MCLUST[code] for code in codes], dtype=float).ravel()
    empty = np.isnan(theirs)
    assert empty.sum() == 3
    assert (found.table["log_likelihood"].to_numpy()[~empty] >= theirs[~empty] - 0.1).all()
    assert found.best("bic").specification == mx.Mixture(mx.Gaussian(*columns, structure="VEV"), n_components=2)


# mclust 6.0.0: Mclust(iris[, 1:4], G, modelNames)$loglik for G = 1 to 6; nan where it finds none
NONE = np.nan
MCLUST = {
    "EII": (-889.5161, -536.6527, -401.8027, -396.7007, -328.6891, -282.6973),
    "VII": (-889.5161, -478.5591, -384.3168, -348.6801, -298.6500, -265.2044),
    "EEI": (-741.0175, -488.9148, -361.4295, -356.0795, -300.8103, -264.2199),
    "VEI": (-741.0175, -443.0667, -339.4719, -309.0882, -264.0030, -242.8828),
    "EVI": (-741.0175, -463.5690, -338.7895, -338.6024, -283.1952, -266.7784),
    "VVI": (-741.0175, -386.1853, -307.1808, -287.8238, -245.4911, -220.8632),
    "EEE": (-379.9146, -296.4476, -256.3547, -250.3587, -217.2257, -207.2198),
    "VEE": (-379.9146, -278.0572, -237.5609, -222.2484, NONE, -194.5452),
    "EVE": (-379.9146, -273.4962, -258.1150, -257.5697, -246.6153, -195.6877),
    "VVE": (-379.9146, -244.9697, -238.0428, -217.1359, -190.8369, -184.5974),
    "EEV": (-379.9146, -259.6669, -232.1991, -232.1843, -180.8395, -159.3600),
    "VEV": (-379.9146, -215.7260, -186.0740, -175.7393, -161.8148, -154.3623),
    "EVV": (-379.9146, -259.0164, -222.7946, -222.3485, NONE, NONE),
    "VVV": (-379.9146, -214.3547, -180.1858, -167.4862, -152.9095, -154.4236),
}


def test_every_criterion_has_its_axis():
    assert set(AXIS) == set(SMALLER_IS_BETTER)


@pytest.mark.slow
def test_loo_is_that_of_the_posteriors_and_says_why_there_is_none(old_faithful):
    short = {"draws": 200, "tune": 300, "chains": 2}
    specs = [mx.Mixture(mx.Gaussian("waiting"), n_components=k) for k in (1, 2)]
    found = mx.select(specs, old_faithful, rng=1, loo=short)
    assert found.best("loo").specification == specs[1]
    assert found.table["loo_doubtful_rows"].tolist() == [0, 0]
    assert "leave-one-out" in found.plot("loo").axes[0].get_ylabel()
    posterior = mx.sample(specs[0], old_faithful, rng=5, draws=1000, tune=500, chains=2)
    assert found.table["loo"].iloc[0] == pytest.approx(float(mx.loo(posterior).elpd), abs=0.3)
    unsupported = mx.Mixture(mx.Gaussian("eruptions", "waiting", structure="VVE"), n_components=2)
    table = mx.select([unsupported], old_faithful, rng=1, starts=5, loo=short).table
    assert np.isnan(table["loo"].iloc[0])
    assert "loo: " in table["status"].iloc[0]
    assert "VVE" in table["status"].iloc[0]


@pytest.mark.parametrize(
    ("loo", "said"),
    [
        (3, "pass True, False or options"),
        ({"drawss": 5}, "'drawss'. Did you mean 'draws'"),
        ({"rng": 1}, "unknown option 'rng'"),
        ({"draws": 0}, "draws=0"),
        ({"tune": -1}, "None or an integer >= 0"),
    ],
)
def test_wrong_options_of_loo_are_refused_before_anything_is_fitted(old_faithful, monkeypatch, loo, said):
    monkeypatch.setattr("mixtures.selection._quiet_fit", None)
    with pytest.raises(mx.SpecError, match=r"select\(loo=...\)") as refused:
        mx.select([mx.Mixture(mx.Gaussian("waiting"), n_components=2)], old_faithful, loo=loo)
    assert said in str(refused.value)
