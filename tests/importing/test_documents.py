"""JSON documents of a user: what each becomes, what of it is changed, left out and refused, and that nothing is
overwritten."""

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest
from old_format import both, by_path, outcomes, reasons, write

import treering
from treering.importing import import_json
from treering.messages import Conversation, MemoryEntry, MemorySource, Message, UserConfig

OLD = Path(__file__).parent / "old"


def notes(report: Any, what: str) -> list[tuple[str, str]]:
    return [(note.path, note.reason) for file in report.files for note in file.notes if note.what == what]


class TestAFolder:
    def test_each_file_becomes_what_it_is(self, alice: treering.Scope) -> None:
        report = both(alice, OLD)
        assert {path: (file.kind, file.outcome, file.taken) for path, file in by_path(report).items()} == {
            "config.json": ("config", "new", 6),
            "actors.json": ("actors", "new", 4),
            "user-memory.json": ("memory", "new", 2),
            "chat-histories/conv-1.json": ("chat", "new", 2),
            "chat-histories/a%2Fb.jsonl": ("chat", "new", 1),
            "chat-histories/no-row.json": ("chat", "new", 1),
            "chat-histories/index.json": ("chat-index", "new", 1),
            "threads/t-1.data.jsonl": ("thread", "new", 3),
            "threads/a-fork.data.jsonl": ("thread", "new", 1),
            "threads/broken.data.jsonl": ("thread", "refused", 0),
            "threads/content/": (None, "skipped", 0),
            "readme.txt": (None, "skipped", 0),
        }
        assert report.taken == 21
        assert alice.user_config.get() == UserConfig(
            default_model="large",
            runtime_mode="remote",
            local_runtime_base_url="http://127.0.0.1:5080",
            remote_runtime_base_url="https://runtime.example",
            max_tool_rounds=12,
            github_username="ada",
            version=1,
        )
        assert [(group.agent_type, group.actor_ids) for group in alice.agents.list()] == [
            ("coder", ("c-1", "c-2")),
            ("reviewer", ("r-1", "c-1")),
        ]
        assert [row.id for row in alice.chats.index()] == ["conv-1", "a/b", "empty", "no-row"]

    def test_what_could_not_be_taken_is_told_with_its_place(self, alice: treering.Scope) -> None:
        files = by_path(import_json(alice, OLD))
        told = {
            path: [(note.what, note.line, note.path) for note in file.notes if note.what != "changed"]
            for path, file in files.items()
            if file.outcome != "skipped"
        }
        assert {path: found for path, found in told.items() if found} == {
            "config.json": [("left-out", None, "$.theme")],
            "actors.json": [
                ("refused", None, "$.groups[0].actorIds[2]"),
                ("refused", None, "$.groups[2].actorIds[0]"),
            ],
            "user-memory.json": [("refused", None, "$.entries[2]")],
            "chat-histories/conv-1.json": [("left-out", None, "$[1].reactions")],
            "chat-histories/index.json": [("refused", None, "$")],
            "threads/broken.data.jsonl": [("refused", 3, "$")],
        }

    def test_progress_counts_files(self, alice: treering.Scope) -> None:
        told: list[tuple[int, int | None]] = []
        report = import_json(alice, OLD, progress=lambda done, total: told.append((done, total)))
        assert told == [(number, len(report.files)) for number in range(1, len(report.files) + 1)]

    def test_another_scope_sees_nothing_of_it(self, store: treering.Store, alice: treering.Scope) -> None:
        import_json(alice, OLD)
        bob = store.scope("bob")
        assert bob.user_config.get().version == 0
        assert list(bob.chats.index()) == []
        assert bob.threads.list() == []


class TestConfig:
    def take(self, scope: treering.Scope, path: Path, config: Any) -> Any:
        return both(scope, write(path / "config.json", config))

    def test_what_the_rules_change_is_told(self, alice: treering.Scope, tmp_path: Path) -> None:
        report = self.take(
            alice, tmp_path, {"preferredLlmRoute": "big", "runtimeMode": "REMOTE", "githubUsername": "a"}
        )
        assert notes(report, "changed") == [
            ("$.preferredLlmRoute", "'big' is kept as '/api/v1/proxy/s/big'"),
            ("$.runtimeMode", "'REMOTE' is kept as 'remote'"),
        ]

    def test_a_name_is_read_in_any_form(self, alice: treering.Scope, tmp_path: Path) -> None:
        self.take(alice, tmp_path, {"DefaultModel": "m", "max_tool_rounds": 3.0, "github-username": "g"})
        config = alice.user_config.get()
        assert (config.default_model, config.max_tool_rounds, config.github_username) == ("m", 3, "g")

    @pytest.mark.parametrize("value", [-1, 2**32, 1.5, "5", True, [], {}, 10**30])
    def test_a_wrong_number_is_refused_and_the_rest_taken(
        self, alice: treering.Scope, tmp_path: Path, value: Any
    ) -> None:
        report = self.take(alice, tmp_path, {"maxToolRounds": value, "defaultModel": "m"})
        assert [path for path, _ in notes(report, "refused")] == ["$.maxToolRounds"]
        assert (alice.user_config.get().default_model, alice.user_config.get().max_tool_rounds) == ("m", 0)

    def test_numbers_at_their_edges(self, store: treering.Store, tmp_path: Path) -> None:
        for value in (0, 2**32 - 1):
            scope = store.scope(f"s{value}")
            assert self.take(scope, tmp_path, {"maxToolRounds": value}).refused == 0
            assert scope.user_config.get().max_tool_rounds == value

    def test_two_forms_of_one_name_are_refused(self, alice: treering.Scope, tmp_path: Path) -> None:
        report = self.take(alice, tmp_path, {"defaultModel": "a", "default_model": "b", "githubUsername": "g"})
        assert notes(report, "refused") == [("$.default_model", "it is the same field as 'defaultModel'")]
        config = alice.user_config.get()
        assert (config.default_model, config.github_username) == ("", "g")

    def test_what_is_too_long_is_refused(self, alice: treering.Scope, tmp_path: Path) -> None:
        report = self.take(alice, tmp_path, {"defaultModel": "é" * 513})
        assert "1024" in reasons(report, "refused")[0].replace(",", "")
        assert alice.user_config.get().version == 0

    def test_what_is_there_is_not_overwritten(self, alice: treering.Scope, tmp_path: Path) -> None:
        alice.user_config.update(default_model="mine")
        report = self.take(alice, tmp_path, {"defaultModel": "old"})
        assert "at version 1" in reasons(report, "refused")[0]
        assert alice.user_config.get().default_model == "mine"

    def test_a_change_after_the_import_stays(self, alice: treering.Scope, tmp_path: Path) -> None:
        path = write(tmp_path / "config.json", {"defaultModel": "old"})
        import_json(alice, path)
        alice.user_config.update(default_model="mine")
        assert outcomes(both(alice, path)) == {"config.json": "there"}
        assert alice.user_config.get().default_model == "mine"

    @pytest.mark.parametrize("document", [{}, {"theme": "dark"}, [], "x", 3, None, True])
    def test_no_configuration(self, alice: treering.Scope, tmp_path: Path, document: Any) -> None:
        assert outcomes(self.take(alice, tmp_path, document)) == {"config.json": "refused"}
        assert alice.user_config.get().version == 0


class TestMemory:
    def entry(self, number: int, **rest: Any) -> dict[str, Any]:
        return {"id": f"{number:012x}", "category": "c", "content": f"e{number}", "createdAt": number + 1} | rest

    def take(self, scope: treering.Scope, path: Path, document: Any) -> Any:
        return both(scope, write(path / "user-memory.json", document))

    @pytest.mark.parametrize("form", ["array", "entries", "Definitions", "by id"])
    def test_every_form_of_an_array(self, alice: treering.Scope, tmp_path: Path, form: str) -> None:
        entries = [self.entry(1, source="explicit", updatedAt="1970-01-01T00:00:00.009Z"), self.entry(2)]
        document: Any = {
            "array": entries,
            "entries": {"entries": entries},
            "Definitions": {"Definitions": entries},
            "by id": {entry["id"]: {key: entry[key] for key in entry if key != "id"} for entry in entries},
        }[form]
        report = self.take(alice, tmp_path, document)
        assert (report.taken, report.refused, report.left_out) == (2, 0, 0)
        assert list(alice.memory.get()) == [
            MemoryEntry(
                id="000000000001",
                category="c",
                content="e1",
                source=MemorySource.EXPLICIT,
                created_at_ms=2,
                updated_at_ms=9,
            ),
            MemoryEntry(id="000000000002", category="c", content="e2", created_at_ms=3, updated_at_ms=3),
        ]

    def test_beyond_the_cap_the_oldest_are_left(self, alice: treering.Scope, tmp_path: Path) -> None:
        report = self.take(alice, tmp_path, [self.entry(number) for number in range(53)])
        assert report.taken == 50
        assert [entry.content for entry in alice.memory.get()] == [f"e{number}" for number in range(3, 53)]
        assert "3 older ones were left" in reasons(report, "changed")[0]
        assert list(alice.memory.history())[-1].version == 53

    def test_it_is_added_behind_what_is_there(self, alice: treering.Scope, tmp_path: Path) -> None:
        mine = alice.memory.add("context", "mine").value
        self.take(alice, tmp_path, [self.entry(1)])
        assert mine is not None
        assert [entry.id for entry in alice.memory.get()] == [mine.id, "000000000001"]

    def test_it_never_drives_out_what_is_there(self, alice: treering.Scope, tmp_path: Path) -> None:
        for number in range(49):
            alice.memory.add("context", f"mine {number}")
        report = self.take(alice, tmp_path, [self.entry(1), self.entry(2)])
        assert "holds 49 entries and keeps 50" in reasons(report, "refused")[0]
        assert len(alice.memory.get()) == 49
        report = self.take(alice, tmp_path, [self.entry(1)])
        assert (report.taken, len(alice.memory.get())) == (1, 50)

    def test_what_was_removed_since_stays_away(self, alice: treering.Scope, tmp_path: Path) -> None:
        path = write(tmp_path / "user-memory.json", [self.entry(1), self.entry(2)])
        import_json(alice, path)
        alice.memory.remove("000000000001")
        alice.memory.add("context", "mine")
        assert outcomes(both(alice, path)) == {"user-memory.json": "there"}
        alice.memory.trim(keep=0)
        assert import_json(alice, path).taken == 0
        assert [entry.content for entry in alice.memory.get()] == ["e2", "mine"]

    def test_a_mended_file_brings_what_was_mended(self, alice: treering.Scope, tmp_path: Path) -> None:
        report = self.take(alice, tmp_path, [self.entry(1), self.entry(2, content=5)])
        assert [path for path, _ in notes(report, "refused")] == ["$[1].content"]
        assert self.take(alice, tmp_path, [self.entry(1), self.entry(2)]).taken == 1
        assert [entry.content for entry in alice.memory.get()] == ["e1", "e2"]

    def test_an_id_of_another_form_always_becomes_the_same(self, store: treering.Store, tmp_path: Path) -> None:
        entries = [self.entry(1, id="{GUID}"), self.entry(2, id=""), self.entry(3, id="ABCDEFABCDEF")]
        ids = []
        for name in ("a", "b"):
            self.take(store.scope(name), tmp_path, entries)
            ids.append([entry.id for entry in store.scope(name).memory.get()])
        assert ids[0] == ids[1]
        assert ids[0][2] == "abcdefabcdef"
        assert all(len(one) == 12 and int(one, 16) >= 0 for one in ids[0])

    def test_an_id_that_comes_twice_is_refused_once(self, alice: treering.Scope, tmp_path: Path) -> None:
        report = self.take(alice, tmp_path, [self.entry(1), self.entry(1, content="other")])
        assert notes(report, "refused") == [("$[1]", "its id comes twice")]
        assert [entry.content for entry in alice.memory.get()] == ["e1"]

    def test_content_at_its_limit(self, alice: treering.Scope, tmp_path: Path) -> None:
        report = self.take(alice, tmp_path, [self.entry(1, content="x" * 8192), self.entry(2, content="x" * 8193)])
        assert [path for path, _ in notes(report, "refused")] == ["$[1]"]
        assert len(alice.memory.get()) == 1

    def test_of_very_many_the_newest_are_looked_at(self, alice: treering.Scope, tmp_path: Path) -> None:
        report = self.take(alice, tmp_path, [self.entry(number) for number in range(1_001)])
        assert "of 1,001 entries the 1,000 newest" in reasons(report, "changed")[0]
        assert [entry.content for entry in alice.memory.get()] == [f"e{number}" for number in range(951, 1001)]

    def test_a_name_that_contradicts_its_key(self, alice: treering.Scope, tmp_path: Path) -> None:
        report = self.take(alice, tmp_path, {"000000000009": self.entry(1), "000000000002": self.entry(2)})
        assert [path for path, _ in notes(report, "refused")] == ['$["000000000009"]']
        assert [entry.content for entry in alice.memory.get()] == ["e2"]


def test_a_dry_run_refuses_no_more_than_one_id(alice: treering.Scope, tmp_path: Path) -> None:
    done = both(alice, write(tmp_path / "actors.json", {"t": ["a" * 513, "b"]}))
    assert outcomes(done) == {"actors.json": "new"}
    assert [group.actor_ids for group in alice.agents.list()] == [("b",)]


class TestAgents:
    def take(self, scope: treering.Scope, path: Path, document: Any) -> Any:
        return both(scope, write(path / "actors.json", document))

    def test_what_is_beside_a_type_that_is_called_like_a_noun(self, alice: treering.Scope, tmp_path: Path) -> None:
        report = self.take(alice, tmp_path, {"coder": ["a"], "groups": ["q"]})
        assert (report.taken, report.left_out) == (2, 0)
        assert {group.agent_type for group in alice.agents.list()} == {"coder", "groups"}

    @pytest.mark.parametrize(
        "document",
        [
            [{"agentType": "b", "actorIds": ["2", "1"]}, {"agentType": "a", "actorIds": ["2"]}],
            {"groups": [{"agentType": "b", "actorIds": ["2", "1"]}, {"agentType": "a", "actorIds": ["2"]}]},
            {"actors": {"b": ["2", "1"], "a": ["2"]}},
            {"b": ["2", "1"], "a": {"actorIds": ["2"]}},
            {"b": {"agent_type": "b", "actor_ids": ["2", "1"]}, "a": {"actorIds": ["2"]}},
        ],
    )
    def test_every_form_of_groups(self, alice: treering.Scope, tmp_path: Path, document: Any) -> None:
        assert self.take(alice, tmp_path, document).taken == 3
        assert [(group.agent_type, group.actor_ids) for group in alice.agents.list()] == [
            ("b", ("2", "1")),
            ("a", ("2",)),
        ]

    def test_a_type_that_is_called_like_a_noun(self, alice: treering.Scope, tmp_path: Path) -> None:
        self.take(alice, tmp_path, {"actors": ["1"], "agents": ["2"]})
        assert [(group.agent_type, group.actor_ids) for group in alice.agents.list()] == [
            ("actors", ("1",)),
            ("agents", ("2",)),
        ]

    @pytest.mark.parametrize("count", [249, 250, 251, 501])
    def test_many_ids(self, alice: treering.Scope, store: treering.Store, tmp_path: Path, count: int) -> None:
        commits = len(list(store.journal()))
        path = write(tmp_path / "actors.json", {"t": [str(number) for number in range(count)]})
        assert import_json(alice, path).taken == count
        assert len(list(store.journal())) - commits == -(-count // 250)
        assert alice.agents.list()[0].actor_ids == tuple(str(number) for number in range(count))
        both(store.scope("bob"), path)

    def test_what_was_removed_since_stays_away(self, alice: treering.Scope, tmp_path: Path) -> None:
        path = write(tmp_path / "actors.json", {"t": ["1", "2"]})
        import_json(alice, path)
        alice.agents.remove("t", "1")
        assert outcomes(both(alice, path)) == {"actors.json": "there"}
        assert alice.agents.list()[0].actor_ids == ("2",)

    def test_an_address_in_another_scope_is_refused(self, alice: treering.Scope, tmp_path: Path) -> None:
        report = self.take(alice, tmp_path, {"t": ["bob/chat/c", "ok", "x" * 512, "x" * 513, ""]})
        assert [path for path, _ in notes(report, "refused")] == ["$.t[0]", "$.t[3]", "$.t[4]"]
        assert alice.agents.list()[0].actor_ids == ("ok", "x" * 512)

    def test_an_id_twice_is_one(self, alice: treering.Scope, tmp_path: Path) -> None:
        report = self.take(alice, tmp_path, {"t": ["1", "1"]})
        assert (report.taken, notes(report, "left-out")) == (1, [("$.t[1]", "an id that its group has already")])


class TestChats:
    def test_a_conversation_with_its_row(self, alice: treering.Scope) -> None:
        import_json(alice, OLD)
        found = alice.chats.messages("conv-1")
        assert found.conversation == Conversation(
            id="conv-1",
            title="Greetings",
            service_id="svc",
            service_kind="bot",
            created_at_ms=1714550400000,
            updated_at_ms=1714554000000,
            message_count=2,
            llm_model="large",
        )
        assert list(found) == [
            Message(id="m1", role="user", content="hello", at_ms=1714550400000, status="complete"),
            Message(id="m2", role="assistant", content="bonjour", at_ms=1714550400000, thinking="they are French"),
        ]
        assert alice.chats.messages("no-row")[0].at_ms == -86400000

    @pytest.mark.parametrize("count", [500, 501, 4_094, 4_095])
    def test_the_newest_messages_are_kept(self, alice: treering.Scope, tmp_path: Path, count: int) -> None:
        messages = [{"role": "user", "content": str(number), "timestamp": number + 1} for number in range(count)]
        report = both(alice, write(tmp_path / "chats" / "c.json", messages))
        kept = alice.chats.messages("c")
        assert [message.content for message in kept] == [str(number) for number in range(count - 500, count)]
        assert report.taken == 500
        told = " ".join(reasons(report, "changed"))
        assert ("newest 500 messages are kept" in told) == (count > 500)
        assert ("of 4,095 messages the newest 4,094" in told) == (count == 4_095)

    def test_a_conversation_is_taken_whole_or_not_at_all(self, alice: treering.Scope, tmp_path: Path) -> None:
        good = {"role": "user", "content": "x", "timestamp": 1}
        folder = tmp_path / "old"
        for name, bad in {"a": {"role": "user", "content": 5}, "b": 7, "c": {"content": "x"}}.items():
            write(folder / "chats" / f"{name}.json", [good, bad])
        write(folder / "chats" / "d.json", [good])
        report = both(alice, folder)
        assert outcomes(report) == {
            f"chats/{name}.json": outcome
            for name, outcome in zip("abcd", ("refused", "refused", "refused", "new"), strict=True)
        }
        assert [row.id for row in alice.chats.index()] == ["d"]

    def test_what_is_there_is_not_overwritten(self, alice: treering.Scope, tmp_path: Path) -> None:
        alice.chats.append("c", [Message(role="user", content="mine")])
        path = write(tmp_path / "chats" / "c.json", [{"role": "user", "content": "old"}])
        report = both(alice, tmp_path)
        assert "another conversation of this id" in reasons(report, "refused")[0]
        assert [message.content for message in alice.chats.messages("c")] == ["mine"]
        assert path.exists()

    def test_what_was_deleted_or_went_on_since_stays_so(self, alice: treering.Scope, tmp_path: Path) -> None:
        for name in ("gone", "on"):
            write(tmp_path / "chats" / f"{name}.json", [{"role": "user", "content": name, "timestamp": 1}])
        import_json(alice, tmp_path)
        alice.chats.delete("gone")
        alice.chats.append("on", [Message(role="user", content="more")])
        assert set(outcomes(both(alice, tmp_path)).values()) == {"there"}
        assert [row.id for row in alice.chats.index()] == ["on"]
        assert len(alice.chats.messages("on")) == 2

    def test_a_title_that_is_too_long_is_cut_between_characters(self, alice: treering.Scope, tmp_path: Path) -> None:
        row = {"id": "c", "title": "x" + "é" * 512, "createdAt": 1, "updatedAt": 1}
        write(tmp_path / "chats" / "index.json", [row])
        report = both(alice, tmp_path)
        assert alice.chats.index()[0].title == "x" + "é" * 511
        assert "a title has at most 1,024 bytes: it was cut" in reasons(report, "changed")

    def test_ids_at_their_limit(self, alice: treering.Scope, tmp_path: Path) -> None:
        rows = [{"id": "x" * size, "createdAt": 1, "updatedAt": 1} for size in (512, 513)]
        report = both(alice, write(tmp_path / "chats" / "index.json", rows).parent)
        assert (report.taken, report.refused) == (1, 1)
        assert [row.id for row in alice.chats.index()] == ["x" * 512]

    def test_messages_that_count_otherwise_than_the_row(self, alice: treering.Scope, tmp_path: Path) -> None:
        write(tmp_path / "chats" / "index.json", {"c": {"messageCount": 2, "createdAt": 1, "updatedAt": 1}})
        write(tmp_path / "chats" / "c.json", {"messages": [{"role": "user", "content": "x"}]})
        report = both(alice, tmp_path)
        assert reasons(report, "changed") == ["its row counts 2 messages, there are 1"]
        assert alice.chats.index()[0].message_count == 1

    def test_a_row_that_is_refused_keeps_its_conversation_out_until_it_is_mended(
        self, alice: treering.Scope, tmp_path: Path
    ) -> None:
        folder = tmp_path / "chats"
        for name in ("a", "b%2F"):
            write(folder / f"{name}.json", [{"role": "user", "content": "x", "timestamp": 1}])
        rows = [{"id": "a", "createdAt": 1, "updatedAt": 1}, {"id": "b/", "title": 5}]
        write(folder / "index.json", rows)
        report = both(alice, tmp_path)
        assert outcomes(report)["chats/b%2F.json"] == "refused"
        assert "its row in the index was refused" in reasons(report, "refused")
        write(folder / "index.json", [rows[0], {"id": "b/", "title": "mended"}])
        assert both(alice, tmp_path).taken == 1
        assert {row.id: row.title for row in alice.chats.index()} == {"a": "", "b/": "mended"}

    def test_a_file_that_says_of_itself(self, alice: treering.Scope, tmp_path: Path) -> None:
        document = {"id": "c", "title": "t", "createdAt": 1, "updatedAt": 2, "messages": [], "color": "red"}
        report = both(alice, write(tmp_path / "c.json", document), kind="chat")
        assert alice.chats.index()[0] == Conversation(id="c", title="t", created_at_ms=1, updated_at_ms=2)
        assert notes(report, "left-out") == [("$.color", "a field that is not known")]


class TestCatalogs:
    @pytest.mark.parametrize("kind", ["connectors", "roles"])
    def test_they_are_taken_whole_where_there_is_a_store(
        self, alice: treering.Scope, tmp_path: Path, kind: str
    ) -> None:
        items = {
            "connectors": [{"name": "s", "type": "HTTP", "timeoutMs": 0, "http": {"baseUrl": "https://x.example"}}],
            "roles": [{"id": "helper", "name": "", "systemPrompt": "Be kind."}],
        }[kind]
        report = both(alice, write(tmp_path / f"{kind}.json", {kind: items}))
        assert report.taken == 1
        assert len(getattr(alice, kind).get()) == 1
        assert {"connectors": "$.connectors[0].timeoutMs", "roles": "$.roles[0].name"}[kind] in {
            path for path, _ in notes(report, "changed")
        }


class TestACatalog:
    CONNECTOR: ClassVar[dict[str, Any]] = {"name": "s", "type": "http", "http": {"baseUrl": "https://x.example"}}

    def catalog(self, scope: treering.Scope) -> Any:
        return scope.connectors

    def take(self, scope: treering.Scope, path: Path, *items: Any) -> Any:
        return both(scope, write(path / "connectors.json", list(items)))

    def test_it_is_taken_whole_or_not_at_all(self, alice: treering.Scope, tmp_path: Path) -> None:
        report = self.take(alice, tmp_path, self.CONNECTOR, {"name": "t", "type": "http"})
        assert outcomes(report) == {"connectors.json": "refused"}
        assert self.catalog(alice).get().version == 0

    def test_what_is_there_is_not_overwritten(self, alice: treering.Scope, tmp_path: Path) -> None:
        self.take(alice, tmp_path, self.CONNECTOR)
        assert outcomes(self.take(alice, tmp_path, self.CONNECTOR | {"name": "other"})) == {
            "connectors.json": "refused"
        }
        self.catalog(alice).save([])
        assert outcomes(self.take(alice, tmp_path, self.CONNECTOR)) == {"connectors.json": "there"}
        assert len(self.catalog(alice).get()) == 0

    def test_a_secret_in_clear_is_refused_and_shown_nowhere(self, alice: treering.Scope, tmp_path: Path) -> None:
        http = {"baseUrl": "https://x.example", "defaultHeaders": {"Authorization": "Bearer hunter22"}}
        report = self.take(alice, tmp_path, self.CONNECTOR | {"http": http})
        assert outcomes(report) == {"connectors.json": "refused"}
        assert "hunter22" not in repr(report)

    def test_what_is_changed_and_left_out_is_told(self, alice: treering.Scope, tmp_path: Path) -> None:
        report = self.take(alice, tmp_path, self.CONNECTOR | {"timeoutMs": 5, "retry": 9, "mood": 1})
        assert {(path, reason) for path, reason in notes(report, "changed")} >= {
            ("$[0].timeoutMs", "5 is kept as 100"),
            ("$[0].retry", "9 is kept as 5"),
        }
        assert notes(report, "left-out") == [("$[0].mood", "a field that is not known")]

    def test_every_field_that_is_not_known_is_told(self, alice: treering.Scope, tmp_path: Path) -> None:
        report = self.take(alice, tmp_path, self.CONNECTOR | {f"k{n}": n for n in range(1_005)})
        found = [path for path, _ in notes(report, "left-out")]
        assert found[:-1] == [f"$[0].k{n}" for n in range(1_000)]
        assert (report.files[0].notes[-1].times, report.left_out) == (5, 1_005)

    def test_keys_in_any_spelling(self, alice: treering.Scope, tmp_path: Path) -> None:
        given = {"connectors": {"s": {"type": "http", "time-out_MS": 500, "http": {"base-url": "https://x.example"}}}}
        report = both(alice, write(tmp_path / "connectors.json", given))
        assert outcomes(report) == {"connectors.json": "new"}
        (found,) = self.catalog(alice).get()
        assert (found.timeout_ms, found.http.base_url) == (500, "https://x.example")


CLI: dict[str, Any] = {"name": "s", "type": "cli", "cli": {"command": "ls"}}


@pytest.mark.parametrize(
    ("name", "shape", "place"),
    [
        ("connectors", lambda one: [one], "$[0]"),
        ("connectors", lambda one: {"connectors": [one]}, "$.connectors[0]"),
        ("connectors", lambda one: {"Definitions": [one]}, "$.Definitions[0]"),
        ("connectors", lambda one: {"s": one}, "$.s"),
        ("connectors", lambda one: {"connectors": {"a b": one}}, '$.connectors["a b"]'),
        ("connectors", lambda one: {"connectors": {"s": one}, "v": 1}, "$.connectors.s"),
        ("roles", lambda one: [one], "$[0]"),
        ("roles", lambda one: {"Roles": [one]}, "$.Roles[0]"),
        ("roles", lambda one: {"coder": one}, "$.coder"),
        ("roles", lambda one: {"definitions": {"coder": one}}, "$.definitions.coder"),
    ],
)
class TestWhereInACatalog:
    """Each note has the JSON path of its field, as it is spelt there, in each shape that the file may have."""

    def test_what_is_left_out_and_changed(
        self, alice: treering.Scope, tmp_path: Path, name: str, shape: Any, place: str
    ) -> None:
        item: Any = CLI | {"Retry": 9, "foo": 1, "cli": {"COMMAND": " ls", "allowed_operations": ["a", "A"], "zzz": 1}}
        left, changed = ["cli.zzz", "foo"], ["cli.COMMAND", "cli.allowed_operations", "Retry"]
        if name == "roles":
            item = {"id": " x", "Connectors": ["a", "A"], "bar": 1}
            left, changed = ["bar"], ["id", "Connectors"]
        report = both(alice, write(tmp_path / f"{name}.json", shape(item)))
        outside = ["$.v"] if "v" in shape({}) else []
        assert [path for path, _ in notes(report, "left-out")] == outside + [f"{place}.{at}" for at in left]
        assert [path for path, _ in notes(report, "changed")] == [f"{place}.{at}" for at in changed]

    def test_what_is_refused(self, alice: treering.Scope, tmp_path: Path, name: str, shape: Any, place: str) -> None:
        wrong: list[tuple[Any, str]] = [
            ({"timeoutMs": "z"}, "timeoutMs"),
            ({"cli": {"Command": ""}}, "cli.Command"),
            ({"cli": {}}, "cli.command"),
            ({"TYPE": "ftp"}, "TYPE"),
            ({"cli": {"command": "x", "fixed_arguments": ["a", "b://c:d@e"]}}, "cli.fixed_arguments[1]"),
        ]
        if name == "roles":
            wrong = [({"name": 1}, "name"), ({"ID": "x" * 600}, ""), ({"Connectors": [1]}, "Connectors[0]")]
        for more, at in wrong:
            item = {key: value for key, value in CLI.items() if key.lower() not in {own.lower() for own in more}}
            item = item | more if name == "connectors" else {"id": "x", **more} if "ID" not in more else more
            report = both(alice, write(tmp_path / f"{name}.json", shape(item)))
            assert [path for path, _ in notes(report, "refused")] == [f"{place}.{at}" if at else "$"]
            assert outcomes(report) == {f"{name}.json": "refused"}


def test_a_value_is_never_repeated_at_length(alice: treering.Scope, tmp_path: Path) -> None:
    report = import_json(alice, write(tmp_path / "config.json", {"runtimeMode": "x" * 900}))
    assert all(len(reason) < 200 for reason in reasons(report, "changed"))


def test_the_report_says_at_how_many_places(alice: treering.Scope, tmp_path: Path) -> None:
    entries = [{"id": f"{n:012x}", "content": "x", "createdAt": 1, "mood": n} for n in range(40)]
    (note,) = [
        note
        for note in import_json(alice, write(tmp_path / "memory.json", entries)).files[0].notes
        if note.what == "left-out"
    ]
    assert (note.path, note.times) == ("$[0].mood", 40)


def test_notes_have_a_limit(alice: treering.Scope, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"defaultModel": "m"} | {f"k{n}": n for n in range(1_005)}))
    report = import_json(alice, path)
    assert (len(report.files[0].notes), report.left_out) == (1_001, 1_005)
    assert report.files[0].notes[-1].times == 5


def test_an_async_scope_is_refused(tmp_path: Path) -> None:
    import asyncio

    from treering import aio

    async def run() -> None:
        async with aio.memory() as store:
            with pytest.raises(treering.Invalid, match="sync store"):
                import_json(store.scope("alice"), tmp_path)  # type: ignore[arg-type]

    asyncio.run(run())
