"""What the documentation says exists: commands, options, rules, faults, steps, keys, files, links."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer

from cli.main import app
from lab.faults import Name
from lab.state import Act
from mopflow.messages import MANNERS, Kind, Tag
from mopflow.procedures.table import PROCEDURES
from mopflow.record.model import Record
from mopflow.site import Pace, Site

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
CODE = ("mopflow", "tasks", "flows", "blocks", "cli", "lab")

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def _text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def _code(text: str) -> list[str]:
    """Lines of indented code and what stands in backticks."""
    return re.findall(r"^ {4,}(\S.*)$", text, re.M) + re.findall(r"`([^`\n]+)`", text)


def _commands(text: str, program: str) -> list[list[str]]:
    lines = [line.split("  #")[0].strip() for line in _code(text)]
    # what is in capitals or holds "..." stands for something
    return [shlex.split(line)[1:] for line in lines if line.startswith(f"{program} ")]


def _targets() -> set[str]:
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {line.split()[0] for line in shown.splitlines() if line.strip()}


@pages
def test_every_make_target_exists(page: Path) -> None:
    wanted = {
        word
        for words in _commands(page.read_text(encoding="utf-8"), "make")
        for word in words
        if "=" not in word and not word.startswith("-")
    }
    assert wanted <= _targets()


@pages
def test_every_mopflow_command_and_option_exists(page: Path) -> None:
    for words in _commands(page.read_text(encoding="utf-8"), "mopflow"):
        command: Any = typer.main.get_command(app)
        while hasattr(command, "commands"):
            assert words, f"{command.name} alone is no command"
            if words[0] not in command.commands and hasattr(command, "default"):
                words = [command.default, *words]
            assert words[0] in command.commands, f"mopflow {' '.join(words)}"
            command, words = command.commands[words[0]], words[1:]
        known = {name for parameter in command.params for name in parameter.opts}
        used = {word for word in words if word.startswith("--")}
        assert used <= known, f"{command.name} {' '.join(words)}"


def test_the_readme_shows_every_command() -> None:
    shown = {" ".join(words[:2]) for words in _commands(_text("README.md"), "mopflow")}
    for needed in ("site check", "plan", "upgrade-cmp", "upgrade-segment", "status"):
        assert any(line.startswith(needed) for line in shown), needed
    assert {"rehearse", "test"} <= {words[0] for words in _commands(_text("README.md"), "make")}


def test_every_rule_has_its_line() -> None:
    named = {
        int(number)
        for folder in (*CODE, "tests/checker")
        for path in (ROOT / folder).rglob("*.py")
        for number in re.findall(r"\bR(\d{1,2})\b", path.read_text(encoding="utf-8"))
    }
    lines = [int(number) for number in re.findall(r"^\| R(\d+) \|", _text("docs/rules.md"), re.M)]
    assert lines == list(range(1, 18))
    assert named <= set(lines)


def test_every_fault_has_its_line() -> None:
    section = _text("docs/the-twin.md").split("## Faults")[1].split("\n## ")[0]
    lines = re.findall(r"^\| `(\w+)` \|", section, re.M)
    assert sorted(lines) == sorted(Name)


def test_every_action_of_the_flight_record_is_named() -> None:
    section = _text("docs/the-twin.md").split("## The flight record")[1]
    assert {act for act in Act if f"`{act}`" not in section} == set()


def test_every_key_of_the_site_file_is_explained() -> None:
    text = _text("docs/site-file.md")
    keys = [*Site.model_fields, *Pace.model_fields]
    assert [key for key in keys if f"`{key}`" not in text] == []


def test_every_kind_of_message_has_its_line_and_its_people() -> None:
    lines = re.findall(r"^\| (`[a-z`, -]+`) \|.*\| ([^|]*) \|$", _text("docs/notifications.md"), re.M)
    said = {Kind(kind): people for kinds, people in lines for kind in re.findall(r"`([a-z-]+)`", kinds)}
    assert set(said) == set(Kind) - {Kind.TEST}
    for kind, people in said.items():
        wanted = set(MANNERS[kind].tags)
        if kind is not Kind.HOLD_AGAIN:  # it goes to the next contact
            assert wanted <= {tag for tag in Tag if tag in people}, kind
            assert ("customer" in people) == (Tag.CUSTOMER in wanted), kind


def test_every_key_of_the_record_is_explained() -> None:
    text = _text("docs/record.md").split("## record.json")[1]
    assert [key for key in Record.model_fields if f"`{key}`" not in text] == []


@pages
def test_every_step_exists(page: Path) -> None:
    for procedure, number in re.findall(
        r"\b(9\.1\.1|9\.1\.2|10\.1\.1|10\.2)/(\d+)", page.read_text(encoding="utf-8")
    ):
        assert int(number) in [step.number for step in PROCEDURES[procedure].steps], f"{procedure}/{number}"


@pages
def test_every_file_that_is_named_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    start = "|".join((*CODE, "docs", "deployments", "tests"))
    named = set(re.findall(rf"`((?:{start})/[\w./-]*)`", text))
    named |= {
        name for line in _code(text) for name in re.findall(rf"(?:^| )((?:{start})/[\w./-]+\.\w+)", line)
    }
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


@pages
def test_every_relative_link_resolves(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    missing = [
        link
        for link in links
        if not re.match(r"[a-z]+:", link) and not (page.parent / link.split("#")[0]).exists()
    ]
    assert missing == []
