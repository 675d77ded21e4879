"""`treering gc`, `pin` and `hold`, as a user sees them, and as JSON."""

import json
from pathlib import Path
from typing import Any

import pytest

import treering

from .conftest import Cli


def parsed(cli: Cli, *arguments: str) -> Any:
    done = cli(*arguments)
    assert (done.code, done.err) == (0, "")
    return json.loads(done.out)


@pytest.mark.usefixtures("store")
class TestGc:
    def test_nothing(self, cli: Cli) -> None:
        done = cli("gc")
        assert (done.code, done.err) == (0, "")
        # Four threads, and the keys of four.
        assert done.out == "nothing to collect: 18 blocks stay (8 refs, 0 holds)\n"

    def test_a_plan_and_what_became_of_it(self, cli: Cli) -> None:
        cli("thread", "rm", "ticket-812", "--yes")
        plan = cli("gc", "--dry-run")
        done = cli("gc")
        assert (plan.code, done.code) == (0, 0)
        lines = plan.out.splitlines()
        assert lines[0].startswith("would go: 5 blocks, ")
        assert lines[0].endswith("; 4 nodes with 7 links among them")
        assert lines[1] == "13 blocks stay (6 refs, 0 holds)"
        assert done.out == plan.out.replace("would go", "deleted")
        assert cli("gc").out.startswith("nothing to collect: 13 blocks stay")
        assert cli("verify").code == 0

    def test_json(self, cli: Cli) -> None:
        cli("thread", "rm", "other", "--yes")
        dry, real = parsed(cli, "gc", "-n", "--json"), parsed(cli, "gc", "--json")
        assert (dry.pop("dry_run"), real.pop("dry_run")) == (True, False)
        assert (dry.pop("generation"), real.pop("generation")) == (0, 1)
        assert dry.pop("duration_ms") >= 0
        assert real.pop("duration_ms") >= 0
        assert dry == real
        assert (real["deleted"], real["dead_nodes"], real["reachable"]) == (1, 1, 17)

    def test_stats(self, cli: Cli) -> None:
        assert "nothing was collected yet" in cli("stats").out
        cli("thread", "rm", "other", "--yes")
        cli("gc")
        out = cli("stats").out
        assert "UTC, 1 block deleted" in " ".join(out.split())
        figures = parsed(cli, "stats", "--json")
        assert (figures["gc_deleted"], figures["garbage_estimate"]) == (1, 0)
        assert figures["block_row_bytes"] > 0


def test_gc_of_no_store(cli: Cli) -> None:
    done = cli("gc")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: no store: .treering is not there\nhint: ")
    assert not Path(".treering").exists()


class TestPins:
    def test_add_list_move_and_remove(self, cli: Cli, store: Path) -> None:
        with treering.open(store) as opened:
            thread = opened.threads.get("ticket-812")
            first, second = str(thread.at(1).cid), str(thread.head)
        assert cli("pin", "list").err == "no pins yet\n"
        assert parsed(cli, "pin", "list", "--json") == []
        assert cli("pin", "add", "keep", first[:16]).out == f"{first}\n"
        assert cli("pin", "add", "also", second).out == f"{second}\n"
        assert [line.split() for line in cli("pin", "list").out.splitlines()] == [
            ["NAME", "CID"], ["also", second], ["keep", first],
        ]  # fmt: skip
        cli("pin", "add", "keep", second)
        assert parsed(cli, "pin", "list", "--json") == [
            {"name": "also", "cid": second}, {"name": "keep", "cid": second},
        ]  # fmt: skip
        assert parsed(cli, "--scope", "alice", "pin", "list", "--json") == []
        assert cli("pin", "rm", "keep").out == "keep\n"
        assert [pin["name"] for pin in parsed(cli, "pin", "list", "--json")] == ["also"]

    @pytest.mark.usefixtures("store")
    def test_what_is_not_there(self, cli: Cli) -> None:
        done = cli("pin", "rm", "absent")
        assert (done.code, done.out) == (1, "")
        assert "absent" in done.err
        done = cli("pin", "add", "name", str(treering.Cid.of(b"absent")))
        assert (done.code, done.out) == (1, "")
        assert str(treering.Cid.of(b"absent")) in done.err


class TestHolds:
    def test_add_list_extend_and_release(self, cli: Cli, store: Path) -> None:
        Path("notes").write_bytes(b"notes")
        cid = cli("block", "put", "notes").out.strip()
        (held,) = parsed(cli, "hold", "list", "--json")
        assert (held["cid"], held["scope"]) == (cid, "main")
        extended = parsed(cli, "hold", "extend", cid[:16], "--hours", "72", "--json")
        assert extended["expires_at_ms"] - held["expires_at_ms"] >= 47 * 3_600_000
        table = [line.split() for line in cli("hold", "list").out.splitlines()]
        assert table[0] == ["CID", "UNTIL", "(UTC)"]
        assert table[1][0] == cid
        said = cli("hold", "add", cid, "--hours", "1")
        assert said.out == f"{cid}  until {' '.join(table[1][1:])} UTC\n", "a longer hold stays"
        assert parsed(cli, "gc", "--json")["held"] == 1
        assert cli("hold", "release", cid).out == f"{cid}\n"
        assert cli("hold", "list").err == "no holds\n"
        assert parsed(cli, "gc", "--json")["freed_bytes"] == 5
        with treering.open(store) as opened:
            assert not opened.blocks.has(cid)

    def test_another_scope(self, cli: Cli, store: Path) -> None:
        with treering.open(store) as opened:
            head = str(opened.threads.get("other").head)
        parsed(cli, "--scope", "alice", "hold", "add", head, "--json")
        assert [hold["scope"] for hold in parsed(cli, "--scope", "alice", "hold", "list", "--json")] == ["alice"]
        assert parsed(cli, "hold", "list", "--json") == []
        for verb in ("release", "extend"):
            done = cli("hold", verb, head)
            assert (done.code, done.out) == (1, "")
            assert done.err.startswith("error: ")
            assert f"scope main does not hold {head}" in done.err
        assert parsed(cli, "hold", "list", "--json") == [], "neither made one"

    @pytest.mark.usefixtures("store")
    def test_usage(self, cli: Cli) -> None:
        cid = str(treering.Cid.of(b"absent"))
        assert cli("hold", "add", cid, "--hours", "-1").code == 2
        assert cli("hold", "add").code == 2
        assert cli("hold", "add", cid).code == 1


def test_release_all(cli: Cli) -> None:
    for number in range(3):
        Path(f"{number}.txt").write_text(f"text {number}")
        assert cli("block", "put", f"{number}.txt").code == 0
        assert cli("--scope", "alice", "block", "put", f"{number}.txt").code == 0
    assert cli("hold", "release").code == 2
    assert cli("hold", "release", "--all", "bafkr4ib5x3d").code == 2
    done = cli("hold", "release", "--all")
    assert (done.code, done.out, done.err) == (0, "3\n", "")
    assert cli("hold", "list").out == ""
    assert len(cli("--scope", "alice", "hold", "list").out.splitlines()) == 4
    assert cli("hold", "release", "--all").out == "0\n"
