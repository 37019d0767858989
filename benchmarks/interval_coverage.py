"""How often 95 % intervals cover the truth: two normal components, weights 0.4 and 0.6, means 4 standard deviations apart.

Every data set is fitted from the default kinds of starts, not from the truth. Fits without a proper maximum have no interval; they are
counted and left out.
"""

from __future__ import annotations

import argparse
import os
import time

import numpy as np
import pandas as pd
from common import machine, table, versions, write

import mixtures as mx

SPEC = mx.Mixture(mx.Gaussian("x"), n_components=2)
TRUTH = {"weights": [0.4, 0.6], "mean": [[0.0], [4.0]], "covariance": [[[1.0]], [[1.0]]]}
VALUES = {
    "weights[0]": 0.4,
    "mean[0, x]": 0.0,
    "mean[1, x]": 4.0,
    "covariance[0, x, x]": 1.0,
    "covariance[1, x, x]": 1.0,
}
OF_SDS = "information, plain scale of the sd"
WAYS = {
    "information": {"scale": "unconstrained"},
    "information, plain scale": {"scale": "plain"},
    "sandwich": {"scale": "unconstrained", "method": "sandwich"},
    "sandwich, plain scale": {"scale": "plain", "method": "sandwich"},
}
LOW, HIGH = 92.5, 97.5
STARTS = 10


def covered(n: int, data_sets: int, seed: int) -> tuple[dict[str, np.ndarray], int]:
    """Per way (fits, parameters, 2): whether the interval lies above the truth, and below it; and how many fits have none."""
    truth, failed = np.array(list(VALUES.values())), 0
    missed: dict[str, list[np.ndarray]] = {way: [] for way in (*WAYS, OF_SDS)}
    for stream in np.random.default_rng(seed).spawn(data_sets):
        data = mx.simulate(SPEC, TRUTH, n, rng=stream, component=None)
        try:
            fit = mx.fit(SPEC, data, starts=STARTS, rng=stream)
            tables = {way: mx.standard_errors(fit, data, **options) for way, options in WAYS.items()}
            tables[OF_SDS] = of_sds(tables["information, plain scale"])
        except mx.FitError:
            failed += 1
            continue
        for way, found in tables.items():
            own = found.loc[list(VALUES)]
            missed[way].append(np.stack([own["lower"] > truth, own["upper"] < truth], axis=1))
    return {way: np.array(found) for way, found in missed.items()}, failed


def of_sds(plain: pd.DataFrame) -> pd.DataFrame:
    """Intervals for standard deviations, symmetric on their own scale, squared; weights and means as they are."""
    found, variances = plain.copy(), plain.index.str.startswith("covariance")
    sd = np.sqrt(plain.loc[variances, "estimate"])
    reach = (plain.loc[variances, "upper"] - plain.loc[variances, "estimate"]) / (2.0 * sd)
    found.loc[variances, "lower"] = np.maximum(sd - reach, 0.0) ** 2
    found.loc[variances, "upper"] = (sd + reach) ** 2
    return found


def percent(share: float) -> str:
    return f"{100 * share:.1f}"


def rows_of(missed: dict[str, np.ndarray]) -> list[list[str]]:
    return [[way, *(percent(1.0 - share) for share in found.any(axis=2).mean(axis=0))] for way, found in missed.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-sets", type=int, default=500, help="of 1,000 rows; four times as many of 100")
    options = parser.parse_args()
    begin = time.perf_counter()
    lines = [machine()[0], "", versions("mixtures-toolkit", "scipy"), ""]
    head = ["intervals", *VALUES]

    large, failed = covered(1000, options.data_sets, seed=1)
    count = len(large["information"])
    shares = 100 * (1.0 - large["information"].any(axis=2).mean(axis=0))
    inside = "every" if np.all((shares >= LOW) & (shares <= HIGH)) else "NOT every"
    lines += [
        f"{options.data_sets} data sets of 1,000 rows; intervals of {count} fits, {failed} without a proper maximum. Coverage in percent; the "
        f"Monte Carlo standard error is {100 * np.sqrt(0.95 * 0.05 / count):.1f}.",
        "",
        *table(head, rows_of(large)),
        "",
        f"Bar: {LOW} to {HIGH} for the first line; {inside} parameter lies inside. The unconstrained scale is the logit for weights and the "
        "logarithm for variances (the intervals for standard deviations are their square roots and cover alike); for means it is the plain one.",
        "",
    ]
    small, failed = covered(100, 4 * options.data_sets, seed=2)
    count = len(small["information"])
    lines += [
        f"{4 * options.data_sets} data sets of 100 rows; intervals of {count} fits, {failed} without a proper maximum. Standard error "
        f"{100 * np.sqrt(0.95 * 0.05 / count):.1f}.",
        "",
        *table(head, rows_of(small)),
        "",
        "On which side the variances' intervals miss at 100 rows, in percent (2.5 each is due):",
        "",
        *table(
            ["intervals", *(f"{label} {side}" for label in list(VALUES)[3:] for side in ("too high", "too low"))],
            [[way, *(percent(share) for share in found[:, 3:].mean(axis=0).ravel())] for way, found in small.items()],
        ),
        "",
        f"Took {time.perf_counter() - begin:.0f} s. Load average at the end: {os.getloadavg()[0]:.1f}.",
    ]
    write("interval_coverage", "Coverage of intervals", lines)


if __name__ == "__main__":
    main()
