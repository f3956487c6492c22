"""Every run leaves a folder with what was seen, said, planned, rehearsed and done, and pictures to look at.

`recorder` writes the folder while the run goes on (`files`, `mcap_log`), `run_folder` reads it back and `summary` draws
it, with the map of `map_view`, the shapes of `canvas` and `shapes`, the letters of `text`, the colours of `style` and
the Japanese of `words`. `video` films a run; its captions are made by `captions` from the agent's events. The pictures
are made from the folder alone, so any kept run can be drawn again.
"""

from jpai_agent.record.captions import Captions
from jpai_agent.record.recorder import RunRecorder
from jpai_agent.record.run_folder import RunFolder, Turn, load_run
from jpai_agent.record.summary import draw_run, failure_picture
from jpai_agent.record.video import VideoError, VideoWriter

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
