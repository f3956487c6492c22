"""Sentences to learn to hear: the corpus with its slots filled at random, drills of words and numbers, and their spelling.

A recogniser's text needs no picture, so slots are filled without one. What is said and what is to be written differ: the
written form has one spelling for each reading of a slot's word, numerals as they are spoken (百二十, 一点五: the
language part reads them), and of the marks only 、 (a pause).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random

from jpai_agent.train import lexicon
from jpai_agent.train.corpus import RefLine, Segments, load_corpus
from jpai_agent.train.meanings import OBJECT_LETTERS
from jpai_agent.train.talk import TALKS, Talk
from jpai_agent.train.voice.speech import kana
from jpai_agent.voice.spelling import spelled

MAX_CHARS = 44
ROBOTS = ("cart", "car")
# lines that write out what recognisers get wrong: nobody says them
MISSPELT = frozenset(("asr", "asr_noise", "noise", "recognition"))
_AMOUNT_DRILLS = (("T", "待って"), ("T", "止まって"), ("D", "前進して"), ("D", "下がって"), ("D", "手前で止まって"),
                  ("G", "右に向いて"), ("G", "左に回って"), ("V", "にして"), ("V", "で走って"))
_THING_DRILLS = ("まで行って", "の前で止まって", "についていって", "の横", "を探して", "の角を右", "の角を左", "のほうを向いて")
_DRILLS = 0.12  # drills for each sentence of the corpus

# (as some authors write it, as it is written here): the same sounds, the same meaning
_ONE_SPELLING: tuple[tuple[str, str], ...] = (
    ("下さい", "ください"), ("頂け", "いただけ"), ("頂き", "いただき"), ("うしろ", "後ろ"), ("いちばん", "一番"),
    ("となり", "隣"), ("てまえ", "手前"), ("まんなか", "真ん中"), ("ちかく", "近く"), ("みぎ", "右"), ("ひだり", "左"),
    ("おねがい", "お願い"), ("すすんで", "進んで"), ("とまって", "止まって"), ("まがって", "曲がって"), ("もどって", "戻って"),
    ("さがって", "下がって"), ("むこう", "向こう"), ("むいて", "向いて"), ("ばんめ", "番目"), ("びょう", "秒"),
    ("つぎの", "次の"), ("交叉点", "交差点"), ("ユーターン", "Uターン"), ("こども", "子ども"), ("子供", "子ども"),
    ("すいません", "すみません"), ("有難う", "ありがとう"), ("宜しく", "よろしく"), ("ごみ箱", "ゴミ箱"), ("ごみばこ", "ゴミ箱"),
)
_WRITTEN = re.compile(r"[ぁ-んァ-ヶー一-鿿々、0-9A-Z]+")


@dataclass(frozen=True)
class Sentence:
    """What is said, as an author wrote it, and what the recogniser shall write."""

    said: str
    written: str
    author: str = ""


def written(text: str) -> str:
    """The text as the recogniser shall write it: in its spelling, and one spelling where authors differ."""
    text = unicodedata.normalize("NFKC", text)
    for other, common in _ONE_SPELLING:
        text = text.replace(other, common)
    return spelled(text)


def writable(text: str) -> bool:
    """Whether the recogniser can be asked to write it: Japanese, not longer than MAX_CHARS, no long numbers."""
    return bool(_WRITTEN.fullmatch(text)) and 0 < len(text) <= MAX_CHARS and not re.search(r"[0-9]{2}|[A-Z]{4}", text)


def from_corpus(robot: str, names: tuple[str, ...] | None, r: Random, times: int) -> list[Sentence]:
    """Each line of these authors (default: the training authors) `times` times with other words in its slots, once
    where it has none; earlier turns and referring expressions as sentences of their own."""
    corpus, talk = load_corpus(robot, names), TALKS[robot]
    found: list[Sentence] = []
    for line in corpus.lines:
        if MISSPELT & set(line.tags):
            continue
        for segments in (line.text, line.earlier):
            slots = any(slot for _, slot in segments)
            for _ in range(times if slots else 1):
                if segments:
                    found.append(_sentence(_filled(segments, corpus.refs, talk, r), line.author))
    for ref in corpus.refs:
        said, plain = _ref_words(ref, talk, r)
        ending = r.choice(("", "", "まで行って", "のところで止まって", "の前", "です", "を見て", "、お願い"))
        found.append(_sentence((said + ending, plain + ending), ref.author))
    return [one for one in dict.fromkeys(found) if writable(one.written)]


def drills(count: int, r: Random) -> list[Sentence]:
    """Amounts, kinds, places and names in short carriers, so that all of them are heard often enough."""
    found = []
    for _ in range(count):
        talk = TALKS[r.choice(ROBOTS)]
        which = r.random()
        if which < 0.45:
            slot, after = r.choice(_AMOUNT_DRILLS)
            words = _filled((("", slot), (after, "")), (), talk, r)
        elif which < 0.8:
            said, plain = zip(*(_picked(lexicon.COLOR_WORDS, r), _picked(lexicon.KIND_WORDS, r)), strict=True)
            after = r.choice(_THING_DRILLS)
            words = "".join(said) + after, "".join(plain) + after
        else:
            text = lexicon.saying(r, talk.words.SAYINGS) if r.random() < 0.5 else r.choice(talk.words.SAYINGS)
            words = (text + "と言って",) * 2
        found.append(_sentence(words, "drill"))
    return [one for one in dict.fromkeys(found) if writable(one.written)]


def training_sentences(seed: int = 1, times: int = 2) -> tuple[list[Sentence], list[Sentence]]:
    """(training, validation) in random order. Validation: lines' sentences that are not in the training part."""
    r = Random(seed)
    found = [one for robot in ROBOTS for one in from_corpus(robot, None, r, times)]
    known = alphabet(one.written for one in found)
    found = [one for one in found if set(one.written) <= set(known)]
    kept_back = {text for text in sorted({one.said[:6] for one in found}) if r.random() < 0.04}
    validation = [one for one in found if one.said[:6] in kept_back]
    training = [one for one in found if one.said[:6] not in kept_back]
    training += [one for one in drills(int(len(training) * _DRILLS), r) if set(one.written) <= set(known)]
    r.shuffle(training)
    r.shuffle(validation)
    return training, validation


def alphabet(texts: Iterable[str], least: int = 3) -> str:
    """Characters of the texts that occur in at least `least` of them; kana always all."""
    counts: dict[str, int] = {}
    for text in texts:
        for char in set(text):
            counts[char] = counts.get(char, 0) + 1
    kana_all = "".join(map(chr, [*range(0x3041, 0x3094), *range(0x30A1, 0x30F7)])) + "ー、"
    return "".join(sorted({char for char, n in counts.items() if n >= least} | set(kana_all)))


def _sentence(words: tuple[str, str], author: str) -> Sentence:
    said, plain = words
    return Sentence(unicodedata.normalize("NFKC", said), written(plain), author)


def _filled(segments: Segments, refs: Sequence[RefLine], talk: Talk, r: Random) -> tuple[str, str]:
    """(said, in one spelling): the pattern with words in its slots."""
    bound: dict[str, tuple[str, str]] = {}
    kinds: dict[str, str] = {}
    said, plain = "", ""
    near = any("standoff" in literal or "手前" in literal for literal, _ in segments)
    for i, (literal, slot) in enumerate(segments):
        after = segments[i + 1][0] if i + 1 < len(segments) else ""
        if not slot:
            words = (literal, literal)
        elif slot[0] in OBJECT_LETTERS:
            if slot not in bound:
                bound[slot] = _object(slot, kinds, refs, talk, r)
            words = bound[slot]
        else:
            if slot not in bound:
                bound[slot] = _value(slot, after, talk, near, r)
            words = bound[slot]
        said, plain = said + words[0], plain + words[1]
    return said, plain


def _object(slot: str, kinds: dict[str, str], refs: Sequence[RefLine], talk: Talk, r: Random) -> tuple[str, str]:
    letter, _, part = slot.partition(".")
    if part == "c":
        return _picked(lexicon.COLOR_WORDS, r)
    if part == "z":
        return _picked(lexicon.SIZE_WORDS, r)
    kind = kinds.setdefault(letter, r.choice(talk.kinds))
    if part == "k":
        return _picked({kind: lexicon.KIND_WORDS[kind]}, r)
    if part == "p":
        return _picked({k: lexicon.KIND_WORDS[k] for k in ("person", "worker", "child")}, r)
    return _ref_words(r.choice(refs), talk, r)


def _ref_words(ref: RefLine, talk: Talk, r: Random) -> tuple[str, str]:
    said, plain = "", ""
    for i, (literal, slot) in enumerate(ref.text):
        after = ref.text[i + 1][0] if i + 1 < len(ref.text) else ""
        if not slot:
            words = (literal, literal)
        elif slot == "n":
            words = (talk.words.ordinal(r.randint(1, 5), after, r),) * 2
        elif slot.endswith("c"):
            words = _picked(lexicon.COLOR_WORDS, r)
        elif slot.endswith("z"):
            words = _picked(lexicon.SIZE_WORDS, r)
        else:
            words = _picked({k: lexicon.KIND_WORDS[k] for k in talk.kinds}, r)
        said, plain = said + words[0], plain + words[1]
    return said, plain


def _value(slot: str, after: str, talk: Talk, near: bool, r: Random) -> tuple[str, str]:
    words = talk.words
    if slot == "T":
        text = words.duration(after, r)[0]
    elif slot == "D":
        text = words.distance(after, r, *([words.STANDOFF_RANGE_M] if near else []))[0]
    elif slot == "G":
        text = lexicon.angle(after, r)[0]
    elif slot == "N":
        text = words.count(after, r)[0]
    elif slot == "K":
        text = words.slot_number(after, r)[0]
    elif slot == "V":
        text = words.speed(r, r.random() < 0.2)[0]
    elif slot == "S":
        text = r.choice(words.SAYINGS)
    else:  # a place
        table = lexicon.PLACE_WORDS if talk.robot == "cart" else {
            kind: found for kind, found in lexicon.KIND_WORDS.items() if kind not in talk.kinds and kind in _landmarks()}
        return _picked(table, r)
    return text, text


@lru_cache(maxsize=1)
def _landmarks() -> frozenset[str]:
    from jpai_agent.world.objects import LANDMARKS

    return frozenset(LANDMARKS)


def _picked(table: dict[str, tuple[str, ...]], r: Random) -> tuple[str, str]:
    """A word of one of the table's rows, the first ones more often, and the first spelling of its reading."""
    row = table[r.choice(list(table))]
    word = lexicon.draw(row, r)
    return word, _first_spelling(row, word)


@lru_cache(maxsize=4096)
def _first_spelling(row: tuple[str, ...], word: str) -> str:
    wanted = kana(unicodedata.normalize("NFKC", word))
    return next(other for other in row if kana(unicodedata.normalize("NFKC", other)) == wanted)
