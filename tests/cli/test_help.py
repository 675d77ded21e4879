"""Every command's help has examples, and each example is a command line that parses."""

import re
import shlex

import pytest
from typer.main import get_command

from treering.cli.app import app

from .conftest import Cli


def _commands() -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = [()]

    def walk(command: object, path: tuple[str, ...]) -> None:
        for name, child in getattr(command, "commands", {}).items():
            found.append((*path, name))
            walk(child, (*path, name))

    walk(get_command(app), ())
    return found


@pytest.mark.parametrize("path", _commands(), ids=" ".join)
def test_help(cli: Cli, path: tuple[str, ...]) -> None:
    done = cli(*path, "--help")
    assert (done.code, done.err) == (0, "")
    assert " ".join(("Usage: treering", *path)) in done.out
    examples = re.findall(r"^\s*\$ (.*?)\s*$", done.out.partition("Examples:")[2], flags=re.MULTILINE)
    assert examples
    for example in examples:
        for part in example.split(" | "):
            words = shlex.split(part.split(" > ")[0])
            if words[0] == "treering":
                _parses(words[1:])


def _parses(words: list[str]) -> None:
    """Follows the words down the tree of commands and parses the rest, files and stores aside."""
    command = get_command(app)
    options = 0
    while children := getattr(command, "commands", None):
        while words[options].startswith("--"):
            options += 2
        command = children[words.pop(options)]
    names = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    used = {word.split("=")[0] for word in words[options:] if word.startswith("-") and word != "-"}
    assert used <= names | {"-1"}, f"{words}: no such option"


def test_json_is_on_every_command() -> None:
    for path in _commands():
        command = get_command(app)
        for name in path:
            command = command.commands[name]  # type: ignore[attr-defined]
        options = {name for parameter in command.params for name in parameter.opts}
        # What `thread export` writes is JSON already, and `demo` shows the others.
        groups = hasattr(command, "commands")
        assert groups or "--json" in options or path in {("thread", "export"), ("demo",)}, path


def test_the_help_knows_every_command() -> None:
    top = {path[0] for path in _commands() if len(path) == 1}
    assert top == {
        "thread", "scope", "actor", "connectors", "roles", "files", "block", "journal", "ref", "pin", "hold", "verify",
        "stats", "trim", "gc", "vacuum", "export", "import", "import-json", "backup", "restore", "copy", "demo",
    }  # fmt: skip
