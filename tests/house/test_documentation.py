"""The documentation's commands, links and paths: the programs take each command line that is shown."""

from __future__ import annotations

import re
import shlex

import pytest
import typer
from typer import BadParameter

from certmill.cli.app import app
from tests.house.conftest import ROOT
from workers.__main__ import _parser

USAGE_ERROR = BadParameter.__mro__[1]
"""Of the click inside typer; the error of a command line that is not accepted."""

PAGES = [ROOT / "README.md", ROOT / "compose" / "chart" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CELERY = {"worker", "beat", "flower", "status", "inspect"}
SPLIT = {"|", "||", "&&", ";"}
PLACEHOLDERS = {"…"}


def shell_lines(text):
    """The lines of the ```sh blocks, with continued lines joined."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.replace("\\\n", " ").splitlines() if line.strip()]


def inline_commands(text):
    """`certmill …`, `make …`, `celery …` and `python -m workers …` between backticks in prose and tables."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"`((?:certmill|make|celery -A workers|python -m workers) [^`…]+)`", prose)


def commands(line):
    """The simple commands of a line of shell, without redirections, comments and variables before them."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    lexer.commenters = "#"
    words, found = [], [[]]
    words = list(lexer)
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word in SPLIT:
            found.append([])
        elif word in {">", ">>", "<", ">&"}:
            skip = True
        elif not (found[-1] == [] and re.fullmatch(r"[A-Z_]+=.*", word)):
            found[-1].append(word)
    return [command for command in found if command]


def everything_shown():
    for page in PAGES:
        text = page.read_text()
        for line in [*shell_lines(text), *inline_commands(text)]:
            for command in commands(line):
                yield f"{page.relative_to(ROOT)}: {line}", command


SHOWN = list(everything_shown())


def refusal(words):
    """Why the command line `certmill …` would be refused; None if it would not."""
    group = typer.main.get_command(app)
    try:
        outer = group.make_context("certmill", list(words), resilient_parsing=False)
        name, command, rest = group.resolve_command(outer, [*outer._protected_args, *outer.args])
        if rest:  # else prose mentions the command
            command.make_context(name, rest, parent=outer)
    except typer.Exit:
        return None
    except USAGE_ERROR as error:
        return error.format_message()
    return None


def test_each_certmill_command_in_the_documentation_is_one_that_the_program_takes():
    lines = [(where, words[1:]) for where, words in SHOWN if words[0] == "certmill"]

    assert len(lines) > 30
    assert {where: why for where, words in lines if (why := refusal(words))} == {}


def test_a_wrong_command_line_would_be_seen():
    assert refusal(["get", "certificates", "--no-such-option"])
    assert refusal(["renwe", "web"])
    assert refusal(["request", "example.com"])


def test_each_make_target_in_the_documentation_is_in_the_makefile():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    shown = [(where, words) for where, words in SHOWN if words[0] == "make"]

    assert len(shown) > 5
    assert [where for where, words in shown if not set(words[1:]) <= targets] == []


def test_each_process_in_the_documentation_is_one_that_can_be_started():
    for where, words in SHOWN:
        if words[0] == "celery":
            assert words[1:3] == ["-A", "workers"], where
            assert words[3] in CELERY, where
        elif words[1:3] == ["-m", "workers"]:
            _parser().parse_args([word for word in words[3:] if word not in PLACEHOLDERS])


def test_each_path_of_the_checkout_in_a_command_is_there():
    named = {
        (where, word)
        for where, words in SHOWN
        for word in words
        if re.match(r"(compose|tests|docs|certmill)/", word)
    }

    assert len(named) > 5
    assert [(where, word) for where, word in named if not any(ROOT.glob(word.rstrip("/")))] == []


def prose_lines(text):
    """The lines of a page outside of code blocks and tables."""
    without_code = re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)
    return [line for line in without_code.splitlines() if not line.startswith("|")]


@pytest.mark.parametrize(
    "page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda page: str(page.relative_to(ROOT))
)
def test_prose_of_a_page_is_wrapped_at_110_columns(page):
    assert [line for line in prose_lines(page.read_text()) if len(line) > 110 and " " in line.strip()] == []


def anchors(text):
    """The anchors of a page's headings, as GitHub and mkdocs make them."""
    headings = re.findall(
        r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE), re.MULTILINE
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_link_of_a_page_leads_to_a_file_and_a_heading(page):
    wrong = []
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        if not file.is_file() or (anchor and anchor not in anchors(file.read_text())):
            wrong.append(target)

    assert wrong == []


def test_each_page_is_reached_from_the_readme_and_from_the_first_page_of_the_site():
    names = {page.name for page in (ROOT / "docs").glob("*.md")} - {"index.md"}
    for start in (ROOT / "README.md", ROOT / "docs" / "index.md"):
        linked = set(re.findall(r"\((?:docs/)?([a-z0-9]+\.md)", start.read_text()))
        assert names - linked - {"architecture.md"} == set(), start.name


LOG_CALL = re.compile(r"\b_?log\.(?:info|warning|error|exception)\(\s*\"([a-z_]+\.[a-z_.]+)\"")
"""A line of the log, by its constant event name."""


def test_each_event_of_the_log_is_in_the_page_about_logs():
    page = (ROOT / "docs" / "logs.md").read_text()
    sources = [file for name in ("certmill", "workers", "tasks") for file in (ROOT / name).rglob("*.py")]
    written = {event for file in sources for event in LOG_CALL.findall(file.read_text())}

    assert len(written) > 30
    assert sorted(event for event in written if f"`{event}`" not in page) == []
