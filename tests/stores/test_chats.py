"""`chats`: conversations with their newest 500 messages, and the list of them that moves in the same commit."""

import pytest

from treering import Cid, Invalid, LimitExceeded, Scope, Store, testing
from treering.messages import ChatAppended, ChatReplaced, Conversation, Message


def said(*contents: object) -> list[Message]:
    return [Message(role="user", content=str(content)) for content in contents]


def contents(scope: Scope, conversation: str) -> list[str]:
    return [message.content for message in scope.chats.messages(conversation)]


def rows(scope: Scope) -> list[tuple[str, str]]:
    return [(row.id, row.title) for row in scope.chats.index()]


def test_save_sets_meta_and_messages_in_order(alice: Scope, clock: testing.Clock) -> None:
    meta = Conversation(
        id="something else",
        title="T",
        service_id="s",
        service_kind="k",
        created_at_ms=5,
        updated_at_ms=9,
        message_count=77,
        llm_route="/r",
        llm_model="m",
    )
    message = Message(id="m1", role="assistant", content="c", at_ms=3, status="done", error="e", thinking="t")
    receipt = alice.chats.save("c", meta, [message, *said("z", "a")])
    kept = Conversation(
        id="c",
        title="T",
        service_id="s",
        service_kind="k",
        created_at_ms=5,
        updated_at_ms=9,
        message_count=3,
        llm_route="/r",
        llm_model="m",
    )
    assert (receipt.value, receipt.version, receipt.changed, receipt.dropped) == (kept, 1, True, 0)
    assert alice.chats.messages("c") == [message, *said("z", "a")]
    assert (alice.chats.messages("c").conversation, alice.chats.messages("c").version) == (kept, 1)
    assert (alice.chats.index(), alice.chats.index().version) == ([kept], 1)
    assert isinstance(next(iter(alice.chats.history("c"))).message, ChatReplaced)
    # Times that are 0 are the commit's.
    alice.chats.save("d", Conversation(), [])
    assert alice.chats.index()[0] == Conversation(id="d", created_at_ms=clock.now_ms, updated_at_ms=clock.now_ms)


def test_replace_overwrites(alice: Scope) -> None:
    alice.chats.save("c", Conversation(title="one", llm_model="m"), said(1, 2, 3))
    alice.chats.save("c", Conversation(title="two"), said(4))
    assert contents(alice, "c") == ["4"]
    assert alice.chats.messages("c").conversation.llm_model == ""  # type: ignore[union-attr]
    assert rows(alice) == [("c", "two")]
    alice.chats.save("c", Conversation(title="three"), [])
    assert (contents(alice, "c"), rows(alice)) == ([], [("c", "three")])


def test_an_unknown_conversation_has_no_messages(alice: Scope) -> None:
    messages = alice.chats.messages("c")
    assert (list(messages), messages.version, messages.conversation) == ([], 0, None)
    assert (list(alice.chats.index()), alice.chats.index().version) == ([], 0)


def test_one_id_is_one_row_and_two_ids_are_two(alice: Scope, clock: testing.Clock) -> None:
    alice.chats.save("c", Conversation(title="old"), [])
    clock.advance(1)
    alice.chats.save("c", Conversation(title="new"), [])
    assert rows(alice) == [("c", "new")]
    clock.advance(1)
    alice.chats.save("d", Conversation(title="other"), [])
    assert rows(alice) == [("d", "other"), ("c", "new")]


def test_the_list_is_newest_first_then_by_id(alice: Scope) -> None:
    for id, at in (("b", 5), ("z", 9), ("a", 5), ("é", 5), ("B", 5), ("old", 1)):
        alice.chats.save(id, Conversation(updated_at_ms=at), [])
    assert [row.id for row in alice.chats.index()] == ["z", "B", "a", "b", "é", "old"]


def test_append_moves_its_conversation_up(alice: Scope, clock: testing.Clock) -> None:
    for id in "abc":
        clock.advance(1)
        alice.chats.append(id, said(1))
    clock.advance(1)
    alice.chats.append("a", said(2))
    assert [row.id for row in alice.chats.index()] == ["a", "c", "b"]
    assert alice.chats.index()[0].updated_at_ms == clock.now_ms
    assert alice.chats.index()[0].created_at_ms == clock.now_ms - 3


def test_append_to_an_unknown_conversation_creates_it_with_its_row(alice: Scope, clock: testing.Clock) -> None:
    receipt = alice.chats.append("c", said("merci"))
    made = Conversation(id="c", created_at_ms=clock.now_ms, updated_at_ms=clock.now_ms, message_count=1)
    assert (receipt.value, receipt.version) == (made, 1)
    assert alice.chats.index() == [made]
    assert isinstance(next(iter(alice.chats.history("c"))).message, ChatAppended)


def test_append_keeps_what_is_known(alice: Scope) -> None:
    alice.chats.save("c", Conversation(title="T", llm_model="m", created_at_ms=7), said(1))
    kept = alice.chats.append("c", said(2, 3)).value
    assert kept is not None
    assert (kept.title, kept.llm_model, kept.created_at_ms, kept.message_count) == ("T", "m", 7, 3)
    assert contents(alice, "c") == ["1", "2", "3"]


def test_append_of_nothing_is_unchanged(alice: Scope) -> None:
    assert (alice.chats.append("c", []).changed, alice.chats.index().version) == (False, 0)
    alice.chats.append("c", said(1))
    receipt = alice.chats.append("c", [])
    assert (receipt.changed, receipt.version, receipt.value) == (False, 1, alice.chats.messages("c").conversation)


@pytest.mark.parametrize(("given", "dropped"), [(499, 0), (500, 0), (501, 1), (4094, 3594)])
def test_the_newest_500_are_kept(alice: Scope, given: int, dropped: int) -> None:
    receipt = alice.chats.save("c", Conversation(), said(*range(given)))
    assert receipt.dropped == dropped
    assert receipt.value.message_count == given - dropped  # type: ignore[union-attr]
    assert contents(alice, "c") == [str(number) for number in range(dropped, given)]
    assert alice.chats.index()[0].message_count == given - dropped


def test_append_beyond_500_drops_the_oldest(alice: Scope) -> None:
    alice.chats.save("c", Conversation(), said(*range(498)))
    assert alice.chats.append("c", said(498, 499)).dropped == 0
    receipt = alice.chats.append("c", said(500, 501, 502))
    assert (receipt.dropped, receipt.value.message_count) == (3, 500)  # type: ignore[union-attr]
    assert contents(alice, "c") == [str(number) for number in range(3, 503)]
    for number in range(503, 540):
        assert alice.chats.append("c", said(number)).dropped == 1
    assert contents(alice, "c") == [str(number) for number in range(40, 540)]
    everything = alice.chats.append("c", said(*range(540, 1140)))
    assert everything.dropped == 600
    assert contents(alice, "c") == [str(number) for number in range(640, 1140)]
    # The same on replay: what was dropped stands in the event.
    assert contents_at(alice, "c", 2) == [str(number) for number in range(500)]
    assert contents_at(alice, "c", 3) == [str(number) for number in range(3, 503)]
    assert alice.chats.verify("c") == everything.version


def contents_at(scope: Scope, conversation: str, version: int) -> list[str]:
    return [message.content for message in scope.chats.at(conversation, version)]


def test_a_message_costs_the_message_and_not_the_chat(alice: Scope, store: Store) -> None:
    alice.chats.save("c", Conversation(), said(*("x" * 2000 + str(number) for number in range(500))))
    alice.chats.append("c", said("warm"))
    before = store.stats()["block_bytes"]
    for number in range(64):
        alice.chats.append("c", said("y" * 2000 + str(number)))
    assert (store.stats()["block_bytes"] - before) / 64 < 2000 + 6 * 1024


def test_attachments_are_links(alice: Scope, store: Store) -> None:
    file, node = store.put(b"the file"), store.blocks.put_node({"a": 1})
    message = Message(role="user", content="see", attachments=(file, node, file))
    alice.chats.append("c", [message])
    alice.chats.append("c", said("between"))
    alice.chats.save("d", Conversation(), [message])
    assert alice.chats.messages("c")[0] == alice.chats.messages("d")[0] == message
    # They live as long as the conversation does.
    heads = [ref.target for ref in store.refs.list() if ref.target is not None]
    assert {file, node} <= set(store.reachable(heads).present)


def test_an_attachment_that_is_missing(alice: Scope) -> None:
    missing = Cid.of(b"never put")
    for write in (
        lambda: alice.chats.append("c", [Message(attachments=(missing,))]),
        lambda: alice.chats.save("c", Conversation(), [Message(attachments=(missing,))]),
    ):
        with pytest.raises(Invalid, match="not in this store; put it first") as caught:
            write()
        assert caught.value.link == missing  # type: ignore[attr-defined]
    assert (alice.chats.messages("c").version, list(alice.chats.index())) == (0, [])


def test_limits_at_their_edges(alice: Scope, store: Store) -> None:
    most, file = "x" * (400 << 10), store.put(b"f")
    whole = Message(content=most, thinking=most, id="i" * 8192, role="r" * 8192, attachments=(file,) * 100)
    alice.chats.append("c" * 512, [whole])
    assert list(alice.chats.messages("c" * 512)) == [whole]
    alice.chats.save("c", Conversation(title="é" * 512), [])
    for limit, write in (
        (512, lambda: alice.chats.append("c" * 513, said(1))),
        (512, lambda: alice.chats.save("c" * 513, Conversation(), [])),
        (512, lambda: alice.chats.delete("c" * 513)),
        (400 << 10, lambda: alice.chats.append("c", said(most + "x"))),
        (400 << 10, lambda: alice.chats.append("c", [Message(thinking=most + "x")])),
        (100, lambda: alice.chats.append("c", [Message(attachments=(file,) * 101)])),
        (4094, lambda: alice.chats.append("c", said(*range(4095)))),
        (4094, lambda: alice.chats.save("c", Conversation(), said(*range(4095)))),
        *(
            (1024, lambda name=name: alice.chats.save("c", Conversation(**{name: "x" * 1025}), []))
            for name in ("title", "service_id", "service_kind", "llm_route", "llm_model")
        ),
        *(
            (8192, lambda name=name: alice.chats.append("c", [Message(**{name: "x" * 8193})]))
            for name in ("id", "role", "status", "error")
        ),
    ):
        with pytest.raises(LimitExceeded) as caught:
            write()  # type: ignore[no-untyped-call]
        assert (caught.value.limit, caught.value.actual) == (limit, limit + 1)
    assert (alice.chats.messages("c").version, alice.chats.index().version) == (1, 2)


def test_a_conversation_and_its_row_are_one_commit(alice: Scope, store: Store) -> None:
    for write in (
        lambda: alice.chats.append("c", said(1)),
        lambda: alice.chats.save("c", Conversation(), said(1)),
        lambda: alice.chats.delete("c"),
    ):
        before = len(list(store.journal()))
        write()
        assert len(list(store.journal())) == before + 1
