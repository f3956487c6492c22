"""Fast DDS gets the room in shared memory that config/fastdds.xml says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jpai_agent.graph import private_domain, release_domain

SHARED = Path("/dev/shm")
MAKE_A_NODE = """
import time
from jpai_agent.nodes.beside import Beside
beside = Beside("tries", None)
print("made", flush=True)
input()
beside.close()
"""


@pytest.fixture
def domain():
    found = private_domain()
    yield found
    release_domain(found)


def segments_mb(environment: dict[str, str]) -> list[float]:
    """Sizes of the shared memory that a process with one node makes, without the ports'."""
    with subprocess.Popen([sys.executable, "-c", MAKE_A_NODE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                          env=environment) as process:
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline() == "made\n"
        mapped = {line.split()[-1] for line in Path(f"/proc/{process.pid}/maps").read_text().splitlines() if "/fastrtps_" in line}
        sizes = [Path(name).stat().st_size / 1e6 for name in mapped if "port" not in name]
        process.stdin.write("\n")
    return sizes


@pytest.mark.skipif(not SHARED.is_dir(), reason="no shared memory to be looked at")
def test_a_node_has_room_for_frames_that_killed_readers_keep(domain: int) -> None:
    environment = {**os.environ, "ROS_DOMAIN_ID": str(domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    environment.pop("FASTRTPS_DEFAULT_PROFILES_FILE", None)
    assert max(segments_mb(environment)) > 4.0


@pytest.mark.skipif(not SHARED.is_dir(), reason="no shared memory to be looked at")
def test_a_profile_of_the_users_own_is_kept(domain: int, tmp_path: Path) -> None:
    own = tmp_path / "own.xml"
    own.write_text('<dds xmlns="http://www.eprosima.com"><profiles><participant profile_name="own" is_default_profile="true">'
                   '<rtps><name>own</name></rtps></participant></profiles></dds>')
    environment = {**os.environ, "ROS_DOMAIN_ID": str(domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
                   "FASTRTPS_DEFAULT_PROFILES_FILE": str(own)}
    assert max(segments_mb(environment)) < 1.0
