"""One application function on plain fakes of catalogs and files and on ours: not a line of it differs."""

import io
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, BinaryIO, Generic, Protocol, TypeVar

import pytest
from catalog_shapes import items_of

from treering import Cid, InvalidCommand, Listing, Receipt, Scope, VersionConflict
from treering.messages import CliConnector, Connector, ConnectorDraft, FileInfo, Role, RoleDraft
from treering.stores import Catalog, FileData, GrepMatch
from treering.stores.protocols import Connectors, Files, Roles

T = TypeVar("T", Connector, Role)
D = TypeVar("D", ConnectorDraft, RoleDraft)


class Desk(Protocol):
    """What the application needs: three of the stores."""

    @property
    def connectors(self) -> Connectors: ...
    @property
    def roles(self) -> Roles: ...
    @property
    def files(self) -> Files: ...


def publish(desk: Desk, file: Path) -> list[object]:
    """The application: takes connectors of a file, publishes the role that somebody drafted, and reports."""
    told: list[object] = []
    desk.connectors.import_local(file)
    names = [one.name for one in desk.connectors.get()]
    desk.roles.save_draft(Role(id="coder", name="Coder", connectors=tuple(names)))
    draft = desk.roles.draft()
    assert draft is not None
    assert draft.item is not None
    before = desk.roles.get()
    told.append((before.exists, before.version, before.draft == draft))
    desk.roles.save([*before, draft.item], expected_version=before.version)
    desk.roles.delete_draft()
    desk.connectors.save_draft(None)
    try:
        desk.roles.save([], expected_version=1)
    except VersionConflict:
        told.append("somebody was first")
    try:
        desk.roles.save([Role(id="x"), Role(id="X")])
    except InvalidCommand as error:
        told.append(error.kind)
    text = ""
    for role in desk.roles.get():
        text = f"{role.id} may call:\n" + "".join(f"- {name}\n" for name in role.connectors)
        desk.files.put(f"reports/{role.id}.md", text.encode(), command_id=f"report {role.id}")
    again = desk.files.put("reports/coder.md", text.encode(), command_id="report coder")
    told.append((again.replayed, again.version, again.value and again.value.path))
    desk.files.put("old.txt", io.BytesIO(b"- old\n"), "text/plain")
    desk.files.put("raw.bin", [b"\0", b"\1"])
    desk.files.delete("raw.bin")
    told.append([(info.path, info.size, info.content_type) for info in desk.files.list()])
    told.append([info.path for info in desk.files.list("reports/")])
    told.append([(found.path, found.line, found.text) for found in desk.files.grep("- (git|old)", "**", 10)])
    told.append([found.path for found in desk.files.grep("GIT", "reports/*")])
    with desk.files.open("reports/coder.md") as report:
        told.append(report.read().decode())
    told.append((desk.files.stat("raw.bin"), desk.connectors.draft() is not None, desk.roles.draft()))
    told.append((list(desk.connectors.get()), list(desk.roles.get()), desk.roles.get().version))
    return told


class Versions:
    """What every fake does with each command."""

    def __init__(self) -> None:
        self.version = 0
        self.done: dict[str, int] = {}

    def command(self, expected: int | None, id: str | None, act: Callable[[], None]) -> Receipt[Any]:
        if id is not None and id in self.done:
            return Receipt(self.done[id], True, None, 0, (), (), True)
        if expected not in (None, self.version):
            raise VersionConflict(f"it is at version {self.version}, you expected {expected}")
        act()
        self.version += 1
        if id is not None:
            self.done[id] = self.version
        return Receipt(self.version, True, None, 0, (), (), False)


class FakeCatalog(Versions, Generic[T, D]):
    def __init__(self, item: type[T], draft: type[D], plural: str, key: str) -> None:
        super().__init__()
        self._item: type[T] = item
        self._draft_of: Callable[..., D] = draft
        self._plural, self._key = plural, key
        self._items: list[T] = []
        self._saved, self._draft = False, None

    _draft: D | None

    def get(self) -> Catalog[T, D]:
        return Catalog(self._items, self.version, self._saved, self._draft)

    def save(
        self, items: Iterable[T], *, expected_version: int | None = None, command_id: str | None = None
    ) -> Receipt[None]:
        kept = list(items)

        def act() -> None:
            if len({getattr(one, self._key).lower() for one in kept}) < len(kept):
                raise InvalidCommand(f"one {self._key} comes twice", field=self._key, value="", rule="")
            self._items, self._saved = kept, True

        return self.command(expected_version, command_id, act)

    def draft(self) -> D | None:
        return self._draft

    def save_draft(
        self, item: T | None, *, expected_version: int | None = None, command_id: str | None = None
    ) -> Receipt[D]:
        draft = self._draft_of(item=item, updated_at_ms=1)

        def act() -> None:
            self._draft = draft

        return replace(self.command(expected_version, command_id, act), value=draft)

    def delete_draft(self, *, expected_version: int | None = None, command_id: str | None = None) -> Receipt[None]:
        def act() -> None:
            self._draft = None

        return self.command(expected_version, command_id, act)

    def import_local(
        self,
        path: object = None,
        *,
        expected_version: int | None = None,
        command_id: str | None = None,
    ) -> Receipt[None]:
        data = Path(str(path)).read_bytes()
        items, _ = items_of(data, self._item, plural=self._plural, key=self._key, source=str(path))
        return self.save(items, expected_version=expected_version, command_id=command_id)


class FakeFiles(Versions):
    def __init__(self) -> None:
        super().__init__()
        self._files: dict[str, tuple[bytes, FileInfo]] = {}

    def put(
        self,
        path: str,
        data: FileData,
        content_type: str | None = None,
        *,
        expected_version: int | None = None,
        command_id: str | None = None,
    ) -> Receipt[FileInfo]:
        if isinstance(data, bytes | bytearray | memoryview):
            whole = bytes(data)
        elif isinstance(data, io.IOBase):
            whole = data.read()
        else:
            whole = b"".join(data)  # type: ignore[arg-type]
        kind = content_type or ("text/markdown" if path.endswith(".md") else "application/octet-stream")
        info = FileInfo(path=path, content=Cid.of(whole), size=len(whole), content_type=kind, updated_at_ms=1)

        def act() -> None:
            self._files[path] = (whole, info)

        return replace(self.command(expected_version, command_id, act), value=info)

    def open(self, path: str) -> BinaryIO:
        return io.BytesIO(self._files[path][0])

    def stat(self, path: str) -> FileInfo | None:
        return self._files[path][1] if path in self._files else None

    def list(self, prefix: str = "") -> Listing[FileInfo]:
        return Listing(
            [info for path, (_, info) in sorted(self._files.items()) if path.startswith(prefix)], self.version
        )

    def delete(self, path: str, *, expected_version: int | None = None, command_id: str | None = None) -> Receipt[None]:
        return self.command(expected_version, command_id, lambda: self._files.pop(path, None) and None)

    def grep(self, pattern: str, glob: str = "**", max_results: int = 50) -> Listing[GrepMatch]:
        wanted, found = re.compile(pattern, re.IGNORECASE), []
        for path, (data, info) in sorted(self._files.items()):
            if fnmatch(path, glob) and info.content_type.startswith("text/"):
                lines = enumerate(data.decode().splitlines(), 1)
                found += [GrepMatch(path=path, line=number, text=line) for number, line in lines if wanted.search(line)]
        return Listing(found[:max_results], self.version)


class FakeDesk:
    def __init__(self) -> None:
        self.connectors: Connectors = FakeCatalog(Connector, ConnectorDraft, "connectors", "name")
        self.roles: Roles = FakeCatalog(Role, RoleDraft, "roles", "id")
        self.files: Files = FakeFiles()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "connectors.json"
    tools = {name: {"type": "cli", "timeoutMs": 1000, "cli": {"command": name}} for name in ("git", "ls")}
    path.write_text(json.dumps(tools))
    return path


def test_the_same_on_fakes_and_on_ours(alice: Scope, file: Path) -> None:
    on_fakes, on_ours = publish(FakeDesk(), file), publish(alice, file)
    assert on_fakes == on_ours
    git = Connector(name="git", type="cli", timeout_ms=1000, cli=CliConnector(command="git"))
    assert git in on_ours[-1][0]  # type: ignore[index]
    assert "- git" in str(on_ours)
