"""Graphs run as NumPy calls give what PyTensor's own Python linker gives."""

import cloudpickle
import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from helpers_bayes import CASES
from pytensor.compile.mode import Mode

import mixtures as mx
from mixtures.bayes import stack
from mixtures.bayes.densities import SimplexMap
from mixtures.bayes.direct import DirectLinker
from mixtures.bayes.metric import sampled_density
from mixtures.em.passes import VARIABLE, Passes


@pytest.mark.parametrize(
    "name", ["full", "diagonal tied", "patterns with counts", "product", "known component", "structures of two kinds"]
)
def test_value_and_gradient_of_a_model_are_those_of_the_python_linker(name):
    model = CASES[name].model
    point = pm.blocking.DictToArrayBijection.map(model.initial_point())
    found = []
    for mode in (stack.sampling_mode(), Mode(linker="py", optimizer="fast_run").excluding("fusion", "inplace")):
        function = model.logp_dlogp_function(ravel_inputs=True, mode=mode)
        function.set_extra_values({})
        found.append([np.array(one) for one in function(point)])
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-13)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-10, atol=1e-11)


x, m, t = pt.vector("x", dtype="float64"), pt.matrix("m", dtype="float64"), pt.tensor3("t", dtype="float64")
GRAPHS = {
    "sums": [x.sum(), m.sum(axis=0), t.sum(axis=(0, 2)), m.max(axis=1), m.prod(), (m > 0).any(axis=0), (m > 0).sum()],
    "shapes": [
        t.transpose(2, 0, 1),
        m[:, None, :] + t,
        x.dimshuffle("x", 0, "x"),
        m[:1].squeeze(),
        m.reshape((3, 2)),
        m.T.flatten(),
    ],
    "places": [x[1:], x[::-1], m[0], m[:, 1:3], m[-1, 0], t[..., 0], x[pt.constant(np.array([2, 0]))]],
    "elements": [
        pt.softplus(x),
        pt.sigmoid(m),
        pt.switch(x > 0, x, 0.0),
        pt.log1p(pt.exp(x)),
        pt.gammaln(x**2 + 1),
        x + m + t,
        x * m * 2,
    ],
    "types": [
        pt.switch(x > 0, 1, 2),
        pt.cast(x, "int64"),
        x.astype("float32") + 1,
        pt.eq(x, 1.0),
        pt.isnan(x),
        pt.ceil(x),
        x // 2,
    ],
    "joins": [
        pt.concatenate([x, x[1:]]),
        pt.stack([x, x], axis=1),
        pt.concatenate([m, m], axis=1),
        pt.as_tensor([x[0], x[1]]),
    ],
    "algebra": [
        pt.dot(m, m.T),
        pt.linalg.cholesky(pt.dot(m, m.T) + pt.eye(2)),
        pt.alloc(x[0], 2, 3),
        pt.set_subtensor(x[0], 7.0),
    ],
    "constants": [pt.constant(2.0), x, pt.constant(np.arange(3.0))],
}


@pytest.mark.parametrize("outputs", GRAPHS.values(), ids=GRAPHS)
def test_every_kind_of_node_gives_the_value_and_the_type_of_the_python_linker(outputs):
    values = {
        "x": np.array([-1.5, 1.0, 2.0]),
        "m": np.array([[1.0, -2.0, 3.0], [0.5, 0.0, -4.0]]),
        "t": np.arange(12.0).reshape(2, 2, 3),
    }
    found = []
    for linker in (DirectLinker(), "py"):
        mode = Mode(linker=linker, optimizer="fast_run").excluding("fusion", "inplace")
        function = pytensor.function([x, m, t], outputs, mode=mode, on_unused_input="ignore")
        found.append(function(*values.values()))
    for mine, theirs in zip(*found, strict=True):
        assert isinstance(mine, np.ndarray)
        assert mine.dtype == theirs.dtype
        np.testing.assert_allclose(mine, theirs, rtol=1e-14)


@pytest.mark.parametrize(
    ("broadcastable", "order"),
    [
        ((), ("x", "x")),
        ((False,), ("x", 0, "x")),
        ((False, True), (0,)),
        ((True, False), (1, "x")),
        ((True, True), ()),
        ((True, False, True, False), ("x", 1, 3)),
        ((False, True, False), (2, "x", 0)),
        ((False, False, True), ("x", 1, 0)),
        ((True, True, False), (0, "x", 2, 1)),
    ],
)
def test_axes_are_dropped_turned_and_put_in_as_by_pytensor(broadcastable, order):
    variable = pt.tensor(dtype="float64", shape=tuple(1 if one else None for one in broadcastable))
    value = np.random.default_rng(1).random([1 if one else 2 + i for i, one in enumerate(broadcastable)])
    mine, theirs = (
        pytensor.function([variable], variable.dimshuffle(*order), mode=Mode(linker=linker, optimizer=None))(value)
        for linker in (DirectLinker(), "py")
    )
    np.testing.assert_array_equal(mine, theirs, strict=True)


def test_axes_of_another_length_are_not_dropped():
    matrix = pt.matrix()
    function = pytensor.function([matrix], matrix.dimshuffle(0), mode=Mode(linker=DirectLinker(), optimizer=None))
    np.testing.assert_array_equal(function(np.ones((3, 1))), np.ones(3))
    with pytest.raises(ValueError, match="size not equal to one"):
        function(np.ones((2, 3)))


def test_compiled_functions_take_sums_without_axes():
    free, factor = pt.vector(shape=(2,)), pt.vector()
    slope = pt.grad(SimplexMap()(free)[1] * factor.sum(), free)
    values = (np.array([0.3, -0.2]), np.array([1.0, 2.0]))
    found = [
        pytensor.function([free, factor], slope, mode=Mode(linker=linker, optimizer=None))(*values)
        for linker in (DirectLinker(native=True), "py")
    ]
    np.testing.assert_allclose(*found, rtol=1e-12)


@pytest.fixture
def pair(monkeypatch):
    """A model of two blocks with kernels, its sampled density, and a point."""
    monkeypatch.setenv(VARIABLE, "always")
    rng = np.random.default_rng(1)
    data = {"x": rng.normal(size=50), "b": rng.integers(2, size=50)}
    model = mx.compile_pymc(mx.Mixture(mx.Gaussian("x") * mx.Bernoulli("b"), n_components=2), data)
    density = sampled_density(model, stack.sampling_mode(native=True))
    return density, pm.blocking.DictToArrayBijection.map(model.initial_point())


def test_a_density_that_was_pickled_is_the_same_and_binds_its_rows_once(pair, monkeypatch):
    density, point = pair
    again, made = cloudpickle.loads(cloudpickle.dumps(density, -1)), []
    monkeypatch.setattr(Passes, "__post_init__", _counting(Passes.__post_init__, made))
    for _ in range(3):
        for mine, theirs in zip(again(point), density(point), strict=True):
            np.testing.assert_array_equal(mine, theirs)
    assert len(made) == 2  # one each


def _counting(function, made):
    def call(self):
        made.append(self)
        function(self)

    return call


def test_graphs_of_compiled_functions_do_without_an_error_state_and_do_not_warn():
    model = CASES["full"].model
    quiet, loud = (sampled_density(model, stack.sampling_mode(native=native)) for native in (True, False))
    assert "errstate" not in quiet._pytensor_function._graph.__code__.co_names
    assert "errstate" in loud._pytensor_function._graph.__code__.co_names
    point = pm.blocking.DictToArrayBijection.map(model.initial_point())
    rng = np.random.default_rng(2)
    for size in (1.0, 30.0, 400.0, 1e5):
        at = point._replace(data=size * rng.normal(size=len(point.data)))
        with np.errstate(all="raise"):
            value, slope = quiet(at)
        assert value < np.inf
        assert np.isfinite(slope).all()


def test_an_error_in_a_node_names_the_graph():
    function = pytensor.function([m], pt.linalg.inv(m), mode=Mode(linker=DirectLinker(), optimizer=None))
    with pytest.raises(np.linalg.LinAlgError):
        function(np.zeros((2, 2)))
