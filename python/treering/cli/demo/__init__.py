"""`treering demo`: what treering does, in two minutes, on a dozen conversations that come with it."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer

from treering.cli.exits import CommandError
from treering.cli.options import examples

EPILOG: Final = examples(
    "treering demo",
    "treering demo --keep ./demo",
)


def demo(
    keep: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", file_okay=False, help="Work in this directory and keep it; default: a temporary one."
        ),
    ] = None,
) -> None:
    """Import conversations, fork a failed one before its mistake, compare, verify, and find a flipped byte.

    Every line behind a `$` or `>>>` is really run, every figure is computed. Nothing outside of the demo's directory
    is touched.
    """
    from treering.cli.demo.script import play
    from treering.cli.demo.stage import Stage

    with _place(keep) as place, chdir(place), _without_settings():
        play(Stage(), place, kept=keep is not None)


@contextmanager
def _place(keep: Path | None) -> Iterator[Path]:
    """The directory to work in."""
    if keep is None:
        place = Path(tempfile.mkdtemp(prefix="treering-demo-"))
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)
        return
    if keep.exists() and any(keep.iterdir()):
        raise CommandError(f"not empty: {keep}", "the demo needs a directory of its own")
    keep.mkdir(parents=True, exist_ok=True)
    yield keep.resolve()


_OWN: Final = ("TREERING_STORE", "TREERING_SCOPE", "TREERING_BLOBS")


@contextmanager
def _without_settings() -> Iterator[None]:
    """The environment without a user's own store, scope and bucket, which the demo must not touch."""
    saved = {name: os.environ.pop(name) for name in _OWN if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(saved)
