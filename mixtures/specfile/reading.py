"""TOML or JSON text as nested tables, and these as a specification."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..errors import SpecError, nearest
from ..families.base import Family, Product
from ..families.registry import family_class
from ..priors import Prior
from ..slots import Fixed, Shared
from ..spec import Mixture
from .place import Place, located
from .words import PRIORS, SCHEMA

__all__ = ["from_dict", "from_file", "from_json", "from_toml"]


def from_dict(data: Any) -> Mixture:
    """The specification that nested tables describe.

    Raises
    ------
    SpecError
        For unknown keys, families, priors or values of the wrong kind: the path to it, and the nearest legal name.

    Examples
    --------
    >>> from_dict({"schema": 1, "n_components": 2, "component": {"blocks": [{"family": "Gaussian", "colums": ["x"]}]}})
    Traceback (most recent call last):
    mixtures.errors.SpecError: component.blocks[0].colums: unknown key. Did you mean 'columns'?
    """
    top = Place(data, "")
    if top.need("schema").integer() != SCHEMA:
        raise SpecError(f"schema = {top.value['schema']!r}: this version of mixtures reads schema {SCHEMA}.")
    top.refuse_unknown(["schema", "n_components", "weights", "component", "components"])
    one, several = top.get("component"), top.get("components")
    components: Product | list[Product]
    if one is not None and several is None:
        components = _read_component(one)
    elif several is not None and one is None:
        components = [_read_component(place) for place in several.items()]
    else:
        what = "Both component and components are" if one else "Neither component nor components is"
        raise SpecError(
            f"{what} given. Write [[component.blocks]] with n_components, or [[components.blocks]] for each."
        )
    count, weights = top.get("n_components"), top.get("weights")
    return Mixture(
        components,
        None if count is None else count.integer(),
        weights=None if weights is None else "equal" if weights.value == "equal" else _read_slot(weights),
    )


def from_toml(text: str) -> Mixture:
    """The specification that a TOML text describes.

    Raises
    ------
    SpecError
        For text that is no TOML (line named), and as in `from_dict`.
    """
    import tomllib

    return from_dict(_parse("TOML", tomllib.loads, text))


def from_json(text: str) -> Mixture:
    """The specification that a JSON text describes; errors as in `from_toml`."""
    return from_dict(_parse("JSON", lambda found: json.loads(found, object_pairs_hook=_unique), text))


def from_file(path: str | Path) -> Mixture:
    """The specification in a .toml or .json file.

    Raises
    ------
    SpecError
        If the file cannot be read, or as in `from_toml`; the path is named as it was given.
    """
    readers = {".toml": from_toml, ".json": from_json}
    reader = readers.get(Path(path).suffix.lower())
    if reader is None:
        raise SpecError(f"{path}: a specification is read from a file whose name ends in {' or '.join(readers)}.")
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SpecError(f"{path}: the file cannot be read ({error.strerror}). Check the path.") from error
    except UnicodeDecodeError as error:
        raise SpecError(f"{path}: the file is not UTF-8 text (byte {error.start}). Save it as UTF-8.") from error
    with located(str(path)):
        return reader(text)


def _parse(language: str, loads: Callable[[str], Any], text: str) -> Any:
    try:
        return loads(text)
    except SpecError:
        raise
    except (ValueError, RecursionError) as error:
        raise SpecError(f"The text is not {language}: {error}.") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, without the key that is silently overwritten."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [key for key, _ in pairs]
        raise SpecError(f"The key {next(key for key in names if names.count(key) > 1)!r} is given twice.")
    return found


def _read_component(place: Place) -> Product:
    place.need("blocks")
    place.refuse_unknown(["blocks"])
    return Product(tuple(_read_block(block) for block in place.need("blocks").items()))


def _read_block(place: Place) -> Family:
    place_of_name = place.need("family")
    name = place_of_name.string()
    with located(place_of_name.path):
        family = family_class(name)
    columns = [column.string() for column in place.need("columns").items()]
    options = {key: _hashable(place.value[key]) for key in family.options if key in place.value}
    with located(place.path):
        parameters = [parameter.name for parameter in family(*columns, **options).parameters]
    joint = ["prior"] if family.joint_priors else []
    place.refuse_unknown(["family", "columns", "name", *family.options, *parameters, *joint])
    arguments = {key: _read_slot(found) for key in parameters if (found := place.get(key)) is not None}
    given_name, prior = place.get("name"), place.get("prior")
    if given_name is not None:
        arguments["name"] = given_name.string()
    if prior is not None:
        arguments["prior"] = _read_prior(prior)
    with located(place.path):
        return family(*columns, **options, **arguments)


def _read_slot(place: Place) -> Any:
    if not isinstance(place.value, dict):
        return place.numbers(free=True)
    fixed = place.get("fixed")
    if fixed is not None:
        place.refuse_unknown(["fixed", "prior"])
        value, prior = fixed.numbers(free=True), _read_prior(place.need("prior"))
        with located(place.path):
            return Fixed(value, prior)
    if "prior" in place.value:
        return _read_prior(place)
    place.refuse_unknown(["shared", "group", "inner"])
    if place.need("shared").value is not True:
        raise Place(place.value["shared"], f"{place.path}.shared").wrong("the value true (leave the key out otherwise)")
    group, inner = place.get("group"), place.get("inner")
    content = None if inner is None else _read_slot(inner)
    group_name = None if group is None else group.string()
    with located(place.path):
        return Shared(content, group_name)


def _read_prior(place: Place) -> Prior:
    name = place.need("prior")
    kind = PRIORS.get(name.string())
    if kind is None:
        raise SpecError(
            f"{name.path}: unknown prior {name.value!r}.{nearest(name.value, PRIORS)} Known are {', '.join(PRIORS)}."
        )
    legal = [field.name for field in fields(kind)]
    place.refuse_unknown(["prior", *legal])
    arguments = {key: found.numbers(free=False) for key in legal if (found := place.get(key)) is not None}
    with located(place.path):
        return kind(**arguments)


def _hashable(value: Any) -> Any:
    return tuple(_hashable(item) for item in value) if isinstance(value, list) else value
