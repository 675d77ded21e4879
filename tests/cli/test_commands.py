"""Each command's output, as its user sees it, and as JSON."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import treering
import treering.chat
from treering.cli.demo.tamper import flip_byte

from .conftest import Cli


def parsed(cli: Cli, *arguments: str) -> Any:
    done = cli(*arguments)
    assert (done.code, done.err) == (0, "")
    return json.loads(done.out)


def thread_id(cli: Cli, key: str) -> str:
    return str(parsed(cli, "thread", "show", key, "--json")["id"])


def test_version(cli: Cli) -> None:
    done = cli("--version")
    assert (done.code, done.out) == (0, f"treering {treering.__version__}\n")


@pytest.mark.usefixtures("store")
class TestList:
    def test_table(self, cli: Cli) -> None:
        done = cli("thread", "list")
        assert done.code == 0
        lines = done.out.splitlines()
        assert lines[0].split() == ["ID", "STATUS", "STEPS", "WORKFLOW", "KEY", "OR", "ORIGIN", "LABELS"]
        rows = [line.split() for line in lines[1:]]
        assert [row[1:] for row in rows] == [
            ["idle", "3", "fix", "ticket-812", "reward=0", "team=core"],
            ["completed", "4", "fix", "second-try", "reward=1"],
            ["idle", "3", "fix", "third-try", *rows[2][5:]],
            ["idle", "0", "hello", "other"],
        ]
        assert all(len(line) <= 100 for line in lines)

    def test_filters(self, cli: Cli) -> None:
        def keys(*arguments: str) -> list[str]:
            return [record["key"] for record in parsed(cli, "thread", "list", "--json", *arguments)]

        assert keys() == ["ticket-812", "second-try", "third-try", "other"]
        assert keys("--status", "completed") == ["second-try"]
        assert keys("--workflow", "hello") == ["other"]
        assert keys("--label", "reward=0", "--label", "team=core") == ["ticket-812"]
        assert keys("--label", "reward=zero") == []
        day = parsed(cli, "thread", "show", "second-try", "--json")["completed_at_ms"]
        from datetime import UTC, datetime

        assert keys("--day", f"{datetime.fromtimestamp(day / 1000, UTC):%Y-%m-%d}") == ["second-try"]
        assert keys("--day", "1999-01-01") == []

    def test_nothing_found_is_said_on_stderr(self, cli: Cli) -> None:
        done = cli("thread", "list", "--status", "failed")
        assert (done.code, done.out, done.err) == (0, "", "no threads match\n")
        assert cli("thread", "list", "--workflow", "").err == "no threads match\n"

    @pytest.mark.parametrize("columns", [20, 60, 80])
    def test_a_narrow_terminal_cuts_nothing(
        self, cli: Cli, store: Path, monkeypatch: pytest.MonkeyPatch, columns: int
    ) -> None:
        with treering.open(store) as opened:
            opened.threads.start("long", key="with-many", labels={f"label-{n}": "x" * 200 for n in range(8)})
            ids = [thread.id for thread in opened.threads.list()]
        monkeypatch.setenv("COLUMNS", str(columns))
        lines = cli("thread", "list").out.splitlines()
        assert [line.split()[0] for line in lines if line[:2] in ("ID", "01")] == ["ID", *ids]
        assert "".join(line.strip() for line in lines if line.startswith("  ")).startswith("reward=0")
        assert len(lines) < 40, "labels take a few lines"


@pytest.mark.usefixtures("store")
class TestShow:
    def test_json(self, cli: Cli) -> None:
        shown = parsed(cli, "thread", "show", "ticket-812", "--json")
        assert shown["status"] == "idle"
        assert shown["labels"] == {"team": "core", "reward": 0}
        assert shown["context"]["prompt"] == "Fix the flaky test"
        assert [step["content"] for step in shown["context"]["steps"]] == [
            "1. reproduce\n2. bisect", "add a sleep", "rejected",
        ]  # fmt: skip
        assert shown["head"] == shown["context"]["steps"][-1]["cid"]
        assert len(parsed(cli, "thread", "show", "ticket-812", "--last", "1", "--json")["context"]["steps"]) == 1

    def test_text(self, cli: Cli) -> None:
        out = cli("thread", "show", "second-try").out
        source = thread_id(cli, "ticket-812")
        assert f"forked from  {source} at step 1" in out
        assert "completed" in out
        assert "context: 3 steps" in out

    def test_any_unique_beginning_of_an_id_will_do(self, cli: Cli) -> None:
        full = thread_id(cli, "ticket-812")
        ids = [record["id"] for record in parsed(cli, "thread", "list", "--json")]
        length = next(at for at in range(4, 27) if sum(other.startswith(full[:at]) for other in ids) == 1)
        assert thread_id(cli, full[:length]) == full


@pytest.mark.usefixtures("store")
class TestLog:
    def test_steps(self, cli: Cli) -> None:
        out = cli("thread", "log", "ticket-812").out
        cid = parsed(cli, "thread", "log", "ticket-812", "--json")[0]["cid"]
        assert out.startswith(
            f"1  planner  {treering.Cid(cid).short()}  2023-11-14 22:13:20 UTC\n"
            '   1. reproduce\n   2. bisect\n   meta {"phases": 2}\n\n2  coder  '
        )
        assert "   artifact fix.diff  bafkr4i" in out

    def test_json_order_and_range(self, cli: Cli) -> None:
        def numbers(*arguments: str) -> list[int]:
            return [step["number"] for step in parsed(cli, "thread", "log", "ticket-812", "--json", *arguments)]

        assert numbers() == [1, 2, 3]
        assert numbers("--last", "2") == [2, 3]
        assert numbers("--first", "3") == [3]
        assert numbers("--reverse") == [3, 2, 1]
        assert numbers("--last", "9") == [1, 2, 3]

    def test_long_contents_are_cut_unless_full(self, cli: Cli, store: Path) -> None:
        with treering.open(store) as opened:
            opened.threads.get("other").append("writer", "\n".join(f"line {n}" for n in range(25)))
        assert "line 9\n   … (15 more lines)\n" in cli("thread", "log", "other").out
        assert "line 24\n" in cli("thread", "log", "other", "--full").out

    def test_an_escape_sequence_does_not_reach_the_terminal(self, cli: Cli, store: Path) -> None:
        with treering.open(store) as opened:
            opened.threads.get("other").append("wri\x1b[31mter", "\x1b]0;owned\x07", meta={"a\x1b": "\x9b"})
        for arguments in (["log"], ["log", "--graph"], ["show"]):
            out = cli("thread", *arguments, "other").out
            assert "\x1b" not in out
            assert "\x07" not in out
            assert "\x9b" not in out


@pytest.mark.usefixtures("store")
class TestGraph:
    def test_forks_of_forks(self, cli: Cli) -> None:
        ids = {key: thread_id(cli, key) for key in ("ticket-812", "second-try", "third-try")}
        out = cli("thread", "log", "--graph", "third-try").out
        graph = [line.split("  bafyr4i")[0].rstrip() for line in out.splitlines()]
        assert [" ".join(line.split()) for line in graph[:-1]] == [
            "◆ start fix Fix the flaky test",
            "● 1 planner 1. reproduce 2. bisect",
            "├─╮",
            "│ ● 2 coder wait for the port",
            "│ ├─╮",
            "│ │ ◉ 3 tester green",
            f"│ │ ╰╴{' '.join(graph[6].split()[2:])[2:]}",
            "│ ● 3 reviewer approved",
            "│ ◉ 4 __end__ done",
            f"│ ╰╴{ids['second-try']} second-try completed reward=1",
            "● 2 coder add a sleep",
            "◉ 3 reviewer rejected",
        ]
        assert graph[6].startswith(f"│ │ ╰╴{ids['third-try']}  third-try  idle")
        assert graph[-1] == f"╰╴{ids['ticket-812']}  ticket-812  idle  reward=0 team=core"
        assert cli("thread", "log", "--graph", "ticket-812").out == out

    def test_all_trees(self, cli: Cli) -> None:
        out = cli("thread", "log", "--graph").out
        assert out.count("◆") == 2
        assert "\n\n◆" in out

    def test_json(self, cli: Cli) -> None:
        (tree,) = parsed(cli, "thread", "log", "--graph", "ticket-812", "--json")
        assert (tree["key"], tree["branches_at"]) == ("ticket-812", 0)
        (fork,) = tree["forks"]
        assert (fork["key"], fork["branches_at"]) == ("second-try", 1)
        assert [(nested["key"], nested["branches_at"]) for nested in fork["forks"]] == [("third-try", 2)]

    def test_ascii_where_the_output_has_no_box_characters(self, store: Path) -> None:
        environment = {**os.environ, "PYTHONIOENCODING": "ascii", "TREERING_STORE": str(store)}
        done = subprocess.run(
            [sys.executable, "-m", "treering", "thread", "log", "--graph", "ticket-812"],
            env=environment, capture_output=True, check=True,
        )  # fmt: skip
        assert done.stdout.startswith(b"o ")


@pytest.mark.usefixtures("store")
class TestForkDiffRemove:
    def test_fork_prints_the_id_alone(self, cli: Cli) -> None:
        done = cli("thread", "fork", "ticket-812", "--before", "reviewer", "--key", "again", "--label", "n=1")
        assert (done.code, done.err) == (0, "")
        shown = parsed(cli, "thread", "show", done.out.strip(), "--json")
        assert (shown["key"], shown["steps"]) == ("again", 2)
        assert shown["labels"]["n"] == 1

    def test_fork_at(self, cli: Cli) -> None:
        assert parsed(cli, "thread", "fork", "ticket-812", "--at", "0", "--json")["steps"] == 0

    def test_fork_before_an_unknown_role_names_the_roles(self, cli: Cli) -> None:
        done = cli("thread", "fork", "ticket-812", "--before", "nobody")
        assert done.code == 1
        assert "planner" in done.err
        assert "coder" in done.err

    def test_diff(self, cli: Cli) -> None:
        lines = cli("thread", "diff", "ticket-812", "second-try").out.splitlines()
        assert lines[0].startswith("--- ")
        assert lines[1].startswith("+++ ")
        assert lines[2] == "@@ common: step 1; then 2 steps here, 3 there @@"
        assert [line.split()[:3] for line in lines[4:]] == [
            ["-", "2", "coder"],
            ["-", "3", "reviewer"],
            ["+", "2", "coder"],
            ["+", "3", "reviewer"],
            ["+", "4", "__end__"],
        ]

    def test_diff_json(self, cli: Cli) -> None:
        found = parsed(cli, "thread", "diff", "ticket-812", "second-try", "--json")
        assert found["common"]["number"] == 1
        assert [step["role"] for step in found["only_b"]] == ["coder", "reviewer", "__end__"]

    def test_rm_needs_yes_where_nobody_can_be_asked(self, cli: Cli) -> None:
        done = cli("thread", "rm", "other")
        assert done.code == 1
        assert done.err.splitlines()[-1] == "hint: pass --yes"
        removed = thread_id(cli, "other")
        assert cli("thread", "rm", "other", "--yes").out == f"{removed}\n"
        assert cli("thread", "show", "other").code == 1

    def test_rm_and_gc(self, cli: Cli, store: Path) -> None:
        with treering.open(store) as opened:
            gone = opened.threads.get("other").head
        removed = thread_id(cli, "other")
        done = cli("thread", "rm", "other", "--yes", "--gc")
        assert (done.code, done.out) == (0, f"{removed}\n")
        assert "deleted" in done.err
        with treering.open(store) as opened:
            assert not opened.blocks.has(gone)

    def test_rm_of_a_fork_s_source_keeps_the_fork(self, cli: Cli) -> None:
        assert cli("thread", "rm", "ticket-812", "--yes").code == 0
        assert len(parsed(cli, "thread", "log", "second-try", "--json")) == 4
        assert cli("thread", "log", "--graph", "third-try").out.count("╰╴") == 2

    def test_a_running_thread_needs_force(self, cli: Cli, store: Path) -> None:
        with treering.open(store) as opened, opened.threads.get("other").lease("me"):
            done = cli("thread", "rm", "other", "--yes")
            assert done.code == 1
            assert "--force" in done.err
            assert cli("thread", "rm", "other", "--yes", "--force").code == 0


class TestExchange:
    RECORDS = (
        {"task": 1, "messages": [{"role": "system", "content": "p"}, {"role": "user", "content": "héllo"}]},
        {"task": 2, "messages": [{"role": "user", "content": None, "tool_calls": []}], "cost": 1.0},
    )

    def test_round_trip(self, cli: Cli) -> None:
        Path("log.json").write_text(json.dumps(self.RECORDS))
        done = cli("thread", "import", "log.json")
        assert (done.code, done.err) == (0, "")
        assert done.out.startswith("2 records: 2 new threads, 2 steps, ")
        again = cli("thread", "import", "log.json")
        assert (again.code, again.out) == (
            0,
            "nothing new: all 2 threads were there; 0 threads, 0 blocks written\n",
        )
        assert json.loads(cli("thread", "export", "--all").out) == list(self.RECORDS)
        assert cli("thread", "export", "--all", "-o", "out.json").out == ""
        assert json.loads(Path("out.json").read_bytes()) == list(self.RECORDS)
        assert [path.name for path in Path().iterdir() if "out.json" in path.name] == ["out.json"]

    def test_dash_is_stdin_and_stdout(self, store: Path) -> None:
        command = f"{sys.executable} -m treering --store new thread"
        (store.parent / "log.json").write_text("\n".join(json.dumps(record) for record in self.RECORDS))
        done = subprocess.run(
            ["bash", "-c", f"cat log.json | {command} import - >&2 && {command} export --all -o -"],
            cwd=store.parent, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, json.loads(done.stdout)) == (0, list(self.RECORDS))
        assert not (store.parent / "-").exists()

    @pytest.mark.usefixtures("store")
    def test_an_export_never_replaces_what_is_no_file(self, cli: Cli) -> None:
        Path("real.json").touch()
        Path("link.json").symlink_to("real.json")
        os.mkfifo("pipe")
        reading = os.open("pipe", os.O_RDWR | os.O_NONBLOCK)
        assert cli("thread", "export", "--all", "-o", "pipe").code == 0
        assert Path("pipe").is_fifo()
        assert len(json.loads(os.read(reading, 1 << 16))) == 4
        os.close(reading)
        assert cli("thread", "export", "--all", "-o", "link.json").code == 0
        assert Path("link.json").is_symlink()
        assert len(json.loads(Path("real.json").read_bytes())) == 4

    def test_two_processes_that_import_one_file(self, tmp_path: Path) -> None:
        records = [{"n": number, "messages": [{"role": "user", "content": "hi"}]} for number in range(300)]
        (tmp_path / "log.json").write_text(json.dumps(records))
        command = [sys.executable, "-m", "treering", "--store", "s", "thread", "import", "log.json", "--json"]
        both = [subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE) for _ in range(2)]
        reports = [json.loads(process.communicate(timeout=60)[0]) for process in both]
        assert [process.returncode for process in both] == [0, 0]
        assert sum(report["threads_new"] for report in reports) == 300
        assert sum(report["threads_there"] for report in reports) == 300
        with treering.open(tmp_path / "s") as store:
            assert sorted(record["n"] for record in treering.chat.export(store.threads)) == list(range(300))
            assert store.verify().ok

    def test_some_refused(self, cli: Cli) -> None:
        Path("log.jsonl").write_text('{"messages": []}\n{"messages": [{"role": "__end__"}]}\nbroken\n')
        done = cli("thread", "import", "log.jsonl")
        assert done.code == 1
        assert done.out == "3 records: 1 new thread, 0 steps, 1 block written; 2 records refused\n"
        assert done.err.splitlines() == [
            "refused: record 2 at $.messages[0].role: the role __end__ is reserved",
            "refused: record 3 at $: line 3 is not JSON: expecting value at column 1",
        ]

    def test_report_as_json(self, cli: Cli) -> None:
        Path("log.jsonl").write_text('{"messages": []}\n{"a": 1}\n')
        done = cli("thread", "import", "log.jsonl", "--json")
        assert done.code == 1
        report = json.loads(done.out)
        assert report["threads_new"] == 1
        assert report["refused"] == [
            {"record": 2, "line": 2, "path": "$", "reason": "has neither 'messages' nor 'traj'"}
        ]

    def test_a_cut_array(self, cli: Cli) -> None:
        Path("log.json").write_text('[{"messages": []}')
        done = cli("thread", "import", "log.json")
        assert (done.code, done.out) == (1, "")
        assert done.err.startswith("error: broken chat log: log.json, line 1 column 18: ")

    def test_nodes(self, cli: Cli, store: Path) -> None:
        done = cli("thread", "export", "ticket-812", "--format", "json")
        (line,) = done.out.splitlines()
        exported = treering.codec.from_dag_json(line)
        with treering.open(store) as opened:
            thread = opened.threads.get("ticket-812")
            assert exported["thread"]["head"] == thread.head
            cids = [node["cid"] for node in exported["nodes"]]
            assert cids[0] == thread.start.cid
            assert cids[-2] == thread.head
            assert all(treering.Cid.of_node(node["node"]) == node["cid"] for node in exported["nodes"])

    @pytest.mark.usefixtures("store")
    def test_export_says_what_it_leaves_out(self, cli: Cli) -> None:
        said = cli("thread", "export", "ticket-812").err
        assert said == "left out, chat records have no place for it: 1 artifact; treering export keeps all\n"
        assert cli("thread", "export", "other").err == ""

    def test_export_wants_to_know_which(self, cli: Cli) -> None:
        assert cli("thread", "export").code == 2
        assert cli("thread", "export", "--all", "ID").code == 2


class TestBlocks:
    def test_put_get_list_links(self, cli: Cli) -> None:
        Path("notes.txt").write_bytes(b"hello\n")
        cid = cli("block", "put", "notes.txt").out.strip()
        assert cid == str(treering.Cid.of(b"hello\n"))
        assert cli("block", "get", cid[:14]).out == "hello\n"
        Path("node.json").write_text(json.dumps({"to": {"/": cid}, "n": 1}))
        node = cli("block", "put", "--node", "node.json").out.strip()
        assert json.loads(cli("block", "get", node).out) == {"n": 1, "to": {"/": cid}}
        assert cli("block", "links", node).out == f"{cid}\n"
        assert parsed(cli, "block", "links", node, "--json") == [cid]
        assert cli("block", "links", cid).out == ""
        listed = parsed(cli, "block", "list", "--json")
        assert [(row["cid"], row["codec"]) for row in listed] == [(cid, "raw"), (node, "dag-cbor")]
        assert [line.split()[0] for line in cli("block", "list").out.splitlines()] == [cid, node]
        assert parsed(cli, "block", "get", cid, "--json") == {
            "cid": cid, "codec": "raw", "size": 6, "value": "hello\n",
        }  # fmt: skip
        assert parsed(cli, "block", "get", node, "--json")["value"] == {"n": 1, "to": {"/": cid}}

    def test_dash_is_stdin(self, tmp_path: Path) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "treering", "block", "put", "-"],
            cwd=tmp_path, input=b"hello", capture_output=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout.decode().strip()) == (0, str(treering.Cid.of(b"hello")))

    def test_raw_bytes(self, cli: Cli, store: Path) -> None:
        with treering.open(store) as opened:
            head = opened.threads.get("ticket-812").head
            data = opened.blocks.get(head)
        done = subprocess.run(
            [sys.executable, "-m", "treering", "--store", store, "block", "get", "--raw", str(head)],
            capture_output=True, check=True,
        )  # fmt: skip
        assert done.stdout == data


@pytest.mark.usefixtures("store")
class TestVerifyAndStats:
    def test_verify(self, cli: Cli) -> None:
        done = cli("verify")
        assert (done.code, done.err) == (0, "")
        assert done.out.startswith("ok: checked ")
        report = parsed(cli, "verify", "--json")
        assert report["ok"] is True
        assert report["checked"]["threads"] == 4

    def test_a_flipped_byte_is_named_with_its_threads_and_step(self, cli: Cli, store: Path) -> None:
        ids = {parsed(cli, "thread", "show", key, "--json")["id"] for key in ("ticket-812", "second-try", "third-try")}
        with treering.open(store) as opened:
            content = str(opened.threads.get("ticket-812").at(1).node.content)
        flip_byte(store, "1. reproduce")
        done = cli("verify", "--json")
        assert (done.code, done.err) == (1, "")
        report = json.loads(done.out)
        assert report["ok"] is False
        (finding,) = [finding for finding in report["findings"] if finding["check"] == "block-bytes"]
        assert finding["which"] == content
        assert {(place["thread"], place["step"]) for place in finding["threads"]} == {(found, 1) for found in ids}
        table = cli("verify")
        assert table.code == 1
        assert all(f"{found}     1" in table.out for found in ids)
        figures = parsed(cli, "stats", "--json")
        assert (figures["threads"], figures["unreadable_threads"]) == (1, 3)
        shown = cli("thread", "log", "--graph", "ticket-812")
        assert content in shown.out.replace("\n", "") or content[:12] in shown.out

    def test_since(self, cli: Cli, store: Path) -> None:
        head = parsed(cli, "stats", "--json")["head"]
        with treering.open(store) as opened:
            opened.threads.get("other").append("writer", "more")
        assert cli("verify", "--since", head).code == 0

    def test_a_head_of_another_store(self, cli: Cli) -> None:
        with treering.open("elsewhere") as other:
            for _ in range(3):
                other.threads.start("x")
            head = other.head()
        done = cli("verify", "--since", head)
        assert done.code == 1

    def test_stats(self, cli: Cli) -> None:
        figures = parsed(cli, "stats", "--json")
        assert (figures["threads"], figures["steps"], figures["scopes"]) == (4, 10, 1)
        assert figures["alone_bytes"] > figures["thread_bytes"] > 0
        assert figures["dedup"] == round(figures["alone_bytes"] / figures["thread_bytes"], 2)
        out = cli("stats").out
        assert f"{figures['dedup']:.2f}x" in out
        assert figures["head"] in out


def test_scope_and_store_by_option_and_environment(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("log.json").write_text('[{"messages": []}]')
    assert cli("--store", "a", "--scope", "alice", "thread", "import", "log.json").code == 0
    assert parsed(cli, "--store", "a", "thread", "list", "--json") == []
    monkeypatch.setenv("TREERING_STORE", "a")
    monkeypatch.setenv("TREERING_SCOPE", "alice")
    assert [record["scope"] for record in parsed(cli, "thread", "list", "--json")] == ["alice"]
    assert not Path(".treering").exists()
