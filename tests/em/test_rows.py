"""Weights of rows, labels of all rows and rows without any cell, for every family there is."""

import numpy as np
import pytest

import mixtures as mx
from mixtures.families.registry import family_class, family_names
from mixtures.testing import Case, variants

FAMILIES = [family_class(name) for name in family_names() if name not in ("Labels", "Uniform")]
BLOCKS = [block for family in FAMILIES for block in (variants(family)[0], variants(family)[-1].replace(name="last"))]
BLOCKS = [
    block for block in BLOCKS if not any("Free()" in repr(slot) for slot in block.slots.values() if "[" in repr(slot))
]


def data_of(block):
    case = Case.of(block, seed=21, n=80)
    return dict(zip(block.columns, case.x.T, strict=True)), case.z


def same(a, b, tolerance=1e-9):
    assert a.log_likelihood == pytest.approx(b.log_likelihood, rel=tolerance, abs=tolerance)
    for name, value in a.point.items():
        np.testing.assert_allclose(value, b.point[name], rtol=tolerance, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("block", BLOCKS, ids=repr)
def test_a_weight_of_two_is_the_row_twice_and_none_its_absence(block):
    data, _ = data_of(block)
    v = np.resize([2, 1, 0, 1], 80)
    spec = mx.Mixture(block, 2)
    twice = {name: np.repeat(x, v) for name, x in data.items()}
    weighted = mx.fit(spec, data, sample_weight=v, estimate="map", starts=6, rng=1)
    same(weighted, mx.fit(spec, twice, sample_weight=np.ones(v.sum()), estimate="map", starts=6, rng=1))


@pytest.mark.parametrize("block", BLOCKS, ids=repr)
def test_labels_for_every_row_are_the_fits_of_the_labelled_rows(block):
    """Where components share nothing, each has the estimate of its own rows; weights are shares."""
    if any(block.is_shared(parameter.name) or parameter.domain.is_coupled for parameter in block.parameters):
        pytest.skip("components share a value")
    data, z = data_of(block)
    labelled = mx.fit(mx.Mixture(block * mx.Labels("z"), 2), {**data, "z": z.astype(float)}, starts=2, rng=1)
    np.testing.assert_allclose(labelled.point["weights"], np.bincount(z) / len(z), rtol=1e-9)
    for k in range(2):
        own = mx.fit(mx.Mixture(block, 1), {name: x[z == k] for name, x in data.items()}, starts=2, rng=1)
        for name, value in own.point.items():
            if name != "weights":
                np.testing.assert_allclose(labelled.point[name][k], value[0], rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.may_miss], ids=repr)
def test_a_row_without_any_cell_leaves_the_fit_unchanged(block):
    data, _ = data_of(block)
    spec = mx.Mixture(block, 2)
    more = {name: np.append(x, np.nan) for name, x in data.items()}
    fits = [mx.fit(spec, rows, estimate="map", starts=6, rng=1) for rows in (data, more)]
    same(*fits)
    assert fits[1].n_rows == 80
