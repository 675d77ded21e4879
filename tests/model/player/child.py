"""A player in a process of its own: the end that tells it what to do, and the loop that does it."""

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

from player.answer import Answer
from player.player import Player


class Child:
    """Whoever calls it hears what a player in another process answers."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "player"]
        home = Path(__file__).parents[1]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=home)

    def call(self, verb: str, *args: Any) -> Answer:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        pickle.dump((verb, args), self.process.stdin)
        self.process.stdin.flush()
        answer: Answer | BaseException = pickle.load(self.process.stdout)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def kill(self) -> None:
        """Ends the process where it stands: nothing is closed or given back."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


def play() -> None:
    """Plays what is read from stdin until it ends."""
    player = Player()
    answers = sys.stdout.buffer
    # A child that prints must not be taken for one that answers.
    sys.stdout = sys.stderr
    while True:
        try:
            verb, args = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer: Answer | BaseException = player.call(verb, *args)
        except Exception as error:  # the test that asked is to fail
            answer = error
        pickle.dump(answer, answers)
        answers.flush()
