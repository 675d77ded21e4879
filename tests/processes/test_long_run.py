"""The long form of what the core's tests show in seconds: minutes of writers, a reader and a collector; ten, unless
`TREERING_TEST_SECONDS` says otherwise."""

import os
from collections.abc import Callable

import pytest


@pytest.mark.long
def test_minutes_of_writers_a_reader_and_a_collector(cargo_test: Callable[..., str]) -> None:
    seconds = os.environ.get("TREERING_TEST_SECONDS", "600")
    test = ("--package", "treering-store", "--test", "processes_long_run")
    only = ("--", "--exact", "writers_a_reader_and_a_collector", "--nocapture")
    printed = cargo_test(*test, *only, TREERING_TEST_SECONDS=seconds)
    print(printed)
    assert "1 passed" in printed
    assert f"{seconds} s: " in printed
