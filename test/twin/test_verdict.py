"""Verdicts: their bound, their words, and an id that only their own content has."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from jpai_agent.twin.verdict import Binding, Verdict, wilson

BINDING = Binding("plan", "program", "scene", "robot", "model", "site")
PASSED = Verdict("", "pass", 5.0, 32, 1.0, BINDING, min_clearance_m=0.4, swept=[[0.0, 0.0], [1.234, 0.5]]).sealed()
FAILED = Verdict("", "fail", 5.0, 32, 0.25, BINDING, failed_step=1, reason="collision").sealed()


def test_wilson_bounds_are_those_of_the_tables() -> None:
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-3)
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-3)
    assert wilson(32, 32) == pytest.approx((0.8928, 1.0), abs=1e-3)
    assert wilson(0, 0) == (0.0, 1.0)


def test_a_verdict_tells_the_bound_of_its_rate() -> None:
    assert PASSED.pass_rate_low == pytest.approx(0.8928, abs=1e-3)
    assert PASSED.to_dict()["pass_rate_low"] == pytest.approx(0.8928, abs=1e-3)


def test_a_verdict_speaks_japanese() -> None:
    assert PASSED.in_words() == "リハーサルでは32回のうち32回うまくいきました。"
    found = "リハーサルしたところ、赤い箱にぶつかりそうなので、やめておきます。（2番目の動作、32回のうち24回）"
    assert FAILED.in_words("赤い箱") == found


def test_the_same_finding_has_the_same_id_and_the_cost_does_not_count() -> None:
    assert PASSED.genuine and FAILED.genuine
    assert replace(PASSED, paths=[[[0.0, 0.0, 0.0]]]).sealed().id == PASSED.id
    # the same rehearsed again is another verdict: each permits one start
    assert replace(PASSED, wall_s=3.0).sealed().id != PASSED.id


@pytest.mark.parametrize("change", [
    {"status": "pass", "reason": ""}, {"pass_rate": 1.0}, {"rollouts": 64}, {"made_at_s": 6.0}, {"failed_step": None},
    {"binding": replace(BINDING, program="other")}, {"binding": replace(BINDING, site="other")}, {"min_clearance_m": 1.0},
    {"swept": [[1.0, 1.0]]}, {"id": PASSED.id},
])
def test_a_verdict_that_was_altered_is_not_genuine(change: dict[str, Any]) -> None:
    assert not replace(FAILED, **change).genuine
