"""Runs the code blocks of a Markdown page, as a reader would from top to bottom, in one fresh folder.

- ```python blocks run in one namespace per page. A ```text block right after one is what it prints.
- ```console blocks: each `$ command` line runs in bash with the environment's programs on PATH; the lines
  under it are what it prints (standard output and error together). Lines without a `$` before them are shown
  to people only; a `$ command` with nothing under it must merely succeed. A trailing `\\` continues a command.
- `examples/` is there, as in a checkout.
- `…` in expected output stands for any text, on its own line for any number of lines.
- `<!-- not run: reason -->` on the line before a block leaves it out; the reason is required.

A failure names the page and the line. It must never pass a page whose output differs in one character.
"""

import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

COMMAND_SECONDS_MAX = 120
_FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>`{3,})(?P<language>[\w+-]*)[^`]*$")
_NOT_RUN = re.compile(r"^ *<!-- not run: (?P<reason>\S.*?) *-->$")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the page's line number of its first line, its text."""

    language: str
    line: int
    text: str
    runs: bool
    follows: bool  # only blank lines between it and the block before


class PageError(AssertionError):
    """A page says something that isn't so; the message begins with page:line."""


def blocks(page: str) -> Iterator[Block]:
    """Yields the page's fenced blocks in order."""
    lines = page.splitlines()
    at, follows, runs = 0, False, True
    while at < len(lines):
        fence = _FENCE.match(lines[at])
        if fence is None:
            if lines[at].strip():
                follows, runs = False, _NOT_RUN.match(lines[at]) is None
            at += 1
            continue
        start, indent = at + 1, len(fence["indent"])
        at = start
        while at < len(lines) and lines[at].strip() != fence["ticks"]:
            at += 1
        if at == len(lines):
            raise PageError(f"line {start}: a block that never ends")
        body = "".join(line[indent:] + "\n" for line in lines[start:at])
        yield Block(fence["language"], start + 1, body, runs, follows)
        at, follows, runs = at + 1, True, True


def run(path: Path, folder: Path) -> int:
    """Runs every block of the page in `folder`; returns how many ran, 0 for a page of prose."""
    namespace: dict[str, object] = {"__name__": "__main__"}
    printed: str | None = None
    ran = 0
    if not (folder / "examples").exists():
        (folder / "examples").symlink_to(Path(__file__).resolve().parents[2] / "examples")
    for block in blocks(path.read_text(encoding="utf-8")):
        where = f"{path.name}:{block.line}"
        if block.language == "text" and block.follows and printed is not None:
            expect(where, block.text, printed)
        printed = None
        if not block.runs:
            continue
        if block.language == "python":
            printed = run_python(where, path, block, namespace, folder)
        elif block.language == "console":
            run_console(where, block.text, folder)
        else:
            continue
        ran += 1
    return ran


def run_python(where: str, path: Path, block: Block, namespace: dict[str, object], folder: Path) -> str:
    """Runs one block; returns what it printed. Tracebacks carry the page's own line numbers."""
    code = compile("\n" * (block.line - 1) + block.text, str(path), "exec", dont_inherit=True)
    out = io.StringIO()
    with chdir(folder), redirect_stdout(out):
        try:
            exec(code, namespace)
        except Exception as error:
            raise PageError(f"{where}: {type(error).__name__}: {error}") from error
    return out.getvalue()


def run_console(where: str, text: str, folder: Path) -> None:
    """Runs each `$ command` of one block and compares what it prints."""
    for command, expected in commands(text):
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=COMMAND_SECONDS_MAX,
            text=True,
            check=False,
        )
        if expected:
            expect(f"{where}: $ {command}", expected, done.stdout)
        elif done.returncode != 0:
            raise PageError(f"{where}: $ {command}: exit {done.returncode}\n{done.stdout}")


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Yields (command, expected output) for each `$ ` line of a console block."""
    command: str | None = None
    expected: list[str] = []
    for line in text.splitlines():
        if command is not None and command.endswith("\\"):
            command = command[:-1] + line.strip()
        elif line.startswith("$ "):
            if command is not None:
                yield command, "".join(expected)
            command, expected = line[2:].strip(), []
        elif command is not None:
            expected.append(line + "\n")
    if command is not None:
        yield command, "".join(expected)


def environment() -> dict[str, str]:
    """Returns what a reader's shell would have: no colours, 100 columns, this environment's programs."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    quiet = {"NO_COLOR": "1", "COLUMNS": "100", "TERM": "dumb", "PYTHONIOENCODING": "utf-8"}
    ours = {k: v for k, v in os.environ.items() if not k.startswith("TREERING_") or k == "TREERING_DATA"}
    return {**ours, **quiet, "PATH": path}


def expect(where: str, expected: str, actual: str) -> None:
    """Raises PageError unless `actual` is `expected`, blanks at line ends and the last newline aside."""
    wanted, got = tidy(expected), tidy(actual)
    # A `…` that stands alone on its line takes whole lines, none included.
    pattern = ""
    for line in wanted.splitlines(keepends=True):
        if line.strip() == "…":
            pattern += r"(?:.*(?:\n|\Z))*"
        else:
            pattern += ".*".join(re.escape(part) for part in line.split("…"))
    if re.fullmatch(pattern, got) is None:
        raise PageError(f"{where}: the page shows\n{wanted}\nit prints\n{got}")


def tidy(text: str) -> str:
    """Returns the text without blanks at line ends and with one newline at its end, if it has any."""
    body = "\n".join(line.rstrip() for line in text.strip("\n").splitlines())
    return body + "\n" if body else ""
