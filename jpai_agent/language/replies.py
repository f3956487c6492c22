"""Word what the robot says: plans, questions, refusals and failures, in short です・ます sentences for the ear."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from jpai_agent.language.numbers import plain, say_angle, say_distance, say_duration
from jpai_agent.plan.types import ActionPlan, Step, Target

STANDOFF_M = 0.6  # the plan language's default; a gap is told only where the plan says otherwise

_ASK = {
    "not_found": "{label}が見当たりません。どのあたりにありますか？",
    "ambiguous": "当てはまるものがいくつかあります。どれのことでしょうか？",
    "incomplete": "もう少し詳しく教えていただけますか？",
    "unsafe": "危ないかもしれません。このまま進めてもよろしいですか？",
    "unsupported": "それは私にはできません。ほかにお手伝いできることはありますか？",
    "not_permitted": "それは許可されていません。ほかの方法にしましょうか？",
    "not_understood": "すみません、よく分かりませんでした。何をすればよいか教えていただけますか？",
}
_REFUSE = {
    "not_found": "{label}が見当たらないので、動かずにいます。",
    "ambiguous": "どれのことか決められないので、動かずにいます。",
    "incomplete": "必要なことが分からないので、動かずにいます。",
    "unsafe": "危険なので、それはできません。",
    "unsupported": "申し訳ありません、それは私にはできません。",
    "not_permitted": "申し訳ありません、それは許可されていません。",
    "not_understood": "すみません、よく分かりませんでした。",
}

# what went wrong, by code; {label} is what it was about
FAILURES: Mapping[str, str] = {
    # the instruction
    "empty": "すみません、聞き取れませんでした。もう一度お願いします。",
    "too_long": "指示が長すぎるようです。短く分けてお願いします。",
    "wrong_type": "すみません、指示を読み取れませんでした。",
    # seeing
    "not_found": "{label}が見当たりません。どのあたりにありますか？",
    "target_lost": "{label}を見失いました。止まっています。",
    "no_depth": "{label}までの距離が測れませんでした。場所を教えていただけますか？",
    "image_missing": "カメラの映像が届いていません。",
    "image_size": "カメラの映像の大きさが合いません。設定を確認してください。",
    "image_encoding": "カメラの映像を読み取れません。設定を確認してください。",
    "image_black": "カメラに何も映っていません。レンズの前を確認してください。",
    "image_stale": "カメラの映像が古いままです。接続を確認してください。",
    # thinking
    "plan_error": "すみません、うまく考えがまとまりませんでした。言い方を変えていただけますか？",
    "model_unavailable": "ただいま考えることができません。少し待ってからもう一度お願いします。",
    "model_timeout": "考えるのに時間がかかりすぎたので、やめておきます。もう一度お願いします。",
    "model_busy": "ただいま別の指示を考えています。少し待ってからもう一度お願いします。",
    # rehearsing
    "collision": "練習してみましたが、{label}ぶつかりそうなのでやめておきます。",
    "person_too_close": "人に近づきすぎるので、やめておきます。",
    "not_reached": "{label}たどり着けそうにないので、やめておきます。",
    "timeout": "時間がかかりすぎるので、やめておきます。",
    "out_of_bounds": "構内から出てしまうので、やめておきます。",
    "tipped": "倒れるおそれがあるので、やめておきます。",
    "diverged": "安全を確かめられなかったので、動かずにいます。",
    "no_path": "{label}通れる道が見つかりません。",
    # driving
    "blocked": "道がふさがっていて進めません。どうしましょうか？",
    "changed": "周りの様子が変わったので、いったん止まります。",
    "stuck": "うまく進めないので止まりました。様子を見ていただけますか？",
    "nothing_to_continue": "続きにする作業がありません。",
    "estop": "非常停止中です。安全を確認して、解除してください。",
    "locked": "モーターがロックされています。解除してください。",
    "sensors_stale": "センサーの値が届かないので止まりました。",
    "fault": "故障のおそれがあるので止まりました。点検をお願いします。",
    "stopped": "止まりました。",
    "done": "終わりました。",
}
_LABELLED = {"collision": "{}に", "not_reached": "{}まで", "no_path": "{}まで"}
_NAMELESS = {"not_found": "お探しのもの", "target_lost": "目標", "no_depth": "そこ"}


def failure(code: str, label: str | None = None) -> str:
    """What the robot says when something went wrong.

    Args:
        code: One of FAILURES; an unknown code gets a general apology, so that the user always hears something.
        label: The user's words for what it was about, if there are any.
    """
    template = FAILURES.get(code, "すみません、うまくいきませんでした。")
    if code in _LABELLED:
        return template.format(label=_LABELLED[code].format(label) if label else "")
    return template.format(label=label or _NAMELESS.get(code, "目標"))


def ask_or_refuse(decision: str, reason: str, label: str | None = None) -> str:
    """What the robot says when it asks ("ask") or refuses ("refuse") for one of the plan language's reasons.

    Raises:
        KeyError: For a decision or reason that the plan language does not have.
    """
    return {"ask": _ASK, "refuse": _REFUSE}[decision][reason].format(label=label or _NAMELESS["not_found"])


@dataclass(frozen=True)
class _Phrase:
    """A step in two forms: `te` to go on after, `masu` to end with. `waits`: what follows comes after it (〜てから)."""

    te: str
    masu: str
    waits: bool = False


def plan_reply(plan: ActionPlan, places: Mapping[str, str], home: str | None = None) -> str:
    """What the robot says of a plan: the steps it will do, or its question or refusal.

    Args:
        plan: Any plan; its own `reply` is used where it has one.
        places: Japanese name by place id, as the map has them.
        home: Id of the place that the robot belongs to; it 戻ります there.
    """
    if plan.reply:
        return plan.reply
    if plan.decision != "act":
        return ask_or_refuse(plan.decision, str(plan.reason))
    phrases = [_phrase(step, places, home) for step in plan.steps]
    # long plans are told in sentences of at most three steps
    cuts = range(0, len(phrases), 3) if len(phrases) > 4 else [0]
    size = 3 if len(phrases) > 4 else 4
    sentences = [_sentence(phrases[cut:cut + size]) for cut in cuts]
    return "そのあと、".join(sentences)


def _sentence(phrases: list[_Phrase]) -> str:
    words = ""
    for index, phrase in enumerate(phrases[:-1]):
        # から once: after a wait, or before the last step of a longer chain
        before_last = len(phrases) > 2 and index == len(phrases) - 2
        after = (phrase.waits or before_last) and "から、" not in words
        words += phrase.te + ("から" if after else "") + "、"
    return words + phrases[-1].masu + "。"


def _phrase(step: Step, places: Mapping[str, str], home: str | None) -> _Phrase:
    word = _STEPS.get(step.skill)
    if word is None:
        return _Phrase(f"{step.skill}を行って", f"{step.skill}を行います")
    return word(step, places, home)


def _name(target: Target | None, places: Mapping[str, str]) -> str:
    if target is None:
        return "そこ"
    if target.place is not None:
        return places.get(target.place, target.label or target.place)
    return target.label or "そこ"


def _go_to(step: Step, places: Mapping[str, str], home: str | None) -> _Phrase:
    target, name = step.target, _name(step.target, places)
    if target is not None and target.place is not None:
        if target.place == home:
            return _Phrase(f"{name}へ戻って", f"{name}へ戻ります")
        return _Phrase(f"{name}まで行って", f"{name}まで行きます")
    if name == "そこ":
        return _Phrase("そこまで行って", "そこまで行きます")
    side, gap = step.args.get("side", "front"), step.args.get("standoff_m", STANDOFF_M)
    told = abs(gap - STANDOFF_M) > 1e-6
    where = {"front": "手前", "behind": "向こう側", "left": "左側", "right": "右側"}[side]
    if told and side == "front":
        goal = f"{name}の{say_distance(gap)}手前"
    else:
        goal = f"{name}の{where}" + (f"、{say_distance(gap)}のところ" if told else "")
    return _Phrase(f"{goal}まで行って", f"{goal}まで行きます")


def _face(step: Step, places: Mapping[str, str], home: str | None) -> _Phrase:
    name = _name(step.target, places)
    return _Phrase(f"{name}のほうを向いて", f"{name}のほうを向きます")


def _follow(step: Step, places: Mapping[str, str], home: str | None) -> _Phrase:
    name = "その人" if step.target is None or step.target.label is None else step.target.label
    span = f"{say_duration(step.args['duration_s'])}間" if "duration_s" in step.args else ""
    if step.args.get("until") == "target_stops":
        return _Phrase(f"{name}が止まるまでついていって", f"{name}が止まるまでついていきます")
    return _Phrase(f"{name}に{span}ついていって", f"{name}に{span}ついていきます")


def _look_for(step: Step, places: Mapping[str, str], home: str | None) -> _Phrase:
    label = step.args.get("label") or _name(step.target, places)
    return _Phrase(f"{label}を探して", f"{label}を探します")


def _move(step: Step, places: Mapping[str, str], home: str | None) -> _Phrase:
    distance = step.args["distance_m"]
    if distance < 0:
        return _Phrase(f"{say_distance(distance)}下がって", f"{say_distance(distance)}下がります")
    return _Phrase(f"{say_distance(distance)}前に進んで", f"{say_distance(distance)}前に進みます")


def _turn(step: Step, places: Mapping[str, str], home: str | None) -> _Phrase:
    angle = step.args["angle_deg"]
    way = f"{'左' if angle > 0 else '右'}に{say_angle(angle)}"
    return _Phrase(f"{way}回って", f"{way}回ります")


def _set_speed(step: Step, places: Mapping[str, str], home: str | None) -> _Phrase:
    if "factor" in step.args:
        up = step.args["factor"] >= 1
        return _Phrase("速度を上げて", "速度を上げます") if up else _Phrase("速度を落として", "速度を落とします")
    speed = next((value for key, value in step.args.items() if key.startswith("speed")), 0.0)
    return _Phrase(f"秒速{plain(speed)}メートルにして", f"秒速{plain(speed)}メートルで走ります")


def _wait(step: Step, places: Mapping[str, str], home: str | None) -> _Phrase:
    span = say_duration(step.args["duration_s"])
    return _Phrase(f"{span}待って", f"{span}待ちます", waits=True)


def _say(step: Step, places: Mapping[str, str], home: str | None) -> _Phrase:
    return _Phrase(f"「{step.args['text']}」と伝えて", f"「{step.args['text']}」と伝えます")


def _fixed(te: str, masu: str) -> Callable[[Step, Mapping[str, str], str | None], _Phrase]:
    return lambda step, places, home: _Phrase(te, masu)


_STEPS: Mapping[str, Callable[[Step, Mapping[str, str], str | None], _Phrase]] = {
    "stop": _fixed("いったん止まって", "止まります"),
    "continue": _fixed("続きを済ませて", "続きを再開します"),
    "return_home": _fixed("元の場所へ戻って", "元の場所へ戻ります"),
    "go_to": _go_to, "face": _face, "follow": _follow, "look_for": _look_for, "move": _move, "turn": _turn,
    "set_speed": _set_speed, "wait": _wait, "say": _say,
}
