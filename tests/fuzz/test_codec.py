"""The codec as Python sees it: objects straight from bytes and back, without the core's own values in between."""

import json
import sys
from pathlib import Path
from typing import Any

import treering
from treering import Cid, codec

sys.path.insert(0, str(Path(__file__).parent))

from fuzz import fuzz

VECTORS = Path(__file__).resolve().parents[1] / "vectors"
VALID = [bytes.fromhex(case["hex"]) for case in json.loads((VECTORS / "dag-cbor-valid.json").read_text())]
INVALID = [bytes.fromhex(case["hex"]) for case in json.loads((VECTORS / "dag-cbor-invalid.json").read_text())]
TEXTS = [case["dag_json"].encode() for case in json.loads((VECTORS / "dag-cbor-valid.json").read_text())]
#: The smallest item of each sort, many times.
DENSE = [
    b"\x99" + (20_000 // len(item)).to_bytes(2, "big") + item * (20_000 // len(item))
    for item in (
        b"\xf6",
        b"\x00",
        b"\x40",
        b"\x60",
        b"\x80",
        b"\xa0",
        b"\x81\x00",
        b"\xa1\x60\x00",
        b"\xa1\x60\xa1\x60\xa0",
    )
]


def decoded(data: bytes) -> tuple[Any] | None:
    try:
        return (codec.decode(data),)
    except treering.Invalid:
        return None


def test_fuzz_python_dag_cbor() -> None:
    def check(data: bytes, value: tuple[Any]) -> None:
        assert codec.encode(value[0]) == data
        for link in codec.collect_links(value[0]):
            assert bytes(link) in data

    seeds = VALID + INVALID + DENSE
    fuzz("test_fuzz_python_dag_cbor", decoded, check, seeds=seeds, cases=2000)


def test_fuzz_python_dag_json() -> None:
    def read(data: bytes) -> tuple[Any] | None:
        try:
            return (codec.from_dag_json(data.decode("utf-8", "surrogateescape")),)
        except treering.Invalid:
            return None

    def check(_: bytes, value: tuple[Any]) -> None:
        text = codec.to_dag_json(value[0])
        assert codec.encode(codec.from_dag_json(text)) == codec.encode(value[0])

    dense = [f"[{','.join([item] * (20_000 // len(item)))}]".encode() for item in ("0", "[]", "{}", '{"":0}', "[0]")]
    tokens = [b'{"/":', b'"bytes":', b"\\ud83d", b"1e400", b"-0", b"18446744073709551616"]
    fuzz("test_fuzz_python_dag_json", read, check, seeds=TEXTS + dense, tokens=tokens, cases=2000)


def test_fuzz_what_people_type() -> None:
    """CIDs, their beginnings, ids, keys, cursors and heads: the right error, never another."""
    store = treering.memory()
    store.threads.start("w", key="ticket-812").append("a", "b")
    cid, node = Cid.of(b"x"), store.threads.get("ticket-812").head

    def read(data: bytes) -> list[Any] | None:
        text = data.decode("utf-8", "surrogateescape")
        answers: list[Any] = []
        asks = (
            Cid,
            store.blocks.resolve,
            store.threads.get,
            lambda text: list(store.journal(after=text)),
            lambda text: store.verify(since=text),
        )
        for ask in asks:
            try:
                answers.append(ask(text))
            except (treering.Invalid, treering.NotFound, treering.CursorLost):
                continue
        return answers or None

    def check(data: bytes, answers: list[Any]) -> None:
        for answer in answers:
            assert not isinstance(answer, Cid) or str(answer).startswith(data.decode().rstrip("…"))

    seeds = [str(cid).encode(), str(node).encode(), str(node)[:14].encode(), b"ticket-812", b"01ar"]
    seeds += [store.cursor().encode(), store.head().encode(), store.threads.get("ticket-812").id.encode()]
    tokens = [b"bafyr4i", "…".encode(), b"c1-", b"h1-", b"-", b"..", b"/", b"\0"]
    fuzz("test_fuzz_what_people_type", read, check, seeds=seeds, tokens=tokens, cases=2000)
