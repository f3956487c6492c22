"""`jpai voice` finds a graph that takes instructions and listens for it; where there is none it knows that."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("jpai_msgs")

from std_msgs.msg import String

from jpai_agent.nodes import topics, voice_link, voice_node
from jpai_agent.nodes.base import stamp_of
from jpai_agent.nodes.voice_link import VoiceLink, event_of
from jpai_agent.voice import hearing
from jpai_agent.voice.activity import Segmenter
from jpai_agent.voice.audio import RATE_HZ, write_wav
from jpai_agent.voice.recogniser import Transcript
from jpai_msgs.msg import Heard


class Same:
    """A recogniser that hears the same whatever is said."""

    name = "same"

    def transcribe(self, samples, hints=()) -> Transcript:
        return Transcript("赤い箱へ", 0.9)


@pytest.fixture
def quick(monkeypatch) -> None:
    """Nobody waits for those who are not there, and models are stood in for."""
    monkeypatch.setattr(voice_link, "ANSWERS_WITHIN_S", 0.1)
    monkeypatch.setattr(voice_link, "FOUND_WITHIN_S", 0.3)
    monkeypatch.setattr(voice_node, "load_hearing",
                        lambda *_, **__: hearing.Hearing(Segmenter(lambda x: float(np.abs(x).max() > 0.1)), Same()))


def test_a_file_is_heard_for_the_graph_that_is_there_and_told_on_the_way(graph, quick, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(voice_link, "FOUND_WITHIN_S", 10.0)
    heard: list[str] = []
    graph.node.create_subscription(String, topics.INSTRUCTION, lambda message: heard.append(message.data), topics.WORDS)
    write_wav(tmp_path / "a.wav", np.full(RATE_HZ, 0.5, np.float32))
    told: list[hearing.Event] = []
    with VoiceLink(graph.context.get_domain_id()) as link:
        assert link.graph and not link.has_ears
        link.hear(told.append, wav=str(tmp_path / "a.wav"))
        assert [event.text for event in told] == ["赤い箱へ"]
    assert graph.spin_until(lambda: heard)
    assert heard == ["赤い箱へ"]


def test_where_nobody_takes_instructions_there_is_no_graph(graph, quick) -> None:
    with VoiceLink(graph.context.get_domain_id()) as link:
        assert not link.graph


@pytest.mark.parametrize(("kind", "expected"), [(Heard.HEARD, hearing.Heard), (Heard.UNSURE, hearing.Unsure),
                                                (Heard.STOP, hearing.StopHeard), (Heard.DROPPED, hearing.Dropped)])
def test_what_a_graph_tells_is_read_as_what_its_ears_told(kind: int, expected: type) -> None:
    event = event_of(Heard(begun=stamp_of(12.0), ended=stamp_of(13.5), text="赤い箱へ", confidence=0.5, kind=kind), 10.0)
    assert type(event) is expected
    assert (event.text, event.confidence, event.begin_s, event.end_s) == ("赤い箱へ", 0.5, 2.0, 3.5)
