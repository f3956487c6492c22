"""Decide each tick what the motors get: the request within its limits, or zero with the reasons."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum

from jpai_agent.world.robot import Ackermann, Limits

TOLERANCE = 1.0 + 1e-6
# of a car's lock and lateral acceleration, what passes: controllers stay below the whole, corrections need some room
LOCK_SHARE, LATERAL_SHARE = 1.02, 1.5


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
        sensor_timeouts_s: Longest silence by sensor; only the sensors named here are watched.
        brakes_for: Of those sensors, the ones whose silence brakes a car comfortably, along the way that is asked for, instead
            of at once: it still knows where it is and what its lidar sees, and stopping dead endangers those behind.
        stamp_skew_s: Largest difference, to either side, of a message's stamp from the ROS clock.
        estop_timeout_s: Longest silence of the e-stop device, after which it counts as pressed; None where none is fitted.
    """

    request_timeout_s: float = 0.25
    heartbeat_timeout_s: float = 0.3
    sensor_timeouts_s: dict[str, float] = field(default_factory=lambda: {"odom": 0.5, "scan": 0.5, "depth/front": 1.0})
    brakes_for: frozenset[str] = frozenset({"depth/front"})
    stamp_skew_s: float = 1.0
    estop_timeout_s: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("request_timeout_s", self.request_timeout_s), ("heartbeat_timeout_s", self.heartbeat_timeout_s),
                            ("stamp_skew_s", self.stamp_skew_s), ("estop_timeout_s", self.estop_timeout_s),
                            *self.sensor_timeouts_s.items()):
            if value is not None and not value > 0:
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

    Args:
        ackermann: Steering of a car, whose curvature and lateral acceleration are limited too; None for a cart.
    """

    def __init__(self, limits: Limits, config: GateConfig | None = None, ackermann: Ackermann | None = None) -> None:
        self.limits = limits
        self.ackermann = ackermann
        self.config = config or GateConfig()
        self.state = GateState.LOCKED
        self._cause = "not armed"
        self._request: tuple[float, float] | None = None
        self._request_at_s = -math.inf
        self._heartbeat_at_s = -math.inf
        self._seen_at_s: dict[str, float] = {}
        self._estop_pressed = False
        self._estop_at_s = -math.inf
        self._stops = 0
        self._plan_id = ""
        self._held_plan_id = ""
        self._last = (0.0, 0.0)
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

    def request(self, v_mps: float, w_radps: float, now_s: float, stamp_skew_s: float = 0.0) -> None:
        """Take a request for a speed; `stamp_skew_s` is its stamp less the ROS clock's time.

        A request that is not finite, or stamped in the past or the future, clears the one before: the robot stops.
        """
        if not (math.isfinite(v_mps) and math.isfinite(w_radps)):
            self._request, self._cause = None, "request not finite"
        elif not abs(stamp_skew_s) <= self.config.stamp_skew_s:
            self._request, self._cause = None, "request stamp off the clock"
        else:
            self._request, self._request_at_s = (v_mps, w_radps), now_s

    def heartbeat(self, now_s: float) -> None:
        """The executor is alive."""
        self._heartbeat_at_s = now_s

    def sensor(self, name: str, now_s: float, stamp_skew_s: float = 0.0) -> None:
        """A reading of a watched sensor arrived; one with a stamp off the clock does not count."""
        if abs(stamp_skew_s) <= self.config.stamp_skew_s:
            self._seen_at_s[name] = now_s

    def rolls(self, v_mps: float) -> None:
        """The speed that odometry tells: a car under way is not braked to standstill before it may go on."""
        self._measured_mps = v_mps if math.isfinite(v_mps) and self.ackermann is not None else 0.0

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
        reasons = self._doubts(now_s)
        period_s = 0.0 if self._ticked_at_s is None else max(0.0, now_s - self._ticked_at_s)
        self._ticked_at_s = now_s
        silent = tuple(f"no {name}" for name in self._silent(now_s) if self._brakes_softly(name))
        only_silent = bool(silent) and set(reasons) <= set(silent)
        if self._request is None or (reasons and not only_silent):
            self._last = (0.0, 0.0)
            return GateOutput(0.0, 0.0, self.state, reasons or (self._cause or "no request",))
        wanted_v, wanted_w = self._request
        limits = self.limits
        v = min(max(wanted_v, -limits.reverse_mps), limits.forward_mps)
        w = min(max(wanted_w, -limits.yaw_radps), limits.yaw_radps)
        # speeding up is ramped; slowing down never waits
        last_mps = max(self._last[0], self._measured_mps, key=abs)
        v = self._ramp(last_mps, v, limits.accel_mps2 * period_s)
        if reasons:
            v = math.copysign(min(abs(v), max(abs(last_mps) - limits.brake_mps2 * period_s, 0.0)), v)
        if self.ackermann is None:
            w = self._ramp(self._last[1], w, limits.yaw_accel_radps2 * period_s)
        else:
            w = self._steered(v, w * v / wanted_v if wanted_v else 0.0)
        self._last = (v, w)
        limited = tuple(name for name, wanted, got in (("speed limited", wanted_v, v), ("turn limited", wanted_w, w))
                        if abs(wanted - got) > 1e-6)
        return GateOutput(v, w, self.state, reasons or limited)

    def _steered(self, v: float, w: float) -> float:
        """The turn rate of a car at speed v, within its lock and a margin over the lateral acceleration that is asked for."""
        assert self.ackermann is not None
        most = abs(v) * self.ackermann.curvature_max_radpm * LOCK_SHARE
        if v:
            most = min(most, self.ackermann.lateral_mps2 * LATERAL_SHARE / abs(v))
        return min(max(w, -most), most)

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
        doubts += [f"no {name}" for name in self._silent(now_s)]
        return tuple(doubts)

    def _silent(self, now_s: float) -> list[str]:
        """The watched sensors that have not been heard of for too long."""
        return [name for name, timeout_s in self.config.sensor_timeouts_s.items()
                if not 0 <= now_s - self._seen_at_s.get(name, -math.inf) <= timeout_s]

    @staticmethod
    def _ramp(last: float, wanted: float, most: float) -> float:
        if abs(wanted) <= abs(last) and last * wanted >= 0:
            return wanted
        if last * wanted < 0:
            last = 0.0
        return math.copysign(min(abs(wanted), abs(last) + most * TOLERANCE), wanted)
