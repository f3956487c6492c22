"""The loop around an agent: turns come when due, the gate stands between, episodes end, results are judged."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from scripted import Make, Script, ScriptedAgent

from jpai_agent.gate.core import GateState
from jpai_agent.sim.episode import Episode, parse_episode
from jpai_agent.sim.runner import Course, EpisodeResult, run_episode
from jpai_agent.twin.render import SceneRenderer
from jpai_agent.world.sensors import Observation

SCRIPTS = {
    "進んで": Script(0.6, 0.0, 3.0, reply="進みます。"),
    "回って": Script(0.0, 1.0, 1.5),
    "止まれ": Script(0.6, 0.0, 5.0),  # an agent that drives on when it is told to stop
    "どれ？": Script(decision="ask", reason="ambiguous", reply="どちらですか？"),
    "壊れて": Script(math.nan, 0.0, 2.0),
}


def make(
    turns: list[dict[str, Any]], time_limit_s: float = 12.0, objects: list[dict[str, Any]] | None = None, **expect: Any
) -> Episode:
    line = {
        "id": "e",
        "world": "yard",
        "robot": "cart",
        "seed": 1,
        "tags": ["t"],
        "scene": {"robot_pose": [0, 0, 0], "objects": objects or []},
        "turns": turns,
        "time_limit_s": time_limit_s,
        "expect": expect,
    }
    return parse_episode(json.dumps(line))


def drive(episode: Episode, renderer: SceneRenderer) -> Course:
    """The episode's course, run to its end."""
    course = Course(episode, Make(SCRIPTS), renderer)
    while not course.over:
        course.period()
    return course


def heard(course: Course) -> list[tuple[float, str]]:
    agent = course.agent
    assert isinstance(agent, ScriptedAgent)
    return [(pytest.approx(time_s), text) for time_s, text in agent.heard]


def test_turns_come_at_their_time_and_after_the_plan_before(renderer: SceneRenderer) -> None:
    turns = [{"say": "進んで"}, {"say": "回って", "at_s": 2.0}, {"say": "進んで", "after": "done"}]
    course = drive(make(turns, 9.0), renderer)
    assert heard(course) == [(0.0, "進んで"), (2.0, "回って"), (4.05, "進んで")]


def test_the_first_turn_may_come_later(renderer: SceneRenderer) -> None:
    assert heard(drive(make([{"say": "どれ？", "at_s": 1.5}]), renderer)) == [(1.5, "どれ？")]


def test_an_episode_ends_two_seconds_after_the_last_plan_or_at_its_time_limit(renderer: SceneRenderer) -> None:
    assert drive(make([{"say": "進んで"}]), renderer).robot.time_s == pytest.approx(0.5 + 3.0 + 2.0, abs=0.06)
    assert drive(make([{"say": "どれ？"}]), renderer).robot.time_s == pytest.approx(0.5 + 2.0, abs=0.06)
    assert drive(make([{"say": "進んで"}], 2.0), renderer).robot.time_s == pytest.approx(2.0)
    waiting = make([{"say": "どれ？"}, {"say": "進んで", "at_s": 5.0}], 6.0)
    assert drive(waiting, renderer).robot.time_s == pytest.approx(6.0)


def test_what_happened_is_judged(renderer: SceneRenderer) -> None:
    near, said = {"near": {"object": "a", "max_m": 1.5}}, {"said": {"matches": "進みます"}}
    box = [{"id": "a", "kind": "box", "pose": [3.5, 0, 0]}]
    good = make([{"say": "進んで"}], objects=box, decision="act", final=[near, {"stopped": {}}], sequence=[said])
    result = run_episode(good, Make(SCRIPTS), renderer=renderer)
    assert result.goal_reached
    assert (result.decision, result.reason, result.raw_decision) == ("act", None, "act")
    assert (result.contacts, result.violations, result.failed_predicates) == (0, (), ())
    far = make([{"say": "進んで"}], objects=box, decision="act", final=[{"near": {"object": "a", "max_m": 0.5}}])
    result = run_episode(far, Make(SCRIPTS), renderer=renderer)
    assert not result.goal_reached
    assert result.decision_right
    assert result.failed_predicates == ("final[0].near",)


def test_a_question_is_a_decision_and_moves_nothing(renderer: SceneRenderer) -> None:
    episode = make([{"say": "どれ？"}], decision="ask", reason=["ambiguous", "incomplete"], final=[{"stationary": {}}])
    result = run_episode(episode, Make(SCRIPTS), renderer=renderer)
    assert result.goal_reached
    assert result.latency_ms["first_motion"] is None


def box_ahead(renderer: SceneRenderer, *, near_stop: bool = True) -> Course:
    """A course towards a box, at its beginning; without the gate's last obstacle stop where that is said."""
    box = [{"id": "a", "kind": "box", "pose": [1.5, 0, 0]}]
    course = Course(make([{"say": "進んで"}], objects=box, decision="act"), Make(SCRIPTS), renderer)
    if not near_stop:
        course.gate.near = None
    return course


def test_driving_into_something_fails_the_episode(renderer: SceneRenderer) -> None:
    course = box_ahead(renderer, near_stop=False)
    while not course.over:
        course.period()
    result = course.result()
    assert result.contacts == 1
    assert result.decision_right
    assert not result.goal_reached


def test_what_stands_close_ahead_stops_the_robot_though_the_agent_drives_on(renderer: SceneRenderer) -> None:
    course = box_ahead(renderer)
    while not course.over:
        course.period()
    front_m = course.robot.truth().pose[0] + course.robot.robot.front_m
    assert course.result().contacts == 0
    assert 0.9 < front_m < 1.5


@pytest.mark.parametrize("sensor", ["scan", "depth"])
def test_a_frozen_sensor_stops_the_robot_though_its_stamps_are_fresh(renderer: SceneRenderer, sensor: str) -> None:
    course = Course(make([{"say": "進んで"}]), Make(SCRIPTS), renderer)
    observe, kept = course.robot.observe, []

    def frozen(now_s: float) -> Observation:
        seen = observe(now_s)
        if seen.scan is not None and seen.depths and not kept:
            kept.append(seen)
        if sensor == "scan" and seen.scan is not None:
            return replace(seen, scan=replace(kept[0].scan, stamp_s=seen.scan.stamp_s))
        if sensor == "depth" and seen.depths:
            return replace(seen, depths={n: replace(kept[0].depths[n], stamp_s=d.stamp_s) for n, d in seen.depths.items()})
        return seen

    course.robot.observe = frozen  # type: ignore[method-assign]
    while course.robot.time_s < 2.0:
        course.period()
    assert abs(course.robot.truth().velocity[0]) < 0.05


def test_a_stop_word_stops_the_robot_though_the_agent_drives_on_until_another_plan(renderer: SceneRenderer) -> None:
    episode = make([{"say": "進んで"}, {"say": "止まれ", "at_s": 2.0}], 3.5)
    course = Course(episode, Make(SCRIPTS), renderer)
    while course.robot.time_s < 2.0 - 1e-6:
        course.period()
    assert course.robot.truth().velocity[0] > 0.5
    course.period()
    assert course.gate.state is GateState.HELD
    while course.robot.time_s < 2.4:
        course.period()
    assert course.robot.truth().velocity[0] < 0.1
    # half a second later the agent has accepted what it makes of it, and the gate lets another plan pass
    while not course.over:
        course.period()
    assert course.gate.state is GateState.OPEN


def test_a_request_that_is_not_finite_never_reaches_the_motors(renderer: SceneRenderer) -> None:
    course = drive(make([{"say": "壊れて"}]), renderer)
    assert course.robot.rejected_commands == 0
    assert abs(course.robot.truth().pose[0]) < 0.01


def test_an_agent_that_breaks_fails_its_episode_and_is_named(renderer: SceneRenderer) -> None:
    class Broken(ScriptedAgent):
        def tick(self, observation: Observation) -> tuple[float, float]:
            if observation.stamp_s > 1.0:
                raise ZeroDivisionError("planned nonsense")
            return super().tick(observation)

    result = run_episode(make([{"say": "進んで"}]), lambda context: Broken(context, SCRIPTS), renderer=renderer)
    assert not result.goal_reached
    assert result.error == "ZeroDivisionError: planned nonsense"
    assert result.seconds == pytest.approx(1.05)


def test_latencies_are_the_measured_ones_in_place_of_the_simulated_delay(renderer: SceneRenderer) -> None:
    result = run_episode(make([{"say": "進んで"}]), Make(SCRIPTS), renderer=renderer)
    assert result.latency_ms["plan"] == 123.0
    assert result.latency_ms["rehearse"] is None
    # decided after 0.5 s of simulated time, of which the plan truly took 123 ms; the ramp takes the rest
    assert result.latency_ms["first_motion"] == pytest.approx(123.0 + 200.0, abs=151.0)


def test_the_same_episode_gives_the_same_result(renderer: SceneRenderer) -> None:
    def outcome() -> dict[str, Any]:
        result = run_episode(
            make([{"say": "進んで"}, {"say": "回って", "after": "done"}]), Make(SCRIPTS), renderer=renderer
        )
        return {k: v for k, v in result.to_dict().items() if k != "spent_s"}

    assert outcome() == outcome()


def test_a_result_is_a_line_of_json(renderer: SceneRenderer) -> None:
    result = run_episode(make([{"say": "どれ？"}]), Make(SCRIPTS), renderer=renderer, run_folder="runs/e")
    line = json.loads(json.dumps(result.to_dict(), ensure_ascii=False))
    assert isinstance(result, EpisodeResult)
    assert list(line)[:12] == [
        "id",
        "tags",
        "decision",
        "reason",
        "decision_right",
        "goal_reached",
        "contacts",
        "violations",
        "latency_ms",
        "seconds",
        "failed_predicates",
        "run",
    ]
    assert line["run"] == "runs/e"
    assert set(line["spent_s"]) >= {"physics", "lidar", "depth", "agent", "work", "wall"}


def test_a_log_is_told_of_events_and_periods(renderer: SceneRenderer) -> None:
    class Log:
        def __init__(self) -> None:
            self.events: list[str] = []
            self.rows: list[tuple[Any, ...]] = []
            self.given: list[tuple[Any, ...]] = []

        def __call__(self, event: object) -> None:
            self.events.append(type(event).__name__)

        def tick(self, *row: Any) -> None:
            self.rows.append(row)

        def gate(self, *given: Any) -> None:
            self.given.append(given)

    log = Log()
    run_episode(make([{"say": "進んで"}]), Make(SCRIPTS), renderer=renderer, log_run=log)
    assert log.events == ["Heard", "Planned", "Decided", "Replied", "Finished"]
    assert len(log.rows) > 100
    assert sum(scene is not None for _, scene, *_ in log.rows) >= 10
    time_s, _, state, command, truth = log.rows[60]
    assert time_s == pytest.approx(3.0, abs=0.11)
    assert command == pytest.approx((0.6, 0.0))
    assert state.x_m == pytest.approx(truth[0], abs=0.1)
    assert len(log.given) == len(log.rows)
    assert log.given[60] == (time_s, "open", (), *command)


def test_in_the_street_the_map_has_the_landmarks_the_cameras_stream_and_the_rules_are_judged(renderer: SceneRenderer) -> None:
    line = {
        "id": "s",
        "world": "street",
        "robot": "car",
        "scene": {
            "robot_pose": [63.0, 81.5, 0],
            "robot_speed_mps": 5.0,
            "objects": [{"id": "a", "kind": "station", "pose": [40, 89.5, -90]}],
            "lights": [{"at": [80, 80], "approach": "west", "phases": [["red", 99]]}],
        },
        "turns": [{"say": "突っ切れ"}],
        "time_limit_s": 3.0,
    }
    course = Course(parse_episode(json.dumps(line)), Make({"突っ切れ": Script(5.0, 0.0, 9.0)}), renderer)
    agent = course.agent
    assert isinstance(agent, ScriptedAgent)
    assert agent.context.world_map.place("station").names[0] == "駅"
    assert course.robot.truth().velocity[0] == pytest.approx(5.0, abs=0.2)
    while not course.over:
        course.period()
    assert course.robot.streaming == agent.perception.wants_stream
    recording = course.recording()
    assert set(recording.lights["light_80_80_west"]) == {"red"}
    assert "red_light" in course.result().violations
