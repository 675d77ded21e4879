"""`Cid`: one value, one text, ordered by its bytes, safe as a key, through pickle and copy."""

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import treering
from treering import Cid, Invalid
from treering.codec import decode, encode

VECTORS: dict[str, list[dict[str, Any]]] = json.loads((Path(__file__).parent.parent / "vectors/cids.json").read_text())
FOREIGN = [
    "bafyreigdmqpykrgxyaxtlafqpqhzrb7qy2rh75nldvfd4kok6gl47quzvy",
    "QmXg9Pp2ytZ14xgmQjYEiHjVjMFXzCVVEcRTWJBmLgR39V",
]


@pytest.mark.parametrize("vector", VECTORS["valid"], ids=lambda vector: vector["name"])
def test_vectors(vector: dict[str, Any]) -> None:
    cid = Cid(vector["cid"])
    assert str(cid) == vector["cid"]
    assert bytes(cid).hex() == vector["cid_bytes"]
    assert cid.digest.hex() == vector["digest"]
    assert (cid.codec, cid.short(), cid.is_foreign) == (vector["codec"], vector["short"], False)
    assert Cid.from_bytes(bytes(cid)) == cid
    if cid.codec == "raw":
        assert Cid.of(bytes.fromhex(vector["bytes"])) == cid


@pytest.mark.parametrize("vector", VECTORS["invalid"], ids=lambda vector: vector["reason"])
def test_texts_that_are_none(vector: dict[str, Any]) -> None:
    if vector["text"] in FOREIGN:
        assert Cid(vector["text"]).is_foreign
        return
    try:
        cid = Cid(vector["text"])
    except Invalid:
        return
    # A CID, only not one of ours, and in its canonical text.
    assert cid.is_foreign
    assert str(cid) == vector["text"]


@pytest.mark.parametrize(
    "text", ["", "b", "../../etc/passwd", "/ipfs/" + FOREIGN[0], FOREIGN[0].upper(), " " + FOREIGN[1]]
)
def test_paths_and_second_spellings_are_refused(text: str) -> None:
    with pytest.raises(Invalid):
        Cid(text)


@pytest.mark.parametrize(
    "data", [b"", b"\x01", b"\x01\x71\x1e\x20" + bytes(31), b"\x01\x71\x1e\x20" + bytes(33), b"\x81\x00" + bytes(34)]
)
def test_bytes_that_are_none(data: bytes) -> None:
    with pytest.raises(Invalid):
        Cid.from_bytes(data)


def test_lone_surrogates_are_refused() -> None:
    with pytest.raises(Invalid):
        Cid("b\ud800")


@given(st.lists(st.binary(max_size=4), max_size=20), st.booleans())
def test_order_is_that_of_the_bytes(contents: list[bytes], with_foreign: bool) -> None:
    cids = [Cid.of(content) for content in contents] + [Cid.of_node(content) for content in contents]
    cids += [Cid(text) for text in FOREIGN] * with_foreign
    assert sorted(cids) == sorted(cids, key=bytes)
    for a in cids:
        for b in cids:
            assert (a < b, a <= b, a > b, a >= b, a == b, a != b) == (
                bytes(a) < bytes(b),
                bytes(a) <= bytes(b),
                bytes(a) > bytes(b),
                bytes(a) >= bytes(b),
                bytes(a) == bytes(b),
                bytes(a) != bytes(b),
            )
            assert a != b or hash(a) == hash(b)


def test_nothing_else_is_equal_or_ordered() -> None:
    cid = Cid.of(b"")
    assert cid != str(cid)
    assert cid != bytes(cid)
    with pytest.raises(TypeError):
        _ = cid < str(cid)  # type: ignore[operator]


@pytest.mark.parametrize("cid", [Cid.of(b"x"), Cid.of_node({}), *map(Cid, FOREIGN)], ids=str)
def test_copies(cid: Cid) -> None:
    for again in (*(pickle.loads(pickle.dumps(cid, n)) for n in range(6)), copy.copy(cid), copy.deepcopy([cid])[0]):
        assert again == cid
        assert hash(again) == hash(cid)
        assert again.is_foreign == cid.is_foreign
    assert decode(encode([cid])) == [cid]


def test_repr_is_short_and_str_is_whole() -> None:
    cid = Cid.of(b"x")
    assert repr(cid) == f"Cid('{str(cid)[:13]}…')"
    assert len(str(cid)) == 59
    assert f"{cid}" == str(cid)
    # What is shown shortened can be typed, once it is longer.
    store = treering.memory()
    assert store.put(b"x") == cid
    assert store.blocks.resolve(str(cid)[:13]) == cid


def test_foreign_cids_name_no_block() -> None:
    foreign = Cid(FOREIGN[0])
    assert (foreign.codec, foreign.is_foreign, len(foreign.digest)) == ("dag-cbor", True, 32)
    assert Cid(FOREIGN[1]).codec == "0x70"
    store = treering.memory()
    with pytest.raises(Invalid, match="foreign"):
        store.blocks.get(foreign)
    with pytest.raises(Invalid, match="foreign"):
        store.blocks.put_node([foreign])


def test_it_is_immutable() -> None:
    cid = Cid.of(b"x")
    for name in ("codec", "digest", "new"):
        with pytest.raises(AttributeError):
            setattr(cid, name, 1)
    with pytest.raises(TypeError):
        type("Sub", (Cid,), {})


@pytest.mark.parametrize("size", [0, 1, 1024, 16 << 10, (16 << 10) + 1, 1 << 20])
def test_large_and_small_bytes_hash_alike(size: int) -> None:
    data = bytes(size)
    assert Cid.of(data) == Cid.of(bytearray(data)) == Cid.of(memoryview(data))
