"""How things look: one line each, nothing read, and notebooks that can't be broken into."""

from html.parser import HTMLParser
from pathlib import Path

import treering
from treering import Store


def test_reprs_are_one_line(store: Store) -> None:
    scope = store.scope("alice")
    thread = scope.threads.start("fix", key="k")
    step = thread.append("coder", "a\nb" * 100)
    with scope.commit() as c:
        draft = c.threads[thread].append("x")
        lines = [c, draft, c.threads[thread]]
    lines += [store, scope, scope.threads, scope.pins, store.blocks, thread, step, thread.lease(), thread.context()]
    lines += [*store.journal(), thread.head]
    for shown in lines:
        assert "\n" not in repr(shown)
        assert len(repr(shown)) < 200
    assert repr(thread) == f"<Thread {thread.id} (k) fix idle 2 steps>"
    assert repr(step).startswith("<Step 1 coder ")
    assert repr(thread.head) == f"Cid('{thread.head.short()}')"


def test_reprs_read_nothing_and_work_after_close(tmp_path: Path) -> None:
    store = treering.open(tmp_path / "s")
    scope = store.scope("alice")
    thread = scope.threads.start("w")
    thread.append("a", "x")
    step, listed, blocks = thread.at(1), scope.threads.list()[0], store.blocks
    before = store.counters()
    shown = [repr(value) for value in (store, scope, scope.threads, blocks, thread, listed, step)]
    assert store.counters() == before
    store.close()
    assert [repr(value) for value in (scope, scope.threads, blocks, thread, listed, step)] == shown[1:]
    assert repr(store) == f"<Store {tmp_path / 's'} (closed)>"


class Tags(HTMLParser):
    """Collects tags, and knows whether they are closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_html_escapes(store: Store) -> None:
    evil = "</td><script>alert(1)</script>&"
    thread = store.threads.start(evil, key=evil)
    step = thread.append(evil, evil, meta={evil: evil}, artifacts={"<b>": b"x"})
    for html in (thread._repr_html_(), step._repr_html_()):
        tags = Tags(html)
        assert tags.open == []
        assert tags.seen <= {"table", "caption", "tr", "th", "td", "code", "pre"}
        assert "&lt;script&gt;" in html
    assert step.cid.short().rstrip("…") in thread._repr_html_()


def test_html_of_a_long_thread_shows_fifty_steps(store: Store) -> None:
    thread = store.threads.start("w")
    thread.extend([("r", f"text-{number}") for number in range(1, 61)])
    html = thread._repr_html_()
    assert html.count(">text-") == 50
    assert "… 10 more …" in html
    assert "text-25<" in html
    assert "text-26<" not in html
    assert "text-35<" not in html
    assert "text-36<" in html
