"""Models are put side by side: quality from the suite's summary, times and tokens from each answer, chance from the pairs."""

from __future__ import annotations

import json

import pytest
from rich.console import Console

from jpai_agent.compare import Metered, compare, paired, print_compared, row_of
from jpai_agent.vlm import PlanAnswer, PlanRequest, VlmError

SUMMARY = {"decision_right": 0.9, "goal_reached": 0.8, "contacts": 0, "violations": 1,
           "model": {"name": "a", "sha256": None, "bits": 8},
           "latency_ms": {"first_motion": {"p50": 900.0, "p95": 1000.0}}}  # fmt: skip
EPISODE = {"id": "e1", "world": "yard", "robot": "cart", "seed": 1, "tags": ["wait"], "scene": {"robot_pose": [0, 0, 0]},
           "turns": [{"say": "待って"}], "time_limit_s": 8, "expect": {"decision": "act"}}  # fmt: skip
LOADED = {"load_s": 1.234, "memory_mb": 210.4, "accelerator_mb": None}


def answered(decode_ms, tokens, **more):
    return {"wall_ms": decode_ms + 10, "parts_ms": {"vision": 8.0, "decode": decode_ms, "total": decode_ms + 8} | more,
            "prompt_tokens": 40, "answer_tokens": tokens}  # fmt: skip


def test_a_row_has_parts_tokens_a_second_of_decoding_and_what_loading_added():
    row = row_of(SUMMARY, [LOADED, answered(100, 10), answered(300, 30), {"error": "model_timeout"}])
    assert (row["plans"], row["errors"], row["tokens_per_s"], row["tokens_over"]) == (2, 1, 100.0, "decode")
    assert row["parts_ms"]["decode"] == {"p50": 200.0, "p95": 290.0}
    assert (row["load_s"], row["memory_mb"], row["accelerator_mb"]) == (1.23, 210, None)
    assert "total" not in row["parts_ms"]


def test_an_endpoint_that_tells_the_whole_alone_and_a_model_that_never_answered_have_rows_too():
    told = {"wall_ms": 500, "parts_ms": {"total": 500.0}, "prompt_tokens": 0, "answer_tokens": 20}
    row = row_of(SUMMARY, [LOADED | {"memory_mb": None}, told])
    assert (row["tokens_per_s"], row["tokens_over"], row["memory_mb"]) == (40.0, "total", None)
    silent = row_of(SUMMARY, [LOADED, {"error": "policy"}])
    assert (silent["plans"], silent["tokens_per_s"], silent["plan_ms"]["p50"]) == (0, None, None)


@pytest.mark.parametrize(("first", "other", "expected"), [
    ([1, 1, 0], [1, 1, 0], {"won": 0, "lost": 0, "p": None}),
    ([0, 0, 0, 0, 0, 1], [1, 1, 1, 1, 1, 1], {"won": 5, "lost": 0, "p": 0.0625}),
    ([0, 1, 1], [1, 0, 1], {"won": 1, "lost": 1, "p": 1.0})])  # fmt: skip
def test_only_episodes_in_which_two_models_differ_tell_them_apart(first, other, expected):
    assert paired(dict(enumerate(map(bool, first))), dict(enumerate(map(bool, other)))) == expected


def test_the_table_has_a_column_a_model_and_a_dash_for_what_is_not_known(capsys):
    rows = [row_of(SUMMARY, [LOADED, answered(100, 10)]),
            row_of(SUMMARY | {"model": {"name": "endpoint:b", "bits": None}}, [LOADED | {"memory_mb": None}])]
    result = {"suite": "yard.jsonl", "n": 3, "models": rows, "machine": {"cpu": "x", "cores": 2},
              "against_the_first": [{"model": "endpoint:b", "won": 1, "lost": 2, "p": 1.0}]}  # fmt: skip
    print_compared(result, Console(width=140))
    lines = {line.strip("│┃ ").partition("│")[0].strip(): line for line in capsys.readouterr().out.splitlines()}
    assert "100.0" in lines["tokens a second"] and "–" in lines["tokens a second"]
    assert "210" in lines["memory, MB"] and "–" in lines["memory, MB"]
    assert "100 / 100" in lines["decode"]
    assert any("endpoint:b reaches 1 goals that a does not, and misses 2 that it does (p = 1)" in line for line in lines)


class Model:
    name = "model"

    def __init__(self, error=None):
        self.error = error

    def plan(self, request):
        if self.error:
            raise self.error
        return PlanAnswer("{}", timings_ms={"total": 5.0}, answer_tokens=3)


def test_what_is_noted_of_an_answer_or_of_none_changes_neither(tmp_path):
    path = tmp_path / "meter.jsonl"
    assert Metered(Model(), path).plan(PlanRequest("", {})).answer_tokens == 3
    with pytest.raises(VlmError, match="too late"):
        Metered(Model(VlmError("model_timeout", "too late")), path).plan(PlanRequest("", {}))
    first, second = map(json.loads, path.read_text().splitlines())
    assert (first["parts_ms"], first["answer_tokens"], second) == ({"total": 5.0}, 3, {"error": "model_timeout"})


def test_models_that_are_missing_or_named_twice_are_refused_before_anything_runs(tmp_path, model):
    suite = tmp_path / "suite.jsonl"
    suite.write_text(json.dumps(EPISODE))
    with pytest.raises(ValueError, match="named twice"):
        compare([model, model], suite)
    with pytest.raises(VlmError, match="no model folder"):
        compare([model, tmp_path / "gone"], suite)
