"""What the store asks of a bucket, asked of a real server, with and without a network that fails."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from treering import BucketError, Invalid
from treering._core import BucketCore, bucket_url_options

sys.path.insert(0, str(Path(__file__).parent))

from proxy import Proxy
from server import ACCESS_KEY, SECRET_KEY, Server, place_url

PART = BucketCore.PART_BYTES


@pytest.fixture
def bucket(server: Server, proxy: Proxy, place: str) -> BucketCore:
    return BucketCore(server.url(place, proxy.endpoint))


def sent(bucket: BucketCore, name: str, upload: str, number: int, data: bytes) -> str:
    part = bucket.put_part(name, upload, number, data)
    assert part is not None
    return part


def test_round_trip(bucket: BucketCore, server: Server, place: str) -> None:
    assert bucket.size("a/b") is None
    assert bucket.read("a/b", 0, 10) is None
    bucket.put("a/b", b"0123456789")
    assert server.objects(place)["a/b"].read_bytes() == b"0123456789"
    assert bucket.size("a/b") == 10
    assert bucket.read("a/b", 2, 3) == b"234"
    assert bucket.read("a/b", 8, 100) == b"89"
    assert bucket.read("a/b", 10, 5) == b""
    assert bucket.read("a/b", 0, 0) == b""
    bucket.put("a/b", b"again")
    assert bucket.read("a/b", 0, 100) == b"again"
    bucket.put("empty", b"")
    assert (bucket.size("empty"), bucket.read("empty", 0, 5)) == (0, b"")
    bucket.remove("a/b")
    bucket.remove("a/b")
    assert bucket.size("a/b") is None


def test_a_listing_is_of_all_names_that_begin_so(bucket: BucketCore) -> None:
    for name in ("x/1", "x/2", "xy", "y"):
        bucket.put(name, name.encode())
    assert sorted(name for name, _, _ in bucket.listed("x")) == ["x/1", "x/2", "xy"]
    assert sorted(name for name, _, _ in bucket.listed("x/")) == ["x/1", "x/2"]
    assert sorted(name for name, _, _ in bucket.listed("")) == ["x/1", "x/2", "xy", "y"]
    [(_, size, written_ms)] = bucket.listed("xy")
    assert size == 2
    assert written_ms > 1_700_000_000_000


def test_create_is_of_one(bucket: BucketCore) -> None:
    assert bucket.create("marker", b"one") is True
    assert bucket.create("marker", b"two") is False
    assert bucket.read("marker", 0, 100) == b"one"


def test_a_create_whose_answer_is_lost_has_happened(bucket: BucketCore, proxy: Proxy) -> None:
    lost = proxy.fail("lost", lambda request: request.method == "PUT")
    assert bucket.create("marker", b"one") is True
    assert lost.happened == 1
    assert bucket.create("marker", b"one") is False


def test_an_upload_in_parts(bucket: BucketCore, proxy: Proxy) -> None:
    data = os.urandom(2 * PART + 4321)
    upload = bucket.begin("big")
    assert bucket.uploads("big") == [upload]
    assert bucket.uploads("bi") == []
    parts = [sent(bucket, "big", upload, n, data[n * PART : (n + 1) * PART]) for n in range(3)]
    # A part may be sent again.
    parts[1] = sent(bucket, "big", upload, 1, data[PART : 2 * PART])
    assert bucket.size("big") is None
    bucket.complete("big", upload, parts)
    assert bucket.size("big") == len(data)
    assert bucket.read("big", PART - 3, 7) == data[PART - 3 : PART + 4]
    assert bucket.uploads("big") == []
    with proxy.counting() as requests:
        bucket.read("big", PART, 100)
    assert [request.range for request in requests] == [f"bytes={PART}-{PART + 99}"]


def test_a_server_on_which_nothing_was_ever_uploaded(tmp_path: Path) -> None:
    """It has no list of uploads yet: then there are none, and the first one begins, on its second try."""
    with Server(tmp_path / "served") as server:
        proxy = Proxy(server.port)
        bucket = BucketCore(server.url("new", proxy.endpoint))
        assert bucket.uploads("x") == []
        refused = proxy.fail("refuse", lambda request: request.method == "POST")
        upload = bucket.begin("x")
        assert refused.happened == 1
        assert bucket.uploads("x") == [upload]
        proxy.close()


def test_an_upload_that_is_given_up_leaves_nothing(bucket: BucketCore, server: Server, place: str) -> None:
    upload = bucket.begin("gone")
    bucket.put_part("gone", upload, 0, b"x" * PART)
    bucket.abort("gone", upload)
    bucket.abort("gone", upload)
    assert bucket.uploads("gone") == []
    assert server.objects(place) == {}


def test_an_upload_that_the_server_does_not_know(tmp_path: Path) -> None:
    with Server(tmp_path / "served") as server:
        bucket = BucketCore(server.url("x"))
        upload = bucket.begin("x")
        part = bucket.put_part("x", upload, 0, b"abc")
        assert part is not None
        server.restart()
        assert bucket.put_part("x", upload, 0, b"abc") is None
        assert bucket.complete("x", upload, [part]) is False


def test_a_connection_that_ends_within_a_part(bucket: BucketCore, proxy: Proxy) -> None:
    data = os.urandom(2 * PART)
    upload = bucket.begin("cut")
    cut = proxy.fail("cut", lambda request: request.part == 2)
    parts = [sent(bucket, "cut", upload, n, data[n * PART : (n + 1) * PART]) for n in range(2)]
    assert cut.happened == 1
    bucket.complete("cut", upload, parts)
    assert bucket.read("cut", 0, len(data)) == data


def test_a_begin_whose_answer_is_lost_leaves_no_other_upload(bucket: BucketCore, proxy: Proxy) -> None:
    lost = proxy.fail("lost", lambda request: "uploads" in request.query and request.method == "POST")
    upload = bucket.begin("once")
    assert lost.happened == 1
    assert bucket.uploads("once") == [upload]


def test_a_completion_whose_answer_is_lost_has_happened(bucket: BucketCore, proxy: Proxy) -> None:
    upload = bucket.begin("done")
    part = sent(bucket, "done", upload, 0, b"x" * 100)
    lost = proxy.fail("lost", lambda request: request.method == "POST" and "uploadId" in request.query)
    assert bucket.complete("done", upload, [part])
    assert lost.happened == 1
    assert bucket.size("done") == 100


@pytest.mark.parametrize("how", ["refuse", "lost", "cut"])
def test_what_passes_is_tried_again(bucket: BucketCore, proxy: Proxy, how: str) -> None:
    fault = proxy.fail(how, times=3)
    bucket.put("x", b"abc")
    assert fault.happened == 3
    fault = proxy.fail(how, times=2)
    assert bucket.read("x", 0, 3) == b"abc"
    assert fault.happened == 2


def test_half_an_answer_is_none(bucket: BucketCore, proxy: Proxy) -> None:
    bucket.put("x", b"0123456789" * 10_000)
    short = proxy.fail("short", lambda request: request.method == "GET", times=2)
    assert bucket.read("x", 0, 100_000) == b"0123456789" * 10_000
    assert short.happened == 2


def test_what_lasts_is_given_up_and_told(server: Server, proxy: Proxy, place: str) -> None:
    bucket = BucketCore(server.url(place, proxy.endpoint, give_up=1, timeout=5))
    storm = proxy.fail("refuse", times=10_000)
    with pytest.raises(BucketError, match=r'put "x" in s3://data/.*503 SlowDown.*tried \d+ times.*give_up') as error:
        bucket.put("x", b"abc")
    assert storm.happened > 1
    assert (error.value.kind, error.value.object) == ("bucket", "x")
    assert error.value.bucket == bucket.url
    proxy.heal()
    bucket.put("x", b"abc")


def test_a_server_that_does_not_answer(server: Server, proxy: Proxy, place: str) -> None:
    bucket = BucketCore(server.url(place, proxy.endpoint, give_up=0, timeout=1))
    slow = proxy.fail("slow", seconds=3.0)
    with pytest.raises(BucketError, match=r"no answer within 1 s \(tried 1 times"):
        bucket.size("x")
    assert slow.happened == 1


def test_nobody_listens(server: Server, place: str) -> None:
    bucket = BucketCore(server.url(place, "http://127.0.0.1:9", give_up=0))
    with pytest.raises(BucketError, match="tried 1 times"):
        bucket.size("x")


def test_what_is_permanent_is_told_at_once(
    server: Server, proxy: Proxy, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = BucketCore(server.url(place, proxy.endpoint).replace("s3://data/", "s3://no-such-bucket/"))
    # Of a bucket that is not there, every object would be missing.
    for ask in (lambda: nowhere.size("x"), lambda: nowhere.read("x", 0, 1), lambda: nowhere.put("x", b"")):
        with proxy.counting() as requests, pytest.raises(BucketError, match=r"NoSuchBucket.*make the bucket"):
            ask()
        assert len(requests) <= 2
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    denied = BucketCore(server.url(place, proxy.endpoint))
    with proxy.counting() as requests, pytest.raises(BucketError, match=r"403.*check the credentials"):
        denied.put("x", b"")
    assert len(requests) == 1


def test_credentials(server: Server, place: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(Invalid, match=r"there are none: set AWS_ACCESS_KEY_ID"):
        BucketCore(server.url(place))
    (tmp_path / "secret").write_text(SECRET_KEY + "\n")
    monkeypatch.setenv("MY_KEY", ACCESS_KEY)
    url = server.url(place, access_key="env:MY_KEY", secret_key=f"file:{tmp_path}/secret")
    bucket = BucketCore(url)
    bucket.put("x", b"abc")
    assert bucket.url == url
    with pytest.raises(Invalid, match="not shown") as error:
        BucketCore(server.url(place, access_key=ACCESS_KEY, secret_key=SECRET_KEY))
    assert SECRET_KEY not in str(error.value)


def test_options_are_the_ones_that_are_documented() -> None:
    names = [name for name, _ in bucket_url_options()]
    with pytest.raises(Invalid) as error:
        BucketCore(place_url("x", "http://127.0.0.1:1", colour="red"))
    assert all(name in str(error.value) for name in names)
    page = (Path(__file__).parents[2] / "docs" / "s3.md").read_text()
    assert all(f"`{name}`" in page for name in names)


FORKED = """
import os, sys
from treering import ForkedProcess
from treering._core import BucketCore
bucket = BucketCore(sys.argv[1])
bucket.put("x", b"abc")
if (child := os.fork()) == 0:
    try:
        bucket.size("x")
    except ForkedProcess:
        print(BucketCore(bucket.url).size("x"), flush=True)
        os._exit(0)
    os._exit(1)
assert os.waitpid(child, 0)[1] == 0
print(bucket.size("x"))
"""


def test_a_child_of_fork_makes_its_own(server: Server, place: str) -> None:
    command = [sys.executable, "-W", "ignore", "-c", FORKED, server.url(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.returncode) == ("3\n3\n", 0), done.stderr
