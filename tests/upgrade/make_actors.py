"""Writes the store that tests/upgrade/actors holds: `python tests/upgrade/make_actors.py tests/upgrade/actors`.

Run once, by the version whose bytes are to be read for ever. It goes through every kind of actor, past a snapshot of
each, through a deletion and what is written after it, and leaves receipts of commands to be repeated.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import treering
import treering.stores
from treering import ActorHandle, ActorInfo, Scope, testing
from treering.messages import AgentGroup, Conversation, Message, UserConfig

FOLDER = Path(sys.argv[1]) if __name__ == "__main__" else Path(__file__).parent / "actors"


def write(scope: Scope, clock: testing.Clock) -> None:
    told = scope.on_behalf_of("bob", causation_id="ticket-812")
    told.user_config.save(UserConfig(default_model="large", max_tool_rounds=7), command_id="first")
    for number in range(20):
        clock.advance(1000)
        told.user_config.update(max_tool_rounds=number)
        scope.memory.add("Preference", f"number {number}", source="explicit")
        scope.agents.add("coder" if number % 2 else "reviewer", f"agent-{number}")
        scope.participants.add(f"room-{number % 3}", f"agent-{number}", f"Agent {number}")
        scope.chats.append("kept", [Message(role="user", content=f"word {number}", thinking="…")])
        scope.workflows.upload(f"w{number % 5}", "W", f"steps: [{number}]\n")
        scope.scripts.upload(f"s{number % 5}", f"print({number})\n")
    scope.agents.remove("coder", "agent-1")
    scope.participants.remove_room("room-0")
    clock.advance(1000)
    file = scope.blocks.put(b"an attached file")
    scope.chats.save("gone", Conversation(title="secret"), [Message(content="text", attachments=[file])])
    scope.chats.delete("gone")
    clock.advance(1000)
    scope.chats.append("gone", [Message(role="user", content="see this", attachments=[file])], command_id="again")
    scope.chats.save("deleted", Conversation(title="secret"), [Message(content="text")])
    scope.chats.delete("deleted")
    with scope.commit(command_id="both") as commit:
        commit.threads.start("fix").append("coder", "done")
        commit.memory.add("context", "by a commit")


def plain(value: Any) -> Any:
    """A state as JSON."""
    if isinstance(value, treering.stores.Messages):
        return [plain(value.conversation), [plain(item) for item in value]]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, treering.Listing):
        return [plain(item) for item in value]
    if isinstance(value, AgentGroup):
        return [value.agent_type, list(value.actor_ids)]
    return repr(value)


def digest(value: Any) -> str:
    """A state, so short that the file has room for those of all versions."""
    return hashlib.sha256(json.dumps(plain(value)).encode()).hexdigest()[:16]


def told(actor: ActorHandle, info: ActorInfo) -> dict[str, Any]:
    """All that an actor can be asked."""
    return {
        "version": info.version,
        "oldest": info.oldest,
        "at_ms": info.at_ms,
        "deleted_at_ms": info.deleted_at_ms,
        "head": str(info.head),
        "events": [repr(event) for event in actor.history(first=info.oldest + 1)],
        "states": [digest(actor.state(version)) for version in range(info.oldest + 1, info.version + 1)],
        "state": plain(actor.state()),
    }


def all_told(scope: Scope) -> dict[str, Any]:
    return {
        "/".join((info.kind, *info.parts)): told(scope.actor(info.kind, *info.parts), info) for info in scope.actors()
    }


def main() -> None:
    clock = testing.Clock(1_760_000_000_000)
    with testing.open(FOLDER / "store", clock=clock) as store:
        write(store.scope("alice"), clock)
        expected = {"head": store.head(), "actors": all_told(store.scope("alice"))}
    (FOLDER / "expected.json").write_text(json.dumps(expected, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
