"""Long lists and large maps as docs/format.md describes them, from whole lists and dicts to blocks.

Written from the page alone, with another codec and another hash library, so that vectors and tests compare two
implementations. It builds each version anew, where the core changes the one before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dag_cbor
from blake3 import blake3
from multiformats import CID, multihash

Blocks = dict[CID, bytes]

WIDTH = 32
INLINE_BYTES_MAX = 64


def vector(start: int, elements: Sequence[Any]) -> tuple[CID, Blocks]:
    """Returns the root of a list whose first `start` elements were dropped, and all blocks."""
    blocks: Blocks = {}
    end = start + len(elements)
    leaves_end = max(end - 1, 0) // WIDTH * WIDTH

    def items(first: int, last: int) -> list[Any]:
        return [_element(elements[at - start], blocks) for at in range(max(first, start), min(last, end))]

    root: dict[str, Any] = {"kind": "vector", "start": start, "end": end}
    if start < leaves_end:
        level = 0
        while WIDTH ** (level + 1) < leaves_end:
            level += 1

        def node(base: int, level: int) -> CID:
            span = WIDTH**level
            if level == 0:
                return _put(items(base, base + WIDTH), blocks)
            children = range(base, min(base + WIDTH * span, leaves_end), span)
            return _put([node(child, level - 1) for child in children if child + span > start], blocks)

        root["tree"] = node(0, level)
    if tail := items(leaves_end, end):
        root["tail"] = tail
    return _put(root, blocks), blocks


def map_(entries: Mapping[str, Any]) -> tuple[CID, Blocks]:
    """Returns the root of a map, and all blocks."""
    blocks: Blocks = {}

    def node(level: int, keys: list[str]) -> list[Any]:
        places: dict[int, list[str]] = {}
        for key in keys:
            places.setdefault(_place(key, level), []).append(key)
        taken, items = 0, []
        for place in sorted(places):
            taken |= 1 << place
            match places[place]:
                case [key]:
                    items.append([key, _element(entries[key], blocks)])
                case several:
                    items.append(_put(node(level + 1, several), blocks))
        return [taken, *items]

    root: dict[str, Any] = {"kind": "map", "count": len(entries)}
    if entries:
        root["top"] = node(0, list(entries))
    return _put(root, blocks), blocks


def _place(key: str, level: int) -> int:
    bits = f"{int.from_bytes(blake3(key.encode()).digest()):0256b}".ljust(260, "0")
    return int(bits[level * 5 : level * 5 + 5], 2)


def _element(value: Any, blocks: Blocks) -> Any:
    encoded = dag_cbor.encode(value)
    return [value] if len(encoded) <= INLINE_BYTES_MAX else _put(value, blocks)


def _put(value: Any, blocks: Blocks) -> CID:
    data = dag_cbor.encode(value)
    cid = cid_of(data)
    blocks[cid] = data
    return cid


def cid_of(data: bytes) -> CID:
    """Returns the CID of a node's bytes."""
    return CID("base32", 1, "dag-cbor", multihash.wrap(blake3(data).digest(), "blake3"))
