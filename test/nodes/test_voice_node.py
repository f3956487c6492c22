"""What is said reaches the graph as typed words do, once, with its confidence; without a microphone the graph has typed words."""

from __future__ import annotations

import sys
import types
from queue import Empty, SimpleQueue

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("jpai_msgs")

from rclpy.lifecycle import TransitionCallbackReturn
from std_msgs.msg import Bool, Int16MultiArray, String

from jpai_agent.nodes import topics, voice_node
from jpai_agent.nodes.base import seconds
from jpai_agent.nodes.voice_node import TopicSource, VoiceNode, message_type
from jpai_agent.voice.activity import Segmenter
from jpai_agent.voice.audio import RATE_HZ, AudioError, Samples, write_wav
from jpai_agent.voice.hearing import Heard as Said
from jpai_agent.voice.hearing import Hearing
from jpai_agent.voice.recogniser import RecogniserError, Transcript
from jpai_msgs.msg import GateStatus, Heard

LEVELS = {
    "赤い箱へ": (0.2, 0.9), "青い箱へ": (0.3, 0.6), "うん": (0.4, 0.1), "止まれ": (0.5, 0.9), "人だ、止まって、右へ": (0.6, 0.6),
    "人だ、止まって": (0.7, 0.9),
}


class ByLevel:
    """A recogniser that knows what was said by how loud it was."""

    name = "by level"

    def transcribe(self, samples: Samples, hints=()) -> Transcript:
        text = min(LEVELS, key=lambda words: abs(LEVELS[words][0] - float(np.abs(samples).max())))
        return Transcript(text, LEVELS[text][1])


def loud(samples: Samples) -> float:
    return float(np.abs(samples).max() > 0.1)


def said(text: str) -> Samples:
    return np.full(RATE_HZ // 2, LEVELS[text][0], np.float32)


class Room:
    """A node that hears, and somebody who speaks to it through a topic and watches what it tells."""

    def __init__(self, graph, monkeypatch, load=None, **parameters) -> None:
        def made(config, *, own, moving, **_):
            return Hearing(Segmenter(loud), ByLevel(), own=own, moving=moving)

        monkeypatch.setattr(voice_node, "load_hearing", load or made)
        self.graph, self.instructions, self.stops, self.heard, self.activity = graph, [], [], [], []
        listen = graph.node.create_subscription
        listen(String, topics.INSTRUCTION, lambda m: self.instructions.append(m.data), topics.WORDS)
        listen(String, topics.STOP, lambda m: self.stops.append(m.data), topics.WORDS)
        listen(Heard, topics.HEARD, self.heard.append, topics.WORDS)
        listen(Bool, topics.VOICE_ACTIVITY, lambda m: self.activity.append(m.data), topics.WORDS)
        self.sound = graph.node.create_publisher(Int16MultiArray, topics.SPEECH_IN, topics.AUDIO)
        self.speaking = graph.node.create_publisher(String, topics.SPEAKING, topics.LATCHED)
        self.gate = graph.node.create_publisher(GateStatus, topics.GATE_STATUS, topics.LATCHED)
        if "wav" not in parameters and "device" not in parameters:
            parameters = {"audio_topic": topics.SPEECH_IN} | parameters
        overrides = [rclpy_parameter(name, value) for name, value in parameters.items()]
        self.node = graph.add(VoiceNode(context=graph.context, parameter_overrides=overrides))
        assert graph.spin_until(self.node.hears)

    def say(self, text: str) -> None:
        assert self.graph.spin_until(lambda: self.sound.get_subscription_count() > 0)
        self.sound.publish(Int16MultiArray(data=np.round(said(text) * 32768).astype(np.int16).tolist()))

    def hear(self, text: str) -> Heard:
        """Say something, and what the node tells of it at last, with all that goes with it."""
        told, ended = len(self.heard), self.activity.count(False)
        self.say(text)
        assert self.graph.spin_until(lambda: self.heard[told:] and self.heard[-1].kind != Heard.STOP)
        count = [told.kind for told in self.heard].count
        assert self.graph.spin_until(lambda: len(self.stops) == count(Heard.STOP))
        assert self.graph.spin_until(lambda: len(self.instructions) == count(Heard.HEARD))
        assert self.graph.spin_until(lambda: self.activity.count(False) > ended)
        return self.heard[-1]

    def tell(self, publisher, message, taken) -> None:
        """Send a message and wait until the node has taken it in."""
        assert self.graph.spin_until(lambda: publisher.get_subscription_count() > 0)
        publisher.publish(message)
        assert self.graph.spin_until(taken)


def rclpy_parameter(name: str, value):
    from rclpy.parameter import Parameter

    return Parameter(name, value=value)


@pytest.fixture
def room(graph, monkeypatch):
    made: list[Room] = []

    def furnish(**options) -> Room:
        made.append(Room(graph, monkeypatch, **options))
        return made[-1]

    yield furnish
    for one in made:
        one.node.close()


def test_what_is_certain_is_an_instruction_what_is_not_is_left_to_the_agent_and_the_rest_is_only_told(room) -> None:
    here = room()
    clear = here.hear("赤い箱へ")
    assert (clear.kind, clear.text, round(clear.confidence, 2)) == (Heard.HEARD, "赤い箱へ", 0.9)
    length_s = (clear.ended.sec - clear.begun.sec) + (clear.ended.nanosec - clear.begun.nanosec) * 1e-9
    assert length_s == pytest.approx(0.5, abs=0.1)
    assert here.hear("青い箱へ").kind == Heard.UNSURE
    dropped = here.hear("うん")
    assert (dropped.kind, dropped.reason) == (Heard.DROPPED, "unclear")
    assert here.instructions == ["赤い箱へ"]
    assert here.stops == []
    assert here.activity == [True, False] * 3


def test_a_stop_goes_to_the_gate_by_itself_and_is_answered_as_a_typed_one_is(room) -> None:
    here = room()
    here.hear("止まれ")
    assert here.stops == ["voice: 止まれ"]
    assert here.instructions == ["止まれ"]
    assert [told.kind for told in here.heard] == [Heard.STOP, Heard.HEARD]


@pytest.mark.parametrize(("v_mps", "stops"), [(0.5, ["voice: 人だ、止まって、右へ"]), (0.0, [])])
def test_a_stop_within_an_uncertain_sentence_counts_while_the_gate_lets_the_robot_move(room, v_mps: float, stops) -> None:
    here = room()
    here.tell(here.gate, GateStatus(v_mps=v_mps), lambda: here.node._moving == (v_mps > 0))
    here.hear("人だ、止まって、右へ")
    assert here.stops == stops
    assert here.instructions == []


def test_its_own_voice_is_no_instruction(room) -> None:
    here = room()
    here.tell(here.speaking, String(data="赤い箱へ行きます\nアカイハコエイキマス"), lambda: here.node._own.speaking)
    here.say("赤い箱へ")
    assert here.graph.spin_until(lambda: here.heard)
    assert (here.heard[-1].kind, here.heard[-1].reason) == (Heard.DROPPED, "own_voice")
    assert here.instructions == [] and True not in here.activity
    here.tell(here.speaking, String(data=""), lambda: not here.node._own.speaking)
    here.hear("止まれ")
    assert here.instructions == ["止まれ"]


def test_a_person_who_silences_it_is_heard_to_the_end_of_the_sentence(room) -> None:
    here = room()
    here.tell(here.speaking, String(data="進みます\nススミマス"), lambda: here.node._own.speaking)
    here.say("赤い箱へ")
    here.say("赤い箱へ")
    assert here.graph.spin_until(lambda: here.activity == [True])
    here.tell(here.speaking, String(data=""), lambda: not here.node._ear._inbox.empty())
    said = here.hear("赤い箱へ")
    assert here.instructions == ["赤い箱へ"]
    assert seconds(said.ended) - seconds(said.begun) == pytest.approx(1.5, abs=0.2)


def test_after_it_is_deactivated_only_stops_are_passed_on_until_it_is_active_again(room) -> None:
    here = room()
    here.tell(here.gate, GateStatus(v_mps=0.5), lambda: here.node._moving)
    told = []
    here.node.watch = told.append
    assert here.node.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
    for at, text in enumerate(("赤い箱へ", "人だ、止まって", "止まれ"), 1):
        here.say(text)
        assert here.graph.spin_until(lambda at=at: sum(isinstance(event, Said) for event in told) == at)
    assert here.graph.spin_until(lambda: here.stops == ["voice: 人だ、止まって", "voice: 止まれ"])
    assert here.node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    here.tell(here.gate, GateStatus(), lambda: not here.node._moving)
    here.stops.clear()
    here.hear("赤い箱へ")
    assert here.instructions == ["赤い箱へ"] and len(here.heard) == 1 and here.activity.count(True) == 1


def test_a_file_is_heard_as_fast_as_it_was_spoken(room, tmp_path) -> None:
    write_wav(tmp_path / "a.wav", np.concatenate([np.zeros(1600, np.float32), said("赤い箱へ")]))
    here = room(wav=str(tmp_path / "a.wav"))
    assert here.graph.spin_until(lambda: here.instructions)
    assert here.instructions == ["赤い箱へ"]


@pytest.mark.parametrize("load", [None, RecogniserError("no recogniser at /models/none"), AudioError("no package silero-vad")])
def test_without_a_microphone_or_a_model_the_node_is_up_and_says_why(room, monkeypatch, capfd, load) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)

    def fails(*_, **__):
        raise load

    here = room(device="USB", **({"load": fails} if load else {}))
    assert not here.node.listens
    told = capfd.readouterr().err
    assert (str(load) if load else "the voice extra is not installed") in told
    assert "typed words still work" in told


def test_an_audio_topic_whose_messages_are_not_installed_is_named(room, monkeypatch, capfd) -> None:
    monkeypatch.setitem(sys.modules, "audio_common_msgs.msg", None)
    room(audio_type="audio_common_msgs/AudioData")
    assert "messages audio_common_msgs/AudioData are not installed" in capfd.readouterr().err


class Paced(SimpleQueue):
    """A queue that gets its things when they are due, on a clock of its own; then it is closed."""

    def __init__(self, *due: tuple[float, Samples]) -> None:
        self.due, self.now_s = list(due), 0.0

    def get(self, timeout: float) -> Samples | None:
        if not self.due:
            return None
        if self.due[0][0] > self.now_s + timeout + 1e-9:
            self.now_s += timeout
            raise Empty
        self.now_s, piece = self.due.pop(0)
        return piece


def test_silence_is_put_in_where_a_topic_pauses_not_between_its_pieces_however_long_they_are() -> None:
    source, piece = TopicSource(RATE_HZ), np.full(RATE_HZ // 2, 0.5, np.float32)
    source._pieces = Paced((0.1, piece), (0.6, piece), (1.15, piece), (2.6, piece))
    is_quiet = np.concatenate([block.samples for block in source.blocks()]) == 0.0
    begins, ends = np.flatnonzero(np.diff(is_quiet)) / RATE_HZ
    assert begins == pytest.approx(1.5, abs=0.01)
    # a pause is known 0.2 s after the last piece has passed
    assert ends - begins == pytest.approx(0.8, abs=0.01)


def test_the_messages_of_audio_common_are_understood_where_they_are(monkeypatch) -> None:
    package = types.ModuleType("audio_common_msgs.msg")
    vars(package).update(AudioData=type("AudioData", (), {}), AudioStamped=type("AudioStamped", (), {}))
    monkeypatch.setitem(sys.modules, "audio_common_msgs", types.ModuleType("audio_common_msgs"))
    monkeypatch.setitem(sys.modules, "audio_common_msgs.msg", package)
    faults: list[str] = []
    _, data = message_type("audio_common_msgs/AudioData", 16000, faults.append)
    sound = np.array([1, -2], "<i2").tobytes()
    assert data(types.SimpleNamespace(data=sound)).tolist() == [1, -2]
    _, samples = message_type("audio_common_msgs/AudioStamped", 16000, faults.append)

    def stamped(rate_hz: int, **data: list[int]) -> list[int]:
        inner = types.SimpleNamespace(audio_data=types.SimpleNamespace(**data), info=types.SimpleNamespace(rate=rate_hz))
        return samples(types.SimpleNamespace(audio=inner)).tolist()

    assert stamped(16000, int16_data=[3, -4]) == stamped(0, int16_data=[3, -4]) == [3, -4]
    assert faults == []
    assert data(types.SimpleNamespace(data=sound + b"x")).tolist() == [1, -2]
    assert stamped(48000, int16_data=[3, -4]) == stamped(16000, int16_data=[], float32_data=[0.5]) == []
    assert [next(word for word in ("odd", "48000 Hz", "int16_data") if word in fault) for fault in faults] == [
        "odd", "48000 Hz", "int16_data"]
    with pytest.raises(AudioError, match="of type a/B"):
        message_type("a/B", 16000, faults.append)


def test_what_is_wrong_with_every_message_of_a_topic_is_said_once(room, monkeypatch, capfd) -> None:
    def broken(name, rate_hz, complain):
        return Int16MultiArray, lambda message: complain("odd") or np.asarray(message.data, np.int16)

    monkeypatch.setattr(voice_node, "message_type", broken)
    here = room()
    here.hear("赤い箱へ")
    here.hear("赤い箱へ")
    assert capfd.readouterr().err.count("odd; typed words still work") == 1
