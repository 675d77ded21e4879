"""Writes a store for the upgrade tests, and what it holds; to be run with a version from before a change of format.

`before-dead` was written by commit 2274cf2, the last one whose stores have no table of the dead:

    git worktree add --detach ../old 2274cf2
    make -C ../old build
    ../old/.venv/bin/python tests/upgrade/make_fixture.py tests/upgrade/before-dead

It uses only the public API of then. A fixture is never written anew: it stands for the stores that people have.
"""

import json
import sys
from pathlib import Path
from typing import Any

import treering
from treering import NewStep, Thread

#: Long enough to become a file of its own, and kind to whoever packs the repository.
LARGE = b"treering " * 30_000


def told(thread: Thread) -> dict[str, Any]:
    """What a thread must still say later."""
    return {
        "key": thread.key,
        "status": thread.status,
        "head": str(thread.head),
        "prompt": thread.prompt,
        "labels": dict(thread.labels),
        "error": thread.error,
        "return_code": thread.return_code,
        "forked_from": None if thread.forked_from is None else list(thread.forked_from),
        "steps": [[step.role, step.content, dict(step.meta), sorted(step.artifacts)] for step in thread],
    }


def fill(store: treering.Store) -> set[Any]:
    """Makes one of everything; returns the blocks that nothing keeps at the end."""
    scope = store.scope("alice")
    main = scope.threads.start("solve", prompt="Fix it", key="ticket-812", labels={"team": "a", "size": 3})
    main.append("planner", "1. reproduce", meta={"phases": 2}, command_id="plan")
    main.append("coder", {"files": ["a.py"]}, artifacts={"fix.diff": b"+ sleep(1)", "log": LARGE})
    main.append("reviewer", "long " * 2000)
    fork = main.fork(at=1, key="retry")
    fork.append("coder", "wait for the port instead")
    fork.finish(summary="done")
    failed = scope.threads.start("solve", key="failed")
    failed.append("coder", "half")
    failed.fail("the model did not answer")
    scope.threads.start("solve", key="stopped").cancel("enough")
    store.threads.start("walk", steps=[NewStep("counter", f"step {n}", at_ms=None) for n in range(1, 41)], key="walk")
    with scope.commit(command_id="turn-1") as commit:
        commit.threads[failed].append("coder", "again")
        pinned = commit.put_node({"see": [main.head], "n": 7})
    scope.pins.add("release", pinned)

    before = set(store.reachable([block.cid for block in store.blocks.list()]).present)
    gone = scope.threads.start("throw-away", prompt="Nobody keeps this", parameters={"only": "here"})
    gone.extend([("worker", f"of no use {n}") for n in range(10)])
    gone.rm()
    return {block.cid for block in store.blocks.list()} - before


def main() -> None:
    folder = Path(sys.argv[1])
    with treering.open(folder / "store") as store:
        garbage = fill(store)
        assert store.verify().ok
        scopes = {name: store.scope(name) for name in store.scopes()}
        expected = {
            "version": treering.__version__,
            "head": store.head(),
            "cursor": store.cursor(),
            "threads": {
                name: {thread.id: told(thread) for thread in scope.threads.list()} for name, scope in scopes.items()
            },
            "pins": {name: {pin: str(cid) for pin, cid in scope.pins.list().items()} for name, scope in scopes.items()},
        }
        # A line a block: CID, size, whether anything keeps it.
        blocks = [f"{b.cid} {b.size} {'garbage' if b.cid in garbage else 'kept'}" for b in store.blocks.list()]
    # Of use only while the store is open.
    (folder / "store" / "store.db-shm").unlink(missing_ok=True)
    (folder / "expected.json").write_text(json.dumps(expected, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    (folder / "blocks.txt").write_text("\n".join(blocks) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
