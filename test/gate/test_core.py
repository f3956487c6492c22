"""The gate passes what is fresh and within limits, and gives zero in every doubt."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jpai_agent.gate import Gate, GateConfig, GateState
from jpai_agent.world.robot import load_robot

LIMITS = load_robot("cart").limits
CONFIG = GateConfig(sensor_timeouts_s={"odom": 0.5, "scan": 0.5})
PERIOD_S = 0.02


def open_gate(now_s: float = 0.0) -> Gate:
    gate = Gate(LIMITS, CONFIG)
    gate.arm()
    feed(gate, now_s)
    return gate


def feed(gate: Gate, now_s: float) -> None:
    gate.heartbeat(now_s)
    gate.sensor("odom", now_s)
    gate.sensor("scan", now_s)


def settle(gate: Gate, v: float, w: float, start_s: float = 0.0, seconds: float = 3.0):
    """Request (v, w) until the ramps have ended; returns the last output and its time."""
    now_s = start_s
    for _ in range(int(seconds / PERIOD_S)):
        now_s += PERIOD_S
        feed(gate, now_s)
        gate.request(v, w, now_s)
        output = gate.tick(now_s)
    return output, now_s


def test_starts_locked_and_gives_zero():
    gate = Gate(LIMITS, CONFIG)
    feed(gate, 0.0)
    gate.request(0.5, 0.0, 0.0)
    output = gate.tick(0.0)
    assert (output.v_mps, output.w_radps, output.state) == (0.0, 0.0, GateState.LOCKED)
    assert output.reasons


def test_passes_a_fresh_request_within_limits():
    output, _ = settle(open_gate(), 0.8, 0.3)
    assert (output.v_mps, output.w_radps, output.reasons) == (0.8, 0.3, ())


def test_limits_speed_and_says_so():
    output, _ = settle(open_gate(), 5.0, -9.0)
    assert output.v_mps == LIMITS.forward_mps and output.w_radps == -LIMITS.yaw_radps
    assert set(output.reasons) == {"speed limited", "turn limited"}
    output, _ = settle(open_gate(), -5.0, 0.0)
    assert output.v_mps == -LIMITS.reverse_mps


def test_speeding_up_is_ramped_and_slowing_down_is_not():
    gate = open_gate()
    gate.tick(0.0)
    gate.request(1.2, 0.0, 0.1)
    feed(gate, 0.1)
    assert gate.tick(0.1).v_mps == pytest.approx(LIMITS.accel_mps2 * 0.1, rel=1e-3)
    _, now_s = settle(gate, 1.2, 0.0, 0.1)
    gate.request(0.1, 0.0, now_s + PERIOD_S)
    feed(gate, now_s + PERIOD_S)
    assert gate.tick(now_s + PERIOD_S).v_mps == 0.1


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_request_that_is_not_finite_stops_the_robot(bad: float):
    gate = open_gate()
    _, now_s = settle(gate, 0.8, 0.0)
    gate.request(bad, 0.0, now_s)
    output = gate.tick(now_s)
    assert (output.v_mps, output.w_radps) == (0.0, 0.0) and "request not finite" in output.reasons


@pytest.mark.parametrize("skew_s", [3600.0, -3600.0, 1.0, -1.0, math.nan])
def test_a_stamp_of_the_past_or_the_future_stops_the_robot(skew_s: float):
    gate = open_gate()
    _, now_s = settle(gate, 0.8, 0.0)
    gate.request(0.8, 0.0, now_s, stamp_skew_s=skew_s)
    assert gate.tick(now_s).v_mps == 0.0


@pytest.mark.parametrize("skew_s", [3600.0, -3600.0])
def test_sensor_readings_with_stamps_off_the_clock_do_not_count(skew_s: float):
    gate = open_gate()
    _, now_s = settle(gate, 0.5, 0.0)
    now_s += 0.6
    gate.heartbeat(now_s)
    gate.request(0.5, 0.0, now_s)
    gate.sensor("odom", now_s, skew_s)
    gate.sensor("scan", now_s)
    output = gate.tick(now_s)
    assert "no odom" in output.reasons and output.v_mps == 0.0


@pytest.mark.parametrize(("silent", "after_s"), [("request", 0.26), ("heartbeat", 0.21), ("odom", 0.51), ("scan", 0.51)])
def test_silence_of_any_source_stops_the_robot(silent: str, after_s: float):
    gate = open_gate()
    _, silent_since_s = settle(gate, 0.8, 0.0)
    now_s = silent_since_s
    while now_s < silent_since_s + after_s:
        now_s += PERIOD_S
        if silent != "heartbeat":
            gate.heartbeat(now_s)
        for name in ("odom", "scan"):
            if name != silent:
                gate.sensor(name, now_s)
        if silent != "request":
            gate.request(0.8, 0.0, now_s)
        output = gate.tick(now_s)
    assert (output.v_mps, output.w_radps) == (0.0, 0.0) and output.reasons


def test_a_stop_holds_zero_until_another_plan_is_accepted():
    gate = open_gate()
    gate.plan_accepted("first")
    _, now_s = settle(gate, 0.8, 0.0)
    gate.stop("stop word")
    output, now_s = settle(gate, 0.8, 0.0, now_s)
    assert output.v_mps == 0.0 and output.state is GateState.HELD
    gate.plan_accepted("first")
    assert gate.tick(now_s).state is GateState.HELD
    gate.plan_accepted("second")
    output, _ = settle(gate, 0.8, 0.0, now_s)
    assert output.v_mps == 0.8


def test_a_plan_accepted_without_knowing_of_the_stop_does_not_release_it():
    gate = open_gate()
    gate.stop("stop word")
    gate.plan_accepted("on its way when the stop came", stops_known=0)
    assert gate.state is GateState.HELD
    gate.plan_accepted("asked for afterwards", stops_known=gate.stops)
    assert gate.state is GateState.OPEN


def test_a_second_stop_outlasts_a_plan_accepted_between_the_two():
    gate = open_gate()
    gate.stop("stop word")
    known = gate.stops
    gate.stop("stop word")
    gate.plan_accepted("between", known)
    assert gate.state is GateState.HELD


def test_a_fitted_e_stop_that_falls_silent_counts_as_pressed():
    gate = Gate(LIMITS, GateConfig(sensor_timeouts_s={}, estop_timeout_s=0.5))
    gate.estop(False, 0.0)
    gate.arm()
    gate.heartbeat(0.4)
    assert gate.tick(0.4).state is GateState.OPEN
    assert gate.tick(0.6).state is GateState.LATCHED


def test_a_fitted_e_stop_that_never_spoke_counts_as_pressed():
    gate = Gate(LIMITS, GateConfig(sensor_timeouts_s={}, estop_timeout_s=0.5))
    assert gate.tick(0.0).state is GateState.LOCKED
    gate.arm()
    assert gate.tick(0.02).state is GateState.LATCHED


def test_locking_stops_until_armed_again_and_leaves_a_latch():
    gate = open_gate()
    _, now_s = settle(gate, 0.8, 0.0)
    assert gate.moving
    gate.lock()
    output, now_s = settle(gate, 0.8, 0.0, now_s)
    assert (output.v_mps, output.state, gate.moving) == (0.0, GateState.LOCKED, False)
    gate.latch("fault")
    gate.lock()
    assert gate.state is GateState.LATCHED


def test_the_e_stop_latches_until_it_is_released_and_a_human_resets():
    gate = open_gate()
    _, now_s = settle(gate, 0.8, 0.0)
    gate.estop(True)
    assert settle(gate, 0.8, 0.0, now_s)[0].v_mps == 0.0
    assert not gate.reset()
    gate.estop(False)
    gate.plan_accepted("another")
    assert settle(gate, 0.8, 0.0, now_s)[0].state is GateState.LATCHED
    assert gate.reset()
    assert settle(gate, 0.8, 0.0, now_s)[0].state is GateState.LOCKED
    gate.arm()
    assert settle(gate, 0.8, 0.0, now_s)[0].v_mps == 0.8


def test_a_latch_is_not_released_by_arming_or_by_a_stop():
    gate = open_gate()
    gate.latch("second publisher on /cmd_vel")
    gate.arm()
    gate.stop("stop word")
    assert settle(gate, 0.8, 0.0)[0].state is GateState.LATCHED


def test_deadlines_must_be_positive():
    with pytest.raises(ValueError, match="request_timeout_s"):
        GateConfig(request_timeout_s=0.0)


EVENTS = st.lists(
    st.tuples(st.sampled_from(["request", "heartbeat", "odom", "scan", "stop", "estop", "plan", "reset", "arm", "latch"]),
              st.floats(allow_nan=True, allow_infinity=True), st.floats(-0.1, 0.6)), max_size=60)


def happen(gate: Gate, name: str, value: float, now_s: float) -> None:
    {"request": lambda: gate.request(value, -value, now_s), "heartbeat": lambda: gate.heartbeat(now_s),
     "odom": lambda: gate.sensor("odom", now_s), "scan": lambda: gate.sensor("scan", now_s),
     "stop": lambda: gate.stop("word"), "estop": lambda: gate.estop(value > 0),
     "plan": lambda: gate.plan_accepted(str(value)), "reset": gate.reset, "arm": gate.arm,
     "latch": lambda: gate.latch("fault")}[name]()


@given(EVENTS)
def test_whatever_arrives_the_output_is_finite_within_limits_and_zero_unless_open(events):
    gate, now_s, last_v = open_gate(), 0.0, 0.0
    for name, value, step_s in events:
        before_s, now_s = now_s, now_s + step_s
        happen(gate, name, value, now_s)
        output = gate.tick(now_s)
        assert -LIMITS.reverse_mps <= output.v_mps <= LIMITS.forward_mps
        assert abs(output.w_radps) <= LIMITS.yaw_radps
        if output.state is not GateState.OPEN:
            assert (output.v_mps, output.w_radps) == (0.0, 0.0) and output.reasons
        assert abs(output.v_mps) <= abs(last_v) + LIMITS.accel_mps2 * max(0.0, now_s - before_s) * 1.001 + 1e-9
        last_v = output.v_mps


# a car

CAR = load_robot("car")
CAR_CONFIG = GateConfig(sensor_timeouts_s={"odom": 0.5, "scan": 0.5, "depth/front": 0.5})


def drive_car(gate: Gate, v: float, w: float, start_s: float, seconds: float, silent: str = ""):
    """Request (v, w) of a car's gate, one of its sensors silent; the outputs and the time."""
    outputs, now_s = [], start_s
    for _ in range(int(seconds / PERIOD_S)):
        now_s += PERIOD_S
        gate.heartbeat(now_s)
        for name in CAR_CONFIG.sensor_timeouts_s:
            if name != silent:
                gate.sensor(name, now_s)
        gate.request(v, w, now_s)
        outputs.append(gate.tick(now_s))
    return outputs, now_s


def car_gate() -> Gate:
    gate = Gate(CAR.limits, CAR_CONFIG, CAR.ackermann)
    gate.arm()
    return gate


def test_a_car_is_held_to_its_lock_and_to_its_lateral_acceleration():
    slow = drive_car(car_gate(), 1.0, 1.0, 0.0, 4.0)[0][-1]
    fast = drive_car(car_gate(), 10.0, 1.0, 0.0, 8.0)[0][-1]
    assert slow.w_radps / slow.v_mps <= 1.03 * CAR.ackermann.curvature_max_radpm
    assert fast.v_mps * fast.w_radps <= 1.51 * CAR.ackermann.lateral_mps2
    assert "turn limited" in slow.reasons and "turn limited" in fast.reasons


def test_a_cars_curve_keeps_its_radius_while_its_speed_is_ramped():
    outputs, _ = drive_car(car_gate(), 4.0, 0.4, 0.0, 1.0)
    assert all(o.w_radps == pytest.approx(0.1 * o.v_mps) for o in outputs[1:])


def test_a_car_that_loses_its_camera_brakes_comfortably_along_its_way_and_one_without_odometry_at_once():
    for silent, softly in (("depth/front", True), ("odom", False), ("scan", False)):
        gate = car_gate()
        _, now_s = drive_car(gate, 8.0, 0.08, 0.0, 5.0)
        outputs, _ = drive_car(gate, 8.0, 0.08, now_s, 4.0, silent)
        braking = [o for o in outputs if o.reasons]
        assert f"no {silent}" in braking[0].reasons
        assert braking[-1].v_mps == 0.0
        if softly:
            steps = [a.v_mps - b.v_mps for a, b in pairwise(braking)]
            assert max(steps) <= CAR.limits.brake_mps2 * PERIOD_S * 1.01
            assert braking[10].w_radps == pytest.approx(0.01 * braking[10].v_mps)
        else:
            assert braking[0].v_mps == 0.0


@pytest.mark.parametrize("odometry", [lambda v: 1.02 * v + 0.02, lambda v: v + 0.1])
def test_a_car_brakes_steadily_though_odometry_reads_high_or_late(odometry):
    gate = car_gate()
    _, now_s = drive_car(gate, 8.0, 0.0, 0.0, 6.0)
    given = []
    for _ in range(int(5.0 / PERIOD_S)):
        gate.rolls(odometry(given[-1] if given else 8.0))
        (output,), now_s = drive_car(gate, 8.0, 0.0, now_s, PERIOD_S, "depth/front")
        given.append(output.v_mps)
    assert given[0] == pytest.approx(8.0)
    assert given == sorted(given, reverse=True)
    assert given[-1] == 0.0


def test_a_car_that_rolls_goes_on_from_its_speed():
    gate = car_gate()
    gate.rolls(8.0)
    assert drive_car(gate, 8.0, 0.0, 0.0, 0.1)[0][-1].v_mps == pytest.approx(8.0)
    gate.rolls(math.nan)
    assert drive_car(car_gate(), 8.0, 0.0, 0.0, 0.1)[0][-1].v_mps < 0.5
