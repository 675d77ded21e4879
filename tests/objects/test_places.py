"""Whose a place is: one store's, however its URL is spelled, and whoever else has the directory or lies beside it."""

import sys
from pathlib import Path

import pytest

import treering
from treering import Invalid

sys.path.insert(0, str(Path(__file__).parent))

from proxy import Proxy
from server import Server, place_url

MIB = 1 << 20
DAY_MS = 24 * 60 * 60 * 1000


def put(path: Path, name: str, byte: bytes, **options: str) -> None:
    with treering.open(path, **options) as store:
        store.scope("alice").files.put(name, byte * MIB)


def test_another_spelling_is_the_same_place(server: Server, place: str, tmp_path: Path) -> None:
    """What tells how the place is spoken to is of one opening; what the store remembers stays."""
    plain = f"http://127.0.0.1:{server.port}"
    url = place_url(place, plain)
    put(tmp_path / "state", "f", b"f", blobs=url)
    for same in (place_url(f"{place}/", f"{plain}/"), place_url(place, plain, give_up=1, timeout=5, region="eu-1")):
        with treering.open(tmp_path / "state", blobs=same) as store:
            assert store.verify().ok
            with store.scope("alice").files.open("f") as file:
                assert file.read() == b"f" * MIB
        with treering.open(tmp_path / "state") as store:
            assert store.blobs == url
    for other in (place_url(f"{place}/b", plain), place_url(place.upper(), plain), f"s3://data/{place}"):
        with pytest.raises(Invalid, match="open it with that"):
            treering.open(tmp_path / "state", blobs=other)


def test_a_second_store_is_refused_by_any_name_of_the_place(
    server: Server, proxy: Proxy, place: str, tmp_path: Path
) -> None:
    """Names of servers can't be compared, so what lies in the place tells."""
    put(tmp_path / "state", "f", b"f", blobs=server.url(place))
    ways = [
        place_url(f"{place}/", f"http://127.0.0.1:{server.port}/"),
        place_url(place, f"http://LOCALHOST:{server.port}"),
        place_url(place, f"http://127.1:{server.port}"),
        place_url(place, proxy.endpoint, region="eu-1"),
    ]
    for url in ways:
        before = server.objects(place)
        with pytest.raises(Invalid, match="a second one may not"):
            treering.open(tmp_path / "second", blobs=url)
        assert not (tmp_path / "second").exists()
        assert server.objects(place) == before


def test_a_store_opened_twice_is_one_store(server: Server, place: str, tmp_path: Path) -> None:
    url = server.url(place)
    with treering.open(tmp_path / "state", blobs=url) as one, treering.open(tmp_path / "state", blobs=url) as other:
        one.scope("alice").files.put("one", b"1" * MIB)
        other.scope("alice").files.put("other", b"2" * MIB)
        with one.scope("alice").files.open("other") as file:
            assert file.read() == b"2" * MIB
        assert len(server.objects(place)) == 3


def test_a_place_within_a_place_is_refused(server: Server, place: str, tmp_path: Path) -> None:
    with treering.open(tmp_path / "outer", blobs=server.url(place)) as outer:
        outer.scope("alice").files.put("kept", b"o" * MIB)
        with pytest.raises(Invalid, match=place):
            treering.open(tmp_path / "inner", blobs=server.url(f"{place}/ab"))
        assert not (tmp_path / "inner").exists()
        outer.gc()
        assert len(server.objects(place)) == 2
        assert outer.verify().ok


def test_a_place_around_a_place_is_refused(server: Server, place: str, tmp_path: Path) -> None:
    put(tmp_path / "inner", "f", b"i", blobs=server.url(f"{place}/ab"))
    with pytest.raises(Invalid, match="other objects lie there"):
        treering.open(tmp_path / "outer", blobs=server.url(place))
