"""A car that loses its camera or its odometry while it drives comes to rest by itself, comfortably where it still can."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from jpai_agent.agent import Agent
from jpai_agent.language import failure
from jpai_agent.sim.driving import FixedPlan
from jpai_agent.sim.episode import parse_episode
from jpai_agent.sim.limits import speed_gain
from jpai_agent.sim.runner import AgentContext, Course

LOST_S, LIMIT_S = 6.0, 12.0
EPISODE = {
    "id": "lost", "world": "street", "robot": "car", "seed": 3, "tags": [],
    "scene": {"robot_pose": [78.5, -30.0, 90.0], "objects": []},
    "turns": [{"say": "走って"}], "time_limit_s": LIMIT_S, "expect": {"decision": "act"},
}


def drive(lost: str):
    """The recording of a drive that loses a sensor after LOST_S, and what the car said."""
    said: list[str] = []

    def agent(context: AgentContext) -> Agent:
        made = Agent(context.robot, context.world_map, FixedPlan([{"skill": "drive"}]), context.worker, context.capture,
                     context.observers)
        made.observers.append(lambda event: said.append(getattr(event, "text", "")))
        return made

    course = Course(parse_episode(json.dumps(EPISODE)), agent)
    observe = course.robot.observe

    def without(now_s: float):
        seen = observe(now_s)
        if now_s < LOST_S:
            return seen
        return replace(seen, depths={}) if lost == "camera" else replace(seen, odometry=None)

    course.robot.observe = without
    try:
        while not course.over:
            course.period()
        return course.recording(), said
    finally:
        course.robot.close()


@pytest.fixture(scope="module")
def blind():
    return drive("camera")


@pytest.fixture(scope="module")
def lost():
    return drive("odometry")


def test_without_its_camera_it_brakes_comfortably_on_the_kerb_side_and_says_so(blind):
    recording, said = blind
    assert recording.speed[recording.times < LOST_S][-1] > 5.0
    assert recording.speed[-1] < 0.05
    assert (-speed_gain(recording)).max() < 3.3
    # northbound: the lane's middle is x = 78.5, the kerb is to the west
    assert recording.poses[-1, 0] < 78.6
    assert failure("camera_lost") in said
    assert recording.contacts == ()


def test_without_odometry_it_stops_at_once(lost):
    recording, _ = lost
    stopped_s = float(recording.times[(recording.times > LOST_S) & (recording.speed < 0.05)][0])
    assert stopped_s - LOST_S < 2.6
    assert recording.speed[-1] < 0.05
