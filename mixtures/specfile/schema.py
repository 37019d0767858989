"""A JSON Schema of the text form, made from the families, priors and slots that can be written."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from ..domains import Parameter, Simplex
from ..errors import SpecError
from ..families.base import Family
from ..families.registry import family_class, family_names
from ..priors import Prior
from .words import FREE, PRIORS, SCHEMA

__all__ = ["json_schema"]

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a specification's text form: the tables of `to_json` and of `to_toml`.

    Editors complete and check specifications by it. It says which keys, families, priors and kinds of values are legal;
    what depends on several values (the length of an array, weights that sum to 1, a covariance that is positive
    definite) is left to the reader. Families that other packages announce are part of it; one whose entry point
    cannot be loaded is left out.

    Returns
    -------
    dict
        The schema, ready for `json.dumps`.

    Examples
    --------
    >>> schema = json_schema()
    >>> schema["$defs"]["family-Poisson"]["required"]
    ['family', 'columns']
    >>> [ref["$ref"] for ref in schema["$defs"]["family-Gaussian"]["properties"]["prior"]["anyOf"]]
    ['#/$defs/prior-NormalInverseWishart', '#/$defs/prior-FraleyRaftery']

    References
    ----------
    Wright, Andrews, Hutton & Dennis (2022), JSON Schema: a media type for describing JSON documents, draft 2020-12.
    """
    families = _families()
    count = {"type": "integer", "minimum": 1}
    return {
        "$schema": DIALECT,
        "title": f"Specification of a finite mixture, schema {SCHEMA}",
        "type": "object",
        "required": ["schema"],
        "properties": {
            "schema": {"const": SCHEMA},
            "n_components": count,
            "weights": _weights(),
            "component": {"$ref": "#/$defs/component"},
            "components": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/component"}},
        },
        "additionalProperties": False,
        "oneOf": [{"required": ["component", "n_components"]}, {"required": ["components"]}],
        "$defs": {
            "component": _table(
                {"blocks": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/block"}}}, "blocks"
            ),
            "block": {
                "type": "object",
                "required": ["family", "columns"],
                "properties": {"family": {"enum": list(families)}},
                "allOf": [
                    {
                        "if": {"properties": {"family": {"const": name}}, "required": ["family"]},
                        "then": {"$ref": f"#/$defs/family-{name}"},
                    }
                    for name in families
                ],
            },
            "numbers": {
                "description": "A number, or an array of numbers.",
                "anyOf": [{"type": "number"}, _array({"$ref": "#/$defs/numbers"})],
            },
            **{f"prior-{name}": _prior(name, kind) for name, kind in PRIORS.items()},
            **{f"family-{name}": _family(name, family) for name, family in families.items()},
        },
    }


def _families() -> dict[str, Family]:
    """One block of every family: parameters may depend on options, and so belong to blocks."""
    found = {}
    for name in family_names():
        try:
            family = family_class(name)
        except (SpecError, ImportError, AttributeError):
            continue
        chosen = {key: values[0] for key, values in family.option_choices.items() if key in family.options}
        found[name] = family("x", **chosen)
    return found


def _family(name: str, block: Family) -> Schema:
    needed = [key for key, default in block.options.items() if default is None]
    properties: Schema = {
        "family": {"const": name},
        "columns": {**_array({"type": "string", "minLength": 1}), "uniqueItems": True},
        "name": {"type": "string", "description": "Name of the block, an identifier."},
    }
    properties |= {key: _option(block, key) for key in block.options}
    properties |= {parameter.name: _slot(parameter) for parameter in block.parameters}
    if block.joint_priors:
        properties["prior"] = {"anyOf": [_ref(kind) for kind in block.joint_priors]}
    summary = (type(block).__doc__ or name).strip().splitlines()[0]
    return {"description": summary, **_table(properties, "family", "columns", *needed)}


def _option(block: Family, key: str) -> Schema:
    if key in block.option_words:
        return {"enum": [*block.option_words[key]]}
    choices = [*block.option_choices.get(key, ())] or [block.options[key]]
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string"}
    named = sorted({kinds[type(value)] for value in choices if type(value) in kinds})
    return {"type": named[0] if len(named) == 1 else named, "examples": choices} if named else {}


def _slot(parameter: Parameter) -> Schema:
    """Free, fixed in whole or in part, with a prior, or shared by components."""
    entry: Schema = {"anyOf": [{"type": "number", **parameter.domain.limits}, {"const": FREE}]}
    fixed: Schema = entry
    for _ in parameter.axes:
        fixed = _array(fixed)
    priors = [
        _ref(kind) for kind in PRIORS.values() if kind.domain is not None and isinstance(parameter.domain, kind.domain)
    ]
    own = [*entry["anyOf"], fixed, *priors]
    if priors and parameter.axes:
        own.append(_table({"fixed": fixed, "prior": {"anyOf": priors}}, "fixed", "prior"))
    shared = _table(
        {"shared": {"const": True}, "group": {"type": "string", "minLength": 1}, "inner": {"anyOf": own}}, "shared"
    )
    return {"anyOf": [*own, shared]}


def _weights() -> Schema:
    entry = {"anyOf": [{"type": "number", **Simplex.limits}, {"const": FREE}]}
    priors = [_ref(kind) for kind in PRIORS.values() if kind.domain is Simplex]
    return {"anyOf": [{"enum": ["equal", FREE]}, _array(entry), *priors]}


def _prior(name: str, kind: type[Prior]) -> Schema:
    summary = (kind.__doc__ or name).strip().splitlines()[0]
    numbers = {field.name: {"$ref": "#/$defs/numbers"} for field in fields(kind)}
    return {"description": summary, **_table({"prior": {"const": name}, **numbers}, "prior")}


def _ref(kind: type[Prior]) -> Schema:
    return {"$ref": f"#/$defs/prior-{kind.__name__}"}


def _array(items: Schema) -> Schema:
    return {"type": "array", "minItems": 1, "items": items}


def _table(properties: Schema, *required: str) -> Schema:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}
