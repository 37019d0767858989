"""What every benchmark shares: interleaved timing, the machine's limits, and tables as text files."""

from __future__ import annotations

import contextlib
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
THREADS = int(os.environ.setdefault("OMP_NUM_THREADS", "2"))
for variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(variable, str(THREADS))

import numpy as np  # noqa: E402  (after the variables that it reads)

PAUSE = 0.1
"""Seconds before each turn: threads that wait in a loop for more work, as those of OpenMP and TBB do, have then gone to sleep."""

Task = Callable[[], float]
"""Does the work once and returns how many seconds one unit of it took."""


def seconds(function: Callable[[], object], units: int = 1) -> Task:
    """A task that times a function, whose one call does so many units."""

    def task() -> float:
        begin = time.perf_counter()
        function()
        return (time.perf_counter() - begin) / units

    return task


def interleaved(tasks: Mapping[str, Task], repeats: int = 9) -> dict[str, list[float]]:
    """Each task's times, taken in turns after one round that is thrown away."""
    found: dict[str, list[float]] = {name: [] for name in tasks}
    for turn in range(repeats + 1):
        for name, task in tasks.items():
            time.sleep(PAUSE)
            taken = task()
            if turn:
                found[name].append(taken)
    return found


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def machine() -> list[str]:
    """The processor, and what it can do at most: matrix products, exponentials and copies."""
    lines = [
        f"Processor: {_processor()}, {os.cpu_count()} visible; Python {platform.python_version()}, NumPy {np.__version__}."
    ]
    lines.append(f"Load average when this began: {os.getloadavg()[0]:.1f}; {THREADS} threads for everyone.")
    from threadpoolctl import threadpool_limits

    a = np.random.default_rng(0).random((1500, 1500))
    speeds = []
    for threads in (1, THREADS):
        with threadpool_limits(threads):
            speeds.append(2e-9 * len(a) ** 3 / median(interleaved({"dgemm": seconds(lambda: a @ a)})["dgemm"]))
    x, out = np.random.default_rng(0).random(4096), np.empty(4096)
    exp = median(interleaved({"exp": seconds(lambda: [np.exp(x, out=out) for _ in range(200)], 200 * 4096)})["exp"])
    big, copy = np.zeros(20_000_000), np.zeros(20_000_000)
    bandwidth = 16e-9 * len(big) / median(interleaved({"copy": seconds(lambda: np.copyto(copy, big))})["copy"])
    lines.append(
        f"Limits: dgemm {speeds[0]:.0f} GFLOP/s on one thread, {speeds[1]:.0f} on {THREADS}; NumPy's exp "
        f"{1e9 * exp:.2f} ns an element in cache; copy {bandwidth:.1f} GB/s read and written."
    )
    return lines


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def versions(*names: str) -> str:
    """The versions of the peers that are installed."""
    from importlib.metadata import PackageNotFoundError, version

    found = []
    for name in names:
        with contextlib.suppress(PackageNotFoundError):
            found.append(f"{name} {version(name)}")
    return ", ".join(found)


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """A Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]


def write(name: str, title: str, lines: Sequence[str]) -> None:
    """Print a result and keep it in results/."""
    text = "\n".join([f"# {title}", "", *lines, "", f"Command: `python {' '.join(_command())}`", ""])
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text(text)


def _command() -> list[str]:
    script = Path(sys.argv[0])
    return [f"benchmarks/{script.name}", *sys.argv[1:]]


def milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{1e3 * value:.3g}"


def ratio(peer: float | None, ours: float) -> str:
    return "-" if peer is None else f"{peer / ours:.2f}"


@contextlib.contextmanager
def timed() -> Iterator[list[float]]:
    """The seconds that a block takes, in a list."""
    found: list[float] = []
    begin = time.perf_counter()
    yield found
    found.append(time.perf_counter() - begin)
