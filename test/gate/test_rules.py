"""The gate's rules against what is stale, repeated, impossible or in the way; each alone, and all under whatever comes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jpai_agent.gate import Gate, GateConfig, GateState, NearField
from jpai_agent.world.robot import Limits, load_robot

CART, CAR = load_robot("cart"), load_robot("car")
LIMITS = CART.limits
CONFIG = GateConfig(sensor_timeouts_s={"odom": 0.4, "scan": 0.4, "depth/front": 0.45})
PERIOD_S = 0.02


class Drive:
    """A gate in its robot, at 50 Hz: all is fed except what is left out; `now_s` is the gate's clock."""

    def __init__(self, robot=CART, limits: Limits | None = None, wanted: tuple[float, float] = (0.5, 0.0), **config) -> None:
        self.near = NearField(robot)
        self.gate = Gate(limits or robot.limits, GateConfig(**{**vars(CONFIG), **config}), robot.ackermann, self.near)
        self.gate.arm()
        self.wanted, self.now_s, self.ros_s = wanted, 100.0, 5000.0
        self.x_m = 0.0
        self.contents = 0
        self.output = self.gate.tick(self.now_s)

    def go(self, seconds: float, *left_out: str, until_zero: bool = False):
        """Drive on; returns the last output and, in `taken_s`, how long it took."""
        begun_s = self.now_s
        for _ in range(round(seconds / PERIOD_S)):
            self.now_s += PERIOD_S
            if "clock" not in left_out:
                self.ros_s += PERIOD_S
            self.contents += 1
            self.feed(left_out)
            self.output = self.gate.tick(self.now_s)
            self.x_m += self.output.v_mps * PERIOD_S
            if until_zero and self.output.v_mps == 0.0:
                break
        self.taken_s = self.now_s - begun_s
        return self.output

    def feed(self, left_out: tuple[str, ...]) -> None:
        gate, now_s = self.gate, self.now_s
        gate.clock(self.ros_s, now_s)
        if "heartbeat" not in left_out:
            gate.heartbeat(now_s, 0.0, self.ros_s)
        if "odom" not in left_out:
            gate.odometry(self.x_m, 0.0, 0.0, self.output.v_mps, 0.0, now_s, 0.0, self.ros_s)
        for name in ("scan", "depth/front"):
            if name not in left_out:
                gate.sensor(name, now_s, 0.0, self.ros_s, content=self.contents)
        if "request" not in left_out and self.contents % 2:
            gate.request(*self.wanted, now_s, 0.0, self.ros_s)

    def moves(self) -> bool:
        return self.go(1.5).v_mps == pytest.approx(self.wanted[0])


def test_all_well_it_drives():
    drive = Drive()
    assert drive.moves() and drive.output.reasons == ()


# requests


@pytest.mark.parametrize("absurd", [(1e9, 0.0), (-1e9, 0.0), (0.0, 1e9), (12.1, 0.0)])
def test_an_absurd_request_is_a_fault_and_not_cut(absurd):
    drive = Drive()
    assert drive.moves()
    drive.gate.request(*absurd, drive.now_s + PERIOD_S)
    output = drive.gate.tick(drive.now_s + PERIOD_S)
    assert output.v_mps == 0.0 and "request absurd" in output.reasons


def test_a_flood_of_requests_stops_and_its_end_lets_drive_again():
    drive = Drive()
    assert drive.moves()
    for index in range(200):
        now_s = drive.now_s + index * 5e-4
        drive.gate.request(0.5, 0.0, now_s)
    output = drive.gate.tick(drive.now_s + 0.1)
    assert output.v_mps == 0.0 and "flood of requests" in output.reasons
    assert drive.moves()


def test_requests_at_the_control_rate_and_a_burst_after_a_stall_are_no_flood():
    drive = Drive()
    assert drive.moves()
    for _ in range(8):
        drive.gate.request(0.5, 0.0, drive.now_s)
    assert drive.gate.tick(drive.now_s).v_mps == 0.5


@pytest.mark.parametrize("late_s", [0.0, 0.3])
def test_a_replayed_request_does_not_keep_it_driving(late_s):
    drive = Drive()
    assert drive.moves()
    stamp_s = drive.ros_s - late_s
    drive.wanted = (math.nan, 0.0)
    for _ in range(20):
        drive.go(PERIOD_S, "request")
        drive.gate.request(0.5, 0.0, drive.now_s, drive.ros_s - stamp_s, stamp_s)
    assert drive.gate.tick(drive.now_s).v_mps == 0.0


def test_a_repeated_heartbeat_is_no_heartbeat():
    drive = Drive()
    assert drive.moves()
    stamp_s = drive.ros_s
    for _ in range(14):
        drive.go(PERIOD_S, "heartbeat")
        assert not drive.gate.heartbeat(drive.now_s, 0.0, stamp_s)
    assert "no heartbeat" in drive.gate.tick(drive.now_s).reasons


@pytest.mark.parametrize("skew_s", [3600.0, -3600.0, 1.0, -1.0, math.nan])
def test_a_heartbeat_off_the_clock_is_no_heartbeat(skew_s):
    drive = Drive()
    assert drive.moves()
    assert not drive.gate.heartbeat(drive.now_s, skew_s)
    for _ in range(14):
        drive.go(PERIOD_S, "heartbeat")
        drive.gate.heartbeat(drive.now_s, skew_s)
    assert drive.gate.tick(drive.now_s).v_mps == 0.0


def test_a_stop_before_arming_drops_the_request():
    drive = Drive()
    drive.gate.lock()
    drive.go(0.1)
    drive.gate.stop("stop word")
    drive.gate.arm()
    drive.go(0.1, "request")
    assert drive.output.state is GateState.OPEN and drive.output.v_mps == 0.0


def test_what_is_wrong_with_a_request_does_not_hide_why_it_is_latched():
    drive = Drive()
    drive.gate.latch("e-stop")
    drive.gate.request(math.nan, 0.0, drive.now_s)
    assert drive.gate.cause == "e-stop"


# sensors


def test_a_sensor_that_repeats_itself_is_lost():
    drive = Drive()
    assert drive.moves()
    content = drive.contents
    for _ in range(30):
        drive.go(PERIOD_S, "depth/front")
        assert not drive.gate.sensor("depth/front", drive.now_s, 0.0, drive.ros_s, content=content)
    output = drive.gate.tick(drive.now_s)
    assert output.v_mps == 0.0 and output.reasons == ("no depth/front",)


def test_a_sensor_that_shows_nothing_is_lost():
    drive = Drive()
    assert drive.moves()
    for index in range(30):
        drive.go(PERIOD_S, "depth/front")
        drive.gate.sensor("depth/front", drive.now_s, 0.0, drive.ros_s, content=-index, blank=True)
    assert drive.gate.tick(drive.now_s).reasons == ("no depth/front",)


def test_a_reading_that_was_overtaken_or_repeated_does_not_count():
    drive = Drive()
    assert drive.moves()
    stamp_s = drive.ros_s
    for index in range(30):
        drive.go(PERIOD_S, "scan")
        drive.gate.sensor("scan", drive.now_s, 0.0, stamp_s - 0.01 * (index % 3), content=-index)
    assert "no scan" in drive.gate.tick(drive.now_s).reasons


def test_a_sensor_that_may_repeat_itself_is_not_lost():
    drive = Drive()
    for _ in range(60):
        drive.go(PERIOD_S, "scan")
        drive.gate.sensor("scan", drive.now_s, 0.0, drive.ros_s)
    assert drive.output.v_mps == 0.5


def test_readings_that_come_from_later_than_now_do_not_count():
    drive = Drive()
    assert drive.moves()
    for name in ("odom", "scan", "depth/front"):
        drive.gate.sensor(name, drive.now_s + 1e6)
    assert drive.gate.tick(drive.now_s).v_mps == 0.0


# odometry


NAN, INF = math.nan, math.inf


@pytest.mark.parametrize("reading", [(NAN, 0.0, 0.0, 0.5, 0.0), (0.0, INF, 0.0, 0.5, 0.0), (0.0, 0.0, NAN, 0.5, 0.0),
                                     (0.0, 0.0, 0.0, NAN, 0.0), (0.0, 0.0, 0.0, 0.5, -INF), (0.0, 0.0, 0.0, 50.0, 0.0)])
def test_odometry_that_is_not_finite_or_impossible_does_not_count(reading):
    drive = Drive()
    assert drive.moves()
    for _ in range(22):
        drive.go(PERIOD_S, "odom")
        drive.gate.odometry(*reading, drive.now_s, 0.0, drive.ros_s)
    assert "no odom" in drive.gate.tick(drive.now_s).reasons


@pytest.mark.parametrize(("x_m", "yaw_rad"), [(5.0, 0.0), (-5.0, 0.0), (0.0, 1.5), (0.0, -1.5)])
def test_odometry_that_jumps_stops_until_another_plan(x_m, yaw_rad):
    drive = Drive()
    assert drive.moves()
    drive.gate.odometry(drive.x_m + x_m, 0.0, yaw_rad, 0.5, 0.0, drive.now_s + 0.01, 0.0, drive.ros_s + 0.01)
    output = drive.gate.tick(drive.now_s + 0.01)
    assert output.v_mps == 0.0 and output.state is GateState.HELD and "odometry jumped" in output.reasons[0]


def test_odometry_that_stands_while_the_motors_are_driven_latches():
    drive = Drive()
    assert drive.moves()
    drive.gate.odometry(drive.x_m, 0.0, 0.0, 0.5, 0.0, drive.now_s)
    for _ in range(26):
        drive.go(PERIOD_S, "odom")
        drive.gate.odometry(1.0, 0.0, 0.0, 0.5, 0.0, drive.now_s)
    assert drive.output.state is GateState.LATCHED and "odometry stands" in drive.gate.cause


def test_odometry_may_stand_while_the_robot_does():
    drive = Drive(wanted=(0.0, 0.0))
    for _ in range(100):
        drive.go(PERIOD_S, "odom")
        drive.gate.odometry(1.0, 0.0, 0.0, 0.0, 0.0, drive.now_s)
    assert drive.output.state is GateState.OPEN


@pytest.mark.parametrize("skew_s", [3600.0, -3600.0])
def test_odometry_off_the_clock_does_not_count(skew_s):
    drive = Drive()
    assert drive.moves()
    for _ in range(22):
        drive.go(PERIOD_S, "odom")
        drive.gate.odometry(drive.x_m, 0.0, 0.0, 0.5, 0.0, drive.now_s, skew_s)
    assert "no odom" in drive.gate.tick(drive.now_s).reasons


def test_repeated_odometry_does_not_count():
    drive = Drive()
    assert drive.moves()
    stamp_s = drive.ros_s
    for index in range(22):
        drive.go(PERIOD_S, "odom")
        drive.gate.odometry(drive.x_m + 1e-3 * index, 0.0, 0.0, 0.5, 0.0, drive.now_s, 0.0, stamp_s)
    assert "no odom" in drive.gate.tick(drive.now_s).reasons


# the clock


@pytest.mark.parametrize("step_s", [-3600.0, -0.1, 1.0, 3600.0])
def test_a_step_of_the_clock_stops_until_another_plan(step_s):
    drive = Drive()
    assert drive.moves()
    drive.ros_s += step_s
    output = drive.go(0.1)
    assert output.v_mps == 0.0 and output.state is GateState.HELD and "clock stepped" in output.reasons[0]
    drive.gate.plan_accepted("another", drive.gate.stops)
    assert drive.moves()


def test_a_clock_that_stands_stops():
    drive = Drive()
    assert drive.moves()
    for _ in range(30):
        drive.now_s += PERIOD_S
        drive.gate.clock(drive.ros_s, drive.now_s)
        drive.gate.heartbeat(drive.now_s)
        drive.gate.request(0.5, 0.0, drive.now_s)
        for name in ("odom", "scan", "depth/front"):
            drive.gate.sensor(name, drive.now_s)
        output = drive.gate.tick(drive.now_s)
    assert output.v_mps == 0.0 and "clock stands" in output.reasons


def test_a_clock_that_runs_slower_or_catches_up_a_little_is_fine():
    drive = Drive()
    assert drive.moves()
    for _ in range(50):
        drive.go(PERIOD_S)
        drive.ros_s -= 0.5 * PERIOD_S
    assert drive.output.state is GateState.OPEN
    drive.ros_s += 0.4
    assert drive.go(PERIOD_S).state is GateState.OPEN


def test_a_gate_that_was_late_itself_stops_until_another_plan():
    drive = Drive()
    assert drive.moves()
    drive.now_s += 1.1
    drive.ros_s += 1.1
    output = drive.go(PERIOD_S)
    assert output.v_mps == 0.0 and output.state is GateState.HELD and "late" in output.reasons[0]


# what is in the way, and jerk


def test_what_is_close_ahead_stops_and_once_stopped_more_room_is_wanted():
    drive = Drive(wanted=(0.8, 0.0))
    assert drive.moves()
    drive.near.see("scan", np.array([(CART.front_m + 0.3, 0.0)] * 5), drive.now_s)
    output = drive.go(PERIOD_S)
    assert output.v_mps == 0.0 and output.reasons == ("obstacle ahead",)
    # from rest 0.3 m would be enough for the first centimetres: it is not let creep
    assert drive.go(0.2).v_mps == 0.0
    drive.near.see("scan", np.empty((0, 2)), drive.now_s)
    assert drive.go(1.5).v_mps == pytest.approx(0.8)


def test_jerk_is_limited_where_it_is_given():
    limits = Limits(**{**vars(LIMITS), "jerk_mps3": 1.0})
    drive = Drive(limits=limits, wanted=(1.2, 0.0))
    speeds = [drive.go(PERIOD_S).v_mps for _ in range(150)]
    gains = np.diff([0.0, *speeds]) / PERIOD_S
    assert gains.max() <= LIMITS.accel_mps2 * 1.001
    assert np.diff([0.0, *gains])[gains > 0].max() <= 1.0 * PERIOD_S * 1.001
    assert speeds[-1] == pytest.approx(1.2)
    drive.wanted = (0.1, 0.0)
    assert drive.go(PERIOD_S).v_mps == 0.1


# all of it under whatever comes

ANY = st.floats(allow_nan=True, allow_infinity=True)
NAMES = ("request", "heartbeat", "sensor", "odometry", "clock", "stop", "estop", "plan", "arm", "latch", "see", "lock")
EVENTS = st.lists(st.tuples(st.sampled_from(NAMES), ANY, ANY, st.floats(0.0, 0.3)), max_size=40)


def happen(drive: Drive, name: str, a: float, b: float) -> None:
    gate, now_s = drive.gate, drive.now_s
    {"request": lambda: gate.request(a, b, now_s, b, a), "heartbeat": lambda: gate.heartbeat(now_s, a, b),
     "sensor": lambda: gate.sensor("scan", now_s, a, b, content=hash(a), blank=b > 0),
     "odometry": lambda: gate.odometry(a, b, a, b, a, now_s, 0.0, a), "clock": lambda: gate.clock(a, now_s),
     "stop": lambda: gate.stop("word"), "estop": lambda: gate.estop(a > 0, now_s), "plan": lambda: gate.plan_accepted(str(a)),
     "arm": gate.arm, "latch": lambda: gate.latch("fault"), "lock": gate.lock,
     "see": lambda: drive.near.see("scan", np.array([(a, b)] * 5), now_s)}[name]()


@settings(deadline=None)
@given(EVENTS, st.sampled_from([CART, CAR]))
def test_whatever_comes_the_output_is_finite_within_limits_and_zero_unless_open(events, robot):
    drive = Drive(robot)
    drive.go(0.3)
    was_latched = False
    for name, a, b, step_s in events:
        drive.now_s += step_s
        drive.ros_s += step_s
        happen(drive, name, a, b)
        before = drive.output.v_mps
        output = drive.go(PERIOD_S)
        limits = robot.limits
        assert math.isfinite(output.v_mps) and math.isfinite(output.w_radps)
        assert -limits.reverse_mps <= output.v_mps <= limits.forward_mps and abs(output.w_radps) <= limits.yaw_radps
        assert output.state is GateState.OPEN or (output.v_mps, output.w_radps) == (0.0, 0.0)
        # without a reset there is no way out of a latch
        assert not was_latched or output.state is GateState.LATCHED
        was_latched = output.state is GateState.LATCHED
        if robot is CART:
            assert output.v_mps <= max(before, 0.0) + limits.accel_mps2 * (step_s + PERIOD_S) * 1.001 + 1e-9


@settings(deadline=None)
@given(st.sampled_from(["request", "heartbeat", "odom", "scan", "depth/front", "clock"]), st.floats(0.0, 0.4), st.booleans())
def test_silence_of_anything_ends_in_zero_within_half_a_second(silent, driven_s, replayed):
    drive = Drive()
    drive.go(1.0 + driven_s)
    stamp_s = drive.ros_s
    for index in range(25):
        drive.go(PERIOD_S, silent)
        if replayed:
            drive.gate.sensor(silent, drive.now_s, 0.0, stamp_s, content=-index)
        if drive.output.v_mps == 0.0:
            break
    assert drive.output.v_mps == 0.0
