"""Word what the robot says: plans, questions, refusals and failures, in short です・ます sentences for the ear."""

from __future__ import annotations

from collections.abc import Mapping

from jpai_agent.language.steps import Phrase, phrase, thing
from jpai_agent.plan.types import ActionPlan

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
    "unsure": "「{label}」で、よろしいですか？",
    "denied": "失礼しました。何をすればよいか、もう一度お願いします。",
    "model_unavailable": "ただいま考えることができません。少し待ってからもう一度お願いします。",
    "model_timeout": "考えるのに時間がかかりすぎたので、やめておきます。もう一度お願いします。",
    "model_busy": "ただいま別の指示を考えています。少し待ってからもう一度お願いします。",
    "policy": "問い合わせ先のモデルの設定に問題があるので、動かずにいます。設定を確認してください。",
    # rehearsing
    "collision": "リハーサルしたところ、{label}ぶつかりそうなので、やめておきます。",
    "person_too_close": "人に近づきすぎるので、やめておきます。",
    "not_reached": "{label}たどり着けそうにないので、やめておきます。",
    "timeout": "時間がかかりすぎるので、やめておきます。",
    "out_of_bounds": "構内から出てしまうので、やめておきます。",
    "tipped": "倒れるおそれがあるので、やめておきます。",
    "diverged": "安全を確かめられなかったので、動かずにいます。",
    "no_path": "{label}行ける道が見つかりません。",
    "forbidden": "{label}は立ち入り禁止なので、入れません。",
    "keep_out": "立ち入り禁止の場所に入ってしまうので、やめておきます。",
    # on the road
    "no_road": "その先には道がありません。どちらへ行きましょうか？",
    "no_landmark": "地図に{label}が見当たりません。別の目印を教えていただけますか？",
    "behind": "{label}はもう通り過ぎました。引き返しましょうか？",
    "slot_taken": "その枠にはほかの車が停まっています。別の枠にしましょうか？",
    "no_free_slot": "空いている枠がありません。ほかを探しましょうか？",
    "too_fast": "申し訳ありません、制限速度を超える速さでは走れません。",
    "near_miss": "ほかの車や人に近づきすぎるので、やめておきます。",
    "red_light": "赤信号で止まりきれないおそれがあるので、やめておきます。",
    "stop_sign": "一時停止ができないおそれがあるので、やめておきます。",
    "centre_line": "対向車線にはみ出すおそれがあるので、やめておきます。",
    "speed_limit": "速度制限を超えるおそれがあるので、やめておきます。",
    "crosswalk": "横断歩道を渡る人の邪魔になるので、やめておきます。",
    "off_road": "道から外れるおそれがあるので、やめておきます。",
    "slide": "滑るおそれがあるので、やめておきます。",
    "road_end": "道はここで終わりです。どちらへ行きましょうか？",
    "camera_lost": "前が見えなくなったので、左に寄せて止まります。",
    "unrecorded": "記録を書き込めないため、新しい動作は始められません。ディスクを確認してください。",
    "uncertified": "認証を受けていないモデルなので、動かずにいます。",
    # driving
    "blocked": "道がふさがっていて進めません。どうしましょうか？",
    "changed": "周りの様子が変わったので、いったん止まります。",
    "stuck": "うまく進めないので止まりました。周りを確認していただけますか？",
    "nothing_to_continue": "再開できる作業がありません。",
    "estop": "非常停止中です。安全を確認して、解除してください。",
    "locked": "モーターがロックされています。解除してください。",
    "sensors_stale": "センサーの値が届かないので止まりました。",
    "fault": "故障のおそれがあるので止まりました。点検をお願いします。",
    "stopped": "止まりました。",
    "done": "終わりました。",
}
_LABELLED = {"collision": "{}に", "not_reached": "{}まで", "no_path": "{}まで"}
_NAMELESS = {"not_found": "お探しのもの", "target_lost": "目標", "no_depth": "そこ", "no_landmark": "その場所", "behind": "そこ",
             "forbidden": "そこ"}
# what is read back, and a zone's own name; things are named without the way there
_AS_IT_IS = ("unsure", "forbidden")


def failure(code: str, label: str | None = None) -> str:
    """What the robot says when something went wrong.

    Args:
        code: One of FAILURES; an unknown code gets a general apology, so that the user always hears something.
        label: The user's words for what it was about, if there are any.
    """
    template = FAILURES.get(code, "すみません、うまくいきませんでした。")
    if label and code not in _AS_IT_IS:
        label = thing(label)
    if code in _LABELLED:
        return template.format(label=_LABELLED[code].format(label) if label else "")
    return template.format(label=label or _NAMELESS.get(code, "目標"))


def ask_or_refuse(decision: str, reason: str, label: str | None = None) -> str:
    """What the robot says when it asks ("ask") or refuses ("refuse") for one of the plan language's reasons.

    Raises:
        KeyError: For a decision or reason that the plan language does not have.
    """
    return {"ask": _ASK, "refuse": _REFUSE}[decision][reason].format(label=label or _NAMELESS["not_found"])


def plan_reply(plan: ActionPlan, places: Mapping[str, str], home: str | None = None, *, vehicle: bool = False) -> str:
    """What the robot says of a plan: the steps it will do, or its question or refusal.

    Args:
        plan: Any plan; its own `reply` is used where it has one.
        places: Japanese name by place id, as the map has them.
        home: Id of the place that the robot belongs to; it 戻ります there.
        vehicle: The robot is a car, whose speeds are in km/h.
    """
    if plan.reply:
        return plan.reply
    if plan.decision != "act":
        return ask_or_refuse(plan.decision, str(plan.reason))
    phrases = [phrase(step, places, home, vehicle) for step in plan.steps]
    # long plans are told in sentences of at most three steps
    cuts = range(0, len(phrases), 3) if len(phrases) > 4 else [0]
    size = 3 if len(phrases) > 4 else 4
    sentences = [_sentence(phrases[cut:cut + size]) for cut in cuts]
    return "そのあと、".join(sentences)


def _sentence(phrases: list[Phrase]) -> str:
    words = ""
    for index, step in enumerate(phrases[:-1]):
        # から once: after a wait, or before the last step of a longer chain
        before_last = len(phrases) > 2 and index == len(phrases) - 2
        after = (step.waits or before_last) and "から、" not in words
        words += step.te + ("から" if after else "") + "、"
    return words + phrases[-1].masu + "。"
