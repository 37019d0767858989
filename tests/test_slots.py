"""A slot is free, fixed, a prior or shared: every way of writing it has one stored form, and nothing else is taken."""

import numpy as np
import pytest

from mixtures import Beta, Free, Gaussian, Shared, SpecError
from mixtures.slots import Fixed, inner_slot, parse_slot


@pytest.mark.parametrize("written", [None, Free(), [Free()], [Free(), Free()], ((Free(),), (Free(),))])
def test_nothing_and_all_free_entries_are_the_same_free_slot(written):
    assert parse_slot(written, "here") == Free()


@pytest.mark.parametrize("written", [[1, 2.0], (1.0, 2), np.array([1, 2]), np.array([1.0, 2.0], dtype=np.float32)])
def test_numbers_are_fixed_values_however_they_are_written(written):
    assert parse_slot(written, "here") == Fixed((1.0, 2.0))


@pytest.mark.parametrize("written", [3, 3.0, np.float64(3), np.int32(3), np.array(3.0)])
def test_a_single_number_is_fixed(written):
    assert parse_slot(written, "here") == Fixed(3.0)


def test_free_entries_of_a_fixed_array_are_nan_in_it():
    slot = parse_slot([1.0, Free()], "here")
    np.testing.assert_array_equal(slot.array, [1.0, np.nan])
    assert not slot.is_whole
    assert repr(slot) == "[1.0, Free()]"
    assert parse_slot([1.0, 2.0], "here").is_whole


@pytest.mark.parametrize("slot", [Beta(2, 2), Shared(), Fixed(1.0)])
def test_slots_and_priors_are_taken_as_they_are(slot):
    assert parse_slot(slot, "here") is slot


@pytest.mark.parametrize("written", ["free", {"a": 1}, True, [True], object(), [1.0, "x"], [1.0, None], 1j, 10**400])
def test_anything_else_is_refused_with_the_legal_forms(written):
    with pytest.raises(SpecError, match="here: a slot takes nothing"):
        parse_slot(written, "here")


def test_nan_is_refused_because_free_entries_are_written_out():
    with pytest.raises(SpecError, match=r"here: found NaN .*Free\(\)"):
        parse_slot([1.0, np.nan], "here")


def test_an_empty_array_is_not_a_free_slot():
    with pytest.raises(SpecError, match="here: found the empty array"):
        parse_slot([], "here")


@pytest.mark.parametrize("inner", [None, Free(), [Free(), Free()]])
def test_shared_free_values_have_one_stored_form(inner):
    assert Shared(inner) == Shared()
    assert repr(Shared(inner)) == "Shared()"


def test_shared_holds_fixed_values_and_priors_and_prints_as_its_call():
    assert Shared([1, 2]).inner == Fixed((1.0, 2.0))
    assert repr(Shared(Beta(2, 2), group="items")) == "Shared(Beta(alpha=2.0, beta=2.0), group='items')"
    assert inner_slot(Shared(Beta(2, 2))) == Beta(2, 2)
    assert inner_slot(Shared()) == inner_slot(Free()) == Free()


def test_shared_does_not_nest():
    with pytest.raises(SpecError, match=r"Shared\(Shared"):
        Shared(Shared())


@pytest.mark.parametrize("group", [1, "", ["a"]])
def test_a_group_is_named_by_a_string(group):
    with pytest.raises(SpecError, match="a group is named by a string"):
        Shared(group=group)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Gaussian("x", mean=0), Gaussian("x", mean=[0.0])),
        (Gaussian("x", "y", mean=2.0), Gaussian("x", "y", mean=[2, 2])),
        (Gaussian("x", "y", covariance=3.0), Gaussian("x", "y", covariance=np.diag([3.0, 3.0]))),
        (Gaussian("x", covariance=Shared(2)), Gaussian("x", covariance=Shared([[2.0]]))),
        (Gaussian("x", "y", mean=[Free(), Free()]), Gaussian("x", "y")),
    ],
)
def test_equal_models_are_equal_and_print_equal(one, other):
    assert one == other
    assert hash(one) == hash(other)
    assert repr(one) == repr(other)
