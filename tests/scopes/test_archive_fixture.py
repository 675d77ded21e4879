"""A file of a whole scope that an earlier version wrote reads for ever: `tests/vectors/scope.car`."""

import io
import json
from pathlib import Path

import pytest

import treering

VECTORS = Path(__file__).parents[1] / "vectors"
TOLD = json.loads((VECTORS / "scope.json").read_text("utf-8"))


@pytest.mark.parametrize("name", ["scope.car", "scope-reversed.car"])
def test_it_is_imported_and_comes_out_byte_for_byte(name: str) -> None:
    with treering.memory() as store:
        scope = store.scope(TOLD["scope"])
        did = scope.import_car(VECTORS / name)
        assert (did.actors, did.projections, did.pins, did.new_receipts) == tuple(TOLD["made"])
        assert [entry.content for entry in scope.memory.get()] == TOLD["memory"]
        assert [row.id for row in scope.chats.index()] == TOLD["chats"]
        assert {thread.key: [step.text for step in thread] for thread in scope.threads.list() if thread.key} == {
            key: texts for key, texts in TOLD["threads"].items() if key
        }
        assert scope.files.stat("notes/plan.md") is not None
        assert scope.memory.add("preference", "fact 0", command_id="remember-1").replayed
        assert scope.verify()
        assert store.verify().ok
        out = io.BytesIO()
        made = scope.export(out)
        assert str(made.root) == TOLD["root"]
        assert out.getvalue() == (VECTORS / "scope.car").read_bytes()
