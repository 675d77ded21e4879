"""`files`: the views of workflows and scripts, and grep over all that is text."""

from collections.abc import Callable
from typing import Any

import pytest

from treering import GrepMatch, InvalidCommand, LimitExceeded, NotFound, Scope, testing
from treering.messages import FileInfo


def test_workflows_and_scripts_are_views(alice: Scope, clock: testing.Clock) -> None:
    alice.workflows.upload("build", "Build", "steps: []")
    alice.scripts.upload("lint.py", "print(1)")
    alice.scripts.upload("März 1", "é")
    alice.files.put("notes.md", b"x")
    assert [file.path for file in alice.files.list()] == [
        "notes.md",
        "scripts/M%C3%A4rz%201",
        "scripts/lint.py",
        "workflows/build",
    ]
    with alice.files.open("workflows/build") as file:
        assert file.read() == b"steps: []"
        assert file.seek(2) == 2
        assert file.read(3) == b"eps"
    info = alice.files.stat("scripts/lint.py")
    assert info == FileInfo(
        path="scripts/lint.py",
        content=info.content,  # type: ignore[union-attr]
        size=8,
        content_type="text/x-python",
        updated_at_ms=clock.now_ms,
    )
    assert alice.files.stat("workflows/build").content_type == "application/yaml"  # type: ignore[union-attr]
    assert alice.files.stat("scripts/M%C3%A4rz%201").size == 2  # type: ignore[union-attr]
    # The version is that of the files, which the views are no part of.
    assert (alice.files.list().version, list(alice.files.at(1))) == (1, [alice.files.stat("notes.md")])


def test_a_prefix_reads_the_views_that_it_may_mean(alice: Scope) -> None:
    alice.workflows.upload("a", "", "y")
    alice.scripts.upload("a", "x")
    paths = lambda prefix: [file.path for file in alice.files.list(prefix)]  # noqa: E731
    assert paths("w") == paths("workflows/") == paths("workflows/a") == ["workflows/a"]
    assert paths("s") == ["scripts/a"]
    assert paths("workflows/b") == paths("workflowsX") == paths("x") == []


@pytest.mark.parametrize("path", ["workflows/build", "workflows/new", "scripts/a/b", "workflows", "scripts"])
def test_views_are_read_only(alice: Scope, path: str) -> None:
    alice.workflows.upload("build", "", "y")
    for call in (lambda: alice.files.put(path, b"x"), lambda: alice.files.delete(path)):
        with pytest.raises(InvalidCommand, match="upload it there"):
            call()
    assert alice.files.list().version == 0


@pytest.mark.parametrize("path", ["workflows/build", "scripts/new", "workflows/a/b"])
def test_views_are_read_only_in_a_commit_of_several(alice: Scope, path: str) -> None:
    """The verb is refused where it stands, and nothing else of the block is committed if that ends it."""
    alice.workflows.upload("build", "", "y")
    writes: list[Callable[[Any], object]] = [lambda c: c.files.put(path, b"x"), lambda c: c.files.delete(path)]
    for write in writes:
        with pytest.raises(InvalidCommand, match="upload it there"), alice.commit() as c:  # noqa: PT012
            c.memory.add("preference", "x")
            write(c)
        with alice.commit() as c:
            c.files.put("mine", b"x")
            with pytest.raises(InvalidCommand, match="upload it there"):
                write(c)
        alice.files.delete("mine")
    assert (alice.files.list().version, alice.memory.get().version) == (4, 0)
    workflow = alice.workflows.get("build")
    assert workflow is not None
    assert (workflow.yaml, alice.scripts.get("new")) == ("y", None)


def test_what_is_in_no_view_is_not_found(alice: Scope) -> None:
    alice.scripts.upload("..", "x")
    alice.scripts.upload("a//b", "x")
    alice.scripts.upload("a\\b", "x")
    assert list(alice.files.list()) == []
    assert alice.files.stat("scripts/nothing") is None
    with pytest.raises(NotFound):
        alice.files.open("workflows/nothing")
    alice.scripts.upload("now", "x")
    assert alice.files.stat("scripts/now", version=0) is None


def lines(found: object) -> list[tuple[str, int]]:
    return [(match.path, match.line) for match in found]  # type: ignore[attr-defined]


@pytest.fixture
def books(alice: Scope) -> Scope:
    alice.files.put("a/one.md", b"Alpha\nbeta\ngamma ALPHA\n")
    alice.files.put("a/b/two.txt", b"alpha(1)\n")
    alice.files.put("three.json", b'{"alpha": 1}')
    alice.files.put("picture.png", b"alpha")
    alice.files.put("unknown", b"alpha")
    alice.workflows.upload("w", "", "name: alpha")
    alice.scripts.upload("s", "x\nalpha")
    return alice


def test_grep_finds_lines_without_regard_to_case(books: Scope) -> None:
    assert books.files.grep("^ALPHA", "a/**")[1] == GrepMatch(path="a/one.md", line=1, text="Alpha")
    assert lines(books.files.grep("alpha")) == [
        ("a/b/two.txt", 1),
        ("a/one.md", 1),
        ("a/one.md", 3),
        ("scripts/s", 2),
        ("three.json", 1),
        ("workflows/w", 1),
    ]
    assert books.files.grep("alpha").version == 5


def test_only_text_types_are_looked_into(books: Scope) -> None:
    assert lines(books.files.grep("alpha", "picture.png")) == []
    assert lines(books.files.grep("alpha", "unknown")) == []
    books.files.put("unknown", b"alpha", "text/plain")
    assert lines(books.files.grep("alpha", "unknown")) == [("unknown", 1)]


def test_an_invalid_pattern_is_taken_literally(books: Scope) -> None:
    assert lines(books.files.grep("alpha(")) == [("a/b/two.txt", 1)]
    assert lines(books.files.grep("*")) == []


def test_globs(books: Scope) -> None:
    for glob, expected in {
        "**": 6,
        "*": 1,
        "*.json": 1,
        "**.md": 2,
        "**/*.md": 2,
        "a/*": 2,
        "a/**": 3,
        "a/?/two.txt": 1,
        "?hree.json": 1,
        "a/one.MD": 0,
        "[a-z]*": 0,
    }.items():
        assert len(books.files.grep("alpha", glob)) == expected, glob


def test_files_of_a_mebibyte_at_most(alice: Scope) -> None:
    alice.files.put("most.txt", b"x" * ((1 << 20) - 2) + b"\ny")
    alice.files.put("more.txt", b"x" * ((1 << 20) - 1) + b"\ny")
    assert lines(alice.files.grep("^y$")) == [("most.txt", 2)]


def test_max_results_is_from_1_to_100(alice: Scope) -> None:
    alice.files.put("a.txt", b"x\n" * 150)
    assert len(alice.files.grep("x")) == 50
    assert len(alice.files.grep("x", max_results=1)) == 1
    assert len(alice.files.grep("x", max_results=100)) == 100
    for wrong in (0, 101, -1, 1 << 40, True, False):
        with pytest.raises(InvalidCommand, match="from 1 to 100"):
            alice.files.grep("x", max_results=wrong)
    with pytest.raises(InvalidCommand, match="empty"):
        alice.files.grep("")
    with pytest.raises(LimitExceeded):
        alice.files.grep("a" * 1025)


def test_a_pattern_made_to_hang_does_not(alice: Scope) -> None:
    alice.files.put("a.txt", b"a" * 500_000 + b"!")
    assert lines(alice.files.grep("^(a+)+$")) == []
