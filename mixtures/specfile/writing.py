"""A specification as nested tables, and these as TOML or JSON text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from ..errors import SpecError
from ..families.base import Family, Product
from ..families.registry import family_name
from ..slots import Fixed, Free, Shared, Slot
from ..spec import Mixture
from .words import FREE, PRIORS, SCHEMA

__all__ = ["to_dict", "to_json", "to_toml", "toml_key"]

WIDTH = 100
"""Arrays and inline tables longer than this are written over several lines."""


def to_dict(spec: Mixture) -> dict[str, Any]:
    """The specification as nested tables, lists, strings and numbers: what TOML and JSON have in common.

    Raises
    ------
    SpecError
        If a family or prior is not one that can be found again by its name.

    Examples
    --------
    >>> from mixtures import Gaussian, Mixture
    >>> to_dict(Mixture(Gaussian("x"), n_components=2))
    {'schema': 1, 'n_components': 2, 'component': {'blocks': [{'family': 'Gaussian', 'columns': ['x']}]}}
    """
    found: dict[str, Any] = {"schema": SCHEMA}
    alike = spec.template
    if alike is not None:
        found["n_components"] = spec.n_components
    if spec.weights == Mixture(spec.components, weights="equal").weights:
        found["weights"] = "equal"
    elif not isinstance(spec.weights, Free):
        found["weights"] = _slot(spec.weights)
    if alike is not None:
        return {**found, "component": _component(alike)}
    return {**found, "components": [_component(product) for product in spec.components]}


def to_toml(spec: Mixture) -> str:
    """The specification as TOML text.

    Examples
    --------
    >>> from mixtures import Gaussian, Mixture, NormalInverseWishart, Shared
    >>> block = Gaussian("x", "y", covariance=Shared(), prior=NormalInverseWishart(kappa=0.01))
    >>> text = to_toml(Mixture(block, n_components=2, weights="equal"))
    >>> for line in text.splitlines():  # doctest: -NORMALIZE_WHITESPACE
    ...     line
    'schema = 1'
    'n_components = 2'
    'weights = "equal"'
    ''
    '[[component.blocks]]'
    'family = "Gaussian"'
    'columns = ["x", "y"]'
    'covariance = {shared = true}'
    'prior = {prior = "NormalInverseWishart", kappa = 0.01}'
    """
    return "\n".join(_toml_table(to_dict(spec), ())) + "\n"


def to_json(spec: Mixture) -> str:
    """The specification as JSON text, the same tables as `to_toml`."""
    return json.dumps(to_dict(spec), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _component(product: Product) -> dict[str, Any]:
    return {"blocks": [_block(block) for block in product.blocks]}


def _block(block: Family) -> dict[str, Any]:
    found: dict[str, Any] = {"family": family_name(type(block)), "columns": list(block.columns)}
    if block.name is not None:
        found["name"] = block.name
    options = block.option_values()
    found |= {key: _plain(value) for key, value in options.items() if value != block.options[key]}
    found |= {key: _slot(slot) for key, slot in block.slots.items() if slot != Free()}
    return found if block.prior is None else {**found, "prior": _slot(block.prior)}


def _slot(slot: Slot) -> Any:
    if isinstance(slot, Free):
        return FREE
    if isinstance(slot, Fixed):
        value = _plain(slot.value)
        return value if slot.prior is None else {"fixed": value, "prior": _slot(slot.prior)}
    if isinstance(slot, Shared):
        group = {} if slot.group is None else {"group": slot.group}
        inner = {} if slot.inner is None else {"inner": _slot(slot.inner)}
        return {"shared": True, **group, **inner}
    name = type(slot).__name__
    if PRIORS.get(name) is not type(slot):
        raise SpecError(f"{slot!r} has no text form; the priors that have one are {', '.join(PRIORS)}.")
    given = {field.name: getattr(slot, field.name) for field in fields(slot)}
    return {"prior": name, **{key: _plain(value) for key, value in given.items() if value is not None}}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, Free):
        return FREE
    return value.item() if isinstance(value, np.generic) else value


def _toml_table(table: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    """Lines of a table: its own keys, then its subtables under their headers."""
    own: list[str] = []
    below: list[str] = []
    for key, value in table.items():
        inner = (*path, key)
        header = ".".join(toml_key(part) for part in inner)
        line = f"{toml_key(key)} = {_toml_value(value)}"
        if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            for item in value:
                below += ["", f"[[{header}]]", *_toml_table(item, inner)]
        elif isinstance(value, dict) and "blocks" in value:
            below += _toml_table(value, inner)
        elif isinstance(value, dict) and len(line) > WIDTH:
            below += ["", f"[{header}]", *_toml_table(value, inner)]
        elif isinstance(value, list) and len(line) > WIDTH:
            own += [f"{toml_key(key)} = [", *(f"  {_toml_value(item)}," for item in value), "]"]
        else:
            own.append(line)
    return own + below


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml_key(key)} = {_toml_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml_value, value)) + "]"
    return repr(value)


def toml_key(key: str) -> str:
    """The key as TOML writes it: quoted where it must be."""
    return key if re.fullmatch("[A-Za-z0-9_-]+", key) else _toml_value(key)
