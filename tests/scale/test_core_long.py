"""What takes minutes in the core's own tests: they are left out of `cargo test` and run from here."""

from collections.abc import Callable

import pytest


@pytest.mark.long
@pytest.mark.parametrize(
    ("package", "binary", "name"),
    [
        ("treering-store", "crash_kill", "nothing_answered_is_lost_to_a_thousand_kills"),
        ("treering-store", "gc_interleavings", "orders::every_order_of_one_collection_and_a_longer_writer"),
        ("treering-store", "crash_io", "any_read_fails_once_or_for_good"),
        ("treering-thread", "crash", "io::any_read_fails_once"),
    ],
)
def test_core(cargo_test: Callable[..., str], package: str, binary: str, name: str) -> None:
    printed = cargo_test("--package", package, "--test", binary, "--", "--ignored", "--exact", name)
    assert "1 passed" in printed, f"no test of the name {name}:\n{printed}"


@pytest.mark.long
@pytest.mark.parametrize("binary", ["actors", "crash"])
def test_actors(cargo_test: Callable[..., str], binary: str) -> None:
    """A million events, a hundred thousand ids; every failing operation of a life of all stores."""
    printed = cargo_test("--package", "treering-actor", "--test", binary, "--", "--ignored")
    assert " 0 failed" in printed
    assert "running 0 tests" not in printed
