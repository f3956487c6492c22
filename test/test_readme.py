"""What the READMEs say of commands, skills and nodes is what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from jpai_agent.graph import processes
from jpai_agent.nodes.vehicle import PORTS
from jpai_agent.skills import skills_for
from jpai_agent.world.known import ROBOTS

ROOT = Path(__file__).parents[1]
README, README_JA = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.ja.md"))


def rows(text: str) -> dict[str, str]:
    """The rows of the skills' table by skill."""
    table = re.search(r"\| (?:skill|技能) \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", text)
    assert table is not None
    return {name: line for line in table[1].splitlines() for name in re.findall(r"`(\w+)`", line.split("|")[1])}


def test_the_skills_tables_have_the_registrys_skills_of_a_car() -> None:
    skills = skills_for("car")
    assert set(rows(README)) == set(rows(README_JA)) == set(skills)
    for name, line in rows(README_JA).items():
        assert line.split("|")[2].strip() == skills[name].description


@pytest.mark.parametrize("text", [README, README_JA], ids=["en", "ja"])
def test_arguments_are_the_registrys(text: str) -> None:
    for line in set(rows(text).values()):
        named, told = (re.findall(r"`(\w+)`", line.split("|")[column]) for column in (1, 3))
        assert set(told) <= {arg for skill in named for arg in skills_for("car")[skill].args}, line


@pytest.mark.parametrize("text", [README, README_JA], ids=["en", "ja"])
def test_files_worlds_and_interfaces_that_are_named_exist(text: str) -> None:
    for path in re.findall(r"(?:sim/suites|jpai_agent|config|launch|sim/robots)/[\w./]*\w", text):
        assert (ROOT / path).exists(), path
    assert {world for world in ROBOTS if f"./jpai up {world}" in text} == set(ROBOTS)
    assert {name for name in PORTS if f"`{name}`" in text} >= set(PORTS) - {"twist"}


def test_every_node_is_told_of() -> None:
    assert all(f"`{process.name}`" in README for process in processes() if process.node)
