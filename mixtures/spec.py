"""The declaration: what a finite mixture is, without data and without random numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from .arguments import check_kind
from .data import EVERYWHERE, Rows, read_rows
from .domains import Parameter, Simplex
from .errors import DataError, SpecError, UnsupportedError
from .families.base import Array, Family, Layout, Product
from .partition import principal_partition, trimmed_partition
from .priors import Dirichlet, Prior
from .slots import Fixed, Free, Shared, Slot, is_known, parse_slot

__all__ = ["Group", "Mixture", "check_specification", "free_dim", "free_entry_dim"]

WEIGHTS = Parameter("weights", Simplex(), ("component",))
RESOLVED_ON = 200_000
"""Rows, evenly spaced, that default priors are resolved on, if there are at least twice as many."""


@dataclass(frozen=True)
class Group:
    """The components that form one array: blocks of the same family, columns, name and options, one per component.

    `components` are their indices among all K, `columns` the indices of their columns among all columns of the
    specification, and `names` the public name of each parameter.
    """

    blocks: tuple[Family, ...]
    components: tuple[int, ...]
    columns: tuple[int, ...]
    names: Mapping[str, str]
    covers_all: bool

    @property
    def family(self) -> Family:
        """The first component's block: formulas are the same for all of them."""
        return self.blocks[0]

    @cached_property
    def layout(self) -> dict[str, Layout]:
        """How each parameter's values hang together over the components."""
        return self.family.layout(self.blocks)

    @property
    def component_dim(self) -> str:
        """Name of the leading axis of the group's arrays."""
        return "component" if self.covers_all else f"{self.family.block_name}_component"

    def dims(self, parameter: Parameter) -> tuple[str, ...]:
        """Names of all axes of one of the group's arrays."""
        return (self.component_dim, *self.coords(parameter))

    def coords(self, parameter: Parameter) -> dict[str, list[Any]]:
        """Names of the axes behind the components, with the labels along each."""
        found: dict[str, list[Any]] = {}
        for i, axis in enumerate(parameter.axes):
            name = f"{self.family.block_name}_{axis}" + (str(i + 1) if axis in parameter.axes[:i] else "")
            found[name] = list(self.family.columns) if axis == "column" else list(range(parameter.levels))
        return found


def check_specification(value: Any, call: str) -> None:
    """Refuse what is no specification where `call` takes one.

    Raises
    ------
    SpecError
        Saying what was found, and what a specification looks like.
    """
    check_kind(value, Mixture, call, "pass a specification, e.g. mx.Mixture(mx.Gaussian('x'), n_components=2)")


def free_dim(name: str) -> str:
    """Name of the axis over the components for which a parameter is estimated, where that is not all of them."""
    return f"{name}_free_component"


def free_entry_dim(name: str) -> str:
    """Name of the axis over the estimated entries of a parameter that is fixed in part."""
    return f"{name}_entry"


class Mixture:
    """A finite mixture: components, their columns, what is known of each parameter, and the weights.

    Parameters
    ----------
    components
        One block or product of blocks (the template of all components), or a list with one entry per component.
    n_components
        K, when a template is given.
    weights
        None (free, Dirichlet(1)), a `Dirichlet`, "equal", or fixed numbers (K,) that sum to 1.

    Raises
    ------
    SpecError
        If the components do not describe the same columns, names collide, or a slot is not legal.

    Examples
    --------
    >>> from mixtures import Bernoulli, Gaussian, Mixture
    >>> Mixture(Gaussian("height") * Bernoulli("smoker"), n_components=2)
    Mixture(Gaussian('height') * Bernoulli('smoker'), n_components=2)
    >>> Mixture([Gaussian("x"), Gaussian("x")]) == Mixture(Gaussian("x"), n_components=2)
    True

    References
    ----------
    McLachlan & Peel (2000), Finite Mixture Models, Wiley.
    """

    components: tuple[Product, ...]
    weights: Slot

    def __init__(
        self,
        components: Family | Product | Sequence[Family | Product],
        n_components: int | None = None,
        *,
        weights: Any = None,
    ) -> None:
        self.__dict__["components"] = _parse_components(components, n_components)
        self.__dict__["weights"] = _parse_weights(weights, len(self.components))
        self._check()

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"Mixture is frozen; make a new one with another {name}.")

    def _check(self) -> None:
        _check_columns(self.components)
        seen: set[str] = {"weights"}
        for group in self.groups:
            for public in group.names.values():
                if public in seen:
                    family = type(group.family).__name__
                    raise SpecError(
                        f"Two blocks would both call a parameter {public!r}. Name the blocks: {family}(..., "
                        "name='size')."
                    )
                seen.add(public)
            _check_shared(group)
        named = [group.family.block_name for group in self.groups]
        for name in named:
            if named.count(name) > 1:
                raise SpecError(f"Two different blocks are called {name!r}. Give each a name of its own: name='other'.")

    # -- what it is --------------------------------------------------------------------------------

    @property
    def n_components(self) -> int:
        """K."""
        return len(self.components)

    @cached_property
    def template(self) -> Product | None:
        """What all components are copies of; None where they differ."""
        found = [Product(tuple(b.of_any_component(k) for b in p.blocks)) for k, p in enumerate(self.components)]
        copies = _parse_components(found[0], self.n_components)
        return found[0] if copies == self.components else None

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Names of all columns, in the order of the first component's blocks."""
        return tuple(column for block in self.components[0].blocks for column in block.columns)

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """Components of equal family, columns, name and options, gathered into arrays."""
        members: dict[Any, list[tuple[int, Family]]] = {}
        for k, product in enumerate(self.components):
            for block in product.blocks:
                members.setdefault(block.kind(), []).append((k, block))
        counts: dict[str, int] = {}
        for found in members.values():
            for parameter in found[0][1].parameters:
                counts[parameter.name] = counts.get(parameter.name, 0) + 1
        groups = []
        for found in members.values():
            family = found[0][1]
            names = {
                p.name: p.name if counts[p.name] == 1 else f"{family.block_name}_{p.name}" for p in family.parameters
            }
            columns = tuple(self.columns.index(column) for column in family.columns)
            groups.append(
                Group(
                    tuple(b for _, b in found),
                    tuple(k for k, _ in found),
                    columns,
                    names,
                    len(found) == self.n_components,
                )
            )
        return tuple(groups)

    @cached_property
    def exchangeable(self) -> tuple[tuple[int, ...], ...]:
        """Sets of components whose swapping leaves the specification unchanged; only these are ever permuted."""
        alike: dict[Any, list[int]] = {}
        for k, product in enumerate(self.components):
            alike.setdefault((product, self._weight_key(k)), []).append(k)
        return tuple(tuple(found) for found in alike.values())

    def _weight_key(self, k: int) -> Any:
        if isinstance(self.weights, Fixed):
            return self.weights.value[k]
        alpha = self.weights.alpha if isinstance(self.weights, Dirichlet) else 1.0
        return alpha[k] if isinstance(alpha, tuple) else alpha

    @property
    def fixed_weights(self) -> Array | None:
        """The weights (K,) when they are fixed, else None."""
        return self.weights.array if isinstance(self.weights, Fixed) else None

    def ordering(self) -> str:
        """The rule by which components are ordered within exchangeable groups, as a sentence."""
        rules = []
        for members in self.exchangeable:
            found = self.ordering_entry(members[0])
            rule = "by decreasing weight"
            if found is not None:
                group, name, index = found
                parameter = next(q for q in group.family.parameters if q.name == name)
                place = "".join(f", {word}" for word in parameter.place(group.family.columns, index))
                rule = f"by increasing {group.names[name]}{' of' + place[1:] if place else ''}"
            if len(members) > 1 and rule not in rules:
                rules.append(rule)
        return " and ".join(rules) if rules else "as written"

    def ordering_entry(self, component: int) -> tuple[Group, str, tuple[int, ...]] | None:
        """The first free, unshared scalar of the component's blocks: its group, parameter and index."""
        for group in self.groups:
            if component not in group.components:
                continue
            block = group.blocks[group.components.index(component)]
            for parameter in block.parameters:
                shape = parameter.shape(len(group.columns))
                if not parameter.domain.size(shape) or block.is_shared(parameter.name):
                    continue
                free = group.layout[parameter.name].free[group.components.index(component)]
                entry = next((entry for entry in parameter.domain.entries(shape) if free[entry]), None)
                if entry is not None:
                    return group, parameter.name, entry
        return None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mixture) and (self.components, self.weights) == (other.components, other.weights)

    def __hash__(self) -> int:
        return hash((self.components, self.weights))

    def __repr__(self) -> str:
        if self.template is not None:
            parts = [repr(self.template), f"n_components={self.n_components}"]
        else:
            parts = ["[" + ", ".join(map(repr, self.components)) + "]"]
        if isinstance(self.weights, Fixed):
            equal = self.weights == _parse_weights("equal", self.n_components)
            parts.append("weights='equal'" if equal else f"weights={self.weights!r}")
        elif not isinstance(self.weights, Free):
            parts.append(f"weights={self.weights!r}")
        return f"Mixture({', '.join(parts)})"

    def describe(self, format: str = "text") -> str:
        """The model in words ("text") or as a LaTeX fragment ("latex"): likelihood, priors, E-step and M-step.

        Raises
        ------
        SpecError
            For another format.

        Examples
        --------
        >>> from mixtures import Bernoulli, Mixture, Shared
        >>> print(Mixture(Bernoulli("a", "b", probability=Shared()), 2).describe().splitlines()[-1])
          probability_j = (sum_l sum_i r_il x_ij) / (sum_l sum_i r_il)
        """
        from .description import describe

        return describe(self, format)

    def _repr_html_(self) -> str:
        import html

        text = f"{self!r}\n\n{self.describe()}"
        return f"<pre style='line-height:1.25; white-space:pre-wrap'>{html.escape(text)}</pre>"

    # -- against data ------------------------------------------------------------------------------

    def rows(self, data: Any, *, sample_weight: Any = None) -> Rows:
        """The rows of the specification's columns, checked against every family.

        Raises
        ------
        DataError
            Naming column and row, for anything that the families cannot give a density to.
        """
        if isinstance(data, Rows):
            return data
        rows = read_rows(data, self.columns, sample_weight=sample_weight, may_miss=self.may_miss)
        self.check_rows(rows)
        return rows

    @cached_property
    def evidence_columns(self) -> tuple[str, ...]:
        """Columns that tell what is known of rows' components: rows to be scored may lack them."""
        return tuple(column for group in self.groups if group.family.evidence for column in group.family.columns)

    @cached_property
    def may_miss(self) -> Mapping[str, str]:
        """For every column, what it would take to leave cells missing; empty where they may be, EVERYWHERE where all may be."""
        found = dict.fromkeys(self.columns, "")
        for group in self.groups:
            if group.family.evidence:
                found.update(dict.fromkeys(group.family.columns, EVERYWHERE))
            elif not group.family.may_miss:
                why = f"{type(group.family).__name__} cannot leave out cells yet"
                found.update(dict.fromkeys(group.family.columns, why))
        return found

    def check_rows(self, rows: Rows) -> None:
        """Refuse rows outside a family's support, naming column and row."""
        for group in self.groups:
            columns, family = list(group.columns), group.family
            if family.reads_missing:
                family.check(rows.values[:, columns], rows.row_name)
            elif not all((family.allowed(own := x[:, columns]) | np.isnan(own)).all() for _, x in rows.blocks()):
                family.check(rows.filled[:, columns], rows.row_name)

    def resolve(self, data: Any, *, sample_weight: Any = None) -> Mixture:
        """The specification with every default prior in plain numbers, in data units.

        Raises
        ------
        DataError
            If the data are constant, collinear, or have fewer distinct rows than components.
        UnsupportedError
            Naming a slot that this version cannot fit.
        """
        self.check_supported()
        rows = self.rows(data, sample_weight=sample_weight)
        distinct = _count_distinct(rows.values, self.n_components)
        if distinct < self.n_components:
            raise DataError(
                f"The data have {distinct} distinct row(s), fewer than the {self.n_components} components. "
                f"Use n_components={distinct} or fewer."
            )
        if self.is_resolved:
            return self
        whole = any(group.family.resolves_on_all_rows for group in self.groups)
        few = rows if whole else rows.thinned(RESOLVED_ON)
        if few.has_missing and np.isnan(few.values).all(axis=0).any():
            few = rows
        try:
            return self._resolve_on(few)
        except DataError:  # these rows do not tell the columns apart
            if few is rows:
                raise
            return self._resolve_on(rows)

    def _resolve_on(self, rows: Rows) -> Mixture:
        seen = sorted({column for group in self.groups if not group.family.evidence for column in group.columns})
        partition = principal_partition(
            rows.values[:, seen or list(range(len(self.columns)))], rows.weights, self.n_components
        )

        @cache
        def grouped(columns: tuple[str, ...]) -> Array:
            noise = self._count_known(columns)
            if not 0 < noise < self.n_components:
                return partition
            own = [self.columns.index(column) for column in columns]
            return trimmed_partition(rows.values[:, own], rows.weights, self.n_components - noise)

        @cache
        def resolved(block: Family) -> Family:
            columns = [self.columns.index(column) for column in block.columns]
            return block.resolve(rows.values[:, columns], rows.weights, grouped(block.columns))

        components = [Product(tuple(resolved(block) for block in product.blocks)) for product in self.components]
        weights = Dirichlet(1.0) if isinstance(self.weights, Free) else self.weights
        return Mixture(components, weights=weights)

    def _count_known(self, columns: tuple[str, ...]) -> int:
        """Number of components that have nothing to estimate in these columns: they take up noise."""
        return sum(
            all(block.is_known for block in product.blocks if not block.evidence and {*block.columns} & {*columns})
            for product in self.components
        )

    def without_priors(self) -> Mixture:
        """The likelihood alone: the same specification with every prior removed."""
        components = [Product(tuple(block.without_priors() for block in product.blocks)) for product in self.components]
        return Mixture(components, weights=self.weights if isinstance(self.weights, Fixed) else None)

    @property
    def is_resolved(self) -> bool:
        """Whether every free parameter has a prior in numbers."""
        return not self.open_slots

    @property
    def open_slots(self) -> list[str]:
        """Public names of what is neither known nor has a prior in numbers."""
        found = ["weights"] if isinstance(self.weights, Free) else []
        for group in self.groups:
            for block in group.blocks:
                known = {name for _, prior, names in block.prior_terms() if prior.is_resolved for name in names}
                known |= {name for name, slot in block.slots.items() if is_known(slot)}
                found += [public for name, public in group.names.items() if name not in known and public not in found]
        return found

    def check_supported(self) -> None:
        """Refuse, by name, what can be written down but not yet be fitted."""
        for group in self.groups:
            for block, component in zip(group.blocks, group.components, strict=True):
                for name, slot in block.slots.items():
                    problem = block.unsupported(name, slot)
                    if problem:
                        raise UnsupportedError(f"Component {component}, {block!r}: {problem}")

    def check_sampled(self) -> None:
        """Refuse, by name, what EM can fit but PyMC not yet sample.

        Raises
        ------
        UnsupportedError
            Naming the component and the block.
        """
        for group in self.groups:
            why = group.family.cannot_be_sampled()
            if why is not None:
                raise UnsupportedError(f"Component {group.components[0]}, {group.family!r}: {why}.")

    # -- text form ---------------------------------------------------------------------------------

    def to_toml(self) -> str:
        """The specification as TOML text (schema 1)."""
        from .specfile import to_toml

        return to_toml(self)

    def to_json(self) -> str:
        """The specification as JSON text (schema 1)."""
        from .specfile import to_json

        return to_json(self)

    @classmethod
    def from_toml(cls, text: str) -> Mixture:
        """The specification that a TOML text describes.

        Raises
        ------
        SpecError
            For unknown keys, families or values, with the path to it and the nearest legal name.
        """
        from .specfile import from_toml

        return from_toml(text)

    @classmethod
    def from_json(cls, text: str) -> Mixture:
        """The specification that a JSON text describes; errors as in `from_toml`."""
        from .specfile import from_json

        return from_json(text)

    @classmethod
    def from_file(cls, path: str | Path) -> Mixture:
        """The specification in a .toml or .json file."""
        from .specfile import from_file

        return from_file(path)


def _parse_components(components: Any, n_components: int | None) -> tuple[Product, ...]:
    if isinstance(components, Family | Product):
        if not isinstance(n_components, int | np.integer) or isinstance(n_components, bool) or n_components < 1:
            raise SpecError(f"Mixture: a template needs n_components, an integer >= 1; found {n_components!r}.")
        components = [components] * int(n_components)
    elif not isinstance(components, list | tuple) or not components:
        raise SpecError(
            "Mixture: takes a block, a product of blocks, or a list with one of them per component; found "
            f"{components!r}."
        )
    elif n_components is not None and n_components != len(components):
        raise SpecError(
            f"Mixture: n_components={n_components} but the list has {len(components)} components. Leave n_components "
            "out."
        )
    for k, component in enumerate(components):
        if not isinstance(component, Family | Product):
            raise SpecError(
                f"Mixture: component {k} is {component!r}; a block such as Gaussian('x') or a product of blocks is "
                "needed."
            )
    products = (item if isinstance(item, Product) else Product((item,)) for item in components)
    return tuple(Product(tuple(b.of_component(k) for b in product.blocks)) for k, product in enumerate(products))


def _parse_weights(weights: Any, n_components: int) -> Slot:
    if isinstance(weights, str):
        if weights != "equal":
            raise SpecError(f"Mixture: weights={weights!r}; legal are None, Dirichlet(...), 'equal' or fixed numbers.")
        return Fixed((1.0 / n_components,) * n_components)
    slot = parse_slot(weights, "Mixture(weights=...)")
    if isinstance(slot, Prior):
        if not isinstance(slot, Dirichlet):
            raise SpecError(f"Mixture: {slot!r} is no prior for weights; use Dirichlet(...).")
        slot.numbers((n_components,), "Mixture(weights=...)")
    elif isinstance(slot, Fixed):
        if not slot.is_whole:
            raise UnsupportedError(
                "Mixture: weights that are fixed in part are not supported yet; fix all of them or none."
            )
        value = slot.array
        if value.shape != (n_components,):
            raise SpecError(f"Mixture: weights have shape {value.shape}; {n_components} numbers are needed.")
        problem = WEIGHTS.domain.problem(value)
        if problem:
            raise SpecError(f"Mixture: weights {problem}; found {slot!r}.")
    elif not isinstance(slot, Free):
        raise SpecError(
            f"Mixture: weights cannot be {slot!r}; legal are None, Dirichlet(...), 'equal' or fixed numbers."
        )
    return slot


def _check_shared(group: Group) -> None:
    """What components share is one value: their slots, and a joint prior on it, must say the same."""
    for name in group.names:
        first: dict[str | None, tuple[int, Family]] = {}
        for component, block in zip(group.components, group.blocks, strict=True):
            slot = block.slots[name]
            if not isinstance(slot, Shared):
                continue
            k, other = first.setdefault(slot.group, (component, block))
            if slot != other.slots[name] or block.prior != other.prior:
                raise SpecError(
                    f"Components {k} and {component} share {name}, but say different things of it: {other!r} and {block!r}. "
                    "Write the same slot and the same prior, or give them different groups: Shared(group='a')."
                )


def _check_columns(products: tuple[Product, ...]) -> None:
    first: set[str] = set()
    for k, product in enumerate(products):
        columns = [column for block in product.blocks for column in block.columns]
        repeated = sorted({column for column in columns if columns.count(column) > 1})
        if repeated:
            raise SpecError(
                f"Component {k}: column {repeated[0]!r} is in two blocks. A column belongs to one block of a component."
            )
        if k == 0:
            first = set(columns)
        elif set(columns) != first:
            differing = sorted(set(columns) ^ first)
            raise SpecError(
                f"Component {k} describes other columns than component 0 ({', '.join(map(repr, differing))}). All "
                "components need the same columns."
            )
    for column in first:
        kinds: dict[bool, list[tuple[int, str]]] = {}
        for k, product in enumerate(products):
            for block in product.blocks:
                if column in block.columns:
                    kinds.setdefault(block.discrete, []).append((k, type(block).__name__))
        if len(kinds) > 1:
            (k, measured), (j, counted) = kinds[False][0], kinds[True][0]
            raise SpecError(
                f"Column {column!r} is measured in component {k} ({measured}) and counted in component {j} ({counted}): densities and "
                "probabilities cannot be compared. Use families of one kind for a column."
            )


def _count_distinct(values: Array, enough: int) -> int:
    """Number of distinct rows, or any number that is enough."""
    for count in (1000, len(values)):
        found = len(np.unique(values[:count], axis=0))
        if found >= enough:
            break
    return found
