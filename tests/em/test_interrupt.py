"""Ctrl-C ends a fit with the best estimate so far."""

import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import mixtures as mx

LONG_FIT = """
import sys
import mixtures as mx

data = mx.load_dataset("old_faithful")
spec = mx.Mixture(mx.Gaussian("eruptions", "waiting"), n_components=3)


def progress(done, total):
    if done == 3:
        print("ready", flush=True)


found = mx.fit(spec, data, starts=1_000_000, rng=1, progress=progress)
print(found.status.name, found.starts["starts"].sum(), found.log_likelihood)
print(found.summary().splitlines()[2])
"""

LONG_CLIMB = """
import numpy as np
import mixtures as mx


class Talking(mx.EM):
    def cycle(self, run):
        super().cycle(run)
        if len(run.history) == 5:
            print("ready", flush=True)


x = np.random.default_rng(1).normal(size=(5000, 4))
spec = mx.Mixture(mx.Gaussian("a", "b", "c", "d"), n_components=6)
found = mx.fit(spec, x, starts=1, rng=1, method=Talking(10**9))
print(found.status.name, len(found.history), found.log_likelihood)
print(found.summary().splitlines()[2])
"""


@pytest.mark.parametrize("script", [LONG_FIT, LONG_CLIMB], ids=["many starts", "one long climb"])
def test_an_interrupt_returns_the_best_so_far_and_says_so(tmp_path, script):
    file = tmp_path / "long_fit.py"
    file.write_text(script)
    process = subprocess.Popen([sys.executable, file], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline().strip() == "ready"
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, err
    status, count, log_likelihood = out.splitlines()[0].split()
    assert status == "INTERRUPTED"
    assert int(count) >= 3
    assert np.isfinite(float(log_likelihood))
    assert "Interrupted: this is the best estimate so far" in out
    assert err == ""


def interrupt_after(count):
    def progress(done, total):
        if done == count:
            raise KeyboardInterrupt

    return progress


def test_what_had_been_reached_is_kept():
    data = mx.load_dataset("old_faithful")
    spec = mx.Mixture(mx.Gaussian("eruptions", "waiting"), n_components=2)
    found = mx.fit(spec, data, rng=1, progress=interrupt_after(4))
    assert found.status is mx.Status.INTERRUPTED
    assert not found.converged
    assert found.starts["starts"].sum() == 4
    whole = mx.fit(spec, data, rng=1, starts=4)
    assert found.log_likelihood == whole.log_likelihood


def test_an_interrupt_on_the_subsample_gives_an_estimate_on_all_rows():
    rng = np.random.default_rng(1)
    x = np.r_[rng.normal(0, 1, 12000), rng.normal(6, 1, 12000)][:, None]
    spec = mx.Mixture(mx.Gaussian("x"), n_components=2)
    found = mx.fit(spec, x, rng=1, progress=interrupt_after(2))
    assert found.status is mx.Status.INTERRUPTED
    assert found.subsample == 10_000
    assert found.log_likelihood == pytest.approx(found.score(x).sum(), rel=1e-10)
    assert found.log_likelihood == pytest.approx(mx.fit(spec, x, rng=1, starts=2).log_likelihood, rel=1e-3)


def test_an_interrupt_before_anything_was_reached_is_an_error(monkeypatch):
    from mixtures.em.starts import StartMaker

    def stop(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(StartMaker, "make", stop)
    with pytest.raises(mx.FitError, match="Interrupted before"):
        mx.fit(mx.Mixture(mx.Gaussian("x"), n_components=2), np.arange(9.0)[:, None], rng=1)


def test_progress_counts_the_starts():
    seen = []
    data = mx.load_dataset("old_faithful")
    mx.fit(
        mx.Mixture(mx.Gaussian("waiting"), n_components=2),
        data,
        rng=1,
        starts=5,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(i, 5) for i in range(1, 6)]
