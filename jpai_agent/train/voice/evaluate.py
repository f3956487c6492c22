"""How well the embedded recogniser hears: held-out authors' instructions in voices and rooms that it never heard.

What counts is what follows: whether the embedded model makes the same plan of what was heard as of the written sentence,
over the same camera frame.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from jpai_agent.plan import ActionPlan, PlanError, SkillSpec, parse_plan
from jpai_agent.skills import skills_for
from jpai_agent.train.cli import courses_of
from jpai_agent.train.corpus import held_out_authors, load_corpus
from jpai_agent.train.courses import validation_samples
from jpai_agent.train.exported import request_of
from jpai_agent.train.instruct import Instructor
from jpai_agent.train.sample import Sample
from jpai_agent.train.talk import TALKS
from jpai_agent.train.voice.acoustics import Surroundings, add_noise, through
from jpai_agent.train.voice.readings import as_spoken
from jpai_agent.train.voice.sentences import MISSPELT, written
from jpai_agent.train.voice.speech import RATE_HZ, Speaker, kana
from jpai_agent.train.voice.voices import HELD_OUT_VOICES, Voice
from jpai_agent.vlm import VlmError
from jpai_agent.voice.audio import read_wav
from jpai_agent.voice.embedded import DESCRIPTION, write_description
from jpai_agent.voice.hints import hints
from jpai_agent.voice.letters import distance
from jpai_agent.voice.recogniser import Recogniser, Transcript
from jpai_agent.voice.spelling import as_read, spelled
from jpai_agent.world.map import load_map

HELD_OUT_SURROUNDINGS = 9_001  # seed of the rooms and noises; training draws its own from another
ROOM_SHARE = 0.5
_NEAR = 60  # thousandths of the picture: points this near to one another mean the same
# what can be spoken as Japanese: kana, kanji, digits, units and the usual marks
_SPEAKABLE = re.compile(r"[ぁ-んァ-ヶー一-鿿々0-9０-９.．、。！？!?…「」・〜~ 　U]|m/s|km|cm|[mｍ]|ｃｍ|°|OK")


@dataclass(frozen=True)
class Spoken:
    """An instruction over a frame. `plan` is what the model makes of the written sentence."""

    sample: Sample
    picture: np.ndarray
    plan: str


@dataclass(frozen=True)
class Heard:
    """What was heard of it, how surely, how far from what should have been written, and whether the plan is the same."""

    spoken: Spoken
    text: str
    confidence: float
    wrong: int
    length: int
    same: bool


def speakable(text: str) -> bool:
    """Whether a person can read it aloud in Japanese: no foreign script, addresses, code or symbols."""
    return not _SPEAKABLE.sub("", text) and bool(spelled(text)) and len(text) <= 60


def instructions(frames: Path, robot: str, count: int, backend: Any, seed: int = 7, held_out: bool = True) -> list[Spoken]:
    """`count` instructions in the held-out authors' words (else the training authors') over validation frames below
    `frames`, with the plan that the written sentence gets."""
    (course,) = courses_of(frames, (robot,), held_out)
    # as the authors spell it: what differs between spellings of the same sounds cannot be heard
    corpus = load_corpus(robot, held_out_authors(robot) if held_out else None)
    course = replace(course, asks=Instructor(corpus, TALKS[robot], 0.0))
    found: list[Spoken] = []
    for shard, samples in validation_samples(course, 2 * count, 2, seed):
        for sample in samples:
            if len(found) < count and speakable(sample.instruction) and not MISSPELT & set(sample.tags):
                picture = shard.frames[sample.frame].copy()
                found.append(Spoken(sample, picture, plan_of(backend, sample, picture, sample.instruction)))
    return found


def words_of_robots() -> dict[str, list[str]]:
    """The words that each robot's recogniser leans towards, as its nodes give them."""
    return {robot: hints(load_map(world), skills_for(robot).values()) for robot, world in (("cart", "yard"), ("car", "street"))}


def plan_of(backend: Any, sample: Sample, picture: np.ndarray, text: str) -> str:
    """The model's answer to this text instead of the sample's; "" where it gives none."""
    try:
        return str(backend.plan(request_of(replace(sample, instruction=text), picture)).text)
    except VlmError:
        return ""


def same_plan(one: str, other: str, skills: dict[str, SkillSpec]) -> bool:
    """Whether two answers come to the same: decision, reason, skills, arguments; points on the same spot; texts and labels
    without points the same when spoken."""
    try:
        a, b = parse_plan(one, skills), parse_plan(other, skills)
    except PlanError:
        return one == other
    return (a.decision, a.reason, len(a.steps)) == (b.decision, b.reason, len(b.steps)) and _steps(a, b)


def _steps(a: ActionPlan, b: ActionPlan) -> bool:
    for x, y in zip(a.steps, b.steps, strict=True):
        if x.skill != y.skill or set(x.args) != set(y.args):
            return False
        for name, value in x.args.items():
            if name != "target" and not _alike(value, y.args[name]):
                return False
        p, q = x.target, y.target
        if (p is None) != (q is None):
            return False
        if p is None or q is None:
            continue
        if p.place != q.place or (p.point is None) != (q.point is None):
            return False
        if p.point is not None and q.point is not None:
            if max(abs(p.point[0] - q.point[0]), abs(p.point[1] - q.point[1])) > _NEAR:
                return False
        elif not _alike(p.label or "", q.label or ""):
            return False
    return True


def _alike(a: Any, b: Any) -> bool:
    if isinstance(a, str) and isinstance(b, str):
        return a == b or kana(spelled(a)) == kana(spelled(b))
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return abs(a - b) < 1e-3
    return bool(a == b)


def hear(spoken: Sequence[Spoken], say: Callable[[int, str], np.ndarray], recogniser: Recogniser, backend: Any,
         words: Mapping[str, Sequence[str]]) -> list[Heard]:
    """Each instruction said by `say(index, text)`, recognised, and planned for."""

    found = []
    for index, one in enumerate(spoken):
        text = one.sample.instruction
        transcript = recogniser.transcribe(say(index, text), words.get(one.sample.robot, ()))
        wanted, got = (spelled(written(t)).replace("、", "") for t in (text, transcript.text))
        same = got == wanted
        if transcript.text != text:
            plan = plan_of(backend, one.sample, one.picture, transcript.text) if transcript.text else ""
            same = bool(plan) and same_plan(one.plan, plan, dict(skills_for(one.sample.robot)))
        else:
            same = True
        found.append(Heard(one, transcript.text, transcript.confidence, distance(got, wanted), len(wanted), same))
    return found


class Perfect:
    """Hears every one of these sentences right, in the recogniser's spelling: what is lost then, the spelling loses."""

    name = "perfect"

    def __init__(self, spoken: Sequence[Spoken]) -> None:
        self._texts = iter([as_read(written(one.sample.instruction)) for one in spoken])

    def transcribe(self, samples: np.ndarray, hints: Sequence[str] = ()) -> Transcript:
        """The next sentence, whatever the samples."""
        return Transcript(next(self._texts), 1.0)


def unsaid(_index: int, _text: str) -> np.ndarray:
    """No sound, for a recogniser that needs none."""
    return np.zeros(0, np.float32)


class Voices:
    """Says sentences in held-out voices and rooms; the same sentence by its index always in the same way."""

    def __init__(self, seed: int = 99, voices: Sequence[Voice] = HELD_OUT_VOICES, snr_db: float | None = None,
                 folder: Path = Path(".cache/voice/voices")) -> None:
        """`snr_db`: of noise of all colours and babble, None: clean. Half of the sentences are said in a room."""
        self._seed, self._voices, self._snr_db, self._speaker = seed, voices, snr_db, Speaker(folder)
        rng = np.random.default_rng(seed)
        others = [self._speaker.say(text, voices[i % len(voices)], rng) for i, text in enumerate(_BABBLE)]
        self._around = Surroundings.draw(HELD_OUT_SURROUNDINGS, others, rooms=60)

    def __call__(self, index: int, text: str) -> np.ndarray:
        rng = np.random.default_rng([self._seed, index])
        voice = self._voices[int(rng.integers(len(self._voices)))]
        samples = np.pad(self._speaker.say(text, voice, rng), 3_200)
        if rng.random() < ROOM_SHARE:
            samples = through(samples, self._around.rooms[int(rng.integers(len(self._around.rooms)))])
        if self._snr_db is not None:
            samples = add_noise(samples, self._around.noise(len(samples), rng), self._snr_db)
        return (samples * (0.5 / max(float(np.abs(samples).max()), 1e-6))).astype(np.float32)


_BABBLE = ("昨日のドラマ、最後どうなったの",
           "お昼はうどんにしようか", "明日の天気は晴れだそうですよ", "その件は来週までにお返事します",
           "電車が遅れていて困りました", "新しい靴を買ったんだ", "会議室の予約は取れましたか", "犬の散歩に行ってくるね")


def espeak(_index: int, text: str) -> np.ndarray:
    """The text in espeak-ng's Japanese voice, which shares nothing with the training's; it is given kana.

    Raises RuntimeError where espeak-ng is not installed.
    """
    read = "".join(chr(ord(c) - 0x60) if "ァ" <= c <= "ヶ" else c for c in kana(as_spoken(text)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "said.wav"
        try:
            subprocess.run(["espeak-ng", "-v", "ja", "-s", "150", "-w", str(path), unicodedata.normalize("NFKC", read)],
                           check=True, capture_output=True, timeout=60)
        except (OSError, subprocess.SubprocessError) as error:
            raise RuntimeError(f"espeak-ng cannot speak: {error}") from error
        samples = read_wav(path)
    return np.pad(samples, int(0.2 * RATE_HZ))


def figures(heard: Sequence[Heard]) -> dict[str, float]:
    """n, share of the same plans, character error rate, share of texts that are right to the letter."""
    return {"n": len(heard), "same_plan": round(float(np.mean([one.same for one in heard])), 4),
            "character_errors": round(sum(one.wrong for one in heard) / max(1, sum(one.length for one in heard)), 4),
            "to_the_letter": round(float(np.mean([one.wrong == 0 for one in heard])), 4)}


def table(results: dict[str, list[Heard]], failures: int = 0) -> str:
    """The figures of each condition as text, and the first `failures` sentences whose plan differs."""
    lines = [f"{'':22s}{'n':>6s}{'same plan':>11s}{'char. err.':>12s}{'exact':>8s}"]
    for name, heard in results.items():
        groups = {name: heard, **{f"  {robot}": [one for one in heard if one.spoken.sample.robot == robot]
                                  for robot in dict.fromkeys(one.spoken.sample.robot for one in heard)}}
        for label, part in groups.items():
            known = figures(part)
            lines.append(f"{label:22s}{known['n']:6.0f}{known['same_plan']:11.1%}{known['character_errors']:12.1%}"
                         f"{known['to_the_letter']:8.1%}")
    for name, heard in results.items():
        for one in [one for one in heard if not one.same][:failures]:
            lines.append(f"* {name} [{one.spoken.sample.author}] {one.spoken.sample.instruction} → {one.text} "
                         f"({one.confidence:.2f})")
    return "\n".join(lines)


def store(path: Path, results: dict[str, list[Heard]]) -> None:
    """Write the figures and every transcript as JSON."""
    path.write_text(json.dumps({name: {"figures": figures(heard), "heard": [
        {"said": one.spoken.sample.instruction, "heard": one.text, "confidence": round(one.confidence, 3), "same": one.same,
         "author": one.spoken.sample.author} for one in heard]} for name, heard in results.items()},
        ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


_CONDITIONS = {"clean": "held-out voices, half of them in a room", "noise": "the same with noise, 10 dB",
               "espeak": "espeak-ng, an unknown synthesiser",
               "perfect": "every sentence heard right, in the recogniser's spelling"}
_BEGIN, _END = "<!-- measured: begin (jpai train voice card) -->", "<!-- measured: end -->"


def write_card(model: Path, measured: Sequence[Path]) -> str:
    """Put the figures of `store`d measures into the model's README.md and recogniser.json; gives the table.

    Raises ValueError where the README has no place for them.
    """
    told = {name: one for path in measured for name, one in json.loads(path.read_text(encoding="utf-8")).items()}
    known = {name: told[name]["figures"] for name in _CONDITIONS if name in told}
    about = json.loads((model / DESCRIPTION).read_text(encoding="utf-8"))
    parts = ("same_plan", "character_errors", "to_the_letter")
    rows = [f"| {_CONDITIONS[name]} | {one['n']} | {' | '.join(f'{one[part]:.1%}' for part in parts)} |"
            for name, one in known.items()]
    sure = about["card"].get("confidence", {})
    confidence = (
        f"Confidence on {sure.get('n', 0)} validation sentences in noise of 0 to 30 dB and noise alone: calibration error "
        f"{sure.get('calibration_error', 0.0):.3f}; {sure.get('right_of_sure', 0.0):.1%} of those above 0.7 sound as what was "
        "said.")
    head = "| held-out authors' instructions | n | plan is the written sentence's | characters wrong | right to the letter |"
    text = "\n".join([head, "|---|---|---|---|---|", *rows, "", confidence])
    card = model / "README.md"
    before, begin, rest = card.read_text(encoding="utf-8").partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"{card} has no lines {_BEGIN} and {_END}")
    card.write_text(f"{before}{_BEGIN}\n{text}\n{_END}{after}", encoding="utf-8")
    about["card"]["measured"] = known
    write_description(model, about)
    return text
