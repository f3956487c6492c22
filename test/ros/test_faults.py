"""The fault table: it covers every row that software can produce, and a sample of it goes as it must on a real gate process."""

from __future__ import annotations

import time
from collections import Counter
from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("jpai_msgs")

from jpai_agent.nodes.bench import Bench, BenchError
from jpai_agent.nodes.fault_bench import Result
from jpai_agent.nodes.fault_graph_table import graph_faults
from jpai_agent.nodes.fault_table import gate_faults
from jpai_agent.nodes.faults import TRIALS, _until_known, line, names, run_faults, summary
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


@pytest.mark.parametrize(("commands", "took_s"), [
    (((0.0, 1.0), (0.2, 0.0), (0.3, 0.0)), 0.2),
    (((0.0, 1.0), (0.2, 0.0), (0.3, 1.0), (0.4, 0.0), (0.5, 0.0)), 0.4),  # a zero that does not last is none
    (((0.0, 1.0), (0.2, 1.0)), 0.7),  # silence: the robot's driver stops after its own time
    (((-0.2, 1.0), (-0.1, 0.0), (0.1, 0.0)), 0.0),
    ((), 0.0),
])
def test_standstill_begins_with_the_zero_that_lasts(commands, took_s):
    begun_s = time.monotonic() - 10.0
    given = [(begun_s + at_s, v, 0.0) for at_s, v in commands]
    in_time = SimpleNamespace(run=lambda until, within_s: True)
    assert Bench.standstill(in_time, given, begun_s, 0.4, 1.0) == pytest.approx(took_s, abs=1e-6)


def test_what_moves_on_or_has_not_been_watched_yet_does_not_stand(monkeypatch):
    now_s = iter((100.0, 100.3, 100.5, 100.9))
    monkeypatch.setattr("jpai_agent.nodes.bench.time", SimpleNamespace(monotonic=lambda: next(now_s)))
    stands = []
    watched = SimpleNamespace(run=lambda until, within_s: stands.extend(until() for _ in range(3)) or stands[-1])
    assert Bench.standstill(watched, [(90.0, 1.0, 0.0), (91.0, 0.0, 0.0)], 90.0, 0.4, 1.0) == 1.0
    assert stands == [False, True, True]
    given = [(100.0, 1.0, 0.0)]
    now_s = iter((100.0, 100.8, 100.85))
    late = SimpleNamespace(run=lambda until, within_s: until() or until())
    assert Bench.standstill(late, given, 90.0, 0.4, 1.0) is None


class Made:
    """A bench that is made and left."""

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass


def trials(*told):
    """What comes of a fault whose trials end so: "void", "wrong", "ok" or "breaks"; and how many benches were made."""
    left, made = list(told), []
    fault = SimpleNamespace(name="a", row="host", expect="zero", deadline_s=0.5)

    def trial(bench, fault):
        how = left.pop(0)
        if how == "breaks":
            raise BenchError("does not drive")
        return Result("a", "host", "cart", 0, "zero", 0.5, how == "ok", 0.1, how, how == "void")

    def make():
        made.append(Made())
        return made[-1]

    (result,) = _until_known("cart", [fault], 0, make, trial, lambda result: None)
    return result, len(made)


def test_a_trial_that_says_nothing_is_repeated_and_one_that_went_wrong_is_not():
    result, made = trials("void", "ok")
    assert (result.ok, result.repeats, made) == (True, 1, 1)
    assert not trials("wrong", "ok")[0].ok
    result, made = trials("breaks", "ok")
    assert (result.ok, result.repeats, made) == (True, 1, 2)


def test_what_never_says_anything_is_not_ok():
    for how in ("void", "breaks"):
        result, _ = trials(*[how] * TRIALS)
        assert not result.ok and result.repeats == TRIALS - 1


def test_a_sample_of_the_faults_goes_as_it_must():
    wrong = [result for result in run_faults("cart", (0,), SAMPLE) if not result.ok]
    assert not wrong, "\n".join(map(line, wrong))
