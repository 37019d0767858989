"""Compiled passes give the numbers of the NumPy program, on any mixture, any number of threads, and with or without a cache."""

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mixtures as mx
from mixtures.bayes.op import RowMixture, parts_of
from mixtures.data import read_rows
from mixtures.em import passes
from mixtures.em.passes import VARIABLE
from mixtures.em.program import Params, Program
from mixtures.families.base import DegenerateComponentError
from mixtures.kernels import bound, fetching
from mixtures.kernels.bound import WIDEST_STEP
from mixtures.kernels.softmax import TILE

SPECS = {
    "one normal column": lambda k: mx.Mixture(mx.Gaussian("x0"), n_components=k),
    "full": lambda k: mx.Mixture(mx.Gaussian("x0", "x1", "x2"), n_components=k),
    "full, tied": lambda k: mx.Mixture(mx.Gaussian("x0", "x1", "x2", covariance=mx.Shared()), n_components=k),
    "diagonal": lambda k: mx.Mixture(mx.Gaussian("x0", "x1", "x2", structure="diagonal"), n_components=k),
    "spherical": lambda k: mx.Mixture(mx.Gaussian("x2", "x0", structure="spherical"), n_components=k),
    "items": lambda k: mx.Mixture(mx.Bernoulli("b0", "b1", "b2"), n_components=k),
    "eleven items": lambda k: mx.Mixture(mx.Bernoulli(*[f"b{j}" for j in range(11)]), n_components=k),
    "product": lambda k: mx.Mixture(mx.Gaussian("x0", "x1") * mx.Bernoulli("b0", "b1"), n_components=k),
    "two blocks": lambda k: mx.Mixture(
        mx.Gaussian("x0", "x1", name="first") * mx.Gaussian("x2", name="second"), n_components=k
    ),
    "list": lambda k: mx.Mixture(
        [mx.Gaussian("x0", "x1", prior=mx.NormalInverseWishart(kappa=0.5))] + [mx.Gaussian("x0", "x1")] * (k - 1)
    ),
}


@st.composite
def problems(draw):
    name = draw(st.sampled_from(sorted(SPECS)))
    spec = SPECS[name](draw(st.integers(2, 5)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.sampled_from([2, 7, 255, 256, 257, 2047, 5000]))
    n = max(n, 12)
    offset, unit = draw(st.sampled_from([(0.0, 1.0), (1e6, 1.0), (0.0, 1e-8), (-3.0, 1e8)]))
    data = {f"x{j}": unit * (rng.normal(size=n) * 2.0 + 3.0 * rng.integers(2, size=n) + offset) for j in range(3)}
    data |= {f"b{j}": rng.integers(2, size=n).astype(float) for j in range(11)}
    weights = draw(st.sampled_from([None, "counts", "fractions"]))
    if weights is not None:
        data["w"] = rng.integers(0, 3, n).astype(float) if weights == "counts" else rng.random(n)
        data["w"][:12] = 1.0
    return spec, data, None if weights is None else "w", rng


def both(spec, data, weights, threads=2):
    rows = spec.rows(data, sample_weight=weights)
    resolved = spec.resolve(rows)
    programs = []
    for asked in ("never", "always"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(VARIABLE, asked)
            programs.append(Program(resolved, rows, threads=threads))
            assert (programs[-1].passes is None) == (asked == "never")
    return programs


def some_point(program, rng):
    R = rng.dirichlet(np.full(program.n_components, 0.5), size=len(program.v))
    return program.from_responsibilities(R)


def same_point(mine, theirs):
    np.testing.assert_allclose(mine.weights, theirs.weights, rtol=1e-10)
    for own, other in zip(mine.thetas, theirs.thetas, strict=True):
        for name, value in other.items():
            np.testing.assert_allclose(own[name], value, rtol=1e-8, atol=1e-9 * np.abs(value).max(), err_msg=name)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(problems())
def test_kernels_and_formulas_agree(problem):
    spec, data, weights, rng = problem
    slow, fast = both(spec, data, weights)
    p = some_point(slow, rng)
    a, b = slow.evaluate(p), fast.evaluate(p)
    size = slow.v @ np.abs(slow.row_log_likelihood(p))
    assert abs(a.log_likelihood - b.log_likelihood) <= 1e-12 * size
    np.testing.assert_allclose(b.mass, a.mass, rtol=1e-10)
    for mine, theirs in zip(b.statistics, a.statistics, strict=True):
        for name, value in theirs.items():
            np.testing.assert_allclose(mine[name], value, rtol=1e-9, atol=1e-10 * np.abs(value).max(), err_msg=name)
    same_point(fast.m_step(b, p), slow.m_step(a, p))
    apart = fast.passes.evaluate(p.weights, p.thetas)  # what `evaluate` does where one call does not do everything
    assert abs(apart[0] - a.log_likelihood) <= 1e-12 * size
    np.testing.assert_allclose(apart[1], a.mass, rtol=1e-10)
    np.testing.assert_allclose(fast.responsibilities(p), slow.responsibilities(p), rtol=0, atol=1e-10)
    np.testing.assert_allclose(fast.row_log_likelihood(p), slow.row_log_likelihood(p), rtol=1e-10, atol=1e-10)
    one = both(spec, data, weights, threads=1)[1].evaluate(p)
    assert one.log_likelihood == b.log_likelihood
    np.testing.assert_array_equal(one.mass, b.mass)


IN_ONE_CALL = {
    "one column": mx.Gaussian("x0"),
    "two columns": mx.Gaussian("x0", "x1"),
    "five columns": mx.Gaussian("x0", "x1", "x2", "x3", "x4"),
    "diagonal": mx.Gaussian("x0", "x1", "x2", structure="diagonal"),
    "items": mx.Bernoulli(*[f"b{j}" for j in range(11)]),
}


def unrestricted(family, n=300, threads=2):
    rng = np.random.default_rng(n)
    data = {f"x{j}": rng.normal(size=n) + 3.0 * rng.integers(2, size=n) for j in range(5)} | {"w": rng.random(n) + 0.1}
    data |= {f"b{j}": rng.integers(2, size=n).astype(float) for j in range(11)}
    slow, fast = both(mx.Mixture(family, n_components=3), data, "w", threads)
    return slow, fast, some_point(slow, rng)


@pytest.mark.parametrize("name", IN_ONE_CALL)
def test_steps_in_one_call_are_those_of_the_formulas(name):
    slow, fast, p = unrestricted(IN_ONE_CALL[name])
    for _ in range(5):
        a, b = slow.evaluate(p), fast.evaluate(p)
        assert a.best is None
        assert b.best is not None
        assert abs(a.log_likelihood - b.log_likelihood) <= 1e-12 * abs(a.log_likelihood)
        p = slow.m_step(a, p)
        same_point(b.best, p)


def at_once(task, tasks, threads):
    """As `run`, with all threads known to be running when the first task begins."""
    ready = threading.Barrier(tasks)

    def one(index):
        ready.wait()
        task(index)

    with ThreadPoolExecutor(tasks) as pool:
        list(pool.map(one, range(tasks)))


@pytest.mark.parametrize("name", IN_ONE_CALL)
def test_steps_in_one_call_have_the_same_bits_on_any_number_of_threads(name, monkeypatch):
    monkeypatch.setattr(passes, "PER_THREAD", 1000)
    monkeypatch.setattr(passes, "CHUNK", 1000)
    monkeypatch.setattr(bound, "run", at_once)
    found = {}
    for threads in (1, 2, 3, 7):
        slow, program, p = unrestricted(IN_ONE_CALL[name], n=50_003, threads=threads)
        assert len(program.passes._chunks) >= 8
        for _ in range(20):
            evaluation = program.evaluate(p)
            now = [evaluation.log_likelihood, evaluation.mass, *evaluation.statistics[0].values()]
            now += [evaluation.best.weights, *evaluation.best.thetas[0].values()]
            for mine, theirs in zip(now, found.setdefault("first", now), strict=True):
                np.testing.assert_array_equal(mine, theirs)
    value = slow.evaluate(p).log_likelihood
    assert abs(found["first"][0] - value) <= 1e-12 * abs(value)


def test_a_step_in_one_call_starts_no_more_threads_than_it_has_chunks(monkeypatch):
    monkeypatch.setattr(passes, "PER_THREAD", 100)
    monkeypatch.setattr(passes, "CHUNK", 1000)
    asked = []
    monkeypatch.setattr(bound, "run", lambda task, tasks, threads: (asked.append((tasks, threads)), task(0)))
    _, program, p = unrestricted(IN_ONE_CALL["two columns"], n=600, threads=16)
    assert len(program.passes._chunks) == 3
    assert program.evaluate(p).best is not None
    assert asked == [(3, 3)]


@pytest.mark.parametrize(
    "restricted", ["map", "tied", "spherical", "fixed weights", "fixed mean", "EVI", "long passes", "wide"]
)
def test_restricted_wide_and_long_ones_take_their_steps_apart(restricted, monkeypatch):
    options = {
        "tied": {"covariance": mx.Shared()},
        "spherical": {"structure": "spherical"},
        "fixed mean": {"mean": [0.0, mx.Free()]},
        "EVI": {"structure": "EVI"},
    }
    weights = {"weights": [0.2, 0.3, 0.5]} if restricted == "fixed weights" else {}
    columns = [f"x{j}" for j in range(WIDEST_STEP + 1 if restricted == "wide" else 2)]
    spec = mx.Mixture(mx.Gaussian(*columns, **options.get(restricted, {})), n_components=3, **weights)
    rng, n = np.random.default_rng(1), 3000
    data = {name: rng.normal(size=n) + 3.0 * rng.integers(2, size=n) for name in columns}
    monkeypatch.setenv(VARIABLE, "always")
    if restricted == "long passes":
        monkeypatch.setattr(passes, "LONGEST", 1000)
    rows = spec.rows(data)
    program = Program(spec.resolve(rows), rows, "map" if restricted == "map" else "mle")
    p = program.m_step(program.evaluate(program.neutral()), program.neutral())
    assert program.evaluate(p).best is None


@pytest.mark.parametrize("name", IN_ONE_CALL)
def test_components_that_empty_are_left_to_the_formulas(name):
    slow, fast, p = unrestricted(IN_ONE_CALL[name])
    empty = Params(np.array([0.4, 0.0, 0.6]), p.thetas)
    assert fast.evaluate(empty).best is None
    same_point(fast.m_step(fast.evaluate(empty), empty), slow.m_step(slow.evaluate(empty), empty))


@pytest.mark.parametrize("name", [name for name in IN_ONE_CALL if name != "items"])
def test_components_that_collapse_are_left_to_the_formulas(name):
    slow, fast, p = unrestricted(IN_ONE_CALL[name])
    covariance = p.thetas[0]["covariance"].copy()
    covariance[2] = 0.0
    for program in (slow, fast):
        with pytest.raises(DegenerateComponentError, match="2"):
            program.evaluate(Params(p.weights, ({**p.thetas[0], "covariance": covariance},)))


@pytest.mark.parametrize(
    ("n", "d", "k"), [(13, 1, 2), (257, 70, 3), (259, 64, 4), (1001, 65, 5), (512, 8, 8), (513, 130, 9)]
)
def test_items_of_more_than_one_word_and_components_that_fill_no_place_side_by_side(n, d, k):
    rng = np.random.default_rng(d)
    spec = mx.Mixture(mx.Bernoulli(*[f"b{j}" for j in range(d)]), n_components=k)
    data = {f"b{j}": rng.integers(2, size=n).astype(float) for j in range(d)} | {"w": rng.random(n) + 0.1}
    slow, fast = both(spec, data, "w")
    p = some_point(slow, rng)
    a, b = slow.evaluate(p), fast.evaluate(p)
    assert abs(a.log_likelihood - b.log_likelihood) <= 1e-12 * abs(a.log_likelihood)
    for name, value in a.statistics[0].items():
        np.testing.assert_allclose(b.statistics[0][name], value, rtol=1e-11, atol=1e-12 * n, err_msg=name)
    same_point(b.best, slow.m_step(a, p))
    np.testing.assert_allclose(fast.responsibilities(p), slow.responsibilities(p), rtol=0, atol=1e-12)


@pytest.mark.parametrize("possible", [True, False])
def test_items_that_a_component_always_or_never_has(possible):
    slow, fast, p = unrestricted(IN_ONE_CALL["items"])
    probability = p.thetas[0]["probability"].copy()
    probability[0, :3], probability[1, :3] = 1.0, 0.0
    if not possible:
        probability[2, :2] = 0.0, 1.0
    p = Params(p.weights, ({"probability": probability},))
    a, b = slow.evaluate(p), fast.evaluate(p)
    assert (a.log_likelihood > -np.inf) == possible
    assert a.log_likelihood == pytest.approx(b.log_likelihood, rel=1e-12)
    same_point(fast.m_step(b, p), slow.m_step(a, p))


LAYOUTS = {
    "columns one after the other": np.asfortranarray,
    "every other row": lambda x: np.repeat(x, 2, axis=0)[::2],
    "backwards": lambda x: np.ascontiguousarray(x[::-1])[::-1],
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["one normal column", "full", "diagonal", "product"])
def test_rows_and_weights_of_any_layout_give_the_same_bits(name, layout):
    rng, n = np.random.default_rng(7), 700
    data = {f"x{j}": rng.normal(size=n) for j in range(3)}
    data |= {f"b{j}": rng.integers(2, size=n).astype(float) for j in range(11)} | {"w": rng.random(n) + 0.1}
    program = both(SPECS[name](3), data, "w")[1]
    given_, p = program.passes, some_point(program, rng)
    other = given_.on(LAYOUTS[layout](given_.values), LAYOUTS[layout](given_.v))
    value, mass, statistics = given_.evaluate(p.weights, p.thetas)
    again, their_mass, theirs = other.evaluate(p.weights, p.thetas)
    assert again == value
    np.testing.assert_array_equal(their_mass, mass)
    for mine, own in zip(statistics, theirs, strict=True):
        for key in mine:
            np.testing.assert_array_equal(own[key], mine[key], err_msg=key)


@pytest.mark.parametrize(("columns", "n"), [(1, 600_100), (2, 300_100), (3, 200_100)])
def test_rows_fetched_ahead_from_memory_give_the_numbers_of_formulas(columns, n):
    rng = np.random.default_rng(columns)
    x = rng.normal(size=(n, columns)) + 3.0 * rng.integers(2, size=(n, 1))
    assert x.nbytes > fetching.SMALL  # below nothing is fetched ahead
    spec = mx.Mixture(mx.Gaussian(*(f"x{j}" for j in range(columns))), n_components=2)
    slow, fast = both(spec, x, None)
    start = {
        "mean": np.array([[0.0], [3.0]]) + np.zeros(columns),
        "covariance": np.array([np.eye(columns)] * 2),
    }
    p = slow.to_standard(Params(np.full(2, 0.5), (start,)))
    a, b = slow.evaluate(p), fast.evaluate(p)
    assert abs(a.log_likelihood - b.log_likelihood) <= 1e-12 * abs(a.log_likelihood)
    for name, value in a.statistics[0].items():
        np.testing.assert_allclose(b.statistics[0][name], value, rtol=1e-10, atol=1e-10 * n, err_msg=name)
    apart = fast.passes.evaluate(p.weights, p.thetas)[0]
    for layout in LAYOUTS.values():
        moved = fast.passes.on(layout(fast.passes.values), fast.passes.v)
        assert moved.evaluate(p.weights, p.thetas)[0] == apart
        assert moved.step(p.weights, p.thetas)[0] == b.log_likelihood


@pytest.mark.parametrize(
    ("shape", "order", "used"),
    [((400_000, 2), "C", [0, 1]), ((300_000, 3), "C", [2, 0]), ((600_000, 1), "C", [0]), ((400_000, 2), "F", [1, 0])],
)
def test_all_parts_together_fetch_the_lines_of_the_tile_ahead(shape, order, used, monkeypatch):
    values, columns, parts, asked = np.empty(shape, order=order), np.array(used), 7, []
    monkeypatch.setattr(fetching, "_ask", lambda _, offset: asked.append(int(offset)))
    lines = fetching.fetched_lines.py_func(values, columns, parts)
    assert 0 < lines <= fetching.AT_ONCE * parts
    begin = 100 * TILE
    for part in range(parts):
        fetching.fetch.py_func(values, columns, begin, lines, part, parts)
    assert len(asked) == len(set(asked)) == lines
    rows = np.arange(begin + fetching.DISTANCE * TILE, begin + (fetching.DISTANCE + 1) * TILE)
    wanted = rows[:, None] * values.strides[0] + columns * values.strides[1]
    fetched = np.array(sorted(asked))
    near = fetched[np.searchsorted(fetched, wanted, side="right") - 1]
    assert np.all((wanted - near >= 0) & (wanted - near < fetching.LINE))
    asked.clear()
    fetching.fetch.py_func(
        values, columns, shape[0] - 2 * TILE, lines, 0, parts
    )  # nothing lies ahead of the last tiles
    assert not asked


def test_nothing_is_fetched_ahead_of_small_or_wide_or_turned_rows():
    lines = fetching.fetched_lines.py_func
    one = np.array([0])
    assert lines(np.empty((1000, 1)), one, 7) == 0
    assert lines(np.empty((100_000, 50)), one, 7) == 0
    assert lines(np.empty((600_000, 2))[::-1], one, 7) == 0
    assert lines(np.broadcast_to(1.0, (10_000_000, 1)), one, 7) == 0


@pytest.mark.parametrize("name", sorted(SPECS))
def test_many_chunks_give_the_same_on_any_number_of_threads(name, monkeypatch):
    monkeypatch.setattr(passes, "CHUNK", 1)
    monkeypatch.setattr(passes, "PER_THREAD", 1)
    rng, n = np.random.default_rng(5), 5000
    data = {f"x{j}": rng.normal(size=n) for j in range(3)}
    data |= {f"b{j}": rng.integers(2, size=n).astype(float) for j in range(11)}
    programs = [both(SPECS[name](3), data, None, threads) for threads in (1, 2, 3)]
    p = some_point(programs[0][0], rng)
    slow, one = programs[0][0].evaluate(p), programs[0][1].evaluate(p)
    assert len(programs[0][1].passes._chunks) > 1 or name == "items"  # eight patterns
    assert abs(one.log_likelihood - slow.log_likelihood) <= 1e-12 * abs(slow.log_likelihood)
    for _, program in programs[1:]:
        other = program.evaluate(p)
        assert other.log_likelihood == one.log_likelihood
        np.testing.assert_array_equal(other.mass, one.mass)
        for mine, theirs in zip(other.statistics, one.statistics, strict=True):
            for key, value in theirs.items():
                np.testing.assert_array_equal(mine[key], value, err_msg=key)


@settings(max_examples=80)
@given(
    st.integers(1, 7),
    st.sampled_from([1, 255, 256, 700]),
    st.sampled_from([1.0, 30.0, 300.0, 2000.0]),
    st.sampled_from([None, 0.0, 1.0, 2.5]),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_soft_max_is_scipys_however_far_entries_lie_apart(k, n, spread, weight, alone, seed):
    from scipy.special import logsumexp
    from scipy.special import softmax as scipy_softmax

    from mixtures.kernels.softmax import ROW, softmax

    rng = np.random.default_rng(seed)
    entries = rng.normal(size=(n, k)) * spread * rng.integers(0, 2, size=(n, 1)) + rng.normal(size=(n, k))
    if k > 1:
        entries[rng.integers(n, size=2), rng.integers(k)] = -np.inf
    v = rng.integers(0, 3, n).astype(float) if weight is None else np.broadcast_to(weight, n)
    joint, rows, mass = np.zeros((-(-n // TILE), k, ROW)), np.empty(n if alone else 0), np.zeros(k)
    for tile, own in enumerate(joint):
        part = entries[tile * TILE : (tile + 1) * TILE]
        own[:, : len(part)] = part.T
    total = softmax(joint, v, 0, n, rows, mass)
    values, shares = logsumexp(entries, axis=1), scipy_softmax(entries, axis=1)
    found = joint[:, :, :TILE].transpose(0, 2, 1).reshape(-1, k)[:n]
    if alone:
        np.testing.assert_allclose(rows, values, rtol=1e-14, atol=3e-14)
    np.testing.assert_allclose(found, shares * v[:, None], rtol=1e-12, atol=1e-200)
    np.testing.assert_allclose(mass, (shares * v[:, None]).sum(axis=0), rtol=1e-12, atol=1e-200)
    assert abs(total - v @ values) <= 1e-13 * (v @ np.abs(values)) + 1e-13


def test_four_rows_whose_first_entry_is_as_small_as_it_may_be_share_a_logarithm():
    from mixtures.kernels.softmax import NEAR, ROW, softmax

    k, n = 40, 256
    joint, mass = np.zeros((1, k, ROW)), np.zeros(k)
    joint[0, 0] = -NEAR
    total = softmax(joint, np.broadcast_to(1.0, n), 0, n, np.empty(0), mass)
    assert total == pytest.approx(n * np.log(k - 1 + np.exp(-NEAR)), rel=1e-14)
    np.testing.assert_allclose(mass, n * np.r_[np.exp(-NEAR), np.ones(k - 1)] / (k - 1), rtol=1e-13)


def test_an_impossible_row_has_density_minus_infinity_and_no_responsibilities():
    spec = SPECS["items"](2)
    data = {f"b{j}": np.array([0.0, 1.0, 1.0, 0.0]) for j in range(3)}
    slow, fast = both(spec, data, None)
    p = Params(np.array([0.5, 0.5]), ({"probability": np.zeros((2, 3))},))
    for program in (slow, fast):
        np.testing.assert_array_equal(np.isfinite(program.row_log_likelihood(p)), program.rows.values[:, 0] == 0)
        assert program.evaluate(p).log_likelihood == -np.inf
        assert np.all(program.responsibilities(p)[program.rows.values[:, 0] == 1] == 0)


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(problems())
def test_the_likelihood_node_of_pymc_gives_the_same_with_kernels(problem):
    spec, data, weights, rng = problem
    rows = spec.rows(data, sample_weight=weights)
    program = Program(spec.resolve(rows), rows)
    p = program.to_data(some_point(program, rng))
    arrays = [theta[name] for part, theta in zip(parts_of(spec), p.thetas, strict=True) for name in part.names]
    signed = rows.weights * np.where(rng.random(len(rows.weights)) < 0.2, -1.0, 1.0)
    for v in (rows.weights, signed):
        found = []
        for asked in ("never", "always"):
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv(VARIABLE, asked)
                found.append(RowMixture(parts_of(spec)).evaluate(rows.values, v, p.weights, *arrays))
        for slow, fast in zip(*found, strict=True):
            np.testing.assert_allclose(fast, slow, rtol=1e-7, atol=1e-7 * max(1e-300, np.abs(slow).max()))


def test_the_likelihood_node_sees_rows_that_change_in_place(monkeypatch):
    monkeypatch.setenv(VARIABLE, "always")
    spec, rng = SPECS["eleven items"](2), np.random.default_rng(1)
    op, x, v = RowMixture(parts_of(spec)), rng.integers(2, size=(50, 11)).astype(float), np.ones(50)
    arrays = (np.array([0.3, 0.7]), rng.random((2, 11)))
    before = op.evaluate(x, v, *arrays)[0]
    x[:] = 1.0 - x
    after = op.evaluate(x, v, *arrays)[0]
    assert not np.allclose(before, after)
    np.testing.assert_allclose(after, RowMixture(parts_of(spec)).evaluate(x.copy(), v, *arrays)[0])


def test_the_switch_has_two_settings(monkeypatch):
    monkeypatch.setenv(VARIABLE, "sometimes")
    with pytest.raises(mx.SpecError, match="legal are 'always' and 'never'"):
        mx.fit(SPECS["full"](2), {f"x{j}": np.random.default_rng(j).normal(size=50) for j in range(3)})


def test_small_data_compile_nothing():
    code = (
        "import sys\nimport mixtures as mx\n"
        "mx.fit(mx.Mixture(mx.Gaussian('eruptions', 'waiting'), n_components=3), mx.load_dataset('old_faithful'), starts=5)\n"
        "assert not {'numba', 'llvmlite', 'mixtures.kernels.bound'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


LARGE = """
import numpy as np, mixtures as mx
rng = np.random.default_rng(1)
x = np.concatenate([rng.normal(size=(150_000, 2)), rng.normal(size=(150_000, 2)) + 3.0])
spec = mx.Mixture(mx.Gaussian("x", "y"), n_components=2)
"""


def test_without_a_place_for_machine_code_it_is_compiled_anew():
    code = LARGE + (
        "from mixtures.kernels import compiling\n"
        "assert compiling.cache_directory() is None\n"
        "print(mx.compile_em(spec, x[::30]).log_likelihood(mx.fit(spec, x[::30], starts=1, rng=1).point))\n"
    )
    nowhere = dict.fromkeys(("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "HOME"), "/proc/nowhere")
    env = os.environ | nowhere | {VARIABLE: "always"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert np.isfinite(float(done.stdout))


def test_threads_before_and_after_forked_chains_never_hang():
    code = LARGE + (
        "first = mx.fit(spec, x, starts=2, rng=1)\n"
        "draws = mx.sample(spec, x[::60], draws=5, tune=5, chains=2, cores=2, rng=1)\n"
        "again = mx.fit(spec, x, starts=2, rng=1)\n"
        "assert first.log_likelihood == again.log_likelihood\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_ctrl_c_in_threads_returns_the_best_so_far():
    code = LARGE + (
        "class Talking(mx.EM):\n"
        "    def cycle(self, run):\n"
        "        super().cycle(run)\n"
        "        print(len(run.history), flush=True)\n"
        "x = np.concatenate([x, x + 0.5])\n"
        "found = mx.fit(mx.Mixture(mx.Gaussian('x', 'y'), n_components=6), x, starts=1, rng=1, method=Talking(10**9), threads=2)\n"
        "print(found.status.name, found.log_likelihood)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if line.strip() == "5":
                break
        process.send_signal(signal.SIGINT)
        out = process.communicate(timeout=120)[0].splitlines()[-1]
    assert out.startswith("INTERRUPTED -"), out
    assert process.returncode == 0


@pytest.mark.parametrize(("family", "compiled"), [(mx.Poisson("x"), False), (mx.Gaussian("x"), True)])
def test_families_without_compiled_functions_keep_numpys_formulas(family, compiled, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("MIXTURES_KERNELS", raising=False)
    x = np.random.default_rng(0).poisson(3.0, size=(200_000, 1)).astype(float)
    spec = mx.Mixture(family, n_components=2)
    rows = read_rows(x, ["x"], merge=False)
    assert (Program(spec.resolve(rows), rows).passes is not None) == compiled
    monkeypatch.setenv("MIXTURES_KERNELS", "always")
    assert Program(spec.resolve(rows), rows).passes is not None
