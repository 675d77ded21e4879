"""`treering stats`: what is in a store, and what sharing blocks saves."""

from typing import TYPE_CHECKING, Any, Final

import typer

from treering.cli.opening import opening
from treering.cli.options import AsJson, examples
from treering.errors import Corrupt

if TYPE_CHECKING:
    from treering import Store

EPILOG: Final = examples(
    "treering stats",
    "treering --store ./state stats --json",
)


def stats(context: typer.Context, as_json: AsJson = False) -> None:
    """Count threads, steps, blocks and bytes; compare with every thread stored on its own."""
    from treering.cli.render.console import out, print_json
    from treering.cli.render.figures import print_figures

    figures = measure(opening(context).store())
    if as_json:
        print_json(figures)
    else:
        print_figures(out(), figures)


def measure(store: "Store") -> dict[str, Any]:
    """The figures of a store.

    `alone_bytes` is what the blocks of all threads would take if no two threads shared one: for each thread the sizes
    of all blocks that its head reaches. `thread_bytes` counts each of these blocks once.
    """
    sizes = {info.cid: info.size for info in store.blocks.list()}
    threads = steps = alone = 0
    reached: set[Any] = set()
    unreadable = 0
    for name in store.scopes():
        for thread in store.scope(name).threads.list():
            try:
                length, cids = len(thread), store.reachable([thread.head])[0]
            except Corrupt:
                unreadable += 1
                continue
            threads += 1
            steps += length
            alone += sum(sizes.get(cid, 0) for cid in cids)
            reached.update(cids)
    stored = sum(sizes.get(cid, 0) for cid in reached)
    return {
        "scopes": len(store.scopes()),
        "threads": threads,
        "unreadable_threads": unreadable,
        "steps": steps,
        **store.stats(),
        **({} if store.blobs is None else {"blobs": store.blobs}),
        "alone_bytes": alone,
        "thread_bytes": stored,
        "dedup": round(alone / stored, 2) if stored else 1.0,
        "head": store.head(),
    }
