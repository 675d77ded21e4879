"""`treering actor` and `treering scope` on actors of somebody's own, whose class is not at hand."""

import json
import sys
from pathlib import Path

import pytest

from treering import testing

from .conftest import Cli

sys.path.insert(0, str(Path(__file__).parents[1] / "own_actors"))

from tickets import Note, Open, Person, Ticket

NOON = 1_760_011_200_000


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / ".treering"
    with testing.open(path, clock=testing.Clock(NOON)) as opened:
        alice = opened.scope("alice").on_behalf_of("bob")
        ticket = alice.own(Ticket, "T-1")
        ticket.send(Open("broken", Person("Ada \x1b[2J")), command_id="first")
        for number in range(17):
            ticket.send(Note(f"note {number}", {"n": number}))
        alice.own(Ticket, "T-2").send(Open("other"))
        alice.own(Ticket, "T-2").delete()
    return path


def test_shown_without_its_class(cli: Cli, store: Path) -> None:
    shown = cli("--scope", "alice", "actor", "show", "x.ticket", "T-1")
    assert (shown.code, shown.err) == (0, "")
    lines = [line.rstrip() for line in shown.out.splitlines()]
    assert lines[:3] == ["actor    x.ticket T-1", "version  18", "events   18"]
    assert "title                   broken" in lines
    assert any(line.startswith("notes") and "bafyr4i" in line for line in lines)
    after = lines.index("after version 16, where its state was stored last:")
    assert [line.split("  ")[1] for line in lines[after + 1 :]] == ["v17", "v18"]
    assert 'x.ticket.Noted  by bob  {"text": "note 16", "labels": {"n": 16}}' in lines[-1]
    assert "\x1b" not in shown.out
    early = cli("--scope", "alice", "actor", "show", "x.ticket", "T-1", "--at", "2")
    assert "after version 0, where its state was stored last:" in early.out
    record = json.loads(cli("--scope", "alice", "actor", "show", "x.ticket", "T-1", "--json").out)
    assert (record["kind"], record["version"], record["state"]["fields"]["count"]) == ("x.ticket", 18, 15)
    assert record["state"]["fields_version"] == 16
    assert [event["message"]["text"] for event in record["state"]["events"]] == ["note 15", "note 16"]


def test_events_and_verify(cli: Cli, store: Path) -> None:
    events = json.loads(cli("--scope", "alice", "actor", "events", "x.ticket", "T-1", "--last", "2", "--json").out)
    assert [(event["type"], event["message"]) for event in events] == [
        ("x.ticket.Noted", {"text": f"note {number}", "labels": {"n": number}}) for number in (15, 16)
    ]
    first = cli("--scope", "alice", "actor", "events", "x.ticket", "T-1").out.splitlines()[0]
    assert "x.ticket.Opened  by bob  #first" in first
    verified = cli("--scope", "alice", "actor", "verify", "x.ticket", "T-1")
    assert verified.out == "ok: x.ticket/T-1 at version 18, 18 events checked\n"
    assert cli("--scope", "alice", "actor", "verify", "x.ticket", "T-2").code == 0
    listed = cli("scope", "show", "alice").out
    assert "x.ticket T-1" in listed
    assert "deleted" in listed
    history = json.loads(cli("scope", "history", "alice", "--json").out)
    assert [(row["version"], row["deleted"]) for row in (history[0], history[-1])] == [(1, False), (2, True)]
    assert len(history) == 19


def test_what_its_class_alone_can_do(cli: Cli, store: Path) -> None:
    refused = cli("--scope", "alice", "actor", "trim", "x.ticket", "T-1", "--keep", "1", "--yes")
    assert refused.code == 1
    assert "folded by its class alone" in refused.err
    assert cli("--scope", "alice", "actor", "show", "x.tickets", "T-1").code == 1
    assert "no kind of actor" in cli("--scope", "alice", "actor", "show", "x.Ticket", "T-1").err
