"""A robot's model server may have an endpoint as its model: what it is sent is in the audit log, faults come back as words."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "vlm"))

from endpoints import PLAN, Server, entry, says, write_policy

from jpai_agent.vlm import PlanRequest, VlmClient, VlmError
from jpai_agent.vlm.codecs import probe_image

ADDRESS = f"ipc://@jpai-test-serving-{os.getpid()}"


@pytest.fixture
def office() -> Iterator[Server]:
    with Server(says(PLAN)) as server:
        yield server


@pytest.fixture
def serving(office: Server, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    policy = write_policy(tmp_path, {"office": entry(f"http://127.0.0.1:{office.port}/v1", key_env=None)})
    command = [sys.executable, "-m", "jpai_agent.serving", "--endpoint", ADDRESS, "--model", "endpoint:office", "--with-parent",
               "--audit", str(tmp_path / "audit.jsonl")]
    with subprocess.Popen(command, env=os.environ | {"JPAI_POLICY": str(policy)}) as process:
        yield process
        process.terminate()


def test_a_robot_gets_the_endpoints_plan_over_its_own_socket(serving: object, office: Server, tmp_path: Path) -> None:
    client = VlmClient(ADDRESS, 30.0)
    state = client.wait_ready(120.0)
    assert (state["model"], state["sha256"]) == ("office", "")
    request = PlanRequest("赤い箱まで行って", {"front": probe_image()}, places={"dock": ("充電ステーション",)})
    assert client.plan(request).text == PLAN
    records = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text("utf-8").splitlines()]
    (sent,) = [record["data"] for record in records if record["kind"] == "send"]
    assert sent["body_bytes"] == len(office.seen[0].body) and sent["country"] == "JP"
    office.close()
    with pytest.raises(VlmError) as caught:
        client.plan(request)
    assert caught.value.reason_code == "model_unavailable" and "office" in str(caught.value)
    client.close()
