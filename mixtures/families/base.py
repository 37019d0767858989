"""What a family is: one block of columns, its parameters, and seven formulas; one subclass in one file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..domains import Covariance, Parameter, check_fixed
from ..errors import DataError, FitError, SpecError, nearest
from ..priors import Numbers, Prior, default_prior
from ..slots import Fixed, Free, Shared, Slot, inner_slot, is_known, parse_slot

if TYPE_CHECKING:
    from ..kernels.bound import Kernel, RowSource

__all__ = [
    "Array",
    "DegenerateComponentError",
    "Family",
    "Layout",
    "Layouts",
    "PriorNumbers",
    "Product",
    "Statistics",
    "Theta",
]

Array = NDArray[np.float64]
Theta = dict[str, Array]
"""Parameters of one block: arrays with leading axis J, its components."""

JOINT = "joint"
"""Key of a joint prior's numbers beside those keyed by a parameter's name."""


class DegenerateComponentError(FitError, ArithmeticError):
    """A component has no density any more (a covariance without inverse): the engine ends the start."""

    def __init__(self, component: int) -> None:
        super().__init__(
            f"Component {component} has no density any more: it has closed in on one point, or on rows tied in one "
            "column. Use estimate='map', whose prior keeps covariances away from zero, or other parameters."
        )
        self.component = component


@dataclass(frozen=True, eq=False)
class Layout:
    """How the values of one parameter hang together over the J components of a block.

    free (J, *shape) marks entries to be estimated, fixed (J, *shape) holds the others, components with equal groups
    (J,) share one value, and owners (J,) marks one component per group of estimated values. Components of one set (J,) may
    be coupled in other ways, by the structure of their values.
    """

    free: NDArray[np.bool_]
    fixed: Array
    groups: NDArray[np.intp]
    owners: NDArray[np.bool_]
    sets: NDArray[np.intp]

    @cached_property
    def all_free(self) -> bool:
        """Whether nothing is fixed."""
        return bool(self.free.all())

    @cached_property
    def all_own(self) -> bool:
        """Whether nothing is shared."""
        return bool((self.groups == np.arange(len(self.groups))).all())

    @cached_property
    def is_partial(self) -> bool:
        """Whether a value is estimated of which some entries are fixed."""
        return not bool(self.free[self.owners].all())

    @cached_property
    def estimated(self) -> NDArray[np.bool_]:
        """The entries (J, *shape) that owners own."""
        found = self.free & self.owners.reshape(-1, *(1,) * (self.free.ndim - 1))
        found.setflags(write=False)  # one array for everybody who asks
        return found

    @property
    def counted(self) -> NDArray[np.bool_]:
        """What a prior is a density of: owners (J,), or entries (J, *shape) where a value is fixed in part."""
        return self.estimated if self.is_partial else self.owners

    @property
    def n_sets(self) -> int:
        """Number of sets, all of the same number of components, one after the other."""
        return int(self.sets[-1]) + 1

    def pooled(self, value: Array) -> Array:
        """The value (J, ...) summed over the components that share one estimate, the same for each of them; itself where none do."""
        if self.all_own:
            return value
        total = np.zeros_like(value)
        np.add.at(total, self.groups, value)
        return total[self.groups]

    def filled(self, best: Array) -> Array:
        """Estimates (J, *shape) with fixed entries put in their place; the array given where there are none."""
        return best if self.all_free else np.where(self.free, best, self.fixed)


Statistics = Mapping[str, Array]
"""Sums over rows, arrays with leading axis J."""
Layouts = Mapping[str, Layout]
"""How each parameter hangs together, by name."""
PriorNumbers = Mapping[str, Numbers] | None
"""Numbers of the priors by parameter, or "joint"; None for maximum likelihood."""


class Family:
    """A distribution for one block of columns; the object that a user writes, e.g. `Gaussian("x", "y")`.

    Parameters
    ----------
    *columns
        Names of the block's columns.
    name
        Name of the block; the family's own in lower case if None.
    prior
        A joint prior over several parameters, for families that have one.
    **slots
        One per parameter: None (free), a number or array (fixed), a prior, or `Shared()`.

    Raises
    ------
    SpecError
        For columns or slots that are not legal.

    Notes
    -----
    A subclass declares `parameters`, `allowed`, and writes `log_density`, `statistics`, `score`, `maximise`, `draw` and
    `pymc_log_density`. In all of them x is (n, d), theta a dict of arrays with leading axis J, and R (n, J)
    non-negative responsibilities that carry the row weights.
    """

    parameters: tuple[Parameter, ...] = ()
    options: ClassVar[dict[str, Any]] = {}
    """Further constructor arguments with their defaults (Gaussian: structure)."""
    option_choices: ClassVar[dict[str, tuple[Any, ...]]] = {}
    """Values of options that make different models: the laws are tested for each of them."""
    option_words: ClassVar[dict[str, tuple[Any, ...]]] = {}
    """All values of those options that take no others."""
    joint_priors: ClassVar[tuple[type[Prior], ...]] = ()
    """Priors over several parameters at once, which go in `prior=`."""
    discrete: ClassVar[bool] = False
    """Whether values are counted, not measured: components of one column are all of one kind."""
    separable: ClassVar[bool] = False
    """Columns are independent given the component."""
    any_units: ClassVar[bool] = False
    """Whether columns may be rescaled as other families that share them need it."""
    ratio: ClassVar[tuple[str, str] | None] = None
    """Of families whose one parameter is estimated by the ratio of two statistics, these: the M-step is then written already."""
    resolves_on_all_rows: ClassVar[bool] = False
    """Whether open numbers depend on every row, as extremes do, and not on a large sample of them."""
    skips_missing: ClassVar[bool] = False
    """Whether the NumPy formulas leave out missing cells (NaN) by themselves; other separable families are called piece by piece."""
    completes_missing: ClassVar[bool] = False
    """Whether `completed` gives expected statistics of whole rows from those of observed cells, and `pymc_log_density_observed` their density."""
    reads_missing: ClassVar[bool] = False
    """Whether missing cells (NaN) mean something to the formulas themselves."""
    evidence: ClassVar[bool] = False
    """Whether the block tells what is known of the rows' components, and no values: it has no part in partitions and pictures."""
    allowed_values: ClassVar[str] = "real numbers"
    identified_by: ClassVar[str] = ""
    """Who proves `identified_components`, and the rule in words."""

    columns: tuple[str, ...]
    name: str | None
    prior: Prior | None
    slots: dict[str, Slot]

    def __init__(self, *columns: str, name: str | None = None, prior: Prior | None = None, **slots: Any) -> None:
        family = type(self).__name__
        if len(columns) == 1 and isinstance(columns[0], list | tuple):
            columns = tuple(columns[0])
        if not columns or not all(isinstance(column, str) and column for column in columns):
            raise SpecError(
                f"{family}: name at least one column, each a string, e.g. {family}('x'); found {columns!r}."
            )
        repeated = sorted({column for column in columns if columns.count(column) > 1})
        if repeated:
            raise SpecError(f"{family}: column {repeated[0]!r} is named twice. A block needs each column once.")
        if name is not None and not (isinstance(name, str) and name.isidentifier()):
            raise SpecError(
                f"{family}: name={name!r} must be an identifier such as 'size', because parameters are called after it."
            )
        set_ = self.__dict__.__setitem__
        set_("columns", tuple(columns))
        set_("name", name)
        for option, default in self.options.items():
            set_(option, slots.pop(option, default))
        names = [parameter.name for parameter in self.parameters]
        for key in slots:
            if key not in names:
                legal = [*names, *self.options, "prior", "name"]
                raise SpecError(
                    f"{family}: unknown argument {key!r}.{nearest(key, legal)} Legal are {', '.join(legal)}."
                )
        set_("slots", {key: parse_slot(slots.get(key), f"{family}({key}=...)") for key in names})
        set_("prior", prior)
        self._check_slots()

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen; make a new one with .replace({name}=...)")

    # -- the declaration ---------------------------------------------------------------------------

    def _check_slots(self) -> None:
        family = type(self).__name__
        if self.prior is not None and not isinstance(self.prior, self.joint_priors):
            legal = " or ".join(f"{prior.__name__}()" for prior in self.joint_priors)
            what = (
                f"takes {legal}"
                if legal
                else f"has no joint prior; give its parameters their own, {self.parameters[0].name}=..."
            )
            raise SpecError(f"{family}(prior=...): {what}; found {self.prior!r}.")
        for parameter in self.parameters:
            slot, where = inner_slot(self.slots[parameter.name]), f"{family}({', '.join(map(repr, self.columns))})"
            if isinstance(slot, Prior):
                if slot.domain is None:
                    raise SpecError(f"{where}: {slot!r} is a joint prior; write it as prior={slot!r}.")
                if not isinstance(parameter.domain, slot.domain):
                    raise SpecError(
                        f"{where}: {slot!r} is no prior for {parameter.name}, which is in "
                        f"{type(parameter.domain).__name__}."
                    )
            prior = slot.prior if isinstance(slot, Fixed) else None
            if prior is not None and not (prior.domain and isinstance(parameter.domain, prior.domain)):
                raise SpecError(f"{where}: {prior!r} is no prior for entries of {parameter.name}.")
            if isinstance(slot, Fixed):
                value = self._fixed_array(parameter, slot, where)
                check_fixed(parameter, value, where)
                short = _shortest(value, isinstance(parameter.domain, Covariance))
                self.slots[parameter.name] = _with_inner(self.slots[parameter.name], replace(short, prior=prior))
        shapes = {parameter.name: parameter.shape(len(self.columns)) for parameter in self.parameters}
        for _, prior, names in self.prior_terms():
            prior.fit_shape(shapes[names[0]], f"{family}({', '.join(map(repr, self.columns))})")

    def _fixed_array(self, parameter: Parameter, slot: Fixed, where: str) -> Array:
        shape = parameter.shape(len(self.columns))
        try:
            value = slot.array
        except ValueError:
            raise SpecError(f"{where}: {parameter.name}={slot!r} is ragged; shape {shape} is needed.") from None
        if value.ndim == 0 and isinstance(parameter.domain, Covariance):
            return np.where(np.eye(shape[0]) > 0, value, 0.0)
        if value.ndim == 0:
            return np.full(shape, float(value))
        if value.shape != shape:
            raise SpecError(
                f"{where}: {parameter.name} has shape {value.shape}; one component needs {shape}. Different values "
                "per component need a list."
            )
        return value

    @property
    def block_name(self) -> str:
        """The block's name: `name=`, or the family's in lower case."""
        return self.name if self.name is not None else type(self).__name__.lower()

    @property
    def is_known(self) -> bool:
        """Whether there is nothing to estimate, whatever the slots say."""
        d = len(self.columns)
        return not any(parameter.domain.size(parameter.shape(d)) for parameter in self.parameters)

    def option_values(self) -> dict[str, Any]:
        """Values of the family's further constructor arguments."""
        return {option: getattr(self, option) for option in self.options}

    def replace(self, **changes: Any) -> Family:
        """A copy with other slots, options, prior or name."""
        now = {"name": self.name, "prior": self.prior, **self.option_values(), **self.slots}
        return type(self)(*self.columns, **{**now, **changes})

    def of_component(self, component: int) -> Family:
        """The block as the template's copy for that component."""
        return self

    def of_any_component(self, component: int) -> Family:
        """The template whose copy for that component the block is."""
        return self

    def kind(self) -> tuple[Any, ...]:
        """What components must have in common to form one array: family, columns, name and options."""
        return (type(self).__name__, self.columns, self.name, tuple(sorted(self.option_values().items())))

    def _key(self) -> tuple[Any, ...]:
        return (type(self), *self.kind()[1:], tuple(self.slots.items()), self.prior)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Family) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __mul__(self, other: Family | Product) -> Product:
        return Product((self,)) * other

    def __repr__(self) -> str:
        parts = [repr(column) for column in self.columns]
        parts += [f"{key}={slot!r}" for key, slot in self.slots.items() if slot != Free()]
        parts += [f"{key}={value!r}" for key, value in self.option_values().items() if value != self.options[key]]
        parts += [
            f"{key}={value!r}" for key, value in (("prior", self.prior), ("name", self.name)) if value is not None
        ]
        return f"{type(self).__name__}({', '.join(parts)})"

    def is_shared(self, parameter: str) -> bool:
        """Whether that parameter's slot is `Shared`."""
        return isinstance(self.slots[parameter], Shared)

    # -- data --------------------------------------------------------------------------------------

    def allowed(self, x: Array) -> NDArray[np.bool_]:
        """Which cells of x (n, d) the family can give a density to; `allowed_values` says it in words."""
        return np.isfinite(x)

    def check(self, x: Array, row_name: Callable[[int], str] = "row {}".format) -> None:
        """Refuse data outside the family's support, naming column, row, value and what is allowed."""
        bad = ~self.allowed(x)
        if bad.any():
            i, j = (int(index) for index in np.argwhere(bad)[0])
            raise DataError(
                f"Column {self.columns[j]!r}, {row_name(i)}: found {x[i, j]:g}, but {type(self).__name__} takes "
                f"{self.allowed_values} "
                f"({int(bad.sum())} such cell(s)). Recode the column or use another family for it."
            )

    def standardise(self, x: Array, v: Array) -> tuple[Array, Array]:
        """Centre and scale (d,) of the columns x (n, d) with weights v; (0, 1) where the values mean what they are.

        Programs work on (x - centre) / scale with the scale rounded to a power of two, so that nothing is lost.
        """
        return np.zeros(x.shape[1]), np.ones(x.shape[1])

    def resolve(self, x: Array, v: Array, partition: Array) -> Family:
        """The block with every default prior in numbers; partition (n, K) is a deterministic grouping of the rows.

        Rows that look like noise, where other components take that up, are in no group.
        """
        changes: dict[str, Any] = {}
        for parameter in self.parameters:
            slot = self.slots[parameter.name]
            inner = inner_slot(slot)
            if is_known(slot):
                continue
            given = inner.prior if isinstance(inner, Fixed) else inner
            prior = given if isinstance(given, Prior) else self.default_prior(parameter)
            if prior is None:
                raise SpecError(f"{self!r}: {parameter.name} has no default prior; give it one.")
            rows, weights = self.prior_rows(parameter, x, v, partition)
            own = prior.resolve(rows, weights)
            changes[parameter.name] = _with_inner(slot, Fixed(inner.value, own) if isinstance(inner, Fixed) else own)
        return self.replace(**changes) if changes else self

    def without_priors(self) -> Family:
        """The block with every prior removed."""
        changes: dict[str, Any] = {"prior": None}
        for name, slot in self.slots.items():
            inner = inner_slot(slot)
            if isinstance(inner, Prior):
                changes[name] = Shared(None, slot.group) if isinstance(slot, Shared) else None
            elif isinstance(inner, Fixed) and inner.prior is not None:
                changes[name] = _with_inner(slot, Fixed(inner.value))
        return self.replace(**changes)

    def default_prior(self, parameter: Parameter) -> Prior | None:
        """The prior of a free parameter for which the user names none."""
        return default_prior(parameter.domain)

    def prior_rows(self, parameter: Parameter, x: Array, v: Array, partition: Array) -> tuple[Array, Array]:
        """Values (m, d) and their weights (m,) that an open number of the parameter's prior is taken from: the rows."""
        return x, v

    def prior_terms(self) -> list[tuple[str, Prior, tuple[str, ...]]]:
        """The block's priors: key of its numbers, the prior, the parameters it is a density of."""
        joint = [] if self.prior is None else [(JOINT, self.prior, self.joint_parameters)]
        inner = ((name, inner_slot(slot)) for name, slot in self.slots.items())
        found = ((name, slot.prior if isinstance(slot, Fixed) else slot) for name, slot in inner)
        return joint + [(name, prior, (name,)) for name, prior in found if isinstance(prior, Prior)]

    @property
    def joint_parameters(self) -> tuple[str, ...]:
        """The parameters that a joint prior is a density of."""
        return tuple(parameter.name for parameter in self.parameters)

    def unsupported(self, parameter: str, slot: Slot) -> str | None:
        """Why the programs cannot honour that slot yet, or None."""
        inner = inner_slot(slot)
        domain = next(q.domain for q in self.parameters if q.name == parameter)
        if isinstance(inner, Fixed) and not inner.is_whole and not domain.separate:
            return f"{parameter}={slot!r}: entries that hang together cannot be fixed in part yet. Fix all of it, or leave it free."
        return None

    def cannot_be_sampled(self) -> str | None:
        """Why the PyMC program has no form of the block yet, or None."""
        return None

    def layout(self, blocks: tuple[Family, ...]) -> dict[str, Layout]:
        """How each parameter hangs together over `blocks`, one per component, all of this block's kind."""
        layouts = {}
        for parameter in self.parameters:
            shape = parameter.shape(len(self.columns))
            free = np.ones((len(blocks), *shape), dtype=bool)
            fixed = np.zeros((len(blocks), *shape))
            keys: list[Any] = []
            for j, block in enumerate(blocks):
                slot = block.slots[parameter.name]
                inner = inner_slot(slot)
                if isinstance(inner, Fixed):
                    value = block._fixed_array(parameter, inner, type(block).__name__)
                    free[j], fixed[j] = np.isnan(value), np.nan_to_num(value)
                keys.append(("shared", slot.group) if isinstance(slot, Shared) else j)
            groups = np.array([keys.index(key) for key in keys], dtype=np.intp)
            some_free = free.reshape(len(blocks), -1).any(axis=1)
            owners = (groups == np.arange(len(blocks))) & some_free
            layouts[parameter.name] = Layout(free, fixed, groups, owners, np.zeros(len(blocks), dtype=np.intp))
        return layouts

    # -- the formulas ------------------------------------------------------------------------------

    def log_density(self, x: Array, theta: Theta) -> Array:
        """Log density (n, J) of each row under each component."""
        raise NotImplementedError

    def statistics(self, x: Array, R: Array, theta: Theta) -> dict[str, Array]:
        """Sufficient statistics with leading axis J, additive over rows at the same theta; "mass" (J,) among them."""
        raise NotImplementedError

    def score(self, S: Mapping[str, Array], theta: Theta) -> Theta:
        """Derivative of sum R log f with respect to theta, from the statistics at that theta alone."""
        raise NotImplementedError

    def maximise(
        self, S: Mapping[str, Array], theta: Theta, layout: Mapping[str, Layout], prior: Mapping[str, Numbers] | None
    ) -> Theta:
        """The M-step: theta that maximises sum R log f (plus the log prior, if given), all J components at once.

        Where `ratio` names two statistics it is their ratio, which a Gamma prior adds shape - 1 and rate to.
        """
        if self.ratio is None:
            raise NotImplementedError
        (parameter,) = self.parameters
        now, where = theta[parameter.name], layout[parameter.name]
        sums = (where.pooled(S[name]) for name in self.ratio)
        above, below = (
            one.reshape(-1, *(1,) * (now.ndim - one.ndim), *one.shape[1:]) + np.zeros_like(now) for one in sums
        )
        if prior is not None and parameter.name in prior:
            above, below = above + prior[parameter.name]["shape"] - 1.0, below + prior[parameter.name]["rate"]
        return {parameter.name: where.filled(np.divide(above, below, out=now.copy(), where=below > 0))}

    def draw(self, z: NDArray[np.intp], theta: Theta, rng: np.random.Generator) -> Array:
        """Rows (n, d), row i drawn from component z[i]."""
        raise NotImplementedError

    def pymc_log_density(self, x: Any, theta: Mapping[str, Any]) -> Any:
        """The same density (n, J) as a PyTensor expression made of PyMC's own distributions. Import PyMC inside."""
        raise NotImplementedError

    # -- optional ----------------------------------------------------------------------------------

    def e_step(self, x: Array, theta: Theta) -> tuple[Array, Any]:
        """The log density, and work that `statistics_after` can use: a family may save itself from doing it twice in a pass."""
        return self.log_density(x, theta), None

    def statistics_after(self, work: Any, x: Array, R: Array, theta: Theta) -> dict[str, Array]:
        """The statistics, after `e_step` on the same rows at the same theta."""
        return self.statistics(x, R, theta)

    def expected_statistics(self, x: Array, R: Array, theta: Theta, given: Theta) -> dict[str, Array]:
        """The statistics at theta of what the M-step after an E-step at `given` maximises.

        They are those of the rows themselves, unless rows have more that is not observed than their component: then its expectation
        is taken at `given`.
        """
        return self.statistics(x, R, theta)

    def kernel(self, rows: RowSource, count: int) -> Kernel | None:
        """Compiled densities and statistics of `count` components on these rows, for large passes; None if there are none."""
        return None

    def degeneracy(self, theta: Theta, weights: Array) -> Array:
        """Per component (J,) a number that goes to 0 as its density becomes singular; infinity where it cannot."""
        return np.full(len(weights), np.inf)

    def identified_components(self) -> NDArray[np.intp] | None:
        """Up to how many components, their weights and their parameters each column (d,) identifies by itself; None where that is not proven."""
        return None

    def identifiability_cells(self) -> Array | None:
        """For families on finitely many values: the number of values of each column (d,); None for others."""
        return None

    def marginal(self, theta: Theta, columns: Sequence[int]) -> Theta | None:
        """Parameters of the same family for those columns alone (their positions); None where it has no such form."""
        if not self.separable and len(columns) < len(self.columns):
            return None
        return {
            parameter.name: theta[parameter.name][
                np.ix_(
                    range(len(theta[parameter.name])),
                    *[columns if axis == "column" else range(parameter.levels) for axis in parameter.axes],
                )
            ]
            for parameter in self.parameters
        }

    def marginal_block(self, columns: Sequence[int]) -> Family:
        """The family of those columns alone, whose formulas take what `marginal` gives."""
        return type(self)(*(self.columns[j] for j in columns), name=self.name, **self.option_values())

    def completed(self, S: Mapping[str, Array], theta: Theta, columns: Sequence[int]) -> dict[str, Array]:
        """Expected statistics of whole rows, given the statistics S of the observed `columns` at the marginal theta ("mass" alone for none)."""
        raise NotImplementedError

    def pymc_log_density_observed(
        self, x: Any, patterns: NDArray[np.bool_], pattern: Any, theta: Mapping[str, Any]
    ) -> Any:
        """As `pymc_log_density`, of the observed cells alone: row i has the columns patterns[pattern[i]] of `patterns` (P, d)."""
        raise NotImplementedError

    @property
    def may_miss(self) -> bool:
        """Whether cells may be missing."""
        return self.separable or self.reads_missing or self.completes_missing

    def derived(self, theta: Theta) -> list[tuple[Parameter, Array]]:
        """Functions of the parameters that a summary shows under them: what each is, and its values (J, ...)."""
        return []

    def moments(self, theta: Theta) -> tuple[Array, Array] | None:
        """Means (J, d) and covariances (J, d, d) of the columns, which pictures show; None if not known."""
        return None

    def contours(self, theta: Theta, content: float) -> tuple[Array, Array] | None:
        """Centres (J, d) and matrices (J, d, d) of the ellipses (x - centre)' matrix^-1 (x - centre) = 1 that hold such a share of two columns.

        A normal's, of the moments, unless a family says otherwise; None where it has no moments.
        """
        moments = self.moments(theta)
        return moments and (moments[0], -2.0 * np.log(1.0 - content) * moments[1])


def _with_inner(slot: Slot, inner: Fixed | Prior) -> Slot:
    """The slot, shared or not, with another content."""
    return Shared(inner, slot.group) if isinstance(slot, Shared) else inner


def _shortest(value: Array, matrix: bool) -> Fixed:
    """The stored form of a value, NaN where free: one number for equal entries or a multiple of the identity."""
    first = value.flat[0]
    plain = first * np.eye(len(value)) if matrix else np.full(value.shape, first)
    if np.array_equal(value, plain):
        return Fixed(float(first))
    return Fixed(_with_free(value.tolist()))


def _with_free(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_with_free(item) for item in value)
    return Free() if np.isnan(value) else value


class Product:
    """Blocks of one component that are independent given the component, written `a * b`."""

    def __init__(self, blocks: tuple[Family, ...]) -> None:
        self.__dict__["blocks"] = tuple(blocks)

    blocks: tuple[Family, ...]

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("Product is frozen")

    def __mul__(self, other: Family | Product) -> Product:
        if not isinstance(other, Family | Product):
            return NotImplemented
        return Product(self.blocks + (other.blocks if isinstance(other, Product) else (other,)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Product) and self.blocks == other.blocks

    def __hash__(self) -> int:
        return hash(self.blocks)

    def __repr__(self) -> str:
        return " * ".join(repr(block) for block in self.blocks)
