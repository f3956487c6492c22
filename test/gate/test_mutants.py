"""Each rule of the gate switched off, in a copy of its source in memory, makes a named test fail: none is there for nothing.

A mutant is an edit of the core's text that must occur exactly once. Its test is run with the mutant's classes in the place of
the gate's; it must pass with the core as it is (which this checks too) and fail with the mutant.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

import jpai_agent.gate.core as core

HERE = Path(__file__).parent
SOURCE = Path(core.__file__).read_text(encoding="utf-8")


@dataclass(frozen=True)
class Mutant:
    """`rule` without effect: `old` replaced by `new`; `test` of `module` must fail then."""

    rule: str
    old: str
    new: str
    test: str
    module: str = "test_rules"


OLD = "test_core"
MUTANTS = (
    Mutant("starts locked",
           "self.state = GateState.LOCKED\n        self._cause = \"not armed\"\n        self._request: ",
           "self.state = GateState.OPEN\n        self._cause = \"not armed\"\n        self._request: ",
           "test_starts_locked_and_gives_zero", OLD),
    Mutant("arming leaves a latch",
           "if self.state is GateState.LOCKED:\n            self.state, self._cause = GateState.OPEN",
           "if True:\n            self.state, self._cause = GateState.OPEN",
           "test_a_latch_is_not_released_by_arming_or_by_a_stop", OLD),
    Mutant("locking leaves a latch", "if self.state is not GateState.LATCHED:\n            self.state",
           "if True:\n            self.state", "test_locking_stops_until_armed_again_and_leaves_a_latch", OLD),
    Mutant("request finite", "if not (math.isfinite(v_mps) and math.isfinite(w_radps)):", "if False:",
           "test_a_request_that_is_not_finite_stops_the_robot", OLD),
    Mutant("request absurd, speed", "abs(v_mps) > self.config.absurd * max(", "abs(v_mps) > 1e99 * max(",
           "test_an_absurd_request_is_a_fault_and_not_cut"),
    Mutant("request absurd, turn", "abs(w_radps) > self.config.absurd *", "abs(w_radps) > 1e99 *",
           "test_an_absurd_request_is_a_fault_and_not_cut"),
    Mutant("request stamp", "elif not abs(stamp_skew_s) <= self.config.stamp_skew_s:\n            self._reject",
           "elif False:\n            self._reject", "test_a_stamp_of_the_past_or_the_future_stops_the_robot", OLD),
    Mutant("stamps of the future", "elif not abs(stamp_skew_s) <= self.config.stamp_skew_s:\n            self._reject",
           "elif not -stamp_skew_s <= self.config.stamp_skew_s:\n            self._reject",
           "test_a_stamp_of_the_past_or_the_future_stops_the_robot", OLD),
    Mutant("flood", "elif self._flood > self.config.request_burst:", "elif False:",
           "test_a_flood_of_requests_stops_and_its_end_lets_drive_again"),
    Mutant("flood drains", "self._flood - drained", "self._flood",
           "test_requests_at_the_control_rate_and_a_burst_after_a_stall_are_no_flood"),
    Mutant("replayed request", "elif self._is_news(\"request\", stamp_s):", "else:",
           "test_a_replayed_request_does_not_keep_it_driving"),
    Mutant("rejection clears the request", "self._request = None\n        if self.state is GateState.OPEN:",
           "if self.state is GateState.OPEN:", "test_an_absurd_request_is_a_fault_and_not_cut"),
    Mutant("cause of a latch stays", "if self.state is GateState.OPEN:\n            self._cause = cause",
           "if True:\n            self._cause = cause",
           "test_what_is_wrong_with_a_request_does_not_hide_why_it_is_latched"),
    Mutant("heartbeat stamp",
           "if not abs(stamp_skew_s) <= self.config.stamp_skew_s or not self._is_news(\"heartbeat\", stamp_s):",
           "if not self._is_news(\"heartbeat\", stamp_s):", "test_a_heartbeat_off_the_clock_is_no_heartbeat"),
    Mutant("heartbeat replayed", "or not self._is_news(\"heartbeat\", stamp_s)", "",
           "test_a_repeated_heartbeat_is_no_heartbeat"),
    Mutant("sensor stamp", "if not abs(stamp_skew_s) <= self.config.stamp_skew_s or not self._is_news(name, stamp_s):",
           "if not self._is_news(name, stamp_s):", "test_sensor_readings_with_stamps_off_the_clock_do_not_count", OLD),
    Mutant("sensor replayed", "or not self._is_news(name, stamp_s)", "",
           "test_a_reading_that_was_overtaken_or_repeated_does_not_count"),
    Mutant("sensor blank", "if blank or (", "if (", "test_a_sensor_that_shows_nothing_is_lost"),
    Mutant("sensor frozen", "(content is not None and content == before)", "False",
           "test_a_sensor_that_repeats_itself_is_lost"),
    Mutant("odometry finite", "if not all(map(math.isfinite, reading)) or abs(v_mps) > fast:", "if abs(v_mps) > fast:",
           "test_odometry_that_is_not_finite_or_impossible_does_not_count"),
    Mutant("odometry possible", " or abs(v_mps) > fast:", ":",
           "test_odometry_that_is_not_finite_or_impossible_does_not_count"),
    Mutant("odometry stamp",
           "if not abs(stamp_skew_s) <= self.config.stamp_skew_s or not self._is_news(\"odom\", stamp_s):",
           "if not self._is_news(\"odom\", stamp_s):", "test_odometry_off_the_clock_does_not_count"),
    Mutant("odometry replayed", "or not self._is_news(\"odom\", stamp_s)", "", "test_repeated_odometry_does_not_count"),
    Mutant("odometry jumps", "self.stop(\"odometry jumped\")", "pass",
           "test_odometry_that_jumps_stops_until_another_plan"),
    Mutant("odometry turns in a jump", "math.remainder(yaw_rad - before[2], math.tau)", "0.0",
           "test_odometry_that_jumps_stops_until_another_plan"),
    Mutant("odometry stuck", "self.latch(\"odometry stands while the motors are driven\")", "pass",
           "test_odometry_that_stands_while_the_motors_are_driven_latches"),
    Mutant("odometry may stand at rest", "if reading != before or not self._drives():", "if reading != before:",
           "test_odometry_may_stand_while_the_robot_does"),
    Mutant("clock back", "if ran_s < 0 or ran_s", "if ran_s", "test_a_step_of_the_clock_stops_until_another_plan"),
    Mutant("clock forward", "if ran_s < 0 or ran_s - (now_s - self._clock[1]) > self.config.clock_step_s:",
           "if ran_s < 0:", "test_a_step_of_the_clock_stops_until_another_plan"),
    Mutant("stamps after a step", "self._stamps.clear()", "pass", "test_a_step_of_the_clock_stops_until_another_plan"),
    Mutant("clock stands",
           "if self._clock is not None and not now_s - self._clock_ran_at_s <= self.config.clock_still_s:", "if False:",
           "test_a_clock_that_stands_stops"),
    Mutant("hold needs another plan", "and plan_id != self._held_plan_id and known", "and known",
           "test_a_stop_holds_zero_until_another_plan_is_accepted", OLD),
    Mutant("hold needs knowledge of the stop", "self._held_plan_id and known:", "self._held_plan_id:",
           "test_a_plan_accepted_without_knowing_of_the_stop_does_not_release_it", OLD),
    Mutant("stop clears the request", "self._request = None\n        self._stops += 1", "self._stops += 1",
           "test_a_stop_before_arming_drops_the_request"),
    Mutant("stop counts", "self._stops += 1", "pass", "test_a_second_stop_outlasts_a_plan_accepted_between_the_two", OLD),
    Mutant("stop holds", "self.state, self._cause, self._held_plan_id = GateState.HELD, cause, self._plan_id", "pass",
           "test_a_stop_holds_zero_until_another_plan_is_accepted", OLD),
    Mutant("stop leaves a latch", "if self.state in (GateState.OPEN, GateState.HELD):", "if True:",
           "test_a_latch_is_not_released_by_arming_or_by_a_stop", OLD),
    Mutant("e-stop latches", "if pressed:\n            self.latch(\"e-stop\")", "",
           "test_the_e_stop_latches_until_it_is_released_and_a_human_resets", OLD),
    Mutant("no reset while the e-stop is pressed", " or self._estop_pressed:", ":",
           "test_the_e_stop_latches_until_it_is_released_and_a_human_resets", OLD),
    Mutant("reset leaves locked", "self.state, self._cause = GateState.LOCKED, \"not armed\"\n        return True",
           "self.state, self._cause = GateState.OPEN, \"\"\n        return True",
           "test_the_e_stop_latches_until_it_is_released_and_a_human_resets", OLD),
    Mutant("e-stop silent", "self._watch_estop(now_s)\n", "pass\n",
           "test_a_fitted_e_stop_that_falls_silent_counts_as_pressed", OLD),
    Mutant("e-stop never spoke", "not now_s - self._estop_at_s <= timeout_s",
           "math.isfinite(self._estop_at_s) and now_s - self._estop_at_s > timeout_s",
           "test_a_fitted_e_stop_that_never_spoke_counts_as_pressed", OLD),
    Mutant("gate late", "if period_s > self.config.overrun_s and self.state is GateState.OPEN:", "if False:",
           "test_a_gate_that_was_late_itself_stops_until_another_plan"),
    Mutant("zero in doubt", "if self._request is None or (reasons and not only_silent):", "if self._request is None:",
           "test_silence_of_any_source_stops_the_robot", OLD),
    Mutant("only a car brakes softly", "return self.ackermann is not None and sensor in self.config.brakes_for",
           "return sensor in self.config.brakes_for", "test_a_sensor_that_repeats_itself_is_lost"),
    Mutant("only the camera is braked for softly",
           "return self.ackermann is not None and sensor in self.config.brakes_for", "return self.ackermann is not None",
           "test_a_car_that_loses_its_camera_brakes_comfortably_along_its_way_and_one_without_odometry_at_once", OLD),
    Mutant("a car brakes steadily", "self._last[0] if self._braked else last_mps", "last_mps",
           "test_a_car_brakes_steadily_though_odometry_reads_high_or_late", OLD),
    Mutant("a car brakes", "math.copysign(min(abs(v), most), v)", "math.copysign(abs(v), v)",
           "test_a_car_that_loses_its_camera_brakes_comfortably_along_its_way_and_one_without_odometry_at_once", OLD),
    Mutant("speed forward", "limits.reverse_mps), limits.forward_mps)\n        w",
           "limits.reverse_mps), 99.0)\n        w", "test_limits_speed_and_says_so", OLD),
    Mutant("speed backward", "max(wanted_v, -limits.reverse_mps)", "wanted_v", "test_limits_speed_and_says_so", OLD),
    Mutant("turn rate", "w = min(max(wanted_w, -limits.yaw_radps), limits.yaw_radps)", "w = wanted_w",
           "test_limits_speed_and_says_so", OLD),
    Mutant("acceleration", "v = self._ramp(last_mps, v, most_mps2 * period_s)", "",
           "test_speeding_up_is_ramped_and_slowing_down_is_not", OLD),
    Mutant("jerk", "if limits.jerk_mps3 is not None:", "if False:", "test_jerk_is_limited_where_it_is_given"),
    Mutant("a car's lock", "most = abs(v) * self.ackermann.curvature_max_radpm * LOCK_SHARE", "most = 99.0",
           "test_a_car_is_held_to_its_lock_and_to_its_lateral_acceleration", OLD),
    Mutant("a car's lateral acceleration", "if v:\n            most = min(", "if False:\n            most = min(",
           "test_a_car_is_held_to_its_lock_and_to_its_lateral_acceleration", OLD),
    Mutant("obstacle", "if self._obstacle(v, w, now_s):", "if False:",
           "test_what_is_close_ahead_stops_and_once_stopped_more_room_is_wanted"),
    Mutant("no creeping up to an obstacle", "if self._blocked and self._request is not None:", "if False:",
           "test_what_is_close_ahead_stops_and_once_stopped_more_room_is_wanted"),
    Mutant("open only", "if self.state is not GateState.OPEN:\n            return (f",
           "if False:\n            return (f", "test_locking_stops_until_armed_again_and_leaves_a_latch", OLD),
    Mutant("heartbeat", "doubts.append(\"no heartbeat\")", "pass", "test_silence_of_any_source_stops_the_robot", OLD),
    Mutant("request stale", "doubts.append(\"request stale\")", "pass", "test_silence_of_any_source_stops_the_robot",
           OLD),
    Mutant("sensors watched", "doubts += [f\"no {name}\" for name in self._silent(now_s)]", "",
           "test_silence_of_any_source_stops_the_robot", OLD),
    Mutant("a reading of later than now is none", "if not 0 <= now_s - self._seen_at_s.get(",
           "if not -1e9 <= now_s - self._seen_at_s.get(", "test_readings_that_come_from_later_than_now_do_not_count"),
)


def module_of(name: str, source: str) -> types.ModuleType:
    """A module made of a text, not to be found by anybody."""
    module = types.ModuleType(name)
    module.__dict__["__file__"] = core.__file__
    # dataclasses look their module up
    sys.modules[name] = module
    exec(compile(source, name, "exec"), module.__dict__)
    return module


@cache
def code_of(name: str) -> types.CodeType:
    """A module of tests, compiled."""
    return compile((HERE / f"{name}.py").read_text(encoding="utf-8"), name, "exec")


def with_core(gate: types.ModuleType, name: str) -> types.ModuleType:
    """A module of tests, with another core's classes in the place of the gate's."""
    module = types.ModuleType(f"mutated_{name}")
    sys.modules[module.__name__] = module
    exec(code_of(name), module.__dict__)
    for part in ("Gate", "GateConfig", "GateState"):
        setattr(module, part, getattr(gate, part))
    for config in ("CONFIG", "CAR_CONFIG"):
        if hasattr(module, config):
            setattr(module, config, gate.GateConfig(**vars(getattr(module, config))))
    return module


def cases(test) -> Iterator[dict]:
    """The arguments of a test, from its parametrize mark."""
    for mark in getattr(test, "pytestmark", ()):
        if mark.name == "parametrize":
            names = mark.args[0].split(",") if isinstance(mark.args[0], str) else mark.args[0]
            for values in mark.args[1]:
                yield dict(zip((n.strip() for n in names), values if len(names) > 1 else (values,), strict=True))
            return
    yield {}


@cache
def fails(gate: types.ModuleType, module: str, name: str) -> bool:
    """Whether a test fails with that core."""
    test = getattr(with_core(gate, module), name)
    for arguments in cases(test):
        try:
            test(**arguments)
        except Exception:
            return True
    return False


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.rule)
def test_a_rule_switched_off_is_noticed(mutant):
    assert SOURCE.count(mutant.old) == 1, "the edit must fit exactly one place"
    assert not fails(core, mutant.module, mutant.test)
    assert fails(module_of("mutant_core", SOURCE.replace(mutant.old, mutant.new)), mutant.module, mutant.test)
