"""Random commands on actors, and a projection that catches up, is rebuilt, reopened and cut off from its journal
in between, against a fold in plain Python."""

import itertools
import shutil
import tempfile
from pathlib import Path

from functions import View, versions
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import treering
from treering import Commit, Gap, SourceEvent
from treering.messages import Message

SCOPES = st.sampled_from(["alice", "bob", "team"])
CHATS = st.sampled_from(["a", "b/c"])
FOLLOWED = ["agent-registry", "chat", "chat-index", "user-memory"]


DELIVERIES = itertools.count()
"""Makes each delivery another one: the same source once more would change nothing."""


def deliver(view: View, event: SourceEvent, commit: Commit) -> View:
    commit.workflows.upload(str(event.source), "", f"{event.version} {next(DELIVERIES)}")
    return versions(view, event, commit)


def skip(view: View, gap: Gap, commit: Commit) -> View:
    commit.workflows.upload(str(gap.source), "", f"{gap.version} {next(DELIVERIES)}")
    return {**view, str(gap.source): [*view.get(str(gap.source), []), gap.version]}


class Actor:
    """What of an actor's past can still be read."""

    def __init__(self) -> None:
        self.version = 0
        self.base = 0
        """What its history begins after."""
        self.seen = 0

    def past(self, seen: int, upto: int) -> list[int]:
        """Versions that are told of to who has seen so much."""
        if upto < self.base:
            return []
        first = [self.base] if seen < self.base else []
        return [*first, *range(max(seen, self.base) + 1, upto + 1)]


class Projected(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp())
        self.open()
        self.actors: dict[str, Actor] = {}
        self.view: View = {}
        self.delivered: View = {}
        self.events = 0

    def open(self) -> None:
        self.store = treering.open(self.home / "s", durability="relaxed", reserve_bytes=0)

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.home)

    @property
    def projection(self) -> treering.Projection[View]:
        scopes = [self.store.scope(name) for name in ("alice", "bob", "team")]
        return self.store.scope("team").projection("seen", of=scopes, kinds=FOLLOWED, start={})

    def happened(self, *name: str) -> Actor:
        actor = self.actors.setdefault("/".join(name), Actor())
        actor.version += 1
        return actor

    @rule(scope=SCOPES, chat=CHATS, times=st.integers(1, 3))
    def say(self, scope: str, chat: str, times: int) -> None:
        for _ in range(times):
            self.store.scope(scope).chats.append(chat, [Message(content="x")])
            self.happened(scope, "chat", chat)
            self.happened(scope, "chat-index")

    @rule(scope=SCOPES, chat=CHATS)
    def delete(self, scope: str, chat: str) -> None:
        known = self.actors.get(f"{scope}/chat/{chat}")
        self.store.scope(scope).chats.delete(chat)
        if known is not None and known.version > known.base:
            for name in ((scope, "chat", chat), (scope, "chat-index")):
                actor = self.happened(*name)
                actor.base = actor.version

    @rule(scope=SCOPES, times=st.integers(1, 40))
    def remember(self, scope: str, times: int) -> None:
        with self.store.scope(scope).commit() as c:
            for _ in range(times):
                c.memory.add("k", "x")
                self.happened(scope, "user-memory")

    @rule(scope=SCOPES)
    def together(self, scope: str) -> None:
        with self.store.scope(scope).commit() as c:
            c.memory.add("k", "x")
            c.agents.add("t", f"a{self.actors.get(f'{scope}/agent-registry', Actor()).version}")
        self.happened(scope, "user-memory")
        self.happened(scope, "agent-registry")

    @rule()
    def catch_up(self) -> None:
        report = self.projection.catch_up(deliver, trimmed=skip)
        count = 0
        for name, actor in self.actors.items():
            for version in actor.past(actor.seen, actor.version):
                self.view.setdefault(name, []).append(version)
                self.delivered.setdefault(name, []).append(version)
                count += 1
            actor.seen = actor.version
        self.events += count
        assert report.events == count
        assert report.commits <= -(-count // 100) + 6

    @rule()
    def rebuild(self) -> None:
        self.projection.rebuild(deliver, trimmed=skip)
        told = {name: actor.past(0, actor.seen) for name, actor in self.actors.items() if actor.seen}
        self.view = {name: past for name, past in told.items() if past}

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.open()

    @rule()
    def collect(self) -> None:
        self.store.gc()

    @rule(keep=st.integers(1, 4), expire=st.booleans())
    def seal(self, keep: int, expire: bool) -> None:
        self.store.seal_journal(keep=keep)
        sealed = self.store.journal_extent().sealed
        if expire and sealed:
            self.store.expire_journal(before=sealed[-1].cursor)

    @rule()
    def forget(self) -> None:
        self.projection.delete()
        self.view, self.events = {}, 0
        for actor in self.actors.values():
            actor.seen = 0

    @invariant()
    def it_is_the_fold(self) -> None:
        projection = self.projection
        found = projection.get()
        assert found.value == self.view
        assert found.events == self.events
        seen = {str(source): version for source, version in projection.checkpoint().items()}
        assert seen == {name: actor.seen for name, actor in self.actors.items() if actor.seen}
        there = self.store.scope("team").workflows
        for name, past in self.delivered.items():
            sources = (there.get(name, event.version) for event in there.history(name))
            assert [int(source.yaml.split()[0]) for source in sources if source is not None] == past

    @invariant()
    def the_model_is_right(self) -> None:
        for scope in ("alice", "bob", "team"):
            for info in self.store.scope(scope).actors():
                if info.kind in FOLLOWED:
                    actor = self.actors["/".join((scope, info.kind, *info.parts))]
                    assert (info.version, info.oldest) == (actor.version, actor.base)


TestProjected = Projected.TestCase
TestProjected.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
