"""Memory of a fit of ten million rows, time per row of a pass as rows become more, and what a second thread brings.

Memory is the peak of what the process holds (`ru_maxrss`) above what it held before the fit, the data included, after a fit of
1000 rows with kernels has loaded everything. Each measurement runs in a new process, with MIXTURES_KERNELS=always.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from common import THREADS, Task, interleaved, machine, median, seconds, table, versions, write

import mixtures as mx

N = 10_000_000
SIZES = (10_000, 100_000, 1_000_000, N)
BARS = {"array": 100, "frame": 260}
"""MB: working memory, and for a frame one copy of its columns besides."""
LINEAR, SCALING, LONG = 0.15, 1.7, 1_000_000
SETTLING = (0.03, 0.3)
"""Seconds, for one thread and for more."""
SPEC = mx.Mixture(mx.Gaussian("x", "y"), n_components=3)
START = {
    "weights": np.full(3, 1.0 / 3.0),
    "mean": np.array([[-3.0, 0.5], [0.5, 3.0], [4.0, -0.5]]),
    "covariance": np.repeat(1.5 * np.eye(2)[None], 3, axis=0),
}


def rows(n: int, step: int = 100_000) -> np.ndarray:
    """Rows (n, 2), made in place, so that the peak before a fit is what is held."""
    rng, x = np.random.default_rng(1), np.empty((n, 2))
    centers = np.array([[-3.0, 0.0], [0.0, 3.0], [4.0, 0.0]])
    for begin in range(0, n, step):
        some = x[begin : begin + step]
        some[:] = centers[rng.integers(3, size=len(some))] + rng.normal(size=some.shape)
    return x


def held() -> float:
    """MB that the process holds now."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return peak()


def peak() -> float:
    """MB that the process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)


def memory_here(kind: str) -> dict[str, float]:
    mx.fit(SPEC, rows(1000), rng=1)
    data = rows(N)
    if kind == "frame":
        import pandas as pd

        columns = {"x": data[:, 0].copy(), "y": data[:, 1].copy()}
        del data
        mx.fit(SPEC, pd.DataFrame({name: column[:1000] for name, column in columns.items()}), rng=1)
        data = pd.DataFrame(columns, copy=False)
        del columns
    before = held()
    hidden = peak() - before
    fit = mx.fit(SPEC, data, rng=1)
    assert fit.decrement < 1e-6
    return {"before": before, "hidden": hidden, "more": peak() - before, "passes": fit.n_passes}


def passes_here(counts: Sequence[int], sizes: Sequence[int], repeats: int) -> dict[str, list[float]]:
    """Seconds of passes over so many rows with so many threads, by turns, each from passes in a row over ten million rows altogether.

    That is how a fit makes them. Passes of the `SETTLING` seconds before are not counted: after a pause the host of a virtual
    machine lets its second processor run late, or not at all for some passes.
    """

    def in_a_row(em, p, threads: int, count: int) -> Task:
        timed = seconds(lambda: [em.step(p) for _ in range(count)], count)

        def task() -> float:
            settled = time.perf_counter() + SETTLING[threads > 1]
            while time.perf_counter() < settled:
                em.step(p)
            return timed()

        return task

    tasks = {}
    for n in sizes:
        x = rows(n)
        for threads in counts:
            em = mx.compile_em(SPEC, x, threads=threads)
            tasks[f"{n} {threads}"] = in_a_row(em, em.parameters(START), threads, max(1, N // n))
    return interleaved(tasks, repeats)


def elsewhere(*arguments: object):
    """What a new process finds."""
    env = os.environ | {"MIXTURES_KERNELS": "always"}
    command = [sys.executable, __file__, "--child", *map(str, arguments)]
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--parts", nargs="*", default=["memory", "rows", "threads"], help="which of the three to run")
    parser.add_argument("--child", nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        what, *rest = options.child
        print(json.dumps(memory_here(*rest) if what == "memory" else passes_here(*map(json.loads, rest))))
        return
    lines = [*machine(), "", versions("mixtures-toolkit", "numba", "pandas"), ""]
    lines += ["Gaussians in two columns with full covariances, K = 3.", ""]
    if "memory" in options.parts:
        cells = []
        for kind, name in (("array", "float64 array"), ("frame", "pandas frame")):
            one = elsewhere("memory", kind)
            cells.append([name, f"{one['before']:.0f}", f"{one['more']:.0f}", BARS[kind], one["passes"]])
        head = [f"fit of {N:,} rows from", "held before, MB", "more at the peak, MB", "bar", "passes"]
        lines += [*table(head, cells), ""]
    if "rows" in options.parts:
        found = elsewhere("passes", [1], list(SIZES), 4 * options.repeats)
        each = {n: 1e9 * median(found[f"{n} 1"]) / n for n in SIZES}
        cells = [[f"{n:,}", f"{value:.2f}"] for n, value in each.items()]
        lines += [*table(["rows", "ns a row and pass, one thread"], cells), ""]
        apart = 100 * (max(each.values()) / min(each.values()) - 1)
        lines += [f"Times per row differ by {apart:.0f} % (bar: {100 * LINEAR:.0f} %).", ""]
    if "threads" in options.parts:
        found = elsewhere("passes", [1, THREADS], list(SIZES[1:]), options.repeats)
        for n in SIZES[1:]:
            one, more = (1e3 * median(found[f"{n} {threads}"]) for threads in (1, THREADS))
            bar = f" (bar: {SCALING})" if n >= LONG else ", the second still being started for a part of it"
            lines.append(
                f"A pass over {n:,} rows takes {one:.2f} ms on one thread, {more:.2f} on {THREADS}: "
                f"{one / more:.2f} times faster{bar}."
            )
    lines.append(f"Load average at the end: {os.getloadavg()[0]:.1f}.")
    write("memory", "Memory, time per row, threads", lines)


if __name__ == "__main__":
    main()
