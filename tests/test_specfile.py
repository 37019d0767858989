"""The text form says all of a specification and nothing else, and every mistake in it is located."""

import json
import tomllib

import pytest
from hypothesis import given
from random_specs import specifications

from mixtures import (
    Bernoulli,
    Beta,
    Dirichlet,
    FraleyRaftery,
    Free,
    Gaussian,
    Mixture,
    NormalInverseWishart,
    Shared,
    SpecError,
    UnsupportedError,
)
from mixtures.priors import Prior
from mixtures.specfile import from_dict, from_file, from_json, from_toml, to_dict, to_json, to_toml

# --- round trips ---


@given(spec=specifications())
def test_every_specification_survives_toml_and_json(spec):
    assert from_toml(to_toml(spec)) == spec
    assert from_json(to_json(spec)) == spec
    assert from_dict(to_dict(spec)) == spec


@given(spec=specifications())
def test_toml_and_json_hold_the_same_tables(spec):
    assert tomllib.loads(to_toml(spec)) == json.loads(to_json(spec)) == to_dict(spec)


def test_resolved_priors_survive_to_the_last_digit():
    data = {"x": [0.1, 0.7, 3.3, 3.4, 1 / 3], "y": [1.0, 2.5, 2.2, 7.1, 2 / 3]}
    resolved = Mixture(Gaussian("x", "y"), 2).resolve(data)
    assert resolved.is_resolved
    assert Mixture.from_toml(resolved.to_toml()) == resolved
    assert Mixture.from_json(resolved.to_json()) == resolved


def test_names_of_columns_may_be_any_text():
    strange = ('a "quoted" one', "back\\slash", "line\nbreak", "tab\t", "\x7f\x00", "Größe 🙂", "[[a.b]]", "=", " ")
    spec = Mixture(Bernoulli(*strange), 2)
    assert from_toml(to_toml(spec)) == spec
    assert from_json(to_json(spec)) == spec


EXAMPLE = """\
schema = 1
n_components = 2

[[component.blocks]]
family = "Gaussian"
columns = ["eruptions", "waiting"]
structure = "diagonal"
mean = [0.0, "free"]
covariance = {shared = true}
prior = {prior = "NormalInverseWishart", kappa = 0.01}

[[component.blocks]]
family = "Bernoulli"
columns = ["night"]
name = "time"
probability = {prior = "Beta", alpha = 2.0, beta = 1.0}
"""


def test_the_text_is_what_a_person_would_write():
    prior = NormalInverseWishart(kappa=0.01)
    gaussian = Gaussian(
        "eruptions", "waiting", mean=[0, Free()], covariance=Shared(), structure="diagonal", prior=prior
    )
    spec = Mixture(gaussian * Bernoulli("night", probability=Beta(2, 1), name="time"), 2)
    assert to_toml(spec) == EXAMPLE
    assert from_toml(EXAMPLE) == spec


LISTED = """\
schema = 1
weights = [0.9, 0.1]

[[components]]

[[components.blocks]]
family = "Gaussian"
columns = ["z"]
mean = 0.0
covariance = 1.0

[[components]]

[[components.blocks]]
family = "Gaussian"
columns = ["z"]
"""


def test_components_that_differ_are_listed():
    spec = Mixture([Gaussian("z", mean=0, covariance=1), Gaussian("z")], weights=[0.9, 0.1])
    assert to_toml(spec) == LISTED
    assert from_toml(LISTED) == spec


def test_long_arrays_and_tables_are_written_over_several_lines():
    columns = [f"a rather long question, number {i}" for i in range(8)]
    prior = NormalInverseWishart([0.1] * 8, 0.1, 9.5, [[1.0 * (i == j) for i in range(8)] for j in range(8)])
    text = to_toml(Mixture(Gaussian(*columns, prior=prior), 2))
    assert max(map(len, text.splitlines())) <= 100
    assert "\n[component.blocks.prior]\n" in text
    assert from_toml(text) == Mixture(Gaussian(*columns, prior=prior), 2)


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("probability = 1", Bernoulli("a", probability=1.0)),
        ('probability = "free"', Bernoulli("a")),
        ('probability = ["free"]', Bernoulli("a")),
        ('probability = {shared = true, group = "g", inner = 0.5}', Bernoulli("a", probability=Shared(0.5, "g"))),
        (
            'probability = {shared = true, inner = {prior = "Beta", alpha = 2}}',
            Bernoulli("a", probability=Shared(Beta(2))),
        ),
    ],
)
def test_slots_may_be_written_as_in_python(text, spec):
    head = 'schema = 1\nn_components = 2\n[[component.blocks]]\nfamily = "Bernoulli"\ncolumns = ["a"]\n'
    assert from_toml(head + text) == Mixture(spec, 2)


def test_structures_may_be_written_as_codes():
    head = 'schema = 1\nn_components = 2\n[[component.blocks]]\nfamily = "Gaussian"\ncolumns = ["a", "b"]\n'
    assert from_toml(head + 'structure = "EEI"') == Mixture(Gaussian("a", "b", structure="EEI"), 2)


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ('weights = "equal"', "equal"),
        ('weights = {prior = "Dirichlet", alpha = [2, 3]}', Dirichlet([2, 3])),
        ('weights = "free"', None),
        ("weights = [0.25, 0.75]", [0.25, 0.75]),
    ],
)
def test_weights_may_be_equal_fixed_free_or_have_a_prior(text, weights):
    tail = 'n_components = 2\n[[component.blocks]]\nfamily = "Gaussian"\ncolumns = ["a"]\n'
    assert from_toml(f"schema = 1\n{text}\n{tail}") == Mixture(Gaussian("a"), 2, weights=weights)


# --- mistakes ---


def block(**changes):
    base = {"family": "Gaussian", "columns": ["x", "y"]}
    return {key: value for key, value in (base | changes).items() if value is not ...}


def template(**changes):
    return {"schema": 1, "n_components": 2, "component": {"blocks": [block(**changes)]}}


def top(**changes):
    return {key: value for key, value in (template() | changes).items() if value is not ...}


MISTAKES = [
    (
        template(covarance=1.0),
        r"^component\.blocks\[0\]\.covarance: unknown key\. Did you mean 'covariance'\? Legal are",
    ),
    (template(probability=0.5), r"^component\.blocks\[0\]\.probability: unknown key\."),
    (template(**{"odd key": 1}), r'^component\.blocks\[0\]\."odd key": unknown key\.'),
    (
        template(family="Gausian"),
        r"^component\.blocks\[0\]\.family: Unknown family 'Gausian'\. Did you mean 'Gaussian'\?",
    ),
    (template(family=3), r"^component\.blocks\[0\]\.family: a string is needed; found 3"),
    (template(family=...), r"^component\.blocks\[0\]: the key 'family' is missing"),
    (template(family=..., famly="Gaussian"), r"^component\.blocks\[0\]\.famly: unknown key\. Did you mean 'family'\?"),
    (template(columns=...), r"^component\.blocks\[0\]: the key 'columns' is missing"),
    (template(columns="x"), r"^component\.blocks\[0\]\.columns: a list .* is needed; found 'x'"),
    (template(columns=["x", 2]), r"^component\.blocks\[0\]\.columns\[1\]: a string is needed; found 2"),
    (template(columns=["x", "x"]), r"^component\.blocks\[0\]: Gaussian: column 'x' is named twice"),
    (template(structure="digonal"), r"^component\.blocks\[0\]: .*unknown structure\. Did you mean 'diagonal'\?"),
    (template(structure={"a": 1}), r"^component\.blocks\[0\]: .*unknown structure"),
    (template(name=1), r"^component\.blocks\[0\]\.name: a string is needed"),
    (
        template(mean="fre"),
        r"^component\.blocks\[0\]\.mean: a number, a list of numbers or \"free\" is needed; found 'fre'",
    ),
    (template(mean=[0.0, "x"]), r"^component\.blocks\[0\]\.mean\[1\]: a number"),
    (template(mean=[0.0, True]), r"^component\.blocks\[0\]\.mean\[1\]: a number"),
    (template(mean=[]), r"^component\.blocks\[0\]\.mean: a list with at least one entry"),
    (template(mean=[1.0, 2.0, 3.0]), r"^component\.blocks\[0\]: .*mean has shape \(3,\); one component needs \(2,\)"),
    (template(mean=float("nan")), r"^component\.blocks\[0\]: .*found NaN"),
    (template(covariance=[[1.0, 2.0], [2.0, 1.0]]), r"^component\.blocks\[0\]: .*must be positive definite"),
    (template(covariance={"shared": False}), r"^component\.blocks\[0\]\.covariance\.shared: the value true"),
    (
        template(covariance={"share": True}),
        r"^component\.blocks\[0\]\.covariance\.share: unknown key\. Did you mean 'shared'\?",
    ),
    (template(covariance={"group": "a"}), r"^component\.blocks\[0\]\.covariance: the key 'shared' is missing"),
    (template(covariance={"shared": True, "group": 1}), r"^component\.blocks\[0\]\.covariance\.group: a string"),
    (
        template(covariance={"shared": True, "inner": {"shared": True}}),
        r"^component\.blocks\[0\]\.covariance: Shared\(Shared",
    ),
    (
        template(prior={"prior": "Wishart"}),
        r"^component\.blocks\[0\]\.prior\.prior: unknown prior 'Wishart'.* Known are",
    ),
    (template(prior={"prior": "Beta"}), r"^component\.blocks\[0\]: Gaussian\(prior=...\): takes NormalInverseWishart"),
    (
        template(prior={"prior": "NormalInverseWishart", "kapa": 1}),
        r"^component\.blocks\[0\]\.prior\.kapa: unknown key\. Did you mean 'kappa'\?",
    ),
    (template(prior={"prior": "NormalInverseWishart", "nu": 0.5}), r"^component\.blocks\[0\]: .*nu > d - 1 = 1"),
    (
        template(prior={"prior": "FraleyRaftery", "kappa": "free"}),
        r"\.prior\.kappa: a number or a list of numbers is needed",
    ),
    (
        template(prior={"prior": "FraleyRaftery", "kappa": 0}),
        r"^component\.blocks\[0\]\.prior: FraleyRaftery: kappa must be",
    ),
    (template(prior="FraleyRaftery"), r"^component\.blocks\[0\]\.prior: a table is needed; found 'FraleyRaftery'"),
    (template(mean={"prior": "Beta"}), r"^component\.blocks\[0\]: .*is no prior for mean"),
    (top(schema=...), "^the specification: the key 'schema' is missing"),
    (top(schema=2), "^schema = 2: this version of mixtures reads schema 1"),
    (top(schema="1"), "^schema: an integer is needed; found '1'"),
    (top(schema=True), "^schema: an integer is needed"),
    (top(n_components=2.0), r"^n_components: an integer is needed; found 2\.0"),
    (top(n_components=...), "needs n_components"),
    (top(n_components=0), "n_components, an integer >= 1; found 0"),
    (top(n_component=2), r"^n_component: unknown key\. Did you mean 'n_components'\?"),
    (top(component=...), "^Neither component nor components is given"),
    (top(components=[{"blocks": [block()]}]), "^Both component and components are given"),
    (top(component={"block": [block()]}), r"^component\.block: unknown key\. Did you mean 'blocks'\?"),
    (top(component={"blocks": []}), r"^component\.blocks: a list with at least one entry is needed"),
    (top(component={"blocks": [block()], "name": "a"}), r"^component\.name: unknown key"),
    (top(component=["x"]), r"^component: a table is needed"),
    (top(weights="even"), "^weights: a number, a list of numbers"),
    (top(weights=[0.5, 0.6]), "weights must sum to 1"),
    (top(weights={"prior": "Dirichlet", "alpha": [1, 2, 3]}), r"alpha of shape \(3,\)"),
    (top(weights={"prior": "Dirichlet", "alpha": -1}), "^weights: Dirichlet: alpha must be greater than 0"),
    (
        top(component=..., n_components=..., components=[{"blocks": [block()]}, {"blocks": [block(covarance=1)]}]),
        r"^components\[1\]\.blocks\[0\]\.covarance: unknown key\. Did you mean 'covariance'\?",
    ),
    (top(component=..., components=[{"blocks": [block()]}]), "n_components=2 but the list has 1 components"),
    ([1], "^the specification: a table is needed"),
]


@pytest.mark.parametrize(("data", "words"), MISTAKES, ids=[words for _, words in MISTAKES])
def test_a_mistake_is_named_with_its_path_and_the_nearest_legal_name(data, words):
    with pytest.raises(SpecError, match=words):
        from_dict(data)


def test_what_is_not_built_yet_stays_an_unsupported_error():
    with pytest.raises(UnsupportedError, match="fixed in part are not supported yet"):
        from_dict(template() | {"weights": [0.5, "free"]})


@pytest.mark.parametrize(
    ("read", "text", "words"),
    [
        (from_toml, "schema = 1\nn_components 2\n", "The text is not TOML: .*line 2"),
        (from_toml, 'schema = 1\nschema = 1\nweights = "equal', "The text is not TOML: .*line 2"),
        (from_json, '{"schema": 1,\n "n_components" 2}', "The text is not JSON: .*line 2"),
        (from_json, '{"schema": 1, "n_components": 2, "n_components": 3}', "The key 'n_components' is given twice"),
        (from_json, "[" * 100_000, "The text is not JSON"),
        (from_toml, "a = " + "[" * 100_000, "The text is not TOML"),
    ],
)
def test_text_in_the_wrong_language_is_refused_with_the_line(read, text, words):
    with pytest.raises(SpecError, match=words):
        read(text)


def test_what_has_no_name_to_be_found_by_is_not_written():
    class Mine(Bernoulli):
        pass

    class MyPrior(Beta):
        pass

    with pytest.raises(SpecError, match=r"entry-point group 'mixtures\.families', Mine = "):
        to_toml(Mixture(Mine("a"), 2))
    with pytest.raises(SpecError, match="has no text form; the priors that have one are Beta, "):
        to_toml(Mixture(Bernoulli("a", probability=MyPrior(1, 1)), 2))


def test_every_prior_of_ours_has_a_text_form():
    def subclasses(kind):
        for found in kind.__subclasses__():
            yield from (found, *subclasses(found))

    ours = {
        kind.__name__ for kind in subclasses(Prior) if kind.__module__ == "mixtures.priors" and kind.__name__[0] != "_"
    }
    examples = [
        Mixture(Bernoulli("a", probability=Beta(2, 2)), 2, weights=Dirichlet(2)),
        Mixture(Gaussian("x", prior=FraleyRaftery()) * Gaussian("y", prior=NormalInverseWishart(), name="b"), 2),
    ]
    written = " ".join(to_toml(spec) for spec in examples)
    assert {name for name in ours if f'prior = "{name}"' in written} == ours - {
        "GammaPrior"
    }  # no family of ours is positive


# --- files ---


@pytest.mark.parametrize("suffix", [".toml", ".json", ".TOML"])
def test_a_specification_is_read_from_a_file_of_either_language(tmp_path, suffix):
    spec = Mixture(Gaussian("x"), 2)
    path = tmp_path / f"spec{suffix}"
    path.write_text(to_json(spec) if suffix == ".json" else "\ufeff" + to_toml(spec), encoding="utf-8")
    assert from_file(path) == Mixture.from_file(str(path)) == spec


def test_a_mistake_in_a_file_is_named_with_the_path_as_it_was_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "spec.toml").write_text("schema = 1\nn_component = 2\n")
    with pytest.raises(SpecError, match=r"^spec\.toml: n_component: unknown key"):
        from_file("spec.toml")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("absent.toml", r"^absent\.toml: the file cannot be read \(No such file or directory\)"),
        ("folder.toml", r"^folder\.toml: the file cannot be read"),
        ("latin.toml", r"^latin\.toml: the file is not UTF-8 text \(byte 5\)"),
        ("spec.yaml", r"^spec\.yaml: .*ends in \.toml or \.json"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_as_it_was_given(tmp_path, monkeypatch, name, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "latin.toml").write_bytes(b"a = '\xe4'")
    with pytest.raises(SpecError, match=words):
        from_file(name)
