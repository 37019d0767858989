"""Families of distributions: one file each; these imports and the entry points of other packages are the registry."""

from .base import Family, Product
from .bernoulli import Bernoulli
from .binomial import Binomial
from .categorical import Categorical
from .exponential import Exponential
from .gaussian import Gaussian
from .labels import Labels
from .poisson import Poisson
from .uniform import Uniform

__all__ = [
    "Bernoulli",
    "Binomial",
    "Categorical",
    "Exponential",
    "Family",
    "Gaussian",
    "Labels",
    "Poisson",
    "Product",
    "Uniform",
]
