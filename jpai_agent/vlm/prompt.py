"""Make the conversation that every backend reads: a system message, earlier turns, the frames and the instruction.

A checkpoint's chat template decides what of it the model really reads. Large models read the catalogue; the embedded
model's template takes the robot's name and state from the system message's own keys, and the dialogue.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from jpai_agent.plan import REASONS, Choice, Number, SkillSpec
from jpai_agent.vlm.backend import PlanRequest, VlmError

OPENING = "あなたは移動ロボット「"
_RULES = OPENING + """\
{robot}」の計画係です。カメラの画像と日本語の指示を読み、行動計画をJSONだけで答えます。
形式: {example}
- decisionはact、ask、refuseのどれか。askとrefuseではstepsを空にし、reasonに{reasons}のどれかを書きます。
- pointは画像上の位置{point}、対象の見えている部分の中心を指します。
- 地図の場所は{{"place":"id"}}で指します。まだ見えていないものはlabelだけで指します。
- 同じ名前の目印が複数あるときは番号のないidで指し、二つ以上見えているときは尋ねます。地図にない目印はnot_foundです。
- 左右手前奥は、話し手が別に言わない限りロボットから見た向きです。
- 分からない、複数ある、危ない、できないときは、動かずにaskかrefuseで答えます。"""


_BRACKETS = "<>[]"
POINT = "[x,y]です。左上が[0,0]、右下が[1000,1000]で"
_EXAMPLE = """\
{"decision":"act","steps":[{"skill":"SKILL","target":{"label":"赤い箱","camera":"CAMERA","point":[512,634]}}],"reason":null}"""


def messages(request: PlanRequest, skills: Mapping[str, SkillSpec], point: str = POINT) -> list[dict[str, Any]]:
    """The conversation in the form of transformers' chat templates, frames as `{"type": "image"}` in their order.

    The system message carries the robot's state in keys of its own (`robot`, `speed_mps`, `running`, `places`) as well
    as in words.
    """
    turns: list[dict[str, Any]] = [{
        "role": "system", "content": system_text(request, skills, point), "robot": request.robot,
        "speed_mps": request.speed_mps, "running": request.running,
        "places": {key: list(names) for key, names in request.places.items()},
    }]
    for exchange in request.dialogue:
        # templates want the roles to take turns, so an answer that is not known stands there empty
        turns.append({"role": "user", "content": exchange.user})
        turns.append({"role": "assistant", "content": exchange.answer})
    frames: list[dict[str, Any]] = [{"type": "image"} for _ in request.images]
    turns.append({"role": "user", "content": [*frames, {"type": "text", "text": request.instruction}]})
    return turns


def in_parts(turns: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The conversation with every content as a list of parts, as templates of processors expect it."""
    return [{**turn, "content": [{"type": "text", "text": turn["content"]}] if isinstance(turn["content"], str)
             else [dict(part) for part in turn["content"]]} for turn in turns]


def without_system(turns: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The conversation for templates that take no system message: its words stand before those of the last turn."""
    *earlier, last = (dict(turn) for turn in turns if turn["role"] != "system")
    rules = "\n\n".join(turn["content"] for turn in turns if turn["role"] == "system")
    last["content"] = [part if part["type"] != "text" else {**part, "text": f"{rules}\n\n{part['text']}"}
                       for part in last["content"]]
    return [*earlier, last]


def plain_text(turns: Sequence[Mapping[str, Any]]) -> str:
    """The conversation as one text, for models that know no roles; the frames go before it."""
    words = [turn["content"] if isinstance(turn["content"], str)
             else "".join(part.get("text", "") for part in turn["content"]) for turn in turns]
    return "\n\n".join(text for text in words if text)


def without_control(request: PlanRequest, control: Sequence[str] | None = None) -> PlanRequest:
    """The request without what would read as a control token of the model in what people said.

    control: The model's control tokens; of a model whose tokens are not known, the brackets go that such are written in.
    """
    marks = _BRACKETS if control is None else sorted((token for token in control if len(token) > 1), key=len, reverse=True)

    def cleaned(text: str) -> str:
        before = None
        # what a token is taken out of may read as one then
        while text != before:
            before = text
            for mark in marks:
                text = text.replace(mark, "")
        return text

    return replace(request, instruction=cleaned(request.instruction),
                   dialogue=tuple(replace(turn, user=cleaned(turn.user)) for turn in request.dialogue))


def system_text(request: PlanRequest, skills: Mapping[str, SkillSpec], point: str = POINT) -> str:
    """Rules, catalogue, places and state, in Japanese, for models that read instructions."""
    pointing = next((name for name in ("go_to", "stop_at") if name in skills), next(iter(skills)))
    example = _EXAMPLE.replace("CAMERA", next(iter(request.images), "front")).replace("SKILL", pointing)
    catalogue = "\n".join(f"- {spec.name}: {spec.description}{_arguments(spec)}" for spec in skills.values())
    places = "、".join(f"{key}={names[0]}" for key, names in request.places.items() if names) or "なし"
    state = f"速度{request.speed_mps:.1f}m/s、実行中: {request.running or 'なし'}"
    rules = _RULES.format(robot=request.robot, example=example, point=point, reasons="、".join(REASONS))
    cameras = "、".join(request.images)
    return f"{rules}\n\n技能:\n{catalogue}\n\nカメラ: {cameras}\n場所: {places}\n状態: {state}"


def _arguments(spec: SkillSpec) -> str:
    words = []
    for name, argument in spec.args.items():
        if isinstance(argument, Number):
            kind = f"{argument.low:g}..{argument.high:g} {argument.unit}".strip()
        else:
            kind = "/".join(argument.options) if isinstance(argument, Choice) else argument.kind
        words.append(f"{name}({kind}{'' if argument.required else '、省略可'})")
    rule = f"。{'、'.join(spec.one_of)}のうち一つだけ" if spec.one_of else ""
    return f" 引数: {'、'.join(words)}{rule}" if words else ""


def check_prompt(prompt: str, instruction: str) -> None:
    """Raise VlmError when a chat template has not let the whole instruction through.

    Templates may drop marks that pose as control tokens; a template that cuts the end off would change the meaning.
    """
    if _bare(instruction) not in _bare(prompt):
        raise VlmError("too_long", f"the model's template cuts an instruction of {len(instruction)} characters")


def _bare(text: str) -> str:
    return "".join(char for char in text if char not in "<>⟦⟧" and not char.isspace())
