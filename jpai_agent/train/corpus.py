"""Read the corpus: lines that people composed, with slots, and what they mean. Its format is in `corpus/README.md`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from jpai_agent.train.meanings import OBJECT_LETTERS, Meaning, parse_meaning

FOLDER = Path(__file__).parent / "corpus"
TEST_AUTHORS: tuple[str, ...] = ("cart_t", "cart_u", "car_t", "car_u")  # held out: never trained on

_SLOT = re.compile(r"\{([^{}]*)\}")
_TEXT_SLOT = {
    "cart": re.compile(r"([ABC])(?:\.([kczp]))?|[PQTDGVS]"), "car": re.compile(r"([ABC])(?:\.([kczp]))?|[PQTDVSNK]"),
}
_REF_SLOT = re.compile(r"[kczn]|[BC]\.[kc]")
# filter of a referring expression → number of landmarks that it takes
REF_FILTERS: dict[str, int] = {
    **dict.fromkeys(("kind", "color", "size", "person", "worker", "leftmost", "rightmost", "nearest", "farthest",
                     "largest",
                     "smallest", "middle", "left_side", "right_side", "nth_left", "nth_right", "nth_near", "nth_far",
                     "ahead", "oncoming"),
                     0),
    **dict.fromkeys(("left_of", "right_of", "beside", "front_of", "behind"), 1), "between": 2,
}


class CorpusError(ValueError):
    """The corpus has lines that cannot be read; the message names each by file and line."""


Segments = tuple[tuple[str, str], ...]  # (literal, "") or ("", slot)


@dataclass(frozen=True)
class Line:
    """An instruction pattern. `relation` is "" (stands alone), ">>" (follows `earlier` while it runs) or "?"
    (answers)."""

    text: Segments
    meaning: Meaning
    earlier: Segments = ()
    relation: str = ""
    tags: tuple[str, ...] = ()
    author: str = ""
    number: int = 0

    @property
    def robot(self) -> str:
        """Whom it is said to."""
        return self.author.partition("_")[0]

    @property
    def skills(self) -> tuple[str, ...]:
        """The skills of its steps in order, doubled ones once; empty where it asks or refuses."""
        steps = self.meaning.steps + self.meaning.otherwise
        return tuple(dict.fromkeys(step.skill for step in steps))


@dataclass(frozen=True)
class RefLine:
    """A referring expression; `filters` are (name, landmark letters)."""

    text: Segments
    filters: tuple[tuple[str, str], ...]
    author: str = ""
    number: int = 0


@dataclass(frozen=True)
class Corpus:
    """All lines and referring expressions of some authors, in the files' order."""

    lines: tuple[Line, ...]
    refs: tuple[RefLine, ...]


def authors(robot: str = "cart", folder: Path = FOLDER) -> tuple[str, ...]:
    """Stems of the robot's training files: all but those of TEST_AUTHORS."""
    return tuple(sorted(p.stem for p in folder.glob(f"{robot}_*.txt") if p.stem not in TEST_AUTHORS))


def held_out_authors(robot: str = "cart") -> tuple[str, ...]:
    """Stems of the robot's held-out files."""
    return tuple(name for name in TEST_AUTHORS if name.startswith(f"{robot}_"))


def load_corpus(robot: str = "cart", names: tuple[str, ...] | None = None, folder: Path = FOLDER) -> Corpus:
    """Read the files of `names` (default: all training authors of the robot).

    Raises CorpusError that lists every bad line by file, number and what is wrong.
    """
    lines: list[Line] = []
    refs: list[RefLine] = []
    errors: list[str] = []
    for name in authors(robot, folder) if names is None else names:
        got, bad = parse_text((folder / f"{name}.txt").read_text(encoding="utf-8"), name)
        lines += got.lines
        refs += got.refs
        errors += bad
    if errors:
        raise CorpusError(f"{len(errors)} bad lines in the corpus:\n" + "\n".join(errors))
    return Corpus(tuple(lines), tuple(refs))


def parse_text(text: str, author: str) -> tuple[Corpus, list[str]]:
    """The corpus of one file's text, and one message "author.txt:number: what is wrong" for each line left out."""
    lines: list[Line] = []
    refs: list[RefLine] = []
    errors: list[str] = []
    tags: tuple[str, ...] = ()
    for number, raw in enumerate(text.splitlines(), 1):
        row = raw.strip()
        if not row or row.startswith("#"):
            continue
        try:
            if row.startswith("@"):
                word, *rest = row.split()
                if word != "@tags":
                    raise ValueError(f"unknown directive {word}; known: @tags")
                tags = tuple(rest)
            elif row.startswith("ref:"):
                refs.append(_ref_line(row[4:].strip(), author, number))
            else:
                lines.append(_line(row, tags, author, number))
        except ValueError as error:
            errors.append(f"{author}.txt:{number}: {error}")
    return Corpus(tuple(lines), tuple(refs)), errors


def _halves(row: str) -> tuple[str, str]:
    left, arrow, right = row.rpartition("=>")
    if not arrow or not left.strip() or not right.strip():
        raise ValueError("needs TEXT => MEANING")
    return left.strip(), right.strip()


def _line(row: str, tags: tuple[str, ...], author: str, number: int) -> Line:
    said, meant = _halves(row)
    earlier = relation = ""
    for sign in (">>", "?"):
        before, found, after = said.partition(f" {sign} ")
        if found:
            earlier, relation, said = before.strip(), sign, after.strip()
            break
    if relation and not (earlier and said):
        raise ValueError(f"needs words on both sides of {relation}")
    robot = author.partition("_")[0]
    text, context = _segments(said, _TEXT_SLOT[robot]), _segments(earlier, _TEXT_SLOT[robot])
    meaning = parse_meaning(meant, robot)
    if missing := sorted(meaning.letters - {slot[0] for _, slot in text + context if slot}):
        raise ValueError(f"the meaning uses {', '.join(missing)}, which the text does not have")
    return Line(text, meaning, context, relation, tags, author, number)


def _segments(text: str, allowed: re.Pattern[str]) -> Segments:
    parts: list[tuple[str, str]] = []
    end = 0
    for match in _SLOT.finditer(text):
        if not allowed.fullmatch(match[1]):
            raise ValueError(f"unknown slot {match[0]}")
        if match.start() > end:
            parts.append((text[end:match.start()], ""))
        parts.append(("", match[1]))
        end = match.end()
    if end < len(text):
        parts.append((text[end:], ""))
    if any("{" in literal or "}" in literal for literal, _ in parts):
        raise ValueError("a brace without its partner")
    return tuple(parts)


def _ref_line(row: str, author: str, number: int) -> RefLine:
    said, meant = _halves(row)
    text = _segments(said, _REF_SLOT)
    filters: list[tuple[str, str]] = []
    words = meant.split()
    while words:
        name = words.pop(0)
        if name not in REF_FILTERS:
            raise ValueError(f"unknown filter {name!r}; known: {', '.join(REF_FILTERS)}")
        count = REF_FILTERS[name]
        marks, words = "".join(words[:count]), words[count:]
        if len(marks) != count or not set(marks) <= set("BC"):
            raise ValueError(f"{name} needs {count} of the landmarks B and C")
        filters.append((name, marks))
    names = {name for name, _ in filters}
    slots = {slot for _, slot in text if slot}
    needs = {"k": names & {"kind"}, "c": names & {"color"}, "z": names & {"size"},
             "n": {name for name in names if name.startswith("nth_")}}
    for slot, given in needs.items():
        if (slot in slots) != bool(given):
            raise ValueError(f"{{{slot}}} in the text and its filter come together")
    marks_meant = {mark for _, marks in filters for mark in marks}
    if marks_meant != {slot[0] for slot in slots if slot[0] in "BC"}:
        raise ValueError("the landmarks of the text and of the filters differ")
    return RefLine(text, tuple(filters), author, number)


@lru_cache(maxsize=4096)
def letters(line: Line) -> tuple[str, ...]:
    """Object letters of a line in the order in which they are said, those of `earlier` first."""
    return tuple(dict.fromkeys(s[0] for _, s in line.earlier + line.text if s and s[0] in OBJECT_LETTERS))
