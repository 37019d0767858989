"""Posterior draws: PyMC's NUTS from starts around the EM estimate, relabelled to it."""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from inspect import signature
from typing import Any

import numpy as np
import pymc as pm

from ..arguments import check_kind, check_whole
from ..em.program import Program
from ..em.status import Status
from ..errors import InterruptedRunError, SpecError, nearest
from ..kernels.ahead import compiling_ahead
from ..results import EMFit, fit
from ..rng import RNGLike, as_generator, spawn_seeds
from ..spec import Mixture, check_specification
from . import stack
from .chains import ChainStart, chain_starts
from .compile import compile_pymc, free_values
from .container import assemble
from .metric import NearestPotential, informed_step, sampled_density
from .nutpie_sampler import POOL, Nutpie
from .op import RowMixture
from .recorder import Recorder

__all__ = ["check_options", "check_sampling", "sample"]

SAMPLERS = ("pymc", "nutpie")
TUNE = 1000
"""Draws of tuning where the mass matrix adapts."""
TUNE_STEPS = 300
"""Draws of tuning where the mass matrix is known, and only the length of steps adapts: 200 to 1000 gave the same steps and draws."""
START_METHOD = "fork" if sys.platform == "linux" else "spawn"
INTERRUPTED = "Sampling was interrupted before any draw was kept. Run again, with fewer draws if it takes long."


def sample(
    spec: Mixture,
    data: Any,
    *,
    draws: int = 1000,
    tune: int | None = None,
    chains: int = 4,
    cores: int | None = None,
    rng: RNGLike = None,
    nuts_sampler: str = "pymc",
    target_accept: float = 0.9,
    sample_weight: Any = None,
    pivot: EMFit | None = None,
    progress: bool | None = None,
) -> Any:
    """Draw from the posterior with PyMC and relabel the draws to the EM estimate.

    Chains start in a cloud half a standard error wide around the EM estimate; the last one in four starts from a random
    partition instead, so that other modes can be found. NUTS takes its mass matrix from the observed information there: the whole
    inverse where the posterior is nearly normal around the estimates, else its diagonal, which PyMC then adapts.

    Parameters
    ----------
    spec
        The specification; default priors are resolved against the data.
    data
        A table with the specification's columns.
    draws, tune
        Draws kept and draws of tuning, per chain. None tunes for 1000 draws, or for 300 where the whole mass matrix is known.
    chains, cores
        Number of chains, and how many run at a time (all, as far as there are processors).
    rng
        Seed or generator; it determines starts and chains.
    nuts_sampler
        "pymc", or "nutpie" where it is installed.
    target_accept
        Acceptance rate that NUTS adapts its steps to.
    sample_weight
        (n,) weights of the rows, or the name of a column.
    pivot
        The EM estimate to start from and to relabel to; the posterior mode is fitted when none is given.
    progress
        Show a progress bar; None shows it on a terminal only.

    Returns
    -------
    arviz.InferenceData (PyMC 5) or xarray.DataTree (PyMC 6)
        Groups `posterior` (named parameters, data units), `sample_stats`, `observed_data`, `constant_data`,
        `log_likelihood` (per distinct row), `row_counts`, `relabelling`, `label_invariant` and its summary.

    Raises
    ------
    SpecError, DataError
        For a specification, data or arguments that cannot be used.
    FitError
        If sampling was interrupted before any draw was kept; a later interruption returns the draws there are, with
        `mixtures_interrupted` = 1 in the attributes.

    Examples
    --------
    >>> import mixtures as mx
    >>> spec = mx.Mixture(mx.Gaussian("eruptions"), n_components=2)
    >>> posterior = mx.sample(spec, mx.load_dataset("old_faithful"), draws=20, tune=20, chains=1, rng=1)
    >>> posterior["posterior"]["mean"].dims
    ('chain', 'draw', 'component', 'gaussian_column')

    References
    ----------
    Hoffman & Gelman (2014), The No-U-Turn sampler, Journal of Machine Learning Research 15, 1593-1623.
    """
    check_specification(spec, "sample(spec, data)")
    check_kind(pivot, (EMFit, type(None)), "sample(pivot=...)", "pass what mx.fit returns, or None")
    check_sampling("sample", draws, tune, chains, cores, target_accept, nuts_sampler)
    seed_fit, seed_starts, seed_chains = spawn_seeds(as_generator(rng), 3)
    rows = spec.rows(data, sample_weight=sample_weight)
    resolved = spec.resolve(rows)
    if pivot is not None and pivot.resolved != resolved:
        raise SpecError("pivot= belongs to another specification or other data: its resolved priors differ.")
    show = sys.stderr.isatty() if progress is None else bool(progress)
    settings: dict[str, Any] = {"draws": draws, "tune": tune, "chains": chains}
    settings |= {"cores": cores or min(chains, _processors()), "random_seed": seed_chains, "progressbar": show}
    pooled = nuts_sampler == "nutpie"
    try:
        program, estimate = _program(resolved, rows)
        likelihood = RowMixture.of(resolved, rows.values)
        with _quiet(not show):
            with compiling_ahead():  # another process compiles while this one fits
                likelihood.compile_ahead(len(rows.values), program.n_components)
                model = compile_pymc(resolved, rows)
                if not model.free_RVs:
                    raise SpecError(f"{spec!r}: every parameter is fixed, so there is nothing to draw. Leave one free.")
                nuts: Nutpie | _NUTS
                if pooled:
                    nuts = Nutpie(model, program, target_accept)
                else:
                    nuts = _NUTS(model, program, likelihood, target_accept)
                pivot = pivot or _fit(resolved, rows, estimate, seed_fit)
                chosen = np.random.default_rng(seed_starts)
                starts = chain_starts(program, pivot.params, POOL if pooled else chains, chosen)
                nuts.prepare(starts)
            if tune is None:
                settings["tune"] = TUNE_STEPS if nuts.knows_its_matrix else TUNE
            trace = nuts.draw(**settings)
    except KeyboardInterrupt:
        raise InterruptedRunError(INTERRUPTED) from None
    posterior = stack.group(trace, "posterior")
    cut = posterior.sizes["draw"] < draws or posterior.sizes["chain"] < chains
    kinds = ["pool" if pooled else starts[int(chain)].kind for chain in posterior["chain"].values]
    attrs = {
        "mixtures_interrupted": int(cut),
        "mixtures_chain_starts": json.dumps(kinds),
        "mixtures_pivot": pivot.estimate,
    }
    try:
        return assemble(trace, spec, program, pivot.params, attrs)
    except KeyboardInterrupt:  # what is drawn is kept; a second one ends this too
        return assemble(trace, spec, program, pivot.params, attrs | {"mixtures_interrupted": 1})


def _fit(resolved: Mixture, rows: Any, estimate: str, seed: int) -> EMFit:
    """The estimate that chains start around."""
    found = fit(resolved, rows, estimate=estimate, rng=seed)
    if found.status is Status.INTERRUPTED:
        raise KeyboardInterrupt
    return found


def check_sampling(
    call: str, draws: int, tune: int | None, chains: int, cores: int | None, target_accept: float, nuts_sampler: str
) -> None:
    """Refuse settings of the sampler that cannot be used.

    Raises
    ------
    SpecError
        Naming the argument of `call`.
    """
    check_whole(call, "draws", draws, 1)
    check_whole(call, "tune", tune, 0, or_none=True)
    check_whole(call, "chains", chains, 1)
    check_whole(call, "cores", cores, 1, or_none=True)
    if not (isinstance(target_accept, float) and 0 < target_accept < 1):
        raise SpecError(f"{call}(target_accept={target_accept!r}): a number between 0 and 1 is needed.")
    if nuts_sampler not in SAMPLERS:
        raise SpecError(f"{call}(nuts_sampler={nuts_sampler!r}): legal are 'pymc' and 'nutpie'.")


def check_options(call: str, options: Mapping[str, Any]) -> None:
    """Refuse options to be handed on to `sample`, whose rows, weights, pivot and random numbers `call` chooses itself.

    Raises
    ------
    SpecError
        Naming the option of `call`.
    """
    settings = signature(check_sampling).parameters.keys() - {"call"}
    defaults = {name: one.default for name, one in signature(sample).parameters.items() if name in settings}
    legal = [*defaults, "progress"]
    for name in options:
        if name not in legal:
            raise SpecError(f"{call}: unknown option {name!r}.{nearest(name, legal)} Legal are {', '.join(legal)}.")
    check_sampling(call, **{name: options.get(name, default) for name, default in defaults.items()})


def _program(resolved: Mixture, rows: Any) -> tuple[Program, str]:
    """The EM program of the posterior mode; of the likelihood alone where a prior has no interior mode."""
    try:
        return Program(resolved, rows, "map"), "map"
    except SpecError:
        return Program(resolved, rows, "mle"), "mle"


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _NUTS:
    """PyMC's own NUTS, chains in processes of their own, everything in them single-threaded."""

    def __init__(self, model: pm.Model, program: Program, likelihood: RowMixture, target_accept: float) -> None:
        self.model, self.program, self.target_accept = model, program, target_accept
        native = likelihood.kernels_pay(len(program.rows.values), program.n_components)
        self.mode = stack.sampling_mode(native=native)
        self.density = sampled_density(model, self.mode)

    def prepare(self, starts: list[ChainStart]) -> None:
        """What chains from these starts need; nothing is compiled after it."""
        from threadpoolctl import threadpool_limits

        centers = list({id(start.center): start.center for start in starts}.values())
        self.first = [free_values(self.program, start.p) for start in starts]
        with threadpool_limits(1), np.errstate(all="ignore"):
            self.step = informed_step(self.model, self.program, centers, self.density, target_accept=self.target_accept)
            self.recorder = Recorder.of(self.model, self.mode)

    @property
    def knows_its_matrix(self) -> bool:
        """Whether the mass matrix is known before the first draw, and only the length of steps adapts."""
        return isinstance(self.step.potential, NearestPotential)

    def draw(self, *, cores: int, **settings: Any) -> Any:
        """What PyMC hands back."""
        from threadpoolctl import threadpool_limits

        try:
            with self.model, threadpool_limits(1), warnings.catch_warnings(), np.errstate(all="ignore"):
                # Workers call no threaded code: BLAS is limited to one thread before they are forked.
                warnings.filterwarnings(
                    "ignore", message=r".*use of fork\(\) may lead to deadlocks", category=DeprecationWarning
                )
                return pm.sample(
                    **settings,
                    cores=cores,
                    blas_cores=cores,
                    mp_ctx=START_METHOD,
                    nuts_sampler="pymc",
                    step=self.step,
                    initvals=self.first,
                    compute_convergence_checks=False,
                    trace=self.recorder,
                    callback=_EndAll(settings["draws"] + settings["tune"]) if cores == 1 else None,
                    quiet=not settings["progressbar"],
                )
        except ValueError as error:
            if "Not enough samples" not in str(error):
                raise
            raise KeyboardInterrupt from None  # PyMC's answer to an interruption during tuning


class _EndAll:
    """Ends chains that follow an interrupted one: run one after another, PyMC lets Ctrl-C end one of them only."""

    def __init__(self, iterations: int) -> None:
        self.last, self.place, self.interrupted = iterations - 1, (0, 0), False

    def __call__(self, trace: Any, draw: Any) -> None:
        chain, position = self.place
        self.interrupted = self.interrupted or (draw.chain != chain and position < self.last)
        self.place = (draw.chain, draw.draw_idx)
        if self.interrupted:
            raise KeyboardInterrupt


@contextmanager
def _quiet(quiet: bool) -> Iterator[None]:
    """PyMC's logger, silent for the duration."""
    logger = logging.getLogger("pymc")
    level = logger.level
    if quiet:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
