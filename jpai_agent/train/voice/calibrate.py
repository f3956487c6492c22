"""Make the recogniser's confidence mean what it says: a logistic curve fitted on sentences and voices not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jpai_agent.train.voice.acoustics import Surroundings
from jpai_agent.train.voice.recordings import Recording
from jpai_agent.train.voice.speech import RATE_HZ, kana
from jpai_agent.voice.ctc import evidence
from jpai_agent.voice.embedded import EmbeddedRecogniser

NAMES = ("surprise", "surprise_each", "rivals")
_NOISE_SHARE = 0.15  # of what is heard is no speech at all
_RIDGE = 1e-3


@dataclass(frozen=True)
class Trial:
    """Something heard: what the confidence goes by, and whether it sounds as what was said (、 left out)."""

    known: tuple[float, ...]
    right: bool


def trials(recogniser: EmbeddedRecogniser, recordings: Sequence[Recording], seed: int = 77) -> list[Trial]:
    """Each recording heard once somewhere between quiet and 0 dB of noise; noise alone now and then. Nothing heard ("")
    is left out: it has no confidence to be wrong about."""
    rng = np.random.default_rng(seed)
    around = Surroundings.draw(seed + 1, [one.samples.astype(np.float32) / 32_768 for one in recordings[:30]], rooms=60)
    found = []
    for one in recordings:
        noise_only = rng.random() < _NOISE_SHARE
        if noise_only:
            heard = np.float32(0.05) * around.noise(int(rng.uniform(0.5, 4.0) * RATE_HZ), rng).astype(np.float32)
        else:
            heard = around.heard(np.pad(one.samples.astype(np.float32) / 32_768, 3_200), rng, (0.0, 30.0))
        best = recogniser.hypotheses(heard)
        if best[0].text:
            known = evidence(best)
            right = not noise_only and kana(best[0].text).replace("、", "") == kana(one.sentence.written).replace("、", "")
            found.append(Trial(tuple(known[name] for name in NAMES), right))
    return found


def curve(found: Sequence[Trial], steps: int = 60) -> dict[str, float]:
    """The logistic curve's weights by Newton's method with a little ridge. Raises ValueError where all are right or wrong."""
    right = np.array([one.right for one in found], float)
    if not 0.0 < right.mean() < 1.0:
        raise ValueError(f"{len(found)} trials, all {'right' if right.all() else 'wrong'}: nothing to calibrate by")
    known = np.array([one.known for one in found])
    centre, spread = known.mean(0), known.std(0) + 1e-9
    design = np.hstack([np.ones((len(known), 1)), (known - centre) / spread])
    weights = np.zeros(design.shape[1])
    for _ in range(steps):
        p = 1 / (1 + np.exp(-np.clip(design @ weights, -30, 30)))
        slope = design.T @ (right - p) / len(p) - _RIDGE * weights
        bend = (design * (p * (1 - p))[:, None]).T @ design / len(p) + _RIDGE * np.eye(len(weights))
        weights = weights + np.linalg.solve(bend, slope)
    plain = weights[1:] / spread
    return {"bias": float(weights[0] - (plain * centre).sum()), **dict(zip(NAMES, map(float, plain), strict=True))}


def judged(found: Sequence[Trial], weights: dict[str, float], bins: int = 10) -> dict[str, float]:
    """How good the confidence is: expected calibration error, and of those above 0.7 the share that is right and their share."""
    total = np.array([weights["bias"] + sum(weights[n] * v for n, v in zip(NAMES, one.known, strict=True)) for one in found])
    p, right = 1 / (1 + np.exp(-np.clip(total, -30, 30))), np.array([one.right for one in found], float)
    which = np.minimum((p * bins).astype(int), bins - 1)
    error = sum(abs(p[which == b].mean() - right[which == b].mean()) * (which == b).mean() for b in np.unique(which))
    sure = p >= 0.7
    return {"n": len(found), "right": round(float(right.mean()), 4), "calibration_error": round(float(error), 4),
            "sure": round(float(sure.mean()), 4), "right_of_sure": round(float(right[sure].mean()), 4) if sure.any() else 0.0}
