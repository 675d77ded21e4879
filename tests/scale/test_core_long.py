"""What takes minutes in the core's own tests: they are left out of `cargo test` and run from here."""

from collections.abc import Callable

import pytest


@pytest.mark.long
@pytest.mark.parametrize(
    ("package", "binary", "name"),
    [
        ("treering-store", "gc_interleavings", "orders::every_order_of_one_collection_and_a_longer_writer"),
        ("treering-store", "crash_io", "any_read_fails_once_or_for_good"),
        ("treering-thread", "crash", "io::any_read_fails_once"),
    ],
)
def test_core(cargo_test: Callable[..., str], in_memory: dict[str, str], package: str, binary: str, name: str) -> None:
    printed = cargo_test("--package", package, "--test", binary, "--", "--ignored", "--exact", name, **in_memory)
    assert "1 passed" in printed, f"no test of the name {name}:\n{printed}"


@pytest.mark.long
def test_kills(cargo_test: Callable[..., str]) -> None:
    """On a real disk: a process that waits for it is killed at other moments than one that computes."""
    name = "nothing_answered_is_lost_to_a_thousand_kills"
    test = ("--package", "treering-store", "--test", "crash_kill")
    assert "1 passed" in cargo_test(*test, "--", "--ignored", "--exact", name)


@pytest.mark.long
@pytest.mark.parametrize("binary", ["actors", "crash"])
def test_actors(cargo_test: Callable[..., str], in_memory: dict[str, str], binary: str) -> None:
    """A million events, a hundred thousand ids; every failing operation of a life of all stores."""
    printed = cargo_test("--package", "treering-actor", "--test", binary, "--", "--ignored", **in_memory)
    assert " 0 failed" in printed
    assert "running 0 tests" not in printed
