"""Families of distributions: one file each; this line of imports and the entry points of other packages are the whole registry."""

from .base import Family, Product
from .bernoulli import Bernoulli
from .gaussian import Gaussian

__all__ = ["Bernoulli", "Family", "Gaussian", "Product"]
