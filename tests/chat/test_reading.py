"""Chat logs are read to the letter: what can't be kept is named, what stands behind it still comes out."""

import json
import os
import tracemalloc
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from treering import Invalid
from treering.chat.reading import ChatLog, Record, Refusal, open_log


def read(path: Path, text: str | bytes) -> list[Record | Refusal]:
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    with open_log(path) as log:
        return list(log.records)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.json"


@pytest.mark.parametrize(
    ("member", "where", "reason"),
    [
        (r'"\ud800"', "$.a", "lone surrogate"),
        (r'{"\udc00x": 1}', '$.a["\\udc00x"]', "lone surrogate in a key"),
        ("[0, NaN]", "$.a[1]", "NaN"),
        ("Infinity", "$.a", "Infinity"),
        ("-Infinity", "$.a", "-Infinity"),
        ('{"b": 1e999}', "$.a.b", "too large for a float"),
        ("-1e999", "$.a", "too large for a float"),
        ("18446744073709551616", "$.a", "beyond 64 bits"),
        ("-18446744073709551617", "$.a", "beyond 64 bits"),
        ("9" * 5000, "$.a", "beyond 64 bits"),
        ('{"b": 1, "c": 2, "b": 1}', "$.a.b", "given twice"),
        ('[{"odd key": 1, "odd key": 2}]', '$.a[0]["odd key"]', "given twice"),
        ("[" * 128 + "]" * 128, "$.a" + "[0]" * 127, "deeper than 128"),
        ("[" * 100_000 + "]" * 100_000, "$", "deeper than 128"),
    ],
)
@pytest.mark.parametrize("form", ["array", "lines"])
def test_what_cannot_be_kept_is_refused_with_its_place(
    path: Path, form: str, member: str, where: str, reason: str
) -> None:
    bad = f'{{"a": {member}}}'
    good = '{"a": "fine"}'
    text = f"[{good}, {bad},\n {good}]" if form == "array" else f"{good}\n{bad}\n{good}\n"
    first, refused, last = read(path, text)
    assert isinstance(first, Record)
    assert isinstance(last, Record)
    assert (first.number, last.number) == (1, 3)
    assert isinstance(refused, Refusal)
    assert (refused.record, refused.path) == (2, where)
    assert reason in refused.reason
    assert refused.line == (None if form == "array" else 2)


@pytest.mark.parametrize(
    "text",
    ["18446744073709551615", "-18446744073709551616", "-0.0", "1e308", r'"\ud83d\ude80"', "[" * 127 + "]" * 127],
)
def test_the_last_that_can_be_kept_is_kept(path: Path, text: str) -> None:
    (record,) = read(path, f'[{{"a": {text}}}]')
    assert isinstance(record, Record)
    assert record.value == {"a": json.loads(text)}


@pytest.mark.parametrize(
    ("text", "line", "column", "what"),
    [
        ('[{"a": 1},\n {"a": 2', 2, 9, "delimiter"),
        ('[{"a": 1},\n {"a": 2}', 2, 10, "record 2 is followed by neither"),
        ('[{"a": 1}\n {"a": 2}]', 2, 2, "record 1 is followed by neither"),
        ('[{"a": 1}] x', 1, 12, "something follows the array"),
        ('[{"a": 1},]', 1, 11, "expecting value"),
        ("[" * 100_000, 1, 2, "a record never ends"),
    ],
)
def test_a_broken_array_is_refused_whole_and_says_where(
    path: Path, text: str, line: int, column: int, what: str
) -> None:
    with pytest.raises(Invalid, match=f"line {line} column {column}: .*{what}.*; nothing was imported"):
        read(path, text)


def test_a_broken_line_is_one_refusal(path: Path) -> None:
    items = read(path, b'{"a": 1}\n\n{"a": \n{"a": "\xff"}\n{"a": 2}')
    assert [(item.record, item.line) if isinstance(item, Refusal) else item.value for item in items] == [
        {"a": 1},
        (2, 3),
        (3, 4),
        {"a": 2},
    ]
    broken, not_utf8 = (item for item in items if isinstance(item, Refusal))
    assert broken.reason.startswith("line 3 is not JSON: ")
    assert not_utf8.reason == "line 4 is not UTF-8 at byte 7 of the line"


@pytest.mark.parametrize("text", ["", " \n\t", "[]", " [ ] \n", "\ufeff[]"])
def test_nothing_in_it_is_no_error(path: Path, text: str) -> None:
    assert read(path, text) == []


@pytest.mark.parametrize("text", ['"text"', "7", "null", "a,b\n1,2", "\x00"])
def test_what_is_no_chat_log_is_said_so(path: Path, text: str) -> None:
    with pytest.raises(Invalid, match="not a chat log"):
        read(path, text)


def test_a_byte_order_mark_is_no_content(path: Path) -> None:
    assert [item.value for item in read(path, "\ufeff" + '{"a": 1}\n') if isinstance(item, Record)] == [{"a": 1}]


def test_lines_are_read_as_they_are_asked_for_from_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reading, opened = ThreadPoolExecutor(1), Future[ChatLog]()

    def first() -> Record | Refusal:
        opened.set_result(open_log(path))
        return next(opened.result().records)

    record = reading.submit(first)
    with path.open("wb", buffering=0) as writing:
        writing.write(b'\xef\xbb\xbf\n {"a": 1}\n')
        # The writer is not done; the first record is there all the same.
        assert record.result(timeout=10) == Record(1, {"a": 1}, line=2)
        writing.write(b'{"a": 2}')
    with opened.result() as log:
        assert log.total is None
        assert list(log.records) == [Record(2, {"a": 2}, line=3)]
    reading.shutdown()


def test_an_object_over_several_lines_is_no_record(path: Path) -> None:
    with pytest.raises(Invalid, match="an object over several lines"):
        read(path, json.dumps({"messages": []}, indent=2))
    # A line that is cut is another thing: the others can be kept.
    assert [type(item) for item in read(path, '{"messages": \n{"messages": []}')] == [Refusal, Record]


def test_finding_the_end_of_what_is_too_deep_takes_no_memory(path: Path) -> None:
    text = '{"a": ' + "[" * 100_000 + json.dumps('\\"]' * 500_000) + "]" * 100_000 + "}"
    path.write_text(f'[{text}, {{"a": 1}}]')
    size = path.stat().st_size
    tracemalloc.start()
    try:
        with open_log(path) as log:
            assert [type(item) for item in log.records] == [Refusal, Record]
        assert tracemalloc.get_traced_memory()[1] < 10 * size
    finally:
        tracemalloc.stop()
