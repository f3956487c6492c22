"""The fault table: it covers every row that software can produce, and a sample of it goes as it must on a real gate process."""

from __future__ import annotations

from collections import Counter

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("jpai_msgs")

from jpai_agent.nodes.fault_bench import Result
from jpai_agent.nodes.fault_graph_table import graph_faults
from jpai_agent.nodes.fault_table import gate_faults
from jpai_agent.nodes.faults import line, names, run_faults, summary
from jpai_agent.nodes.losses import BARS_MS, KINDS

ROWS = {"camera", "lidar", "odometry", "clock", "transport", "commands", "model", "plan JSON", "instruction", "disk", "host",
        "security", "e-stop", "obstacle"}
# one of each kind of ending and of injection; the whole table is for `jpai bench --what faults`
SAMPLE = ("camera frozen, fresh stamps", "odometry with speed NaN", "clock steps +3600.0 s", "all heartbeats lost",
          "requests replayed", "request with speed 1e9", "intruder on requests", "e-stop pressed, gate killed after")


@pytest.mark.parametrize("robot", ["cart", "car"])
def test_the_table_has_every_row_and_each_name_once(robot):
    faults = [*gate_faults(robot), *graph_faults(robot)]
    assert {fault.row for fault in faults} == ROWS
    assert len(names(robot)) >= 100 and max(Counter(names(robot)).values()) == 1
    assert {fault.expect for fault in faults} <= {"zero", "held", "latched", "goes_on", "still"}


def test_an_unknown_fault_is_named():
    with pytest.raises(ValueError, match="no such fault"):
        run_faults("cart", (0,), ["no such fault"])


def test_every_loss_has_its_bar():
    assert set(KINDS) == set(BARS_MS)


def test_a_summary_counts_by_fault_and_keeps_the_longest():
    results = [Result("a", "camera", "cart", seed, "zero", 0.5, seed != 1, 0.1 * seed, "late" if seed == 1 else "")
               for seed in range(3)]
    figures = summary(results)
    assert (figures["tried"], figures["ok"], figures["all_ok"]) == (3, 2, False)
    assert figures["by_fault"][0]["max_s"] == 0.2 and figures["by_fault"][0]["wrong"] == ["late"]
    assert not summary([])["all_ok"]


def test_a_sample_of_the_faults_goes_as_it_must():
    wrong = [result for result in run_faults("cart", (0,), SAMPLE) if not result.ok]
    assert not wrong, "\n".join(map(line, wrong))
