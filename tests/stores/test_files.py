"""`files`: by path, streamed in and out. The contract's sentences, each as a test."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from others import Start

import treering
from treering import (
    CommandMismatch,
    Corrupt,
    HistoryTrimmed,
    Invalid,
    InvalidCommand,
    LimitExceeded,
    NotFound,
    Scope,
    Store,
    VersionConflict,
    testing,
)
from treering.messages import FileDeleted, FileInfo, FilePut, Message

KIB, MIB = 1 << 10, 1 << 20
DAY_MS = 25 * 3600 * 1000


def noise(size: int, seed: int = 1) -> bytes:
    """Bytes that repeat nowhere near."""
    block = bytes((at * 7 + seed * 31 + (at >> 8)) & 255 for at in range(65_521))
    return (block * (size // len(block) + 1))[:size]


def read(scope: Scope, path: str, version: int | None = None) -> bytes:
    with scope.files.open(path, version=version) as file:
        return file.read()


def blobs(root: Path) -> list[str]:
    """Files of large blocks and uploads, by name."""
    return sorted(str(file.relative_to(root)) for file in (root / "state/blobs").rglob("*") if file.is_file())


@pytest.mark.parametrize("size", [1, 256 * KIB - 1, 256 * KIB, MIB, MIB + 1, 3 * MIB + 5])
def test_what_is_put_is_read_back(alice: Scope, clock: testing.Clock, size: int) -> None:
    content = noise(size)
    receipt = alice.files.put("a/b.bin", content)
    info = receipt.value
    assert info == FileInfo(
        path="a/b.bin",
        content=info.content,  # type: ignore[union-attr]
        size=size,
        content_type="application/octet-stream",
        updated_at_ms=clock.now_ms,
    )
    assert (receipt.version, receipt.changed, receipt.warnings) == (1, True, ())
    assert read(alice, "a/b.bin") == content
    assert alice.files.stat("a/b.bin") == info
    assert alice.files.list() == [info]
    assert alice.files.verify() == 1


def test_bytes_are_addressed_by_content_and_stored_once(store: Store, alice: Scope) -> None:
    content = noise(MIB + 9)
    one = alice.files.put("one", content).value
    two = alice.files.put("two.txt", io.BytesIO(content)).value
    three = store.scope("bob").files.put("three", content).value
    assert one
    assert two
    assert three
    assert one.content == two.content == three.content
    assert one.content == treering.memory().blocks.put(content)
    assert store.stats()["blob_files"] <= 1


def test_the_actor_keeps_no_bytes(alice: Scope) -> None:
    alice.files.put("secret.txt", b"the bytes themselves" * 20_000)
    (event,) = alice.files.history()
    assert isinstance(event.message, FilePut)
    assert event.message.file.size == 400_000
    kept = alice.actor("files")
    assert kept.state() == alice.files.list()
    assert b"the bytes" not in repr(event).encode()


def test_the_same_again_is_unchanged(alice: Scope, clock: testing.Clock) -> None:
    first = alice.files.put("a.txt", b"x")
    clock.advance(5)
    again = alice.files.put("a.txt", [b"x"])
    assert (again.changed, again.version, again.value) == (False, 1, first.value)
    assert alice.files.put("a.txt", b"x", "text/x-other").version == 2
    assert alice.files.put("a.txt", b"y", "text/x-other").version == 3
    assert alice.files.stat("a.txt").updated_at_ms == clock.now_ms  # type: ignore[union-attr]


def test_delete_forgets_the_path_and_not_the_past(alice: Scope) -> None:
    alice.files.put("a", b"one")
    assert alice.files.delete("b").changed is False
    gone = alice.files.delete("a")
    assert (gone.version, gone.changed) == (2, True)
    assert alice.files.stat("a") is None
    assert list(alice.files.list()) == []
    with pytest.raises(NotFound, match="a"):
        alice.files.open("a")
    assert read(alice, "a", version=1) == b"one"
    assert alice.files.delete("a").changed is False


def test_list_is_by_path_and_prefix(alice: Scope) -> None:
    for path in ("b/2", "a", "b/1", "ab", "B", "b"):
        alice.files.put(path, path.encode())
    assert [file.path for file in alice.files.list()] == ["B", "a", "ab", "b", "b/1", "b/2"]
    assert [file.path for file in alice.files.list("b/")] == ["b/1", "b/2"]
    assert [file.path for file in alice.files.list("a")] == ["a", "ab"]
    assert list(alice.files.list("nothing")) == []
    assert alice.files.list().version == 6


def test_content_types_are_said_or_told_by_the_name(alice: Scope) -> None:
    assert alice.files.put("a.md", b"x").value.content_type == "text/markdown"  # type: ignore[union-attr]
    assert alice.files.put("b", b"x").value.content_type == "application/octet-stream"  # type: ignore[union-attr]
    said = alice.files.put("c.md", b"x", " text/plain; charset=utf-8 ").value
    assert said
    assert said.content_type == "text/plain; charset=utf-8"
    for wrong in ("", "text", "a b/c", "text/plain\nx", "täxt/plain", "text/" + "a" * 251):
        with pytest.raises(InvalidCommand, match="content_type"):
            alice.files.put("d", b"x", wrong)
    assert alice.files.stat("d") is None


HOSTILE = [
    "",
    "/",
    "/etc/passwd",
    "//host/share",
    "a//b",
    "a/",
    ".",
    "..",
    "../a",
    "a/../../b",
    "a/.",
    "%2e%2e/a",
    "%2E%2E/a",
    "a%2Fb",
    "a%5C..%5Cb",
    "a\\b",
    "C:\\a",
    "a\0b",
    "a%00b",
    "a%0d%0ab",
    "a%0D%0Ab",
    "a\nb",
    "a b",
    "März",
    "a\u202eb",
    "a?b",
    "a#b",
    "%",
    "%zz",
    "%C3",
    "a" * 1025,
]


@pytest.mark.parametrize("path", HOSTILE, ids=lambda path: ascii(path)[:20])
def test_hostile_paths_are_refused_by_every_verb(alice: Scope, path: str) -> None:
    calls = [
        lambda: alice.files.put(path, b"x"),
        lambda: alice.files.delete(path),
        lambda: alice.files.open(path),
        lambda: alice.files.stat(path),
        lambda: alice.files.stat(path, version=0),
    ]
    for call in calls:
        with pytest.raises(InvalidCommand) as refused:
            call()
        assert refused.value.field == "path"
        assert refused.value.value == path[:64]
    assert alice.files.list().version == 0


@pytest.mark.parametrize("path", ["a", "...", "a..b/~c_-", "M%C3%A4rz%201.pdf", "100%25", "a" * 1024, "workflows.txt"])
def test_paths_are_as_quote_writes_them(alice: Scope, path: str) -> None:
    from urllib.parse import quote, unquote

    assert quote(unquote(path)) == path
    alice.files.put(path, b"x")
    assert [file.path for file in alice.files.list()] == [path]


def test_empty_uploads_are_refused(alice: Scope) -> None:
    for nothing in (b"", io.BytesIO(), [], [b"", b""], iter(())):
        with pytest.raises(InvalidCommand, match="empty"):
            alice.files.put("a", nothing)
    assert alice.files.list().version == 0


def test_the_upload_limit_is_50_mib_and_a_setting(tmp_path: Path) -> None:
    assert treering.Settings().file_bytes == 50 * MIB
    with treering.open(tmp_path / "state", settings=treering.Settings(file_bytes=300 * KIB)) as store:
        files = store.scope("alice").files
        files.put("most", noise(300 * KIB))
        for data in (noise(300 * KIB + 1), io.BytesIO(noise(4 * MIB)), (noise(KIB) for _ in range(301))):
            with pytest.raises(LimitExceeded, match=r"307,?200"):
                files.put("more", data)
        assert files.stat("more") is None
        assert store.stats()["blob_files"] == 1
    assert len(blobs(tmp_path)) == 2, "one file and its tree"
    # What is there can be read with any setting.
    with treering.open(tmp_path / "state", settings=treering.Settings(file_bytes=1)) as store:
        assert len(read(store.scope("alice"), "most")) == 300 * KIB
    for wrong in (0, -1, (64 << 30) + 1, True):
        with pytest.raises(Invalid, match="file_bytes"):
            treering.Settings(file_bytes=wrong)
    assert treering.Settings(file_bytes=64 << 30).file_bytes == 64 << 30


def test_bytes_come_from_anything_that_gives_them(alice: Scope, tmp_path: Path) -> None:
    content = noise(2 * MIB + 3)
    (tmp_path / "file").write_bytes(content)
    given: list[treering.stores.FileData] = [
        bytearray(content),
        memoryview(content),
        memoryview(content).cast("H") if len(content) % 2 == 0 else memoryview(content),
        io.BytesIO(content),
        iter([content[:5], b"", content[5:]]),
        (content[at : at + 777_777] for at in range(0, len(content), 777_777)),
    ]
    for number, data in enumerate(given):
        alice.files.put(f"{number}", data)
        assert read(alice, f"{number}") == content
    with (tmp_path / "file").open("rb") as file:
        file.seek(100)
        alice.files.put("rest", file)
    assert read(alice, "rest") == content[100:]


def test_what_is_no_bytes_is_refused(alice: Scope) -> None:
    with pytest.raises(Invalid, match="encode"):
        alice.files.put("a", "text")  # type: ignore[arg-type]
    with pytest.raises(Invalid, match="int"):
        alice.files.put("a", 5)  # type: ignore[arg-type]
    with pytest.raises(Invalid, match="binary"):
        alice.files.put("a", io.StringIO("text"))  # type: ignore[arg-type]
    with pytest.raises(Invalid, match="list"):
        alice.files.put("a", [[1]])  # type: ignore[list-item]
    with pytest.raises(Invalid, match="gives int"):
        alice.files.put("a", [1, 2])  # type: ignore[list-item]
    with pytest.raises(Invalid, match="dict"):
        alice.files.put("a", {b"its": b"keys"})
    assert alice.files.list().version == 0


def test_a_source_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def breaks() -> Iterator[bytes]:
        yield noise(3 * MIB)
        raise RuntimeError("the network is gone")

    with treering.open(tmp_path / "state") as store:
        with pytest.raises(RuntimeError, match="network"):
            store.scope("alice").files.put("a", breaks())
        assert blobs(tmp_path) == []
        assert store.scope("alice").files.list().version == 0


def test_a_refused_put_leaves_nothing(tmp_path: Path) -> None:
    with treering.open(tmp_path / "state") as store:
        files = store.scope("alice").files
        files.put("a", b"x")
        with pytest.raises(VersionConflict):
            files.put("b", noise(2 * MIB), expected_version=7)
        assert blobs(tmp_path) == []
        assert files.put("b", noise(2 * MIB), expected_version=1).version == 2
        assert len(blobs(tmp_path)) == 2


def test_a_repeated_put_is_answered_and_stores_nothing(tmp_path: Path) -> None:
    with treering.open(tmp_path / "state") as store:
        files = store.scope("alice").files
        first = files.put("a", noise(MIB + 1), command_id="c")
        files.delete("a")
        again = files.put("a", noise(MIB + 1), command_id="c")
        assert (again.version, again.replayed, again.value) == (1, True, first.value)
        for other in (
            lambda: files.put("a", noise(MIB + 2), command_id="c"),
            lambda: files.put("b", noise(MIB + 1), command_id="c"),
            lambda: files.put("a", noise(MIB + 1), "text/plain", command_id="c"),
        ):
            with pytest.raises(CommandMismatch):
                other()
        assert len(blobs(tmp_path)) == 2


def test_versions_are_read(alice: Scope) -> None:
    alice.files.put("a", b"1")
    alice.files.put("b", b"2")
    alice.files.put("a", b"3")
    alice.files.delete("b")
    assert [[file.path for file in alice.files.at(version)] for version in range(5)] == [
        [],
        ["a"],
        ["a", "b"],
        ["a", "b"],
        ["a"],
    ]
    assert [read(alice, "a", version) for version in (1, 2, 3, 4)] == [b"1", b"1", b"3", b"3"]
    assert alice.files.stat("b", version=4) is None
    assert alice.files.stat("b", version=3).size == 1  # type: ignore[union-attr]
    with pytest.raises(NotFound):
        alice.files.at(5)
    events = list(alice.files.history())
    assert [type(event.message) for event in events] == [FilePut, FilePut, FilePut, FileDeleted]
    assert [event.version for event in alice.files.history("b")] == [2, 4]
    assert [event.version for event in alice.files.history("a", first=2)] == [3]


def test_states_and_watch(alice: Scope) -> None:
    states, watch = alice.files.states(), alice.files.watch()
    assert next(states) == []
    info = alice.files.put("a", b"1").value
    assert next(states) == [info]
    event = next(watch)
    assert isinstance(event.message, FilePut)
    assert event.message.file == info


def test_trim_and_gc_give_the_room_back(tmp_path: Path) -> None:
    with testing.open(tmp_path / "state", clock=(clock := testing.Clock())) as store:
        files = store.scope("alice").files
        files.put("old", noise(MIB, 1))
        files.put("new", noise(MIB, 2))
        files.delete("old")
        store.gc()
        assert read(store.scope("alice"), "old", version=1) == noise(MIB, 1)
        files.trim(keep=0)
        clock.advance(DAY_MS)
        assert store.gc().freed_bytes > MIB
        assert len(blobs(tmp_path)) == 2
        assert read(store.scope("alice"), "new") == noise(MIB, 2)
        with pytest.raises(HistoryTrimmed):
            files.open("old", version=1)
        # The bytes of the past can be put again.
        files.put("old", noise(MIB, 1))
        assert read(store.scope("alice"), "old") == noise(MIB, 1)
        assert store.verify().ok


def test_a_file_is_attached_to_a_message_and_a_step(tmp_path: Path) -> None:
    with testing.open(tmp_path / "state", clock=(clock := testing.Clock())) as store:
        alice = store.scope("alice")
        content = noise(MIB + 3)
        info = alice.files.put("report.pdf", content).value
        assert info is not None
        alice.chats.append("c", [Message(role="user", content="see", attachments=(info.content,))])
        thread = alice.threads.start("t")
        step = thread.append("coder", "see", links=[info.content])

        def collect() -> None:
            clock.advance(DAY_MS)
            store.gc()

        alice.files.delete("report.pdf")
        alice.files.trim(keep=0)
        collect()
        (attached,) = alice.chats.messages("c")[0].attachments
        assert store.blocks.get(attached) == content
        alice.chats.delete("c")
        collect()
        assert store.blocks.get(step.links[0]) == content
        thread.rm()
        collect()
        with pytest.raises(NotFound):
            store.blocks.get(info.content)
        assert blobs(tmp_path) == []
        assert store.verify().ok


def test_a_file_is_a_seekable_binary_file(alice: Scope) -> None:
    content = b"first line\nsecond line\n" + noise(2 * MIB)
    alice.files.put("a", content)
    with alice.files.open("a") as file:
        assert isinstance(file, io.BufferedReader)
        assert (file.readable(), file.seekable(), file.writable()) == (True, True, False)
        assert file.info == alice.files.stat("a")
        assert (file.readline(), file.readline()) == (b"first line\n", b"second line\n")
        assert file.tell() == 23
        assert file.seek(-5, io.SEEK_END) == len(content) - 5
        assert (file.read(), file.read()) == (content[-5:], b"")
        file.seek(MIB - 2)
        assert file.read(4) == content[MIB - 2 : MIB + 2]
        assert file.range(5, 10) == content[5:15]
        assert (file.range(len(content) - 1, 10), file.range(len(content) + 1, 1)) == (content[-1:], b"")
        assert file.tell() == MIB + 2
        file.seek(0)
        assert b"".join(file.chunks(300_000)) == content
        assert file.seek(len(content) + 5) == len(content) + 5
        assert file.read() == b""
        with pytest.raises(ValueError, match="before the beginning"):
            file.seek(-1)
        with pytest.raises(Invalid):
            file.range(-1, 5)
    assert file.closed
    with pytest.raises(ValueError, match="closed"):
        file.read()


def test_libraries_read_files(alice: Scope) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("inside.txt", "hello")
    alice.files.put("a.zip", packed.getvalue())
    alice.files.put("a.txt", "grüße\nzwei\n".encode())
    with alice.files.open("a.zip") as file, zipfile.ZipFile(file) as archive:
        assert archive.read("inside.txt") == b"hello"
    with alice.files.open("a.txt") as file, io.TextIOWrapper(file, "utf-8") as text:
        assert list(text) == ["grüße\n", "zwei\n"]


def test_an_open_file_is_read_to_its_end(alice: Scope, store: Store, clock: testing.Clock) -> None:
    content = noise(3 * MIB)
    alice.files.put("a", content)
    with alice.files.open("a") as file:
        head = file.read(10)
        alice.files.delete("a")
        alice.files.trim(keep=0)
        clock.advance(DAY_MS)
        assert store.gc().deleted > 0
        assert head + file.read() == content


def test_a_damaged_file_is_never_given(tmp_path: Path) -> None:
    with treering.open(tmp_path / "state") as store:
        alice = store.scope("alice")
        alice.files.put("a", noise(3 * MIB))
        (name,) = [name for name in blobs(tmp_path) if not name.endswith(".obao")]
        path = tmp_path / name
        damaged = bytearray(path.read_bytes())
        damaged[2 * MIB + 17] ^= 1
        path.write_bytes(damaged)
        with alice.files.open("a") as file:
            assert file.read(2 * MIB) == noise(3 * MIB)[: 2 * MIB]
            with pytest.raises(Corrupt):
                file.read(100)
            assert file.range(MIB, 10) == noise(3 * MIB)[MIB : MIB + 10]
            with pytest.raises(Corrupt):
                file.range(2 * MIB + 17, 1)
        assert not store.verify().ok
        # The same bytes again can't mend what still has its length; repair could, from another copy.
        path.unlink()
        alice.files.put("b", noise(3 * MIB))
        assert read(alice, "a") == noise(3 * MIB)
        assert store.verify().ok


def test_drafts_of_small_files(alice: Scope) -> None:
    with alice.commit(command_id="c") as c:
        one = c.files.put("a.txt", b"one")
        c.chats.append("c", [Message(role="user", content="see a.txt")])
        c.files.delete("a.txt")
        two = c.files.put("b.txt", noise(256 * KIB - 1), "text/plain")
        with pytest.raises(LimitExceeded):
            c.files.put("c.txt", noise(256 * KIB))
        with pytest.raises(InvalidCommand):
            c.files.put("../c", b"x")
    assert one.receipt.version == 1
    assert two.receipt.value == alice.files.stat("b.txt")
    assert alice.files.stat("a.txt") is None
    assert alice.files.list().version == 3
    assert read(alice, "b.txt") == noise(256 * KIB - 1)


def test_upload_of_a_killed_process_goes_with_the_next_collection(tmp_path: Path, start: Start) -> None:
    code = """
store = treering.open(sys.argv[1])
def endless():
    while True:
        yield bytes(1 << 20)
        say("more")
        sys.stdin.readline()
store.scope("alice").files.put("a", endless())
"""
    other = start(code, tmp_path / "state")
    for _ in range(3):
        assert other.hear() == "more"
        other.tell()
    (name,) = blobs(tmp_path)
    assert name.startswith("state/blobs/uploads/")
    with treering.open(tmp_path / "state") as store:
        store.gc()
        assert blobs(tmp_path) == [name], "somebody is at it"
        other.kill()
        store.gc()
        assert blobs(tmp_path) == []
        assert store.verify().ok


def test_scopes_have_files_of_their_own(store: Store) -> None:
    one, two = store.scope("alice").files, store.scope("bob").files
    one.put("a", b"x")
    assert two.stat("a") is None
    two.put("a", b"y")
    assert read(store.scope("alice"), "a") == b"x"
    two.delete("a")
    assert one.stat("a") is not None


class Counted:
    """Pieces that are counted as they are taken."""

    def __init__(self) -> None:
        self.taken = 0

    def __iter__(self) -> Iterator[bytes]:
        for _ in range(5):
            self.taken += 1
            yield bytes(1000)


def test_a_version_is_asked_for_before_a_byte_is_read(alice: Scope) -> None:
    pieces = Counted()
    alice.files.put("a", b"x", command_id="first")
    for command_id in (None, "another"):
        with pytest.raises(VersionConflict) as caught:
            alice.files.put("b", pieces, expected_version=7, command_id=command_id)
        with pytest.raises(VersionConflict) as usual:
            alice.files.delete("b", expected_version=7, command_id=command_id)
        assert str(caught.value) == str(usual.value)
        assert caught.value.attributes == usual.value.attributes
    assert pieces.taken == 0
    # It is free yet, and what it asked for was not done.
    assert alice.files.put("b", pieces, expected_version=1, command_id="another").version == 2
    assert [file.path for file in alice.files.list()] == ["a", "b"]


def test_a_command_that_was_done_is_answered_whatever_version_it_asks_for(alice: Scope) -> None:
    first = alice.files.put("a", b"x", expected_version=0, command_id="k")
    alice.files.put("b", b"y")
    again = alice.files.put("a", [b"x"], expected_version=0, command_id="k")
    assert (again.version, again.replayed) == (first.version, True)
    with pytest.raises(treering.CommandMismatch):
        alice.files.put("a", [b"other"], expected_version=0, command_id="k")
    assert alice.files.list().version == 2
    # The id of what deleted it: nothing is deleted by asking.
    alice.files.delete("a", command_id="d")
    alice.files.put("a", b"z")
    with pytest.raises(treering.CommandMismatch):
        alice.files.put("a", b"w", expected_version=0, command_id="d")
    assert alice.files.stat("a") is not None


def test_views_of_memory_in_any_order(alice: Scope) -> None:
    every = memoryview(bytes(range(10)))[::2]
    for path, data in {"a": every, "b": [every], "c": memoryview(bytes(range(12))).cast("B", (3, 4))}.items():
        alice.files.put(path, data)
    assert [file.size for file in alice.files.list()] == [5, 5, 12]
    assert alice.files.open("a").read() == alice.files.open("b").read() == bytes(range(0, 10, 2))


def test_a_file_in_a_commit_of_several_is_small(alice: Scope) -> None:
    with alice.commit() as c:
        c.files.put("most", b"x" * 262_143)
    for large in (b"x" * 262_144, memoryview(bytes(262_144)).cast("I")):
        with pytest.raises(treering.LimitExceeded, match=r"scope\.files\.put") as caught, alice.commit() as c:
            c.files.put("more", large)
        assert (caught.value.limit, caught.value.actual) == (262_143, 262_144)
        assert caught.value.what == "bytes of a file in a commit of several"
    assert [file.path for file in alice.files.list()] == ["most"]
