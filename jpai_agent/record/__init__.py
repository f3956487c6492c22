"""Every run leaves a folder with what was seen, said, planned, rehearsed and done, and pictures to look at.

`recorder` writes the folder while the run goes on (`files`, `mcap_log`), `run_folder` reads it back and `summary` draws
it, with the map of `map_view`, the shapes of `canvas` and `shapes`, the letters of `text`, the colours of `style` and
the Japanese of `words`. `video` films a run; its captions are made by `captions` from the agent's events, and `soundtrack`
gives it what was said. The pictures are made from the folder alone, so any kept run can be drawn again.

`audit` is the log that cannot be altered unseen, `audit_writer` appends to it from a thread, `audit_events` says what of the
agent goes into it, `audit_verify` examines it. `certificate` says what was tried with which result, for the gate. Both are signed
with the `keys` of this user.

What draws is loaded when it is first used: the gate's process needs the audit log alone.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jpai_agent.record.captions import Captions
    from jpai_agent.record.recorder import RunRecorder
    from jpai_agent.record.run_folder import RunFolder, Turn, load_run
    from jpai_agent.record.summary import draw_run, failure_picture
    from jpai_agent.record.video import VideoError, VideoWriter

_MODULES = {
    "Captions": "captions",
    "RunFolder": "run_folder",
    "RunRecorder": "recorder",
    "Turn": "run_folder",
    "VideoError": "video",
    "VideoWriter": "video",
    "draw_run": "summary",
    "failure_picture": "summary",
    "load_run": "run_folder",
}

__all__ = [
    "Captions",
    "RunFolder",
    "RunRecorder",
    "Turn",
    "VideoError",
    "VideoWriter",
    "draw_run",
    "failure_picture",
    "load_run",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(f"jpai_agent.record.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
