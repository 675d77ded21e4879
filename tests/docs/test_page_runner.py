"""The runner of pages fails where a reader would be misled."""

import sys
from pathlib import Path
from textwrap import dedent

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import page


def run(tmp_path: Path, text: str) -> int:
    path = tmp_path / "page.md"
    path.write_text(dedent(text), encoding="utf-8")
    return page.run(path, tmp_path)


def test_blocks_share_one_namespace_and_print_what_is_shown(tmp_path: Path) -> None:
    text = """
        ```python
        a = 20
        ```
        Words between.
        ```python
        print(a + 1)
        print("and", object())
        ```
        ```text
        21
        and <object object at …>
        ```
        """
    assert run(tmp_path, text) == 2


def test_other_output_fails_and_names_the_line(tmp_path: Path) -> None:
    text = """
        ```python
        print(1)
        ```

        ```text
        2
        ```
        """
    with pytest.raises(page.PageError, match=r"page\.md:7: .*shows\n2"):
        run(tmp_path, text)


@pytest.mark.parametrize("shown", ["one", "one\ntwo\nthree\n", "One\ntwo", "one\n\ntwo"])
def test_output_must_match_whole(shown: str) -> None:
    with pytest.raises(page.PageError):
        page.expect("here", shown, "one\ntwo\n")


@pytest.mark.parametrize("shown", ["one\n…\n", "…\ntwo", "o…e\ntwo", "one\n…\ntwo", "…", "one  \ntwo"])
def test_an_ellipsis_stands_for_any_text(shown: str) -> None:
    page.expect("here", shown, "one\ntwo\n")


def test_an_ellipsis_inside_a_line_stays_inside_it() -> None:
    with pytest.raises(page.PageError):
        page.expect("here", "on…wo", "one\ntwo\n")


def test_an_exception_fails_with_the_page_line(tmp_path: Path) -> None:
    with pytest.raises(page.PageError, match=r"page\.md:3: ZeroDivisionError"):
        run(tmp_path, "\n```python\n1 / 0\n```\n")


def test_commands_run_in_the_folder_with_our_programs_first(tmp_path: Path) -> None:
    text = f"""
        ```console
        $ echo two words > note && \\
          cat note
        two words
        $ python -c 'import sys; print(sys.prefix)'
        {sys.prefix}
        ```
        """
    assert run(tmp_path, text) == 1
    assert (tmp_path / "note").exists()


@pytest.mark.parametrize("command", ["false", "echo other\nsome"])
def test_a_command_that_differs_fails(tmp_path: Path, command: str) -> None:
    with pytest.raises(page.PageError):
        run(tmp_path, f"```console\n$ {command}\n```\n")


def test_a_block_is_left_out_only_with_a_reason(tmp_path: Path) -> None:
    assert run(tmp_path, "<!-- not run: needs a network -->\n```python\n1 / 0\n```\n") == 0
    with pytest.raises(page.PageError):
        run(tmp_path, "<!-- not run: -->\n```python\n1 / 0\n```\n")


def test_a_block_without_an_end_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(page.PageError, match="never ends"):
        run(tmp_path, "```python\nprint(1)\n")
