"""One EM pass of a Bernoulli mixture: ours against StepMix and pomegranate, on distinct rows and on rows that repeat.

Everybody starts at the same parameters on the same float64 rows. A pass is one E-step and one M-step: StepMix's and
pomegranate's own functions for them. Where rows repeat, `mx.fit` merges them into patterns with counts: our pass is then
one over the patterns, and the search for them, made once for a fit, is a column of its own.
"""

from __future__ import annotations

import argparse

import numpy as np
from common import THREADS, interleaved, machine, median, milliseconds, ratio, seconds, table, versions, write

import mixtures as mx
from mixtures.em.program import Program

SHAPES = [(20_000, 50, 5), (100_000, 10, 3)]
BARS = {SHAPES[0]: 20, SHAPES[1]: 300}
PASSES, SHORT = 100, 500
"""Passes timed together, as a fit makes them, and as many as take us some 40 ms over patterns: waking from a pause does not count."""
SEARCH_BAR = 10
"""StepMix's passes that the search for repeated rows may take."""
CHECKED = 3
"""Passes after which log-likelihoods are compared."""

Given = tuple[np.ndarray, np.ndarray, np.ndarray]


def problem(n: int, d: int, k: int) -> Given:
    """Rows and starting weights (K,) and probabilities (K, d)."""
    rng = np.random.default_rng(n + d + k)
    p = rng.uniform(0.2, 0.8, size=(k, d))
    x = (rng.random((n, d)) < p[rng.integers(k, size=n)]).astype(np.float64)
    return x, np.full(k, 1.0 / k), np.clip(p + rng.normal(scale=0.1, size=p.shape), 0.05, 0.95)


class Ours:
    """Passes over the rows that `mx.fit` would take: all of them, or patterns with counts."""

    def __init__(self, x, weights, probability):
        self.x, self.spec = (
            x,
            mx.Mixture(mx.Bernoulli(*[f"x{j}" for j in range(x.shape[1])]), n_components=len(weights)),
        )
        self.start = {"weights": weights, "probability": probability}
        rows = self.spec.rows(x)
        self.merged = len(rows.values) < len(x)
        self.patterns = len(np.unique(x, axis=0))
        self.em = mx.compile_em(self.spec, x)
        if self.merged:
            self.program = Program(self.spec.resolve(rows), rows)

    def task(self):
        if not self.merged:
            p = self.em.parameters(self.start)
            return seconds(lambda: [self.em.step(p) for _ in range(PASSES)], PASSES)
        program, p = self.program, self.program.to_standard(self.em.parameters(self.start).params())
        return seconds(lambda: [program.m_step(program.evaluate(p), p) for _ in range(SHORT)], SHORT)

    def search(self):
        """Rows read and equal ones merged, less rows read alone."""
        from mixtures.data import read_rows

        merging = seconds(lambda: read_rows(self.x, self.spec.columns))
        reading = seconds(lambda: read_rows(self.x, self.spec.columns, merge=False))
        return lambda: merging() - reading()

    def log_likelihood(self):
        if not self.merged:
            p = self.em.parameters(self.start)
            for _ in range(CHECKED):
                p = self.em.step(p)
            return self.em.log_likelihood(p)
        p = self.program.to_standard(self.em.parameters(self.start).params())
        for _ in range(CHECKED):
            p = self.program.m_step(self.program.evaluate(p), p)
        return self.program.evaluate(p).log_likelihood - self.program.log_scale


class StepMix:
    """StepMix's `_e_step` and `_m_step`, which its `fit` repeats."""

    def __init__(self, x, weights, probability):
        from stepmix.stepmix import StepMix

        self.x, self.weights, self.probability = x, weights, probability
        self.model = StepMix(len(weights), measurement="binary", progress_bar=0)
        self.reset()

    def reset(self):
        measured = {"measurement": {"pis": self.probability.copy()}, "measurement_in": self.x.shape[1]}
        self.model.set_parameters({"weights": self.weights.copy()} | measured)

    def step(self):
        _, log_resp = self.model._e_step(self.x)
        self.model._m_step(self.x, np.exp(log_resp))

    def task(self):
        return seconds(lambda: [self.step() for _ in range(PASSES)], PASSES)

    def log_likelihood(self):
        self.reset()
        for _ in range(CHECKED):
            self.step()
        return float(self.model._e_step(self.x)[0]) * len(self.x)


class Pomegranate:
    """pomegranate's `summarize` and `from_summaries`, its checks of the data switched off."""

    def __init__(self, x, weights, probability):
        import torch
        from pomegranate.distributions import Bernoulli
        from pomegranate.gmm import GeneralMixtureModel

        torch.set_num_threads(THREADS)
        self.rows = torch.tensor(x)

        def make():
            parts = [Bernoulli(torch.tensor(p), check_data=False) for p in probability]
            return GeneralMixtureModel(parts, priors=torch.tensor(weights), check_data=False)

        self.make, self.model = make, make()

    def step(self):
        self.model.summarize(self.rows)
        self.model.from_summaries()

    def task(self):
        return seconds(lambda: [self.step() for _ in range(PASSES)], PASSES)

    def log_likelihood(self):
        self.model = self.make()
        for _ in range(CHECKED):
            self.step()
        return float(self.model.log_probability(self.rows).sum())


def after_itself(task):
    """The second of two runs in a row: threads of the BLAS that the program before used spin for some 30 ms after its last call."""

    def run() -> float:
        task()
        return task()

    return run


PEERS = {"StepMix": StepMix, "pomegranate": Pomegranate}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--shapes", type=int, nargs="*", default=range(len(SHAPES)), help="positions among the shapes")
    parser.add_argument("--only", nargs="*", default=[*PEERS], help="peers to run")
    options = parser.parse_args()
    lines, rows, notes = machine(), [], []
    for position in options.shapes:
        shape = SHAPES[position]
        given = problem(*shape)
        ours = Ours(*given)
        programs = {}
        for name in options.only:
            try:
                programs[name] = PEERS[name](*given)
            except ImportError:
                notes.append(f"{name} is not installed.")
        tasks = {"ours": ours.task()} | {name: program.task() for name, program in programs.items()}
        if ours.merged:
            tasks["search"] = ours.search()
        runs = interleaved({name: after_itself(task) for name, task in tasks.items()}, options.repeats)
        times = {name: median(found) for name, found in runs.items()}
        own, searching = times["ours"], "-"
        if ours.merged:
            searching = f"{milliseconds(times['search'])}"
            if "StepMix" in times:
                searching += f" ({times['search'] / times['StepMix']:.1f}, below {SEARCH_BAR})"
        rows.append(
            [", ".join(map(str, shape)), ours.patterns, milliseconds(own)]
            + [f"{milliseconds(times.get(name))} ({ratio(times.get(name), own)})" for name in PEERS]
            + [BARS[shape], searching]
        )
        reached = ours.log_likelihood()
        for name, program in programs.items():
            gap = abs(program.log_likelihood() / reached - 1.0)
            notes.append(
                f"{shape}: after {CHECKED} passes {name}'s log-likelihood and ours differ by {gap:.1e} relative."
            )
    head = [
        "n, d, K",
        "distinct rows",
        "ours",
        *(f"{name} (ratio)" for name in PEERS),
        "bar",
        "search for equal rows (StepMix's passes)",
    ]
    lines += ["", versions("mixtures-toolkit", "stepmix", "pomegranate", "torch"), ""]
    lines += ["Milliseconds; medians of interleaved repeats; ratio: peer's / ours.", ""]
    lines += [*table(head, rows), "", *sorted(set(notes))]
    write("bernoulli_pass", "One EM pass, Bernoulli mixtures", lines)


if __name__ == "__main__":
    main()
