"""The reference page names every public name, and in the place of each class every member and argument of it.

A class has a place where it is described: its section, the table that is headed by it, its row of a table, or what
follows its name and a colon. What stands elsewhere on the page does not count.
"""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import treering
import treering.chat
import treering.importing
from treering.stores import protocols

PAGE = (Path(__file__).parents[2] / "docs" / "reference.md").read_text(encoding="utf-8")
#: Code of the page, without the blocks that run.
SPANS = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL))
WORDS = {word for span in SPANS for word in re.findall(r"\w+", span)}

CLASSES = {
    name: cls
    for name in treering.__all__
    if inspect.isclass(cls := getattr(treering, name)) and not issubclass(cls, BaseException)
}
STORES = {name for name in CLASSES if name.endswith("Store") and name != "Store"}
#: What is said once of all of them.
OF_ALL_STORES = re.search(r"^Each of them has `history.*?\n\n", PAGE, re.DOTALL | re.MULTILINE)
OF_EVERY_VERB = {"expected_version", "command_id"}
#: Said by the name of another: what a class has of a sequence, a file or a scope.
AS_ANOTHER: dict[str, set[str]] = {
    "FileReader": set(dir(__import__("io").BufferedReader)),
    "PastScope": set(dir(treering.Scope)),
    **{name: {"count", "index"} for name, cls in CLASSES.items() if issubclass(cls, tuple | treering.Listing)},
}
#: No part of what anybody calls, though it has no underscore: read from rows, and made by the class itself.
INNER = {("Secret", "stored")}


def plain() -> str:
    return re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)


def places(name: str) -> Iterator[str]:
    page = plain()
    for section in re.findall(rf"^## {name}\n(.*?)(?=^## |\Z)", page, re.DOTALL | re.MULTILINE):
        # What is described there beside it has its own place.
        yield re.split(r"(?:^|[.;] |\n)`[A-Z]\w+`: ", section)[0]
    yield from re.findall(rf"^\| `{name}` \|[^\n]*\n\|---.*?(?=\n\n|\Z)", page, re.DOTALL | re.MULTILINE)
    for line in page.splitlines():
        cells = line.split("|")
        if line.startswith("|") and len(cells) > 2 and re.search(rf"`{name}\b", cells[1]):
            yield line
    for paragraph in page.split("\n\n"):
        if paragraph.startswith(("|", "#")):
            continue
        subjects = list(re.finditer(r"(?:^|[.;] |\n)`(?:treering\.)?([A-Z]\w+)(?:`: |\()", paragraph))
        for nth, found in enumerate(subjects):
            if name == found[1]:
                end = subjects[nth + 1].start() if nth + 1 < len(subjects) else len(paragraph)
                yield paragraph[found.start() : end]


def spans(name: str) -> list[str]:
    found = list(places(name))
    if name in STORES and OF_ALL_STORES is not None:
        found.append(OF_ALL_STORES[0])
    return [span for place in found for span in re.findall(r"`([^`\n]+)`", place)]


def arguments(method: Any) -> set[str]:
    try:
        signature = inspect.signature(method)
    except (TypeError, ValueError):
        return set()
    return {name for name in signature.parameters if name != "self" and not name.startswith("_")}


@pytest.mark.parametrize("name", treering.__all__)
def test_names(name: str) -> None:
    assert name in ("__version__", "errors") or name in WORDS


@pytest.mark.parametrize("name", treering.chat.__all__)
def test_chat_names(name: str) -> None:
    assert name in WORDS


@pytest.mark.parametrize("name", treering.importing.__all__)
def test_importing_names(name: str) -> None:
    assert name in WORDS


@pytest.mark.parametrize("name", protocols.__all__)
def test_protocol_names(name: str) -> None:
    assert name in WORDS


@pytest.mark.parametrize("name", CLASSES)
def test_members(name: str) -> None:
    told = {word for span in spans(name) for word in re.findall(r"\w+", span)}
    members = {member for member, _ in inspect.getmembers(CLASSES[name]) if not member.startswith("_")}
    known = AS_ANOTHER.get(name, set()) | {member for cls, member in INNER if cls == name}
    assert members - told - known == set()


@pytest.mark.parametrize("name", CLASSES)
def test_arguments(name: str) -> None:
    """Of each method, and of the class where the page says how one is made; "…" stands for those of another."""
    missing = {}
    for member, value in inspect.getmembers(CLASSES[name]):
        if member.startswith("_") or not callable(value) or member in AS_ANOTHER.get(name, set()):
            continue
        calls = [re.sub(r'"[^"]*"', "", span) for span in spans(name) if re.match(rf"(?:\w+\.)?{member}\(", span)]
        if not calls or any("…" in call for call in calls):
            continue
        told = {word for call in calls for word in re.findall(r"\w+", call)}
        told |= {span for span in spans(name) if name in STORES and span in ("conversation_id", "room_id")}
        if absent := arguments(value) - told - (OF_EVERY_VERB if name in STORES else set()):
            missing[member] = absent
    assert missing == {}


def test_settings_are_said_with_their_defaults() -> None:
    (call,) = re.findall(r"`treering\.Settings\(\*, (.*?)\)`", PAGE, re.DOTALL)
    said = {name: eval(value) for name, value in re.findall(r"(\w+)=(\"[^\"]*\"|[^,)]+)", call)}
    assert said == {name: one.default for name, one in inspect.signature(treering.Settings).parameters.items()}


@pytest.mark.parametrize("name", inspect.signature(treering.Settings).parameters)
def test_the_table_of_settings_has_each(name: str) -> None:
    table = (Path(__file__).parents[2] / "docs" / "stores.md").read_text(encoding="utf-8")
    assert re.search(rf"^\| `{name}` \| ", table, re.MULTILINE)
