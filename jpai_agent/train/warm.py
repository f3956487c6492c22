"""Warm starts: take over a model that knew fewer words and kinds of objects. Rows are matched by word, kinds by their order.

A new word starts as a draw around the rows of words like it: pieces of plans around pieces with the same ending, control
tokens around control tokens, characters around characters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from jpai_agent.train.symbolic import COLOR_CLASSES, SIZE_CLASSES

SPREAD = 0.7  # of the like rows' own spread


def inherit(model: Any, words: Sequence[str], state: Mapping[str, Tensor], old_words: Sequence[str], seed: int = 0) -> None:
    """Load the weights of a model over `old_words` into one over `words` (token strings by id).

    Raises RuntimeError when anything else than the vocabulary differs.
    """
    old_size, new_size = len(old_words), len(words)
    place = {word: index for index, word in enumerate(old_words)}
    rows = torch.tensor([place.get(word, -1) for word in words])
    draw = torch.Generator().manual_seed(seed)
    likes = _likes(words, old_words)
    fresh: dict[int, Tensor] = {}  # tied tables share their storage and must share their draws

    def widened(table: Tensor) -> Tensor:
        if table.data_ptr() not in fresh:
            grown = torch.empty(new_size, *table.shape[1:], dtype=table.dtype)
            grown[rows >= 0] = table[rows[rows >= 0]]
            for index, like in likes.items():
                mean = table[like].mean(0)
                spread = table[like].std(0) if len(like) > 1 else torch.zeros_like(mean)
                grown[index] = mean + SPREAD * spread * torch.randn(mean.shape, generator=draw)
            fresh[table.data_ptr()] = grown
        return fresh[table.data_ptr()]

    wanted = model.state_dict()
    loaded = {}
    for name, value in state.items():
        grows = name in wanted and value.shape != wanted[name].shape
        if grows and value.shape[0] == old_size and wanted[name].shape[0] == new_size:
            value = widened(value)
        elif grows and value.ndim == 2 and value.shape[1] == old_size:
            value = widened(value.T.contiguous()).T
        loaded[name] = value
    model.load_state_dict(loaded)


def _likes(words: Sequence[str], old_words: Sequence[str]) -> dict[int, Tensor]:
    """For each new word the rows of the old words that are like it."""
    known = set(old_words)
    sorts = {word: _sort(word) for word in {*words, *old_words}}
    likes: dict[int, Tensor] = {}
    groups: dict[tuple[str, ...], Tensor] = {}
    for index, word in enumerate(words):
        if word in known:
            continue
        if (bare := word.partition(',"reply":')[0] + "}") in known:
            # the same question, which now says more
            likes[index] = torch.tensor([old_words.index(bare)])
            continue
        for sort in (sorts[word], sorts[word][:1]):
            if sort not in groups:
                groups[sort] = torch.tensor([i for i, old in enumerate(old_words) if sorts[old][: len(sort)] == sort])
            if len(groups[sort]):
                likes[index] = groups[sort]
                break
        else:
            likes[index] = torch.arange(len(old_words))
    return likes


def _sort(word: str) -> tuple[str, ...]:
    if len(word) > 1 and word[0] in "⟦<":
        return "control", word.partition(":")[0] if ":" in word else ""
    if len(word) > 1 and '"' in word:
        ending = next((end for end in ('"point":[', '"label":"', '"place":"', '":"', '":', '"}}', '}') if word.endswith(end)), "")
        return "piece", ending
    return ("kanji",) if word >= "一" else ("character",)


def inherit_heads(heads: Any, state: Mapping[str, Tensor]) -> None:
    """Take over dense read-outs that knew the first kinds only: rows are kinds, then colours, sizes and four values."""
    rest = COLOR_CLASSES + SIZE_CLASSES + 4
    loaded = heads.state_dict()
    for name, value in state.items():
        kinds = len(value) - rest
        loaded[name][:kinds] = value[:kinds]
        loaded[name][-rest:] = value[kinds:]
    heads.load_state_dict(loaded)


def inherit_probes(probes: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Take over the probes that are there; of one that told fewer kinds the first rows."""
    loaded = probes.state_dict()
    for name, value in state.items():
        if name in loaded and value.shape[1:] == loaded[name].shape[1:]:
            loaded[name][: len(value)] = value
    probes.load_state_dict(loaded)
