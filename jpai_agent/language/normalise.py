"""Clean an instruction for the model: width, compatibility forms, invisible characters, numerals. Original kept."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from jpai_agent.language.numbers import kanji_numerals_to_digits
from jpai_agent.language.replies import failure

MAX_CHARS = 500

# control, format (zero width, bidi), surrogate, private use, unassigned; and variation selectors
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
_SELECTORS = frozenset(map(chr, [*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)]))


class InstructionError(ValueError):
    """An instruction that cannot be taken.

    `reason_code` is "too_long", "empty" or "wrong_type"; the message is for logs; `reply` is what the user hears.
    """

    def __init__(self, reason_code: str, message: str) -> None:
        super().__init__(message)
        self.reason_code = reason_code
        self.reply = failure(reason_code)


@dataclass(frozen=True)
class Utterance:
    """What was said, and the text that the model reads."""

    original: str
    text: str


def normalise(original: str) -> Utterance:
    """The instruction, cleaned: NFKC, no invisible characters, one space for many, numerals before counters as digits.

    Raises:
        InstructionError: When it is no text, longer than MAX_CHARS, or nothing is left of it.
    """
    if not isinstance(original, str):
        raise InstructionError("wrong_type", f"an instruction is text, not {type(original).__name__}")
    if len(original) > MAX_CHARS:
        raise InstructionError("too_long", f"instruction of {len(original)} characters, at most {MAX_CHARS}")
    text = clean(original)
    if len(text) > MAX_CHARS:
        raise InstructionError("too_long", f"instruction of {len(text)} characters after NFKC, at most {MAX_CHARS}")
    if not any(unicodedata.category(char)[0] in "LN" for char in text):
        raise InstructionError("empty", "nothing readable in the instruction")
    return Utterance(original, kanji_numerals_to_digits(text))


def clean(text: str) -> str:
    """`text` in NFKC without invisible characters, white space collapsed. 〜 stays, so that ranges stay ranges."""
    text = unicodedata.normalize("NFKC", _visible(text))
    return re.sub(r"\s+", " ", _visible(text)).strip()


def _visible(text: str) -> str:
    return "".join(
        " " if char in "\t\n\r\v\f" else char for char in text
        if char in "\t\n\r\v\f" or (unicodedata.category(char) not in _INVISIBLE and char not in _SELECTORS)
    )
