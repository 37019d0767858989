"""How an EM run ended: each value is the sentence that the user reads, remedy included."""

from __future__ import annotations

from enum import Enum

__all__ = ["Status"]


class Status(Enum):
    """How a fit ended."""

    CONVERGED = "Converged: the estimate is within 1e-6 standard errors of a local maximum."
    BOUNDARY = "Converged at a boundary: some parameters lie on an edge of their range (a probability of 0 or 1, a weight of 0); the rest is within 1e-6 standard errors of a maximum."
    PASS_LIMIT = "Stopped at the pass limit before the estimate was stationary. Pass a method with more passes, e.g. method=mx.SQUAREM(max_passes=50000)."
    FLAT = "Stopped on a ridge: the likelihood does not determine all parameters (singular information). Use fewer components or an informative prior."
    EMPTIED = "A component was emptied: the data support fewer components. Fit again with a smaller n_components."
    NEARLY_SINGULAR = "The best optimum found is nearly singular: a component sits on few rows or on tied values. Use estimate='map', whose prior keeps covariances away from zero."
    COLLAPSING = "Every start collapsed onto a few rows, where the likelihood is unbounded. Use estimate='map' (its prior makes the problem proper) or fewer components."
    INTERRUPTED = "Interrupted: this is the best estimate so far, not a converged one. Run again, with fewer starts if it takes long."

    GIVEN = "Given by the caller: these parameters were not fitted here."

    @property
    def converged(self) -> bool:
        """Whether the estimate is a local maximum (on its face, at a boundary)."""
        return self in (Status.CONVERGED, Status.BOUNDARY)
