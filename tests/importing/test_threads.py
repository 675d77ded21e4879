"""Thread logs: each a thread, forks real ones in any order of files, and the same log never twice."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from old_format import both, by_path, outcomes, reasons, step, steps_of, write_log

import treering
from treering.importing import import_json, threads

OLD = Path(__file__).parent / "old" / "threads"
END = {"returnCode": 0, "summary": "done"}


def thread(scope: treering.Scope, name: str) -> treering.Thread:
    return scope.threads.get(f"log-{name}")


class TestALog:
    def test_it_becomes_a_thread(self, alice: treering.Scope) -> None:
        import_json(alice, OLD)
        found = thread(alice, "t-1")
        assert (found.workflow, found.status, found.return_code, len(found)) == ("solve-issue", "completed", 0, 4)
        assert found.start.workflow_hash == "9f2c"
        assert found.prompt == "Fix the flaky test"
        assert found.start.max_rounds == 8
        assert found.parameters == {"options": {"depth": 0}, "repo": "r"}
        assert found.labels == {"log_started_at_ms": 1714550000000, "log_root_hash": "ROOT1"}
        assert steps_of(found) == [
            ("planner", "1. reproduce  2. bisect", {"phases": 2}, 1714550001000),
            (
                "coder",
                "add a sleep",
                {"sure": 0.5, "contentHash": "PATCH01", "refs": ["FIX01", "GONE1"]},
                1714550002000,
            ),
            ("reviewer", "", {"contentHash": "LOST0"}, 1714550003000),
        ]
        assert dict(found.at(2).artifacts) == {"FIX01": b"+ sleep(1)\n"}
        assert (found.at(4).role, found.at(4).text) == ("__end__", "done")

    def test_what_was_not_found_is_told(self, alice: treering.Scope) -> None:
        told = by_path(import_json(alice, OLD))["t-1.data.jsonl"].notes
        assert [(note.line, note.path) for note in told] == [(3, "$.refs[1]"), (4, "$.contentHash")]

    def test_without_an_end_it_stays_active(self, alice: treering.Scope, tmp_path: Path) -> None:
        write_log(tmp_path, "a", step("x", "one"))
        both(alice, tmp_path)
        found = thread(alice, "a")
        assert found.status == "idle"
        found.append("y", "goes on")
        assert set(outcomes(both(alice, tmp_path)).values()) == {"there"}
        assert len(found) == 2

    def test_without_steps(self, alice: treering.Scope, tmp_path: Path) -> None:
        write_log(tmp_path, "none")
        write_log(tmp_path, "ended", end=END)
        report = both(alice, tmp_path)
        assert (report.taken, thread(alice, "none").status, thread(alice, "ended").status) == (0, "idle", "completed")

    def test_contents_of_every_sort(self, alice: treering.Scope, tmp_path: Path) -> None:
        contents = ["a text", "", None, 5, 1.5, True, {"a": [1, {"b": None}]}, ["x"], "long " * 2_000]
        write_log(tmp_path, "a", *(step("x", content) for content in contents))
        both(alice, tmp_path)
        assert [one.content for one in thread(alice, "a")] == contents

    def test_a_prompt_of_every_sort(self, alice: treering.Scope, tmp_path: Path) -> None:
        prompts = ["p", "", {"a": 1}, ["x"], None]
        for number, prompt in enumerate(prompts):
            write_log(tmp_path, str(number), parameters={"prompt": prompt})
        write_log(tmp_path, "none", parameters=None)
        both(alice, tmp_path)
        assert [thread(alice, str(number)).prompt for number in range(len(prompts))] == prompts
        assert thread(alice, "none").prompt is None

    def test_parameters_are_whatever_they_are(self, alice: treering.Scope, tmp_path: Path) -> None:
        parameters = {"repo": 1, "Repo": [2], "re_po": {}, "": None, "options": {"Depth": 1, "depth": 2}}
        write_log(tmp_path, "a", parameters=parameters)
        assert both(alice, tmp_path).left_out == 0
        assert thread(alice, "a").parameters == parameters

    def test_rounds_at_their_edges(self, alice: treering.Scope, tmp_path: Path) -> None:
        for rounds in (0, 1, 2**63 - 1, None):
            write_log(tmp_path, str(rounds), parameters={"prompt": "p", "options": {"maxRounds": rounds}})
        both(alice, tmp_path)
        for rounds in (0, 1, 2**63 - 1, None):
            assert thread(alice, str(rounds)).start.max_rounds == rounds
            assert thread(alice, str(rounds)).parameters == {}

    def test_times_in_both_forms_and_none(self, alice: treering.Scope, tmp_path: Path) -> None:
        times = [0, -1, 5, "1969-12-31T23:59:59.999Z", "2024-05-01T10:00:00+02:00", "2024-05-01", None, ""]
        write_log(tmp_path, "a", *(step("x", "y") | {"timestamp": at} for at in times))
        report = both(alice, tmp_path)
        assert [one.at_ms for one in thread(alice, "a")] == [0, -1, 5, -1, 1714550400000, 1714521600000, None, None]
        assert reasons(report, "changed") == ["a time without a zone was read as UTC"]

    def test_names_that_meta_has_already(self, alice: treering.Scope, tmp_path: Path) -> None:
        own = {"refs": "mine", "contentHash": "h1", "log.refs": 1}
        write_log(tmp_path, "a", step("x", "y", meta=own, refs=["r123"], contentHash="h1"))
        both(alice, tmp_path)
        assert thread(alice, "a").at(1).meta == own | {"log.log.refs": ["r123"]}

    def test_a_log_that_has_grown_is_gone_on_with(self, alice: treering.Scope, tmp_path: Path) -> None:
        steps = [step("x", str(number)) for number in range(4)]
        write_log(tmp_path, "a", *steps[:2])
        assert both(alice, tmp_path).taken == 2
        write_log(tmp_path, "a", *steps)
        assert both(alice, tmp_path).taken == 2
        write_log(tmp_path, "a", *steps, end=END)
        report = both(alice, tmp_path)
        assert (report.taken, report.files[0].outcome) == (0, "new")
        assert [one.content for one in thread(alice, "a")] == ["0", "1", "2", "3", "done"]
        assert len(alice.threads.list()) == 1

    @pytest.mark.parametrize(
        "other",
        [
            {"steps": [step("x", "other")]},
            {"steps": [step("x", "one", 6)]},
            {"name": "v"},
            {"hash": "other"},
            {"parameters": {"prompt": "q"}},
            {"parameters": {"prompt": "p", "more": 1}},
            {"end": {"returnCode": 1, "summary": "done"}},
        ],
    )
    def test_another_log_of_the_same_id_is_refused(
        self, alice: treering.Scope, tmp_path: Path, other: dict[str, Any]
    ) -> None:
        write_log(tmp_path / "1", "a", step("x", "one"), end=END)
        import_json(alice, tmp_path / "1")
        before = steps_of(thread(alice, "a"))
        path = write_log(tmp_path / "2", "a", *other.pop("steps", [step("x", "one")]), **({"end": END} | {}))
        if other:
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            lines[0] |= {key: value for key, value in other.items() if key != "end"}
            lines[-1] |= other.get("end", {})
            path.write_text("\n".join(map(json.dumps, lines)))
        report = both(alice, tmp_path / "2")
        assert "the key log-a has another thread" in reasons(report, "refused")[0]
        assert steps_of(thread(alice, "a")) == before
        assert len(alice.threads.list()) == 1

    def test_more_behind_an_ended_thread_is_refused(self, alice: treering.Scope, tmp_path: Path) -> None:
        write_log(tmp_path, "a", step("x", "one"))
        import_json(alice, tmp_path)
        thread(alice, "a").finish()
        write_log(tmp_path, "a", step("x", "one"), step("x", "two"))
        assert "completed at step 2" in reasons(both(alice, tmp_path), "refused")[0]

    def test_one_log_under_two_names_is_one_thread(self, alice: treering.Scope, tmp_path: Path) -> None:
        write_log(tmp_path, "a", step("x", "one"))
        write_log(tmp_path / "copy", "a", step("x", "one"))
        assert import_json(alice, tmp_path).taken == 1
        assert len(alice.threads.list()) == 1

    def test_what_was_removed_comes_again(self, alice: treering.Scope, tmp_path: Path) -> None:
        write_log(tmp_path, "a", step("x", "one"))
        import_json(alice, tmp_path)
        thread(alice, "a").rm()
        assert both(alice, tmp_path).taken == 1


class TestABrokenLog:
    @pytest.mark.parametrize(
        ("line", "at", "says"),
        [
            ('{"role":"x","content":"a', 3, "the file ends there"),
            ('{"role":"x","content":"a"}x\n', 3, "not JSON"),
            ('{"role":"x"}\n', 3, "neither content nor contentHash"),
            ('{"content":"x"}\n', 3, "missing or blank"),
            ('{"role":" ","content":"x"}\n', 3, "missing or blank"),
            ('{"role":"__end__","content":"x"}\n', 3, "reserved"),
            ('{"role":"x","content":"x","meta":[]}\n', 3, "an object is expected, not an array"),
            ('{"role":"x","content":"x","refs":{}}\n', 3, "an array is expected, not an object"),
            ('{"role":"x","content":"x","refs":[1]}\n', 3, "a reference is a text, not a number"),
            ('{"role":"x","content":"x","timestamp":"soon"}\n', 3, "neither a number of milliseconds"),
            ('{"role":"x","content":"x","timestamp":1e300}\n', 3, "not in the years 1 to 9999"),
            ('{"role":"x","content":NaN}\n', 3, "NaN is not a JSON number"),
            ('{"role":"x","content":"a","content":"b"}\n', 3, "a key that is given twice"),
            ('{"role":"x","content":"\\ud800"}\n', 3, "a lone surrogate"),
            ('{"role":"x","content":123456789012345678901234567890}\n', 3, "beyond 64 bits"),
            ('{"role":"x","content":' + "[" * 200 + "]" * 200 + "}\n", 3, "nested deeper"),
            ('{"role":"x","content":' + "[" * 100_000 + "\n", 3, "nested deeper"),
            ("[1]\n", 3, "an object is expected, not an array"),
            ('{"returnCode":null}\n', 3, "a number is expected, not null"),
            ('{"returnCode":0,"summary":"s"}\n\n{"role":"x","content":"after"}\n', 5, "a line after the last one"),
            ("", 0, ""),
        ],
    )
    def test_nothing_of_it_is_written_and_the_line_is_named(
        self, alice: treering.Scope, tmp_path: Path, line: str, at: int, says: str
    ) -> None:
        write_log(tmp_path, "good", step("x", "one"))
        path = write_log(tmp_path, "bad", step("x", "one"))
        path.write_text(path.read_text() + line)
        report = both(alice, tmp_path)
        assert outcomes(report)["good.data.jsonl"] == "new"
        refused = [note for note in by_path(report)["bad.data.jsonl"].notes if note.what == "refused"]
        if not line:
            assert refused == []
            return
        assert [(note.line, says in note.reason) for note in refused] == [(at, True)], refused
        assert [one.key for one in alice.threads.list()] == ["log-good"]

    @pytest.mark.parametrize(
        "first",
        [
            "",
            "\n \n",
            "x",
            "[]",
            "null",
            "{}",
            '{"threadId":"a"}',
            '{"name":"w"}',
            '{"name":"w","threadId":5}',
            '{"name":"w","threadId":""}',
            '{"name":"w","threadId":"a","parameters":[]}',
            '{"name":"w","threadId":"a","parameters":{"options":5}}',
            '{"name":"w","threadId":"a","parameters":{"options":{"maxRounds":-1}}}',
            '{"name":"w","threadId":"a","parameters":{"options":{"maxRounds":9223372036854775808}}}',
            '{"name":"w","threadId":"a","parameters":{"options":{"maxRounds":"8"}}}',
            '{"name":"w","threadId":"a","forkFrom":5}',
            '{"name":"w","threadId":"a","forkFrom":{"step":1}}',
            '{"name":"w","threadId":"a","forkFrom":{"threadId":"b","step":-1}}',
            json.dumps({"name": "w" * 257, "threadId": "a"}),
            json.dumps({"name": "w", "threadId": "a" * 509}),
            '{"role":"x","content":"a step"}',
        ],
    )
    def test_a_start_that_is_none(self, alice: treering.Scope, tmp_path: Path, first: str) -> None:
        (tmp_path / "a.data.jsonl").write_text(first + "\n" + json.dumps(step("x", "one")) + "\n" if first else "")
        report = both(alice, tmp_path)
        assert set(outcomes(report).values()) == {"refused"}
        assert [note.line for note in report.files[0].notes if note.what == "refused"] in ([1], [4])
        assert alice.threads.list() == []

    def test_names_at_their_limits(self, alice: treering.Scope, tmp_path: Path) -> None:
        write_log(tmp_path, "a" * 508, step("r" * 256, "one"), name="x" * 20)
        lines = (tmp_path / ("x" * 20 + ".data.jsonl")).read_text().splitlines()
        (tmp_path / "x.data.jsonl").write_text(json.dumps(json.loads(lines[0]) | {"name": "w" * 256}) + "\n")
        (tmp_path / ("x" * 20 + ".data.jsonl")).unlink()
        assert both(alice, tmp_path).refused == 0
        write_log(tmp_path / "2", "b", step("r" * 257, "one"))
        assert [note.line for note in both(alice, tmp_path / "2").files[0].notes] == [2]

    def test_labels_that_would_be_too_long(self, alice: treering.Scope, tmp_path: Path) -> None:
        for size in (256, 257):
            write_log(tmp_path, str(size), step("x", "one"), end=END | {"rootHash": "r" * size})
        report = both(alice, tmp_path)
        assert thread(alice, "256").labels["log_root_hash"] == "r" * 256
        assert "log_root_hash" not in thread(alice, "257").labels
        assert report.left_out == 1


class TestForks:
    STEPS = (step("planner", "one"), step("coder", "two"), step("reviewer", "three"))

    @pytest.mark.parametrize("order", list(itertools.permutations("abc")))
    def test_the_order_of_files_does_not_matter(
        self, alice: treering.Scope, tmp_path: Path, order: tuple[str, str, str]
    ) -> None:
        one, two, three = order
        write_log(tmp_path, "t1", *self.STEPS, end=END, name=one)
        write_log(tmp_path, "t2", *self.STEPS[:2], step("coder", "other"), forkFrom={"threadId": "t1"}, name=two)
        write_log(tmp_path, "t3", self.STEPS[0], step("x", "y"), forkFrom="t2", name=three)
        report = both(alice, tmp_path)
        assert (report.taken, report.changed) == (5, 0)
        t1, t2, t3 = (thread(alice, name) for name in ("t1", "t2", "t3"))
        assert (t2.forked_from, t3.forked_from) == ((t1.id, 2), (t2.id, 1))
        assert t1.diff(t2).common is not None
        assert [len(found) for found in (t1, t2, t3)] == [4, 3, 2]
        assert t2.at(2).cid == t1.at(2).cid
        assert t2.labels["log_forked_from"] == "t1"

    def test_an_origin_that_came_with_an_earlier_import(self, alice: treering.Scope, tmp_path: Path) -> None:
        write_log(tmp_path / "1", "t1", *self.STEPS)
        write_log(tmp_path / "2", "t2", *self.STEPS[:1], forkFrom="t1")
        import_json(alice, tmp_path / "1")
        assert both(alice, tmp_path / "2").taken == 0
        assert thread(alice, "t2").forked_from == (thread(alice, "t1").id, 1)

    def test_a_log_of_what_came_after_alone(self, alice: treering.Scope, tmp_path: Path) -> None:
        write_log(tmp_path, "t1", *self.STEPS)
        write_log(tmp_path, "t2", step("coder", "other"), forkFrom={"threadId": "t1", "step": 2}, end=END)
        write_log(tmp_path, "t3", forkFrom={"threadId": "t1", "step": 2})
        report = both(alice, tmp_path)
        assert (report.taken, report.changed) == (4, 0)
        found = thread(alice, "t2")
        assert found.forked_from == thread(alice, "t3").forked_from == (thread(alice, "t1").id, 2)
        assert [one.content for one in found] == ["one", "two", "other", "done"]
        assert len(thread(alice, "t3")) == 2

    def test_a_step_that_the_logs_contradict(self, alice: treering.Scope, tmp_path: Path) -> None:
        write_log(tmp_path, "t1", *self.STEPS)
        for name, said in {"more": 3, "beyond": 9}.items():
            fork = {"threadId": "t1", "step": said}
            write_log(tmp_path, name, self.STEPS[0], step("x", "y"), forkFrom=fork)
        # Its steps are copies with times of their own: not one of them is the origin's.
        copied = [one | {"timestamp": 77} for one in self.STEPS[:2]]
        write_log(tmp_path, "copied", *copied, forkFrom={"threadId": "t1", "step": 2})
        report = both(alice, tmp_path)
        assert report.changed == 3
        at = {name: thread(alice, name).forked_from for name in ("more", "beyond", "copied")}
        assert [place and place.step for place in at.values()] == [1, 1, 0]
        assert [one.at_ms for one in thread(alice, "copied")] == [77, 77]

    @pytest.mark.parametrize("other", [{"name": "v"}, {"hash": "i"}, {"parameters": {"prompt": "q"}}])
    def test_what_begins_otherwise_is_no_fork(
        self, alice: treering.Scope, tmp_path: Path, other: dict[str, Any]
    ) -> None:
        write_log(tmp_path, "t1", *self.STEPS)
        path = write_log(tmp_path, "t2", *self.STEPS[:1], forkFrom="t1")
        first, rest = path.read_text().split("\n", 1)
        path.write_text(json.dumps(json.loads(first) | other) + "\n" + rest)
        report = both(alice, tmp_path)
        assert "begins otherwise than its origin t1" in reasons(report, "changed")[0]
        assert thread(alice, "t2").forked_from is None
        assert thread(alice, "t2").labels["log_forked_from"] == "t1"

    def test_other_rounds_are_the_fork_s_own(self, alice: treering.Scope, tmp_path: Path) -> None:
        rounds = {"prompt": "p", "options": {"maxRounds": 3}}
        write_log(tmp_path, "t1", *self.STEPS, parameters=rounds)
        write_log(tmp_path, "t2", *self.STEPS, parameters={"prompt": "p", "options": {"maxRounds": 9}}, forkFrom="t1")
        write_log(tmp_path, "t3", *self.STEPS, parameters=rounds, forkFrom="t1")
        both(alice, tmp_path)
        assert [thread(alice, name).overrides for name in ("t2", "t3")] == [{"max_rounds": 9}, {}]

    def test_an_origin_that_is_not_here(self, alice: treering.Scope, tmp_path: Path) -> None:
        write_log(tmp_path, "t2", *self.STEPS, forkFrom="elsewhere")
        report = both(alice, tmp_path)
        assert "its origin elsewhere is not here" in reasons(report, "changed")[0]
        assert (thread(alice, "t2").forked_from, len(thread(alice, "t2"))) == (None, 3)

    def test_an_origin_that_is_refused_takes_its_forks_along_until_it_is_mended(
        self, alice: treering.Scope, tmp_path: Path
    ) -> None:
        path = write_log(tmp_path, "t1", *self.STEPS)
        whole = path.read_text()
        path.write_text(whole + "broken")
        write_log(tmp_path, "t2", *self.STEPS[:1], forkFrom="t1")
        write_log(tmp_path, "t3", *self.STEPS[:1], forkFrom="t2")
        assert set(outcomes(both(alice, tmp_path)).values()) == {"refused"}
        path.write_text(whole)
        both(alice, tmp_path)
        assert thread(alice, "t3").forked_from == (thread(alice, "t2").id, 1)

    def test_an_origin_whose_first_line_is_broken_is_known_by_its_name(
        self, alice: treering.Scope, tmp_path: Path
    ) -> None:
        (tmp_path / "t1.data.jsonl").write_text("{")
        write_log(tmp_path, "t2", *self.STEPS, forkFrom="t1")
        assert set(outcomes(both(alice, tmp_path)).values()) == {"refused"}

    @pytest.mark.parametrize("circle", [["a"], ["a", "b"], ["a", "b", "c"]])
    def test_forks_in_a_circle(self, alice: treering.Scope, tmp_path: Path, circle: list[str]) -> None:
        for name, origin in zip(circle, circle[1:] + circle[:1], strict=True):
            write_log(tmp_path, name, *self.STEPS, forkFrom=origin)
        write_log(tmp_path, "leaf", *self.STEPS, forkFrom="a")
        report = both(alice, tmp_path)
        assert report.changed == len(circle)
        assert all(thread(alice, name).forked_from is None for name in circle)
        assert thread(alice, "leaf").forked_from == (thread(alice, "a").id, 3)

    def test_a_line_of_a_thousand_forks(self, alice: treering.Scope, tmp_path: Path) -> None:
        write_log(tmp_path, "t1000", *self.STEPS)
        for number in range(1000):
            write_log(tmp_path, f"t{number}", *self.STEPS, forkFrom=f"t{number + 1}")
        report = import_json(alice, tmp_path)
        assert (report.taken, report.refused, report.changed) == (3, 0, 0)
        assert thread(alice, "t0").forked_from == (thread(alice, "t1").id, 3)


class TestContents:
    def log(self, folder: Path, *digests: str) -> Path:
        steps = [{"role": "x", "contentHash": digest, "timestamp": 1} for digest in digests]
        return write_log(folder, "a", *steps)

    @pytest.mark.parametrize("where", ["content/h123", "cas/h123.txt", "../content/h1/h123", "../cas/h123.json"])
    def test_they_are_looked_for_beside(self, alice: treering.Scope, tmp_path: Path, where: str) -> None:
        self.log(tmp_path / "logs", "h123")
        path = tmp_path / "logs" / where
        path.parent.mkdir(parents=True)
        path.write_text("found")
        report = both(alice, tmp_path)
        assert (thread(alice, "a").at(1).content, report.changed) == ("found", 0)
        assert thread(alice, "a").at(1).meta == {"contentHash": "h123"}

    def test_of_a_single_log_they_are_looked_for_beside_it(self, alice: treering.Scope, tmp_path: Path) -> None:
        path = self.log(tmp_path / "logs", "h123")
        (tmp_path / "logs" / "cas").mkdir()
        (tmp_path / "logs" / "cas" / "h123").write_text("found")
        both(alice, path)
        assert thread(alice, "a").at(1).content == "found"

    @pytest.mark.parametrize("given", ["logs", "logs/a.data.jsonl"])
    def test_nothing_outside_of_what_was_given_is_read(self, alice: treering.Scope, tmp_path: Path, given: str) -> None:
        self.log(tmp_path / "logs", "h123")
        (tmp_path / "content").mkdir()
        (tmp_path / "content" / "h123").write_text("of others")
        report = both(alice, tmp_path / given)
        assert (thread(alice, "a").at(1).content, report.changed) == ("", 1)

    @pytest.mark.parametrize("where", ["content", "cas", "logs/content", "content/h1", "logs/cas/h1"])
    def test_a_linked_folder_is_not_followed(self, alice: treering.Scope, tmp_path: Path, where: str) -> None:
        given, private = tmp_path / "given", tmp_path / "private"
        self.log(given / "logs", "h123")
        private.mkdir()
        (private / "h123").write_text("secret")
        (given / where).parent.mkdir(parents=True, exist_ok=True)
        (given / where).symlink_to(private)
        report = both(alice, given)
        assert (thread(alice, "a").at(1).content, report.changed) == ("", 1)

    def test_or_where_it_is_said(self, alice: treering.Scope, tmp_path: Path) -> None:
        path = self.log(tmp_path, "h123", "h456")
        (tmp_path / "else").mkdir()
        (tmp_path / "else" / "h123").write_bytes(b"\xff\x00")
        (tmp_path / "else" / "h456").write_bytes(b"")
        both(alice, path, contents=tmp_path / "else")
        assert [one.content for one in thread(alice, "a")] == [b"\xff\x00", ""]

    @pytest.mark.parametrize("digest", ["../secret", "..", "/etc/passwd", "a/b", "a\\b", "a\0b", "", "x" * 129, "sec"])
    def test_a_hash_is_never_a_path(self, alice: treering.Scope, tmp_path: Path, digest: str) -> None:
        (tmp_path / "content").mkdir()
        for name in ("secret", "sec", "a", "x" * 129):
            (tmp_path / name).write_text("secret")
            (tmp_path / "content" / name).write_text("secret")
        write_log(tmp_path, "a", {"role": "x", "contentHash": digest, "refs": [digest, "sec"], "timestamp": 1})
        import_json(alice, tmp_path)
        assert b"secret" not in b"".join(one.text.encode() for found in alice.threads.list() for one in found)
        assert all(not one.artifacts for found in alice.threads.list() for one in found)

    def test_a_link_among_them_is_refused(self, alice: treering.Scope, tmp_path: Path) -> None:
        self.log(tmp_path, "h123")
        (tmp_path / "content").mkdir()
        (tmp_path / "secret").write_text("secret")
        (tmp_path / "content" / "h123").symlink_to(tmp_path / "secret")
        (note,) = by_path(both(alice, tmp_path))["a.data.jsonl"].notes
        assert (note.what, note.line) == ("refused", 2)
        assert "h123" in note.reason

    def test_one_that_is_too_large(
        self, alice: treering.Scope, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("treering.importing.contents.CONTENT_BYTES_MAX", 10)
        self.log(tmp_path, "h123")
        (tmp_path / "content").mkdir()
        for size, outcome in ((11, "refused"), (10, "new")):
            (tmp_path / "content" / "h123").write_bytes(b"x" * size)
            assert outcomes(import_json(alice, tmp_path))["a.data.jsonl"] == outcome


class TestManySteps:
    """Logs that one commit does not hold, with limits made small."""

    @pytest.fixture(autouse=True)
    def _small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(threads, "COMMIT_STEPS_MAX", 4)

    @pytest.mark.parametrize("count", [4, 5, 8, 9, 30])
    def test_they_are_several_commits(
        self, store: treering.Store, alice: treering.Scope, tmp_path: Path, count: int
    ) -> None:
        write_log(tmp_path, "a", *(step("x", str(number)) for number in range(count)), end=END)
        before = len(list(store.journal()))
        assert import_json(alice, tmp_path).taken == count
        assert len(list(store.journal())) - before == -(-count // 4)
        both(store.scope("bob"), tmp_path)
        for name in ("alice", "bob"):
            assert [one.content for one in thread(store.scope(name), "a")] == [*map(str, range(count)), "done"]

    def test_a_line_that_is_broken_late_is_found_before_the_first(
        self, store: treering.Store, alice: treering.Scope, tmp_path: Path
    ) -> None:
        steps = [step("x", str(number)) for number in range(30)]
        write_log(tmp_path, "a", *steps, step("x" * 257, "too long a role"))
        head = store.head()
        assert [note.line for note in import_json(alice, tmp_path).files[0].notes] == [32]
        assert store.head() == head

    def test_a_fork_of_many(self, alice: treering.Scope, tmp_path: Path) -> None:
        steps = [step("x", str(number)) for number in range(30)]
        write_log(tmp_path, "a", *steps)
        write_log(tmp_path, "b", *steps[:10], step("x", "other"), forkFrom="a")
        write_log(tmp_path, "c", *(step("y", str(n)) for n in range(9)), forkFrom={"threadId": "a", "step": 20})
        both(alice, tmp_path)
        b, c = thread(alice, "b"), thread(alice, "c")
        # The steps are the origin's whichever of them the record names: a CID stands for all before it.
        assert b.at(10).cid == thread(alice, "a").at(10).cid
        assert (len(b), len(c), c.forked_from) == (11, 29, (thread(alice, "a").id, 20))

    def test_by_bytes_too(self, store: treering.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(threads, "COMMIT_BYTES_MAX", 1_000)
        write_log(tmp_path, "a", *(step("x", "y" * 900) for _ in range(3)), step("x", "z" * 5_000))
        before = len(list(store.journal()))
        assert import_json(store.scope("s"), tmp_path).taken == 4
        assert len(list(store.journal())) - before == 4
