"""The run as an MCAP file that Foxglove opens: frames, pictures, the scene, rehearsals, the gate and what was said and decided.

Shapes, pictures and log lines are in Foxglove's well-known schemas (`foxglove`), figures in schemas of their own; all is JSON.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mcap.writer import CompressionType, Writer

from jpai_agent.agent.events import Decided, Event, Finished, Heard, Planned, Rehearsed, Replied, StepStarted
from jpai_agent.record import foxglove as fox
from jpai_agent.record import style, words
from jpai_agent.record.files import dump, jsonable
from jpai_agent.twin.verdict import Verdict
from jpai_agent.world.map import WorldMap
from jpai_agent.world.robot import RobotSpec
from jpai_agent.world.scene import GroundedTarget, Mover, Scene
from jpai_agent.world.sensors import Image

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
_TRUTH = ("true_x_m", "true_y_m", "true_yaw_rad")
_LIGHTS: Mapping[str, fox.Color] = {"red": (220, 50, 50), "yellow": (230, 180, 30), "green": (30, 160, 90)}
_ROBOT_HEIGHT_M = 0.4
# so often what is believed is drawn at most
SCENE_EVERY_S = 0.45
_N, _S, _I = fox.NUMBER, fox.STRING, fox.INTEGER
_HEAD: Mapping[str, fox.Schema] = {"time_s": _N, "turn": _I}
_VIOLATION = fox.object_schema("jpai.Violation", rule=_S, rollouts=_I)
_BINDING = fox.object_schema("jpai.Binding", **dict.fromkeys(("plan", "program", "scene", "robot", "model", "site"), _S))
_OWN = {schema["title"]: schema for schema in (
    fox.lacking(fox.object_schema("jpai.Event", event=_S, **_HEAD), "turn"),
    fox.lacking(fox.object_schema("jpai.Sample", **dict.fromkeys((*SAMPLE, *_TRUTH), _N)), *SAMPLE[3:], *_TRUTH),
    fox.object_schema("jpai.Instruction", **_HEAD, text=_S),
    fox.lacking(fox.object_schema(
        "jpai.Plan", **_HEAD, raw_text=_S, error=_S, latency_ms=_N, confidence=_N, decision=_S, reason=_S, reply=_S,
        skills=fox.array_schema(_S), json=_S), "confidence", "decision", "reason", "reply", "skills", "json"),
    fox.lacking(fox.object_schema(
        "jpai.Verdict", **_HEAD, id=_S, status=_S, reason=_S, in_words=_S, rollouts=_I, pass_rate=_N, pass_rate_low=_N,
        failed_step=_I, min_clearance_m=_N, min_ttc_s=_N, duration_s=_N, peak_speed_mps=_N, under_way=_N, latency_ms=_N,
        violations=fox.array_schema(_VIOLATION), binding=_BINDING), "failed_step", "min_clearance_m", "min_ttc_s", "latency_ms"),
    fox.object_schema("jpai.Gate", time_s=_N, state=_S, reasons=fox.array_schema(_S), v_mps=_N, w_radps=_N),
)}
_TOPICS = {
    "/jpai/events": "jpai.Event",
    "/jpai/trajectory": "jpai.Sample",
    "/jpai/instruction": "jpai.Instruction",
    "/jpai/plan": "jpai.Plan",
    "/jpai/verdict": "jpai.Verdict",
    "/jpai/gate": "jpai.Gate",
    "/jpai/log": "foxglove.Log",
    "/jpai/map": "foxglove.SceneUpdate",
    "/jpai/robot": "foxglove.SceneUpdate",
    "/jpai/scene": "foxglove.SceneUpdate",
    "/jpai/rollouts": "foxglove.SceneUpdate",
    "/tf": "foxglove.FrameTransforms",
    "/tf_static": "foxglove.FrameTransforms",
}


class McapLog:
    """Writes a run's MCAP file while the run goes on; calls must not overlap.

    Topics: /tf and /tf_static (map → base_link → cameras), /camera/NAME/image and …/calibration (what the model was shown),
    /jpai/map, /jpai/robot, /jpai/scene (what the robot believes) and /jpai/rollouts (3-D), /jpai/instruction, /jpai/plan,
    /jpai/verdict, /jpai/gate, /jpai/trajectory (figures), /jpai/log (lines, Japanese) and /jpai/events (all that happened).
    """

    def __init__(self, path: Path, robot: RobotSpec, world_map: WorldMap) -> None:
        self._robot, self._map = robot, world_map
        self._file = path.open("wb")
        self._writer = Writer(self._file, compression=CompressionType.ZSTD)
        self._writer.start(profile="", library="jpai_agent")
        self._schemas: dict[str, int] = {}
        self._channels = {topic: self._channel(topic, name) for topic, name in _TOPICS.items()}
        self._begun, self._scene_s = False, -math.inf

    def event(self, event: Event, line: Mapping[str, Any]) -> None:
        """Add an event; line: as events.jsonl has it."""
        time_s, head = event.time_s, {"time_s": event.time_s, "turn": event.turn}
        self._add("/jpai/events", time_s, line)
        if isinstance(event, Heard):
            self._add("/jpai/instruction", time_s, head | {"text": event.text})
        elif isinstance(event, Planned):
            if event.image is not None:
                self._picture(time_s, event.image)
            self._add("/jpai/plan", time_s, head | _plan(event))
        elif isinstance(event, Rehearsed):
            self._add("/jpai/verdict", time_s, head | _verdict(event))
            self._rollouts(event)
        told = _in_words(event)
        if told is not None:
            level, name, text = told
            self._add("/jpai/log", time_s, fox.log_line(time_s, level, text, name))

    def trajectory(self, time_s: float, sample: Mapping[str, Any]) -> None:
        """Add a line of trajectory.csv, by column; what is None there is left out."""
        self._add("/jpai/trajectory", time_s, sample)
        at = [sample[name] for name in ("x_m", "y_m", "yaw_rad")]
        if None not in at:
            x, y, yaw = at
            moved = fox.transform(time_s, "map", "base_link", fox.vector(x, y, 0.0), fox.turned(yaw))
            self._add("/tf", time_s, {"transforms": [moved]})

    def scene(self, time_s: float, scene: Scene, targets: Mapping[int, GroundedTarget] | None = None) -> None:
        """Add what the robot believes. targets: what its plan is about, by step; without them it may be left out for brevity.

        Targets that are shown stay until there are others.
        """
        if targets is None and 0.0 <= time_s - self._scene_s < SCENE_EVERY_S:
            return
        self._scene_s = time_s
        standing = [fox.box(fox.pose(o.x_m, o.y_m, o.height_m / 2, o.yaw_rad), (2 * o.half_x_m, 2 * o.half_y_m, o.height_m),
                            style.OBSTACLE_EDGE, 0.8) for o in scene.obstacles]
        boxes = [fox.box(fox.pose(m.x_m, m.y_m, m.height_m / 2, m.yaw_rad), (2 * m.half_x_m, 2 * m.half_y_m, m.height_m),
                         style.MOVER, 0.8) for m in scene.movers if m.half_x_m > 0.0]
        round_ones = [fox.cylinder(fox.pose(m.x_m, m.y_m, m.height_m / 2), m.radius_m, m.height_m, style.MOVER, 0.8)
                      for m in scene.movers if m.half_x_m <= 0.0]
        entities = [fox.entity(time_s, "obstacles", cubes=standing),
                    fox.entity(time_s, "movers", cubes=boxes, cylinders=round_ones, arrows=_arrows(scene.movers))]
        heads = self._map.road.lights if self._map.road is not None else {}
        if heads:
            seen = [(heads[light.id], light.state) for light in scene.lights if light.id in heads]
            entities.append(fox.entity(time_s, "lights", spheres=[
                fox.box(fox.pose(head.x_m, head.y_m, head.z_m), (0.9, 0.9, 0.9), _LIGHTS.get(state, style.WALL))
                for head, state in seen]))
        if targets is not None:
            entities.append(fox.entity(
                time_s, "targets",
                spheres=[fox.box(fox.pose(t.x_m, t.y_m, 0.1), (0.3, 0.3, 0.3), style.PLANNED) for t in targets.values()],
                texts=[fox.text(fox.pose(t.x_m, t.y_m, 1.2), f"{step + 1}. {t.label}", style.PLANNED)
                       for step, t in targets.items()]))
        self._add("/jpai/scene", time_s, fox.update(*entities))

    def gate(self, time_s: float, state: str, reasons: Sequence[str], v_mps: float, w_radps: float) -> None:
        """Add the gate's state and what it gives to the motors."""
        self._add("/jpai/gate", time_s, {"time_s": time_s, "state": state, "reasons": list(reasons), "v_mps": float(v_mps),
                                         "w_radps": float(w_radps)})

    def close(self) -> None:
        """Write the index and close the file."""
        self._writer.finish()
        self._file.close()

    def _picture(self, time_s: float, image: Image) -> None:
        for topic, schema, message in (
            ("image", "foxglove.CompressedImage", fox.picture(time_s, image)),
            ("calibration", "foxglove.CameraCalibration", fox.calibration(time_s, self._robot.camera(image.camera))),
        ):
            name = f"/camera/{image.camera}/{topic}"
            if name not in self._channels:
                self._channels[name] = self._channel(name, schema)
            self._add(name, time_s, message)

    def _rollouts(self, event: Rehearsed) -> None:
        """The paths of a rehearsal, in the colour of its verdict, over the way that was rehearsed."""
        rgb = style.GOOD if event.verdict.passed else style.BAD
        whole = ([p for p in path if all(map(math.isfinite, p))] for path in event.verdict.paths)
        paths = [fox.line(path, rgb, 0.03, z_m=0.04, alpha=0.5) for path in whole if len(path) > 1]
        way = event.program.way()
        planned = [fox.line(way, style.PLANNED, 0.08)] if len(way) > 1 else []
        self._add("/jpai/rollouts", event.time_s, fox.update(
            fox.entity(event.time_s, "rollouts", lines=paths), fox.entity(event.time_s, "way", lines=planned)))

    def _begin(self, time_s: float) -> None:
        """What holds for the whole run, as of its first moment."""
        robot, places, road = self._robot, self._map.places, self._map.road
        self._add("/tf_static", time_s, {"transforms": [fox.mounting(time_s, camera) for camera in robot.cameras]})
        body = fox.box(fox.pose(robot.center_x_m, 0.0, _ROBOT_HEIGHT_M / 2), (robot.length_m, robot.width_m, _ROBOT_HEIGHT_M),
                       style.DRIVEN, 0.8)
        ahead = fox.arrow(fox.pose(robot.center_x_m, 0.0, _ROBOT_HEIGHT_M), robot.length_m / 2, style.PLANNED)
        self._add("/jpai/robot", time_s, fox.update(
            fox.entity(time_s, "robot", "base_link", locked=True, cubes=[body], arrows=[ahead])))
        x0, y0, x1, y1 = self._map.bounds_m
        lines = [fox.line(((x0, y0), (x1, y0), (x1, y1), (x0, y1)), style.WALL, 0.1, closed=True)]
        lines += [fox.line(lane.centre, style.WALL, 0.05) for lane in road.lanes.values()] if road is not None else []
        zones = self._map.rules.zones
        closed = [fox.line(zone.polygon_m, style.BAD, 0.1, closed=True) for zone in zones]
        middles = [[sum(axis) / len(zone.polygon_m) for axis in zip(*zone.polygon_m, strict=True)] for zone in zones]
        self._add("/jpai/map", time_s, fox.update(
            fox.entity(time_s, "ground", lines=lines),
            fox.entity(time_s, "zones", lines=closed, texts=[
                fox.text(fox.pose(x, y, 0.5), zone.name, style.BAD) for zone, (x, y) in zip(zones, middles, strict=True)]),
            fox.entity(time_s, "places", texts=[
                fox.text(fox.pose(place.x_m, place.y_m, 0.3), place.names[0], style.PLACE) for place in places])))

    def _channel(self, topic: str, name: str) -> int:
        if name not in self._schemas:
            schema = _OWN[name] if name in _OWN else fox.SCHEMAS[name]
            self._schemas[name] = self._writer.register_schema(name, "jsonschema", dump(schema).encode())
        return self._writer.register_channel(topic, "json", self._schemas[name])

    def _add(self, topic: str, time_s: float, message: Mapping[str, Any]) -> None:
        if not self._begun:
            self._begun = True
            self._begin(time_s)
        stamp_ns = fox.nanoseconds(time_s)
        # a member without a value is left out: of a schema's number null is none
        own = {name: value for name, value in message.items() if value is not None}
        self._writer.add_message(self._channels[topic], stamp_ns, dump(own).encode(), stamp_ns)


def _arrows(movers: Iterable[Mover]) -> list[fox.Message]:
    """Where movers go in a second."""
    going = ((m, math.hypot(m.vx_mps, m.vy_mps)) for m in movers)
    return [fox.arrow(fox.pose(m.x_m, m.y_m, m.height_m, math.atan2(m.vy_mps, m.vx_mps)), speed, style.MOVER)
            for m, speed in going if speed > 0.1]


def _plan(event: Planned) -> dict[str, Any]:
    answer = {"raw_text": event.raw_text, "error": event.error, "latency_ms": jsonable(event.latency_ms) or 0.0,
              "confidence": jsonable(event.confidence)}
    if event.plan is None:
        return answer
    plan = event.plan
    return answer | {"decision": plan.decision, "reason": plan.reason, "reply": plan.reply, "json": plan.to_json(),
                     "skills": [step.skill for step in plan.steps]}


def _verdict(event: Rehearsed) -> dict[str, Any]:
    whole = jsonable(_without_paths(event).to_dict())
    broken = [{"rule": rule, "rollouts": count} for rule, count in whole["violations"].items()]
    figures = {name: whole[name] for name in _OWN["jpai.Verdict"]["properties"] if name in whole}
    return figures | {"violations": broken, "latency_ms": jsonable(event.latency_ms)}


def _without_paths(event: Rehearsed) -> Verdict:
    return replace(event.verdict, paths=[], swept=[])


def _in_words(event: Event) -> tuple[str, str, str] | None:
    """(level, name, text) of an event that people want to read of, None for any other."""
    if isinstance(event, Heard):
        return "INFO", "instruction", f"指示「{event.text}」"
    if isinstance(event, Planned):
        return ("INFO", "model", f"計画 {event.raw_text}") if event.plan else ("WARNING", "model", f"計画なし：{event.error}")
    if isinstance(event, Rehearsed):
        return ("INFO" if event.verdict.passed else "WARNING"), "twin", words.verdict_line(_without_paths(event).to_dict())
    if isinstance(event, Decided) and event.reason:
        return "WARNING", "agent", f"{words.outcome(event.decision, None)[0]}（{words.REASONS.get(event.reason, event.reason)}）"
    if isinstance(event, StepStarted):
        return "INFO", "executor", f"手順 {event.step + 1} 開始"
    if isinstance(event, Replied):
        return "INFO", "reply", f"応答「{event.text}」"
    if isinstance(event, Finished):
        ended = f"{words.outcome(None, event.outcome)[0]} {event.reason}".strip()
        return ("ERROR" if event.outcome == "failed" else "INFO"), "agent", ended
    return None
