"""Value and gradient of a model's log density, the unit of NUTS: ours against the same model written by hand in PyMC.

Hand-written models are what the documentation of PyMC shows: `pm.NormalMixture`, `pm.Mixture` over `pm.MvNormal`, one for all
components ("batch") or one for each ("list"), and a `pm.Potential` with a log-sum-exp for rows of Bernoulli items; PyTensor compiles
them in its default mode. Ours is compiled in two ways: by numba's linker, which is what nutpie does and PyTensor's default from version
3 on, and by the one of `mx.sample` with PyMC's NUTS; both with the help of a second process where there are two processors, as
`mx.sample` has it. Compile times are of new processes with empty caches.
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


def _covariance_factor(k: int):
    import pymc as pm

    return pm.LKJCholeskyCov(f"chol{k}", n=2, eta=2.0, sd_dist=pm.HalfNormal.dist(3.0, shape=2))[0]


def by_hand_batch(data: Data):
    import pymc as pm
    import pytensor.tensor as pt

    with pm.Model() as model:
        w = pm.Dirichlet("w", np.ones(3))
        mean = pm.Normal("mean", 0.0, 5.0, shape=(3, 2))
        normals = pm.MvNormal.dist(mean, chol=pt.stack([_covariance_factor(k) for k in range(3)]))
        pm.Mixture("y", w=w, comp_dists=normals, observed=np.column_stack([data["x"], data["y"]]))
    return model


def by_hand_list(data: Data):
    import pymc as pm

    with pm.Model() as model:
        w = pm.Dirichlet("w", np.ones(3))
        normals = [
            pm.MvNormal.dist(pm.Normal(f"mean{k}", 0.0, 5.0, shape=2), chol=_covariance_factor(k)) for k in range(3)
        ]
        pm.Mixture("y", w=w, comp_dists=normals, observed=np.column_stack([data["x"], data["y"]]))
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
    "univariate normals, K = 3, n = 5000": (univariate, {"": by_hand_univariate}, 5),
    "two-dimensional normals, full covariances, K = 3, n = 5000": (
        two_dimensional,
        {"batch": by_hand_batch, "list": by_hand_list},
        30,
    ),
    "5 Bernoulli items, K = 2, n = 100 000": (items, {"": by_hand_items}, 300),
}


OURS = ("numba", "sample")
TURN = 0.2
"""Seconds of calls in a turn: a sampler makes them without a pause, and waking from one takes a processor some milliseconds."""


def compiled(model, function) -> Callable[[], object]:
    """A call of the model's value and gradient at its initial point."""
    import pymc as pm

    function.set_extra_values({})
    point = pm.blocking.DictToArrayBijection.map(model.initial_point())
    function(point)
    return lambda: function(point)


def in_way(case: str, way: str) -> Callable[[], object]:
    """The model's value and gradient, ours compiled in one of two ways, or that of the model written by hand in a form."""
    from mixtures.bayes import stack
    from mixtures.bayes.metric import sampled_density
    from mixtures.bayes.op import RowMixture
    from mixtures.kernels.ahead import compiling_ahead

    make, by_hand, _ = CASES[case]
    spec, data = make()
    if way in by_hand:
        model = by_hand[way](data)
        return compiled(model, model.logp_dlogp_function(ravel_inputs=True, trust_input=True))
    rows = spec.rows(data)
    likelihood, shape = RowMixture.of(spec, rows.values), (len(rows.values), spec.n_components)
    with compiling_ahead():  # a second process, while this one builds and compiles the rest
        likelihood.compile_ahead(*shape)
        model = mx.compile_pymc(spec, data)
        if way == "sample":
            mode = stack.sampling_mode(native=likelihood.kernels_pay(*shape))
            return compiled(model, sampled_density(model, mode))
        return compiled(model, model.logp_dlogp_function(ravel_inputs=True, trust_input=True, mode="NUMBA"))


def compile_seconds(case: str, way: str) -> float:
    """Model to compiled value and gradient, imports apart, in a new process with empty caches."""
    with tempfile.TemporaryDirectory() as folder:
        env = os.environ | {
            "PYTENSOR_FLAGS": f"base_compiledir={folder}/pytensor",
            "NUMBA_CACHE_DIR": f"{folder}/numba",
            "XDG_CACHE_HOME": f"{folder}/cache",
        }
        command = [sys.executable, __file__, "--compile", case, way]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout.splitlines()[-1]))


def compile_here(case: str, way: str) -> None:
    import pymc  # noqa: F401  (imported before the clock starts)

    begin = time.perf_counter()
    in_way(case, way)
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
    for case, (_, by_hand, bar) in CASES.items():
        calls = {way: in_way(case, way) for way in (*OURS, *by_hand)}
        few = {way: max(1, int(TURN / seconds(call)())) for way, call in calls.items()}

        def many(call, count):
            return seconds(lambda: [call() for _ in range(count)], count)

        timed = interleaved({way: many(call, few[way]) for way, call in calls.items()}, options.repeats)
        times = {way: median(found) for way, found in timed.items()}
        cold = {way: compile_seconds(case, way) for way in calls}
        for form in by_hand:
            hand = f"{form} {milliseconds(times[form])} ms, compiles in {cold[form]:.1f} s".strip()
            rows += [
                [
                    f"{case}; {way}",
                    milliseconds(times[way]),
                    hand,
                    ratio(times[form], times[way]),
                    bar,
                    f"{cold[way]:.1f}",
                    f"{cold[way] / cold[form]:.2f}",
                ]
                for way in OURS
            ]
    head = [
        "model; compiled as by",
        "ours, ms",
        "by hand",
        "ratio",
        "bar",
        "ours compiles in, s",
        "of by hand (bar 0.5)",
    ]
    lines += ["", versions("mixtures-toolkit", "pymc", "pytensor"), "", *table(head, rows)]
    write(f"gradient_pymc{versions('pymc').split()[1].split('.')[0]}", "Value and gradient of a log density", lines)


if __name__ == "__main__":
    main()
