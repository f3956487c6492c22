"""The embedded model's words: characters of Japanese text, and tokens for the skeleton of plans and for coordinates.

The vocabulary has four parts: control tokens (`<s>`, `⟦cart⟧` ...), characters, coordinate tokens ("16" ... "992") and
plan pieces (`{"skill":"go_to","target":{"label":"` ...), built from the skills' own argument names. Joining the token
strings of an answer gives exactly the plan's canonical JSON. Text is only ever cut into characters, so nothing that a
user says can turn into a plan piece or a coordinate.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
)
from transformers import PreTrainedTokenizerFast

from jpai_agent.language.questions import ABOUT, MISSING
from jpai_agent.plan import (
    DECISIONS,
    REASONS,
    ActionPlan,
    Choice,
    SkillSpec,
    TargetArg,
    Text,
)
from jpai_agent.train.characters import COMMON_KANJI
from jpai_agent.world.objects import LANDMARKS

PAD, BOS, EOS, UNK, IMAGE = "<pad>", "<s>", "</s>", "<unk>", "<image>"
SPEED_LIMITS_MPS = (0.05, 0.5)
SPEED_TOKENS = ("⟦still⟧", "⟦slow⟧", "⟦fast⟧")
EARLIER, ASKED, NOW = "⟦earlier⟧", "⟦asked⟧", "⟦now⟧"
ROBOTS = ("cart", "car")
STEP = 8
COORDINATES = tuple(range(16, 1000, STEP))

# characters of prompts that only control tokens may hold; the chat template drops them from what people say
RESERVED = "<>⟦⟧"

CHAT_TEMPLATE = """\
{%- macro say(text, limit) -%}
{%- set plain = (text or '') | replace('<', '') | replace('>', '') | replace('⟦', '') | replace('⟧', '') | trim -%}
{{ (plain | string)[:limit] }}
{%- endmacro -%}
{%- macro words(content) -%}
{%- if content is string -%}{{ content }}
{%- else -%}
{%- for part in content -%}{%- if part.type == 'text' -%}{{ part.text }}{%- endif -%}{%- endfor -%}
{%- endif -%}
{%- endmacro -%}
{%- set state = messages[0] if messages[0].role == 'system' else {} -%}
{%- set ns = namespace(now='', earlier='', asked=false, reply='') -%}
{%- for message in messages -%}
{%- if message.role == 'user' -%}
{%- set ns.earlier = ns.now -%}{%- set ns.now = words(message.content) -%}
{%- set ns.asked = '"decision":"ask"' in ns.reply -%}{%- set ns.reply = '' -%}
{%- elif message.role == 'assistant' -%}{%- set ns.reply = words(message.content) -%}
{%- endif -%}
{%- endfor -%}
{{ '⟦' + (state.robot or 'cart') + '⟧' }}
{%- set speed = (state.speed_mps or 0.0) | abs -%}
{{ '⟦still⟧' if speed < 0.05 else ('⟦slow⟧' if speed < 0.5 else '⟦fast⟧') }}
{%- if state.running -%}{{ '⟦run:' + state.running + '⟧' }}{%- endif -%}
{%- set places = state.places or {} -%}
{%- for kind in LANDMARKS -%}
{%- if kind in places -%}{{ '⟦' + kind + (':2' if (kind + '_2') in places else '') + '⟧' }}{%- endif -%}
{%- endfor -%}
{%- if ns.earlier -%}{{ '⟦earlier⟧' + say(ns.earlier, 60) }}{%- if ns.asked -%}{{ '⟦asked⟧' }}{%- endif -%}{%- endif -%}
{{ '⟦now⟧' + say(ns.now, 120) }}""".replace("LANDMARKS", str(list(LANDMARKS)))


def clean(text: str, limit: int) -> str:
    """What the chat template keeps of a person's words: without the reserved characters, at most `limit` of them."""
    return text.translate({ord(char): None for char in RESERVED}).strip()[:limit]


def landmark_tokens(places: Collection[str]) -> list[str]:
    """One token for each kind of landmark among the ids of a map's places: it has one, or more."""
    return [f"⟦{kind}:2⟧" if f"{kind}_2" in places else f"⟦{kind}⟧" for kind in LANDMARKS if kind in places]


def prompt_text(
    instruction: str,
    *,
    robot: str = "cart",
    speed_mps: float = 0.0,
    running: str = "",
    earlier: str = "",
    asked: bool = False,
    places: Collection[str] = (),
) -> str:
    """The prompt that the chat template makes of a conversation; the processor adds image tokens, `<s>` and `</s>`.

    places: ids of the map's places; of these the template reads the landmarks.
    """
    speed = SPEED_TOKENS[sum(abs(speed_mps) >= limit for limit in SPEED_LIMITS_MPS)]
    parts = [f"⟦{robot}⟧", speed, f"⟦run:{running}⟧" if running else "", *landmark_tokens(places)]
    if earlier:
        parts += [EARLIER, clean(earlier, 60), ASKED if asked else ""]
    return "".join(parts) + NOW + clean(instruction, 120)


def base_characters() -> list[str]:
    """ASCII, kana, the punctuation of Japanese text and common kanji; rarer ones come from the corpus."""
    ascii_ = [chr(code) for code in range(0x20, 0x7F)]
    kana = [chr(code) for code in [*range(0x3041, 0x3097), *range(0x30A1, 0x30FB), 0x30FC]]
    return ascii_ + kana + list("、。・「」『』〜…々〇〻ヶ°℃" + COMMON_KANJI)


def plan_pieces(skills: Iterable[SkillSpec], places: Sequence[str] = ()) -> list[str]:
    """Strings of several characters that plans are made of. Each holds a double quote, which no text in a plan does."""
    pieces = [
        '{"decision":"act","steps":[',
        '],"reason":null}',
        '}],"reason":null}',
        ']}],"reason":null}',
        '"}],"reason":null}',
        '"}}],"reason":null}',
        ']}}],"reason":null}',
        '"}',
        '"}}',
        '","camera":"front","point":[',
        ',"place":"',
    ]
    pieces += [
        f'{{"decision":"{decision}","steps":[],"reason":"{reason}"}}'
        for decision in DECISIONS
        if decision != "act"
        for reason in REASONS
    ]
    pieces += [f'{{"decision":"ask","steps":[],"reason":"{reason}","reply":"' for reason in ABOUT]
    pieces += [f'{words}"}}' for words in ABOUT.values()]
    pieces += [f'{{"decision":"ask","steps":[],"reason":"incomplete","reply":"{words}"}}' for words in MISSING.values()]
    pieces += [f'{place}"{end}' for place in places for end in ("", "}}")]
    for skill in skills:
        heads = [f'{{"skill":"{skill.name}"']
        for name, arg in skill.args.items():
            joined = [f'{head},"{name}":' for head in (heads[0], "")]
            if isinstance(arg, TargetArg):
                heads += [joined[0] + start for start in ('{"label":"', '{"place":"', '{"camera":"front","point":[')]
                tails = [joined[1] + start for start in ('{"label":"', '{"place":"', '{"camera":"front","point":[')]
            elif isinstance(arg, Choice):
                heads += [f'{joined[0]}"{option}"' for option in arg.options]
                tails = [f'{joined[1]}"{option}"' for option in arg.options]
            else:
                quote = '"' if isinstance(arg, Text) else ""
                heads.append(joined[0] + quote)
                tails = [joined[1] + quote]
            pieces += [closing + tail for tail in tails for closing in ("", "]}", "}")]
        pieces += [opening + head for head in heads for opening in ("", "},", "]}},", '"},', '"}},')]
    return sorted(set(pieces))


def build_tokenizer(
    skills: Iterable[SkillSpec], characters: Iterable[str], places: Sequence[str] = ()
) -> PreTrainedTokenizerFast:
    """A fast tokenizer over the plan pieces of the skills of all robots and `characters` (NFKC; one token each)."""
    skills_by_name = sorted(skills, key=lambda skill: skill.name)
    control = [
        PAD,
        BOS,
        EOS,
        UNK,
        IMAGE,
        EARLIER,
        ASKED,
        NOW,
        *SPEED_TOKENS,
        *(f"⟦{robot}⟧" for robot in ROBOTS),
        *dict.fromkeys(f"⟦run:{skill.name}⟧" for skill in skills_by_name),
        *(f"⟦{kind}{several}⟧" for kind in LANDMARKS for several in ("", ":2")),
    ]
    seen = {char for text in characters for char in unicodedata.normalize("NFKC", text)}
    texts = sorted((seen | set(base_characters())) - set(RESERVED) | set("<>"))
    words = [*control, *(str(value) for value in COORDINATES), *plan_pieces(skills_by_name, places), *texts]
    vocabulary = {word: index for index, word in enumerate(dict.fromkeys(words))}

    core = Tokenizer(models.WordLevel(vocabulary, unk_token=UNK))
    core.normalizer = normalizers.NFKC()
    core.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    core.decoder = decoders.Fuse()
    core.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in control])
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        unk_token=UNK,
        extra_special_tokens={"image_token": IMAGE},
        clean_up_tokenization_spaces=False,
        model_max_length=512,
        padding_side="right",
    )


def nearest_coordinate(value: float) -> int:
    """The coordinate of a token nearest to `value` (0..1000)."""
    return int(min(max(round(value / STEP) * STEP, COORDINATES[0]), COORDINATES[-1]))


class PromptCodec:
    """Prompts as token ids: those of `tokenizer("<s>" + prompt_text(...) + "</s>")`, but quicker and with positions."""

    def __init__(self, tokenizer: Any) -> None:
        self.vocabulary: dict[str, int] = tokenizer.get_vocab()
        self.unk = self.vocabulary[UNK]

    def _characters(self, text: str) -> list[int]:
        return [self.vocabulary.get(char, self.unk) for char in unicodedata.normalize("NFKC", text)]

    def encode(
        self,
        instruction: str,
        *,
        robot: str = "cart",
        speed_mps: float = 0.0,
        running: str = "",
        earlier: str = "",
        asked: bool = False,
        places: Collection[str] = (),
    ) -> tuple[list[int], int]:
        """Ids from `<s>` to `</s>` and the position of the instruction's first character."""
        word = self.vocabulary.__getitem__
        ids = [
            word(BOS),
            word(f"⟦{robot}⟧"),
            word(SPEED_TOKENS[sum(abs(speed_mps) >= limit for limit in SPEED_LIMITS_MPS)]),
        ]
        if running:
            ids.append(word(f"⟦run:{running}⟧"))
        ids += map(word, landmark_tokens(places))
        if earlier:
            ids += [word(EARLIER), *self._characters(clean(earlier, 60)), *([word(ASKED)] if asked else [])]
        ids.append(word(NOW))
        return [*ids, *self._characters(clean(instruction, 120)), word(EOS)], len(ids)


class PlanCodec:
    """Plans as token ids and back, for one tokenizer."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        vocabulary: dict[str, int] = tokenizer.get_vocab()
        self.vocabulary = vocabulary
        self.unk, self.eos = vocabulary[UNK], vocabulary[EOS]
        self.strings = [""] * len(vocabulary)
        for word, index in vocabulary.items():
            self.strings[index] = word
        self.coordinate_ids = [vocabulary[str(value)] for value in COORDINATES]
        pieces = sorted((word for word in vocabulary if len(word) > 1 and '"' in word), key=len, reverse=True)
        self._split = re.compile("|".join([*(re.escape(piece) for piece in pieces), r"[\s\S]"]))
        self._encode_cached = lru_cache(maxsize=50_000)(self._encode_text)

    def encode(self, plan: ActionPlan) -> list[int]:
        """Token ids of the canonical JSON in NFKC (an act without its reply), points at the nearest coordinate, `</s>` last."""
        told = replace(plan, reply=None) if plan.decision == "act" else plan
        text = unicodedata.normalize("NFKC", told.to_json())
        return [*self._encode_cached(text), self.eos]

    def _encode_text(self, text: str) -> tuple[int, ...]:
        ids: list[int] = []
        for index, part in enumerate(re.split(r'(?<="point":\[)(\d+),(\d+)(?=\])', text)):
            if index % 3:
                ids += [self.vocabulary[str(nearest_coordinate(int(part)))]] + (
                    [self.vocabulary[","]] if index % 3 == 1 else []
                )
            else:
                ids += [self.vocabulary.get(piece, self.unk) for piece in self._split.findall(part)]
        return tuple(ids)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of an answer: token strings joined up to the first `</s>`; control tokens are left out."""
        parts = []
        for index in ids:
            if index == self.eos:
                break
            word = self.strings[index]
            if not (word.startswith(("<", "⟦")) and len(word) > 1):
                parts.append(word)
        return "".join(parts)
