"""The specification as an ordinary `pm.Model`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
from pytensor.gradient import disconnected_grad

from ..domains import Covariance, Positive
from ..em.program import CompiledGroup, Params, Program
from ..errors import SpecError
from ..families.base import Array, Layout, Theta
from ..spec import Mixture, check_specification, free_dim, free_entry_dim
from .drawing import drawn_by
from .op import Part, RowMixture, parts_of, split_thetas
from .priors import declare
from .stack import sampling_mode
from .transforms import LogRatios

__all__ = ["compile_pymc"]

LIKELIHOODS = ("op", "reference")
LARGEST = 700.0
"""An exponent whose exponential is still finite."""


def compile_pymc(spec: Mixture, data: Any, *, likelihood: str = "op", sample_weight: Any = None) -> pm.Model:
    """The specification and its data as a PyMC model, yours to extend.

    Variables bear the names of the specification's parameters and are in data units; what is sampled are their
    standardised coordinates. `y` is observed, with one log-likelihood per row, times the row's weight.

    Parameters
    ----------
    spec
        The specification; default priors are resolved against the data.
    data
        A table with the specification's columns. Equal rows may be merged, with their number as `row_weight`.
    likelihood
        "op" (one fused node with its own gradient) or "reference" (PyMC's own distributions; slow to compile).
    sample_weight
        (n,) weights of the rows, or the name of a column.

    Returns
    -------
    pymc.Model

    Raises
    ------
    SpecError
        For an unknown `likelihood`, or a specification that cannot be fitted.
    DataError
        If the data do not fit the specification, or no component gives a row a density.

    Examples
    --------
    >>> import mixtures as mx
    >>> spec = mx.Mixture(mx.Gaussian("eruptions"), n_components=2)
    >>> model = mx.compile_pymc(spec, mx.load_dataset("old_faithful"))
    >>> [variable.name for variable in model.free_RVs]
    ['weights', 'covariance', 'mean']
    """
    check_specification(spec, "compile_pymc(spec, data)")
    if likelihood not in LIKELIHOODS:
        raise SpecError(f"likelihood={likelihood!r}: legal are 'op' and 'reference'.")
    spec.check_sampled()
    rows = spec.rows(data, sample_weight=sample_weight)
    program = Program(spec.resolve(rows), rows)
    program.refuse_rows_without_density()
    with pm.Model(coords=_coords(program)) as model:
        weights = _declare_weights(program)
        thetas = [_declare_group(compiled, likelihood == "reference") for compiled in program.groups]
        _declare_rows(program, likelihood, weights, thetas)
    return model


def _coords(program: Program) -> dict[str, Any]:
    rows = program.rows
    coords: dict[str, Any] = {
        "component": np.arange(program.n_components),
        "row": np.arange(len(rows.values)),
        "column": list(rows.columns),
    }
    for compiled in program.groups:
        group = compiled.group
        coords[group.component_dim] = np.array(group.components)
        for parameter in compiled.family.parameters:
            coords.update(group.coords(parameter))
    return coords


# -- parameters ---------------------------------------------------------------------------------------------------------


class _ModelScope:
    """Declares a group's parameters as named variables of the model in context."""

    def __init__(self, compiled: CompiledGroup, reference: bool) -> None:
        self.compiled, self.reference = compiled, reference
        self.center, self.scale = compiled.center, compiled.scale
        self.found: dict[str, Any] = {}

    def covariance_domain(self, parameter: str) -> Covariance:
        domain = _parameter(self.compiled, parameter).domain
        assert isinstance(domain, Covariance)
        return domain

    def layout(self, parameter: str) -> Layout:
        return self.compiled.group.layout[parameter]

    def bounds(self, parameter: str) -> tuple[float, float]:
        domain = _parameter(self.compiled, parameter).domain
        assert isinstance(domain, Positive)
        return domain.bounds

    def own(self, parameter: str, value: Any) -> Any:
        return owned(self.compiled.layout[parameter], value)

    def variable(self, parameter: str, distribution: Any, *args: Any, transform: Any = None, **kwargs: Any) -> Any:
        group, layout = self.compiled.group, self.compiled.group.layout[parameter]
        name, dims = group.names[parameter], group.dims(_parameter(self.compiled, parameter))
        shape, rows = layout.free.shape, np.flatnonzero(layout.owners)
        extra = {} if transform is None else {"transform": transform}
        if layout.is_partial:
            dim, places = free_entry_dim(name), np.argwhere(layout.estimated)
            own, columns = _parameter(self.compiled, parameter), self.compiled.family.columns
            labels = [", ".join([str(group.components[j]), *own.place(columns, tuple(entry))]) for j, *entry in places]
            pm.modelcontext(None).add_coord(dim, labels)
            one = distribution(free_name(name), *args, dims=(dim,), shape=(len(places),), **extra, **kwargs)
            value = pm.Deterministic(name, spread_out(layout, one), dims=dims)
        elif len(rows) == shape[0]:
            value = distribution(name, *args, dims=dims, shape=shape, **extra, **kwargs)
        elif not len(rows):
            value = pm.Deterministic(name, pt.as_tensor(layout.fixed), dims=dims)
        else:
            dim = free_dim(name)
            pm.modelcontext(None).add_coord(dim, np.array(group.components)[rows])
            one = distribution(
                free_name(name), *args, dims=(dim, *dims[1:]), shape=(len(rows), *shape[1:]), **extra, **kwargs
            )
            value = pm.Deterministic(name, spread_out(layout, one), dims=dims)
        self.found[parameter] = value
        return value

    def complete(self) -> None:
        """Declare the parameters that no prior is about: they are fixed."""
        for parameter in self.compiled.family.parameters:
            if parameter.name not in self.found:
                self.variable(parameter.name, None)


def _parameter(compiled: CompiledGroup, name: str) -> Any:
    return next(parameter for parameter in compiled.family.parameters if parameter.name == name)


def owned(layout: Layout, value: Any) -> Any:
    """What of `value` (J, ...) is estimated: rows of components that own a value, or entries (m,) where it is fixed in part."""
    if layout.is_partial:
        return value[np.nonzero(layout.estimated)]
    return value if layout.owners.all() else value[np.flatnonzero(layout.owners)]


def spread_out(layout: Layout, own: Any) -> Any:
    """Values (J, ...) of all components from what is estimated (see `owned`), fixed ones in their place."""
    rows = np.flatnonzero(layout.owners)
    if layout.is_partial:
        value = pt.set_subtensor(pt.as_tensor(layout.fixed)[np.nonzero(layout.estimated)], own)
        return pt.specify_shape(value[layout.groups], layout.free.shape)
    everyone = len(rows) == 1 and len(set(layout.groups.tolist())) == 1
    if everyone and layout.free.ndim > 1:  # PyTensor loses the shape of vectors
        return pt.broadcast_to(own, layout.free.shape)
    owners = layout.groups[rows]
    index = np.array([np.argmax(owners == group) for group in layout.groups])
    free = np.isin(layout.groups, owners).reshape(-1, *(1,) * (layout.free.ndim - 1))
    value = own[index]
    return value if free.all() else pt.switch(free, value, layout.fixed)


def free_name(name: str) -> str:
    """Name of the variable that holds the estimated values of a parameter which is fixed or shared for some components."""
    return f"{name}_free"


def _declare_weights(program: Program) -> Any:
    if program.weight_numbers is None or program.n_components == 1:
        known = program.fixed_weights if program.fixed_weights is not None else np.ones(1)
        return pm.Deterministic("weights", pt.as_tensor(known), dims="component")
    alpha = program.weight_numbers["alpha"][0]
    return pm.Dirichlet("weights", alpha, dims="component", shape=alpha.shape, default_transform=LogRatios())


def _declare_group(compiled: CompiledGroup, reference: bool) -> dict[str, Any]:
    scope = _ModelScope(compiled, reference)
    for term in compiled.data_terms:
        declare(term.prior, term, scope)
    scope.complete()
    return scope.found


def free_values(program: Program, p: Params) -> dict[str, Array]:
    """Values of the model's free variables at parameters p in data units, keyed by variable name."""
    found: dict[str, Array] = {}
    if program.weight_numbers is not None and program.n_components > 1:
        found["weights"] = p.weights
    for compiled, theta in zip(program.groups, p.thetas, strict=True):
        for parameter, value in theta.items():
            layout, name = compiled.layout[parameter], compiled.group.names[parameter]
            if layout.owners.any():
                everyone = layout.owners.all() and not layout.is_partial
                found[name if everyone else free_name(name)] = owned(layout, value)
    return found


def sampled_point(model: pm.Model, program: Program, p: Params) -> dict[str, Array]:
    """The coordinates that are sampled at parameters p in data units, keyed by value variable; p lies inside the parameter space."""
    named, found = free_values(program, p), {}
    for variable in model.free_RVs:
        transform, value = model.rvs_to_transforms[variable], np.asarray(named[variable.name], dtype=np.float64)
        if transform is not None:
            forward = pt.as_tensor(transform.forward(value, *variable.owner.inputs))
            value = pytensor.function([], forward, mode=sampling_mode(), on_unused_input="ignore")()
        found[model.rvs_to_values[variable].name] = np.asarray(value)
    return found


# -- rows ---------------------------------------------------------------------------------------------------------------


def _declare_rows(program: Program, likelihood: str, weights: Any, thetas: list[dict[str, Any]]) -> None:
    """The observed variable `y`: one density per row, the weight of the row as its exponent."""
    rows, parts = program.rows, parts_of(program.spec, program.rows.values)
    data = pm.Data("data", rows.filled, dims=("row", "column"))
    row_weight = pm.Data("row_weight", rows.weights, dims="row")
    for one in (data, row_weight):  # what kernels make of the rows can then be kept
        one.get_value(borrow=True).setflags(write=False)
    observed = pm.Data("observed", rows.observed, dims=("row", "column")) if rows.has_missing else None
    arrays = [theta[name] for part, theta in zip(parts, thetas, strict=True) for name in part.names]
    shapes = [c.layout[name].free.shape for c, part in zip(program.groups, parts, strict=True) for name in part.names]
    op = RowMixture(parts)
    count, width = program.n_components, rows.values.shape[1]

    def parameters(weights: Any, given: tuple[Any, ...]) -> tuple[Any, list[Any]]:
        """The parameters without the batch axes that PyMC puts in front."""
        return weights.reshape((count,)), [a.reshape(shape) for a, shape in zip(given, shapes, strict=True)]

    def logp(value: Any, v: Any, weights: Any, *given: Any) -> Any:
        w, flat = parameters(weights, given[:-1])
        value = value if observed is None else pt.switch(observed, value, np.nan)
        if likelihood == "op":
            return op(value, v, w, *flat)[0]
        return v * reference_rows(parts, value, w, split_thetas(parts, flat))

    letters = ["(" + ",".join(f"d{i}{j}" for j in range(len(shape))) + ")" for i, shape in enumerate(shapes)]
    signature = ",".join(["()", "(k)", *letters, "(c)"]) + "->(c)"
    inputs = (row_weight, weights, *arrays, np.zeros(width))
    dist = drawn_by(RowDraws(parts, tuple(shapes), width), 1, lambda v, *_: [v.shape[0]])
    pm.CustomDist("y", *inputs, logp=logp, dist=dist, signature=signature, observed=data, dims=("row", "column"))


@dataclass(frozen=True)
class RowDraws:
    """Draws rows (n, width) of a mixture, for parameters that may have extra axes of length one in front."""

    parts: tuple[Part, ...]
    shapes: tuple[tuple[int, ...], ...]
    width: int

    def __call__(
        self, rng: np.random.Generator, batch: tuple[int, ...], v: Array, weights: Array, *given: Array
    ) -> Array:
        arrays = [np.reshape(a, shape) for a, shape in zip(given[:-1], self.shapes, strict=True)]
        count = int(np.prod(batch))
        drawn = draw_rows(self.parts, self.width, np.ravel(weights), split_thetas(self.parts, arrays), count, rng)
        return drawn.reshape(*batch, self.width)


def reference_rows(parts: tuple[Part, ...], x: Any, weights: Any, thetas: list[dict[str, Any]]) -> Any:
    """Row log densities (n,) from PyMC's own distributions; 0 log 0 = 0, and the slope at a weight of 0 is finite."""
    joint = pt.zeros((x.shape[0], weights.shape[0]))
    for part, theta in zip(parts, thetas, strict=True):
        density = part.family.pymc_log_density(x[:, list(part.columns)], theta)
        joint = joint + density if part.covers_all else pt.inc_subtensor(joint[:, list(part.components)], density)
    top = pt.max(pt.switch(pt.gt(weights, 0.0), joint, -np.inf), axis=1, keepdims=True)
    top = disconnected_grad(pt.switch(pt.isinf(top), 0.0, top))
    ratio = pt.exp(pt.minimum(joint - top, LARGEST))  # larger only where the weight is 0
    return top[:, 0] + pt.log(pt.sum(weights * ratio, axis=1))


def draw_rows(
    parts: tuple[Part, ...], width: int, weights: Array, thetas: list[Theta], n: int, rng: np.random.Generator
) -> Array:
    """Rows (n, width) of the mixture: a component for each, then its columns."""
    z = rng.choice(len(weights), size=n, p=weights / weights.sum())
    drawn = np.empty((n, width))
    for part, theta in zip(parts, thetas, strict=True):
        place = np.full(len(weights), -1)
        place[list(part.components)] = np.arange(len(part.components))
        own = np.flatnonzero(place[z] >= 0)
        drawn[np.ix_(own, np.array(part.columns))] = part.family.draw(place[z[own]], theta, rng)
    return drawn
