"""Ctrl-C ends sampling with draws or with one sentence, and leaves no process behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from helpers_bayes import CASES

import mixtures as mx
from mixtures.bayes import sample as sampling
from mixtures.bayes import stack
from mixtures.bayes.nutpie_sampler import Nutpie, without_gaps
from mixtures.bayes.op import RowMixture
from mixtures.bayes.sample import _NUTS
from mixtures.em import run
from mixtures.em.program import Program
from mixtures.kernels.interrupts import raise_meant

SCRIPT = """
import mixtures as mx
from mixtures.bayes import stack
import mixtures.bayes.sample
spec = mx.Mixture(mx.Gaussian("eruptions"), n_components=2)
print("ready", flush=True)
try:
    draws = mx.sample(spec, mx.load_dataset("old_faithful"), draws=200_000, tune={tune}, chains=2, cores={cores}, rng=1)
    print("draws", stack.group(draws, "posterior").sizes["draw"], draws.attrs["mixtures_interrupted"])
except mx.FitError as error:
    print("error", error)
"""


signals = pytest.mark.skipif(sys.platform == "win32", reason="os.kill ends the process there")


def children_of(pid: int) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, ValueError, IndexError):
            continue
        if parent == pid:
            found.append(int(folder.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
@pytest.mark.parametrize(("tune", "cores", "word"), [(5, 2, "draws"), (100_000, 2, "error"), (5, 1, "draws")])
def test_an_interruption_returns_the_draws_there_are_or_says_that_there_are_none(tune: int, cores: int, word: str):
    command = [sys.executable, "-c", SCRIPT.format(tune=tune, cores=cores)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            workers, out, err = _interrupted(process, cores)
        finally:
            process.kill()
    assert process.returncode == 0, err
    assert "Traceback" not in err
    if cores > 1:
        assert out.split()[0] == word, out
    if out.startswith("draws"):
        assert 0 < int(out.split()[1]) < 200_000
        assert out.split()[2] == "1"
    else:
        assert "interrupted" in out
    deadline = time.monotonic() + 10
    while any(_alive(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(_alive(pid) for pid in workers)


def _interrupted(process: subprocess.Popen, cores: int) -> tuple[list[int], str, str]:
    """Sends SIGINT some seconds into sampling; the worker processes there were, and the outputs."""
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    until = time.monotonic() + 60
    while cores > 1 and len(children_of(process.pid)) < cores and time.monotonic() < until:
        time.sleep(0.1)
    workers = children_of(process.pid)
    time.sleep(4.0 if cores > 1 else 10.0)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=90)
    return workers, out, err


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


# -- interrupts during compiled functions ---------------------------------------------------------------------------------


def repeated_until_interrupted(call) -> None:
    """Call again and again; a signal comes while one of the calls runs."""
    timer = threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGINT))
    call()
    timer.start()
    until = time.monotonic() + 30
    while time.monotonic() < until:
        call()


@signals
@pytest.mark.parametrize("what", ["rows", "graph"])
def test_an_interrupt_during_a_compiled_function_is_an_interrupt(what: str):
    rng = np.random.default_rng(0)
    spec = mx.Mixture(mx.Gaussian("x", "y"), n_components=2)
    rows = spec.rows(np.concatenate([rng.normal(size=(10_000, 2)), rng.normal(size=(10_000, 2)) + 4.0]))
    resolved = spec.resolve(rows)
    likelihood = RowMixture.of(resolved, rows.values)
    weights, mean, covariance = np.full(2, 0.5), np.array([[0.0, 0.0], [4.0, 4.0]]), np.repeat(np.eye(2)[None], 2, 0)
    call = lambda: likelihood.evaluate(rows.values, rows.weights, weights, mean, covariance)  # noqa: E731
    if what == "graph":
        model = mx.compile_pymc(spec, rows)
        nuts = _NUTS(model, Program(resolved, rows, "map"), likelihood, 0.9)
        q = np.zeros(sum(value.size for value in model.initial_point().values()))
        call = lambda: nuts.density(q)  # noqa: E731
    assert likelihood.kernels_pay(len(rows.values), 2)
    with pytest.raises(KeyboardInterrupt):
        repeated_until_interrupted(call)


def test_other_system_errors_stay_what_they_are():
    error = SystemError("of its own")
    error.__cause__ = ValueError("not an interrupt")
    with pytest.raises(SystemError, match="of its own"):
        raise_meant(error)


# -- nutpie ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lengths", "chains", "draws"),
    [([9, 9, 9], [0, 1, 2], 9), ([5, 9, 0], [0, 1], 5), ([1, 9, 3], [1], 9), ([4, 3, 4], [0, 1, 2], 3)],
)
def test_as_many_draws_are_kept_as_there_are_in_chains_of_one_length(lengths, chains, draws):
    value = np.arange(54.0).reshape(3, 9, 2)
    for chain, length in enumerate(lengths):
        value[chain, length:] = np.nan
    dims, coords = ("chain", "draw"), {"chain": np.arange(3), "draw": np.arange(9)}
    posterior = xr.Dataset({"free": ((*dims, "part"), value)}, coords=coords)
    statistics = xr.Dataset({"depth": (dims, np.zeros((3, 9), dtype=int))}, coords=coords)
    data = xr.Dataset({"y": ("row", np.zeros(4))})
    given = {"posterior": posterior, "sample_stats": statistics, "observed_data": data}
    found = without_gaps(stack.make_container(given))
    expected = value[chains, :draws]
    np.testing.assert_array_equal(stack.group(found, "posterior")["free"], expected)
    assert not np.isnan(expected).any()
    assert stack.group(found, "posterior")["chain"].values.tolist() == chains
    assert stack.group(found, "sample_stats")["depth"].shape == (len(chains), draws)
    assert stack.group(found, "observed_data")["y"].shape == (4,)


@pytest.mark.parametrize("draws", [0, 9])
def test_a_trace_without_any_draw_is_an_interruption(draws: int):
    value = xr.Dataset({"free": (("chain", "draw", "part"), np.full((2, draws, 2), np.nan))})
    with pytest.raises(KeyboardInterrupt):
        without_gaps(stack.make_container({"posterior": value}))


@signals
def test_an_interruption_of_nutpie_keeps_the_draws_there_are(monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("nutpie")
    draw = Nutpie.draw

    def interrupted(self, **settings):
        timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        return draw(self, **settings)

    monkeypatch.setattr(Nutpie, "draw", interrupted)
    case = CASES["one column"]
    arguments = {"chains": 3, "cores": 2, "rng": 1, "nuts_sampler": "nutpie"}  # two of the chains have begun by then
    found = mx.sample(case.spec, case.data, draws=2_000_000, tune=20, **arguments)
    sizes = stack.group(found, "posterior").sizes
    assert sizes["chain"] == 2
    assert 0 < sizes["draw"] < 2_000_000
    assert found.attrs["mixtures_interrupted"] == 1
    with pytest.raises(mx.FitError, match="interrupted before any draw"):
        mx.sample(case.spec, case.data, draws=10, tune=2_000_000, **arguments)


# -- interrupts around the draws --------------------------------------------------------------------------------------------


def test_an_interrupt_during_a_climb_is_one_to_those_who_do_not_know_climbs(monkeypatch: pytest.MonkeyPatch):
    def interrupted(*args, **kwargs):
        raise run.InterruptedClimb(None)

    monkeypatch.setattr("mixtures.bayes.chains.climb", interrupted)
    case = CASES["one column"]
    with pytest.raises(mx.FitError, match="interrupted before any draw"):
        mx.sample(case.spec, case.data, draws=5, tune=5, chains=2, cores=1, rng=1)


def test_an_interrupt_while_draws_are_relabelled_keeps_them(monkeypatch: pytest.MonkeyPatch):
    calls, assemble = [], sampling.assemble

    def interrupted(*args):
        calls.append(1)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return assemble(*args)

    monkeypatch.setattr(sampling, "assemble", interrupted)
    case = CASES["one column"]
    found = mx.sample(case.spec, case.data, draws=5, tune=5, chains=2, cores=1, rng=1)
    assert stack.group(found, "posterior").sizes["draw"] == 5
    assert found.attrs["mixtures_interrupted"] == 1
