"""The graph drives a car: it waits at a red light, goes on along its lane when the plan is done, and stops at a word."""

from __future__ import annotations

import json

import pytest
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import String

from jpai_agent.nodes import topics
from jpai_msgs.msg import ErrorCode, GateStatus, Verdict
from jpai_msgs.srv import ResetSimulation

HEAD, LINE_X, FRONT_M = "light_80_80_west", 71.0, 2.95
SHOP_Y, SHOP_HALF_M = 135.0, 4.0
SCENE = {
    "robot_pose": [38.0, 81.5, 0.0],
    # red for as long as it takes to be there, and to stand there
    "lights": [{"at": [80, 80], "approach": "west", "phases": [["red", 26], ["green", 600]]}],
    "objects": [{"id": "shop", "kind": "convenience_store", "color": "blue", "pose": [70.5, SHOP_Y, 0]}],
}
LEFT, SHOP, WRONG_WAY = "次の信号を左", "コンビニの前で停めて", "逆走して"
PLANS = {
    LEFT: ("act", [{"skill": "turn_at", "direction": "left", "at": "light"}], None),
    SHOP: ("act", [{"skill": "stop_at", "target": {"label": "コンビニ", "place": "convenience_store"}}], None),
    WRONG_WAY: ("refuse", [], "not_permitted"),
}


@pytest.fixture(scope="module")
def world() -> str:
    return "street"


@pytest.fixture(scope="module")
def graph_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("street")
    keys = ("decision", "steps", "reason")
    table = {said: json.dumps(dict(zip(keys, plan, strict=True)), ensure_ascii=False) for said, plan in PLANS.items()}
    (folder / "table.json").write_text(json.dumps(table, ensure_ascii=False), encoding="utf-8")
    (folder / "scene.json").write_text(json.dumps(SCENE, ensure_ascii=False), encoding="utf-8")
    return folder


@pytest.fixture
def driver(one_person):
    """Somebody in a car that stands before a light that has just turned red."""
    assert one_person.call(ResetSimulation, topics.SIM_RESET, ResetSimulation.Request()).success
    assert one_person.until(lambda: light(one_person) == "red")
    return one_person


def light(person) -> str:
    """What the car has read of the light before it."""
    return next((seen.state for seen in person.scene.lights if seen.id == HEAD), "unknown")


def test_a_car_waits_at_red_goes_on_when_its_plan_is_done_and_stops_at_a_word(driver):
    goal = driver.goal(LEFT)
    seen: list[tuple[str, float, float]] = []

    def done() -> bool:
        robot = driver.scene.robot
        seen.append((light(driver), robot.x_m + FRONT_M, robot.v_mps))
        return goal.ended()

    assert driver.until(done, 90.0), driver.scene.robot
    result = goal.result()
    assert result.error_code == ErrorCode.NONE, result.error_msg
    assert result.verdict.status == Verdict.PASS
    at_red = [(front, v) for state, front, v in seen if state == "red"]
    # it came to the line, stood there, and was never over it
    assert LINE_X - 3.0 < max(front for front, _ in at_red) < LINE_X
    assert min(v for front, v in at_red if front > LINE_X - 3.0) < 0.1
    # the plan is done, and the car drives north
    assert driver.moves
    y_m = driver.where()[1]
    assert driver.until(lambda: driver.scene.robot.y_m > y_m + 3.0, 10.0)
    driver.words.publish(String(data="止まれ！"))
    assert driver.until(lambda: driver.gate.state == GateStatus.HELD and not driver.moves, 5.0)
    assert driver.stands()
    # and goes on with what it is told next
    assert driver.goal(SHOP).result(60.0).error_code == ErrorCode.NONE
    assert driver.stands()
    x_m, y_m = driver.where()
    assert x_m == pytest.approx(78.5, abs=0.4)
    assert SHOP_Y - SHOP_HALF_M - 6.0 < y_m + FRONT_M < SHOP_Y - SHOP_HALF_M


def test_what_the_law_forbids_is_refused_and_moves_nothing(driver):
    result = driver.goal(WRONG_WAY).result()
    assert result.error_code == ErrorCode.REFUSED
    assert result.reply
    assert driver.stands()


def test_the_cars_lidar_is_a_cloud_with_its_rows(driver):
    clouds: list[PointCloud2] = []
    heard = driver.node.create_subscription(PointCloud2, topics.POINTS, clouds.append, topics.SENSOR)
    assert driver.until(lambda: clouds)
    assert (clouds[0].height, clouds[0].width, clouds[0].header.frame_id) == (4, 720, "base_link")
    driver.node.destroy_subscription(heard)


def test_what_the_nodes_declare_is_what_their_policy_permits(one_person):
    assert one_person.until(lambda: not one_person.beyond_policy("car"), 30.0), one_person.beyond_policy("car")
