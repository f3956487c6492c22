"""Decide each tick what the motors get: the request within its limits, or zero with the reasons."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum

from jpai_agent.gate.nearfield import NearField
from jpai_agent.world.robot import Ackermann, Limits
from jpai_agent.world.scene import stands

TOLERANCE = 1.0 + 1e-6
# of a car's lock and lateral acceleration, what passes: controllers stay below the whole, corrections need some room
LOCK_SHARE, LATERAL_SHARE = 1.02, 1.5
# what counts as commanded motion where odometry must show some
# a reading beyond these shares of what the robot can do, over the time since the one before, is no odometry
ODOMETRY_SHARE, ODOMETRY_SLACK_M, ODOMETRY_SLACK_RAD = 2.0, 0.5, 0.8


class GateState(Enum):
    """LOCKED until armed; OPEN passes requests; HELD after a stop word until another plan; LATCHED until a human resets."""

    LOCKED = "locked"
    OPEN = "open"
    HELD = "held"
    LATCHED = "latched"


@dataclass(frozen=True)
class GateConfig:
    """Deadlines of the watchdogs, in seconds on the gate's own monotonic clock.

    Attributes:
        request_timeout_s: Oldest request that is still passed on.
        heartbeat_timeout_s: Longest silence of the executor.
        sensor_timeouts_s: Longest silence by sensor; only the sensors named here are watched. A reading that repeats the one
            before, or shows nothing, is silence.
        brakes_for: Of those sensors, the ones whose silence brakes a car comfortably, along the way that is asked for, instead
            of at once: it still knows where it is and what its lidar sees, and stopping dead endangers those behind.
        stamp_skew_s: Largest difference, to either side, of a message's stamp from the ROS clock.
        clock_step_s: Largest step of the ROS clock against the gate's own; any step back counts.
        clock_still_s: Longest time that the ROS clock may stand.
        stuck_s: Longest time that odometry may repeat itself while the motors are given more than zero.
        overrun_s: Longest time between two ticks after which it goes on as if nothing had been.
        request_rate_hz, request_burst: More requests than that are a flood.
        absurd: A request beyond so many times the limits is no request to be cut but a fault.
        estop_timeout_s: Longest silence of the e-stop device, after which it counts as pressed; None where none is fitted.
    """

    request_timeout_s: float = 0.25
    heartbeat_timeout_s: float = 0.2
    sensor_timeouts_s: dict[str, float] = field(default_factory=lambda: {"odom": 0.35, "scan": 0.35, "depth/front": 0.46})
    brakes_for: frozenset[str] = frozenset({"depth/front"})
    stamp_skew_s: float = 0.5
    clock_step_s: float = 0.5
    clock_still_s: float = 0.4
    stuck_s: float = 0.45
    overrun_s: float = 1.0
    request_rate_hz: float = 60.0
    request_burst: float = 15.0
    absurd: float = 10.0
    estop_timeout_s: float | None = None

    def __post_init__(self) -> None:
        for name, value in [*vars(self).items(), *self.sensor_timeouts_s.items()]:
            if isinstance(value, (int, float)) and not value > 0:
                raise ValueError(f"{name} must be positive, got {value}")


@dataclass(frozen=True)
class GateOutput:
    """What goes to the motors, and why: `reasons` is empty when the request was passed on unchanged."""

    v_mps: float
    w_radps: float
    state: GateState
    reasons: tuple[str, ...]


class Gate:
    """The gate's whole state. Every method takes `now_s`, the gate's monotonic clock; none raises on bad input.

    A message's stamp comes as `stamp_skew_s`, its stamp less the ROS clock's time, and as `stamp_s`, the stamp itself, by which a
    message that is repeated or overtaken is known; None where the order cannot be in doubt.

    Args:
        ackermann: Steering of a car, whose curvature and lateral acceleration are limited too; None for a cart.
        near: What the sensors see close by, for the last obstacle stop; None leaves it out.
    """

    def __init__(self, limits: Limits, config: GateConfig | None = None, ackermann: Ackermann | None = None,
                 near: NearField | None = None) -> None:
        self.limits = limits
        self.ackermann = ackermann
        self.config = config or GateConfig()
        self.near = near
        self.state = GateState.LOCKED
        self._cause = "not armed"
        self._request: tuple[float, float] | None = None
        self._request_at_s = -math.inf
        self._heartbeat_at_s = -math.inf
        self._seen_at_s: dict[str, float] = {}
        self._contents: dict[str, int] = {}
        self._stamps: dict[str, float] = {}
        self._flood, self._flood_at_s = 0.0, -math.inf
        self._clock: tuple[float, float] | None = None
        self._clock_ran_at_s = -math.inf
        self._odometry: tuple[float, ...] | None = None
        self._odometry_at_s = self._odometry_moved_at_s = -math.inf
        self._estop_pressed = False
        self._estop_at_s = -math.inf
        self._stops = 0
        self._plan_id = ""
        self._held_plan_id = ""
        self._last = (0.0, 0.0)
        self._gaining_mps2 = 0.0
        self._braked = False
        self._blocked = False
        self._measured_mps = 0.0
        self._ticked_at_s: float | None = None

    def arm(self) -> None:
        """Unlock: simulation arms itself, hardware waits for a person. Leaves a latch as it is."""
        if self.state is GateState.LOCKED:
            self.state, self._cause = GateState.OPEN, ""

    @property
    def moving(self) -> bool:
        """The last tick gave the motors more than zero."""
        return self._last != (0.0, 0.0)

    @property
    def cause(self) -> str:
        """Why it is not open."""
        return self._cause

    @property
    def stops(self) -> int:
        """How many stops it has acted on."""
        return self._stops

    @property
    def plan_id(self) -> str:
        """The plan that was accepted last."""
        return self._plan_id

    def lock(self) -> None:
        """Back to zero until armed again. Leaves a latch as it is."""
        if self.state is not GateState.LATCHED:
            self.state, self._cause, self._request = GateState.LOCKED, "not armed", None

    def request(self, v_mps: float, w_radps: float, now_s: float, stamp_skew_s: float = 0.0,
                stamp_s: float | None = None) -> None:
        """Take a request for a speed.

        One that is not finite, absurd, stamped in the past or the future, or one of a flood clears the one before: the robot
        stops. One that was overtaken is passed over.
        """
        drained = max(0.0, now_s - self._flood_at_s) * self.config.request_rate_hz
        self._flood = min(max(0.0, self._flood - drained) + 1.0, 2 * self.config.request_burst)
        self._flood_at_s = now_s
        if not (math.isfinite(v_mps) and math.isfinite(w_radps)):
            self._reject("request not finite")
        elif (abs(v_mps) > self.config.absurd * max(self.limits.forward_mps, self.limits.reverse_mps)
              or abs(w_radps) > self.config.absurd * self.limits.yaw_radps):
            self._reject("request absurd")
        elif not abs(stamp_skew_s) <= self.config.stamp_skew_s:
            self._reject("request stamp off the clock")
        elif self._flood > self.config.request_burst:
            self._reject("flood of requests")
        elif self._is_news("request", stamp_s):
            self._request, self._request_at_s = (v_mps, w_radps), now_s

    def _reject(self, cause: str) -> None:
        self._request = None
        if self.state is GateState.OPEN:
            self._cause = cause

    def heartbeat(self, now_s: float, stamp_skew_s: float = 0.0, stamp_s: float | None = None) -> bool:
        """The executor is alive. False for a heartbeat that does not count: off the clock, repeated or overtaken."""
        if not abs(stamp_skew_s) <= self.config.stamp_skew_s or not self._is_news("heartbeat", stamp_s):
            return False
        self._heartbeat_at_s = now_s
        return True

    def sensor(self, name: str, now_s: float, stamp_skew_s: float = 0.0, stamp_s: float | None = None,
               content: int | None = None, blank: bool = False) -> bool:
        """A reading of a watched sensor arrived; one with a stamp off the clock, or without news, does not count: then False.

        Args:
            content: A checksum of what it shows, without its stamp: a real sensor never shows the same twice. None where that
                cannot be told. blank: it shows nothing (black, covered).
        """
        if not abs(stamp_skew_s) <= self.config.stamp_skew_s or not self._is_news(name, stamp_s):
            return False
        before = self._contents.get(name)
        if content is not None:
            self._contents[name] = content
        if blank or (content is not None and content == before):
            return False
        self._seen_at_s[name] = now_s
        return True

    def odometry(self, x_m: float, y_m: float, yaw_rad: float, v_mps: float, w_radps: float, now_s: float,
                 stamp_skew_s: float = 0.0, stamp_s: float | None = None) -> None:
        """A reading of odometry, the sensor "odom": it must be finite, not jump, and show the motion that is commanded."""
        reading = (x_m, y_m, yaw_rad, v_mps, w_radps)
        fast = max(self.limits.forward_mps, self.limits.reverse_mps) * ODOMETRY_SHARE
        if not all(map(math.isfinite, reading)) or abs(v_mps) > fast:
            return
        if not abs(stamp_skew_s) <= self.config.stamp_skew_s or not self._is_news("odom", stamp_s):
            return
        before, self._odometry = self._odometry, reading
        gap_s, self._odometry_at_s = now_s - self._odometry_at_s, now_s
        if before is not None and (
                math.hypot(x_m - before[0], y_m - before[1]) > fast * gap_s + ODOMETRY_SLACK_M
                or abs(math.remainder(yaw_rad - before[2], math.tau))
                > min(self.limits.yaw_radps * ODOMETRY_SHARE * gap_s + ODOMETRY_SLACK_RAD, math.pi)):
            self.stop("odometry jumped")
        if reading != before or not self._drives():
            self._odometry_moved_at_s = now_s
        elif now_s - self._odometry_moved_at_s > self.config.stuck_s:
            self.latch("odometry stands while the motors are driven")
        # a car under way is not braked to standstill before it may go on
        self.rolls(v_mps)
        self._seen_at_s["odom"] = now_s

    def rolls(self, v_mps: float) -> None:
        """The speed that odometry tells, where no more of it is known."""
        self._measured_mps = v_mps if math.isfinite(v_mps) and self.ackermann is not None else 0.0

    def clock(self, ros_s: float, now_s: float) -> None:
        """The time on the ROS clock: a step of it, or any way back, is a stop after which stamps are compared anew."""
        if self._clock is not None:
            ran_s = ros_s - self._clock[0]
            if ran_s < 0 or ran_s - (now_s - self._clock[1]) > self.config.clock_step_s:
                self._stamps.clear()
                self._seen_at_s.clear()
                self.stop("clock stepped")
            if ran_s == 0:
                return
        self._clock, self._clock_ran_at_s = (ros_s, now_s), now_s

    def plan_accepted(self, plan_id: str, stops_known: int | None = None) -> None:
        """A plan begins; another one than the one that was stopped releases a hold.

        Args:
            stops_known: `stops` as whoever accepted the plan knew it: one who had not heard of the last stop releases
                nothing. None when there can be no doubt.
        """
        self._plan_id = plan_id
        known = stops_known is None or stops_known == self._stops
        if self.state is GateState.HELD and plan_id != self._held_plan_id and known:
            self.state, self._cause, self._request = GateState.OPEN, "", None

    def stop(self, cause: str) -> None:
        """A stop word or a stop message: zero until another plan is accepted."""
        self._request = None
        self._stops += 1
        if self.state in (GateState.OPEN, GateState.HELD):
            self.state, self._cause, self._held_plan_id = GateState.HELD, cause, self._plan_id

    def estop(self, pressed: bool, now_s: float = -math.inf) -> None:
        """The e-stop's state; pressed latches."""
        self._estop_pressed, self._estop_at_s = pressed, now_s
        if pressed:
            self.latch("e-stop")

    def latch(self, cause: str) -> None:
        """A fault or an intruder: zero until `reset`."""
        self.state, self._cause, self._request = GateState.LATCHED, cause, None

    def reset(self) -> bool:
        """A human releases the latch; refused while the e-stop is pressed. Leaves the gate locked."""
        if self.state is not GateState.LATCHED or self._estop_pressed:
            return False
        self.state, self._cause = GateState.LOCKED, "not armed"
        return True

    def tick(self, now_s: float) -> GateOutput:
        """The command for this period: the newest request within limits and ramps, or zero with the reasons."""
        self._watch_estop(now_s)
        period_s = 0.0 if self._ticked_at_s is None else max(0.0, now_s - self._ticked_at_s)
        self._ticked_at_s = now_s
        if period_s > self.config.overrun_s and self.state is GateState.OPEN:
            self.stop("gate was late")
        reasons = self._doubts(now_s)
        silent = tuple(f"no {name}" for name in self._silent(now_s) if self._brakes_softly(name))
        only_silent = bool(silent) and set(reasons) <= set(silent)
        if self._request is None or (reasons and not only_silent):
            return self._zero(reasons or (self._cause or "no request",))
        v, w = self._limited(*self._request, period_s, brakes=bool(reasons))
        self._braked = bool(reasons)
        if self._obstacle(v, w, now_s):
            return self._zero(("obstacle ahead",), blocked=True)
        self._last, self._blocked = (v, w), False
        cuts = (("speed limited", self._request[0], v), ("turn limited", self._request[1], w))
        limited = tuple(name for name, wanted, got in cuts if abs(wanted - got) > 1e-6)
        return GateOutput(v, w, self.state, reasons or limited)

    def _zero(self, reasons: tuple[str, ...], blocked: bool = False) -> GateOutput:
        self._last, self._gaining_mps2, self._braked, self._blocked = (0.0, 0.0), 0.0, False, blocked
        return GateOutput(0.0, 0.0, self.state, reasons)

    def _limited(self, wanted_v: float, wanted_w: float, period_s: float, brakes: bool) -> tuple[float, float]:
        """The request within speed, acceleration and jerk; `brakes`: no faster than comfortable braking allows."""
        limits = self.limits
        v = min(max(wanted_v, -limits.reverse_mps), limits.forward_mps)
        w = min(max(wanted_w, -limits.yaw_radps), limits.yaw_radps)
        # speeding up is ramped; slowing down never waits
        last_mps = max(self._last[0], self._measured_mps, key=abs)
        most_mps2 = limits.accel_mps2
        if limits.jerk_mps3 is not None:
            most_mps2 = min(most_mps2, self._gaining_mps2 + limits.jerk_mps3 * period_s)
        v = self._ramp(last_mps, v, most_mps2 * period_s)
        self._gaining_mps2 = most_mps2 if abs(v) > abs(last_mps) else 0.0
        if brakes:
            # once it brakes, odometry that reads high or late must neither hold it up nor give anything back
            begins_mps = self._last[0] if self._braked else last_mps
            most = max(abs(begins_mps) - limits.brake_mps2 * period_s, 0.0)
            v = math.copysign(min(abs(v), most), v)
        if self.ackermann is None:
            return v, self._ramp(self._last[1], w, limits.yaw_accel_radps2 * period_s)
        return v, self._steered(v, w * v / wanted_v if wanted_v else 0.0)

    def _steered(self, v: float, w: float) -> float:
        """The turn rate of a car at speed v, within its lock and a margin over the lateral acceleration that is asked for."""
        assert self.ackermann is not None
        most = abs(v) * self.ackermann.curvature_max_radpm * LOCK_SHARE
        if v:
            most = min(most, self.ackermann.lateral_mps2 * LATERAL_SHARE / abs(v))
        return min(max(w, -most), most)

    def _obstacle(self, v: float, w: float, now_s: float) -> bool:
        """Something stands so near that braking as hard as can be leaves no room; once stopped, what is asked for must fit."""
        if self.near is None or v == 0.0:
            return False
        speed_mps = max(abs(v), abs(self._measured_mps))
        if self._blocked and self._request is not None:
            speed_mps = max(speed_mps, min(abs(self._request[0]), self.limits.forward_mps))
        return self.near.blocked(v, w, speed_mps, now_s)

    def _drives(self) -> bool:
        return not stands(*self._last)

    def _brakes_softly(self, sensor: str) -> bool:
        return self.ackermann is not None and sensor in self.config.brakes_for

    def _watch_estop(self, now_s: float) -> None:
        timeout_s = self.config.estop_timeout_s
        if timeout_s is not None and self.state is not GateState.LOCKED and not now_s - self._estop_at_s <= timeout_s:
            self.latch("e-stop silent")

    def _doubts(self, now_s: float) -> tuple[str, ...]:
        if self.state is not GateState.OPEN:
            return (f"{self.state.value}: {self._cause}",)
        doubts = []
        if not 0 <= now_s - self._heartbeat_at_s <= self.config.heartbeat_timeout_s:
            doubts.append("no heartbeat")
        if self._request is not None and not 0 <= now_s - self._request_at_s <= self.config.request_timeout_s:
            doubts.append("request stale")
        if self._clock is not None and not now_s - self._clock_ran_at_s <= self.config.clock_still_s:
            doubts.append("clock stands")
        doubts += [f"no {name}" for name in self._silent(now_s)]
        return tuple(doubts)

    def _silent(self, now_s: float) -> list[str]:
        """The watched sensors that have not been heard of for too long."""
        return [name for name, timeout_s in self.config.sensor_timeouts_s.items()
                if not 0 <= now_s - self._seen_at_s.get(name, -math.inf) <= timeout_s]

    def _is_news(self, source: str, stamp_s: float | None) -> bool:
        """Later than what came from there before; remembers it."""
        if stamp_s is None:
            return True
        before = self._stamps.get(source, -math.inf)
        self._stamps[source] = max(stamp_s, before)
        return stamp_s > before

    @staticmethod
    def _ramp(last: float, wanted: float, most: float) -> float:
        if abs(wanted) <= abs(last) and last * wanted >= 0:
            return wanted
        if last * wanted < 0:
            last = 0.0
        return math.copysign(min(abs(wanted), abs(last) + most * TOLERANCE), wanted)
