"""Seconds and passes until a fit with the default starts has arrived, on the data sets that `mixtures` carries.

Old Faithful: `mx.fit` with its 50 starts, beside scikit-learn with 20 starts and a tolerance that is no excuse. LSAT6: passes of
plain EM and of the default method from one given start to the same lambda. The process is warm: every first call is thrown away.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings

import numpy as np
from common import machine, median, table, versions, write

import mixtures as mx

TARGET = 1e-6
"""Distance to the stationary point, in standard errors, at which a fit has arrived."""
BARS = {2: 0.15, 3: 1.0}
FEWER = 10
PEER_STARTS = 20
ITEMS = [f"item{j}" for j in range(1, 6)]


def ours(k, seeds):
    """Seconds and fits of Old Faithful, one per seed."""
    data, spec = mx.load_dataset("old_faithful"), mx.Mixture(mx.Gaussian("eruptions", "waiting"), n_components=k)
    taken, fits = [], []
    for seed in (seeds[0], *seeds):
        begin = time.perf_counter()
        fits.append(mx.fit(spec, data, rng=seed))
        taken.append(time.perf_counter() - begin)
    assert all(fit.decrement < TARGET for fit in fits), "a fit has not arrived"
    return taken[1:], fits[1:]


def sklearn(k, seeds):
    """Seconds, and log-likelihoods reached, of scikit-learn; None for a seed at which it stops with an error."""
    from sklearn.mixture import GaussianMixture

    frame = mx.load_dataset("old_faithful")
    x = np.column_stack([frame["eruptions"], frame["waiting"]])
    taken, reached = [], []
    for seed in (seeds[0], *seeds):
        model = GaussianMixture(k, n_init=PEER_STARTS, tol=1e-10, reg_covar=0.0, max_iter=10_000, random_state=seed)
        begin = time.perf_counter()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model.fit(x)
            reached.append(model.score(x) * len(x))
        except ValueError:  # a covariance without its last digits
            reached.append(None)
        taken.append(time.perf_counter() - begin)
    return taken[1:], reached[1:]


def passes():
    """Passes over LSAT6 from one start, and lambda at the end, by plain EM and by default."""
    start = {"weights": np.full(2, 0.5), "probability": np.repeat([[0.4], [0.8]], len(ITEMS), axis=1)}
    spec, data = mx.Mixture(mx.Bernoulli(*ITEMS), n_components=2), mx.load_dataset("lsat6")
    found = {}
    for name, method in (("EM()", mx.EM()), ("SQUAREM(), the default", None)):
        fit = mx.fit(spec, data, sample_weight="count", starts=[start], method=method)
        assert fit.decrement < TARGET, f"{name} has not arrived"
        found[name] = fit
    return found


def span(values):
    return f"{min(values):.2f} to {max(values):.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=9)
    options = parser.parse_args()
    seeds, lines, rows = list(range(1, options.seeds + 1)), machine(), []
    for k, bar in BARS.items():
        taken, fits = ours(k, seeds)
        likelihoods = [fit.log_likelihood for fit in fits]
        best = (
            f"{max(likelihoods):.5f} ({sum(abs(max(likelihoods) - one) < 1e-6 for one in likelihoods)} of {len(seeds)})"
        )
        row = [f"Old Faithful, K = {k}", f"{median(taken):.3f}", f"{min(taken):.3f} to {max(taken):.3f}", bar, best]
        try:
            peer, reached = sklearn(k, seeds)
        except ImportError:
            rows.append([*row, "-", "-"])
            continue
        there = [one for one in reached if one is not None]
        failed = f"; {len(reached) - len(there)} stopped with an error" if len(there) < len(reached) else ""
        rows.append([*row, f"{median(peer):.3f}", (span(there) if there else "-") + failed])
    head = [
        "data",
        "ours, s",
        "from, to",
        "bar",
        "log-likelihood (seeds)",
        f"scikit-learn, {PEER_STARTS} starts, s",
        "its log-likelihood",
    ]
    lines += ["", versions("mixtures-toolkit", "scikit-learn"), ""]
    lines += [f"Medians over {len(seeds)} seeds; every fit of ours has lambda below {TARGET:g}.", ""]
    lines += [*table(head, rows), ""]
    by = passes()
    plain, default = by.values()
    steps = len(plain.history)  # its own: without those that ask for lambda
    lines += table(
        ["LSAT6, K = 2, one start", "passes", "lambda", "log-likelihood"],
        [
            [name, passes, f"{fit.decrement:.1e}", f"{fit.log_likelihood:.5f}"]
            for (name, fit), passes in zip(by.items(), (steps, default.n_passes), strict=True)
        ],
    )
    lines += [
        "",
        f"{steps / default.n_passes:.1f} times fewer passes (bar: {FEWER}). The default's count everything that it looks at; plain "
        f"EM's are its own steps, {plain.n_passes} with what asking for lambda took on the way.",
    ]
    lines.append(f"Load average at the end: {os.getloadavg()[0]:.1f}.")
    write("time_to_solution", "Time to a solution", lines)


if __name__ == "__main__":
    main()
