"""Value and gradient of a model's log density, the unit of NUTS: ours against the same model written by hand in PyMC.

Hand-written models are what the documentation of PyMC shows: `pm.NormalMixture`, `pm.Mixture` over `pm.MvNormal`, and a
`pm.Potential` with a log-sum-exp for rows of Bernoulli items. Compile times are of new processes with empty caches.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np
from common import interleaved, machine, median, milliseconds, ratio, seconds, table, versions, write

import mixtures as mx

Data = dict[str, np.ndarray]


def univariate() -> tuple[mx.Mixture, Data]:
    rng = np.random.default_rng(1)
    x = np.array([-3.0, 0.0, 4.0])[rng.integers(3, size=5000)] + rng.normal(size=5000)
    return mx.Mixture(mx.Gaussian("x"), n_components=3), {"x": x}


def two_dimensional() -> tuple[mx.Mixture, Data]:
    rng = np.random.default_rng(2)
    centers = np.array([[-3.0, 0.0], [0.0, 3.0], [4.0, 0.0]])
    x = centers[rng.integers(3, size=5000)] + rng.normal(size=(5000, 2))
    return mx.Mixture(mx.Gaussian("x", "y"), n_components=3), {"x": x[:, 0], "y": x[:, 1]}


def items() -> tuple[mx.Mixture, Data]:
    rng = np.random.default_rng(3)
    p = np.array([[0.2, 0.3, 0.4, 0.3, 0.2], [0.8, 0.7, 0.9, 0.6, 0.8]])
    x = (rng.random((100_000, 5)) < p[rng.integers(2, size=100_000)]).astype(float)
    names = [f"item{j + 1}" for j in range(5)]
    return mx.Mixture(mx.Bernoulli(*names), n_components=2), dict(zip(names, x.T, strict=True))


def by_hand_univariate(data: Data):
    import pymc as pm

    with pm.Model() as model:
        w = pm.Dirichlet("w", np.ones(3))
        mu = pm.Normal("mu", 0.0, 5.0, shape=3)
        sigma = pm.HalfNormal("sigma", 3.0, shape=3)
        pm.NormalMixture("y", w=w, mu=mu, sigma=sigma, observed=data["x"])
    return model


def by_hand_two_dimensional(data: Data):
    import pymc as pm

    with pm.Model() as model:
        w = pm.Dirichlet("w", np.ones(3))
        parts = []
        for k in range(3):
            mean = pm.Normal(f"mean{k}", 0.0, 5.0, shape=2)
            chol, _, _ = pm.LKJCholeskyCov(f"chol{k}", n=2, eta=2.0, sd_dist=pm.HalfNormal.dist(3.0, shape=2))
            parts.append(pm.MvNormal.dist(mean, chol=chol))
        pm.Mixture("y", w=w, comp_dists=parts, observed=np.column_stack([data["x"], data["y"]]))
    return model


def by_hand_items(data: Data):
    import pymc as pm
    import pytensor.tensor as pt

    x = np.column_stack(list(data.values()))
    with pm.Model() as model:
        w = pm.Dirichlet("w", np.ones(2))
        p = pm.Beta("p", 2.0, 2.0, shape=(2, 5))
        each = pt.dot(x, pt.log(p).T) + pt.dot(1.0 - x, pt.log1p(-p).T)
        pm.Potential("y", pt.sum(pt.logsumexp(pt.log(w) + each, axis=1)))
    return model


CASES = {
    "univariate normals, K = 3, n = 5000": (univariate, by_hand_univariate, 5),
    "two-dimensional normals, full covariances, K = 3, n = 5000": (two_dimensional, by_hand_two_dimensional, 30),
    "5 Bernoulli items, K = 2, n = 100 000": (items, by_hand_items, 300),
}


def compiled(model, mode=None) -> Callable[[], object]:
    """A call of the model's value and gradient at its initial point."""
    import pymc as pm

    function = model.logp_dlogp_function(ravel_inputs=True, **({} if mode is None else {"mode": mode}))
    function.set_extra_values({})
    point = pm.blocking.DictToArrayBijection.map(model.initial_point())
    function(point)
    return lambda: function(point)


def of_ours(make) -> Callable[[], object]:
    from mixtures.bayes import stack

    spec, data = make()
    return compiled(mx.compile_pymc(spec, data), stack.sampling_mode())


def compile_seconds(case: str, who: str) -> float:
    """Model to compiled value and gradient, imports apart, in a new process with empty caches."""
    with tempfile.TemporaryDirectory() as folder:
        env = os.environ | {
            "PYTENSOR_FLAGS": f"base_compiledir={folder}/pytensor",
            "NUMBA_CACHE_DIR": f"{folder}/numba",
            "XDG_CACHE_HOME": f"{folder}/cache",
        }
        command = [sys.executable, __file__, "--compile", case, who]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout.splitlines()[-1]))


def compile_here(case: str, who: str) -> None:
    import pymc  # noqa: F401  (imported before the clock starts)

    make, by_hand, _ = CASES[case]
    spec, data = make()
    begin = time.perf_counter()
    if who == "ours":
        from mixtures.bayes import stack

        compiled(mx.compile_pymc(spec, data), stack.sampling_mode())
    else:
        compiled(by_hand(data))
    print(json.dumps(time.perf_counter() - begin))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--compile", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.compile:
        compile_here(*options.compile)
        return
    lines, rows = machine(), []
    for name, (make, by_hand, bar) in CASES.items():
        own, hand = of_ours(make), compiled(by_hand(make()[1]))
        few = max(1, int(0.05 / seconds(hand)()))

        def many(function, count):
            return seconds(lambda: [function() for _ in range(count)], count)

        times = {
            k: median(v)
            for k, v in interleaved({"ours": many(own, 20 * few), "hand": many(hand, few)}, options.repeats).items()
        }
        cold = {who: compile_seconds(name, who) for who in ("ours", "hand")}
        rows.append(
            [
                name,
                milliseconds(times["ours"]),
                milliseconds(times["hand"]),
                ratio(times["hand"], times["ours"]),
                bar,
                f"{cold['ours']:.1f}",
                f"{cold['hand']:.1f}",
            ]
        )
    head = ["model", "ours, ms", "by hand, ms", "ratio", "bar", "ours compiles in, s", "by hand, s"]
    lines += ["", versions("mixtures-toolkit", "pymc", "pytensor"), "", *table(head, rows)]
    write(f"gradient_pymc{versions('pymc').split()[1].split('.')[0]}", "Value and gradient of a log density", lines)


if __name__ == "__main__":
    main()
