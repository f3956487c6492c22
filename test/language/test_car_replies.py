"""What a car says of its plans, read aloud: courteous, short, the way a driver would put it."""

from __future__ import annotations

import pytest

from jpai_agent.language import FAILURES, failure, plan_reply
from jpai_agent.plan import ActionPlan, Step, Target

PLACES = {"convenience_store": "コンビニ", "post_office": "郵便局", "slot_3": "3番", "parking": "駐車場"}
STORE, POST = Target(place="convenience_store"), Target(place="post_office")
TRUCK = Target("白いトラック", "front", (500, 500))


def said(*steps: Step) -> str:
    return plan_reply(ActionPlan("act", steps), PLACES, vehicle=True)


@pytest.mark.parametrize(("steps", "words"), [
    ([Step("turn_at", {"direction": "left", "at": "light"}), Step("pull_over", {"target": STORE})],
     "次の信号を左折して、コンビニの前に停めます。"),
    ([Step("turn_at", {"direction": "right", "nth": 2})], "2つ目の交差点を右折します。"),
    ([Step("turn_at", {"direction": "straight"})], "次の交差点を直進します。"),
    ([Step("turn_at", {"direction": "left", "target": POST, "when": "before"})], "郵便局の手前の角を左折します。"),
    ([Step("turn_at", {"direction": "left", "target": POST, "when": "after"})], "郵便局の先の角を左折します。"),
    ([Step("turn_at", {"direction": "left", "target": POST, "when": "at"})], "郵便局の角を左折します。"),
    ([Step("stop_at", {"at": "stop_line"})], "停止線で止まります。"),
    ([Step("stop_at", {"target": TRUCK, "standoff_m": 5.0})], "白いトラックの手前、5メートルのところで止まります。"),
    ([Step("pull_over", {})], "左に寄せて停めます。"),
    ([Step("pull_over", {"target": POST, "where": "after"})], "郵便局の先に停めます。"),
    ([Step("park", {"target": Target(place="slot_3")})], "3番に停めます。"),
    ([Step("park", {"target": Target(place="parking")})], "駐車場の空いている枠に停めます。"),
    ([Step("u_turn", {})], "Uターンします。"),
    ([Step("follow", {"target": TRUCK, "until": "target_turns"})], "白いトラックが曲がるまでついていきます。"),
    ([Step("follow", {"target": TRUCK, "duration_s": 30.0})], "白いトラックに30秒間ついていきます。"),
    ([Step("drive", {})], "道なりに進みます。"),
    ([Step("drive", {"distance_m": 50.0})], "50メートル進みます。"),
    ([Step("set_speed", {"speed": 20.0})], "時速20キロで走ります。"),
    ([Step("set_speed", {"factor": 0.8})], "速度を落とします。"),
    ([Step("continue", {})], "このまま走ります。"),
    ([Step("pull_over", {"target": STORE}), Step("wait", {"duration_s": 60.0}), Step("drive", {})],
     "コンビニの前に停めて、1分待ってから、道なりに進みます。"),
])
def test_a_car_tells_its_plan(steps, words):
    assert said(*steps) == words


@pytest.mark.parametrize("code", ["no_road", "no_landmark", "behind", "slot_taken", "no_free_slot", "too_fast", "road_end"])
def test_what_the_road_does_not_allow_has_words_of_its_own(code):
    assert code in FAILURES
    assert failure(code).endswith(("。", "？"))


def test_a_landmark_that_the_map_lacks_is_named():
    assert failure("no_landmark", "病院") == "地図に病院が見当たりません。別の目印を教えていただけますか？"
