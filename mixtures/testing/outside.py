"""Laws of what the outside sees: errors that name the place, and the text form."""

from __future__ import annotations

import numpy as np

from ..errors import DataError, MixtureError
from ..families.base import Array, DegenerateComponentError
from ..spec import Mixture
from .case import ESTIMATES, Case, law


@law
def bad_cells_are_named(case: Case) -> None:
    """A cell that `allowed` refuses, NaN and infinity among them, is a DataError that names column and row."""
    tried = np.array([np.nan, np.inf, -np.inf, -1.5, -1.0, 0.5, 2.0, 1e300])
    refused = [cell for cell in tried if not case.block.allowed(np.full((1, case.x.shape[1]), cell))[0, -1]]
    legal = 1 if case.block.reads_missing else 0
    assert sum(not np.isfinite(cell) for cell in refused) == 3 - legal, "NaN or infinity is allowed"
    for cell in refused:
        x = case.x.copy()
        x[3, -1] = cell
        said = _complaint(case, x)
        assert said, f"check accepts the cell {cell:g}, which allowed refuses"
        named = repr(case.block.columns[-1]) in said and "row 3" in said
        assert named, f"the error for the cell {cell:g} does not name column and row: {said}"


def _complaint(case: Case, x: Array) -> str:
    try:
        case.block.check(x)
    except DataError as error:
        return str(error)
    return ""


@law
def degenerate_rows_are_fitted_or_refused_by_name(case: Case) -> None:
    """Constant, extreme, copied or few rows: an error of `mixtures`, or an M-step and a score without NaN."""
    x = case.x
    tried = {
        "constant": np.tile(x[0], (5, 1)),
        "lowest": np.tile(x.min(axis=0), (5, 1)),
        "highest": np.tile(x.max(axis=0), (5, 1)),
        "copied": np.repeat(x[:, :1], x.shape[1], axis=1),
        "two": x[:2],
    }
    for what, rows in tried.items():
        if not np.all(case.block.allowed(rows)):
            continue
        for estimate in ESTIMATES:
            try:
                program = case.program(estimate, rows)
                p = program.from_responsibilities(np.resize([[0.3, 0.7], [0.6, 0.4]], (len(program.v), 2)))
                _, score = program.score(program.evaluate(p), p)
            except (MixtureError, DegenerateComponentError):
                continue
            for name, value in p.thetas[0].items():
                assert not np.any(np.isnan(value)), f"maximise gives {name} = {value} from {what} rows"
                assert not np.any(np.isnan(score[0][name])), f"the score in {name} is {score[0][name]} on {what} rows"


@law
def text_form_round_trips(case: Case) -> None:
    """TOML and JSON give back the specification, as written and with its priors resolved."""
    for block in (case.block, case.program("mle").spec.components[0]):
        spec = Mixture(block, 2)
        assert Mixture.from_toml(spec.to_toml()) == spec, f"TOML does not round-trip: {spec.to_toml()}"
        assert Mixture.from_json(spec.to_json()) == spec, f"JSON does not round-trip: {spec.to_json()}"
