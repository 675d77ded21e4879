"""Files that nobody wrote in earnest: each is refused with its reason, and keeps no other out."""

import json
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from old_format import both, by_path, digest, outcomes, reasons, step, write, write_log

import treering
from treering.importing import import_json, source, threads

DOCUMENTS = ["config.json", "actors.json", "user-memory.json", "chats/c.json", "chats/index.json"]
GOOD: dict[str, Any] = {
    "config.json": {"defaultModel": "m"},
    "actors.json": {"t": ["1"]},
    "user-memory.json": [{"id": "000000000001", "content": "x", "createdAt": 1}],
    "chats/c.json": [{"role": "user", "content": "x", "timestamp": 1}],
    "chats/index.json": [{"id": "c", "createdAt": 1, "updatedAt": 1}],
}
BROKEN = {
    "empty": (b"", "it is empty"),
    "blank": (b" \r\n\t", "it is empty"),
    "mark": (b"\xef\xbb\xbf", "it is empty"),
    "cut": (b'{"a": [1, 2', "it is not JSON"),
    "not utf-8": (b'{"defaultModel": "\xff"}', "it is not UTF-8 at byte 18"),
    "utf-16": ('{"a": 1}'.encode("utf-16"), "it is not UTF-8"),
    "two values": (b"{} {}", "it is not JSON"),
    "deep": (b"[" * 200_000, "nested deeper"),
    "deep and closed": (b"[" * 100_000 + b"]" * 100_000, "nested deeper"),
    "nul": (b"\x00" * 100, "it is not JSON"),
    "text": (b"hello", "it is not JSON"),
}


@pytest.mark.parametrize("how", BROKEN)
@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_broken_document(alice: treering.Scope, tmp_path: Path, name: str, how: str) -> None:
    for other, document in GOOD.items():
        write(tmp_path / other, document)
    data, says = BROKEN[how]
    (tmp_path / name).write_bytes(data)
    report = both(alice, tmp_path)
    refused = [note for note in by_path(report)[name].notes if note.what == "refused"]
    assert [note.path for note in refused] == ["$"]
    assert says in refused[0].reason
    others = {path: outcome for path, outcome in outcomes(report).items() if path != name}
    # A conversation and its row go together.
    together = {"chats/c.json", "chats/index.json"}
    assert others == {other: "refused" if {name, other} == together else "new" for other in DOCUMENTS if other != name}


@pytest.mark.parametrize("document", [None, True, 3, "x", 1.5, [None], [[]], ["x"], {"a": 1}, {"entries": 5}, [{}]])
@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_of_another_sort(alice: treering.Scope, tmp_path: Path, name: str, document: Any) -> None:
    report = both(alice, write(tmp_path / name, document))
    assert report.taken == 0
    assert report.refused + report.left_out > 0
    assert alice.user_config.get().version == alice.agents.list().version == alice.memory.get().version == 0
    assert list(alice.chats.index()) == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_marks_and_line_ends_of_another_system(alice: treering.Scope, tmp_path: Path, name: str) -> None:
    for other, document in GOOD.items():
        path = write(tmp_path / other, document)
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert outcomes(both(alice, tmp_path))[name] == "new"


def test_the_same_with_a_log(alice: treering.Scope, tmp_path: Path) -> None:
    path = write_log(tmp_path, "a", step("x", "one\r\ntwo"))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n\r\n"))
    both(alice, tmp_path)
    assert alice.threads.get("log-a").at(1).content == "one\r\ntwo"


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("NaN", "NaN is not a JSON number"),
        ("-Infinity", "not a JSON number"),
        ("1e999", "too large for a float"),
        ("9" * 5_000, "beyond 64 bits"),
        ('"\\ud800"', "lone surrogate"),
        ('{"a":1,"a":2}', "given twice"),
        ("[[[]]]", "a text is expected, not an array"),
    ],
)
def test_a_value_that_json_should_not_hold(alice: treering.Scope, tmp_path: Path, value: str, says: str) -> None:
    (tmp_path / "config.json").write_text(f'{{"defaultModel": {value}, "githubUsername": "g"}}')
    entry = '{"id":"00000000000%d","content":%s,"createdAt":1}'
    (tmp_path / "memory.json").write_text(f"[{entry % (1, value)}, {entry % (2, chr(34) + 'x' + chr(34))}]")
    (tmp_path / "actors.json").write_text(f'{{"t": [{value}, "ok"]}}')
    report = both(alice, tmp_path)
    refused = [note.reason for note in by_path(report)["config.json"].notes + by_path(report)["memory.json"].notes]
    assert len(refused) == 2
    assert all(says in reason for reason in refused), refused
    # What stands beside it is taken.
    assert alice.user_config.get().github_username == "g"
    assert [entry.content for entry in alice.memory.get()] == ["x"]
    assert alice.agents.list()[0].actor_ids == ("ok",)


def test_a_key_that_is_given_twice(alice: treering.Scope, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"defaultModel": "a", "defaultModel": "b"}')
    report = both(alice, tmp_path)
    assert [(note.path, note.reason) for note in report.files[0].notes] == [
        ("$.defaultModel", "a key that is given twice")
    ]


@pytest.mark.parametrize(
    ("at", "at_ms"),
    [
        ("0001-01-01T00:00:00Z", -62135596800000),
        ("9999-12-31T23:59:59.999Z", 253402300799999),
        (-62135596800000, -62135596800000),
        (253402300799999, 253402300799999),
        ("0001-01-01T00:00:00+14:00", None),
        (-62135596800001, None),
        (253402300800000, None),
        (10**40, None),
        ("2024-02-30", None),
        ("1714550400000", None),
        ("now", None),
        (True, None),
        ([], None),
        (1714550400000.75, 1714550400000),
        (-0.5, -1),
    ],
)
def test_times(alice: treering.Scope, tmp_path: Path, at: Any, at_ms: int | None) -> None:
    both(alice, write(tmp_path / "chats" / "c.json", [{"role": "user", "content": "x", "timestamp": at}]))
    assert [message.at_ms for message in alice.chats.messages("c")] == ([] if at_ms is None else [at_ms])


@pytest.mark.parametrize(
    ("at", "at_ms", "noted"),
    [
        ("2024-05-01T08:00:00.123Z", 1714550400123, False),
        ("2024-05-01T08:00:00.1230000Z", 1714550400123, False),
        ("2024-05-01T08:00:00.123456+00:00", 1714550400123, True),
        ("2024-05-01T08:00:00.1230001Z", 1714550400123, True),
        ("2024-05-01T08:00:00,1230001Z", 1714550400123, True),
        ("1969-12-31T23:59:59.9995Z", -1, True),
        (1714550400123.0, 1714550400123, False),
        (1714550400123.5, 1714550400123, True),
    ],
)
def test_what_is_finer_than_a_millisecond(
    alice: treering.Scope, tmp_path: Path, at: Any, at_ms: int, noted: bool
) -> None:
    write_log(tmp_path, "a", step("x", "y") | {"timestamp": at})
    report = both(alice, tmp_path)
    assert alice.threads.get("log-a").at(1).at_ms == at_ms
    assert [(note.line, note.path) for note in report.files[0].notes] == [(2, "$.timestamp")] * noted


class TestWhatIsNoFile:
    def test_links_folders_and_pipes(self, alice: treering.Scope, tmp_path: Path) -> None:
        old = tmp_path / "old"
        secret = write(tmp_path / "outside" / "config.json", {"defaultModel": "secret"})
        (old / "actors.json").mkdir(parents=True)
        (old / "config.json").symlink_to(secret)
        (old / "chats").symlink_to(tmp_path / "outside")
        (old / "dangling.json").symlink_to("nowhere")
        (old / "loop").symlink_to(old)
        os.mkfifo(old / "memory.json")
        os.mkfifo(old / "a.data.jsonl")
        report = both(alice, old)
        assert outcomes(report) == dict.fromkeys(
            ("a.data.jsonl", "chats", "config.json", "dangling.json", "loop", "memory.json"), "skipped"
        )
        assert alice.user_config.get().version == 0

    def test_a_file_that_is_named_may_be_a_link(self, alice: treering.Scope, tmp_path: Path) -> None:
        (tmp_path / "config.json").symlink_to(write(tmp_path / "real" / "c.json", {"defaultModel": "m"}))
        assert outcomes(import_json(alice, tmp_path / "config.json")) == {"config.json": "new"}

    def test_what_becomes_a_link_or_pipe_meanwhile(self, alice: treering.Scope, tmp_path: Path) -> None:
        for make in (lambda path: path.symlink_to(__file__), os.mkfifo, Path.mkdir):
            path = tmp_path / "x"
            make(path)
            with pytest.raises(source.Refused):
                source.open_file(path)
            path.rmdir() if path.is_dir() else path.unlink()

    def test_what_is_not_there(self, alice: treering.Scope, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            import_json(alice, tmp_path / "none")

    def test_what_nothing_is_known_of(self, alice: treering.Scope, tmp_path: Path) -> None:
        path = write(tmp_path / "prefs.json", {"defaultModel": "m"})
        with pytest.raises(treering.Invalid, match=r"prefs\.json: .* give its kind"):
            import_json(alice, path)
        with pytest.raises(treering.Invalid, match="a folder can only be of the kind chat, not config"):
            import_json(alice, tmp_path, kind="config")
        assert outcomes(both(alice, path, kind="config")) == {"prefs.json": "new"}

    def test_a_folder_of_chats_by_another_name(self, alice: treering.Scope, tmp_path: Path) -> None:
        write(tmp_path / "talk" / "c.json", [])
        assert outcomes(both(alice, tmp_path / "talk")) == {"c.json": "skipped"}
        assert outcomes(both(alice, tmp_path / "talk", kind="chat")) == {"c.json": "new"}

    def test_an_empty_folder(self, alice: treering.Scope, tmp_path: Path) -> None:
        assert import_json(alice, tmp_path).files == ()

    def test_names_that_are_no_text(self, alice: treering.Scope, tmp_path: Path) -> None:
        folder = tmp_path / "old"
        (folder / "chats").mkdir(parents=True)
        try:
            Path(os.fsdecode(os.fsencode(folder) + b"/chats/\xff.json")).write_text("[]")
        except OSError:
            pytest.skip("this file system takes UTF-8 alone")
        report = import_json(alice, folder)
        assert outcomes(report) == {"chats/\\xff.json": "refused"}
        assert json.dumps([note.reason for note in report.files[0].notes]).isprintable()
        reasons(report, "refused")[0].encode()

    def test_folders_that_are_too_deep(self, alice: treering.Scope, tmp_path: Path) -> None:
        path = tmp_path
        for _ in range(15):
            path /= "d"
        write(path / "config.json", {"defaultModel": "m"})
        write(path / "e" / "memory.json", [])
        report = both(alice, tmp_path)
        assert [(file.outcome, file.path.rpartition("d/")[2]) for file in report.files] == [
            ("skipped", "e/"),
            ("new", "config.json"),
        ]

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read all")
    def test_what_may_not_be_read(self, alice: treering.Scope, tmp_path: Path) -> None:
        write(tmp_path / "config.json", {"defaultModel": "m"}).chmod(0)
        write(tmp_path / "memory.json", GOOD["user-memory.json"])
        assert outcomes(import_json(alice, tmp_path)) == {"config.json": "refused", "memory.json": "new"}


class TestSizes:
    def test_a_document_at_its_limit(
        self, store: treering.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(source, "DOCUMENT_BYTES_MAX", 1 << 20)
        path = tmp_path / "config.json"
        for size, outcome in ((1 << 20, "new"), ((1 << 20) + 1, "refused")):
            path.write_bytes(b'{"defaultModel": "m"}'.ljust(size))
            assert outcomes(both(store.scope(f"s{size}"), path)) == {"config.json": outcome}

    def test_a_line_at_its_limit(self, store: treering.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(source, "LINE_BYTES_MAX", 1 << 16)
        for size, outcome in ((1 << 16, "new"), ((1 << 16) + 1, "refused")):
            path = write_log(tmp_path, "a")
            line = json.dumps(step("x", ""))
            path.write_text(path.read_text() + line.replace('""', f'"{"y" * (size - len(line) - 1)}"', 1) + "\n")
            assert outcomes(both(store.scope(f"s{size}"), path)) == {"a.data.jsonl": outcome}

    def test_a_line_without_end_is_not_read_whole(
        self, alice: treering.Scope, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(source, "LINE_BYTES_MAX", 1 << 16)
        with (tmp_path / "a.data.jsonl").open("wb") as file:
            file.truncate(100 << 20)
        assert measured(lambda: import_json(alice, tmp_path)) < 4 << 20
        assert outcomes(import_json(alice, tmp_path)) == {"a.data.jsonl": "refused"}

    def test_a_long_log_takes_memory_for_one_commit(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(threads, "COMMIT_BYTES_MAX", 1 << 20)
        took = []
        for mebibytes in (4, 16):
            log = write_log(tmp_path / str(mebibytes), "a")
            with log.open("a") as file:
                for number in range(mebibytes):
                    file.write(json.dumps(step("x", f"{number}{'y' * (1 << 20)}")) + "\n")
            with treering.open(tmp_path / f"state{mebibytes}") as store:
                took.append(measured(lambda: import_json(store.scope("s"), log)))  # noqa: B023
                assert len(store.scope("s").threads.get("log-a")) == mebibytes
        assert max(took) < 12 << 20
        assert took[1] < took[0] + (2 << 20)


@pytest.mark.long
def test_a_file_of_a_hundred_megabytes(tmp_path: Path) -> None:
    path = write_log(tmp_path, "a")
    line = json.dumps(step("x", "y" * 2_000)) + "\n"
    with path.open("a") as file:
        for _ in range(100_000_000 // len(line)):
            file.write(line)
    before = digest(path)
    with treering.open(tmp_path / "state") as store:
        assert measured(lambda: import_json(store.scope("s"), path)) < 200 << 20
        assert len(store.scope("s").threads.get("log-a")) == 100_000_000 // len(line)
        head = store.head()
        assert import_json(store.scope("s"), path).taken == 0
        assert store.head() == head
    assert digest(path) == before


def measured(work: Callable[[], object]) -> int:
    """The most bytes that Python held."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_kind_that_there_is_none_of(alice: treering.Scope, tmp_path: Path) -> None:
    with pytest.raises(treering.Invalid, match="no kind 'zzz'"):
        import_json(alice, write(tmp_path / "x.json", {}), kind="zzz")  # type: ignore[arg-type]
