"""Families of distributions: one file each; these imports and the entry points of other packages are the registry."""

from . import gaussian_formulas as gaussian_formulas
from .base import Family, Product
from .bernoulli import Bernoulli
from .binomial import Binomial
from .categorical import Categorical
from .exponential import Exponential
from .gamma import Gamma
from .gaussian import Gaussian
from .labels import Labels
from .poisson import Poisson
from .student import StudentT
from .uniform import Uniform

__all__ = [
    "Bernoulli",
    "Binomial",
    "Categorical",
    "Exponential",
    "Family",
    "Gamma",
    "Gaussian",
    "Labels",
    "Poisson",
    "Product",
    "StudentT",
    "Uniform",
]
