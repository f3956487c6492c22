"""The run as an MCAP file: events and trajectory as JSON messages, for Foxglove and other players."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mcap.writer import CompressionType, Writer

from jpai_agent.record.files import dump

_EVENT = {
    "type": "object",
    "properties": {"event": {"type": "string"}, "time_s": {"type": "number"}, "turn": {"type": "integer"}},
}
# what is logged of the trajectory whoever the robot is
SAMPLE = (
    "time_s",
    "turn",
    "step",
    "x_m",
    "y_m",
    "yaw_rad",
    "v_mps",
    "w_radps",
    "command_v_mps",
    "command_w_radps",
)
_SAMPLE = {"type": "object", "properties": {name: {"type": "number"} for name in SAMPLE}}


class McapLog:
    """Writes events to the topic /jpai/events and the trajectory to /jpai/trajectory."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._writer = Writer(self._file, compression=CompressionType.NONE)
        self._writer.start(profile="", library="jpai_agent")
        self._channels = {
            topic: self._channel(topic, name, schema)
            for topic, name, schema in (
                ("/jpai/events", "jpai.Event", _EVENT),
                ("/jpai/trajectory", "jpai.Sample", _SAMPLE),
            )
        }

    def event(self, time_s: float, event: dict[str, Any]) -> None:
        """Add an event as events.jsonl has it."""
        self._add("/jpai/events", time_s, event)

    def trajectory(self, time_s: float, sample: dict[str, Any]) -> None:
        """Add a line of trajectory.csv, by column; null where a cell is empty."""
        self._add("/jpai/trajectory", time_s, sample)

    def close(self) -> None:
        """Write the index and close the file."""
        self._writer.finish()
        self._file.close()

    def _channel(self, topic: str, name: str, schema: dict[str, Any]) -> int:
        schema_id = self._writer.register_schema(name, "jsonschema", dump(schema).encode())
        return self._writer.register_channel(topic, "json", schema_id)

    def _add(self, topic: str, time_s: float, message: dict[str, Any]) -> None:
        stamp_ns = max(0, round(time_s * 1e9))
        self._writer.add_message(self._channels[topic], stamp_ns, dump(message).encode(), stamp_ns)
