"""Families of distributions: one file each; these imports and the entry points of other packages are the registry."""

from .base import Family, Product
from .bernoulli import Bernoulli
from .gaussian import Gaussian

__all__ = ["Bernoulli", "Family", "Gaussian", "Product"]
