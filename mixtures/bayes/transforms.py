"""From named parameters in data units to the standardised coordinates that are sampled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytensor.tensor as pt
from pymc.logprob.transforms import Transform

from ..families.base import Array
from .densities import CovarianceMap, LocationMap, SimplexMap, StructureMap

__all__ = ["LogRatios", "Standardised", "StandardisedCovariance", "VolumesAndShapes"]


class Standardised(Transform):
    """(value - center) / scale, for locations (..., d).

    Parameters
    ----------
    center, scale
        (d,), the units of the columns.
    ndim_supp
        0 when the density has one number per entry, 1 when it has one per vector.
    """

    name = "standard"

    def __init__(self, center: Array, scale: Array, ndim_supp: int) -> None:
        self.center, self.scale, self.ndim_supp = center, scale, ndim_supp

    def forward(self, value: Any, *inputs: Any) -> Any:
        return (value - self.center) / self.scale

    def backward(self, value: Any, *inputs: Any) -> Any:
        return LocationMap(self.center.tolist(), self.scale.tolist())(value)

    def log_jac_det(self, value: Any, *inputs: Any) -> Any:
        batch = value[..., 0] if self.ndim_supp else value
        return pt.zeros_like(batch) + (np.log(self.scale).sum() if self.ndim_supp else np.log(self.scale))


class LogRatios(Transform):
    """Log ratios (K - 1) of weights (K) to the last one."""

    name = "ratios"
    ndim_supp = 1

    def forward(self, value: Any, *inputs: Any) -> Any:
        return pt.log(value[..., :-1]) - pt.log(value[..., -1:])

    def backward(self, value: Any, *inputs: Any) -> Any:
        return SimplexMap()(value)[0]

    def log_jac_det(self, value: Any, *inputs: Any) -> Any:
        return SimplexMap()(value)[1]


class StandardisedCovariance(Transform):
    """Log-Cholesky factor of a covariance (..., d, d) of standardised columns; log sds for diagonal structures.

    Parameters
    ----------
    scale
        (d,), the units of the columns.
    structure
        "full", "diagonal" or "spherical"; the coordinates are (..., d (d + 1) / 2), (..., d) or (..., 1).

    References
    ----------
    Pinheiro & Bates (1996), Unconstrained parametrizations for variance-covariance matrices, Statistics and Computing 6.
    """

    name = "standard"
    ndim_supp = 2

    def __init__(self, scale: Array, structure: str) -> None:
        self.scale, self.structure, self.d = scale, structure, len(scale)
        self.lower = np.tril_indices(self.d)
        self.on_diagonal = self.lower[0] == self.lower[1]

    def forward(self, value: Any, *inputs: Any) -> Any:
        standard = value / np.multiply.outer(self.scale, self.scale)
        if self.structure != "full":
            log_sd = 0.5 * pt.log(pt.diagonal(standard, axis1=-2, axis2=-1))
            return log_sd if self.structure == "diagonal" else log_sd[..., :1]
        packed = pt.linalg.cholesky(standard)[(..., *self.lower)]
        return pt.switch(self.on_diagonal, pt.log(pt.switch(self.on_diagonal, packed, 1.0)), packed)

    def backward(self, value: Any, *inputs: Any) -> Any:
        return self._map(value)[0]

    def log_jac_det(self, value: Any, *inputs: Any) -> Any:
        return self._map(value)[1]

    @property
    def _map(self) -> CovarianceMap:
        return CovarianceMap(self.scale.tolist(), self.structure)


class VolumesAndShapes(Transform):
    """Log volumes and log shapes of diagonal covariances (J, d, d) of standardised columns, one of the two equal.

    Densities of such covariances are with respect to exactly these coordinates: there is no Jacobian.

    Parameters
    ----------
    scale
        (d,), the units of the columns.
    code
        "VEI" (equal shape) or "EVI" (equal volume).
    count
        J.
    """

    name = "volumes_and_shapes"
    ndim_supp = 3

    def __init__(self, scale: Array, code: str, count: int) -> None:
        self.scale, self.code, self.count = scale, code, count

    def forward(self, value: Any, *inputs: Any) -> Any:
        logs = pt.log(pt.diagonal(value, axis1=-2, axis2=-1) / self.scale**2)
        volumes = logs.mean(axis=-1)
        shapes = (logs - volumes[..., None])[..., :-1]
        if self.code[0] == "V":
            return pt.concatenate([volumes, shapes[..., 0, :]], axis=-1)
        return pt.concatenate([volumes[..., :1], shapes.reshape((*shapes.shape[:-2], -1))], axis=-1)

    def backward(self, value: Any, *inputs: Any) -> Any:
        return StructureMap(self.scale.tolist(), self.code, self.count)(value)

    def log_jac_det(self, value: Any, *inputs: Any) -> Any:
        return pt.zeros_like(value[..., 0])
