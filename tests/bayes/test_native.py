"""The compiled forms of Ops: the numbers of their NumPy formulas, under every linker, and where there is no density."""

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from helpers_bayes import CASES

from mixtures.bayes import densities, stack
from mixtures.bayes.op import RowMixture, parts_of

MAPS = {
    "simplex": (densities.SimplexMap(), (2,)),
    "simplex of two": (densities.SimplexMap(), (1,)),
    "location": (densities.LocationMap([3.0, -1.0], [0.1, 20.0]), (4, 2)),
    "full": (densities.CovarianceMap([0.5, 2.0, 30.0], "full"), (2, 6)),
    "diagonal": (densities.CovarianceMap([0.5, 2.0, 30.0], "diagonal"), (2, 3)),
    "spherical": (densities.CovarianceMap([2.0, 2.0], "spherical"), (3, 1)),
    "one column": (densities.CovarianceMap([4.0], "full"), (3, 1)),
}
each_map = pytest.mark.parametrize("name", MAPS)


def compare(node, *inputs):
    """The node's compiled form and its formula give the same for these inputs."""
    native = node.op.native(node)
    assert native is not None
    found, expected = native(*inputs), node.op.direct(node)(*inputs)
    found, expected = (one if isinstance(one, (tuple, list)) else [one] for one in (found, expected))
    for mine, theirs in zip(found, expected, strict=True):
        assert np.shape(mine) == np.shape(theirs)
        np.testing.assert_allclose(mine, theirs, rtol=1e-11, atol=1e-11 * max(1.0, np.abs(theirs).max(initial=0.0)))
    return found


def nodes_of(map_, shape):
    ahead = map_.make_node(pt.tensor(dtype="float64", shape=shape))
    gradients = [pt.tensor(dtype="float64", shape=one.type.shape) for one in ahead.outputs]
    return ahead, densities.Pullback(map_).make_node(ahead.inputs[0], *gradients)


@each_map
@pytest.mark.parametrize("seed", range(3))
def test_maps_and_their_pullbacks(name: str, seed: int):
    (map_, shape), rng = MAPS[name], np.random.default_rng(seed)
    ahead, back = nodes_of(map_, shape)
    free = rng.normal(size=shape)
    gradients = [rng.normal(size=one.type.shape) for one in ahead.outputs]
    compare(ahead, free)
    compare(back, free, *gradients)


@each_map
def test_pullbacks_are_derivatives(name: str):
    (map_, shape), rng = MAPS[name], np.random.default_rng(1)
    ahead, back = nodes_of(map_, shape)
    free = rng.normal(size=shape)
    gradients = [rng.normal(size=one.type.shape) for one in ahead.outputs]

    def height(at):
        return sum(float(np.sum(g * value)) for g, value in zip(gradients, map_.ahead(at), strict=True))

    found = compare(back, free, *gradients)[0]
    for index in np.ndindex(*shape):
        h = np.zeros(shape)
        h[index] = 1e-6
        slope = (height(free + h) - height(free - h)) / 2e-6
        assert found[index] == pytest.approx(slope, rel=1e-5, abs=1e-5)


@each_map
def test_coordinates_beyond_what_can_be_exponentiated_have_no_slope(name: str):
    map_, shape = MAPS[name]
    ahead, back = nodes_of(map_, shape)
    gradients = [np.ones(one.type.shape) for one in ahead.outputs]
    with np.errstate(all="ignore"):
        found = compare(back, np.full(shape, 1e3), *gradients)[0]
    assert np.isfinite(found).all()


@pytest.mark.parametrize("name", ["full", "diagonal", "spherical"])
def test_log_jacobians_and_their_sum(name: str):
    map_, shape = MAPS[name]
    free = np.random.default_rng(4).normal(size=shape)
    in_total = map_.in_total()
    found = compare(in_total.make_node(pt.tensor(dtype="float64", shape=shape)), free)
    assert found[1] == pytest.approx(map_.ahead(free)[1].sum(), rel=1e-13)


def test_graphs_do_not_ask_whether_shares_lie_between_0_and_1():
    free = pt.vector("free", shape=(2,))
    shares = densities.SimplexMap()(free)[0]
    asked = pt.or_(pt.any(shares < 0.0), pt.any(shares > 1.0))
    function = pytensor.function([free], [asked, pt.any(shares > 0.5)], mode=stack.sampling_mode())
    names = [str(node.op) for node in function.maker.fgraph.toposort()]
    assert not any(name.startswith(("Lt", "Or")) for name in names), names
    assert sum(name.startswith("Gt") for name in names) == 1, names
    assert [bool(one) for one in function(np.array([3.0, 0.0]))] == [False, True]


DENSITIES = {
    "normal": (densities.normal_density, 1, 2),
    "wishart": (densities.wishart_density, 2, 1),
    "diagonal": (densities.diagonal_density, 2, 1),
    "spherical": (densities.spherical_density, 2, 1),
}


def given(name: str, d: int, rng):
    """Values at which a density is asked for, and the numbers of the prior."""
    a, b = rng.normal(size=(2, 3, d, d + 2))
    covariance, matrix = a @ a.transpose(0, 2, 1), b @ b.transpose(0, 2, 1)
    if name in ("diagonal", "spherical"):
        covariance = covariance * np.eye(d)
    if name == "spherical":
        covariance = covariance[:, :1, :1] * np.eye(d)
    if name == "normal":
        return [rng.normal(size=(3, d)), covariance, rng.normal(size=(3, d)), rng.uniform(0.1, 3.0, size=3)]
    return [covariance, rng.uniform(1.0, 9.0, size=3), matrix]


def node_of(name: str, arrays, total: bool = False):
    function, core, slopes = DENSITIES[name]
    return densities.Density(function, core, slopes, total).make_node(
        *(pt.tensor(dtype="float64", shape=one.shape) for one in arrays)
    )


@pytest.mark.parametrize("total", [False, True])
@pytest.mark.parametrize("name", DENSITIES)
@pytest.mark.parametrize("d", [1, 2, 4])
def test_prior_densities_and_their_slopes(name: str, d: int, total: bool):
    arrays = given(name, d, np.random.default_rng(d))
    compare(node_of(name, arrays, total), *arrays)


@pytest.mark.parametrize("total", [False, True])
@pytest.mark.parametrize("name", DENSITIES)
@pytest.mark.parametrize("broken", [0.0, np.nan, -1.0])
def test_where_one_component_has_no_density_there_is_none(name: str, broken: float, total: bool):
    arrays = given(name, 2, np.random.default_rng(0))
    arrays[name == "normal"][1] = broken * np.eye(2)
    with np.errstate(all="ignore"):
        density, *slopes = compare(node_of(name, arrays, total), *arrays)
    assert np.isneginf(density).all()
    assert not any(slope.any() for slope in slopes)


def test_arrays_of_other_shapes_take_the_formula():
    arrays = given("normal", 2, np.random.default_rng(0))
    arrays[3] = arrays[3][:1]
    node = node_of("normal", arrays)
    assert node.op.native(node) is None


# -- rows -----------------------------------------------------------------------------------------------------------------

SCORED = ["full", "diagonal", "spherical tied", "one column", "patterns with counts"]


def rows_of(name: str):
    case = CASES[name]
    parts = parts_of(case.resolved)
    thetas = [theta[n] for part, theta in zip(parts, case.estimate.thetas, strict=True) for n in part.names]
    return RowMixture(parts), [case.rows.values, case.rows.weights, case.estimate.weights, *thetas]


def compare_rows(op: RowMixture, arrays, monkeypatch: pytest.MonkeyPatch):
    """The compiled forms of rows and of their sum give what NumPy's formulas give; what the first gives."""
    monkeypatch.setenv("MIXTURES_KERNELS", "never")
    results = []
    for total in (False, True):
        one = RowMixture(op.parts, total=total)
        expected, native = one.evaluate(*arrays), one.native()
        assert native is not None
        results.append(native(*arrays))
        for mine, theirs in zip(results[-1], expected, strict=True):
            assert np.shape(mine) == theirs.shape
            np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-9 * max(1.0, np.abs(theirs).max()))
    return results[0]


@pytest.mark.parametrize("name", SCORED)
def test_scores_of_whole_mixtures(name: str, monkeypatch: pytest.MonkeyPatch):
    op, arrays = rows_of(name)
    compare_rows(op, arrays, monkeypatch)
    arrays[1] = np.random.default_rng(0).normal(size=len(arrays[1]))
    compare_rows(op, arrays, monkeypatch)
    arrays[1] = np.where(np.arange(len(arrays[1])) % 3 == 0, 0.0, 1.5)
    compare_rows(op, arrays, monkeypatch)


@pytest.mark.parametrize("name", SCORED)
def test_a_component_of_weight_0_has_no_scores(name: str, monkeypatch: pytest.MonkeyPatch):
    op, arrays = rows_of(name)
    arrays[2] = np.eye(len(arrays[2]))[0]
    found = compare_rows(op, arrays, monkeypatch)
    assert not found[1][1:].any()


@pytest.mark.parametrize("name", SCORED[:4])
@pytest.mark.parametrize("broken", [0.0, np.nan, -1.0])
def test_degenerate_covariances_give_minus_infinity_and_zero_scores(name: str, broken: float):
    op, arrays = rows_of(name)
    arrays[4] = broken * arrays[4]
    native = op.native()
    rows, *scores = native(*arrays)
    assert np.isneginf(rows).all()
    assert not any(score.any() for score in scores)


def test_rows_without_weight_and_density_add_nothing_to_a_sum(monkeypatch: pytest.MonkeyPatch):
    op, arrays = rows_of("full")
    arrays[0], arrays[1] = arrays[0].copy(), arrays[1].copy()
    arrays[0][3], arrays[1][3] = 1e200, 0.0
    found = RowMixture(op.parts, total=True).native()(*arrays)
    kept = [np.delete(arrays[0], 3, axis=0), np.delete(arrays[1], 3), *arrays[2:]]
    assert np.isfinite(found[0])
    assert found[0] == pytest.approx(RowMixture(op.parts, total=True).evaluate(*kept)[0])


def test_probabilities_of_0_and_1_give_rows_that_contradict_them_no_density():
    op, arrays = rows_of("patterns with counts")
    arrays[3] = np.ones_like(arrays[3])
    native = op.native()
    rows = native(*arrays)[0]
    np.testing.assert_array_equal(np.isneginf(rows), ~arrays[0].all(axis=1))


@pytest.mark.parametrize("name", ["product", "missing cells", "labels", "t"])
def test_products_missing_cells_and_families_without_kernels_have_no_such_form(name: str):
    case = CASES[name]
    assert RowMixture(parts_of(case.resolved, case.rows.values)).native() is None


# -- models under PyTensor's linkers ----------------------------------------------------------------------------------------


def value_and_gradient(model: pm.Model, mode):
    function = model.logp_dlogp_function(ravel_inputs=True, mode=mode)
    function.set_extra_values({})
    start = pm.blocking.DictToArrayBijection.map(model.initial_point())
    rng, found = np.random.default_rng(2), []
    for _ in range(3):
        point = pm.blocking.RaveledVars(start.data + 0.3 * rng.normal(size=start.data.shape), start.point_map_info)
        value, gradient = function(point)
        found.append([float(value), *gradient])
    return np.array(found)


@pytest.mark.parametrize("name", SCORED)
def test_models_have_the_same_gradient_with_compiled_nodes(name: str):
    model = CASES[name].model
    plain = value_and_gradient(model, stack.sampling_mode())
    np.testing.assert_allclose(value_and_gradient(model, stack.sampling_mode(native=True)), plain, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["patterns with counts", pytest.param("full", marks=pytest.mark.slow)])
def test_numbas_linker_calls_the_compiled_forms(name: str, monkeypatch: pytest.MonkeyPatch):
    def refuse(self, node, inputs, outputs):
        raise AssertionError(f"{self} ran in Python")

    model = CASES[name].model
    plain = value_and_gradient(model, stack.sampling_mode())
    for op_type in (RowMixture, densities.Density, densities.SimplexMap, densities.Pullback):
        monkeypatch.setattr(op_type, "perform", refuse)
    np.testing.assert_allclose(value_and_gradient(model, "NUMBA"), plain, rtol=1e-9, atol=1e-9)


def test_new_data_are_seen_by_a_compiled_model():
    case = CASES["patterns with counts"]
    model = case.model
    function = pytensor.function(
        model.value_vars, model.logp(jacobian=False), mode=stack.sampling_mode(native=True), on_unused_input="ignore"
    )
    point = [model.initial_point()[v.name] for v in model.value_vars]
    before, old = float(function(*point)), np.array(model["data"].get_value())
    try:
        with model:
            pm.set_data({"data": 1.0 - old})
        assert float(function(*point)) != pytest.approx(before, abs=1e-6)
    finally:
        with model:
            pm.set_data({"data": old})
    assert float(function(*point)) == pytest.approx(before)
