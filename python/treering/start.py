"""Reading the node where a thread begins."""

from __future__ import annotations

from treering._core import Cid
from treering._session import Session
from treering.errors import Corrupt
from treering.nodes import StartNode, parse


def read_start(session: Session, cid: Cid) -> StartNode:
    """Returns a thread's start; reads one block.

    Errors:
        Corrupt (`corrupt`): the block is another kind of node, or none.
    """
    node = parse(session.core.get_node(cid), cid)
    if not isinstance(node, StartNode):
        raise Corrupt(f"ill-typed node {cid}: a thread begins there, and it is no start", which=str(cid))
    return node
