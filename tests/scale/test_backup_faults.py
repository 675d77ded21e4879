"""Backups that are cut short at every sync and by every failing operation, not only at some of them."""

from collections.abc import Callable

import pytest


@pytest.mark.long
def test_every_moment_and_every_operation(cargo_test: Callable[..., str], in_memory: dict[str, str]) -> None:
    printed = cargo_test("--package", "treering-store", "--test", "backup_faults", "--", "--ignored", **in_memory)
    assert " 0 failed" in printed
