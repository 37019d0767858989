"""The JSON Schema accepts every specification that can be written, and refuses documents of the wrong structure."""

import json
import re
import tomllib

import pytest
from hypothesis import given
from jsonschema import Draft202012Validator
from random_specs import specifications
from test_specfile import EXAMPLE, LISTED, MISTAKES

import mixtures as mx
from mixtures import Family, GammaPrior, Shared, families
from mixtures.specfile import from_dict, json_schema, to_dict
from mixtures.testing import Case, variants

SCHEMA = json_schema()
VALIDATOR = Draft202012Validator(SCHEMA)
FAMILIES = [
    found
    for found in (getattr(families, name) for name in families.__all__)
    if issubclass(found, Family) and found is not Family
]

BEYOND_STRUCTURE = (
    "mean has shape",
    "found NaN",
    "must be positive definite",
    "nu > d - 1",
    "kappa must be",
    "found 2.0",  # an integer to JSON Schema
    "must sum to 1",
    "alpha of shape",
    "alpha must be greater than 0",
    "but the list has",
)
"""Mistakes that depend on several values or on the constructor: the reader's business."""


def test_it_is_a_schema_of_the_draft_it_names_and_can_be_printed():
    Draft202012Validator.check_schema(SCHEMA)
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA
    assert mx.json_schema() == SCHEMA


def test_references_lead_to_definitions_and_are_legal_uris():
    found = set(re.findall(r'"\$ref": "#/\$defs/([^"]*)"', json.dumps(SCHEMA)))
    assert found == set(SCHEMA["$defs"])
    assert all(re.fullmatch(r"[\w.-]+", name) for name in found)


@given(spec=specifications())
def test_every_random_specification_is_valid(spec):
    VALIDATOR.validate(to_dict(spec))
    VALIDATOR.validate(json.loads(spec.to_json()))


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_every_family_is_valid_as_written_and_with_its_priors_in_numbers(family):
    for block in variants(family):
        spec = mx.Mixture(block, 2)
        VALIDATOR.validate(to_dict(spec))
        case = Case.of(block, seed=1)
        VALIDATOR.validate(to_dict(spec.resolve(case.x)))
        values = {name: value[0] for name, value in case.theta.items()}
        VALIDATOR.validate(to_dict(mx.Mixture(block.replace(**values), 2, weights=[0.25, 0.75])))


@pytest.mark.parametrize("text", [EXAMPLE, LISTED])
def test_toml_has_the_same_tables(text):
    VALIDATOR.validate(tomllib.loads(text))


@pytest.mark.parametrize(("document", "words"), MISTAKES, ids=[words for _, words in MISTAKES])
def test_a_document_of_the_wrong_structure_is_invalid(document, words):
    said = words.replace("\\", "")
    beyond = any(what in said for what in BEYOND_STRUCTURE)
    assert VALIDATOR.is_valid(document) == beyond


def block(**changes):
    return {
        "schema": 1,
        "n_components": 2,
        "component": {"blocks": [{"family": "Gamma", "columns": ["a"], **changes}]},
    }


@pytest.mark.parametrize(
    ("changes", "valid"),
    [
        ({"shape": 2}, True),
        ({"shape": [2, "free"]}, True),
        ({"shape": -1}, False),
        ({"shape": [[1]]}, False),
        ({"shape": {"prior": "GammaPrior", "shape": 2}}, True),
        ({"shape": {"prior": "Gamma", "shape": 2}}, False),
        ({"shape": {"prior": "Beta"}}, False),
        ({"rate": {"shared": True, "inner": {"prior": "GammaPrior"}}}, True),
        ({"rate": {"shared": True, "inner": {"shared": True}}}, False),
        ({"prior": {"prior": "NormalInverseWishart"}}, False),
    ],
)
def test_slots_take_what_their_domain_takes(changes, valid):
    assert VALIDATOR.is_valid(block(**changes)) is valid
    if valid and "free" not in str(changes):
        from_dict(block(**changes))


def test_options_without_a_default_are_needed():
    def binomial(**options):
        return {**block(), "component": {"blocks": [{"family": "Binomial", "columns": ["a"], **options}]}}

    assert VALIDATOR.is_valid(binomial(trials=3))
    assert not VALIDATOR.is_valid(binomial())
    assert not VALIDATOR.is_valid(binomial(trials="3"))


def test_a_prior_is_described_by_its_numbers():
    VALIDATOR.validate(to_dict(mx.Mixture(mx.Gamma("a", shape=Shared(GammaPrior([2.0], 1), "g")), 2)))
    assert set(SCHEMA["$defs"]["prior-NormalInverseWishart"]["properties"]) == {
        "prior",
        "mean",
        "kappa",
        "nu",
        "scale_matrix",
    }


def test_the_command_line_prints_it(capsys):
    from mixtures.cli import run

    assert run(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == SCHEMA


@pytest.mark.parametrize("family", ["Gaussian", "StudentT"])
def test_structures_are_enumerated(family):
    words = SCHEMA["$defs"][f"family-{family}"]["properties"]["structure"]["enum"]
    assert len(words) == 3 + 14
    for word in words:
        assert getattr(mx, family)("x", "y", structure=word)
