"""`treering import-json`."""

import contextlib
import json
import os
import shutil
from pathlib import Path

import pytest

import treering

from .conftest import Cli

OLD = Path(__file__).resolve().parents[1] / "importing" / "old"
SAID = """\
skipped readme.txt  its name is not known
skipped threads/content/  contents are read where a thread log names them
new     config.json  6 fields
        left-out: $.theme: a field that is not known
        changed: $.preferredLlmRoute: 'gateway' is kept as ''
        changed: $.runtimeMode: ' Remote ' is kept as 'remote'
        changed: $.remoteRuntimeBaseUrl: 'https://runtime.example/' is kept as 'https://runtime.example'
new     actors.json  4 ids
new     user-memory.json  2 entries
"""
REFUSED = """\
refused: actors.json $.groups[0].actorIds[2]: an id is a text, not a number
refused: actors.json $.groups[2].actorIds[0]: agent_type " " is not valid: it is blank
refused: user-memory.json $.entries[2]: content " " is not valid: it is blank
refused: chat-histories/index.json $: no file of the 7 messages of 'gone' is beside it
refused: threads/broken.data.jsonl line 3 $: the line is not JSON: unterminated string starting at at column 27
"""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    shutil.copytree(OLD, tmp_path / "old")
    return tmp_path / "old"


@pytest.mark.usefixtures("old")
class TestImportJson:
    def test_a_folder(self, cli: Cli) -> None:
        done = cli("--scope", "alice", "import-json", "old")
        assert done.code == 1
        assert done.out.startswith(SAID)
        assert done.out.splitlines()[-1] == "9 files new, 0 there before; 11 changed; 2 left out; 5 refused"
        assert done.err == REFUSED
        with treering.open(".treering") as store:
            assert store.scope("alice").user_config.get().default_model == "large"
            assert store.scopes() == ["alice"]

    def test_again(self, cli: Cli) -> None:
        cli("import-json", "old")
        with treering.open(".treering") as store:
            head = store.head()
        done = cli("import-json", "old")
        assert done.out.splitlines()[-1].startswith("0 files new, 9 there before; ")
        with treering.open(".treering") as store:
            assert store.head() == head

    def test_a_dry_run_makes_no_store(self, cli: Cli) -> None:
        done = cli("--scope", "alice", "import-json", "old", "--dry-run")
        assert (done.code, done.err) == (1, REFUSED)
        assert done.out.startswith(SAID)
        assert done.out.splitlines()[-1].startswith("dry run, nothing was written: 9 files new, 0 there before")
        assert not Path(".treering").exists()

    def test_a_dry_run_reads_the_store_alone(self, cli: Cli) -> None:
        cli("import-json", "old")
        with treering.open(".treering") as store:
            head = store.head()
        done = cli("import-json", "old", "--dry-run")
        assert done.out.splitlines()[-1].startswith("dry run, nothing was written: 0 files new, 9 there before")
        with treering.open(".treering") as store:
            assert store.head() == head

    def test_json(self, cli: Cli) -> None:
        for again in (False, True):
            done = cli("import-json", "old", "--json")
            report = json.loads(done.out)
            assert (done.code, report["scope"], report["dry_run"], report["refused"]) == (1, "main", False, 5)
            assert report["taken"] == (0 if again else 21)
            files = {file["path"]: file for file in report["files"]}
            assert files["config.json"]["outcome"] == ("there" if again else "new")
            assert [note["line"] for note in files["threads/broken.data.jsonl"]["notes"]] == [3]

    def test_one_file_of_a_kind(self, cli: Cli) -> None:
        shutil.copy("old/config.json", "prefs.json")
        done = cli("import-json", "prefs.json")
        assert (done.code, done.out) == (1, "")
        assert done.err == "error: prefs.json: its name does not say what it holds; give its kind\n"
        assert cli("import-json", "old", "--kind", "memory").code == 1
        done = cli("import-json", "prefs.json", "--kind", "config")
        assert (done.code, done.out.splitlines()[0]) == (0, "new     prefs.json  6 fields")

    def test_contents_elsewhere(self, cli: Cli) -> None:
        shutil.move("old/threads/content", "elsewhere")
        cli("import-json", "old/threads/t-1.data.jsonl", "--contents", "elsewhere")
        with treering.open(".treering") as store:
            assert store.threads.get("log-t-1").at(2).content == "add a sleep"

    def test_wrong_usage(self, cli: Cli) -> None:
        assert cli("import-json", "absent").code == 2
        assert cli("import-json", "old", "--kind", "what").code == 2
        assert cli("import-json", "old", "--contents", "absent").code == 2
        assert not Path(".treering").exists()

    def test_names_from_strangers_do_not_reach_the_terminal(self, cli: Cli) -> None:
        Path("old/\x1b[31mred.json").write_text("{}")
        Path("old/config.json").write_text(json.dumps({"\x1b[31m": 1, "runtimeMode": "\x1b[31m"}))
        with contextlib.suppress(OSError):
            Path(os.fsdecode(b"old/\xff.json")).write_text("{}")
        done = cli("import-json", "old")
        assert "\x1b" not in done.out + done.err
        assert json.loads(cli("import-json", "old", "--json").out)["refused"] == 5
