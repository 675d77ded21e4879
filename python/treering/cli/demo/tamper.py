"""Changes one byte of a store's files, as a failing disk or a dishonest hand would. For copies only."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Flipped:
    """Which byte was changed: the file's name, the offset in it, the words before and after."""

    file: str
    offset: int
    before: str
    after: str


def flip_byte(store: Path, words: str) -> Flipped:
    """Changes the last byte of every place in the store's files where `words` stand; answers the first.

    The words are found in the database and in its log, which may both hold the page.
    """
    before = words.encode()
    # The last digit, one bit away: what is left is as plausible as what was there.
    after = before[:-1] + bytes([before[-1] ^ 0x02])
    flipped = None
    for path in sorted(path for path in store.rglob("*") if path.is_file()):
        data = path.read_bytes()
        if before in data:
            found = Flipped(path.name, data.index(before) + len(before) - 1, words, after.decode())
            path.write_bytes(data.replace(before, after))
            flipped = flipped or found
    if flipped is None:
        raise ValueError(f"no file of {store} holds these words in one piece: {words!r}")
    return flipped
