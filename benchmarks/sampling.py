"""Effective draws per second of the posterior, end to end: ours against the same mixture written by hand in PyMC.

Each run is a process of its own with empty caches, and its clock starts after the imports: ours fits by EM, compiles, samples
(4 chains of 1000 draws after 1000 of tuning) and relabels; the hand-written model starts at the same EM estimate and samples with
PyMC's defaults. The figure is the smallest bulk ESS of weights and means, divided by the seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

import numpy as np
from common import machine, median, table, versions, write
from gradient import by_hand_list, two_dimensional

import mixtures as mx

COLUMNS = ("eruptions", "waiting")


def old_faithful():
    return mx.Mixture(mx.Gaussian(*COLUMNS), n_components=2), mx.load_dataset("old_faithful")


def by_hand_old_faithful(data):
    import pymc as pm

    x = data[list(COLUMNS)].to_numpy(dtype=float)
    with pm.Model() as model:
        w = pm.Dirichlet("w", np.ones(2))
        parts = []
        for k in range(2):
            mean = pm.Normal(f"mean{k}", x.mean(axis=0), 5.0 * x.std(axis=0), shape=2)
            sd = pm.HalfNormal.dist(3.0 * x.std(axis=0), shape=2)
            chol, _, _ = pm.LKJCholeskyCov(f"chol{k}", n=2, eta=2.0, sd_dist=sd)
            parts.append(pm.MvNormal.dist(mean, chol=chol))
        pm.Mixture("y", w=w, comp_dists=parts, observed=x)
    return model


CASES = {
    "Old Faithful, K = 2": (old_faithful, by_hand_old_faithful, 3),
    "two-dimensional normals, K = 3, n = 5000": (two_dimensional, by_hand_list, 15),
}


def ours(case: str) -> tuple[float, float]:
    from mixtures.bayes import stack

    spec, data = CASES[case][0]()
    begin = time.perf_counter()
    draws = mx.sample(spec, data, rng=1, progress=False)
    taken = time.perf_counter() - begin
    posterior = stack.group(draws, "posterior")
    return taken, smallest_ess([posterior["weights"].values, posterior["mean"].values])


def hand(case: str) -> tuple[float, float]:
    import pymc as pm

    make, by_hand, _ = CASES[case]
    spec, data = make()
    point = mx.fit(spec, data, rng=1).point
    begin = time.perf_counter()
    with by_hand(data):
        start = {"w": point["weights"]}
        for k, (mean, covariance) in enumerate(zip(point["mean"], point["covariance"], strict=True)):
            start[f"mean{k}"] = mean
            start[f"chol{k}"] = np.linalg.cholesky(covariance)[np.tril_indices(2)]
        draws = pm.sample(chains=4, random_seed=1, progressbar=False, initvals=start, nuts_sampler="pymc")
    taken = time.perf_counter() - begin
    posterior = draws["posterior"]
    names = ["w", *(f"mean{k}" for k in range(len(point["mean"])))]
    return taken, smallest_ess([posterior[name].values for name in names])


def smallest_ess(arrays) -> float:
    """Smallest bulk ESS of the entries of arrays (chain, draw, ...)."""
    from mixtures.crosscheck.diagnostics import ess_bulk

    flat = np.concatenate([a.reshape(*a.shape[:2], -1) for a in arrays], axis=2)
    return min(float(ess_bulk(flat[:, :, i])) for i in range(flat.shape[2]))


def run(case: str, who: str) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        env = os.environ | {
            "PYTENSOR_FLAGS": f"base_compiledir={folder}/pytensor",
            "NUMBA_CACHE_DIR": f"{folder}/numba",
            "XDG_CACHE_HOME": f"{folder}/cache",
        }
        done = subprocess.run([sys.executable, __file__, "--run", case, who], env=env, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    taken, ess = json.loads(done.stdout.splitlines()[-1])
    return taken, ess


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        import arviz_stats  # noqa: F401  (what either needs is imported before the clock starts)
        import numba  # noqa: F401
        import pymc  # noqa: F401

        import mixtures.bayes.sample  # noqa: F401

        case, who = options.run
        print(json.dumps({"ours": ours, "hand": hand}[who](case)))
        return
    lines, rows = machine(), []
    for case, (_, _, bar) in CASES.items():
        found: dict[str, list[tuple[float, float]]] = {"ours": [], "hand": []}
        for _ in range(options.repeats):
            for who, runs in found.items():
                runs.append(run(case, who))
        speed = {who: median([ess / taken for taken, ess in runs]) for who, runs in found.items()}
        cells = [
            f"{median([t for t, _ in runs]):.1f} s, ESS {median([e for _, e in runs]):.0f}" for runs in found.values()
        ]
        rows.append(
            [case, *cells, f"{speed['ours']:.0f}", f"{speed['hand']:.0f}", f"{speed['ours'] / speed['hand']:.1f}", bar]
        )
    head = ["model", "ours", "by hand", "ours, ESS/s", "by hand, ESS/s", "ratio", "bar"]
    lines += ["", versions("mixtures-toolkit", "pymc", "pytensor"), "", *table(head, rows)]
    write(f"sampling_pymc{versions('pymc').split()[1].split('.')[0]}", "Effective draws per second, end to end", lines)


if __name__ == "__main__":
    main()
