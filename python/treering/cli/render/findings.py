"""What `verify` found, as a table and for `--json`."""

import re
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from treering.cli.render.text import count, one_line, size

if TYPE_CHECKING:
    from treering.verify import Finding, VerifyReport

_PLACES_MAX = 5
_CID = re.compile(r"\b(baf[ky]r4i[a-z2-7]{6})[a-z2-7]{46}\b")


def print_findings(console: Console, report: "VerifyReport") -> None:
    """One line of what was checked, one for each repair; if something is wrong, a table of it and what to do."""
    for repair in report.repairs:
        line = Text("mended: ", "good").append(f"{repair.check} ", "default").append(short(repair.which), "id")
        console.print(line.append(f": {short(repair.detail)}", "default"), soft_wrap=True)
    checked = (
        f"{count(report.blocks, 'block')} ({size(report.bytes)}), {count(report.links, 'link')}, "
        f"{count(report.refs, 'ref')}, {count(report.commits, 'commit')}"
        f"{f' ({report.blank_commits:,} of them given up)' if report.blank_commits else ''}, "
        f"{count(report.threads, 'thread')} with {count(report.steps, 'step')}"
    )
    if report.ok:
        console.print(Text("ok: ", "good").append(f"checked {checked}", "default"))
        return
    console.print(Text(f"{count(len(report.findings), 'finding')}: ", "bad").append(f"checked {checked}", "default"))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="faint")
    table.add_column("CHECK", no_wrap=True)
    table.add_column("WHICH", overflow="fold", max_width=24)
    table.add_column("THREAD", no_wrap=True)
    table.add_column("STEP", justify="right", no_wrap=True)
    table.add_column("DETAIL", overflow="fold")
    for finding in report.findings:
        places = list(finding.threads[:_PLACES_MAX])
        threads = [Text(place.thread, "id") for place in places] or [Text("")]
        steps = [str(place.step) for place in places] or [""]
        if len(finding.threads) > _PLACES_MAX:
            threads.append(Text(f"… and {len(finding.threads) - _PLACES_MAX:,} more", "faint"))
        table.add_row(
            Text(finding.check, "bad"),
            short(finding.which),
            Text("\n").join(threads),
            "\n".join(steps),
            short(finding.detail),
        )
    console.print(table)
    advice: dict[str, list[str]] = {}
    for finding in report.findings:
        if finding.advice and finding.check not in advice.setdefault(finding.advice, []):
            advice[finding.advice].append(finding.check)
    for what, checks in advice.items():
        console.print(
            Text("can't be mended: ", "bad").append(f"{', '.join(checks)}: {what}", "default"), soft_wrap=True
        )


def findings_record(report: "VerifyReport") -> dict[str, Any]:
    """The report for `--json`."""
    return {
        "ok": report.ok,
        "checked": {
            name: getattr(report, name)
            for name in ("blocks", "bytes", "links", "refs", "commits", "blank_commits", "receipts", "threads", "steps")
        },
        "findings": [_finding_record(finding) for finding in report.findings],
        "repairs": [
            {"check": repair.check, "which": repair.which, "detail": repair.detail} for repair in report.repairs
        ],
    }


def short(text: str) -> str:
    """A text on one line, each CID in it cut to what a person can type again."""
    return _CID.sub(r"\1…", one_line(text))


def _finding_record(finding: "Finding") -> dict[str, Any]:
    return {
        "check": finding.check,
        "which": finding.which,
        "detail": finding.detail,
        "threads": [{"thread": place.thread, "step": place.step} for place in finding.threads],
        "advice": finding.advice,
    }
