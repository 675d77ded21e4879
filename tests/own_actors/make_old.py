"""Writes the store that tests/own_actors/old holds: `python tests/own_actors/make_old.py`.

Run once, by the version whose bytes are to be read for ever: purses of schema 1, one past two snapshots, one whose
history was cut off, one that was deleted, with the receipt of a command.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from purses import One, Purse1

from treering import testing

FOLDER = Path(__file__).parent / "old"
NOON = 1_760_011_200_000


def main() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    clock = testing.Clock(NOON)
    with testing.open(FOLDER, clock=clock) as store:
        alice = store.scope("alice").on_behalf_of("bob")
        for number in range(40):
            clock.advance(1000)
            alice.own(Purse1, "long").send(One.Add(str(number)), command_id=f"add {number}")
            alice.own(Purse1, "cut").send(One.Add(str(number)))
        alice.own(Purse1, "cut").trim(keep=3)
        alice.own(Purse1, "gone").send(One.Add("5"))
        alice.own(Purse1, "gone").delete()
        store.gc()
    # Opening makes the rest anew.
    for left in FOLDER.iterdir():
        if left.is_dir():
            shutil.rmtree(left)
        elif left.name != "store.db":
            left.unlink()


if __name__ == "__main__":
    main()
