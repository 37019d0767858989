"""Compiled functions find each other when they are called: nothing is compiled twice, nor before it is called."""

import os
import subprocess
import sys

import numpy as np
import pytest
from numba.core import types

from mixtures.kernels.compiling import Compiled, array, given

PROLOGUE = """
import numpy as np
import pytensor
import pytensor.tensor as pt
from mixtures.bayes import densities
from mixtures.kernels import compiling, densities as kernels, gaussian, scores

def is_ready(function):
    return "alone" in function.__dict__
"""


def run(script, folder):
    env = os.environ | {"NUMBA_CACHE_DIR": str(folder), "PYTENSOR_FLAGS": f"base_compiledir={folder}/pytensor"}
    done = subprocess.run(
        [sys.executable, "-c", PROLOGUE + script], env=env, check=True, timeout=300, capture_output=True
    )
    return done.stdout


def _squares(x):
    found = np.empty(x.size)
    for i in range(x.size):
        found[i] = x[i] * x[i]
    return found


def _sum_of(x):
    sum_ = 0.0
    for one in squares(x):  # noqa: F821 (given by `calls`)
        sum_ += one
    return sum_


def pair():
    squares = Compiled(array(1)(given(1)), _squares)
    return squares, Compiled(types.float64(given(1)), _sum_of, calls={"squares": squares})


def test_a_function_makes_those_that_it_calls_ready():
    squares, sum_of = pair()
    assert sum_of(np.array([1.0, 2.0])) == 5.0
    assert "alone" in squares.__dict__


def test_a_function_without_an_address_is_made_ready_where_it_is_called():
    squares, sum_of = pair()
    alone = sum_of.alone  # `ready` would make both so
    assert "alone" not in squares.__dict__
    assert [alone(np.arange(3.0)), alone(np.arange(4.0))] == [5.0, 14.0]
    assert "alone" in squares.__dict__


def test_what_it_gives_is_freed():
    _, sum_of = pair()
    x = np.ones(1 << 20)
    sum_of(x)
    resource = pytest.importorskip("resource")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(200):
        sum_of(x)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024  # 200 arrays of 8 MB are 1.6 GB


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_one_that_cannot_be_compiled_is_an_error_and_is_tried_again(monkeypatch):
    _, sum_of = pair()
    alone = sum_of.alone

    def fail(self, *, cache):
        raise ValueError("no room")

    with monkeypatch.context() as patched:
        patched.setattr(Compiled, "_compile", fail)
        with pytest.raises(RuntimeError, match="could not be compiled"):
            alone(np.arange(3.0))
    assert alone(np.arange(3.0)) == 5.0


def test_graphs_compile_nothing_of_ours_before_they_are_called(tmp_path):
    script = """
free = pt.matrix("free", shape=(3, 2))
whole = densities.LocationMap([1.0, 2.0], [3.0, 4.0])(free)
function = pytensor.function([free], whole, mode="NUMBA")
assert not is_ready(kernels.location)
compiling.make_expected_ready()
assert is_ready(kernels.location)
np.testing.assert_allclose(function(np.ones((3, 2))), [[4.0, 6.0]] * 3)
"""
    run(script, tmp_path)
    run(script, tmp_path)  # with PyTensor's machine code of before


def test_machine_code_is_loaded_before_the_functions_that_it_calls(tmp_path):
    script = """
assert scores.pair_scores.alone.stats.cache_hits.total() == EXPECTED
assert not is_ready(gaussian.pair_pass)
x = np.random.default_rng(1).normal(size=(50, 2))
found = scores.pair_scores.alone(
    x, np.ones(50), np.ones(1), np.zeros((1, 2)), np.eye(2)[None], np.arange(2), True
)
assert is_ready(gaussian.pair_pass)
print(found[1] + np.log(2.0 * np.pi) * 50 + 0.5 * np.sum(x * x))
"""
    for expected in (0, 1):
        assert abs(float(run(script.replace("EXPECTED", str(expected)), tmp_path))) < 1e-9
