"""The examples in docstrings run, and every public name says what it returns."""

import doctest
import importlib
import inspect
import pkgutil
from collections.abc import Iterator

import pytest

import treering
import treering.stores

MODULES = [
    name
    for package in (treering, treering.stores)
    for _, name, is_package in pkgutil.iter_modules(package.__path__, f"{package.__name__}.")
    if not is_package and name != "treering._core"
]


@pytest.mark.parametrize("name", ["treering", *MODULES])
def test_examples_run(name: str) -> None:
    module = importlib.import_module(name)
    failed, _ = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.FAIL_FAST)
    assert failed == 0


def test_there_are_examples() -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    examples = [test for name in ["treering", *MODULES] for test in finder.find(importlib.import_module(name))]
    assert len([test for test in examples if test.examples]) >= 6


def public_members() -> Iterator[tuple[str, object]]:
    for name in treering.__all__:
        value = getattr(treering, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            yield name, value
        if inspect.isclass(value):
            for member_name, member in vars(value).items():
                if not member_name.startswith("_") and (inspect.isfunction(member) or isinstance(member, property)):
                    yield f"{name}.{member_name}", member


@pytest.mark.parametrize(("name", "value"), list(public_members()))
def test_every_public_name_is_documented(name: str, value: object) -> None:
    assert inspect.getdoc(value), name
