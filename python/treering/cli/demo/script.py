"""What the demo shows, act by act.

The conversation that it forks is the first that failed in the shipped file; the file itself says which message went
wrong and what should stand there (`info.review`). Never: a figure that is not computed here and now.
"""

import json
import shutil
from importlib import resources
from pathlib import Path
from typing import Any

import treering
from treering.cli.demo.stage import Stage
from treering.cli.demo.tamper import flip_byte
from treering.cli.render.text import count, size

_FILE = "conversations.json"
_STORE = Path(".treering")
_COPY = Path("copied")


def play(stage: Stage, place: Path, *, kept: bool) -> None:
    """Plays all acts in the directory `place`, which is the current one."""
    records = _lay_out(stage, place)
    failed = next(record for record in records if record["reward"] == 0.0)
    _import(stage, records)
    _list(stage)
    thread_id = _thread_of(failed)
    _fork(stage, thread_id, failed["info"]["review"])
    _compare(stage, thread_id)
    _tamper(stage, thread_id)
    _next(stage, thread_id, place, kept=kept)


def _lay_out(stage: Stage, place: Path) -> list[dict[str, Any]]:
    """Puts the conversations into the directory."""
    source = resources.files("treering") / "data" / "demo" / _FILE
    Path(_FILE).write_bytes(source.read_bytes())
    stage.title("1  Conversations in")
    stage.say("A dozen conversations of two agents, a railway's service desk and a coder; some trials failed.")
    stage.shown(f"cd {place}")
    records: list[dict[str, Any]] = json.loads(Path(_FILE).read_bytes())
    return records


def _import(stage: Stage, records: list[dict[str, Any]]) -> None:
    stage.run("thread", "import", _FILE)
    stage.run("thread", "import", _FILE)
    with treering.open(_STORE, create=False) as store:
        blocks = store.stats()["block_bytes"]
    given = Path(_FILE).stat().st_size
    messages = sum(len(record["messages"]) for record in records)
    stage.say(
        f"{count(messages, 'message')}, {size(given)} of JSON, became {size(blocks)} of blocks: "
        "what conversations share, such as prompts, is stored once."
    )
    stage.title("2  And out again, value for value")
    stage.run("thread", "export", "--all", "-o", "exported.json")
    stage.python(
        f"""
import json, pathlib
read = lambda name: json.loads(pathlib.Path(name).read_text())
read("exported.json") == read("{_FILE}")
"""
    )
    if stage.session["json"].loads(Path("exported.json").read_bytes()) != records:
        raise AssertionError("the export differs from what was imported")


def _list(stage: Stage) -> None:
    stage.title("3  Find the ones that failed")
    stage.run("thread", "list", "--label", "reward=0")


def _thread_of(record: dict[str, Any]) -> str:
    with treering.open(_STORE, create=False) as store:
        labels = {name: record[name] for name in ("task_id", "trial")}
        return store.threads.list(labels=labels)[0].id


def _fork(stage: Stage, thread_id: str, review: dict[str, Any]) -> None:
    # Message 0 is the prompt, so a message's index is its step's number.
    wrong = review["wrong_message"]
    stage.title("4  Fork before the mistake")
    stage.say(f"Step {wrong} of the first one went wrong. {review['why']}")
    stage.say("A fork keeps the steps before it and writes no block: one record, whatever the length.")
    stage.run("thread", "fork", thread_id, "--at", str(wrong - 1), "--key", "right-ticket", "--label", "reward=1")
    stage.say("The fork goes on from Python, with the call that should have been made:")
    stage.python(
        """
import treering
store = treering.open(".treering")
retry = store.threads.get("right-ticket")
review = retry.parameters["record"]["info"]["review"]
calls = review["instead"]["tool_calls"]
step = retry.append("assistant", None, meta={"tool_calls": calls})
answer = '{"ticket": "LF-20815", "status": "refunded", "train": 12, "amount": 26.35}'
meta = {"name": "refund_ticket", "tool_call_id": calls[0]["id"]}
step = retry.append("tool", answer, meta=meta)
softer = retry.fork(key="softer-words")
step = retry.append("assistant", "Done. 26.35 is on its way; Friday's journey is unchanged.")
step = retry.finish(0, "way back refunded")
step = softer.append("assistant", "All set, Ingrid! Enjoy the ride home with your friend.")
retry
store.close()
"""
    )
    stage.say("Both forks, each shared step once:")
    stage.run("thread", "log", "--graph", thread_id)


def _compare(stage: Stage, thread_id: str) -> None:
    stage.title("5  Compare")
    stage.run("thread", "diff", thread_id, "right-ticket")


def _tamper(stage: Stage, thread_id: str) -> None:
    stage.title("6  Verify, then tamper with a copy")
    stage.run("verify")
    stage.shown(f"cp -r {_STORE} {_COPY}")
    shutil.copytree(_STORE, _COPY)
    text, step, block = _words_of(thread_id)
    flipped = flip_byte(_COPY, text)
    stage.say(
        f"In the copy one byte of step {step} is changed, at byte {flipped.offset:,} of {flipped.file}: "
        f'"{flipped.before}" becomes "{flipped.after}".'
    )
    stage.run("--store", str(_COPY), "verify", code=1)
    stage.say(
        f"The block is {block}. Forks share it, so every thread that it hurts is named. The store itself is fine:"
    )
    stage.run("verify")


def _words_of(thread_id: str) -> tuple[str, int, str]:
    """A sum of money in an agent's words: the words around it, the step, and the short CID of its content."""
    with treering.open(_STORE, create=False) as store:
        for step in store.threads.get(thread_id):
            if step.role == "assistant" and isinstance(step.content, str) and "paid back: 26.35" in step.content:
                return "paid back: 26.35", step.number, step.node.content.short()
    raise AssertionError("the shipped conversation no longer says what is paid back")


def _next(stage: Stage, thread_id: str, place: Path, *, kept: bool) -> None:
    stage.title("Next")
    if kept:
        stage.say(f"The store stays in {place / _STORE}. Try:")
        stage.shown(f"cd {place} && treering thread log {thread_id} --last 3")
    else:
        stage.say("The temporary directory goes now. To keep one and look around, try:")
        stage.shown("treering demo --keep ./demo")
    stage.shown("treering thread import YOUR-CHATS.jsonl")
