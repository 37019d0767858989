"""The commands."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer
from typer.exceptions import TyperException

from .outputs import check_as_json, check_writable, fit_as_json, save_check
from .session import ExitCode, Session, emit
from .task import ModelOptions, read_task

__all__ = ["main", "run"]

DEFAULT_DATA = "old_faithful"
CODES = {
    "agree": ExitCode.AGREE,
    "differ": ExitCode.DIFFER,
    "not identified": ExitCode.OPEN,
    "inconclusive": ExitCode.OPEN,
}

app = typer.Typer(
    name="mixtures",
    help="Fit a finite mixture by EM, sample its posterior with PyMC, and read whether the two agree.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Data = Annotated[
    str,
    typer.Argument(metavar="DATA", help="A built-in data set (see `mixtures datasets`) or the path of a CSV file."),
]
Spec = Annotated[Path | None, typer.Option(metavar="FILE.toml", help="The specification, in TOML or JSON.")]
Columns = Annotated[str | None, typer.Option(metavar="A,B", help="Columns of the model, separated by commas.")]
Components = Annotated[int | None, typer.Option("--k", "-k", min=1, help="Number of components.")]
FamilyName = Annotated[str | None, typer.Option(metavar="NAME", help="Family of the columns: Gaussian, Bernoulli, ...")]
Structure = Annotated[
    str | None, typer.Option(metavar="NAME", help="Structure of the covariance: full, diagonal, spherical.")
]
Weights = Annotated[str | None, typer.Option(metavar="COLUMN", help="Column of counts or weights of the rows.")]
Seed = Annotated[int, typer.Option(min=0, help="One seed gives the same result again.")]
Starts = Annotated[int, typer.Option(min=1, help="Random starts of EM.")]
Save = Annotated[Path | None, typer.Option(metavar="PREFIX", help="Save results as NetCDF files PREFIX-....nc.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
Plot = Annotated[Path | None, typer.Option(metavar="FILE.png", help="Draw a picture (.png, .pdf or .svg).")]
Html = Annotated[Path | None, typer.Option(metavar="FILE.html", help="Write a report in one HTML file.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks and the warnings of libraries.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]


@app.command()
def check(
    context: typer.Context,
    data: Data = DEFAULT_DATA,
    spec: Spec = None,
    columns: Columns = None,
    k: Components = None,
    family: FamilyName = None,
    structure: Structure = None,
    weights: Weights = None,
    seed: Seed = 1,
    starts: Starts = 50,
    draws: Annotated[int, typer.Option(min=4, help="Posterior draws per chain.")] = 1000,
    tune: Annotated[
        int | None, typer.Option(min=0, help="Tuning draws per chain; 1000, or 300 where they suffice.")
    ] = None,
    chains: Annotated[int, typer.Option(min=1, help="Chains.")] = 4,
    cores: Annotated[int | None, typer.Option(min=1, help="Processes for the chains.")] = None,
    save: Save = None,
    json: Json = False,
    html: Html = None,
    plot: Plot = None,
    debug: Debug = False,
    quiet: Quiet = False,
) -> int:
    """Fit by EM, sample with PyMC, and say whether the two agree.

    With no argument: Old Faithful, two Gaussian components with full covariances.

    Exit code: 0 agree, 1 differ, 2 bad input or usage, 3 not identified or inconclusive, 4 internal error, 130 interrupted.
    """
    session = _session(context, debug, quiet)
    check_writable(save, plot, html)
    task = read_task(data, ModelOptions(spec, columns, k, family, structure), weights)
    with session.progress() as report, task.named():
        report("loading PyMC", 0, 0)
        from ..crosscheck.check import cross_check

        result = cross_check(
            task.specification,
            task.data,
            rng=seed,
            sample_weight=task.sample_weight,
            draws=draws,
            tune=tune,
            chains=chains,
            cores=cores,
            starts=starts,
            progress=report,
        )
    emit(check_as_json(result) if json else result.summary())
    if save is not None:
        save_check(result, save)
    if html is not None:
        result.to_html(html)
    if plot is not None:
        result.plot().savefig(plot)
    return CODES[result.verdict.word]


@app.command()
def fit(
    context: typer.Context,
    data: Data = DEFAULT_DATA,
    spec: Spec = None,
    columns: Columns = None,
    k: Components = None,
    family: FamilyName = None,
    structure: Structure = None,
    weights: Weights = None,
    estimate: Annotated[
        Literal["mle", "map"], typer.Option(help="Maximum likelihood or maximum a posteriori.")
    ] = "mle",
    seed: Seed = 1,
    starts: Starts = 50,
    save: Save = None,
    json: Json = False,
    plot: Plot = None,
    debug: Debug = False,
    quiet: Quiet = False,
) -> int:
    """Fit by EM alone.

    Exit code: 0 converged, 2 bad input or usage, 3 no converged estimate, 4 internal error, 130 interrupted.
    """
    session = _session(context, debug, quiet)
    check_writable(save, plot)
    task = read_task(data, ModelOptions(spec, columns, k, family, structure), weights)
    with session.progress() as report, task.named():
        from ..results import fit as fit_em

        result = fit_em(
            task.specification,
            task.data,
            estimate=estimate,
            rng=seed,
            sample_weight=task.sample_weight,
            starts=starts,
            progress=lambda done, total: report(f"EM, {estimate.upper()}", done, total),
        )
    emit(fit_as_json(result) if json else result.summary())
    if save is not None:
        result.save(save.with_name(f"{save.name}-{estimate}.nc"))
    if plot is not None:
        from ..plots import plot_fit

        plot_fit(result, task.data, sample_weight=task.sample_weight).savefig(plot)
    return ExitCode.AGREE if result.converged else ExitCode.OPEN


@app.command()
def datasets() -> int:
    """List the built-in data sets, what to cite, and the model that `check` and `fit` take by default."""
    from ..datasets import list_datasets

    for info in list_datasets():
        suggested = info.suggestion
        model = f"{suggested.family}, {len(suggested.columns)} column(s), {suggested.n_components} components"
        counts = f", counts in {suggested.sample_weight!r}" if suggested.sample_weight else ""
        emit(f"{info.name}: {info.rows} rows")
        emit(_indented(f"Columns: {', '.join(info.columns)}."))
        for line in (info.description, f"Cite: {info.citation}", f"By default: {model}{counts}."):
            emit(_indented(line))
    return ExitCode.AGREE


@app.command()
def schema() -> int:
    """Print the JSON Schema of specifications, by which editors complete and check model files."""
    from json import dumps

    from ..specfile import json_schema

    emit(dumps(json_schema(), indent=2, ensure_ascii=False))
    return ExitCode.AGREE


def _indented(text: str) -> str:
    return textwrap.fill(text, 100, initial_indent="    ", subsequent_indent="    ")


def _version(asked: bool) -> None:
    if asked:
        from .. import __version__

        emit(f"mixtures {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Print the version.")
    ] = False,
) -> None:
    pass


def _session(context: typer.Context, debug: bool, quiet: bool) -> Session:
    session: Session = context.obj
    session.debug, session.quiet = debug, quiet
    return session


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command with these arguments (those of the process if None).

    Returns
    -------
    int
        The exit code.

    Examples
    --------
    >>> run(["--version"])
    mixtures ...
    0
    """
    session = Session()
    try:
        with session.listening():
            code = app(
                args=None if arguments is None else list(arguments),
                prog_name="mixtures",
                obj=session,
                standalone_mode=False,
            )
    except TyperException as error:
        return _usage(session, error)
    except Exception as error:
        return int(session.failure(error))
    if session.interrupted or code == ExitCode.INTERRUPTED:
        session.say("interrupted.")
        return int(ExitCode.INTERRUPTED)
    return int(code or 0)


def _usage(session: Session, error: TyperException) -> int:
    message = error.format_message()
    if message:
        session.say(f"error: {message.rstrip('.')}. Try 'mixtures --help'.")
    return int(ExitCode.BAD_INPUT)


def main() -> None:
    """The console command."""
    sys.exit(run())
