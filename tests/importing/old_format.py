"""Writes old data as the systems did that left it: plain Python, which knows nothing of treering."""

import hashlib
import json
from pathlib import Path
from typing import Any

import treering
from treering.importing import FileReport, ImportReport, import_json


def write(path: Path, value: Any) -> Path:
    """A JSON document."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1), encoding="utf-8")
    return path


def write_log(folder: Path, thread_id: str, *steps: Any, name: str | None = None, **rest: Any) -> Path:
    """A thread log; `end` in `rest` is its last line, all other of `rest` stands in its first."""
    end = rest.pop("end", None)
    start = {"name": "w", "hash": "h", "threadId": thread_id, "parameters": {"prompt": "p"}, "timestamp": 1}
    lines = [start | rest, *steps, *([] if end is None else [end])]
    path = folder / f"{name or thread_id}.data.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def step(role: str, content: Any, at_ms: int | None = 5, **rest: Any) -> dict[str, Any]:
    return {"role": role, "content": content, "meta": {}, "refs": [], "timestamp": at_ms} | rest


def digest(root: Path) -> str:
    """All names, bytes, modes and times of change below a folder."""
    found = hashlib.sha256()
    for path in sorted([root, *root.rglob("*")]):
        about = path.lstat()
        found.update(repr((str(path), about.st_mode, about.st_size, about.st_mtime_ns)).encode())
        if path.is_file() and not path.is_symlink():
            found.update(path.read_bytes())
    return found.hexdigest()


def by_path(report: ImportReport) -> dict[str, FileReport]:
    return {file.path: file for file in report.files}


def outcomes(report: ImportReport) -> dict[str, str]:
    return {file.path: file.outcome for file in report.files}


def reasons(report: ImportReport, what: str) -> list[str]:
    return [note.reason for file in report.files for note in file.notes if note.what == what]


def both(scope: treering.Scope, path: Path, **how: Any) -> ImportReport:
    """A dry run, which writes nothing and says the same, then the import; then again, which writes nothing."""
    before, source = _head(scope), digest(path)
    planned = import_json(scope, path, dry_run=True, **how)
    assert _head(scope) == before
    done = import_json(scope, path, **how)
    assert done.files == planned.files, (done, planned)
    head = _head(scope)
    again = import_json(scope, path, **how)
    assert _head(scope) == head
    assert (again.taken, again.changed) == (0, 0)
    assert {file.outcome for file in again.files} <= {"there", "refused", "skipped"}
    assert digest(path) == source
    return done


def _head(scope: treering.Scope) -> str:
    head: str = treering.Store(scope._home.session).head()
    return head


def steps_of(thread: treering.Thread) -> list[tuple[Any, ...]]:
    return [(s.role, s.content, dict(s.meta), s.at_ms) for s in thread if s.role != "__end__"]


def state(scope: treering.Scope) -> dict[str, Any]:
    """All that an import can bring, without the ids and times of the store's own."""
    threads = {thread.key: thread for thread in scope.threads.list()}
    keys = {thread.id: thread.key for thread in threads.values()}
    return {
        "config": scope.user_config.get(),
        "agents": list(scope.agents.list()),
        "memory": list(scope.memory.get()),
        "chats": [(row, list(scope.chats.messages(row.id))) for row in scope.chats.index()],
        "threads": {
            key: (
                thread.workflow,
                thread.status,
                thread.return_code,
                dict(thread.labels),
                None if thread.forked_from is None else (keys[thread.forked_from.thread], thread.forked_from.step),
                thread.overrides,
                thread.prompt,
                thread.start.parameters,
                steps_of(thread),
            )
            for key, thread in sorted(threads.items(), key=lambda item: str(item[0]))
        },
    }
