"""How far writings are apart."""

from __future__ import annotations

import pytest

from jpai_agent.voice.letters import distance


@pytest.mark.parametrize(("a", "b", "wanted"), [("", "", 0), ("箱", "", 1), ("赤い箱", "青い箱", 1), ("はこ", "たばこ", 2)])
def test_distance(a, b, wanted):
    assert distance(a, b) == wanted
