"""What comes from a store can't drive the terminal that shows it."""

import pytest

from treering.cli.render.text import (
    call_lines,
    count,
    is_digest_key,
    label,
    one_line,
    safe,
    short_key,
    size,
    value_line,
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2Jgone", "␛[2Jgone"),
        ("a\x07b\x7fc", "a␇b␡c"),
        ("\x9b31m", "�31m"),
        ("abc\u202edcba", "abc�dcba"),
        ("one\r\ntwo\tthree", "one\ntwo three"),
        ("🚲 Tromsø", "🚲 Tromsø"),
    ],
)
def test_control_characters_become_pictures(text: str, shown: str) -> None:
    assert safe(text) == shown


def test_one_line() -> None:
    assert one_line("  a\n\n b\t c ") == "a b c"
    assert one_line("a\x1b[0m\nb") == "a␛[0m b"


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("text", "text"),
        (b"abc", "<3 bytes>"),
        (None, ""),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "a b"),
        ({"a": [1, "ü"]}, '{"a": [1, "ü"]}'),
        ([], "[]"),
    ],
)
def test_values_on_a_line(value: object, line: str) -> None:
    assert value_line(value) == line


def test_calls() -> None:
    calls = [
        {"function": {"name": "f", "arguments": '{"a": 1, "b": "ü\\u001b"}'}},
        {"function": {"name": "g", "arguments": "not json"}},
        {"function": {"name": "h"}},
        "odd",
    ]
    assert call_lines({"tool_calls": calls}) == ['f(a=1, b="ü\\u001b")', "g(not json)", "h(null)", '"odd"']
    assert call_lines({"tool_calls": "odd"}) == call_lines({}) == []


def test_figures_and_names() -> None:
    assert [size(n) for n in (0, 999, 1000, 99_400, 123_456, 999_600, 5_500_000, 10**13)] == [
        "0 B", "999 B", "1.0 kB", "99.4 kB", "123 kB", "1.0 MB", "5.5 MB", "10000 GB",
    ]  # fmt: skip
    assert [count(n, "step") for n in (0, 1, 5308)] == ["0 steps", "1 step", "5,308 steps"]
    assert [label(value) for value in ("a", "7", "true", 7, 0.5, None, True, "a b")] == [
        "a", '"7"', '"true"', "7", "0.5", "null", "true", "a b",
    ]  # fmt: skip
    assert short_key("ticket-812") == "ticket-812"
    assert len(short_key("x" * 100)) == 24
    assert is_digest_key("chat-" + "a" * 52 + "-1")
    assert not is_digest_key("chat-1")
