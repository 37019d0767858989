"""The README is part of the product: its examples run, and the output that it shows is what is printed."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"


def blocks(kind):
    found = re.findall(rf"<!-- {kind}: ([\w ]+) -->\s*```\w+\n(.*?)```", README.read_text(), flags=re.DOTALL)
    assert found
    return dict(found)


def test_both_commands_are_there_and_use_plain_pip_and_python_only():
    commands = blocks("command")
    assert set(commands) == {"main", "tests"}
    for command in commands.values():
        assert set(re.findall(r"(?:^|&& )(\S+)", command)) <= {"python3", ".", "pip", "mixtures", "pytest"}


@pytest.mark.parametrize("name", ["specifications", "lsat6", "votes", "select", "errors"])
def test_short_examples_run(name, capsys):
    import mixtures as mx

    source = blocks("example")[name]
    exec(compile(source, f"README, {name}", "exec"), {"mx": mx, "data": mx.load_dataset("old_faithful")})
    promised = re.findall(r"print\(.*\)\s+# (\S+)", source)
    assert capsys.readouterr().out.split() == promised


@pytest.mark.slow
def test_the_first_example_runs_and_agrees(capsys):
    exec(compile(blocks("example")["first"], "README, first", "exec"), {})
    assert capsys.readouterr().out.startswith("agree - ")


def test_every_relative_link_leads_somewhere():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README.read_text()):
        assert (README.parent / target).exists(), target
