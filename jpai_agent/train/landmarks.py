"""Maps for instructions: which landmarks the car's map has, and what the words for places come to.

The cart's map never changes. The car's map has the landmarks of the scene and may have more elsewhere, so that one frame
serves questions over many maps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from jpai_agent.train.augment import as_read
from jpai_agent.train.meanings import CART_PLACES, PLACE_LETTERS
from jpai_agent.train.phrases import ABSENT, AMBIGUOUS
from jpai_agent.train.referring import View
from jpai_agent.world.objects import LANDMARKS

_ELSEWHERE = (0.5, 0.38, 0.12)  # chance of none, one, two landmarks of a kind that the scene has none of
_ONE_MORE = 0.2  # chance of another one elsewhere
_IN_VIEW = 0.5  # chance that an instruction names one of the landmarks in view, if there are any


@dataclass(frozen=True)
class MapDraw:
    """A map and the words for its places.

    Attributes:
        words, ids: Per place letter what is said and the id that is meant.
        landmarks: Ids of the map's landmarks; the cart's map has none.
        fits: Per place letter 0 where the map has none, 2 where several are in view, else 1.
        in_view: Per place letter the indices of the frame's landmarks of that kind.
    """

    words: Mapping[str, str]
    ids: Mapping[str, str]
    landmarks: tuple[str, ...] = ()
    fits: Mapping[str, int] | None = None
    in_view: Mapping[str, tuple[int, ...]] | None = None

    def counts(self, letters: Sequence[str], text: str) -> tuple[tuple[int, int, int, str], ...]:
        """(start, end, fits, kind) of the words of these letters in `text`, the normalised instruction; none for the cart."""
        if self.fits is None:
            return ()
        words = [(as_read(self.words[letter]), self.fits[letter], self.ids[letter]) for letter in letters]
        return tuple((text.find(said), text.find(said) + len(said), fits, kind) for said, fits, kind in words if said in text)

    def seen(self, letters: Sequence[str]) -> tuple[int, ...]:
        """Indices of the frame's objects that the words of these letters may mean."""
        return tuple(i for letter in letters for i in self.in_view[letter]) if self.in_view else ()


def draw_map(robot: str, states: Mapping[str, str], view: View, words: Any, r: Random) -> MapDraw | None:
    """Places for P and Q and a map in which they are missing, several in view, or as they should be.

    None where the frame does not allow it.
    """
    if robot == "cart":
        ids = dict(zip(PLACE_LETTERS, r.sample(CART_PLACES, len(PLACE_LETTERS)), strict=True))
        return MapDraw({letter: words.place_word(place, r) for letter, place in ids.items()}, ids)
    there = {kind: [i for i, thing in enumerate(view.objects) if thing.kind == kind] for kind in LANDMARKS}
    shown = {kind: [i for i in found if not view.objects[i].hidden] for kind, found in there.items()}
    counts = {kind: len(found) + (r.random() < _ONE_MORE if found else r.choices((0, 1, 2), _ELSEWHERE)[0])
              for kind, found in there.items()}
    kinds: dict[str, str] = {}
    for letter in PLACE_LETTERS:
        state = states.get(letter, "")
        if state == ABSENT:
            options = [kind for kind in LANDMARKS if not there[kind]]
        elif state == AMBIGUOUS:
            options = [k for k in LANDMARKS if sum(view.objects[i].clear for i in shown[k]) > 1]
        else:
            options = [kind for kind in LANDMARKS if len(shown[kind]) < 2]
            if (near := [kind for kind in options if shown[kind]]) and r.random() < _IN_VIEW:
                options = near
        options = [kind for kind in options if kind not in kinds.values()]
        if not options:
            return None
        kinds[letter] = kind = r.choice(options)
        counts[kind] = 0 if state == ABSENT else max(1, counts[kind])
    landmarks = tuple(f"{kind}_{n}" if n > 1 else kind for kind in LANDMARKS for n in range(1, counts[kind] + 1))
    fits = {letter: {ABSENT: 0, AMBIGUOUS: 2}.get(states.get(letter, ""), 1) for letter in kinds}
    return MapDraw({letter: words.place_word(kind, r) for letter, kind in kinds.items()}, kinds, landmarks, fits,
                   {letter: tuple(shown[kind]) for letter, kind in kinds.items()})
