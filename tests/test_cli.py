"""The command line: what is printed where, and the exit code of every ending."""

import functools
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from standin import stand_in

import mixtures as mx
from mixtures.cli import run
from mixtures.crosscheck.outcome import Verdict
from mixtures.datasets import list_datasets

MODULE = [sys.executable, "-m", "mixtures"]


@pytest.fixture
def call(capsys):
    """Run the command in this process: exit code, stdout, stderr."""

    def call(*arguments):
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture
def csv(tmp_path):
    """Write a file and return its path."""

    def write(content, name="points.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.fixture
def checked(monkeypatch):
    """Let `check` return a stand-in with a verdict, or raise an error; what it was called with is kept."""
    from mixtures.crosscheck import check as module

    asked = {}

    def will(outcome):
        def cross_check(spec, data, **arguments):
            asked.update(arguments, spec=spec)
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome

        monkeypatch.setattr(module, "cross_check", cross_check)
        return asked

    return will


@functools.cache
def _stand_in():
    return stand_in(mx.Mixture(mx.Gaussian("waiting"), n_components=2), mx.load_dataset("old_faithful"))


def stand_in_check(word="agree"):
    check = SimpleNamespace(**vars(_stand_in()))
    check.verdict = Verdict(word, check.verdict.sentence, check.verdict.deciding)
    check.summary = lambda: f"verdict: {word}\n{check.verdict.sentence}"
    return check


# -- what is printed -------------------------------------------------------------------------------------------------


def test_the_version_is_the_package_s(call):
    assert call("--version") == (0, f"mixtures {mx.__version__}\n", "")


def test_help_names_commands_and_exit_codes(call):
    code, out, _ = call("--help")
    assert code == 0
    assert all(name in out for name in ("check", "fit", "datasets"))
    code, out, _ = call("check", "--help")
    assert code == 0
    assert "0 agree, 1 differ, 2 bad input or usage, 3 not identified" in " ".join(out.split())


def test_no_command_shows_the_help(call):
    code, out, err = call()
    assert code == 2
    assert "check" in out + err


def test_datasets_are_listed_with_citation_and_default_model(call):
    code, out, err = call("datasets")
    flat = " ".join(out.split())
    assert (code, err) == (0, "")
    assert all(info.name in flat and info.citation in flat for info in list_datasets())
    assert "By default: Bernoulli, 5 column(s), 2 components, counts in 'count'." in flat


def test_fit_without_arguments_is_old_faithful(call):
    code, out, err = call("fit")
    assert (code, err) == (0, "")
    assert "log-likelihood -1130.26396" in out


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--weights", "count", "--columns", "item1,item2,item3,item4,item5", "--family", "Bernoulli", "--k", "2"],
    ],
    ids=["suggested", "spelt out"],
)
def test_counts_of_lsat6_are_used(call, options):
    code, out, _ = call("fit", "lsat6", "--starts", 10, *options)
    assert code == 0
    assert "1000 rows" in out
    assert "log-likelihood -2467.40552" in out


def test_json_is_one_object_with_parameters_optima_and_specification(call):
    code, out, err = call("fit", "galaxies", "--json", "--starts", 10)
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert found["converged"] is True
    assert found["log_likelihood"] == pytest.approx(-769.61516, abs=1e-4)
    assert np.shape(found["parameters"]["mean"]) == (3, 1)
    assert found["optima"][0]["kind"] == "optimum"
    assert mx.Mixture.from_json(json.dumps(found["specification"])).columns == ("velocity",)


def test_one_seed_gives_one_output(call):
    first = call("fit", "galaxies", "--seed", 5, "--starts", 10)
    assert first == call("fit", "galaxies", "--seed", 5, "--starts", 10)


def test_a_specification_file_is_the_model(call, csv):
    spec = mx.Mixture(mx.Gaussian("waiting", covariance=mx.Shared()), n_components=2)
    path = csv(spec.to_toml(), "model.toml")
    code, out, _ = call("fit", "old_faithful", "--spec", path, "--estimate", "map", "--starts", 5)
    assert code == 0
    assert repr(spec) in out
    assert "maximum a posteriori" in out


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_csv_file_is_read_with_its_delimiter(call, csv, delimiter):
    frame = mx.load_dataset("old_faithful")
    path = csv("\ufeff" + frame.to_csv(index=False, sep=delimiter))
    code, out, _ = call("fit", path, "--columns", "eruptions, waiting", "-k", 2, "--starts", 5)
    assert code == 0
    assert "log-likelihood -1130.26396" in out


def test_results_are_saved_and_drawn(call, tmp_path):
    code, _, _ = call("fit", "galaxies", "--save", tmp_path / "run", "--plot", tmp_path / "a.png", "--starts", 5)
    assert code == 0
    assert mx.load(tmp_path / "run-mle.nc").log_likelihood == pytest.approx(-769.61516, abs=1e-4)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_check_writes_fits_posterior_report_and_picture(call, checked, tmp_path):
    from mixtures.plots import plot_cross_check
    from mixtures.report import write_report

    check = stand_in_check()
    check.plot = lambda: plot_cross_check(check)
    check.to_html = lambda path: write_report(check, path)
    checked(check)
    paths = {option: tmp_path / f"out.{option}" for option in ("html", "svg")}
    code, _, _ = call("check", "--save", tmp_path / "run", "--html", paths["html"], "--plot", paths["svg"])
    assert code == 0
    assert mx.load(tmp_path / "run-map.nc").estimate == "map"
    posterior = mx.load(tmp_path / "run-posterior.nc")["posterior"]
    assert posterior["mean"].shape == (2, 100, 2, 1)
    assert "<svg" in paths["svg"].read_text()
    assert "agree" in paths["html"].read_text()


def test_check_hands_its_options_over(call, checked):
    asked = checked(stand_in_check())
    options = ["--seed", 7, "--draws", 50, "--tune", 60, "--chains", 3, "--cores", 1, "--starts", 9]
    assert call("check", "old_faithful", "-k", 3, "--structure", "diagonal", *options)[0] == 0
    assert asked["spec"] == mx.Mixture(mx.Gaussian("eruptions", "waiting", structure="diagonal"), n_components=3)
    given = {name: asked[name] for name in ("rng", "draws", "tune", "chains", "cores", "starts", "sample_weight")}
    assert list(given.values()) == [7, 50, 60, 3, 1, 9, None]


def test_check_prints_the_verdict_first_or_json_alone(call, checked):
    checked(stand_in_check())
    code, out, err = call("check")
    assert (code, err) == (0, "")
    assert re.match(r"verdict.*agree\n.*EM and the posterior", out)
    code, out, err = call("check", "--json")
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert (found["verdict"], found["deciding"]) == ("agree", ["scale"])
    assert found["checks"][1] == {
        "name": "scale",
        "question": "do errors match?",
        "status": "warn",
        "numbers": {"ratio": None},
        "sentence": "0.7 < 0.8 & more.",
        "next_step": "Draw more.",
    }
    assert set(found["table"]["mean[0, waiting]"]) >= {"mle", "se", "map", "mean", "sd", "lower", "upper", "z"}


def test_a_family_of_another_package_is_found_by_name(call, tmp_path, monkeypatch):
    (tmp_path / "twin_family.py").write_text("from mixtures import Gaussian\n\n\nclass Twin(Gaussian):\n    pass\n")
    announced = tmp_path / "twin_family-1.0.dist-info"
    announced.mkdir()
    (announced / "METADATA").write_text("Metadata-Version: 2.1\nName: twin-family\nVersion: 1.0\n")
    (announced / "entry_points.txt").write_text("[mixtures.families]\nTwin = twin_family:Twin\n")
    monkeypatch.syspath_prepend(tmp_path)
    code, out, _ = call("fit", "--family", "Twin", "--starts", 3)
    assert code == 0
    assert "Twin('eruptions', 'waiting')" in out


# -- exit codes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("word", "code"), [("agree", 0), ("differ", 1), ("not identified", 3), ("inconclusive", 3)])
def test_the_verdict_is_the_exit_code(call, checked, word, code):
    checked(stand_in_check(word))
    found, out, _ = call("check")
    assert found == code
    assert out.startswith(f"verdict: {word}\n")


def test_a_mixture_of_single_tosses_is_not_identified_and_ends_with_3(call, csv):
    path = csv("toss\n" + "0\n1\n1\n" * 10)
    code, out, _ = call("check", path, "--columns", "toss", "--family", "Bernoulli", "-k", 2)
    assert code == 3
    assert out.startswith("verdict: not identified")


BAD_USAGE = {
    "unknown option": (["fit", "--colums", "x"], r"No such option: --colums.*--columns"),
    "no components": (["fit", "-k", "0"], r"--k.*greater than or equal to 1"),
    "negative seed": (["fit", "--seed", "-1"], r"--seed"),
    "unknown estimate": (["fit", "--estimate", "ml"], r"--estimate.*mle"),
    "unknown data": (["fit", "old_faithfull"], r"neither a file nor a built-in.*Did you mean 'old_faithful'"),
    "missing file": (["fit", "nowhere.csv", "--columns", "x", "-k", "2"], r"nowhere\.csv: there is no such file"),
    "directory": (["fit", ".", "--columns", "x", "-k", "2"], r"\. is a directory"),
    "unknown family": (["fit", "--family", "Gausian"], r"Unknown family 'Gausian'. Did you mean 'Gaussian'"),
    "option of another family": (["fit", "lsat6", "--structure", "full"], r"Bernoulli: unknown argument 'structure'"),
    "unknown structure": (["fit", "--structure", "fool"], r"unknown structure.*full, diagonal"),
    "unknown column": (["fit", "--columns", "eruptions,wating"], r"no column 'wating'.*Did you mean 'waiting'"),
    "text column": (["fit", "iris", "--columns", "species"], r"iris: Column 'species' holds text: 'setosa'"),
    "unknown weights": (["fit", "lsat6", "--weights", "cnt"], r"no weight column 'cnt'.*Did you mean 'count'"),
    "wrong family": (["fit", "--family", "Bernoulli"], r"Column 'eruptions', row 0: found 3.6.*0 or 1"),
    "too many components": (["fit", "galaxies", "-k", "83"], r"82 distinct row\(s\), fewer than the 83 components"),
    "two models": (["fit", "--spec", "a.toml", "-k", "2"], r"--spec describes the whole model; leave out --k"),
    "missing model": (["fit", "--spec", "a.toml"], r"a\.toml: the file cannot be read"),
    "picture format": (["fit", "--plot", "a.bmp"], r"--plot a\.bmp: the name must end in"),
    "no directory": (["check", "--save", "nowhere/run"], r"--save nowhere/run: there is no directory 'nowhere'"),
    "no such HTML directory": (["check", "--html", "nowhere/a.html"], r"--html nowhere/a.html: there is no directory"),
}


@pytest.mark.parametrize("name", BAD_USAGE)
def test_bad_usage_ends_with_2_and_one_message(call, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments, message = BAD_USAGE[name]
    assert_one_error(call(*arguments), message)


BAD_FILES = {
    "empty": (b"", r"points\.csv: the file is empty"),
    "header alone": (b"x,y\n", r"points\.csv: the file has a header and no rows"),
    "long line": (b"x,y\n1,2\n3,4,5\n", r"points\.csv, line 3: 3 values where the header names 2 columns"),
    "short line": (b"x,y\n1,2\n\n3\n", r"points\.csv, line 4: 1 values where the header names 2"),
    "open quote": (b'x,y\n1,"2\n3,4\n', r"points\.csv, line 2: .*quote that is not closed"),
    "repeated name": (b"x,y,x\n1,2,3\n", r"points\.csv, line 1: two columns are named 'x'"),
    "picture": (b"\x89PNG\r\n\x1a\n\x00", r"points\.csv, line 1: byte 0 is not UTF-8 text"),
    "NUL": (b"x,y\n1,\x002\n", r"points\.csv, line 2: a NUL byte"),
    "text cell": (b"x,y\n1,2\n\n3,a\n", r"points\.csv: Column 'y' holds text: 'a' in row 1 \(labelled 'line 4'\)"),
    "infinite cell": (b"x,y\n1,2\ninf,4\n", r"points\.csv: Column 'x', row 1 \(labelled 'line 3'\): an infinite"),
    "constant column": (b"x,y\n1,2\n1,4\n1,5\n", r"points\.csv: Column 'x' is constant"),
    "copied column": (b"x,y\n1,1\n2,2\n4,4\n", r"points\.csv: Columns 'x', 'y' are linearly dependent"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_file_that_cannot_be_fitted_is_named_with_its_line(call, csv, name):
    content, message = BAD_FILES[name]
    assert_one_error(call("fit", csv(content), "--columns", "x,y", "-k", 2), message)


def test_a_csv_file_without_a_model_is_answered_with_its_columns(call, csv):
    assert_one_error(call("fit", csv("height,weight\n1,2\n")), r"--columns a,b --k 2.*The columns are height, weight")


def test_an_unknown_key_of_a_specification_file_is_named_with_its_path(call, csv):
    path = csv('schema = 1\nn_components = 2\n[[component.blocks]]\nfamily = "Gaussian"\ncolums = ["x"]\n', "m.toml")
    assert_one_error(
        call("fit", "--spec", path), r"m\.toml.*component\.blocks\[0\].*'?colums'?.*Did you mean 'columns'"
    )


@pytest.mark.parametrize("weights", ["-1", "nan", "0"])
def test_unusable_weights_of_rows_are_refused(call, csv, weights):
    path = csv("x,v\n" + "".join(f"{i},{weights}\n" for i in range(5)))
    assert_one_error(call("fit", path, "--columns", "x", "-k", 1, "--weights", "v"), r"points\.csv: sample_weight")


def assert_one_error(outcome, message, code=2):
    found, out, err = outcome
    assert (found, out) == (code, "")
    assert re.match(r"error: ", err)
    assert err.count("\n") == 1
    assert re.search(message, err)


def test_when_every_start_collapses_the_exit_code_is_3(call, csv):
    path = csv("x\n" + "0\n1\n" * 10)
    assert_one_error(call("fit", path, "--columns", "x", "-k", 2), r"Every start collapsed", code=3)


def test_an_internal_error_ends_with_4_and_its_traceback_is_for_debug(call, checked):
    checked(ZeroDivisionError("by zero"))
    assert_one_error(call("check"), r"internal error, ZeroDivisionError: by zero.*--debug", code=4)
    code, out, err = call("check", "--debug")
    assert (code, out) == (4, "")
    assert "Traceback" in err


def test_our_warnings_are_messages_and_those_of_libraries_are_for_debug(call, checked, monkeypatch):
    import warnings

    from mixtures.crosscheck import check as module

    def warns(spec, data, **arguments):
        warnings.warn("of ours", mx.MixtureWarning, stacklevel=2)
        warnings.warn("of a library", FutureWarning, stacklevel=2)
        return check

    check = stand_in_check()
    monkeypatch.setattr(module, "cross_check", warns)
    assert call("check")[2] == "warning: of ours\n"


@pytest.mark.parametrize("swallowed", [False, True], ids=["raised", "swallowed by a library"])
def test_ctrl_c_ends_with_130(call, monkeypatch, swallowed):
    from mixtures.crosscheck import check as module

    def interrupted(spec, data, **arguments):
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            if swallowed:
                raise mx.FitError("There are no draws.") from None
            raise

    monkeypatch.setattr(module, "cross_check", interrupted)
    code, out, err = call("check")
    assert (code, out) == (130, "")
    assert re.fullmatch(r"interrupted.*\n", err)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# -- as a process ----------------------------------------------------------------------------------------------------


def test_listing_help_and_fit_do_not_import_pymc():
    code = (
        "import sys\nfrom mixtures.cli import run\n"
        "for a in (['datasets'], ['--help'], ['fit', 'galaxies', '--starts', '2', '-k', '2']):\n"
        "    assert run(a) == 0\n"
        "assert not {'pymc', 'pytensor', 'matplotlib'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, capture_output=True, timeout=120)


def test_in_a_pipe_stderr_is_silent_and_a_reader_may_leave():
    done = subprocess.run([*MODULE, "fit", "galaxies", "--starts", "2"], capture_output=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, b"")
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([*MODULE, "datasets"], stdout=writing, stderr=subprocess.PIPE, timeout=120)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_on_a_terminal_progress_is_shown_and_ctrl_c_returns_the_best_so_far():
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*MODULE, "fit", "iris", "--starts", "100000"],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    os.close(theirs)
    shown = read_until(ours, rb"EM, MLE.*EM, MLE", seconds=60)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    out = process.communicate(timeout=60)[0].decode()
    shown += read_until(ours, rb"interrupted\.", seconds=10)
    os.close(ours)
    assert process.returncode == 130
    assert "Interrupted: this is the best estimate so far" in out
    assert b"Traceback" not in shown


def read_until(descriptor, pattern, seconds):
    """Bytes from a terminal until the pattern has appeared."""
    found, end = b"", time.monotonic() + seconds
    while not re.search(pattern, found, re.DOTALL) and time.monotonic() < end:
        if select.select([descriptor], [], [], 0.2)[0]:
            try:
                found += os.read(descriptor, 4096)
            except OSError:  # the other end is closed
                break
    assert re.search(pattern, found, re.DOTALL), found
    return found


@pytest.mark.slow
def test_check_on_a_terminal_shows_progress_there_and_json_alone_on_stdout():
    ours, theirs = pty.openpty()
    arguments = ["check", "galaxies", "-k", "2", "--draws", "50", "--tune", "50", "--json"]
    process = subprocess.Popen([*MODULE, *arguments], stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    reader = threading.Thread(target=read_until, args=(ours, rb"sampling.*checks", 250))
    reader.start()
    out = process.communicate(timeout=250)[0]
    reader.join()
    os.close(ours)
    assert process.returncode in (0, 1, 3)
    assert json.loads(out)["verdict"]


@pytest.mark.slow
def test_check_without_arguments_agrees():
    done = subprocess.run([*MODULE, "check"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert re.search("verdict.*agree", done.stdout)
    assert done.stderr == ""
