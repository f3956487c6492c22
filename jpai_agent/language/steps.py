"""Name the steps of plans in Japanese, in the two forms that a sentence needs: to go on after, and to end with."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from jpai_agent.language.numbers import plain, say_angle, say_distance, say_duration
from jpai_agent.plan.types import Step, Target

_BESIDE_IT = re.compile("の(?:すぐ)?(?:手前|前|まえ|横|よこ|隣|となり|そば|近く|ちかく|ところ|とこ|あたり|"
                        "辺り|向こう|後ろ|うしろ|裏)(?:まで?|に|へ|で)?$|まで$")
STANDOFF_M = 0.6  # the plan language's default; a gap is told only where the plan says otherwise


@dataclass(frozen=True)
class Phrase:
    """A step in two forms: `te` to go on after, `masu` to end with. `waits`: what follows comes after it (〜てから)."""

    te: str
    masu: str
    waits: bool = False


def phrase(step: Step, places: Mapping[str, str], home: str | None, vehicle: bool) -> Phrase:
    """What a step is called; `places` are Japanese names by id, `home` the place that the robot belongs to."""
    word = (_CAR_STEPS if vehicle else _STEPS).get(step.skill)
    if word is None:
        return Phrase(f"{step.skill}を行って", f"{step.skill}を行います")
    return word(step, places, home)


def thing(label: str) -> str:
    """A label without what it says of the way there (赤い箱の手前まで → 赤い箱), which the robot says in words of its own."""
    return _BESIDE_IT.sub("", label) or label


def _name(target: Target | None, places: Mapping[str, str]) -> str:
    if target is None:
        return "そこ"
    if target.place is not None:
        return places.get(target.place, target.label or target.place)
    return _called(target, "そこ")


def _called(target: Target | None, nameless: str) -> str:
    return nameless if target is None or not target.label else thing(target.label)


def _go_to(step: Step, places: Mapping[str, str], home: str | None) -> Phrase:
    target, name = step.target, _name(step.target, places)
    if target is not None and target.place is not None:
        if target.place == home:
            return Phrase(f"{name}へ戻って", f"{name}へ戻ります")
        return Phrase(f"{name}まで行って", f"{name}まで行きます")
    if name == "そこ":
        return Phrase("そこまで行って", "そこまで行きます")
    side, gap = step.args.get("side", "front"), step.args.get("standoff_m", STANDOFF_M)
    told = abs(gap - STANDOFF_M) > 1e-6
    where = {"front": "手前", "behind": "向こう側", "left": "左側", "right": "右側"}[side]
    if told and side == "front":
        goal = f"{name}の{say_distance(gap)}手前"
    else:
        goal = f"{name}の{where}" + (f"、{say_distance(gap)}のところ" if told else "")
    return Phrase(f"{goal}まで行って", f"{goal}まで行きます")


def _face(step: Step, places: Mapping[str, str], home: str | None) -> Phrase:
    name = _name(step.target, places)
    return Phrase(f"{name}のほうを向いて", f"{name}のほうを向きます")


def _follow(step: Step, places: Mapping[str, str], home: str | None) -> Phrase:
    name = _called(step.target, "その人")
    span = f"{say_duration(step.args['duration_s'])}間" if "duration_s" in step.args else ""
    if step.args.get("until") == "target_stops":
        return Phrase(f"{name}が止まるまでついていって", f"{name}が止まるまでついていきます")
    return Phrase(f"{name}に{span}ついていって", f"{name}に{span}ついていきます")


def _look_for(step: Step, places: Mapping[str, str], home: str | None) -> Phrase:
    label = step.args.get("label") or _name(step.target, places)
    return Phrase(f"{label}を探して", f"{label}を探します")


def _move(step: Step, places: Mapping[str, str], home: str | None) -> Phrase:
    distance = step.args["distance_m"]
    if distance < 0:
        return Phrase(f"{say_distance(distance)}下がって", f"{say_distance(distance)}下がります")
    return Phrase(f"{say_distance(distance)}前に進んで", f"{say_distance(distance)}前に進みます")


def _turn(step: Step, places: Mapping[str, str], home: str | None) -> Phrase:
    angle = step.args["angle_deg"]
    way = f"{'左' if angle > 0 else '右'}に{say_angle(angle)}"
    return Phrase(f"{way}回って", f"{way}回ります")


def _set_speed(step: Step, places: Mapping[str, str], home: str | None) -> Phrase:
    if "factor" in step.args:
        up = step.args["factor"] >= 1
        return Phrase("速度を上げて", "速度を上げます") if up else Phrase("速度を落として", "速度を落とします")
    speed = next((value for key, value in step.args.items() if key.startswith("speed")), 0.0)
    return Phrase(f"秒速{plain(speed)}メートルにして", f"秒速{plain(speed)}メートルで走ります")


def _wait(step: Step, places: Mapping[str, str], home: str | None) -> Phrase:
    span = say_duration(step.args["duration_s"])
    return Phrase(f"{span}待って", f"{span}待ちます", waits=True)


def _say(step: Step, places: Mapping[str, str], home: str | None) -> Phrase:
    return Phrase(f"「{step.args['text']}」と伝えて", f"「{step.args['text']}」と伝えます")


def _fixed(te: str, masu: str) -> Callable[[Step, Mapping[str, str], str | None], Phrase]:
    return lambda step, places, home: Phrase(te, masu)


_STEPS: Mapping[str, Callable[[Step, Mapping[str, str], str | None], Phrase]] = {
    "stop": _fixed("いったん止まって", "止まります"),
    "continue": _fixed("続きを済ませて", "続きを再開します"),
    "return_home": _fixed("元の場所へ戻って", "元の場所へ戻ります"),
    "go_to": _go_to, "face": _face, "follow": _follow, "look_for": _look_for, "move": _move, "turn": _turn,
    "set_speed": _set_speed, "wait": _wait, "say": _say,
}

# a car's own steps

_WAYS = {"left": "左折", "right": "右折", "straight": "直進"}
_WHERE = {"before": "の手前", "beside": "の横", "after": "の先"}


def _drive(step: Step, places: Mapping[str, str], home: str | None) -> Phrase:
    if step.target is not None:
        name = _name(step.target, places)
        return Phrase(f"{name}まで進んで", f"{name}まで進みます")
    if "distance_m" in step.args:
        way = say_distance(step.args["distance_m"])
        return Phrase(f"{way}進んで", f"{way}進みます")
    return Phrase("道なりに進んで", "道なりに進みます")


def _turn_at(step: Step, places: Mapping[str, str], home: str | None) -> Phrase:
    way = _WAYS[step.args["direction"]]
    if step.target is not None:
        name = _name(step.target, places)
        where = {"before": f"{name}の手前の角", "after": f"{name}の先の角"}.get(step.args.get("when", "at"), f"{name}の角")
    else:
        what = "信号" if step.args.get("at") == "light" else "交差点"
        nth = int(step.args.get("nth", 1))
        where = f"次の{what}" if nth == 1 else f"{nth}つ目の{what}"
    return Phrase(f"{where}を{way}して", f"{where}を{way}します")


def _stop_at(step: Step, places: Mapping[str, str], home: str | None) -> Phrase:
    if step.target is None:
        return Phrase("停止線で止まって", "停止線で止まります")
    goal = _name(step.target, places) + _WHERE[step.args.get("where", "before")]
    if "standoff_m" in step.args:
        goal += f"、{say_distance(step.args['standoff_m'])}のところ"
    return Phrase(f"{goal}で止まって", f"{goal}で止まります")


def _pull_over(step: Step, places: Mapping[str, str], home: str | None) -> Phrase:
    if step.target is None:
        return Phrase("左に寄せて停めて", "左に寄せて停めます")
    goal = _name(step.target, places) + ("の前" if step.args.get("where", "beside") == "beside" else _WHERE[step.args["where"]])
    return Phrase(f"{goal}に停めて", f"{goal}に停めます")


def _park(step: Step, places: Mapping[str, str], home: str | None) -> Phrase:
    name = _name(step.target, places)
    if step.target is not None and step.target.place == "parking":
        return Phrase("駐車場の空いている枠に停めて", "駐車場の空いている枠に停めます")
    return Phrase(f"{name}に停めて", f"{name}に停めます")


def _u_turn(step: Step, places: Mapping[str, str], home: str | None) -> Phrase:
    where = f"{_name(step.target, places)}のあたりで" if step.target is not None else ""
    return Phrase(f"{where}Uターンして", f"{where}Uターンします")


def _follow_vehicle(step: Step, places: Mapping[str, str], home: str | None) -> Phrase:
    name = _called(step.target, "その車")
    until = {"target_turns": "が曲がるまで", "target_stops": "が止まるまで"}.get(step.args.get("until", ""))
    if until:
        return Phrase(f"{name}{until}ついていって", f"{name}{until}ついていきます")
    span = f"{say_duration(step.args['duration_s'])}間" if "duration_s" in step.args else ""
    return Phrase(f"{name}に{span}ついていって", f"{name}に{span}ついていきます")


def _car_speed(step: Step, places: Mapping[str, str], home: str | None) -> Phrase:
    if "factor" in step.args:
        return _set_speed(step, places, home)
    speed = plain(step.args["speed"])
    return Phrase(f"時速{speed}キロにして", f"時速{speed}キロで走ります")


_CAR_STEPS: Mapping[str, Callable[[Step, Mapping[str, str], str | None], Phrase]] = {
    **{name: _STEPS[name] for name in ("stop", "wait", "say")},
    "continue": _fixed("このまま走って", "このまま走ります"),
    "drive": _drive, "turn_at": _turn_at, "stop_at": _stop_at, "pull_over": _pull_over, "park": _park, "u_turn": _u_turn,
    "follow": _follow_vehicle, "set_speed": _car_speed,
}
