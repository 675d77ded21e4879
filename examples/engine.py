"""A workflow engine in sixty lines: planner, coder, reviewer, with a loop back while the review fails.

    python examples/engine.py STATE-DIR                  runs the ticket, or goes on where the last run stopped
    python examples/engine.py STATE-DIR --die-after 2    is killed after two steps; run it again without

What makes it survive a kill is not here but in treering: the key finds the thread again, the lease of a dead process
is taken over, the head says what was done, and a command id makes an append that is tried twice land once.
The agents are scripts, so that it runs offline; a model's client would stand in their place.
"""

import argparse
import os
import signal

import treering

KEY, PROMPT = "ticket-812", "Fix the flaky test in tests/test_port.py"


def planner(context: treering.Context) -> tuple[str, dict]:
    return f"1. reproduce  2. bisect  3. fix  ({context.prompt})", {"phases": 3}


def coder(context: treering.Context) -> tuple[str, dict]:
    reviews = [step for step in context.steps if step.role == "reviewer"]
    return ("wait for the port instead" if reviews else "add a sleep"), {"attempt": len(reviews) + 1}


def reviewer(context: treering.Context) -> tuple[str, dict]:
    approved = "sleep" not in context.steps[-1].text
    return ("approved" if approved else "a sleep only hides it"), {"approved": approved}


AGENTS = {"planner": planner, "coder": coder, "reviewer": reviewer}


def next_role(steps: tuple[treering.Step, ...]) -> str | None:
    """The moderator: a pure function of what happened so far; None ends the run."""
    if not steps:
        return "planner"
    last = steps[-1]
    if last.role == "reviewer":
        return None if last.meta["approved"] else "coder"
    return "coder" if last.role == "planner" else "reviewer"


def run(store: treering.Store, die_after: int | None = None) -> treering.Thread:
    thread = store.threads.get_or_start("solve-issue", prompt=PROMPT, key=KEY)
    if thread.status == "completed":
        return thread
    with thread.lease("engine.py"):
        thread.refresh()
        done = 0
        while (role := next_role((context := thread.context()).steps)) is not None:
            text, meta = AGENTS[role](context)
            thread.append(role, text, meta=meta, command_id=f"round-{len(thread) + 1}")
            done += 1
            if done == die_after:
                os.kill(os.getpid(), signal.SIGKILL)  # no clean-up, no goodbye
        thread.finish(0, context.steps[-1].text, command_id="end")
    return thread


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Run a scripted workflow, durably.")
    parser.add_argument("state", nargs="?", help="the store's directory; in memory without it")
    parser.add_argument("--die-after", type=int, metavar="STEPS")
    arguments = parser.parse_args()
    with treering.open(arguments.state) if arguments.state else treering.memory() as store:
        for step in run(store, arguments.die_after):
            print(step.number, step.role, "·", step.text)
