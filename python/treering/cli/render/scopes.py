"""Whole scopes on a terminal, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from treering.cli.render.text import one_line

if TYPE_CHECKING:
    from rich.console import Console

    from treering import ScopeDiff, ScopeVerifyReport, UnfinishedFork


def diff_record(diff: ScopeDiff) -> dict[str, Any]:
    """Returns what tells two scopes apart."""
    return {
        "left": [asdict(ref) for ref in diff.left],
        "right": [asdict(ref) for ref in diff.right],
        "changed": [
            {**asdict(one.ref), "left": one.left, "right": one.right, "common": one.common} for one in diff.changed
        ],
        "same": diff.same,
    }


def print_diff(console: Console, diff: ScopeDiff) -> None:
    """Prints a line for each ref that differs, and how many don't."""
    for line in str(diff).splitlines():
        console.print(one_line(line), markup=False, soft_wrap=True)


def verified_record(report: ScopeVerifyReport) -> dict[str, Any]:
    """Returns what was checked, and what is wrong."""
    record = asdict(report)
    findings = [
        {"check": one.check, "which": one.which, "detail": one.detail, "threads": [list(at) for at in one.threads]}
        for one in report.findings
    ]
    return {"ok": report.ok, **record, "findings": findings}


def print_verified(console: Console, report: ScopeVerifyReport) -> None:
    """Prints what was checked, and what is wrong."""
    for line in str(report).splitlines():
        console.print(one_line(line), markup=False, soft_wrap=True)


def unfinished_record(fork: UnfinishedFork) -> dict[str, Any]:
    """Returns a fork that is not finished."""
    return asdict(fork)


def print_unfinished(console: Console, forks: Sequence[UnfinishedFork]) -> None:
    """Prints a line for each."""
    for fork in forks:
        state = "cut short" if fork.holder is None else f"under way: {fork.holder}"
        of = fork.of or "what is gone"
        text = f"{fork.scope}: a fork of {of}, {fork.refs} refs so far, {state}"
        console.print(one_line(text), markup=False, soft_wrap=True)
