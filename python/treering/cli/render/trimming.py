"""What was cut off of histories, and what policies say, on the terminal and as JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console

from treering.cli.render.records import message_record
from treering.cli.render.text import count, one_line
from treering.messages import RetentionPolicy, RetentionPolicySet
from treering.stores.trimming import ScopeTrimmed


def policy_text(policy: RetentionPolicy | RetentionPolicySet) -> str:
    """Returns what a policy keeps, in words."""
    if policy.keep is not None:
        return f"keeps the newest {count(policy.keep, 'event')} of each actor"
    if policy.younger_than is not None:
        # As Python says it: "90 days, 0:00:00".
        return f"keeps events younger than {str(policy.younger_than).removesuffix(', 0:00:00')}"
    return "keeps all"


def trimmed_record(done: ScopeTrimmed, dry_run: bool) -> dict[str, Any]:
    """Returns it as JSON has it."""
    return {
        "scope": done.scope,
        "policy": None if done.policy is None else message_record(done.policy),
        "looked_at": done.looked_at,
        "dropped": done.dropped,
        "dry_run": dry_run,
        "actors": [{**asdict(actor), "parts": list(actor.parts)} for actor in done.actors],
        "failed": done.failed,
    }


def print_trimmed(console: Console, errors: Console, done: ScopeTrimmed, dry_run: bool) -> None:
    """Prints a line for each actor that was trimmed, and on stderr for each that was refused."""
    _print_actors(console, errors, done, dry_run, "")
    if done.policy is not None and not done.looked_at:
        console.print("nothing to cut off: its retention policy keeps all", markup=False, highlight=False)
    elif not done.actors:
        console.print(f"nothing to cut off of {count(done.looked_at, 'actor')}", markup=False, highlight=False)


def print_all_trimmed(console: Console, errors: Console, scopes: Sequence[ScopeTrimmed], dry_run: bool) -> None:
    """Prints the same of each scope under its name, then a line about all of them."""
    for done in scopes:
        _print_actors(console, errors, done, dry_run, f"{one_line(done.scope)}: ")
        if done.failed is not None:
            errors.print(
                f"{one_line(done.scope)}: not trimmed: {one_line(done.failed)}",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )
    dropped, cut = sum(done.dropped for done in scopes), "would be cut off" if dry_run else "cut off"
    with_policy = sum(done.policy is not None and bool(done.looked_at) for done in scopes)
    line = f"{count(dropped, 'version')} {cut}; {with_policy:,} of {count(len(scopes), 'scope')} have a policy"
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def _print_actors(console: Console, errors: Console, done: ScopeTrimmed, dry_run: bool, before: str) -> None:
    cut = "would be cut off" if dry_run else "cut off"
    for actor in done.actors:
        name = before + one_line("/".join((actor.kind, *actor.parts)))
        if actor.refused is not None:
            errors.print(
                f"{name}: left as it is: {one_line(actor.refused)}", markup=False, highlight=False, soft_wrap=True
            )
            continue
        line = f"{name}: {count(actor.dropped, 'version')} {cut}, its history begins after version {actor.oldest:,}"
        console.print(line, markup=False, highlight=False, soft_wrap=True)
