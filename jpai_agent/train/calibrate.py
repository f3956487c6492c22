"""Calibrate the exported model's confidence on validation questions, and choose from what certainty on a robot may act.

Two logistic curves, for plans and for questions and refusals, tell from the probabilities of the decision and of the
answer, and from how much of the words was never taught, the share of such decisions that is right. A plan pointed at the
wrong thing was still rightly made: whether to act is asked, not how well. An author's lines are looked up among the
other authors' words only, so that the share of unfamiliar words is what a stranger's words would show; lines of
`elsewhere.txt`, which are not for the robot, stand for what else is said near it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jpai_agent.language import InstructionError, normalise
from jpai_agent.train.courses import Course, validation_samples
from jpai_agent.train.evaluate import Verdict
from jpai_agent.train.exported import ask, embedded
from jpai_agent.train.frames import load_shard, shard_paths
from jpai_agent.vlm import PlanAnswer, PlanRequest, VlmError, read_manifest
from jpai_agent.vlm.confidence import (
    CALIBRATION,
    EVIDENCE,
    FAMILIAR,
    FORMAT,
    Calibration,
    Familiar,
    acts,
    curve,
    evidence,
    grams,
    own_words,
)
from jpai_agent.vlm.manifest import write_manifest

ELSEWHERE = Path(__file__).parent / "elsewhere.txt"
TAUGHT_SAMPLES = 30_000  # utterances, each with its slots filled, whose runs of characters count as taught
BINS = 10
ELSEWHERE_SHARE = 0.2  # of plans, how many are taken to be made of words that were not for the robot
# share of right plans that the proposed threshold may ask back. Lines looked up among other authors' words alone lose more
# than new authors' lines do: 2.4 % against 1.2 % at 0.5 (checkpoint joint5)
RIGHT_LOST = 0.05
THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))
_ANOTHER = "*"  # stands for several authors


@dataclass(frozen=True)
class Answered:
    """One answer of the model, and what is known of it.

    Attributes:
        robot, author: Whose question; author "" for a line that is not for the robot.
        acts: It is a plan. right: its decision is right, and the reason. whole: all of it is.
        decision, probability: What the model gave to the decision and to the answer.
        unfamiliar: Share of the words' grams that no other author taught.
        clear: The right answer is a plan.
    """

    robot: str
    author: str
    acts: bool
    right: bool
    whole: bool
    decision: float
    probability: float
    unfamiliar: float
    clear: bool


def lines_of(path: Path) -> list[str]:
    """The utterances of a list, one a line; lines that begin with # and empty ones left out."""
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip() and not line.startswith("#")]


def taught_by(course: Course, samples: int = TAUGHT_SAMPLES, seed: int = 11) -> dict[str, str]:
    """Every gram of many samples of a course with the author who said it, or _ANOTHER where several did."""
    shard, rng = load_shard(shard_paths(course.validation)[0]), np.random.default_rng(seed)
    found: dict[str, str] = {}
    for frame in range(len(shard)):
        for sample in course.asks.samples(shard.record(frame), rng, -(-samples // len(shard))):
            words = own_words(sample.instruction, sample.plan.to_json())
            for gram in grams(course.robot, words):
                if found.setdefault(gram, sample.author) != sample.author:
                    found[gram] = _ANOTHER
    return found


def unfamiliar_to_others(taught: Mapping[str, str], robot: str, words: str, author: str) -> float:
    """Share of the words' grams that nobody but their author taught."""
    looked_up = grams(robot, words)
    return sum(taught.get(gram, author) == author for gram in looked_up) / len(looked_up)


def ask_all(backend: Any, course: Course, taught: Mapping[str, str], count: int, per_frame: int) -> list[Answered]:
    """The model's answers to `count` validation questions."""
    answered = []
    for shard, samples in validation_samples(course, count, per_frame):
        for verdict, answer in ask(backend, shard, samples):
            sample = verdict.sample
            words = own_words(sample.instruction, answer.text)
            answered.append(Answered(
                course.robot, sample.author, acts(answer.text), verdict.parts["decision"], verdict.parts["whole"],
                answer.decision_probability or 0.0, answer.probability or 0.0,
                unfamiliar_to_others(taught, course.robot, words, sample.author),
                sample.plan.decision == "act"))
    return answered


def ask_elsewhere(backend: Any, course: Course, taught: Mapping[str, str], lines: Iterable[str],
                  places: Mapping[str, tuple[str, ...]], frames: int = 3) -> list[Answered]:
    """The model's answers to lines that are not for the robot, over a few frames in turn: any plan is wrong."""
    shard, answered = load_shard(shard_paths(course.validation)[0]), []
    for index, line in enumerate(lines):
        picture = np.array(shard.frames[(index % frames) * (len(shard) // frames)])
        try:
            words = normalise(line).text
            answer = backend.plan(PlanRequest(words, {"front": picture}, course.robot, places=places))
        # no answer has no confidence either
        except (InstructionError, VlmError):
            continue
        acted = acts(answer.text)
        unfamiliar = unfamiliar_to_others(taught, course.robot, own_words(words, answer.text), "")
        answered.append(Answered(course.robot, "", acted, not acted, not acted, answer.decision_probability or 0.0,
                                 answer.probability or 0.0, unfamiliar, False))
    return answered


def fit_curve(answered: Sequence[Answered], kept: Sequence[int]) -> tuple[float, ...]:
    """Weights of the logistic curve of most likelihood (Newton's method); `kept`: which of the evidence it weighs, 0 first.

    More probability must never tell less, nor strangeness more: weights of the wrong sign are dropped.
    """
    features, right = _features(answered), np.array([a.right for a in answered], dtype=float)
    weight = np.ones(len(answered))
    elsewhere = np.array([not a.author for a in answered])
    if elsewhere.any() and not elsewhere.all():
        weight[elsewhere] = ELSEWHERE_SHARE / (1 - ELSEWHERE_SHARE) * (~elsewhere).sum() / elsewhere.sum()
    signs = np.array([0, 1, 1, 1, 1, -1])
    while True:
        chosen = list(kept)
        found = np.zeros(EVIDENCE)
        found[chosen] = _newton(features[:, chosen], right, weight)
        wrong = [k for k in chosen if found[k] * signs[k] < 0]
        if not wrong:
            return tuple(found.tolist())
        kept = [k for k in chosen if k != wrong[0]]


def _newton(features: np.ndarray, right: np.ndarray, weight: np.ndarray, ridge: float = 1e-3) -> np.ndarray:
    found = np.zeros(features.shape[1])
    for _ in range(100):
        share = 1 / (1 + np.exp(-np.clip(features @ found, -50, 50)))
        slope = features.T @ (weight * (right - share)) - ridge * found
        bend = (features * (weight * share * (1 - share))[:, None]).T @ features + ridge * np.eye(len(found))
        change = np.linalg.solve(bend, slope)
        found = found + change
        if np.abs(change).max() < 1e-8:
            break
    return found


def _features(answered: Sequence[Answered]) -> np.ndarray:
    rows = [evidence(a.decision, a.probability, a.unfamiliar) for a in answered]
    return np.array(rows) if rows else np.zeros((0, EVIDENCE))


Curves = tuple[tuple[float, ...], tuple[float, ...]]


def fit_curves(answered: Sequence[Answered]) -> Curves:
    """The curves of a `Calibration`: for plans, with lines that are not for the robot, and for the rest, without."""
    return (fit_curve([a for a in answered if a.acts], range(EVIDENCE)),
            fit_curve([a for a in answered if not a.acts and a.author], (0, 1, 2)))


def confidences(answered: Sequence[Answered], curves: Curves) -> np.ndarray:
    """Confidence of each answer."""
    return np.array([curve(curves[0 if a.acts else 1], evidence(a.decision, a.probability, a.unfamiliar)) for a in answered])


def cross_validated(answered: Sequence[Answered], folds: int = 5, seed: int = 3) -> np.ndarray:
    """Confidence of each answer by curves fitted to the other folds."""
    fold = np.random.default_rng(seed).permutation(len(answered)) % folds
    found = np.zeros(len(answered))
    for k in range(folds):
        curves = fit_curves([a for a, f in zip(answered, fold, strict=True) if f != k])
        mine = np.flatnonzero(fold == k).tolist()
        found[mine] = confidences([answered[i] for i in mine], curves)
    return found


def calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> float:
    """Expected calibration error over bins of equal width (Naeini et al. 2015)."""
    if not len(confidence):
        return float("nan")
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [abs(confidence[which == b].sum() - right[which == b].sum()) for b in range(bins)]
    return float(sum(gaps) / len(confidence))


def ranking(score: np.ndarray, right: np.ndarray) -> float:
    """Area under the ROC curve: chance that a right answer scores higher than a wrong one; nan without both."""
    order = np.concatenate([score[right], score[~right]])
    if right.all() or not right.any():
        return float("nan")
    _, inverse, counts = np.unique(order, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    n = int(right.sum())
    return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * (len(right) - n)))


def trade(answered: Sequence[Answered], confidence: np.ndarray, threshold: float) -> dict[str, float]:
    """What asking back below a threshold comes to.

    Returns:
        `right_asked`: share of plans asked back that were right in all; `shy`: share of clear instructions not acted on;
        `rash`: share of questions that should have been asked or refused and are acted on; `elsewhere`: share of lines not
        for the robot that are acted on.
    """
    acted = np.array([a.acts for a in answered]) & (confidence >= threshold)

    def share(of: list[int], values: np.ndarray) -> float:
        return float(np.mean(values[of])) if of else float("nan")

    own = [i for i, a in enumerate(answered) if a.author]
    return {
        "threshold": threshold,
        "right_asked": share([i for i in own if answered[i].acts and answered[i].whole], ~acted),
        "shy": share([i for i in own if answered[i].clear], ~acted),
        "rash": share([i for i in own if not answered[i].clear], acted),
        "elsewhere": share([i for i, a in enumerate(answered) if not a.author], acted),
    }


def proposed(curve: Sequence[Mapping[str, float]], lost: float = RIGHT_LOST) -> float:
    """The highest threshold that asks back no more than this share of right plans."""
    return max((point["threshold"] for point in curve if point["right_asked"] <= lost), default=0.0)


def measure(answered: Sequence[Answered], confidence: np.ndarray) -> dict[str, Any]:
    """Calibration errors and rankings of these answers, "before" by the decision's own probability, and the trade's curve.

    `mixed`: with lines that are not for the robot among them, as many as there are.
    """
    own = np.array([bool(a.author) for a in answered])
    right, acted, whole = (np.array([getattr(a, name) for a in answered]) for name in ("right", "acts", "whole"))
    decision, probability = (np.array([getattr(a, name) for a in answered]) for name in ("decision", "probability"))
    curve_ = [trade(answered, confidence, threshold) for threshold in (0.0, *THRESHOLDS)]
    found: dict[str, Any] = {"n": int(own.sum()), "n_elsewhere": int((~own).sum()), "right": float(right[own].mean())}
    for name, these in (("own", own), ("plans", own & acted), ("plans_mixed", acted)):
        for when, score in (("before", decision), ("after", confidence)):
            found[f"ece_{name}_{when}"] = calibration_error(score[these], right[these])
            found[f"auc_{name}_{when}"] = ranking(score[these], right[these])
    plans = own & acted
    found["auc_whole"] = {"decision": ranking(decision[plans], whole[plans]),
                          "answer": ranking(probability[plans], whole[plans])}
    return found | {"curve": curve_}


def calibrate(model: Path, courses: Sequence[Course], places: Mapping[str, Mapping[str, tuple[str, ...]]],
              questions: int = 1000, per_frame: int = 4, threads: int = 1) -> dict[str, Any]:
    """Fit the confidence of an exported model and store it in its folder.

    Args:
        model: Folder of `jpai train quantize`; gets `calibration.json` and `familiar.npy`, and a manifest that lists them.
        courses: In the words of the authors that were trained on, with validation frames.
        places: Names of a map's places by id, by robot.
        questions: For each robot.

    Returns:
        What was measured, by curves fitted to other questions (5 folds): see `measure`; with `act_confidence`, the
        threshold proposed for the robots' files.
    """
    backend = embedded(model, threads)
    taught: dict[str, str] = {}
    answered: list[Answered] = []
    for course in courses:
        taught |= taught_by(course)
        answered += ask_all(backend, course, taught, questions, per_frame)
        answered += ask_elsewhere(backend, course, taught, lines_of(ELSEWHERE), places[course.robot])
    measured = measure(answered, cross_validated(answered))
    measured["act_confidence"] = proposed(measured["curve"])
    store(model, Calibration(*fit_curves(answered), Familiar.of(taught)), measured)
    return measured


def store(model: Path, calibration: Calibration, measured: Mapping[str, Any]) -> None:
    """Put a calibration into a model's folder, and both files into its manifest."""
    before = read_manifest(model)
    np.save(model / FAMILIAR, calibration.familiar.table)
    data = {"format": FORMAT, "act": calibration.act, "rest": calibration.rest, "measured": measured}
    (model / CALIBRATION).write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    card = {**before.card, "calibration": {k: v for k, v in measured.items() if k != "curve"}}
    write_manifest(model, before.name, before.version, license_id=before.license, model_type=before.model_type,
                   bits=before.bits, parameters=before.parameters, card=card)


def table(measured: Mapping[str, Any]) -> str:
    """What was measured, as text."""
    m = measured
    lines = [f"{m['n']} questions, {m['n_elsewhere']} lines not for the robot; {m['right']:.1%} of the decisions right",
             f"{'':34s}{'calibration error':>24s}{'right above wrong (AUC)':>28s}"]
    for name, title in (("own", "all answers"), ("plans", "plans"), ("plans_mixed", "plans, with lines not for it")):
        before, after = (f"ece_{name}_{when}" for when in ("before", "after"))
        rank = [m[key.replace("ece", "auc")] for key in (before, after)]
        lines.append(f"{title:34s}{f'{m[before]:.3f} -> {m[after]:.3f}':>24s}{f'{rank[0]:.3f} -> {rank[1]:.3f}':>28s}")
    whole = m["auc_whole"]
    lines += [f"plans right in all above others (AUC): by decision {whole['decision']:.3f}, by answer {whole['answer']:.3f}",
              f"{'act_confidence':>14s}{'right asked':>13s}{'shy':>9s}{'rash':>9s}{'elsewhere':>11s}"]
    lines += [f"{p['threshold']:14.2f}{p['right_asked']:13.1%}{p['shy']:9.1%}{p['rash']:9.1%}{p['elsewhere']:11.1%}"
              for p in m["curve"]]
    return "\n".join(lines)


def judge_confidence(answered: Sequence[tuple[Verdict, PlanAnswer]]) -> str:
    """How true the confidence of a calibrated model is on other questions, as text."""
    held = [Answered(v.sample.robot, v.sample.author or "?", acts(a.text), v.parts["decision"], v.parts["whole"],
                     a.decision_probability or 0.0, a.probability or 0.0, 0.0, v.sample.plan.decision == "act")
            for v, a in answered]
    return table(measure(held, np.array([a.confidence or 0.0 for _, a in answered])))
