"""What compiling costs: the first fit of a large table on a machine, the first in a later process, and that small fits compile nothing.

Each row is three new processes: one with an empty NUMBA_CACHE_DIR, one with the cache that it left, one with
MIXTURES_KERNELS=never. Every process first fits a small table, which imports what a fit imports and compiles nothing, and then
the large one twice: what the first of the two takes more is the price of compiling, or of loading from the cache.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from common import machine, table, versions, write

import mixtures as mx

COLD, WARM = 10.0, 0.5
CASES = {
    "Gaussian, two columns, full": mx.Gaussian("x", "y"),
    "Gaussian, one column": mx.Gaussian("x"),
    "Bernoulli, ten columns": mx.Bernoulli(*[f"b{j}" for j in range(10)]),
    "Gaussian, two columns * Bernoulli, three": mx.Gaussian("x", "y") * mx.Bernoulli("b0", "b1", "b2"),
}
LARGE = 100_000


def data(n: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(n)
    z = rng.integers(2, size=n)
    columns = {"x": 4.0 * z + rng.normal(size=n), "y": rng.normal(size=n) - 3.0 * z}
    return columns | {f"b{j}": (rng.random(n) < 0.3 + 0.4 * z).astype(float) for j in range(10)}


def rows_of(spec: mx.Mixture, n: int):
    """Rows not merged, so that those of ten 0/1 columns stay many."""
    from mixtures.data import read_rows

    return read_rows(data(n), spec.columns, merge=False)


def fits_here(case: str) -> dict[str, object]:
    spec = mx.Mixture(CASES[case], n_components=2)
    mx.fit(spec, rows_of(spec, 300), starts=3, rng=1)
    before = "numba" in sys.modules
    rows, taken = rows_of(spec, LARGE), []
    for _ in range(2):
        begin = time.perf_counter()
        mx.fit(spec, rows, starts=3, rng=1)
        taken.append(time.perf_counter() - begin)
    return {"first": taken[0], "second": taken[1], "small fit loaded numba": before}


def fits_elsewhere(case: str, folder: str, kernels: str = "") -> dict[str, float]:
    env = os.environ | {"NUMBA_CACHE_DIR": folder, "MIXTURES_KERNELS": kernels}
    command = [sys.executable, __file__, "--child", case]
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert not found["small fit loaded numba"], "a small fit has loaded numba"
    return found


def machine_code(folder: str) -> int:
    """Files of ours that hold machine code."""
    return sum(1 for _ in Path(folder, "mixtures").rglob("*.nbc")) if Path(folder, "mixtures").exists() else 0


def check_compiles(arguments: list[str]) -> int:
    """How many functions of ours `mixtures` compiles with an empty cache."""
    with tempfile.TemporaryDirectory() as folder:
        env = os.environ | {"NUMBA_CACHE_DIR": folder, "MIXTURES_KERNELS": ""}
        command = [sys.executable, "-m", "mixtures", *arguments]
        subprocess.run(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        return machine_code(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(fits_here(options.child)))
        return
    lines, rows = machine(), []
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            cold = fits_elsewhere(case, folder)
            functions = machine_code(folder)
            warm = fits_elsewhere(case, folder)
            never = fits_elsewhere(case, folder, "never")
        rows.append(
            [
                case,
                functions,
                f"{cold['first']:.2f}",
                f"{warm['first']:.2f}",
                f"{warm['first'] - warm['second']:.2f}",
                f"{warm['second']:.2f}",
                f"{never['first']:.2f}",
            ]
        )
    head = [
        "components",
        "functions compiled",
        f"empty cache, s (bar: {COLD:g})",
        "from the cache, s",
        f"of which loading (bar: {WARM:g})",
        "second fit, s",
        "without kernels, s",
    ]
    lines += ["", versions("mixtures-toolkit", "numba", "llvmlite"), ""]
    lines += [f"K = 2, {LARGE:,} rows, three starts; seconds of the whole `mx.fit`.", "", *table(head, rows), ""]
    commands = (["fit", "old_faithful", "--k", "2"], ["check"])
    for arguments in commands:
        lines.append(f"`mixtures {' '.join(arguments)}` compiles {check_compiles(arguments)} functions of ours.")
    lines.append(f"Load average at the end: {os.getloadavg()[0]:.1f}.")
    write("first_use", "What compiling costs", lines)


if __name__ == "__main__":
    main()
