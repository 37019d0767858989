"""The checks, in the order in which they are shown."""

from .chains import labels, sampler
from .compare import location, prior_pull, scale
from .identifiability import identifiability
from .identity import density_identity
from .optima import dominance, modes
from .stationary import curvature, stationarity

__all__ = ["ALL"]

ALL = (
    identifiability,
    density_identity,
    stationarity,
    curvature,
    dominance,
    modes,
    sampler,
    labels,
    location,
    scale,
    prior_pull,
)
