"""Ctrl-C ends sampling with draws or with one sentence, and leaves no process behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

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
