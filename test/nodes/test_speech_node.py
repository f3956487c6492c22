"""The node that speaks: replies become sound, and somebody who stops or speaks silences it."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rclpy.parameter import Parameter
from std_msgs.msg import Bool, String

from jpai_agent.nodes import topics
from jpai_agent.nodes.enclaves import declared, read_policy
from jpai_agent.nodes.speech_node import INDEX, SpeechNode
from jpai_agent.world.known import WORLDS
from jpai_agent.world.paths import resource
from jpai_msgs.msg import Heard, Reply

LONG = "赤い箱の手前まで行って、3秒待ってから、充電ステーションへ戻ります。そのあと、右に90度回ります。"


class Spoken:
    """A node that speaks into a folder, and somebody who hears it."""

    def __init__(self, graph: Any, folder: Path) -> None:
        self.graph, self.folder = graph, folder
        self.told: list[str] = []
        make = graph.node.create_publisher
        self.replies = make(Reply, topics.REPLY, topics.WORDS)
        self.silencers: dict[str, tuple[Any, Any]] = {
            "stop": (make(String, topics.STOP, topics.WORDS), String(data="voice: 止まれ")),
            "activity": (make(Bool, topics.VOICE_ACTIVITY, topics.WORDS), Bool(data=True)),
            "heard": (make(Heard, topics.HEARD, topics.WORDS), Heard(kind=Heard.HEARD, text="違う")),
        }
        graph.node.create_subscription(String, topics.SPEAKING, lambda message: self.told.append(message.data), topics.LATCHED)
        self.node = graph.add(SpeechNode(context=graph.context, parameter_overrides=[Parameter("out", value=str(folder))]))
        assert graph.spin_until(self.node.hears, 30.0)
        assert graph.spin_until(lambda: self.replies.get_subscription_count() and graph.node.count_publishers(topics.SPEAKING))
        for topic in (topics.STOP, topics.VOICE_ACTIVITY, topics.HEARD):
            assert graph.spin_until(lambda topic=topic: graph.node.count_subscribers(topic))

    def say(self, text: str) -> None:
        self.replies.publish(Reply(text=text))

    def until_told(self, count: int) -> bool:
        return self.graph.spin_until(lambda: len(self.told) >= count, 30.0)

    def index(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / INDEX).read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def spoken(graph, tmp_path: Path):
    pytest.importorskip("pyopenjtalk")
    made = Spoken(graph, tmp_path / "speech")
    yield made
    made.node.close()


def test_a_reply_is_announced_spoken_and_noted(spoken: Spoken) -> None:
    spoken.say("はい。")
    assert spoken.until_told(2)
    assert spoken.told == ["はい。\nハイ。", ""]
    (line,) = spoken.index()
    assert (line["words"], line["whole"]) == ("はい。", True)
    assert (spoken.folder / line["file"]).is_file()


@pytest.mark.parametrize("how", ["stop", "activity", "heard"])
def test_who_stops_it_or_speaks_silences_it_and_its_answer_is_heard(spoken: Spoken, how: str) -> None:
    spoken.say(LONG)
    spoken.say(LONG)
    assert spoken.until_told(1)
    publisher, message = spoken.silencers[how]
    publisher.publish(message)
    assert spoken.until_told(2)
    spoken.say("はい。")
    assert spoken.until_told(4)
    assert [text.split("\n")[0] for text in spoken.told] == [LONG, "", "はい。", ""]
    assert [line["whole"] for line in spoken.index()] == [False, True]


def test_what_was_not_taken_does_not_silence_it(spoken: Spoken) -> None:
    spoken.say("はい。")
    assert spoken.until_told(1)
    spoken.graph.node.create_publisher(Heard, topics.HEARD, topics.WORDS).publish(Heard(kind=Heard.DROPPED, text="はい"))
    assert spoken.until_told(2)
    assert spoken.index()[0]["whole"]


def test_without_the_voice_extra_the_node_is_up_and_silent(graph, monkeypatch: pytest.MonkeyPatch, capfd) -> None:
    monkeypatch.setitem(sys.modules, "pyopenjtalk", None)
    node = graph.add(SpeechNode(context=graph.context))
    assert graph.spin_until(node.hears)
    node.close()
    assert "nothing is said aloud: the voice extra is not installed" in capfd.readouterr().err


def test_a_manner_that_is_wrong_is_named(graph, tmp_path: Path) -> None:
    file = tmp_path / "speech.yaml"
    file.write_text("speed: 9", encoding="utf-8")
    with pytest.raises(ValueError, match=r"speech\.yaml: speed"):
        SpeechNode(context=graph.context, parameter_overrides=[Parameter("speech_file", value=str(file))])


@pytest.mark.parametrize("robot", sorted(WORLDS))
def test_its_policy_is_what_it_declares(graph, robot: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyopenjtalk", None)
    node = graph.add(SpeechNode(context=graph.context))
    policy = read_policy(resource("config", "security", f"{robot}.policy.xml"))["speech_node"]
    # it follows the clock of the simulation only in the graph
    policy = replace(policy, subscribe=policy.subscribe - {topics.CLOCK})
    assert graph.spin_until(lambda: declared(graph.node, "speech_node") == policy)
    node.close()
