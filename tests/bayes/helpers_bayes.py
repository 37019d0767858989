"""Specifications with rows that the tests of the PyMC program share."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pymc as pm
import pytest

import mixtures as mx
from mixtures.bayes.reference import Reference
from mixtures.data import Rows
from mixtures.em.coordinates import Coordinates, newton_decrement
from mixtures.em.program import Params, Program


@dataclass(frozen=True)
class Bound:
    """A specification with rows, and points at which programs are compared."""

    spec: mx.Mixture
    data: dict
    sample_weight: object = None

    @cached_property
    def rows(self) -> Rows:
        return self.spec.rows(self.data, sample_weight=self.sample_weight)

    @cached_property
    def resolved(self) -> mx.Mixture:
        return self.spec.resolve(self.rows)

    @cached_property
    def program(self) -> Program:
        return Program(self.resolved, self.rows, "map")

    @cached_property
    def estimate(self) -> Params:
        return mx.fit(self.resolved, self.rows, estimate="map", starts=10, rng=1).params

    @cached_property
    def reference(self) -> Reference:
        return Reference(self.resolved, self.rows)

    @cached_property
    def model(self) -> pm.Model:
        return mx.compile_pymc(self.spec, self.data, sample_weight=self.sample_weight)

    def points(self) -> list[Params]:
        """The posterior mode and two prior draws, data units."""
        rng = np.random.default_rng(3)
        return [self.estimate, *(self.program.to_data(self.program.prior_draw(rng)) for _ in range(2))]

    def log_posterior(self, p: Params) -> float:
        """Of the NumPy program, data units, without Jacobian."""
        standard = self.program.to_standard(p)
        log_likelihood = self.program.v @ self.program.row_log_likelihood(standard)
        return float(log_likelihood + self.program.log_prior_data_units(standard))


def stationary_by_pymc(case: Bound, p: Params) -> float:
    """lambda at p (data units), in standard errors, from the gradient of PyMC's own distributions."""
    found, standard = case.reference.evaluate(p), case.program.to_standard(p)
    weights, thetas = (_add(a, b) for a, b in zip(found.likelihood_gradient, found.prior_gradient, strict=True))
    coordinates = Coordinates(case.program, standard)
    gradient = coordinates.pull(standard, weights, case.program.gradient_to_standard(thetas))
    return newton_decrement(gradient, coordinates.information(standard))[0]


def _add(a, b):
    if isinstance(a, np.ndarray):
        return a + b
    return [{name: one[name] + other[name] for name in one} for one, other in zip(a, b, strict=True)]


def toy(seed: int = 0, n: int = 60) -> dict:
    """Two normal columns and a 0/1 column from two components."""
    rng = np.random.default_rng(seed)
    z = rng.integers(2, size=n)
    return {
        "x": rng.normal(size=n) + 4.0 * z,
        "y": 10.0 * rng.normal(size=n) + z,
        "s": (rng.random(n) < 0.2 + 0.6 * z).astype(float),
    }


SMALL = toy()
HOLES = {
    **SMALL,
    "x": np.where(np.arange(60) % 7 == 0, np.nan, SMALL["x"]),
    "y": np.where(np.arange(60) % 5 == 0, np.nan, SMALL["y"]),
    "known": np.where(np.arange(60) % 4 == 0, np.arange(60) % 2, np.nan),
}
LSAT = mx.load_dataset("lsat6")
HOUSE = mx.load_dataset("house_votes_84")
VOTES = HOUSE.columns[1:7].tolist()
ITEMS = [f"item{i}" for i in range(1, 6)]

CASES = {
    "full": Bound(mx.Mixture(mx.Gaussian("x", "y"), n_components=2), SMALL),
    "full tied": Bound(mx.Mixture(mx.Gaussian("x", "y", covariance=mx.Shared()), n_components=2), SMALL),
    "diagonal": Bound(mx.Mixture(mx.Gaussian("x", "y", structure="diagonal"), n_components=3), SMALL),
    "diagonal tied": Bound(mx.Mixture(mx.Gaussian("x", "y", structure="EEI"), n_components=2), SMALL),
    "spherical": Bound(mx.Mixture(mx.Gaussian("x", "y", structure="spherical"), n_components=2), SMALL),
    "spherical tied": Bound(mx.Mixture(mx.Gaussian("x", "y", structure="EII"), n_components=2), SMALL),
    "equal shapes": Bound(mx.Mixture(mx.Gaussian("x", "y", structure="VEI"), n_components=2), SMALL),
    "equal volumes": Bound(
        mx.Mixture([mx.Gaussian("x", "y", structure="EVI", mean=[0.0, 3.0]), mx.Gaussian("x", "y", structure="EVI")]),
        SMALL,
    ),
    "means known in part": Bound(
        mx.Mixture(
            [
                mx.Gaussian("x", "y", mean=[0.5, mx.Free()]),
                mx.Gaussian("x", "y", mean=[mx.Free(), 1.0], covariance=[[1.0, 2.0], [2.0, 90.0]]),
                mx.Gaussian("x", "y"),
            ]
        ),
        SMALL,
    ),
    "diagonal means known in part": Bound(
        mx.Mixture(mx.Gaussian("x", "y", structure="diagonal", mean=[mx.Free(), 0.5]), n_components=2), SMALL
    ),
    "spherical means known in part": Bound(
        mx.Mixture(
            [
                mx.Gaussian("x", "y", structure="EII", mean=[mx.Free(), 0.5]),
                mx.Gaussian("x", "y", structure="EII"),
            ]
        ),
        SMALL,
    ),
    "probabilities known in part": Bound(
        mx.Mixture(
            [
                mx.Bernoulli(*ITEMS, probability=mx.Fixed([0.9, mx.Free(), 0.5, mx.Free(), 1.0], prior=mx.Beta(2, 3))),
                mx.Bernoulli(*ITEMS, probability=[mx.Free(), mx.Free(), 0.5, mx.Free(), mx.Free()]),
            ]
        ),
        LSAT,
        "count",
    ),
    "t": Bound(mx.Mixture(mx.StudentT("x", "y"), n_components=2), SMALL),
    "t tied": Bound(mx.Mixture(mx.StudentT("x", "y", structure="EEI", df=mx.Shared()), n_components=2), SMALL),
    "t of equal shapes": Bound(mx.Mixture(mx.StudentT("x", "y", structure="VEI"), n_components=2), SMALL),
    "t of one column, degrees known and free": Bound(
        mx.Mixture([mx.StudentT("x", df=4.0), mx.StudentT("x", df=mx.GammaPrior(3, 0.2))]), SMALL
    ),
    "t with missing cells": Bound(mx.Mixture(mx.StudentT("x", "y", df=mx.Shared(5.0)), n_components=2), HOLES),
    "missing cells": Bound(mx.Mixture(mx.Gaussian("x", "y"), n_components=2), HOLES),
    "labels": Bound(mx.Mixture(mx.Gaussian("x", "y") * mx.Labels("known"), n_components=2), HOLES),
    "one column": Bound(mx.Mixture(mx.Gaussian("x"), n_components=2, weights=mx.Dirichlet([2.0, 3.0])), SMALL),
    "one column tied": Bound(mx.Mixture(mx.Gaussian("x", covariance=mx.Shared()), n_components=2), SMALL),
    "one component": Bound(mx.Mixture(mx.Gaussian("x", "y"), n_components=1), SMALL),
    "equal weights": Bound(mx.Mixture(mx.Gaussian("x"), n_components=2, weights="equal"), SMALL),
    "patterns with counts": Bound(
        mx.Mixture(mx.Bernoulli(*ITEMS, probability=mx.Beta(2, 1.5)), n_components=2), LSAT, "count"
    ),
    "product": Bound(mx.Mixture(mx.Gaussian("x", "y") * mx.Bernoulli("s"), n_components=2), SMALL),
    "row weights": Bound(
        mx.Mixture(mx.Gaussian("x"), n_components=2), SMALL, np.random.default_rng(1).uniform(0.5, 2.0, 60)
    ),
    "prior of one's own": Bound(
        mx.Mixture(
            [
                mx.Gaussian("x", prior=mx.NormalInverseWishart(mean=m, kappa=0.5, nu=4.0, scale_matrix=2.0))
                for m in (0.0, 4.0)
            ]
        ),
        SMALL,
    ),
    "known component": Bound(mx.Mixture([mx.Gaussian("x", mean=0.0, covariance=1.0), mx.Gaussian("x")]), SMALL),
    "known means": Bound(
        mx.Mixture([mx.Gaussian("x", "y", mean=[0.0, 0.0]), mx.Gaussian("x", "y", mean=4.0), mx.Gaussian("x", "y")]),
        SMALL,
    ),
    "known covariances": Bound(
        mx.Mixture(
            [mx.Gaussian("x", "y", structure="diagonal", covariance=9.0), mx.Gaussian("x", "y", structure="diagonal")]
        ),
        SMALL,
    ),
    "one known covariance for all": Bound(
        mx.Mixture(mx.Gaussian("x", "y", covariance=[[1, 0], [0, 99]]), n_components=2), SMALL
    ),
    "covariances shared by two of three": Bound(
        mx.Mixture([mx.Gaussian("x", covariance=mx.Shared(group="a"))] * 2 + [mx.Gaussian("x")]), SMALL
    ),
    "probabilities known, shared and free": Bound(
        mx.Mixture(
            [
                mx.Bernoulli(*ITEMS, probability=0.5),
                mx.Bernoulli(*ITEMS, probability=mx.Shared(mx.Beta(2, 2), group="a")),
                mx.Bernoulli(*ITEMS, probability=mx.Shared(mx.Beta(2, 2), group="a")),
                mx.Bernoulli(*ITEMS),
            ],
            weights=[0.1, 0.2, 0.3, 0.4],
        ),
        LSAT,
        "count",
    ),
    "missing votes": Bound(mx.Mixture(mx.Bernoulli(*VOTES), n_components=2), HOUSE),
    "missing items beside a normal column": Bound(
        mx.Mixture(mx.Gaussian("x") * mx.Bernoulli("s", "t", probability=mx.Beta(2, 2)), n_components=2),
        {**SMALL, "t": np.where(np.arange(60) % 3 == 0, np.nan, SMALL["s"])},
    ),
    "structures of two kinds": Bound(
        mx.Mixture(
            [
                mx.Gaussian("x", "y", name="full"),
                mx.Gaussian("x", "y", structure="spherical", name="round"),
                mx.Gaussian("x") * mx.Gaussian("y", name="other"),
            ]
        ),
        SMALL,
    ),
}

SLOW = {
    "equal volumes",
    "diagonal means known in part",
    "spherical means known in part",
    "t tied",
    "t of equal shapes",
    "t of one column, degrees known and free",
    "known covariances",
    "one known covariance for all",
    "covariances shared by two of three",
}
"""Cases that are kin to others: they count as slow."""
BOUND = [pytest.param(case, id=name, marks=[pytest.mark.slow] if name in SLOW else []) for name, case in CASES.items()]
