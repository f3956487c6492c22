"""From the e-stop's message the robot stands within its bar, whatever its load, floor and drive."""

from __future__ import annotations

import pytest

from jpai_agent.sim.stopping import BARS_M, bench_stopping, stop


@pytest.mark.parametrize(("speed_mps", "bar_m"), BARS_M["cart"].items())
def test_the_cart_stands_within_its_bar(speed_mps: float, bar_m: float) -> None:
    for seed in range(3):
        way_m, from_mps = stop("cart", speed_mps, seed)
        assert from_mps == pytest.approx(speed_mps, rel=0.03)
        assert from_mps**2 / 5.0 < way_m <= bar_m


def test_a_message_that_comes_later_costs_the_way_driven_meanwhile() -> None:
    late, early = stop("cart", 1.2, 0, message_s=0.12), stop("cart", 1.2, 0, message_s=0.02)
    assert late[0] - early[0] == pytest.approx(0.12, abs=0.03)


def test_the_bench_tells_each_speed_with_its_n() -> None:
    figures = bench_stopping("cart", 1)
    assert set(figures["from_mps"]) == {"0.5", "1.2"}
    assert all(of["n"] == 1 and of["met"] for of in figures["from_mps"].values())
    with pytest.raises(ValueError, match="unknown robot 'tank'"):
        bench_stopping("tank")
