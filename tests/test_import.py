"""Importing the package is cheap; the rest comes when it is used."""

import resource
import subprocess
import sys

import pytest

import mixtures as mx

LIST_MODULES = """
import sys
before = set(sys.modules)
import mixtures
loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
print(" ".join(sorted(loaded - set(sys.stdlib_module_names))))
"""


def run(*arguments):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True).stdout


def test_import_loads_the_standard_library_and_numpy_alone():
    assert run("-c", LIST_MODULES).split() == ["mixtures", "numpy"]


def seconds_of_children():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_import_takes_less_than_half_a_second_the_whole_process_included():
    run("-c", "import mixtures")  # bytecode is compiled and files are in memory
    times = []
    for _ in range(5):
        before = seconds_of_children()  # processor time: the machine may be busy with other tests
        run("-c", "import mixtures")
        times.append(seconds_of_children() - before)
    assert min(times) < 0.5


def test_a_specification_can_be_written_and_printed_without_further_imports():
    script = LIST_MODULES.replace(
        "import mixtures\n",
        "import mixtures\nrepr(mixtures.Mixture(mixtures.Gaussian('x') * mixtures.Bernoulli('b'), n_components=2))\n",
    )
    assert run("-c", script).split() == ["mixtures", "numpy"]


def test_every_public_name_is_there_and_listed():
    for name in mx.__all__:
        assert getattr(mx, name) is getattr(mx, name), "the second access finds what the first did"
    assert set(mx.__all__) <= set(dir(mx))


def test_no_public_function_is_hidden_by_a_submodule():
    names = ["fit", "simulate", "load", "compile_em", "load_dataset", "EM", "Status"]
    script = f"import mixtures as mx\nfor name in {names!r} * 2:\n    assert callable(getattr(mx, name)), name"
    run("-c", script)


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="no attribute 'fti'"):
        _ = mx.fti
