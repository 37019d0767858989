"""What formulas make of rows alone is kept for rows that nobody can change, and no longer than they live."""

import gc
import weakref

import numpy as np

import mixtures as mx
from mixtures.families.kept import once_for_rows


def counted():
    calls = []

    @once_for_rows
    def total(x):
        calls.append(x.shape)
        return float(x.sum())

    return total, calls


def fixed(x: np.ndarray) -> np.ndarray:
    x = np.array(x)
    x.setflags(write=False)
    return x


def test_results_are_kept_for_rows_that_cannot_change():
    total, calls = counted()
    x, other = fixed(np.ones((3, 2))), fixed(np.ones((4, 2)))
    assert [total(x), total(other), total(x), total(other)] == [6.0, 8.0, 6.0, 8.0]
    assert calls == [(3, 2), (4, 2)]


def test_rows_that_can_change_are_read_again():
    total, calls = counted()
    x = np.ones((3, 2))
    view = x[:2]
    view.setflags(write=False)
    before = total(x), total(view)
    x[0, 0] = 5.0
    assert before == (6.0, 4.0)
    assert (total(x), total(view)) == (10.0, 8.0)
    assert len(calls) == 4


def test_nothing_keeps_rows_alive():
    block, theta = mx.Bernoulli("a", "b"), {"probability": np.array([[0.2, 0.7], [0.6, 0.1]])}
    for cells in ([[0.0, 1.0], [1.0, 1.0]], [[0.0, np.nan], [1.0, 1.0]]):
        x = fixed(np.array(cells))
        density = block.log_density(x, theta)
        np.testing.assert_array_equal(block.log_density(x, theta), density)
        np.testing.assert_array_equal(block.log_density(x.copy(), theta), density)
        seen = weakref.ref(x)
        del x
        gc.collect()
        assert seen() is None
