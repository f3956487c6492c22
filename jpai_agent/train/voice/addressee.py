"""Teach `voice.addressee` to tell orders from talk: lines of both as they are written, and as the recogniser hears them.

Orders are the corpora's, talk is `overheard/*.txt`, one hand a file. The hands of `overheard/t.txt` and `u.txt` and the corpora's
held-out authors are for measuring alone. The threshold is chosen by an author of each whom the first of two trainings leaves out.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from jpai_agent.train.calibrate import lines_of
from jpai_agent.train.corpus import held_out_authors, load_corpus
from jpai_agent.train.voice.acoustics import Surroundings
from jpai_agent.train.voice.evaluate import HELD_OUT_SURROUNDINGS, words_of_robots
from jpai_agent.train.voice.sentences import ROBOTS, drills, from_corpus, written
from jpai_agent.train.voice.short import short_sentences
from jpai_agent.train.voice.speech import RATE_HZ, Speaker
from jpai_agent.train.voice.voices import HELD_OUT_VOICES, TRAINING_VOICES
from jpai_agent.voice.addressee import BUCKETS, FILE, Addressee, features, weight_of
from jpai_agent.voice.recogniser import load_recogniser
from jpai_agent.voice.spelling import as_read

OVERHEARD = Path(__file__).parents[1] / "overheard"
HELD_OUT = ("t", "u")
# the hands whose lines the threshold is chosen by: of orders to the cart and the car, and of talk
CHOSEN_BY = {"cart_h", "car_h", "e"}
# of that hand's orders so many may be lost
LOST = 0.01
L2 = 3e-6
SHORT, DRILLS = 600, 400
SNR_DB = (8.0, 40.0)
# so many held-out lines of each kind are heard
MEASURED = 600
_ROOMS, _BABBLE = 40, 12

# author, text
Line = tuple[str, str]


def talk(held_out: bool = False) -> list[Line]:
    """What is not meant for the robot."""
    files = sorted(path for path in OVERHEARD.glob("*.txt") if (path.stem in HELD_OUT) == held_out)
    return [(path.stem, text) for path in files for text in lines_of(path)]


def orders(held_out: bool = False, seed: int = 5) -> list[Line]:
    """What is: each line of the corpora with words in its slots, without those that no robot understands."""
    r = Random(seed)
    found: list[Line] = []
    for robot in ROBOTS:
        names = held_out_authors(robot) if held_out else None
        senseless = {"".join(part for part, _ in line.text) for line in load_corpus(robot, names).lines
                     if line.meaning.reason == "not_understood"}
        found += [(one.author, one.said) for one in from_corpus(robot, names, r, 1) if one.said not in senseless]
    r.shuffle(found)
    return found


def record(work: Path, kind: str, held_out: bool, most: int) -> list[Line]:
    """What the recogniser makes of so many lines of a kind (orders, talk) in voices and rooms. Resumes."""
    lines = orders(held_out) if kind == "orders" else talk(held_out)
    Random(0).shuffle(lines)
    path = work / "addressee" / f"{kind}{'-held-out' if held_out else ''}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    heard = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    voices = HELD_OUT_VOICES if held_out else TRAINING_VOICES
    speaker, recogniser, words = Speaker(work / "voices"), load_recogniser(), words_of_robots()
    rng = np.random.default_rng([held_out, kind == "orders"])
    babble = [speaker.say(text, voices[i % len(voices)], rng) for i, (_, text) in enumerate(lines[:_BABBLE])]
    around = Surroundings.draw(HELD_OUT_SURROUNDINGS if held_out else 1, babble, rooms=_ROOMS)
    with path.open("a", encoding="utf-8") as file:
        for index, (author, text) in enumerate(lines[:most]):
            if index < len(heard):
                continue
            rng = np.random.default_rng([index, held_out, kind == "orders"])
            said = np.pad(speaker.say(text, voices[int(rng.integers(len(voices)))], rng), RATE_HZ // 5)
            robot = author.split("_")[0] if kind == "orders" else ROBOTS[index % 2]
            transcript = recogniser.transcribe(around.heard(said, rng, SNR_DB), words[robot])
            heard.append([author, transcript.text])
            file.write(json.dumps(heard[-1], ensure_ascii=False) + "\n")
            file.flush()
    return [(author, text) for author, text in heard if text]


def as_heard(lines: Sequence[Line]) -> list[Line]:
    """Lines as the recogniser would write them."""
    return [(author, as_read(written(text))) for author, text in lines]


def _bags(texts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Buckets of all texts, where each text's begin, and the weight of each, as in `weight_of`."""
    runs = [np.fromiter(features(text), np.int64) for text in texts]
    begins = np.cumsum([0, *(len(of) for of in runs[:-1])])
    shares = np.concatenate([np.full(len(of), len(of) ** -0.5, np.float32) for of in runs])
    return torch.from_numpy(np.concatenate(runs)), torch.from_numpy(begins), torch.from_numpy(shares)


def fit(meant: Sequence[str], aside: Sequence[str]) -> tuple[np.ndarray, float]:
    """Weights (BUCKETS,) and bias of a logistic regression in which both sides count alike."""
    runs, begins, shares = _bags([*meant, *aside])
    wanted = torch.tensor([1.0] * len(meant) + [0.0] * len(aside))
    weight = torch.where(wanted == 1.0, 1.0 / len(meant), 1.0 / len(aside)) / 2
    table = torch.nn.EmbeddingBag(BUCKETS, 1, mode="sum")
    torch.nn.init.zeros_(table.weight)
    bias = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.LBFGS([table.weight, bias], max_iter=300, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        score = table(runs, begins, per_sample_weights=shares)[:, 0] + bias
        value = (binary_cross_entropy_with_logits(score, wanted, reduction="none") * weight).sum() + L2 * (table.weight**2).sum()
        value.backward()
        return value

    optimizer.step(loss)  # type: ignore[arg-type]
    return table.weight.detach().numpy()[:, 0], float(bias)


def scores(weights: np.ndarray, bias: float, texts: Sequence[str]) -> np.ndarray:
    """(N,) of the logistic curve, before it."""
    return np.array([weight_of(text, weights) for text in texts]) + bias


def write(work: Path, folder: Path, spoken: int) -> dict[str, Any]:
    """Train, write FILE and measure it on the hands that nothing was chosen or learned by.

    Args:
        spoken: So many lines of each kind are learned as the recogniser heard them as well.
    """
    r = Random(1)
    meant = as_heard(orders()) + record(work, "orders", False, spoken)
    meant += [("", as_read(one.written)) for one in short_sentences(SHORT, r) + drills(DRILLS, r)]
    aside = as_heard(talk()) + record(work, "talk", False, spoken)

    def texts(lines: Sequence[Line], chosen: bool) -> list[str]:
        return [text for author, text in lines if (author in CHOSEN_BY) == chosen]

    first = fit(texts(meant, False), texts(aside, False))
    threshold = float(np.quantile(scores(*first, texts(meant, True)), LOST))
    weights, bias = fit([text for _, text in meant], [text for _, text in aside])
    scale = float(np.abs(weights).max()) / 127.0
    np.savez_compressed(folder / FILE, weights=np.round(weights / scale).astype(np.int8), scale=scale, bias=bias - threshold)
    addressee = Addressee(folder)

    def taken(lines: Sequence[Line]) -> dict[str, Any]:
        return {"n": len(lines), "taken": round(float(np.mean([addressee(text) >= 0.5 for _, text in lines])), 4)}

    return {"learned": {"orders": len(meant), "talk": len(aside)},
            "orders": taken(as_heard(orders(held_out=True))), "talk": taken(as_heard(talk(held_out=True))),
            "orders, heard": taken(record(work, "orders", True, MEASURED)),
            "talk, heard": taken(record(work, "talk", True, MEASURED))}
