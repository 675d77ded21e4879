"""An evaluation harness on top of treering: tasks x trials as threads, found by their labels, scored as pass^k.

    python examples/harness.py                   the conversations that come with treering; where TREERING_DATA
                                                 names a directory with chat logs, those too
    python examples/harness.py runs.json …       your own

pass^k of a task with c successes in n trials is C(c, k) / C(n, k): the chance that k trials drawn from them all pass.
A trial passes with reward 1. (Yao et al., 2024, "tau-bench", arXiv:2406.12045.)
"""

import os
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from importlib import resources
from math import comb
from pathlib import Path

import treering
from treering import chat


def pass_hat(passed: int, trials: int, k: int) -> float:
    """The chance that k of the trials, drawn without putting back, all passed."""
    return comb(passed, k) / comb(trials, k)


def rewards(threads: Iterable[treering.Thread]) -> dict[str, list[bool]]:
    """For each task whether its trials passed. Labels are on the record: no step is read."""
    tasks: defaultdict[str, list[bool]] = defaultdict(list)
    for thread in threads:
        tasks[str(thread.labels["task_id"])].append(thread.labels["reward"] == 1)
    return dict(tasks)


def table(tasks: Mapping[str, list[bool]], shown: int = 8) -> list[str]:
    """The score of each task and the mean over all that have enough trials."""
    ks = range(1, max(map(len, tasks.values())) + 1)
    lines = [f"{'task':<20}{'trials':>7}{'passed':>7}" + "".join(f"{f'pass^{k}':>8}" for k in ks)]
    for number, (task, trials) in enumerate(tasks.items()):
        if number == shown:
            lines.append(f"… {len(tasks) - shown} more tasks")
            break
        scores = [f"{pass_hat(sum(trials), len(trials), k):.3f}" if k <= len(trials) else "" for k in ks]
        lines.append(f"{task:<20}{len(trials):>7}{sum(trials):>7}" + "".join(f"{score:>8}" for score in scores))
    means = []
    for k in ks:
        scored = [pass_hat(sum(trials), len(trials), k) for trials in tasks.values() if len(trials) >= k]
        means.append(sum(scored) / len(scored))
    trials, passed = sum(map(len, tasks.values())), sum(map(sum, tasks.values()))
    lines.append(f"{'all':<20}{trials:>7}{passed:>7}" + "".join(f"{mean:>8.3f}" for mean in means))
    return lines


def score(path: Path) -> list[str]:
    """Imports a chat log and scores it."""
    store = treering.memory()
    report = chat.import_file(store.threads, path)
    failed = store.threads.list(labels={"reward": 0})
    lines = [f"{path.name}: {report.threads_new} trials, {report.steps} steps, {len(failed)} failed"]
    return lines + table(rewards(store.threads.list(workflow="chat")))


def main(files: list[str]) -> None:
    paths = [Path(file) for file in files]
    if not paths:
        with resources.as_file(resources.files("treering") / "data/demo/conversations.json") as shipped:
            print("\n".join(score(shipped)))
        data = os.environ.get("TREERING_DATA")
        paths = sorted(Path(data).glob("*.json")) if data else []
    for path in paths:
        print("\n" + "\n".join(score(path)))


if __name__ == "__main__":
    main(sys.argv[1:])
