"""What a run of the tests writes about itself (keys, audit log, latches) goes to a folder of its own, not to the user's.

A test that looks into that folder has one of its own, `state`; one that needs a model's files, not a model, has `model`.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

_folder = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_folder] = os.environ["JPAI_STATE_DIR"] = tempfile.mkdtemp(prefix="jpai-test-state-")


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(config.stash[_folder], ignore_errors=True)


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's state folder, of this test alone; it is not there yet."""
    monkeypatch.setenv("JPAI_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model's folder that is whole by its manifest; its weights mean nothing."""
    from jpai_agent.vlm.manifest import write_manifest

    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(bytes(range(64)))
    write_manifest(folder, "any", "0.1.0", license_id="Apache-2.0", model_type="any", bits=8, parameters=64, card={})
    return folder
