"""run.mcap: what Foxglove shows of a run, each message as the schema that its channel declares has it."""

from __future__ import annotations

import base64
import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from made_up_run import SAID, MadeUpRun
from mcap.reader import make_reader

from jpai_agent.agent.events import Finished, Grounded, Planned, Rehearsed
from jpai_agent.perception.geometry import project
from jpai_agent.record import RunRecorder
from jpai_agent.record import foxglove as fox
from jpai_agent.world.map import load_map
from jpai_agent.world.robot import load_robot
from jpai_agent.world.scene import GroundedTarget, Mover, RobotState, Scene, SeenLight

ONE_SECOND_NS = 1_000_000_000


@dataclass
class Channel:
    """A channel of a file: its schema's name, the schema, and (log time ns, publish time ns, message) in the file's order."""

    schema_name: str
    schema: Mapping[str, Any]
    messages: list[tuple[int, int, dict[str, Any]]]

    @property
    def last(self) -> dict[str, Any]:
        return self.messages[-1][2]

    def entity(self, name: str, message: int = -1) -> dict[str, Any]:
        return next(e for e in self.messages[message][2]["entities"] if e["id"] == name)


def read(path: Path) -> dict[str, Channel]:
    channels: dict[str, Channel] = {}
    with path.open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        for schema, channel, message in reader.iter_messages(log_time_order=False):
            assert schema is not None
            assert (schema.encoding, channel.message_encoding) == ("jsonschema", "json")
            found = channels.setdefault(channel.topic, Channel(schema.name, json.loads(schema.data), []))
            found.messages.append((message.log_time, message.publish_time, json.loads(message.data)))
    return channels


def wrong(value: Any, schema: Mapping[str, Any], where: str = "$") -> list[str]:
    """What of a value is not as its JSON schema has it. Raises KeyError for a word of the schema that this does not know."""
    rest = {k: v for k, v in schema.items() if k not in ("title", "type", "contentEncoding")}
    kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float)}
    if "type" in schema and (not isinstance(value, kinds[schema["type"]])
                             or (schema["type"] in ("integer", "number") and isinstance(value, bool))):
        return [f"{where} is no {schema['type']}"]
    found: list[str] = []
    if schema.get("contentEncoding") == "base64":
        base64.b64decode(value, validate=True)
    checks = {
        "properties": lambda told: [f for k, s in told.items() if k in value for f in wrong(value[k], s, f"{where}.{k}")],
        "required": lambda told: [f"{where} lacks {k}" for k in told if k not in value],
        "items": lambda told: [f for i, v in enumerate(value) for f in wrong(v, told, f"{where}[{i}]")],
        "oneOf": lambda told: [] if sum(not wrong(value, s, where) for s in told) == 1 else [f"{where} is none of its kinds"],
        "const": lambda told: [] if value == told else [f"{where} is not {told}"],
        "minimum": lambda told: [] if value >= told else [f"{where} is under {told}"],
        "maximum": lambda told: [] if value <= told else [f"{where} is over {told}"],
        "minItems": lambda told: [] if len(value) >= told else [f"{where} is too short"],
        "maxItems": lambda told: [] if len(value) <= told else [f"{where} is too long"],
    }
    for word, told in rest.items():
        found += checks[word](told)
    return found


@pytest.fixture(scope="module")
def yard_file(run: MadeUpRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("yard") / "run"
    with RunRecorder(folder, run.robot, run.world, pictures=False) as keep:
        run.record(keep)
        keep(Rehearsed(40.0, 1, run.program, run.verdict("fail"), 812.0))
        keep(Planned(40.5, 1, None, None, '{"decision": "act', math.nan, "truncated"))
        keep.gate(40.5, "held", ("held: stop word",), 0.0, 0.0)
        keep(Finished(41.0, 1, "failed", "collision"))
    return folder / "run.mcap"


@pytest.fixture(scope="module")
def yard(yard_file: Path) -> dict[str, Channel]:
    return read(yard_file)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Channel]:
    folder, world = tmp_path_factory.mktemp("town") / "run", load_map("street")
    head = next(iter(world.road.lights))
    bus = Mover("bus", 81.5, 60.0, 0.0, -6.0, 5.4, 3.0, 3.0, 0.05, -math.pi / 2, 5.25, 1.25)
    walker = Mover("p", 76.0, 50.0, 0.0, 0.0, 0.3, 1.7, 3.0)
    scene = Scene("s", 3.0, RobotState(78.5, 40.0, math.pi / 2, 5.0), (), (bus, walker), (SeenLight(head, "red", 3.0),))
    with RunRecorder(folder, load_robot("car"), world, pictures=False) as keep:
        keep(Grounded(3.0, 0, scene, {1: GroundedTarget("コンビニ", 71.0, 60.0, "place", 0.0)}))
        for time_s in (3.05, 3.5):
            keep.tick(time_s, scene, scene.robot, (5.0, 0.0))
    return read(folder / "run.mcap")


def test_every_topic_is_there_in_its_schema(yard: dict[str, Channel]) -> None:
    assert {topic: channel.schema_name for topic, channel in yard.items()} == {
        "/tf": "foxglove.FrameTransforms", "/tf_static": "foxglove.FrameTransforms",
        "/camera/front/image": "foxglove.CompressedImage", "/camera/front/calibration": "foxglove.CameraCalibration",
        "/jpai/map": "foxglove.SceneUpdate", "/jpai/robot": "foxglove.SceneUpdate", "/jpai/scene": "foxglove.SceneUpdate",
        "/jpai/rollouts": "foxglove.SceneUpdate", "/jpai/log": "foxglove.Log", "/jpai/instruction": "jpai.Instruction",
        "/jpai/plan": "jpai.Plan", "/jpai/verdict": "jpai.Verdict", "/jpai/gate": "jpai.Gate",
        "/jpai/trajectory": "jpai.Sample", "/jpai/events": "jpai.Event"}


@pytest.mark.parametrize("place", ["yard", "town"])
def test_every_message_is_as_its_declared_schema_has_it(place: str, request: pytest.FixtureRequest) -> None:
    for topic, channel in request.getfixturevalue(place).items():
        assert channel.schema["type"] == "object"
        assert channel.schema["title"] == channel.schema_name
        for _, _, message in channel.messages:
            assert wrong(message, channel.schema) == [], topic


def test_the_check_of_schemas_finds_what_is_wrong(yard: dict[str, Channel]) -> None:
    scene, log = yard["/jpai/scene"], yard["/jpai/log"]
    entity = scene.messages[0][2]["entities"][0]
    (first, *_) = wrong({"deletions": [], "entities": [{**entity, "cubes": [{}]}]}, scene.schema)
    assert first == "$.entities[0].cubes[0] lacks pose"
    assert wrong({"entities": []}, scene.schema) == ["$ lacks deletions"]
    assert wrong(log.last | {"level": 6}, log.schema) == ["$.level is none of its kinds"]
    assert wrong(log.last | {"timestamp": {"sec": -1, "nsec": 10**9}}, log.schema) == [
        "$.timestamp.sec is under 0", "$.timestamp.nsec is over 999999999"]
    assert wrong(log.last | {"line": 1.5}, log.schema) == ["$.line is no integer"]


def test_times_go_on_in_every_channel_and_are_those_of_the_messages(yard: dict[str, Channel]) -> None:
    for topic, channel in yard.items():
        logged = [message[0] for message in channel.messages]
        assert logged == sorted(logged), topic
        for log_time, publish_time, message in channel.messages:
            assert publish_time == log_time
            stamp = message.get("timestamp")
            if stamp is not None:
                assert stamp["sec"] * ONE_SECOND_NS + stamp["nsec"] == log_time
            if "time_s" in message:
                assert log_time == pytest.approx(message["time_s"] * 1e9, abs=1e5)
    assert yard["/tf_static"].messages[0][0] == yard["/jpai/map"].messages[0][0] == 0


def test_the_file_has_its_index_and_says_how_many_there_are(yard_file: Path, yard: dict[str, Channel]) -> None:
    with yard_file.open("rb") as file:
        summary = make_reader(file).get_summary()
    assert summary is not None and summary.statistics is not None and summary.chunk_indexes
    counted = {summary.channels[i].topic: n for i, n in summary.statistics.channel_message_counts.items()}
    assert counted == {topic: len(c.messages) for topic, c in yard.items()}
    assert counted["/jpai/trajectory"] == counted["/tf"] > 100


def test_the_robot_is_where_the_trajectory_has_it(yard: dict[str, Channel]) -> None:
    for (_, _, frames), (_, _, sample) in zip(yard["/tf"].messages[::20], yard["/jpai/trajectory"].messages[::20], strict=True):
        (moved,) = frames["transforms"]
        assert (moved["parent_frame_id"], moved["child_frame_id"]) == ("map", "base_link")
        assert (moved["translation"]["x"], moved["translation"]["y"]) == pytest.approx((sample["x_m"], sample["y_m"]), abs=1e-3)
        yaw = 2 * math.atan2(moved["rotation"]["z"], moved["rotation"]["w"])
        assert math.cos(yaw - sample["yaw_rad"]) == pytest.approx(1.0, abs=1e-6)
    body = yard["/jpai/robot"].entity("robot")
    assert (body["frame_id"], body["frame_locked"]) == ("base_link", True)


def test_a_figure_that_there_is_none_of_is_absent(town: dict[str, Channel], yard: dict[str, Channel]) -> None:
    assert set(yard["/jpai/trajectory"].last) >= {"command_v_mps", "true_x_m"}
    assert "true_x_m" not in town["/jpai/trajectory"].last


def test_what_the_model_was_shown_is_there_with_the_camera_that_took_it(yard: dict[str, Channel], run: MadeUpRun) -> None:
    ((at_ns, _, shown),) = yard["/camera/front/image"].messages
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(shown["data"]), np.uint8), cv2.IMREAD_COLOR)
    assert (shown["format"], at_ns) == ("jpeg", ONE_SECOND_NS // 2)
    assert decoded.shape == run.frame.rgb.shape
    assert np.abs(decoded[..., ::-1].astype(float) - run.frame.rgb).mean() < 4.0
    assert yard["/camera/front/calibration"].last["frame_id"] == shown["frame_id"] == "camera_front_optical_frame"


@pytest.mark.parametrize(("robot", "camera"), [("cart", "front"), ("car", "front"), ("car", "tele")])
def test_a_camera_s_frame_and_calibration_put_points_where_its_pictures_show_them(robot: str, camera: str) -> None:
    spec = load_robot(robot).camera(camera)
    mounted, lens = fox.mounting(0.0, spec), fox.calibration(0.0, spec)
    x, y, z, w = (mounted["rotation"][name] for name in "xyzw")
    turned = np.array([[1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                       [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                       [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)]])
    points = np.array([[6.0, 0.5, 0.3], [12.0, -1.5, 1.2], [8.0, 0.0, 0.0]])
    local = (points - [mounted["translation"][name] for name in "xyz"]) @ turned
    pixels = local @ np.array(lens["K"]).reshape(3, 3).T
    pixels = pixels[:, :2] / pixels[:, 2:]
    expected = np.asarray(project(spec, points)) / 1000.0 * [spec.width_px, spec.height_px]
    assert pixels == pytest.approx(expected, abs=0.6)


def test_what_is_believed_is_drawn_where_it_is(yard: dict[str, Channel], run: MadeUpRun) -> None:
    obstacles = yard["/jpai/scene"].entity("obstacles", 0)
    assert obstacles["frame_id"] == "map"
    drawn = {(cube["pose"]["position"]["x"], cube["pose"]["position"]["y"], cube["size"]["z"]) for cube in obstacles["cubes"]}
    assert drawn == {(round(o.x_m, 4), round(o.y_m, 4), round(o.height_m, 4)) for o in run.scene.obstacles}
    (walker,), (arrow,) = (yard["/jpai/scene"].entity("movers", 0)[kind] for kind in ("cylinders", "arrows"))
    assert arrow["pose"]["position"]["x"] == walker["pose"]["position"]["x"]
    assert [t["text"] for t in yard["/jpai/scene"].entity("targets", 0)["texts"]] == ["1. 赤い箱", "3. 充電ステーション"]


def test_rehearsals_are_drawn_in_the_colour_of_their_verdict(yard: dict[str, Channel], run: MadeUpRun) -> None:
    passed, failed = (yard["/jpai/rollouts"].entity("rollouts", i) for i in (0, 1))
    assert len(passed["lines"]) == len(failed["lines"]) == 32
    assert passed["lines"][0]["color"]["g"] > passed["lines"][0]["color"]["r"]
    assert failed["lines"][0]["color"]["r"] > failed["lines"][0]["color"]["g"]
    assert len(yard["/jpai/rollouts"].entity("way", 0)["lines"][0]["points"]) == len(run.program.way())


def test_the_verdict_the_plan_and_the_gate_are_told_in_figures(yard: dict[str, Channel]) -> None:
    first, last = (yard["/jpai/verdict"].messages[i][2] for i in (0, -1))
    assert (first["status"], first["rollouts"], first["pass_rate"], last["failed_step"]) == ("pass", 32, 1.0, 0)
    assert first["pass_rate_low"] == pytest.approx(0.8928, abs=1e-3)
    assert "failed_step" not in first and set(first["binding"]) == {"plan", "program", "scene", "robot", "model", "site"}
    planned, broken = (yard["/jpai/plan"].messages[i][2] for i in (0, -1))
    assert planned["skills"] == ["go_to", "wait", "go_to"] and json.loads(planned["json"])["decision"] == "act"
    assert (broken["error"], broken["raw_text"]) == ("truncated", '{"decision": "act') and "json" not in broken
    assert yard["/jpai/gate"].last == {
        "time_s": 40.5, "state": "held", "reasons": ["held: stop word"], "v_mps": 0.0, "w_radps": 0.0}


def test_what_happened_is_told_in_japanese_lines_by_how_grave_it_is(yard: dict[str, Channel]) -> None:
    lines = [(fox.LEVELS[m["level"]], m["name"], m["message"]) for _, _, m in yard["/jpai/log"].messages]
    assert lines[0] == ("INFO", "instruction", f"指示「{SAID}」")
    assert ("WARNING", "model", "計画なし：truncated") in lines
    assert next(text for level, name, text in lines if name == "twin").startswith("リハーサル 32/32 合格")
    assert Counter(level for level, name, _ in lines if name == "twin") == {"INFO": 1, "WARNING": 1}
    assert lines[-1] == ("ERROR", "agent", "失敗 collision")


def test_the_map_has_places_and_the_zones_to_keep_out_of(yard: dict[str, Channel]) -> None:
    places, zones = (yard["/jpai/map"].entity(name) for name in ("places", "zones"))
    assert "充電ステーション" in {text["text"] for text in places["texts"]}
    ((zone,), (name,)) = zones["lines"], zones["texts"]
    assert (zone["type"], len(zone["points"]), name["text"]) == (1, 4, "分電盤の前")


def test_in_town_there_are_lanes_lights_and_vehicles(town: dict[str, Channel]) -> None:
    road = load_map("street").road
    assert len(town["/jpai/map"].entity("ground")["lines"]) == 1 + len(road.lanes)
    (light,) = town["/jpai/scene"].entity("lights")["spheres"]
    assert light["color"]["r"] > 2 * light["color"]["g"]
    movers = town["/jpai/scene"].entity("movers")
    ((bus,), (walker,), (going,)) = (movers[kind] for kind in ("cubes", "cylinders", "arrows"))
    assert (bus["size"]["x"], walker["size"]["z"]) == (10.5, 1.7)
    assert going["shaft_length"] + going["head_length"] == pytest.approx(6.0)
    assert going["pose"]["orientation"] == pytest.approx({"x": 0, "y": 0, "z": -math.sqrt(0.5), "w": math.sqrt(0.5)}, abs=1e-5)
    # the next picture of the belief comes half a second later, and leaves the targets as they are
    assert [len(message["entities"]) for _, _, message in town["/jpai/scene"].messages] == [4, 3]
