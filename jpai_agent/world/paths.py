"""Find the package's data (beside the sources in a checkout, in share/jpai_agent when installed) and the user's state."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

STATE_VARIABLE = "JPAI_STATE_DIR"


@lru_cache(maxsize=1)
def share_dir() -> Path:
    """Folder that holds config/, models/ and sim/. Raises FileNotFoundError when the installation has none."""
    checkout = Path(__file__).resolve().parents[2]
    installed = [Path(prefix) / "share" / "jpai_agent" for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(":")]
    for folder in (checkout, *installed):
        if (folder / "config" / "robots").is_dir():
            return folder
    raise FileNotFoundError("config/robots not found beside the sources nor in share/jpai_agent")


def resource(*parts: str) -> Path:
    """Path of a data file or folder of the package, e.g. `resource("sim", "worlds", "yard.json")`."""
    return share_dir().joinpath(*parts)


def state_dir() -> Path:
    """Where latches, keys and the audit log are kept: $JPAI_STATE_DIR, else $XDG_STATE_HOME/jpai, else ~/.local/state/jpai.

    Raises RuntimeError when none is given and the user has no home.
    """
    given = os.environ.get(STATE_VARIABLE)
    if given:
        return Path(given)
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "jpai"
