"""A store's file says what its verbs are: it never touches a log, and there is one dispatcher and one reader."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RUST = sorted((ROOT / "rust/actor/src/stores").rglob("*.rs"))
# Who hands commands on is no store.
PYTHON = sorted(path for path in (ROOT / "python/treering/stores").glob("*.py") if path.name != "_dispatch.py")

# What logs, refs and commits are made of.
RUST_WORDS = re.compile(
    r"\b(EventNode|BaseNode|TombstoneNode|SnapshotNode|Entry|RefMove|RefValue|Change::\w|Expect|Decided|Jumps"
    r"|read_ref|read_entry|submit_commit|Commit\s*\{|Commit::|Loaded\s*\{|Cache)\b"
)
PYTHON_WORDS = {"submit", "commit_refs", "move_ref", "put", "put_node", "refs", "get_ref", "core", "session", "threads"}


def test_the_guard_looks_at_all_stores() -> None:
    stores = {"agents", "chats", "connectors", "memory", "participants", "retention", "roles", "sources", "user_config"}
    assert stores | {"explorer"} <= {path.stem for path in RUST}
    assert stores <= {path.stem for path in PYTHON}


@pytest.mark.parametrize("path", RUST, ids=lambda path: path.name)
def test_no_decider_touches_a_log(path: Path) -> None:
    code = path.read_text().split("#[cfg(test)]")[0]
    code = re.sub(r"//.*", "", code)
    # A pattern's cache is of its own states.
    allowed = {"Cache"} if path.name == "pattern.rs" else set()
    assert set(RUST_WORDS.findall(code)) <= allowed
    # Only what all stores share hands a command on; clock and chance come in with it.
    if path.name != "mod.rs":
        assert re.findall(r"\.(dispatch|submit)\s*[(:<]", code) == []
        assert re.findall(r"SystemTime|Instant|now_ms\(\)|thread_rng|rand::", code) == []


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: path.name)
def test_no_python_store_touches_a_log(path: Path) -> None:
    tree = ast.parse(path.read_text())
    called = {
        node.func.attr for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    assert called & PYTHON_WORDS == set()
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "treering._core"
        for alias in node.names
    }
    reads = {"OwnCore", "OwnLoadedCore"} if path.name in ("stored.py", "actor.py") else set()
    catalogs = {"catalog_delete_draft", "catalog_read", "catalog_save", "catalog_save_draft"}
    files = {"ContentCore", "GrepCore", "IncomingCore", "UploadedCore"} | {
        name for name in imported if name.startswith("files_")
    }
    assert imported <= {"Cid", "StoresCore", "VerbCore", "actor_kinds", "list_actors"} | reads | catalogs | files


def test_one_dispatcher_one_reader_one_turn() -> None:
    rust = {path: path.read_text() for path in (ROOT / "rust").rglob("*.rs")}
    python = {path: path.read_text() for path in (ROOT / "python").rglob("*.py")}

    def files(texts: dict[Path, str], pattern: str) -> list[str]:
        return [path.name for path, text in texts.items() for _ in re.findall(pattern, text, re.MULTILINE)]

    assert files(rust, r"^pub struct Dispatcher\b") == ["dispatch.rs"]
    assert files(rust, r"^pub struct Turn\b") == ["turn.rs"]
    actor = {path: text for path, text in rust.items() if "actor" in path.parts}
    assert files(actor, r"^pub struct Reader\b") == ["read.rs"]
    assert files(python, r"^class CommandDispatcher\b") == ["_dispatch.py"]
    assert files(python, r"^class SnapshotReader\b") == ["_dispatch.py"]
    assert files(python, r"^class ScopeResolver\b") == ["_dispatch.py"]
    assert files(python, r"\bCommandDispatcher\(\)") == ["_dispatch.py"]
    assert files(python, r"\bSnapshotReader\(\)") == ["_dispatch.py"]
    # And the core's one way to submit a verb is called in one place.
    assert files(python, r"\.stores\.submit\(") == ["_dispatch.py"]


def test_a_store_keeps_no_state() -> None:
    from treering import stores

    for name in stores.__all__:
        if name.endswith("Store"):
            slots = [slot for cls in getattr(stores, name).__mro__ for slot in vars(cls).get("__slots__", ())]
            assert slots == ["_scope"], name
            assert not hasattr(getattr(stores, name), "__dict__") or "__dict__" not in vars(getattr(stores, name))
