"""The likelihood of a mixture as one PyTensor Op: a pass over the rows gives every row's log density and the total scores.

By Fisher's identity the gradient of the log-likelihood is the expected complete-data score, so that value and gradient
come from one node of the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import pytensor.tensor as pt
from pytensor.gradient import DisconnectedType
from pytensor.graph.basic import Apply
from pytensor.tensor.basic import get_underlying_scalar_constant_value
from pytensor.tensor.exceptions import NotScalarConstantError

from ..em import passes as kernels
from ..families.base import Array, Family, Theta
from ..families.kept import unchanging
from ..families.missing import observed_cells
from ..kernels.ahead import ask, expect
from ..kernels.threads import one_blas_thread, run
from ..spec import Mixture
from .stack import Native, disconnected, register_native
from .totals import Summable

if TYPE_CHECKING:
    from ..kernels.bound import Kernel

__all__ = ["Part", "RowMixture", "parts_of"]

BLOCK = 16384
"""Rows evaluated at a time."""
AT_ONCE = 1 << 16
"""Entries of log(w f) computed at a time for many draws: small arrays cost more calls than arithmetic."""
SWITCH = 60_000
"""Work of a pass (see `mixtures.em.passes.work`) from which on kernels pay for a sampler, which makes ten thousand passes and more."""


class Part(NamedTuple):
    """One group of components: the family whose formulas it uses, its component indices, columns and parameters."""

    family: Family
    components: tuple[int, ...]
    columns: tuple[int, ...]
    covers_all: bool
    names: tuple[str, ...]
    ndims: tuple[int, ...]


def parts_of(spec: Mixture, values: Array | None = None) -> tuple[Part, ...]:
    """The parts of a specification, in the order of its groups, for rows `values` (n, c), whose missing cells are NaN."""
    found = []
    for group in spec.groups:
        family = group.family if values is None else observed_cells(group.family, values[:, list(group.columns)])
        parameters = group.family.parameters
        names = tuple(parameter.name for parameter in parameters)
        ndims = tuple(1 + len(parameter.axes) for parameter in parameters)
        found.append(Part(family, group.components, group.columns, group.covers_all, names, ndims))
    return tuple(found)


def split_thetas(parts: Sequence[Part], arrays: Sequence[Any]) -> list[dict[str, Any]]:
    """One dict of arrays per part, from the flat sequence of all of them."""
    found, start = [], 0
    for part in parts:
        found.append(dict(zip(part.names, arrays[start : start + len(part.names)], strict=True)))
        start += len(part.names)
    return found


class RowMixture(Summable):
    """Log densities of rows under a mixture, and their total scores.

    Inputs are x (n, c), v (n,), weights (K,) and every parameter array (J, ...) of every part, all in data units. Outputs
    are the weighted row log densities v_i log f(x_i), shape (n,), then the derivative of their sum in the weights and in
    each parameter array. Where a component has no density, all rows are -inf and all scores 0: a sampler rejects.

    Parameters
    ----------
    parts
        What `parts_of` gives for the specification.
    total
        The first output is the sum of the rows' densities instead. Graphs that ask for nothing but the sum get this form.

    References
    ----------
    Fisher's identity: McLachlan & Krishnan (2008), The EM Algorithm and Extensions, 2nd edition, section 3.7.
    """

    __props__ = ("parts", "total")

    def __init__(self, parts: tuple[Part, ...], total: bool = False) -> None:
        self.parts, self.total = parts, total
        self.bound: kernels.Passes | None = None
        self.without_kernels = False
        self.chosen: dict[tuple[int, int], Callable[..., Sequence[Array]] | None] = {}

    def in_total(self) -> RowMixture:
        return RowMixture(self.parts, total=True)

    @classmethod
    def of(cls, spec: Mixture, values: Array) -> RowMixture:
        """For a specification and rows (n, c), whose missing cells are NaN."""
        return cls(parts_of(spec, values))

    def __getstate__(self) -> dict[str, Any]:
        return {"parts": self.parts, "total": self.total, "bound": None, "without_kernels": False, "chosen": {}}

    def make_node(self, x: Any, v: Any, weights: Any, *thetas: Any) -> Apply:
        inputs = [pt.as_tensor_variable(value, dtype="float64") for value in (x, v, weights, *thetas)]
        rows = pt.tensor(dtype="float64", shape=() if self.total else (inputs[0].type.shape[0],))
        return Apply(self, inputs, [rows, *(pt.tensor(dtype="float64", shape=i.type.shape) for i in inputs[2:])])

    def infer_shape(self, *args: Any) -> list[Any]:
        shapes = args[-1]  # PyTensor 2 passes the graph before the node and the shapes, PyTensor 3 does not
        return [() if self.total else (shapes[0][0],), *shapes[2:]]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[i >= 2] * len(node.outputs) for i in range(len(node.inputs))]

    def perform(self, node: Apply, inputs: Sequence[Array], outputs: Any) -> None:
        for storage, value in zip(outputs, self.evaluate(*inputs), strict=True):
            storage[0] = np.asarray(value)

    def direct(self, node: Apply) -> Any:
        """The call that a `DirectLinker` makes."""
        return self.evaluate

    native_pays: ClassVar[bool] = False
    """In Python the number of rows decides (see `evaluate`)."""
    silent: ClassVar[bool] = True
    """NumPy does not warn from `evaluate`."""

    def native(self, node: Apply | None = None) -> Native | None:
        """The compiled form for a mixture of one block, where its kernel has one."""
        kernel = self._kernel()
        return None if kernel is None else self._native(kernel)

    def _native(self, kernel: Kernel) -> Native | None:
        if kernel.scores is None:
            return None
        columns, n_parameters = np.array(self.parts[0].columns, dtype=np.intp), len(self.parts[0].names)
        first = 1 if self.total else 0
        return Native(kernel.scores, (columns, not self.total), (first, *range(2, 3 + n_parameters)))

    def _kernel(self) -> Kernel | None:
        """The kernel, without rows, of the one block that the mixture is of."""
        part, d = self.parts[0], len(self.parts[0].columns)
        if len(self.parts) > 1 or not part.covers_all:
            return None
        from ..kernels.bound import RowSource

        none = RowSource(np.zeros((0, d)), np.arange(d), np.zeros(d), np.ones(d))
        return part.family.kernel(none, len(part.components))

    def pullback(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """Cotangent times the scores when it is one number, else the Op with re-weighted rows."""
        if not all(isinstance(cotangent.type, DisconnectedType) for cotangent in cotangents[1:]):
            raise NotImplementedError("RowMixture has no second derivative; take differences of its gradient.")
        x, v, *parameters = inputs
        if self.total:
            return [disconnected(), disconnected(), *(cotangents[0] * score for score in outputs[1:])]
        try:
            constant = get_underlying_scalar_constant_value(cotangents[0])
        except NotScalarConstantError:
            scores = self(x, cotangents[0] * v, *parameters)[1:]
        else:
            scores = [score if constant == 1 else constant * score for score in outputs[1:]]
        return [disconnected(), disconnected(), *scores]

    L_op = pullback

    # -- NumPy ----------------------------------------------------------------------------------------------------------

    def evaluate(self, x: Array, v: Array, weights: Array, *thetas: Array) -> Sequence[Array]:
        """Outputs of the Op for given arrays."""
        scores = self._scores(len(x), len(weights))
        if scores is not None:
            return scores(x, v, weights, *thetas)
        with np.errstate(all="ignore"):
            rows, *found = self._in_numpy(x, v, weights, *thetas)
            return [np.asarray(rows.sum()) if self.total else rows, *found]

    def _in_numpy(self, x: Array, v: Array, weights: Array, *thetas: Array) -> list[Array]:
        if v.size and v.min() < 0:  # the families' statistics take non-negative weights only
            up = self._in_numpy(x, np.maximum(v, 0.0), weights, *thetas)
            down = self._in_numpy(x, np.maximum(-v, 0.0), weights, *thetas)
            return [a - b for a, b in zip(up, down, strict=True)]
        try:
            found = self._evaluate(x, v, weights, split_thetas(self.parts, thetas))
        except (ArithmeticError, np.linalg.LinAlgError):
            found = None
        if found is None or not all(np.isfinite(score).all() for score in found[1:]):
            return [np.full(len(x), -np.inf), *(np.zeros_like(value) for value in (weights, *thetas))]
        return found

    def row_densities(self, x: Array, draws: Sequence[Draw], out: Array, threads: int = 1) -> None:
        """Log densities of rows x (n, c) under every draw, to out (draws, n)."""
        native = self._scores(len(x), len(draws[0][0]))
        if native is not None:
            ones = np.broadcast_to(1.0, len(x))

            def one(s: int) -> None:
                weights, thetas = draws[s]
                flat = [theta[name] for part, theta in zip(self.parts, thetas, strict=True) for name in part.names]
                out[s] = native(x, ones, weights, *flat)[0]

            run(one, len(draws), threads)
            return
        columns = [np.ascontiguousarray(x[:, part.columns]) for part in self.parts]

        def put(some: slice, joint: Array) -> None:
            with np.errstate(all="ignore"):
                out[some] = allocated(joint)[0]

        joints_of_draws(self.parts, columns, draws, put, threads)

    def compile_ahead(self, n: int, n_components: int) -> None:
        """Within `compiling_ahead`, have what does `evaluate` for n rows compiled before it is called, by two processes.

        The other one begins with the passes over rows; this one will with the function that calls them.
        """
        native = self._chosen(n, n_components)
        if native is not None:
            expect(native.function)
            ask(native.function.called.values() or [native.function])

    def kernels_pay(self, n: int, n_components: int) -> bool:
        """Whether n rows are enough for compiled functions, which a sampler calls ten thousand times."""
        return kernels.pays(kernels.work(self._blocks(), n, n_components), SWITCH)

    def _scores(self, n: int, n_components: int) -> Callable[..., Sequence[Array]] | None:
        """What computes everything for n rows at once, loaded or compiled, where there is such a function and it is the fastest."""
        if (n, n_components) not in self.chosen:
            native = self._chosen(n, n_components)
            self.chosen[n, n_components] = native and native.ready
        return self.chosen[n, n_components]

    def _chosen(self, n: int, n_components: int) -> Native | None:
        kernel = self._kernel() if self.kernels_pay(n, n_components) else None
        return None if kernel is None or n > kernel.most_scored else self._native(kernel)

    def _blocks(self) -> list[kernels.Block]:
        return [
            kernels.Block(
                part.family,
                np.array(part.components),
                part.columns,
                part.covers_all,
                np.zeros(len(part.columns)),
                np.ones(len(part.columns)),
            )
            for part in self.parts
        ]

    def _passes(self, x: Array, v: Array, n_components: int) -> kernels.Passes | None:
        """Kernels for these rows, kept while the rows are the same and cannot change; None where NumPy's formulas are faster."""
        bound = self.bound
        if bound is not None and bound.values is x and bound.v is v:
            return bound
        if self.without_kernels or not self.kernels_pay(len(x), n_components):
            return None
        passes = kernels.Passes(x, v, self._blocks(), n_components, threads=1)  # chains run side by side
        if not passes.pays:
            self.without_kernels = True
            return None
        self.bound = passes if unchanging(x) and unchanging(v) else None
        return passes

    def _evaluate(self, x: Array, v: Array, weights: Array, thetas: list[Theta]) -> list[Array]:
        passes = self._passes(x, v, len(weights))
        if passes is not None:
            return self._in_kernels(passes, v, weights, thetas)
        log_weights = np.log(weights)
        rows, totals = np.empty(len(x)), None
        for start in range(0, len(x), BLOCK):
            block = slice(start, start + BLOCK)
            rows[block], scores = self._block(x[block], v[block], log_weights, weights, thetas)
            totals = scores if totals is None else [a + b for a, b in zip(totals, scores, strict=True)]
        none = (np.zeros_like(value) for value in (weights, *(theta[q] for theta in thetas for q in theta)))
        return [rows, *(totals or none)]

    def _in_kernels(self, passes: kernels.Passes, v: Array, weights: Array, thetas: list[Theta]) -> list[Array]:
        rows = np.empty(len(v))
        _, mass, statistics = passes.evaluate(weights, thetas, rows)
        scores = [_weight_scores(mass, weights)]
        for part, theta, found in zip(self.parts, thetas, statistics, strict=True):
            score = part.family.score(found, theta)
            scores += [score[name] for name in part.names]
        return [_weighted(v, rows), *scores]

    def _block(
        self, x: Array, v: Array, log_weights: Array, weights: Array, thetas: list[Theta]
    ) -> tuple[Array, list[Array]]:
        columns = [x if part.columns == tuple(range(x.shape[1])) else x[:, part.columns] for part in self.parts]
        joint, works = _e_step(self.parts, columns, log_weights, thetas)
        value, responsibilities = log_sum_exp(joint)
        weighted = (responsibilities.T * v).T
        mass = weighted.T.sum(axis=1)
        scores = [_weight_scores(mass, weights)]
        for part, z, theta, work in zip(self.parts, columns, thetas, works, strict=True):
            own = weighted if part.covers_all else weighted[:, part.components]
            score = part.family.score(part.family.statistics_after(work, z, own, theta), theta)
            scores += [score[name] for name in part.names]
        return _weighted(v, value), scores


def _weight_scores(mass: Array, weights: Array) -> Array:
    return mass / weights if weights.all() else np.where(weights > 0, mass / weights, 0.0)


def _weighted(v: Array, value: Array) -> Array:
    """v times row log densities; rows of weight 0 add nothing, whatever their density."""
    rows = v * value
    if not np.isfinite(rows).all():
        rows = np.where(v > 0, np.where(np.isnan(rows), -np.inf, rows), 0.0)
    return rows


def log_joint(parts: Sequence[Part], columns: Sequence[Array], log_weights: Array, thetas: Sequence[Theta]) -> Array:
    """log(w_k f_k) (n, K) of rows whose columns are given per part."""
    return _e_step(parts, columns, log_weights, thetas)[0]


def _e_step(
    parts: Sequence[Part], columns: Sequence[Array], log_weights: Array, thetas: Sequence[Theta]
) -> tuple[Array, list[Any]]:
    """The same, and each part's work that its statistics can use."""
    joint: Array | None = None
    works = []
    for part, z, theta in zip(parts, columns, thetas, strict=True):
        density, work = part.family.e_step(z, theta)
        works.append(work)
        if joint is None:
            joint = density + log_weights if part.covers_all else np.tile(log_weights, (len(z), 1))
        elif part.covers_all:
            joint = joint + density
        if not part.covers_all:
            joint[:, part.components] += density
    assert joint is not None
    return joint, works


def log_sum_exp(joint: Array) -> tuple[Array, Array]:
    """Row log densities (n,) and responsibilities (n, K) from log(w_k f_k)."""
    columns = joint.T  # contiguous as families make it: reductions over components then run along rows
    value, responsibilities = allocated(columns)
    return value, responsibilities.T


def allocated(columns: Array) -> tuple[Array, Array]:
    """The same for log(w_k f_k) (..., K, n): row log densities (..., n) and responsibilities (..., K, n)."""
    top = columns.max(axis=-2)
    if not np.isfinite(top).all():
        top = np.where(np.isfinite(top), top, 0.0)
    ratio = np.exp(columns - top[..., None, :])
    total = ratio.sum(axis=-2)
    value = top + np.log(total)
    if not total.all():
        total = np.where(total > 0, total, 1.0)
    return value, ratio / total[..., None, :]


Draw = tuple[Array, Sequence[Theta]]
"""Weights (K,) and the parameters of every part."""


def joints_of_draws(
    parts: Sequence[Part],
    columns: Sequence[Array],
    draws: Sequence[Draw],
    use: Callable[[slice, Array], None],
    threads: int = 1,
) -> None:
    """Call `use` with slices of the draws and log(w f) of rows under them, (draws, K, n).

    As many draws at a time as arrays of a good size hold; on several threads, side by side.
    """
    step = max(1, AT_ONCE // max(1, len(columns[0]) * len(draws[0][0])))
    if not all(part.names for part in parts):  # a block without parameters does not see how many draws there are
        step = 1

    def one(index: int) -> None:
        some = slice(index * step, (index + 1) * step)
        with np.errstate(all="ignore"):
            joint = _joint_of_draws(parts, columns, draws[some])
        use(some, joint)

    with one_blas_thread() if threads > 1 else nullcontext():
        run(one, -(-len(draws) // step), threads)


def _joint_of_draws(parts: Sequence[Part], columns: Sequence[Array], draws: Sequence[Draw]) -> Array:
    """The same for all of the draws, as one mixture of all their components."""
    k, many = len(draws[0][0]), range(len(draws))
    wide = [part._replace(components=tuple(s * k + c for s in many for c in part.components)) for part in parts]
    thetas = [
        {name: np.concatenate([draw[1][i][name] for draw in draws]) for name in part.names}
        for i, part in enumerate(parts)
    ]
    joint = log_joint(wide, columns, np.log(np.concatenate([weights for weights, _ in draws])), thetas)
    return joint.T.reshape(len(draws), k, -1)


register_native(RowMixture)
