"""Compiled functions find each other when they are called: nothing is compiled twice, nor before it is called."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from numba.core import types
from numba.core.errors import TypingError

from mixtures.kernels import ahead
from mixtures.kernels.compiling import Compiled, array, given

PROLOGUE = """
import numpy as np
import pytensor
import pytensor.tensor as pt
from mixtures.bayes import densities
from mixtures.kernels import ahead, compiling, densities as kernels, gaussian, scores, steps

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
    unit = 1 if sys.platform == "darwin" else 1024
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(200):
        sum_of(x)
    more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert more * unit < 100 << 20  # 200 arrays of 8 MB are 1.6 GB


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


def test_an_interrupt_while_one_is_compiled_is_an_interrupt(tmp_path):
    script = """
compile = compiling.Compiled._compile

def interrupted(self, *, cache):
    raise KeyboardInterrupt

call = scores.pair_scores.alone
compiling.Compiled._compile = interrupted
x = np.random.default_rng(1).normal(size=(50, 2))
given = (x, np.ones(50), np.ones(1), np.zeros((1, 2)), np.eye(2)[None], np.arange(2), True)
try:
    call(*given)
except KeyboardInterrupt:
    compiling.Compiled._compile = compile
    print(call(*given)[1])
"""
    assert float(run(script, tmp_path)) < 0.0


def test_what_else_is_expected_may_fail():
    squares, sum_of = pair()
    broken = Compiled(array(1)(given(1)), lambda x: x.nothing)
    alone = sum_of.alone
    with ahead.compiling_ahead():
        ahead.expect(broken)
        assert alone(np.arange(3.0)) == 5.0
    assert "alone" in squares.__dict__
    assert "alone" not in broken.__dict__


def test_arguments_that_are_read_otherwise_are_refused():
    squares, _ = pair()
    strided = types.Array(types.float64, 1, "A", readonly=True)
    caller = Compiled(types.float64(strided), _sum_of, calls={"squares": squares})
    with pytest.raises(TypingError):  # squares takes contiguous arrays
        _ = caller.alone


def test_threads_find_one_link():
    for _ in range(50):
        one, found, both = Compiled(array(1)(given(1)), _squares), [], threading.Barrier(2)

        def look(one=one, found=found, both=both):
            both.wait()
            found.append(one.link)

        threads = [threading.Thread(target=look) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found[0] is found[1] is one.link


@pytest.mark.parametrize("prepared", [False, True])
def test_graphs_compile_nothing_of_ours_before_they_are_called(tmp_path, prepared):
    script = (
        f"prepared = {prepared}"
        """
free = pt.matrix("free", shape=(3, 2))
whole = densities.LocationMap([1.0, 2.0], [3.0, 4.0])(free)
with ahead.compiling_ahead():
    function = pytensor.function([free], whole, mode="NUMBA")
    assert not is_ready(kernels.location)
    if prepared:
        ahead.make_expected_ready()
        assert is_ready(kernels.location)
np.testing.assert_allclose(function(np.ones((3, 2))), [[4.0, 6.0]] * 3)
assert is_ready(kernels.location)
"""
    )
    run(script, tmp_path)
    run(script, tmp_path)  # with PyTensor's machine code of before


def test_a_function_and_the_one_it_calls_are_made_ready_by_two_processes(tmp_path):
    script = """
asked, ask = [], ahead.Session.ask
ahead.Session.ask = lambda self, functions: asked.extend(functions) or ask(self, [])
compiling.ready_together(steps.single_step)
assert asked == [steps.single_step]
assert is_ready(gaussian.single_pass)
assert ahead._session is None
asked.clear()
compiling.ready_together(steps.single_step)
assert asked == []
"""
    run(script, tmp_path)


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
