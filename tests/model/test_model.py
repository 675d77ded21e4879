"""Random sequences of all verbs, on handles of three players in two processes, against a model that is dicts and lists.

The store must never differ from the model: an answer is right only if nothing in the model forbids it, an error only if
what it says is so. Embedded: a sync and an async player in this process and one in a child, which is killed now and
then; in memory: three players on the one store that there is. After a garbage collection exactly what is reachable is
left. Damage is planted on purpose, and everything else goes on around it.

`machine` has the rules, `expected` the model, `player` what plays; `test_verbs` says which verbs that is.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

sys.path.insert(0, str(Path(__file__).parent))

from machine import Embedded, InMemory, Machine, end_children


@pytest.fixture(scope="module", autouse=True)
def _no_child_is_left() -> Iterator[None]:
    yield
    end_children()


def play(machine: type[Machine], examples: int, steps: int) -> None:
    found = settings(max_examples=examples, stateful_step_count=steps, deadline=None)
    run_state_machine_as_test(machine, settings=found)


@pytest.mark.parametrize(("machine", "examples"), [(Embedded, 25), (InMemory, 40)])
def test_model(machine: type[Machine], examples: int) -> None:
    play(machine, examples, 30)


@pytest.mark.long
@pytest.mark.parametrize(("machine", "examples"), [(Embedded, 100), (InMemory, 200)])
def test_model_for_long(machine: type[Machine], examples: int) -> None:
    # In CI each run searches the same, so that a longer one there finds something once at most.
    play(machine, examples // 2 if "CI" in os.environ else examples, 60)
