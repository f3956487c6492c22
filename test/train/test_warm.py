"""Warm starts: rows go by words, kinds by their order, and what is new starts like what it resembles."""

import pytest
import torch

from jpai_agent.plan import Number, SkillSpec, TargetArg
from jpai_agent.train.batch import COLORS_KNOWN
from jpai_agent.train.dense import DenseHeads
from jpai_agent.train.losses import Probes
from jpai_agent.train.model import ModelSize, build_model
from jpai_agent.train.symbolic import COLOR_CLASSES, KIND_CLASSES, SIZE_CLASSES
from jpai_agent.train.tokenizer import PlanCodec, build_tokenizer
from jpai_agent.train.warm import inherit, inherit_heads, inherit_probes

TINY = ModelSize(tower=(8, 16, 24), tower_depths=(1, 1, 1), tower_heads=(1, 2, 2), d_model=48, heads=3, encoder_layers=1,
                 decoder_layers=1, encoder_ffn=64, decoder_ffn=64)
OLD = [SkillSpec("go_to", "", {"target": TargetArg()})]
NEW = [*OLD, SkillSpec("wait", "", {"duration_s": Number(0, 60, "s")})]


@pytest.fixture(scope="module")
def pair():
    old, new = build_tokenizer(OLD, ["赤い箱"]), build_tokenizer(NEW, ["赤い箱と鱠"], ["dock"])
    return build_model(old, TINY, seed=1), PlanCodec(old).strings, build_model(new, TINY, seed=2), PlanCodec(new).strings


def test_known_words_keep_their_rows_and_all_else_is_taken_over(pair):
    old, old_words, new, words = pair
    inherit(new, words, old.state_dict(), old_words)
    before, after = old.get_input_embeddings().weight, new.get_input_embeddings().weight
    for index, word in enumerate(words):
        if word in old_words:
            assert torch.equal(after[index], before[old_words.index(word)])
    assert new.lm_head.weight.data_ptr() == after.data_ptr()
    assert torch.equal(new.model.vision_tower.state_dict()["convs.0.conv.weight"],
                       old.model.vision_tower.state_dict()["convs.0.conv.weight"])


def test_new_words_start_near_words_like_them(pair):
    old, old_words, new, words = pair
    inherit(new, words, old.state_dict(), old_words)
    before, after = old.get_input_embeddings().weight, new.get_input_embeddings().weight
    kanji = before[[i for i, word in enumerate(old_words) if len(word) == 1 and word >= "一"]]
    drawn = after[words.index("鱠")]
    assert (drawn - kanji.mean(0)).abs().max() < 6 * kanji.std(0).max()
    assert set(words) - set(old_words) >= {"鱠", '{"skill":"wait"', "⟦run:wait⟧", 'dock"}}'}


def test_a_question_that_now_says_more_starts_as_the_bare_one(pair):
    old, old_words, new, words = pair
    bare = '{"decision":"ask","steps":[],"reason":"ambiguous"}'
    told = bare[:-1] + ',"reply":"'
    known = [row for row, word in enumerate(old_words) if word != told]
    fewer = {name: value[known] if len(value) == len(old_words) else value for name, value in old.state_dict().items()}
    inherit(new, words, fewer, [old_words[row] for row in known])
    after = new.get_input_embeddings().weight
    assert torch.equal(after[words.index(told)], after[words.index(bare)])


def test_read_outs_that_knew_fewer_kinds_keep_what_they_knew():
    heads, few = DenseHeads(8), KIND_CLASSES - 5
    rest = COLOR_CLASSES + SIZE_CLASSES + 4
    state = {"read.weight": torch.randn(few + rest, 8), "read.bias": torch.randn(few + rest)}
    inherit_heads(heads, state)
    assert torch.equal(heads.read.weight[:few], state["read.weight"][:few])
    assert torch.equal(heads.read.weight[KIND_CLASSES:], state["read.weight"][few:])


def test_probes_that_knew_fewer_kinds_keep_what_they_knew():
    probes, old = Probes(8, 20, COLORS_KNOWN), Probes(8, 15, COLORS_KNOWN)
    inherit_probes(probes, old.state_dict())
    assert torch.equal(probes.kind.weight[:15], old.kind.weight)
    assert torch.equal(probes.count.weight, old.count.weight)
