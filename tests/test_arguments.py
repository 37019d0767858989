"""Wrong types and numbers are refused at the door: what was found and what to pass, never a traceback from within."""

import numpy as np
import pytest

import mixtures as mx
from mixtures.plots import plot_fit

DATA = {"x": np.r_[np.linspace(-1.0, 1.0, 20), np.linspace(5.0, 7.0, 20)]}
SPEC = mx.Mixture(mx.Gaussian("x"), n_components=2)
THREE = mx.Mixture(mx.Gaussian("x"), n_components=3)


@pytest.fixture(scope="module")
def fitted():
    return mx.fit(SPEC, DATA, starts=3, rng=1)


@pytest.mark.parametrize("wrong", [3, None, "waiting", mx.Gaussian("x")])
@pytest.mark.parametrize(
    "entry",
    [
        mx.fit,
        mx.compile_em,
        mx.compile_pymc,
        mx.sample,
        mx.cross_check,
        lambda spec, data: mx.simulate(spec, {}, 3),
        lambda spec, data: mx.bootstrap_test(spec, THREE, data),
        lambda spec, data: mx.bootstrap_test(SPEC, spec, data),
    ],
)
def test_what_is_no_specification_is_refused(entry, wrong):
    with pytest.raises(mx.SpecError, match=r"pass a specification, e\.g\. mx\.Mixture.*found"):
        entry(wrong, DATA)


@pytest.mark.parametrize("wrong", [3, None, "galaxies"])
@pytest.mark.parametrize(
    "entry",
    [
        mx.fit,
        mx.compile_em,
        mx.compile_pymc,
        mx.sample,
        mx.cross_check,
        lambda spec, data: mx.select([spec], data),
        lambda spec, data: mx.bootstrap_test(spec, THREE, data),
        lambda spec, data: spec.resolve(data),
    ],
)
def test_what_is_no_table_is_refused(entry, wrong):
    with pytest.raises(mx.DataError, match=r"Data of type \w+ cannot be read.*Pass a pandas"):
        entry(SPEC, wrong)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: mx.cross_check(SPEC, DATA, fit=3), r"cross_check\(fit=\.\.\.\): pass what mx\.fit returns.*int 3"),
        (lambda: mx.cross_check(SPEC, DATA, posterior=3), r"cross_check\(posterior=\.\.\.\): pass what mx\.sample"),
        (lambda: mx.cross_check(SPEC, DATA, draws="many"), r"cross_check\(draws='many'\): an integer >= 1"),
        (lambda: mx.cross_check(SPEC, DATA, chains=0), r"cross_check\(chains=0\)"),
        (lambda: mx.cross_check(SPEC, DATA, starts=[SPEC]), r"cross_check\(starts="),
        (lambda: mx.cross_check(SPEC, DATA, target_accept=1.5), r"cross_check\(target_accept=1\.5\)"),
        (lambda: mx.cross_check(SPEC, DATA, progress=3), r"cross_check\(progress=3\): None or a function"),
        (lambda: mx.sample(SPEC, DATA, pivot=3), r"sample\(pivot=\.\.\.\): pass what mx\.fit returns.*int 3"),
        (lambda: mx.loo(None), r"loo\(posterior\): pass what mx\.sample returns; found None"),
        (lambda: mx.load(None), r"load\(path\): pass the name of a file.*found None"),
        (lambda: mx.fit(SPEC, DATA, threads=-5), r"fit\(threads=-5\): None or an integer >= 1"),
        (lambda: mx.fit(SPEC, DATA, threads="two"), r"fit\(threads='two'\)"),
        (lambda: mx.compile_em(SPEC, DATA, threads=0), r"threads=0"),
        (lambda: mx.fit(SPEC, DATA, threshold=np.nan), r"fit\(threshold=nan\): a finite number >= 0"),
        (lambda: mx.fit(SPEC, DATA, threshold="low"), r"fit\(threshold='low'\)"),
        (lambda: mx.fit(SPEC, DATA, threshold=-1.0), r"fit\(threshold=-1\.0\)"),
        (lambda: mx.fit(SPEC, DATA, starts=0), r"starts=0: a number of starts >= 1"),
        (lambda: mx.fit(SPEC, DATA, starts=[3]), r"pass a mapping from names to arrays.*int 3"),
        (lambda: mx.fit(SPEC, DATA, starts=[{"weights": "a"}]), r"'weights' is no array of numbers"),
        (lambda: mx.fit(SPEC, DATA, progress=3), r"fit\(progress=3\)"),
        (lambda: mx.fit(SPEC, DATA, method=mx.EM), r"method="),
        (lambda: mx.EM(max_passes=0), r"max_passes must be an integer >= 1; found 0"),
        (lambda: mx.select(3, DATA), r"select\(specs, data\): pass one or more.*int 3"),
        (lambda: mx.select([], DATA), r"pass one or more specifications.*found none"),
        (lambda: mx.select([SPEC, 3], DATA), r"pass one or more specifications.*int 3"),
        (lambda: mx.select([SPEC], DATA, starts=0), r"select\(starts=0\)"),
        (lambda: mx.bootstrap_test(SPEC, THREE, DATA, draws=0), r"bootstrap_test\(draws=0\)"),
        (lambda: mx.bootstrap_test(SPEC, THREE, DATA, starts=0.5), r"bootstrap_test\(starts=0\.5\)"),
        (lambda: mx.simulate(SPEC, 3, 10), r"simulate\(spec, parameters, n\): pass a fit, or a mapping.*int 3"),
        (lambda: plot_fit(3, DATA), r"plot_fit\(fit, data\): pass what mx\.fit returns"),
    ],
)
def test_wrong_arguments_are_refused_by_name(call, says):
    with pytest.raises(mx.SpecError, match=says):
        call()


def test_wrong_arguments_beside_a_fit_are_refused_by_name(fitted, tmp_path):
    with pytest.raises(mx.SpecError, match=r"simulate\(n=-1\): the number of rows is an integer >= 0"):
        mx.simulate(SPEC, fitted, -1)
    with pytest.raises(
        mx.SpecError, match=r"simulate\(component=\.\.\.\): pass the name of a column, or None; found int 3"
    ):
        mx.simulate(SPEC, fitted, 5, component=3)
    with pytest.raises(mx.SpecError, match=r"save\(path\).*found None"):
        fitted.save(None)
    with pytest.raises(mx.SpecError, match=r"bootstrap\(draws=1\): an integer >= 2"):
        mx.bootstrap(fitted, DATA, draws=1)


def test_the_steps_of_em_refuse_what_is_no_mapping():
    em = mx.compile_em(SPEC, DATA)
    start = em.start(rng=1)
    for call in (em.step, em.e_step, em.log_likelihood, lambda p: em.run(p, passes=1)):
        with pytest.raises(mx.SpecError, match="pass a mapping from names to arrays"):
            call(3)
    with pytest.raises(mx.SpecError, match=r"run\(passes=-1\): an integer >= 0"):
        em.run(start, passes=-1)
    with pytest.raises(mx.SpecError, match=r"m_step\(r\): responsibilities are an array"):
        em.m_step("half")
