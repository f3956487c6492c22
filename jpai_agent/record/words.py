"""What the pictures and videos say, in Japanese."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from jpai_agent.language.replies import plan_reply
from jpai_agent.plan import ActionPlan, Step
from jpai_agent.world.map import WorldMap

WORLDS = {"yard": "構内", "street": "街路"}
ROBOTS = {"cart": "配送カート", "car": "小型EV"}
REASONS = {
    "not_found": "見つからない",
    "ambiguous": "候補が複数",
    "incomplete": "情報不足",
    "unsafe": "危険",
    "unsupported": "できないこと",
    "not_permitted": "許可なし",
    "not_understood": "意味が不明",
}
FINDINGS = {
    "collision": "接触のおそれ",
    "keep_out": "立ち入り禁止",
    "person_too_close": "人に近すぎ",
    "not_reached": "到達できず",
    "timeout": "時間切れ",
    "out_of_bounds": "構内から出る",
    "tipped": "転倒のおそれ",
    "diverged": "計算が発散",
    "blocked": "道がふさがる",
    "no_path": "道がない",
    "near_miss": "あわや接触",
    "red_light": "赤信号を越える",
    "stop_sign": "一時停止しない",
    "crosswalk": "横断者の妨げ",
    "speed_limit": "速度超過",
    "centre_line": "中央線を越える",
    "off_road": "道から外れる",
    "slide": "滑って流れる",
    "target_lost": "相手を見失う",
    "not_found": "見つからない",
    "stuck": "動けない",
}
# outcome → (word, tone)
_OUTCOMES = {
    "done": ("完了", "good"),
    "failed": ("失敗", "bad"),
    "stopped": ("停止", "warn"),
    "replaced": ("指示の変更", "plain"),
    "answered": ("応答のみ", "plain"),
}
_DECISIONS = {"ask": ("確認の質問", "warn"), "refuse": ("お断り", "warn")}


def robot_name(robot: str) -> str:
    """A robot's name to people."""
    return ROBOTS.get(robot, robot)


def world_name(world: str) -> str:
    """A world's name to people."""
    return WORLDS.get(world, world)


def outcome(decision: str | None, ended: str | None) -> tuple[str, str]:
    """How a turn went: (word, tone), the tone being good, warn, bad or plain."""
    if decision in _DECISIONS:
        return _DECISIONS[decision]
    if ended is None:
        return "途中", "plain"
    return _OUTCOMES.get(ended, (ended, "plain"))


def step_title(step: Step, world: WorldMap) -> str:
    """A step in a few words, as the robot itself would say it."""
    places = {place.id: place.names[0] for place in world.places}
    return plan_reply(ActionPlan("act", (step,)), places, world.home, vehicle=world.road is not None).rstrip("。")


def verdict_counts(verdict: Mapping[str, Any]) -> str:
    """「32/32 合格」."""
    passed = round(verdict["rollouts"] * verdict["pass_rate"])
    word = {"pass": "合格", "fail": "不合格"}.get(verdict["status"], "無効")
    return f"{passed}/{verdict['rollouts']} {word}" if verdict["rollouts"] else word


def verdict_line(verdict: Mapping[str, Any]) -> str:
    """「リハーサル 32/32 合格、最小すきま 0.42 m、見込み 21 秒」."""
    parts = [f"リハーサル {verdict_counts(verdict)}"]
    if finding(verdict):
        parts.append(finding(verdict))
    parts.append(f"最小すきま {metres(verdict['min_clearance_m'])}")
    if verdict["status"] == "pass":
        parts.append(f"見込み {seconds(verdict['duration_s'])}")
    return "、".join(parts)


def finding(verdict: Mapping[str, Any]) -> str:
    """Why a rehearsal failed; empty when it passed."""
    return FINDINGS.get(verdict["reason"], verdict["reason"])


def metres(value: float | None) -> str:
    """「0.42 m」; a dash where there was nothing to measure."""
    return "—" if value is None or not math.isfinite(value) else f"{value:.2f} m"


def speed(value_mps: float, *, road: bool) -> str:
    """「最高 24 km/h」 on the road, 「最高 0.80 m/s」 elsewhere."""
    return f"最高 {value_mps * 3.6:.0f} km/h" if road else f"最高 {value_mps:.2f} m/s"


def seconds(value: float | None) -> str:
    """「21 秒」; tenths below ten seconds; a dash where there was nothing to measure."""
    if value is None or not math.isfinite(value):
        return "—"
    return f"{value:.1f} 秒" if value < 9.95 else f"{value:.0f} 秒"
