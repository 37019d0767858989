"""One EM pass of a Gaussian mixture with full covariances: ours against oneDAL, scikit-learn, pomegranate and mclust.

Everybody starts at the same parameters on the same float64 rows. A pass is one E-step and one M-step; where a peer has no
such function it is the difference of two runs whose numbers of iterations are fixed.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
import warnings
from pathlib import Path

import numpy as np
from common import THREADS, interleaved, machine, median, milliseconds, ratio, seconds, table, timed, versions, write

import mixtures as mx

SHAPES = [(1_000_000, 1, 3), (1_000_000, 2, 3), (200_000, 10, 10), (100_000, 4, 50), (50_000, 64, 8)]
BARS = {SHAPES[0]: 1.3, SHAPES[1]: 1.3, SHAPES[2]: 1.8, SHAPES[3]: 1.8, SHAPES[4]: 1.1}
PEERS = ("oneDAL", "scikit-learn", "pomegranate")
PASSES = 10
"""Passes of ours and of oneDAL's that are timed together, as a fit makes them."""


def problem(n: int, d: int, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Overlapping components, so that nobody has converged after a few passes: rows and starting weights, means, covariances."""
    rng = np.random.default_rng(n + d + k)
    centers = rng.normal(size=(k, d)) * 2.5 / np.sqrt(d)
    x = centers[rng.integers(k, size=n)] + rng.normal(size=(n, d))
    return x, np.full(k, 1.0 / k), centers + 0.3, np.repeat(2.0 * np.eye(d)[None], k, axis=0)


def ours(x, weights, means, covariances):
    names = [f"x{j}" for j in range(x.shape[1])]
    spec = mx.Mixture(mx.Gaussian(*names), n_components=len(weights))
    with timed() as preparing:
        em = mx.compile_em(spec, x)
    p = em.parameters({"weights": weights, "mean": means, "covariance": covariances})
    with timed() as first:
        em.step(p)
    return (
        seconds(lambda: [em.step(p) for _ in range(PASSES)], PASSES),
        preparing[0],
        first[0],
        em.log_likelihood(em.step(em.step(p))),
    )


def onedal(x, weights, means, covariances, passes=PASSES):
    import daal4py

    daal4py.daalinit(THREADS)
    algorithm = daal4py.em_gmm(nComponents=len(weights), maxIterations=passes, accuracyThreshold=0.0)

    def run():
        result = algorithm.compute(x, weights[None], means, list(covariances))
        assert int(np.ravel(result.nIterations)[0]) == passes, "oneDAL has stopped early"

    return seconds(run, passes)


def onedal_log_likelihood(x, weights, means, covariances, passes):
    import daal4py

    algorithm = daal4py.em_gmm(nComponents=len(weights), maxIterations=passes, accuracyThreshold=0.0)
    return float(np.ravel(algorithm.compute(x, weights[None], means, list(covariances)).goalFunction)[0])


def sklearn(x, weights, means, covariances):
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    def run(passes):
        model = GaussianMixture(
            len(weights),
            max_iter=passes,
            tol=0.0,
            reg_covar=0.0,
            weights_init=weights,
            means_init=means,
            precisions_init=np.linalg.inv(covariances),
            init_params="random_from_data",
            random_state=0,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(x)

    return lambda: (seconds(lambda: run(3))() - seconds(lambda: run(1))()) / 2


def pomegranate(x, weights, means, covariances):
    import torch
    from pomegranate.distributions import Normal
    from pomegranate.gmm import GeneralMixtureModel

    torch.set_num_threads(THREADS)
    rows = torch.tensor(x)
    parts = [
        Normal(torch.tensor(m), torch.tensor(c), covariance_type="full")
        for m, c in zip(means, covariances, strict=True)
    ]
    model = GeneralMixtureModel(parts, priors=torch.tensor(weights))

    def run():
        model.summarize(rows)
        model.from_summaries()

    return seconds(run)


MCLUST = """
suppressMessages(library(mclust))
a <- commandArgs(TRUE); n <- as.integer(a[2]); d <- as.integer(a[3]); k <- as.integer(a[4]); repeats <- as.integer(a[5])
f <- file(a[1], "rb"); x <- matrix(readBin(f, "double", n * d), n, d); z <- matrix(readBin(f, "double", n * k), n, k); close(f)
model <- if (d == 1) "V" else "VVV"
run <- function(m) system.time(me(x, modelName = model, z = z, control = emControl(itmax = c(m, m), tol = c(0, 0))))[["elapsed"]]
invisible(run(1))
for (i in seq_len(repeats)) cat((run(4) - run(1)) / 3, "\\n")
"""


def mclust(x, k, repeats):
    """mclust's times, from a process of its own."""
    if shutil.which("Rscript") is None:
        return None
    z = np.random.default_rng(0).dirichlet(np.ones(k), size=len(x))
    with tempfile.TemporaryDirectory() as directory:
        script, data = Path(directory, "me.R"), Path(directory, "data")
        script.write_text(MCLUST)
        data.write_bytes(x.T.tobytes() + z.T.tobytes())
        command = ["Rscript", script, data, *map(str, (*x.shape, k, repeats))]
        done = subprocess.run(command, capture_output=True, text=True)
    return [float(line) for line in done.stdout.split()] if done.returncode == 0 else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--shapes", type=int, nargs="*", default=range(len(SHAPES)), help="positions among the shapes")
    parser.add_argument("--only", nargs="*", default=[*PEERS, "mclust"], help="peers to run")
    options = parser.parse_args()
    lines, rows, notes = machine(), [], []
    for position in options.shapes:
        shape = SHAPES[position]
        given = problem(*shape)
        step, preparing, first, reached = ours(*given)
        tasks = {"ours": step}
        for name, make in (("oneDAL", onedal), ("scikit-learn", sklearn), ("pomegranate", pomegranate)):
            if name in options.only:
                try:
                    tasks[name] = make(*given)
                except ImportError:
                    notes.append(f"{name} is not installed.")
        times = {name: median(found) for name, found in interleaved(tasks, options.repeats).items()}
        r = mclust(given[0], shape[2], min(options.repeats, 5)) if "mclust" in options.only else None
        if r is not None:
            times["mclust"] = median(r)
        own = times["ours"]
        rows.append(
            [", ".join(map(str, shape)), milliseconds(own)]
            + [f"{milliseconds(times.get(name))} ({ratio(times.get(name), own)})" for name in (*PEERS, "mclust")]
            + [BARS[shape], f"{1e3 * preparing:.0f}", f"{1e3 * first:.0f}"]
        )
        if "oneDAL" in tasks:
            gap = abs(onedal_log_likelihood(*given, 3) / reached - 1.0)
            notes.append(
                f"{shape}: after the same passes oneDAL's log-likelihood and ours differ by {gap:.1e} relative."
            )
    head = [
        "n, d, K",
        "ours",
        *(f"{name} (ratio)" for name in (*PEERS, "mclust")),
        "bar (oneDAL)",
        "preparing",
        "first step",
    ]
    lines += ["", versions("mixtures-toolkit", "scikit-learn", "scikit-learn-intelex", "pomegranate"), ""]
    lines += [
        "Milliseconds; medians of interleaved repeats, mclust's from a process of its own; ratio: peer's / ours.",
        "",
    ]
    lines += [*table(head, rows), "", *sorted(set(notes))]
    write("em_pass", "One EM pass, Gaussian mixtures with full covariances", lines)


if __name__ == "__main__":
    main()
