"""One specification of a finite mixture, two independent programs (EM and PyMC), and whether they agree."""

from __future__ import annotations

import importlib
from typing import Any

from .errors import DataError, FitError, MixtureError, MixtureWarning, SpecError, UnsupportedError
from .families import (
    Bernoulli,
    Binomial,
    Categorical,
    Exponential,
    Family,
    Gamma,
    Gaussian,
    Labels,
    Poisson,
    Product,
    StudentT,
    Uniform,
)
from .priors import Beta, Dirichlet, FraleyRaftery, GammaPrior, NormalInverseWishart
from .slots import Fixed, Free, Shared
from .spec import Mixture

__version__ = "0.1.0"

_LAZY = {
    "EM": "em.methods",
    "EMFit": "results",
    "HardEM": "em.methods",
    "SQUAREM": "em.methods",
    "Status": "em.status",
    "bootstrap": "resampling",
    "bootstrap_test": "selection",
    "compile_em": "em.compile",
    "compile_pymc": "bayes.compile",
    "cross_check": "crosscheck.check",
    "CrossCheck": "crosscheck.check",
    "delta_method": "intervals",
    "fit": "results",
    "json_schema": "specfile.schema",
    "list_datasets": "datasets",
    "load": "loading",
    "load_dataset": "datasets",
    "loo": "bayes.loo",
    "prior_predictive": "simulation",
    "profile_interval": "profiles",
    "sample": "bayes.sample",
    "select": "selection",
    "simulate": "simulation",
    "standard_errors": "intervals",
}

__all__ = [
    "Bernoulli",
    "Beta",
    "Binomial",
    "Categorical",
    "DataError",
    "Dirichlet",
    "Exponential",
    "Family",
    "FitError",
    "Fixed",
    "FraleyRaftery",
    "Free",
    "Gamma",
    "GammaPrior",
    "Gaussian",
    "Labels",
    "Mixture",
    "MixtureError",
    "MixtureWarning",
    "NormalInverseWishart",
    "Poisson",
    "Product",
    "Shared",
    "SpecError",
    "StudentT",
    "Uniform",
    "UnsupportedError",
    *_LAZY,
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        value = getattr(importlib.import_module(f".{_LAZY[name]}", __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'mixtures' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
