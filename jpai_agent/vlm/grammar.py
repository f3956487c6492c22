"""Constrain decoding to the plan language: a grammar from the skill registry, compiled once, masks each step."""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xgrammar

from jpai_agent.plan import SkillSpec, json_schema

GRAMMARS_KEPT = 16  # of robots, cameras and maps met last


def plain_tokens(tokenizer: Any, vocab_size: int) -> list[str]:
    """Text of each token by id, for a tokenizer whose answers are its tokens joined; control tokens have none."""
    control = set(tokenizer.all_special_ids)
    control |= {index for index, token in tokenizer.added_tokens_decoder.items() if token.special}
    known = tokenizer.convert_ids_to_tokens(list(range(min(vocab_size, len(tokenizer)))))
    return ["" if index in control else token for index, token in enumerate(known)] + [""] * (vocab_size - len(known))


def tokenizer_info(tokenizer: Any, vocab_size: int, stop: Sequence[int] = ()) -> xgrammar.TokenizerInfo:
    """xgrammar's description of a transformers tokenizer.

    Args:
        tokenizer: A fast tokenizer.
        vocab_size: Width of the model's logits, which may be more than the tokenizer has tokens.
        stop: Ids of the tokens that end an answer; the tokenizer's end token when left out.
    """
    ends = list(stop) or [tokenizer.eos_token_id]
    core = json.loads(tokenizer.backend_tokenizer.to_str())
    # xgrammar does not know a decoder that only joins
    if (core.get("decoder") or {}).get("type") != "Fuse":
        return xgrammar.TokenizerInfo.from_huggingface(
            tokenizer, vocab_size=vocab_size, stop_token_ids=ends)
    return xgrammar.TokenizerInfo(
        plain_tokens(tokenizer, vocab_size), vocab_type=xgrammar.VocabType.RAW, vocab_size=vocab_size,
        stop_token_ids=ends, add_prefix_space=False)


class PlanGrammars:
    """Compiles and keeps grammars for one tokenizer, described by `tokenizer_info`; for any thread."""

    def __init__(self, info: xgrammar.TokenizerInfo) -> None:
        self.vocab_size = info.vocab_size
        self._compiler = xgrammar.GrammarCompiler(info, max_threads=1)
        self._compiled: OrderedDict[str, xgrammar.CompiledGrammar] = OrderedDict()
        self._lock = threading.Lock()

    def compiled(
        self, skills: Mapping[str, SkillSpec], cameras: Sequence[str], places: Sequence[str]
    ) -> xgrammar.CompiledGrammar:
        """The grammar of plans for these skills, cameras and place ids, compiled once while it is in use."""
        schema = json.dumps(json_schema(skills, cameras, places), ensure_ascii=False)
        with self._lock:
            if schema not in self._compiled:
                self._compiled[schema] = self._compiler.compile_json_schema(
                    schema, any_whitespace=False, separators=(",", ":"), strict_mode=True)
                if len(self._compiled) > GRAMMARS_KEPT:
                    self._compiled.popitem(last=False)
            self._compiled.move_to_end(schema)
            return self._compiled[schema]

    def mask(self, grammar: xgrammar.CompiledGrammar) -> TokenMask:
        """A fresh mask for one answer."""
        return TokenMask(grammar, self.vocab_size)


class TokenMask:
    """Says which tokens may follow, one answer long. `spent_s` adds up what it cost."""

    def __init__(self, grammar: xgrammar.CompiledGrammar, vocab_size: int) -> None:
        self._matcher = xgrammar.GrammarMatcher(grammar)
        self._bits = np.zeros(xgrammar.get_bitmask_shape(1, vocab_size), dtype=np.int32)
        self._vocab_size = vocab_size
        self.spent_s = 0.0

    def allowed(self) -> np.ndarray:
        """(vocab_size,) bool: the tokens that may come next."""
        began = time.perf_counter()
        self._matcher.fill_next_token_bitmask(self._bits)
        allowed = np.unpackbits(self._bits.view(np.uint8), bitorder="little")[:self._vocab_size].astype(bool)
        self.spent_s += time.perf_counter() - began
        return allowed

    def accept(self, token: int) -> bool:
        """Take `token` as the next one; False when it may not come next."""
        began = time.perf_counter()
        accepted: Any = self._matcher.accept_token(int(token))
        self.spent_s += time.perf_counter() - began
        return bool(accepted)

    @property
    def ended(self) -> bool:
        """True once the end token has been taken."""
        return bool(self._matcher.is_terminated())
