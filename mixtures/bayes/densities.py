"""Prior densities on means and covariances with their gradients, as Ops: few nodes, so that a model compiles at once.

The reference model has the same densities from PyMC's own distributions and PyTensor's linear algebra (`priors.py`), and
the EM program has its own; a check holds all three against each other. Everything here is on batches (..., d, d).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import pytensor.tensor as pt
from pytensor.gradient import DisconnectedType
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op
from pytensor.graph.rewriting.basic import node_rewriter
from pytensor.tensor.basic import get_underlying_scalar_constant_value
from pytensor.tensor.elemwise import Elemwise
from pytensor.tensor.rewriting.basic import register_canonicalize

from ..families.base import Array
from ..linear import factors
from .stack import Native, disconnected, register_native
from .totals import Summable

__all__ = [
    "CovarianceMap",
    "Density",
    "LocationMap",
    "SimplexMap",
    "StructureMap",
    "coupled_density",
    "diagonal_density",
    "normal_density",
    "spherical_density",
    "wishart_density",
]


class Density(Summable):
    """A log density (...,) and its gradients, from one NumPy function.

    Parameters
    ----------
    function
        Takes the arrays and returns the log density, then the gradient in each of the first `n_gradients` of them.
    core_ndim
        Axes of the first array that belong to one value.
    n_gradients
        How many of the arrays have a gradient; the others are numbers of the prior.
    total
        The first output is the sum of the log densities instead. Graphs that ask for nothing but the sum get this form.
    """

    __props__ = ("core_ndim", "function", "n_gradients", "total")
    native_pays: ClassVar[bool] = True

    def __init__(
        self, function: Callable[..., Sequence[Array]], core_ndim: int, n_gradients: int, total: bool = False
    ) -> None:
        self.function, self.core_ndim, self.n_gradients, self.total = function, core_ndim, n_gradients, total

    def in_total(self) -> Density:
        return Density(self.function, self.core_ndim, self.n_gradients, total=True)

    def make_node(self, *arrays: Any) -> Apply:
        inputs = [pt.as_tensor_variable(array, dtype="float64") for array in arrays]
        shape = self._batch(inputs[0].type.shape)
        slopes = [pt.tensor(dtype="float64", shape=array.type.shape) for array in inputs[: self.n_gradients]]
        return Apply(self, inputs, [pt.tensor(dtype="float64", shape=shape), *slopes])

    def infer_shape(self, *args: Any) -> list[Any]:
        shapes = args[-1]  # PyTensor 2 passes the graph before the node and the shapes, PyTensor 3 does not
        return [self._batch(tuple(shapes[0])), *shapes[: self.n_gradients]]

    def _batch(self, shape: tuple[Any, ...]) -> tuple[Any, ...]:
        """Shape of the first output, from that of the first array."""
        return () if self.total else shape[: len(shape) - self.core_ndim]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[i < self.n_gradients] * len(node.outputs) for i in range(len(node.inputs))]

    def perform(self, node: Apply, inputs: Sequence[Array], outputs: Any) -> None:
        with np.errstate(all="ignore"):
            found = self.evaluate(*inputs)
        for storage, value in zip(outputs, found, strict=True):
            storage[0] = np.asarray(value)

    def direct(self, node: Apply) -> Callable[..., Sequence[Array]]:
        """The call that a `DirectLinker` makes."""
        return self.evaluate

    def native(self, node: Apply) -> Native | None:
        """The compiled form of one of this module's functions, for arrays whose components agree one by one."""
        from ..kernels import densities

        ndims = _NATIVE.get(self.function)
        if ndims is None or tuple(array.type.ndim for array in node.inputs) != ndims:
            return None
        counts = {array.type.shape[0] for array in node.inputs}
        if len(counts) > 1 or None in counts:
            return None
        outputs = range(2, 2 + self.n_gradients)
        return Native(getattr(densities, self.function.__name__), outputs=(1 if self.total else 0, *outputs))

    def evaluate(self, *arrays: Array) -> Sequence[Array]:
        """The function's values; where it has none, -inf with slopes of 0."""
        try:
            found = self.function(*arrays)
        except np.linalg.LinAlgError:
            found = ()
        if found and np.isfinite(found[0]).all():
            return [found[0].sum(), *found[1:]] if self.total else found
        return [
            np.full(self._batch(arrays[0].shape), -np.inf),
            *(np.zeros_like(array) for array in arrays[: self.n_gradients]),
        ]

    def pullback(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        if not all(isinstance(cotangent.type, DisconnectedType) for cotangent in cotangents[1:]):
            raise NotImplementedError("Density has no second derivative; take differences of its gradient.")
        upstream, found = cotangents[0], []
        for array, slope in zip(inputs, outputs[1:], strict=False):
            extra = array.type.ndim - upstream.type.ndim
            found.append(pt.shape_padright(upstream, extra) * slope)
        return [*found, *(disconnected() for _ in inputs[self.n_gradients :])]

    L_op = pullback


class _Map(Summable):
    """A smooth map of coordinates, with its log Jacobian where that is not constant; one compiled function or NumPy's calls."""

    native_pays: ClassVar[bool] = True
    ndim: ClassVar[int] = 0
    """Axes of the coordinates that compiled functions take."""
    core_ndim: ClassVar[int] = 1
    """Axes of the coordinates of one value."""
    has_jacobian: ClassVar[bool] = False
    summed: ClassVar[int] = 1

    def ahead(self, free: Array) -> tuple[Array, ...]:
        """The value at coordinates, and the log Jacobian (...,) if there is one."""
        raise NotImplementedError

    def back(self, free: Array, *gradients: Array) -> Array:
        """The gradient in the coordinates, from those in what `ahead` gives."""
        raise NotImplementedError

    def core_shape(self, free: tuple[Any, ...]) -> tuple[Any, ...]:
        """Shape of the value, from the shape of the coordinates."""
        raise NotImplementedError

    def compiled(self) -> tuple[Native, Native] | None:
        """Compiled forms of `ahead` and `back`, if there are any."""
        return None

    def make_node(self, free: Any) -> Apply:
        free = pt.as_tensor_variable(free, dtype="float64")
        return Apply(self, [free], [pt.tensor(dtype="float64", shape=shape) for shape in self._shapes(free.type.shape)])

    def _shapes(self, free: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        batch = () if self.total else free[: len(free) - self.core_ndim]
        return [self.core_shape(free), batch] if self.has_jacobian else [self.core_shape(free)]

    def infer_shape(self, *args: Any) -> list[Any]:
        return self._shapes(tuple(args[-1][0]))  # the shapes come last on both stacks

    def perform(self, node: Apply, inputs: Sequence[Array], outputs: Any) -> None:
        with np.errstate(all="ignore"):
            found = self.ahead(*inputs)
        for storage, value in zip(outputs, found, strict=True):
            storage[0] = np.asarray(value)

    def direct(self, node: Apply) -> Callable[..., Any]:
        """The call that a `DirectLinker` makes."""
        return self.ahead if self.has_jacobian else lambda free: self.ahead(free)[0]

    def native(self, node: Apply) -> Native | None:
        """The compiled form, for coordinates with so many axes."""
        both = self.compiled() if node.inputs[0].type.ndim == self.ndim else None
        return None if both is None else both[0]

    def pullback(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        given = [
            pt.zeros_like(output) if isinstance(cotangent.type, DisconnectedType) else cotangent
            for output, cotangent in zip(outputs, cotangents, strict=True)
        ]
        if self.total:
            given[1] = given[1] + pt.zeros(inputs[0].shape[: inputs[0].type.ndim - self.core_ndim])
        return [Pullback(self)(inputs[0], *given)]

    L_op = pullback


class Pullback(Op):
    """The pullback of a map as an Op: coordinates and the gradients in what it gives are turned into the gradient in the coordinates."""

    __props__ = ("map",)
    native_pays: ClassVar[bool] = True

    def __init__(self, map: _Map) -> None:
        self.map = map

    def make_node(self, free: Any, *gradients: Any) -> Apply:
        inputs = [pt.as_tensor_variable(one, dtype="float64") for one in (free, *gradients)]
        return Apply(self, inputs, [inputs[0].type()])

    def infer_shape(self, *args: Any) -> list[Any]:
        return [args[-1][0]]

    def perform(self, node: Apply, inputs: Sequence[Array], outputs: Any) -> None:
        with np.errstate(all="ignore"):
            outputs[0][0] = self.evaluate(*inputs)

    def direct(self, node: Apply) -> Callable[..., Array]:
        """The call that a `DirectLinker` makes."""
        return self.evaluate

    def native(self, node: Apply) -> Native | None:
        """The compiled form, for coordinates with so many axes as the map's has."""
        both = self.map.compiled() if node.inputs[0].type.ndim == self.map.ndim else None
        return None if both is None else both[1]

    def evaluate(self, free: Array, *gradients: Array) -> Array:
        """The pullback; 0 where it is not finite."""
        found = self.map.back(free, *gradients)
        return found if np.isfinite(found).all() else np.zeros_like(free)


class CovarianceMap(_Map):
    """Covariances (..., d, d) in data units from standardised log-Cholesky coordinates (..., m).

    Parameters
    ----------
    scale
        (d,), units of the columns.
    structure
        "full" (m = d (d + 1) / 2), "diagonal" (m = d) or "spherical" (m = 1).
    total
        The log Jacobian is the sum of all. Graphs that ask for nothing but the sum get this form.

    References
    ----------
    Pinheiro & Bates (1996), Unconstrained parametrizations for variance-covariance matrices, Statistics and Computing 6.
    """

    __props__ = ("scale", "structure", "total")

    ndim = 2
    has_jacobian = True

    def __init__(self, scale: Sequence[float], structure: str, total: bool = False) -> None:
        self.scale, self.structure, self.total = tuple(float(s) for s in scale), structure, total
        d = len(self.scale)
        self.units = np.array(self.scale)
        rows, columns = np.tril_indices(d) if structure == "full" else (np.arange(d), np.arange(d))
        self.flat, self.on_diagonal = rows * d + columns, rows == columns
        self.unit_of = self.units[rows]
        log_scale = np.log(self.units)
        if structure == "full":
            self.power = np.where(self.on_diagonal, d + 1.0 - rows, 0.0)
            self.constant = float(d * np.log(2.0) + (d + 1) * log_scale.sum())
        else:
            self.power = np.full(d if structure == "diagonal" else 1, 2.0)
            self.constant = float(len(self.power) * np.log(2.0) + 2.0 * log_scale[: len(self.power)].sum())

    def in_total(self) -> CovarianceMap:
        return CovarianceMap(self.scale, self.structure, total=True)

    def core_shape(self, free: tuple[Any, ...]) -> tuple[Any, ...]:
        return (*free[:-1], len(self.scale), len(self.scale))

    def compiled(self) -> tuple[Native, Native]:
        from ..kernels import densities

        kind = ("full", "diagonal", "spherical").index(self.structure)
        constants = (self.units, self.power, self.constant, kind)
        ahead = Native(densities.covariance, constants, outputs=(0, 2 if self.total else 1))
        return ahead, Native(densities.covariance_pullback, constants)

    def _factor(self, free: Array) -> tuple[Array, Array]:
        """Lower factors (..., d, d) and their entries' slopes (..., m)."""
        d = len(self.scale)
        slope = np.where(self.on_diagonal, np.exp(free), 1.0) * self.unit_of
        factor = np.zeros((*free.shape[:-1], d * d))
        factor[..., self.flat] = np.where(self.on_diagonal, slope, free * self.unit_of)
        return factor.reshape(*free.shape[:-1], d, d), slope

    def ahead(self, free: Array) -> tuple[Array, Array]:
        factor, _ = self._factor(free)
        log_jacobian = self.constant + free @ self.power
        return factor @ factor.swapaxes(-1, -2), log_jacobian.sum() if self.total else log_jacobian

    def back(self, free: Array, *gradients: Array) -> Array:
        gradient, of_jacobian = gradients
        factor, slope = self._factor(free)
        turned = (gradient + gradient.swapaxes(-1, -2)) @ factor
        found = turned.reshape(*turned.shape[:-2], -1)[..., self.flat] * slope
        if self.structure == "spherical":
            found = found.sum(axis=-1, keepdims=True)
        return np.asarray(found + of_jacobian[..., None] * self.power)


class StructureMap(_Map):
    """Diagonal covariances (..., J, d, d) in data units from standardised volumes and shapes (..., m), of which one is equal.

    Coordinates are the logarithms of the volumes, J or 1, then those of the shapes but for the last entry, d - 1 or J (d - 1).

    Parameters
    ----------
    scale
        (d,), units of the columns.
    code
        "VEI" or "EVI".
    count
        J.

    References
    ----------
    Celeux & Govaert (1995), Gaussian parsimonious clustering models, Pattern Recognition 28, 781-793.
    """

    __props__ = ("code", "count", "scale")

    def __init__(self, scale: Sequence[float], code: str, count: int) -> None:
        self.scale, self.code, self.count = tuple(float(s) for s in scale), code, count
        self.variances = np.array(self.scale) ** 2
        self.volumes = count if code[0] == "V" else 1

    def core_shape(self, free: tuple[Any, ...]) -> tuple[Any, ...]:
        return (*free[:-1], self.count, len(self.scale), len(self.scale))

    def _variances(self, free: Array) -> Array:
        """(..., J, d)."""
        d = len(self.scale)
        shapes = free[..., self.volumes :].reshape(*free.shape[:-1], -1, d - 1)
        logs = np.concatenate([shapes, -shapes.sum(axis=-1, keepdims=True)], axis=-1)
        return np.exp(free[..., : self.volumes, None] + logs) * self.variances

    def ahead(self, free: Array) -> tuple[Array, ...]:
        return (self._variances(free)[..., None] * np.eye(len(self.scale)),)

    def back(self, free: Array, *gradients: Array) -> Array:
        (gradient,) = gradients
        along = self._variances(free) * gradient.diagonal(axis1=-2, axis2=-1)
        volumes, shapes = along.sum(axis=-1), along[..., :-1] - along[..., -1:]
        if self.code[0] == "E":
            return np.concatenate([volumes.sum(axis=-1, keepdims=True), shapes.reshape(*free.shape[:-1], -1)], axis=-1)
        return np.concatenate([volumes, shapes.sum(axis=-2)], axis=-1)


class SimplexMap(_Map):
    """Weights (..., K) from log ratios (..., K - 1) to the last weight."""

    __props__ = ()
    ndim = 1
    has_jacobian = True

    def core_shape(self, free: tuple[Any, ...]) -> tuple[Any, ...]:
        return (*free[:-1], None if free[-1] is None else free[-1] + 1)

    def compiled(self) -> tuple[Native, Native]:
        from ..kernels import densities

        return Native(densities.simplex), Native(densities.simplex_pullback)

    def ahead(self, free: Array) -> tuple[Array, Array]:
        shares = _shares(free)
        return shares, np.log(shares).sum(axis=-1)

    def back(self, free: Array, *gradients: Array) -> Array:
        gradient, of_jacobian = gradients
        shares = _shares(free)
        found = shares * (gradient - (shares * gradient).sum(axis=-1, keepdims=True))
        return np.asarray((found + of_jacobian[..., None] * (1.0 - shares.shape[-1] * shares))[..., :-1])


@register_canonicalize
@node_rewriter([Elemwise])
def shares_are_shares(fgraph: Any, node: Apply) -> list[Any] | None:
    """Whether a share is below 0 or above 1, which PyMC's Dirichlet asks at every evaluation, has one answer."""
    bound = {"LT": 0.0, "GT": 1.0}.get(type(node.op.scalar_op).__name__)
    if bound is None:
        return None
    shares, asked = node.inputs
    if shares.owner is None or not isinstance(shares.owner.op, SimplexMap) or shares is not shares.owner.outputs[0]:
        return None
    if get_underlying_scalar_constant_value(asked, raise_not_constant=False) != bound:
        return None
    return [pt.zeros_like(shares, dtype="bool")]


class LocationMap(_Map):
    """center + scale * coordinates, for locations (..., d)."""

    __props__ = ("center", "scale")
    ndim = 2

    def __init__(self, center: Sequence[float], scale: Sequence[float]) -> None:
        self.center, self.scale = (tuple(float(one) for one in value) for value in (center, scale))
        self.origin, self.units = np.array(self.center), np.array(self.scale)

    def core_shape(self, free: tuple[Any, ...]) -> tuple[Any, ...]:
        return free

    def compiled(self) -> tuple[Native, Native]:
        from ..kernels import densities

        return Native(densities.location, (self.origin, self.units)), Native(densities.location_pullback, (self.units,))

    def ahead(self, free: Array) -> tuple[Array, ...]:
        return (self.origin + self.units * free,)

    def back(self, free: Array, *gradients: Array) -> Array:
        return gradients[0] * self.units


def _shares(free: Array) -> Array:
    top = np.maximum(free.max(axis=-1, keepdims=True), 0.0)
    full = np.exp(np.concatenate([free - top, -top], axis=-1))
    return full / full.sum(axis=-1, keepdims=True)


# -- the formulas -------------------------------------------------------------------------------------------------------


def normal_density(value: Array, covariance: Array, center: Array, kappa: Array) -> tuple[Array, Array, Array]:
    """N(center, covariance / kappa) at value (..., d), with gradients in value and covariance."""
    d = value.shape[-1]
    _, inverse, log_sd = factors(covariance)
    white = (inverse @ (value - center)[..., None])[..., 0]
    pulled = (white[..., None, :] @ inverse)[..., 0, :]
    density = 0.5 * d * np.log(kappa / (2.0 * np.pi)) - log_sd - 0.5 * kappa * (white * white).sum(axis=-1)
    weighted = kappa[..., None] * pulled
    spread = weighted[..., None] * pulled[..., None, :] - inverse.swapaxes(-1, -2) @ inverse
    return density, -weighted, 0.5 * spread


def wishart_density(value: Array, nu: Array, matrix: Array) -> tuple[Array, Array]:
    """Inverse Wishart at covariances (..., d, d) without its constant, with its gradient."""
    power = nu + value.shape[-1] + 1.0
    _, inverse, half_log_det = factors(value)
    precision = inverse.swapaxes(-1, -2) @ inverse
    product = matrix @ precision
    density = -power * half_log_det - 0.5 * product.trace(axis1=-2, axis2=-1)
    return density, 0.5 * (precision @ product - power[..., None, None] * precision)


def coupled_density(value: Array, nu: Array, matrix: Array) -> tuple[Array, Array]:
    """The kernel of inverse Wisharts at covariances (..., J, d, d), their sum over J, with its gradient."""
    density, slope = wishart_density(value, nu, matrix)
    return density.sum(axis=-1), slope


def diagonal_density(value: Array, nu: Array, matrix: Array) -> tuple[Array, Array]:
    """Inverse gamma (nu / 2, matrix_jj / 2) on every variance of diagonal covariances, without constant, with its gradient."""
    variance, rate = value.diagonal(axis1=-2, axis2=-1), 0.5 * matrix.diagonal(axis1=-2, axis2=-1)
    density, slope = _inverse_gamma(variance, 0.5 * nu[..., None], rate)
    return density.sum(axis=-1), slope[..., None] * np.eye(value.shape[-1])


def spherical_density(value: Array, nu: Array, matrix: Array) -> tuple[Array, Array]:
    """Inverse gamma (nu / 2, tr matrix / (2 d)) on the one variance of spherical covariances, the same way."""
    d = value.shape[-1]
    density, slope = _inverse_gamma(value[..., 0, 0], 0.5 * nu, 0.5 * matrix.trace(axis1=-2, axis2=-1) / d)
    return density, slope[..., None, None] * np.eye(d) / d


def _inverse_gamma(variance: Array, shape: Array, rate: Array) -> tuple[Array, Array]:
    ratio = rate / variance
    return -(shape + 1.0) * np.log(variance) - ratio, (ratio - shape - 1.0) / variance


_NATIVE: dict[Callable[..., Any], tuple[int, ...]] = {
    normal_density: (2, 3, 2, 1),
    wishart_density: (3, 1, 3),
    diagonal_density: (3, 1, 3),
    spherical_density: (3, 1, 3),
}
"""Formulas with a compiled form of the same name in `mixtures.kernels.densities`, and the axes of what that takes."""

for _op_type in (Density, CovarianceMap, StructureMap, LocationMap, SimplexMap, Pullback):
    register_native(_op_type)
