"""`jpai keys` makes what a model server and its clients need beyond one machine, and shows public halves alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from jpai_agent.cli import app
from jpai_agent.vlm.keys import ClientKeys, ServerKeys, clients


def keys(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["keys", *map(str, arguments)])


@pytest.fixture
def server(tmp_path: Path) -> Path:
    return tmp_path / "server"


@pytest.fixture
def robot(tmp_path: Path) -> Path:
    return tmp_path / "robot"


def test_four_commands_lead_from_nothing_to_a_robot_that_is_admitted(server: Path, robot: Path) -> None:
    public = Path(keys("make", "server", "--state", server).stdout.strip())
    own = Path(keys("make", "client", "--state", robot).stdout.strip())
    (robot / "keys" / public.name).write_bytes(public.read_bytes())
    allowed = keys("allow", own, "--name", "robot-7", "--state", server)
    assert allowed.exit_code == 0, allowed.output
    assert clients(server) == {own.read_text().strip(): "robot-7"}
    assert Path(allowed.stdout.strip()).is_file()
    assert ServerKeys.read(server)
    assert ClientKeys.read(robot)


def test_making_twice_keeps_the_key(server: Path) -> None:
    before = Path(keys("make", "server", "--state", server).stdout.strip()).read_text()
    assert Path(keys("make", "server", "--state", server).stdout.strip()).read_text() == before


def test_the_list_shows_whose_keys_are_here_and_nothing_private(server: Path, robot: Path) -> None:
    keys("make", "server", "--state", server)
    own = keys("make", "client", "--state", robot).stdout.strip()
    keys("allow", own, "--name", "robot-7", "--state", server)
    listed = json.loads(keys("list", "--json", "--state", server).stdout)["keys"]
    assert {(key["name"], key["private"]) for key in listed} == {("model-server", True), ("model-clients/robot-7", False)}
    told = keys("list", "--state", server).stdout
    assert all(key["public"] in told for key in listed)
    assert "PRIVATE" not in told


@pytest.mark.parametrize(("arguments", "code", "words"), [
    (("make", "robot"), 2, "server or client"),
    (("allow", "none.pub", "--name", "a"), 2, "none.pub"),
    (("allow", "none.pub", "--name", "../a"), 2, "no name"),
    (("allow", "none.pub", "--name", ""), 2, "no name"),
])  # fmt: skip
def test_bad_input_is_named(arguments: tuple[str, ...], code: int, words: str, server: Path) -> None:
    result = keys(*arguments, "--state", server)
    assert result.exit_code == code
    assert words in result.stderr


def test_a_name_is_not_given_twice_and_another_machines_key_not_replaced(server: Path, robot: Path) -> None:
    keys("make", "server", "--state", server)
    own = keys("make", "client", "--state", robot).stdout.strip()
    assert keys("allow", own, "--name", "robot-7", "--state", server).exit_code == 0
    again = keys("allow", own, "--name", "robot-7", "--state", server)
    assert (again.exit_code, "remove it first" in again.stderr) == (1, True)
    (robot / "keys" / "model-server.pub").write_bytes((server / "keys" / "model-server.pub").read_bytes())
    over = keys("make", "server", "--state", robot)
    assert (over.exit_code, "another machine's" in over.stderr) == (1, True)


def test_a_graph_takes_no_address_that_is_none() -> None:
    result = CliRunner().invoke(app, ["up", "yard", "--model-server", "udp://x:1"])
    assert result.exit_code == 2
    assert "no address of a model server" in result.stderr
