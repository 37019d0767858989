"""Another process compiles ahead: what it has done is loaded, what it does is waited for, and without it nothing is missing."""

import os
import subprocess
import sys

import pytest

PROLOGUE = """
import time
from mixtures.kernels import ahead, densities, gaussian, scores

def until(condition):
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)

def loaded(function):
    return sum(function.alone.stats.cache_hits.values()) == 1
"""


def run(script, folder, threads=2):
    env = os.environ | {"NUMBA_CACHE_DIR": str(folder), "OMP_NUM_THREADS": str(threads)}
    subprocess.run([sys.executable, "-c", PROLOGUE + script], env=env, check=True, timeout=300)


def test_functions_compiled_elsewhere_are_loaded_here(tmp_path):
    run(
        """
with ahead.compiling_ahead():
    ahead.ask([densities.location, densities.simplex])
    until(lambda: densities.simplex.kept and densities.location.kept)
    process = ahead._session.process
    assert loaded(densities.simplex) and loaded(densities.location)
assert process.returncode is not None and ahead._session is None
with ahead.compiling_ahead():
    ahead.ask([densities.simplex])
    assert ahead._session.process is None  # nothing is missing
""",
        tmp_path,
    )


def test_a_function_that_is_being_compiled_elsewhere_is_waited_for(tmp_path):
    run(
        """
with ahead.compiling_ahead():
    ahead.ask([densities.normal_density])
    session = ahead._session
    def begun():
        session.listen()
        return session.busy_with == densities.normal_density.name or densities.normal_density.kept
    until(begun)
    assert loaded(densities.normal_density) and session.busy_with == ""
""",
        tmp_path,
    )


@pytest.mark.slow
@pytest.mark.parametrize("how", ["before", "meanwhile"])
def test_if_the_other_process_dies_functions_are_compiled_here(tmp_path, how):
    run(
        f"how = {how!r}"
        """
with ahead.compiling_ahead():
    ahead.ask([densities.normal_density])
    session = ahead._session
    if how == "meanwhile":
        def begun():
            session.listen()
            return session.busy_with != ""
        until(begun)
    session.process.kill()
    if how == "before":
        session.process.wait()
        ahead.ask([densities.simplex])
        assert not loaded(densities.simplex)
    assert not loaded(densities.normal_density)
""",
        tmp_path,
    )


def test_with_one_processor_nobody_helps(tmp_path):
    run(
        """
with ahead.compiling_ahead():
    ahead.ask([densities.simplex])
    assert ahead._session.process is None
    assert not loaded(densities.simplex)
""",
        tmp_path,
        threads=1,
    )


def test_an_interrupt_ends_the_other_process(tmp_path):
    run(
        """
import signal
try:
    with ahead.compiling_ahead():
        ahead.ask([scores.pair_scores])
        session = ahead._session
        assert session.asked == {scores.pair_scores.name}
        signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    assert session.process.returncode is not None and ahead._session is None
else:
    raise AssertionError("not interrupted")
""",
        tmp_path,
    )


@pytest.mark.slow
def test_a_first_sample_is_helped_and_draws_the_same(tmp_path):
    script = """
import hashlib
import numpy as np
import mixtures as mx
started, start = [], ahead.Session._started
ahead.Session._started = lambda self: started.append(start(self)) or started[-1]
if __name__ == "__main__":
    x = np.r_[np.random.default_rng(1).normal(size=5000), np.random.default_rng(2).normal(4.0, 1.0, 5000)]
    posterior = mx.sample(mx.Mixture(mx.Gaussian("x"), n_components=2), {"x": x}, draws=5, tune=5, chains=1, rng=1, progress=False)
    assert [one.returncode is not None for one in started] == EXPECTED
    assert loaded(gaussian.single_pass)
    print(hashlib.md5(posterior["posterior"]["mean"].values.tobytes()).hexdigest())
"""
    env, found = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "OMP_NUM_THREADS": "2"}, []
    for expected in ("[True]", "[]"):  # the second finds everything on disk
        source = PROLOGUE + script.replace("EXPECTED", expected)
        done = subprocess.run([sys.executable, "-c", source], env=env, check=True, timeout=300, capture_output=True)
        found.append(done.stdout)
    assert found[0] == found[1]
