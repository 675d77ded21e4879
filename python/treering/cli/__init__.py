"""The `treering` command.

Promises: data on stdout, everything else on stderr; exit code 0 for success, 1 for an error, 2 for a call that can't
be meant; an error is one line, `error: …`, with a `hint: …` line where one helps. Only this package looks at the
terminal, the environment and the command line; the library under it never does.

Never: anything that the Python API can't do too.
"""

import sys
from collections.abc import Sequence
from io import TextIOWrapper

__all__ = ["main", "run"]


def main() -> None:
    """Runs the command line of this process and exits."""
    for stream in (sys.stdout, sys.stderr):
        # What people read must not fail for want of a character; data is written as UTF-8 wherever it goes.
        if isinstance(stream, TextIOWrapper) and stream.encoding.lower() not in ("utf-8", "utf8"):
            stream.reconfigure(errors="replace")
    try:
        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        # While the command's own modules were still being read.
        code = 130
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Runs one command line and returns its exit code; what it prints goes to `sys.stdout` and `sys.stderr`."""
    from treering.cli.app import invoke

    return invoke(list(arguments))
