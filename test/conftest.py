"""What a run of the tests writes about itself (keys, audit log, latches) goes to a folder of its own, not to the user's."""

from __future__ import annotations

import os
import shutil
import tempfile

import pytest

_folder = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_folder] = os.environ["JPAI_STATE_DIR"] = tempfile.mkdtemp(prefix="jpai-test-state-")


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(config.stash[_folder], ignore_errors=True)
