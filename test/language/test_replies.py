"""What the robot says is short, polite Japanese that tells the whole plan."""

import re

import pytest

from jpai_agent.language import FAILURES, ask_or_refuse, failure, plan_reply
from jpai_agent.language.steps import phrase
from jpai_agent.plan import REASONS, ActionPlan, Step, Target

PLACES = {"dock": "充電ステーション", "office": "事務所"}
RED = Target("赤い箱", "front", (512, 634))
DOCK = Step("go_to", {"target": Target(place="dock")})


def said(*steps, reply=None):
    return plan_reply(ActionPlan("act", steps, reply=reply), PLACES, "dock")


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        (
            [Step("go_to", {"target": RED}), Step("wait", {"duration_s": 3.0}), DOCK],
            "赤い箱の手前まで行って、3秒待ってから、充電ステーションへ戻ります。",
        ),
        ([Step("go_to", {"target": RED, "standoff_m": 0.3})], "赤い箱の30センチ手前まで行きます。"),
        ([Step("go_to", {"target": RED, "side": "right"})], "赤い箱の右側まで行きます。"),
        (
            [Step("go_to", {"target": RED, "side": "behind", "standoff_m": 1.5})],
            "赤い箱の向こう側、1.5メートルのところまで行きます。",
        ),
        ([Step("go_to", {"target": Target(camera="front", point=(1, 2))})], "そこまで行きます。"),
        ([Step("go_to", {"target": Target("奥", place="office")})], "事務所まで行きます。"),
        (
            [Step("face", {"target": RED}), Step("say", {"text": "荷物です"})],
            "赤い箱のほうを向いて、「荷物です」と伝えます。",
        ),
        ([Step("follow", {"target": Target("青い服の人"), "duration_s": 30})], "青い服の人に30秒間ついていきます。"),
        (
            [Step("follow", {"target": Target("青い服の人"), "until": "target_stops"}), DOCK],
            "青い服の人が止まるまでついていって、充電ステーションへ戻ります。",
        ),
        (
            [Step("look_for", {"label": "バケツ"}), Step("go_to", {"target": Target("バケツ")})],
            "バケツを探して、バケツの手前まで行きます。",
        ),
        ([Step("turn", {"angle_deg": 90}), Step("move", {"distance_m": -0.5})], "左に90度回って、50センチ下がります。"),
        (
            [Step("turn", {"angle_deg": -45}), Step("move", {"distance_m": 2})],
            "右に45度回って、2メートル前に進みます。",
        ),
        ([Step("set_speed", {"factor": 0.5})], "速度を落とします。"),
        ([Step("set_speed", {"factor": 1.5})], "速度を上げます。"),
        ([Step("set_speed", {"speed_mps": 0.5})], "秒速0.5メートルで走ります。"),
        ([Step("wait", {"duration_s": 90}), Step("return_home")], "1分30秒待ってから、元の場所へ戻ります。"),
        ([Step("stop")], "止まります。"),
        ([Step("continue")], "続きを再開します。"),
    ],
)
def test_a_plan_is_told_step_by_step(steps, words):
    assert said(*steps) == words


def test_a_long_plan_is_told_in_several_sentences():
    words = said(*[Step("move", {"distance_m": 1.0}), Step("turn", {"angle_deg": -90})] * 3)
    assert words.count("。") == 2
    assert words.count("進") == words.count("回") == 3


def test_the_model_may_word_its_own_reply():
    assert said(DOCK, reply="ただいま戻ります。") == "ただいま戻ります。"


@pytest.mark.parametrize("decision", ["ask", "refuse"])
@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_has_its_words(decision, reason):
    words = plan_reply(ActionPlan(decision, reason=reason), PLACES)
    assert words == ask_or_refuse(decision, reason)
    assert words[-1] == ("？" if decision == "ask" else "。")


def test_a_label_is_named_where_there_is_one():
    assert ask_or_refuse("ask", "not_found", "赤い箱").startswith("赤い箱が見当たりません")
    assert failure("target_lost", "青い服の人") == "青い服の人を見失いました。止まっています。"
    assert failure("no_path") == "行ける道が見つかりません。"


@pytest.mark.parametrize("label", [None, "赤い箱"])
@pytest.mark.parametrize("code", [*FAILURES, "no such code"])
def test_a_failure_is_one_or_two_short_polite_sentences(code, label):
    words = failure(code, label)
    assert re.search(r"(です|ます|ません|ました|ください|お願いします|しょうか|ますか|ですか|でした)[。？]$", words)
    assert len(words) <= 45
    assert "{" not in words
    assert words.count("。") + words.count("？") <= 2


@pytest.mark.parametrize(("label", "name"), [
    ("赤い箱の手前ま", "赤い箱"), ("赤い箱の手前", "赤い箱"), ("コンビニの前に", "コンビニ"), ("青いコーンまで", "青いコーン"),
    ("箱のところ", "箱"), ("赤い箱", "赤い箱"), ("前のコーン", "前のコーン"), ("箱の前の人", "箱の前の人"), ("くるま", "くるま"),
    ("まで", "まで")])
def test_what_a_label_says_of_the_way_is_not_said_twice(label, name):
    step = Step("go_to", {"target": Target(label=label, camera="front", point=(500, 500))})
    assert phrase(step, {}, None, False).masu == f"{name}の手前まで行きます"
    assert failure("target_lost", label) == f"{name}を見失いました。止まっています。"


def test_an_instruction_that_is_read_back_is_read_as_it_is():
    assert failure("unsure", "赤い箱の手前まで") == "「赤い箱の手前まで」で、よろしいですか？"
