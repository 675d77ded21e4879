"""Looks for texts in every file of a store, in whatever form they may stand there.

As they are (rows, pages, free pages, the log, large blocks, names of files), and in what is compressed: the sealed
files of the journal. A row of the database holds texts as they are, whatever they are part of.
"""

import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

SEALED = b"ringjrnl"


def found(root: Path, texts: Iterable[str]) -> list[str]:
    """Every text in every file that has it, as `text in file`, in order."""
    forms = [(text, form) for text in texts for form in _forms(text)]
    hits = set()
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        pieces = [name.encode(), *(_contents(path) if path.is_file() else ())]
        hits.update(f"{text} in {name}" for text, form in forms if any(form in piece for piece in pieces))
    return sorted(hits)


def _forms(text: str) -> Iterator[bytes]:
    yield text.encode()
    yield text.lower().encode()
    yield text.encode("utf-16-le")
    yield text.encode().hex().encode()


def _contents(path: Path) -> Iterator[bytes]:
    content = path.read_bytes()
    yield content
    if content.startswith(SEALED):
        # Header of 100 bytes, a raw deflate stream, a digest of 32.
        yield zlib.decompress(content[100:-32], wbits=-15)
