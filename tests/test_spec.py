"""A specification says what a mixture is, compares and prints as what it says, and refuses what makes no sense."""

import numpy as np
import pytest
from hypothesis import given
from random_specs import specifications

import mixtures
from mixtures import (
    Bernoulli,
    Beta,
    DataError,
    Dirichlet,
    FraleyRaftery,
    Free,
    GammaPrior,
    Gaussian,
    Mixture,
    NormalInverseWishart,
    Product,
    Shared,
    SpecError,
    UnsupportedError,
)
from mixtures.em.program import Program

NAMES = {
    name: getattr(mixtures, name)
    for name in (
        "Bernoulli",
        "Beta",
        "Dirichlet",
        "FraleyRaftery",
        "Free",
        "GammaPrior",
        "Gaussian",
        "Mixture",
        "Shared",
    )
} | {"NormalInverseWishart": NormalInverseWishart}


# --- values ---


@given(spec=specifications())
def test_a_specification_prints_as_the_call_that_makes_it(spec):
    again = eval(repr(spec), NAMES)
    assert again == spec
    assert hash(again) == hash(spec)
    assert repr(again) == repr(spec)


@pytest.mark.parametrize(
    ("spec", "printed"),
    [
        (Mixture(Gaussian("x", "y"), 2), "Mixture(Gaussian('x', 'y'), n_components=2)"),
        (
            Mixture([Gaussian("z", mean=0, covariance=1), Gaussian("z")]),
            "Mixture([Gaussian('z', mean=0.0, covariance=1.0), Gaussian('z')])",
        ),
        (
            Mixture(Bernoulli("a", probability=Beta(2, 2)), n_components=2, weights="equal"),
            "Mixture(Bernoulli('a', probability=Beta(alpha=2.0, beta=2.0)), n_components=2, weights='equal')",
        ),
        (
            Mixture(Gaussian("x", structure="diagonal", name="size") * Bernoulli("s"), 2, weights=[0.25, 0.75]),
            "Mixture(Gaussian('x', name='size') * Bernoulli('s'), n_components=2, weights=[0.25, 0.75])",
        ),
    ],
)
def test_printed_forms(spec, printed):
    assert repr(spec) == printed


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Mixture([Gaussian("x")] * 2), Mixture(Gaussian("x"), n_components=2)),
        (Mixture(Gaussian("x"), 2, weights="equal"), Mixture(Gaussian("x"), 2, weights=[0.5, 0.5])),
        (Gaussian("x", "y", structure="EEE"), Gaussian("x", "y", covariance=Shared())),
        (Gaussian("x", "y", structure="VVI"), Gaussian("x", "y", structure="diagonal")),
        (Gaussian("x", "y", structure="eii"), Gaussian("x", "y", structure="spherical", covariance=Shared())),
        (Gaussian("x", structure="spherical"), Gaussian("x")),
        (Gaussian(["x"], structure="diagonal"), Gaussian("x")),
        (Gaussian(["x", "y"]), Gaussian("x", "y")),
    ],
)
def test_equal_models_are_equal_however_they_are_written(one, other):
    assert one == other
    assert hash(one) == hash(other)
    assert repr(one) == repr(other)


def test_nearly_equal_weights_are_not_printed_as_equal():
    spec = Mixture(Gaussian("x"), 3, weights=[0.333333333] * 3)
    assert spec != Mixture(Gaussian("x"), 3, weights="equal")
    assert "equal" not in repr(spec)


def test_specifications_are_frozen():
    spec = Mixture(Gaussian("x"), 2)
    for thing, name in ((spec, "weights"), (spec.components[0], "blocks"), (Gaussian("x"), "name"), (Beta(), "alpha")):
        with pytest.raises(AttributeError):
            setattr(thing, name, None)


def test_a_block_is_replaced_not_changed():
    block = Gaussian("x", "y", mean=1.0, name="size")
    assert block.replace(mean=None, structure="diagonal") == Gaussian("x", "y", structure="diagonal", name="size")
    assert block == Gaussian("x", "y", mean=1.0, name="size")


def test_products_are_associative():
    a, b, c = Gaussian("x"), Bernoulli("y"), Bernoulli("z", name="other")
    assert (a * b) * c == a * (b * c) == Product((a, b, c))


# --- names, groups and exchangeable components ---


def test_parameters_are_named_by_block_only_where_two_blocks_have_them():
    assert Mixture(Gaussian("x") * Bernoulli("y"), 2).groups[0].names == {"mean": "mean", "covariance": "covariance"}
    first, second = Mixture(Bernoulli("a", name="home") * Bernoulli("b"), 2).groups
    assert (first.names["probability"], second.names["probability"]) == ("home_probability", "bernoulli_probability")


def test_components_of_one_family_and_structure_form_one_array_fixed_entries_included():
    (group,) = Mixture([Gaussian("z", mean=0.0, covariance=1.0), Gaussian("z")]).groups
    assert group.covers_all
    assert group.components == (0, 1)
    layout = group.layout["mean"]
    assert layout.free.tolist() == [[False], [True]]
    assert layout.owners.tolist() == [False, True]
    assert group.dims(group.family.parameters[1]) == ("component", "gaussian_column", "gaussian_column2")


def test_columns_are_found_by_name_whatever_their_order_in_the_component():
    spec = Mixture([Gaussian("x") * Bernoulli("a"), Bernoulli("a") * Gaussian("x")])
    assert spec.columns == ("x", "a")
    assert [(group.components, group.columns) for group in spec.groups] == [((0, 1), (0,)), ((0, 1), (1,))]


def test_shared_components_are_owned_by_the_first_of_their_group():
    spec = Mixture([Gaussian("x", covariance=Shared(group=name)) for name in "abab"])
    layout = spec.groups[0].layout["covariance"]
    assert layout.groups.tolist() == [0, 1, 0, 1]
    assert layout.owners.tolist() == [True, True, False, False]
    np.testing.assert_array_equal(layout.pooled(np.array([1.0, 2.0, 3.0, 4.0])), [4.0, 6.0, 4.0, 6.0])


@pytest.mark.parametrize(
    ("spec", "sets"),
    [
        (Mixture(Gaussian("x"), 3), ((0, 1, 2),)),
        (Mixture([Gaussian("z", mean=0), Gaussian("z"), Gaussian("z")]), ((0,), (1, 2))),
        (Mixture(Gaussian("x"), 2, weights=[0.3, 0.7]), ((0,), (1,))),
        (Mixture(Gaussian("x"), 2, weights="equal"), ((0, 1),)),
        (Mixture(Gaussian("x"), 3, weights=Dirichlet([1, 1, 2])), ((0, 1), (2,))),
        (Mixture([Gaussian("x", covariance=Shared(group=g)) for g in "aab"]), ((0, 1), (2,))),
    ],
)
def test_only_components_that_the_specification_does_not_tell_apart_are_exchangeable(spec, sets):
    assert spec.exchangeable == sets


@pytest.mark.parametrize(
    ("spec", "rule"),
    [
        (Mixture(Gaussian("x", "y"), 2), "by increasing mean of x"),
        (Mixture(Bernoulli("a", "b"), 2), "by increasing probability of a"),
        (Mixture(Gaussian("x", mean=0), 2), "by increasing covariance of x, x"),
        (Mixture(Gaussian("x", mean=Shared(), covariance=Shared()), 2), "by decreasing weight"),
    ],
)
def test_the_rule_of_order_is_the_first_free_scalar_that_is_not_shared(spec, rule):
    assert spec.ordering() == rule


# --- what is refused, and how ---


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Gaussian(), "Gaussian: name at least one column"),
        (lambda: Gaussian(3), "Gaussian: name at least one column, each a string"),
        (lambda: Gaussian("x", "x"), "column 'x' is named twice"),
        (lambda: Gaussian("x", name="my block"), "must be an identifier"),
        (lambda: Bernoulli("x", probabilty=0.5), r"unknown argument 'probabilty'. Did you mean 'probability'\?"),
        (lambda: Gaussian("x", structure="ful"), r"unknown structure. Did you mean 'full'\?"),
        (lambda: Gaussian("x", structure=["full"]), "unknown structure"),
        (lambda: Gaussian("x", mean=[1, 2]), r"mean has shape \(2,\); one component needs \(1,\)"),
        (lambda: Gaussian("x", "y", covariance=[[1, 2], [3]]), "is ragged"),
        (lambda: Gaussian("x", covariance=-1), "covariance must be positive definite"),
        (lambda: Gaussian("x", "y", covariance=[[1, 2], [2, 1]]), "covariance must be positive definite"),
        (lambda: Gaussian("x", "y", structure="diagonal", covariance=[[1, 0.5], [0.5, 1]]), "must be diagonal"),
        (lambda: Gaussian("x", mean=np.inf), "mean must be finite"),
        (lambda: Bernoulli("a", probability=1.5), r"probability must lie in \[0, 1\]; found \[1.5\]"),
        (lambda: Bernoulli("a", "b", probability=[0.5, -0.1]), r"probability must lie in \[0, 1\]"),
        (lambda: Bernoulli("a", probability=GammaPrior(1)), "is no prior for probability, which is in UnitInterval"),
        (lambda: Bernoulli("a", probability=NormalInverseWishart()), "is a joint prior; write it as prior="),
        (
            lambda: Bernoulli("a", "b", probability=Beta([1, 2, 3])),
            r"Bernoulli\('a', 'b'\): Beta has alpha of shape \(3,\)",
        ),
        (lambda: Bernoulli("a", prior=NormalInverseWishart()), r"Bernoulli\(prior=...\): has no joint prior"),
        (lambda: Gaussian("x", prior=Beta(1, 1)), r"takes NormalInverseWishart\(\) or FraleyRaftery\(\)"),
        (lambda: Gaussian("x", mean=0, covariance=1, prior=FraleyRaftery()), "nothing to act on"),
        (lambda: Mixture(Gaussian("x")), "a template needs n_components"),
        (lambda: Mixture(Gaussian("x"), 0), "n_components, an integer >= 1; found 0"),
        (lambda: Mixture(Gaussian("x"), True), "n_components, an integer >= 1"),
        (lambda: Mixture([]), "takes a block, a product of blocks, or a list"),
        (lambda: Mixture([Gaussian("x"), "y"]), "component 1 is 'y'"),
        (lambda: Mixture([Gaussian("x")], 2), "n_components=2 but the list has 1"),
        (lambda: Mixture([Gaussian("x"), Gaussian("y")]), "Component 1 describes other columns"),
        (lambda: Mixture(Gaussian("x") * Bernoulli("x"), 2), "column 'x' is in two blocks"),
        (lambda: Mixture(Gaussian("x") * Gaussian("y"), 2), "both call a parameter 'gaussian_mean'. Name the blocks"),
        (lambda: Mixture(Gaussian("x"), 2, weights="even"), "legal are None, Dirichlet"),
        (lambda: Mixture(Gaussian("x"), 2, weights=[0.5, 0.6]), "weights must sum to 1"),
        (lambda: Mixture(Gaussian("x"), 2, weights=[1.5, -0.5]), "weights must not be negative"),
        (lambda: Mixture(Gaussian("x"), 2, weights=[0.2, 0.3, 0.5]), r"weights have shape \(3,\); 2 numbers"),
        (lambda: Mixture(Gaussian("x"), 2, weights=Beta(1, 1)), "is no prior for weights"),
        (
            lambda: Mixture(Gaussian("x"), 2, weights=Dirichlet([1, 2, 3])),
            r"alpha of shape \(3,\); .* \(2,\) is needed",
        ),
        (lambda: Mixture(Gaussian("x"), 2, weights=Shared()), r"weights cannot be Shared\(\)"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_was_found_and_what_is_legal(make, words):
    with pytest.raises(SpecError, match=words):
        make()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Mixture(Gaussian("x"), 2, weights=[0.5, Free()]), "fixed in part are not supported yet"),
    ],
)
def test_what_is_meaningful_but_not_built_yet_is_refused_as_such(make, words):
    with pytest.raises(UnsupportedError, match=words):
        make()


# --- against data ---


def two_columns(n=40):
    rng = np.random.default_rng(1)
    return {"x": rng.standard_normal(n), "y": rng.standard_normal(n), "flag": (rng.random(n) < 0.5).astype(float)}


@pytest.mark.parametrize(
    "spec",
    [
        Mixture(Gaussian("x", "y"), 2),
        Mixture(Gaussian("x", structure="EEE") * Bernoulli("flag"), 3, weights="equal"),
        Mixture(Gaussian("x", "y", prior=FraleyRaftery()), 2, weights=Dirichlet(2)),
    ],
)
def test_resolving_puts_every_prior_in_numbers_once(spec):
    data = two_columns()
    resolved = spec.resolve(data)
    assert resolved.is_resolved
    assert not spec.is_resolved
    assert resolved.resolve(data) is resolved
    assert resolved.without_priors() == spec.without_priors()


def test_the_default_prior_has_the_numbers_that_the_documentation_states():
    data = two_columns()
    x = np.column_stack([data["x"], data["y"]])
    prior = Mixture(Gaussian("x", "y"), 1).resolve(data).components[0].blocks[0].prior
    np.testing.assert_allclose(prior.mean, x.mean(axis=0))
    np.testing.assert_allclose(prior.scale_matrix, np.cov(x.T, bias=True))
    assert prior.nu == 4.0
    assert prior.kappa == pytest.approx(0.01)  # K = 1: W = S, so tr(W^-1 S) / d = 1


def test_the_prior_of_fraley_and_raftery_has_their_numbers():
    data = two_columns()
    x = np.column_stack([data["x"], data["y"]])
    prior = Mixture(Gaussian("x", "y", prior=FraleyRaftery()), 3).resolve(data).components[0].blocks[0].prior
    np.testing.assert_allclose(prior.scale_matrix, np.cov(x.T, bias=True) / 3, rtol=1e-12)
    assert (prior.kappa, prior.nu) == (0.01, 4.0)


def test_counts_resolve_as_the_rows_they_count():
    data = two_columns(10)
    counts = np.arange(1, 11)
    repeated = {name: np.repeat(value, counts) for name, value in data.items()}
    spec = Mixture(Gaussian("x", "y"), 2)
    one, other = (
        r.components[0].blocks[0].prior for r in (spec.resolve(data, sample_weight=counts), spec.resolve(repeated))
    )
    for name in ("mean", "kappa", "nu", "scale_matrix"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-10)


@pytest.mark.parametrize(
    ("spec", "change", "words"),
    [
        (Mixture(Gaussian("x"), 2), {"x": np.full(40, 3.0)}, "1 distinct row"),
        (Mixture(Gaussian("x", "y"), 2), {"x": np.full(40, 3.0)}, "Column 'x' is constant .*every row is 3"),
        (Mixture(Gaussian("x", "y"), 2), {"y": two_columns()["x"]}, "Columns 'x', 'y' are linearly dependent"),
        (Mixture(Gaussian("x", "y"), 2), {"y": 3 * two_columns()["x"] - 1}, "Columns 'x', 'y' are linearly dependent"),
        (Mixture(Bernoulli("flag"), 3), {}, "2 distinct row.*fewer than the 3 components. Use n_components=2"),
        (
            Mixture(Bernoulli("flag"), 2),
            {"flag": [0, 1, 2, 1]},
            "Column 'flag', row 2.*: found 2, but Bernoulli takes 0 or 1",
        ),
        (Mixture(Bernoulli("flagg"), 2), {}, "There is no column 'flagg' in the data. Did you mean 'flag'"),
    ],
)
def test_data_that_do_not_fit_the_specification_are_refused_by_column_and_row(spec, change, words):
    with pytest.raises(DataError, match=words):
        spec.resolve({**two_columns(), **change} if "flag" not in change else change)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (
            Mixture([Gaussian("x", "y", structure="EEE"), Gaussian("x", "y", mean=[0, Free()], structure="EEE")]),
            "Component 1, .*a mean fixed in part needs a covariance of its own",
        ),
        (
            Mixture(Gaussian("x", "y", covariance=[[1, Free()], [Free(), 2]]), 2),
            "Component 0, .*entries that hang together cannot be fixed in part yet",
        ),
        (
            Mixture(Gaussian("x", mean=Shared()), 2),
            "Component 0, .*sharing means that are estimated is not supported yet",
        ),
    ],
)
def test_slots_that_cannot_be_fitted_yet_are_refused_by_name(spec, words):
    with pytest.raises(UnsupportedError, match=words):
        spec.resolve(two_columns())


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (Mixture(Bernoulli("flag", probability=Beta(0.5, 2)), 2), r"Bernoulli\('flag'.*Beta with a parameter of 0.5"),
        (Mixture(Gaussian("x"), 2, weights=Dirichlet(0.5)), "weights: Dirichlet with a parameter of 0.5"),
    ],
)
def test_a_prior_without_a_mode_is_refused_for_map_and_fine_for_mle(spec, words):
    rows = spec.rows(two_columns())
    resolved = spec.resolve(rows)
    Program(resolved, rows, "mle")
    with pytest.raises(SpecError, match=f"{words}.*below 1.*estimate='map' is not defined"):
        Program(resolved, rows, "map")


def test_an_unknown_estimate_is_refused():
    spec = Mixture(Gaussian("x"), 2)
    rows = spec.rows(two_columns())
    with pytest.raises(SpecError, match="legal are 'mle' and 'map'"):
        Program(spec.resolve(rows), rows, "ml")


def test_a_column_is_measured_in_all_components_or_counted_in_all():
    with pytest.raises(
        SpecError, match=r"Column 'x' is measured in component 0 \(Gaussian\) and counted in component 1"
    ):
        Mixture([Gaussian("x"), Bernoulli("x")])


@pytest.mark.parametrize(
    "blocks",
    [
        [Bernoulli("a", probability=Shared(0.5)), Bernoulli("a", probability=Shared())],
        [Bernoulli("a", probability=Shared(Beta(1, 1))), Bernoulli("a", probability=Shared(Beta(5, 5)))],
        [Gaussian("x", covariance=Shared(), prior=NormalInverseWishart(nu=nu)) for nu in (5, 500)],
    ],
    ids=["fixed and free", "priors", "joint priors"],
)
def test_components_that_share_a_value_say_the_same_of_it(blocks):
    with pytest.raises(SpecError, match=r"Components 0 and 1 share .*but say different things"):
        Mixture(blocks)
    renamed = [
        block.replace(**{n: Shared(s.inner, f"g{i}") for n, s in block.slots.items() if isinstance(s, Shared)})
        for i, block in enumerate(blocks)
    ]
    assert len(Mixture(renamed).exchangeable) == 2


def test_blocks_of_different_kinds_have_names_of_their_own():
    with pytest.raises(SpecError, match="Two different blocks are called 'u'"):
        Mixture(Gaussian("x", name="u") * Bernoulli("flag", name="u"), 2)
