"""The other road users of the rollouts: how they go on, tick by tick, and what the controllers are told of them.

Vehicles keep to their lanes, lights, signs and whoever is ahead of them; people and all else go on blindly. None of them reacts
to the car but those behind it, who keep off, and those who have to give way to it.
"""

from __future__ import annotations

import math

import numpy as np

from jpai_agent.twin.perturb import normal
from jpai_agent.twin.road_car import car_footprints
from jpai_agent.twin.road_config import RoadRehearsalConfig
from jpai_agent.twin.road_futures import CYCLIST, PERSON, WAY_POINT_M, Futures
from jpai_agent.twin.road_signals import RED, YELLOW, Signals
from jpai_agent.world.robot import RobotSpec
from jpai_agent.world.scene import Mover

# people change their pace at once, cyclists nearly so
PERSON_MPS2 = 3.0
# a tracker's velocity follows the true one with this lag
TRACKER_LAG_S = 0.3
# who is ahead is looked for so often, so far, and so wide beside the own sides
LEADER_EVERY, LEADER_M, LEADER_BESIDE_M = 2, 40.0, 0.2
# it has stopped at a sign when it stands so near to its line
AT_LINE_M, STANDS_MPS = 3.0, 0.2
# white part of the told positions' error
WHITE = 0.3
FREE_MPS = 100.0


class Traffic:
    """M other road users in each of N rollouts.

    Args:
        futures: What they set out to do. delay_s: (N,) how late the controllers know of them.

    Attributes:
        xy: (N, M, 2), yaw: (N, M), speed: (N, M) where they truly are and how fast. half_m: (N, M, 2).
        boxes: (M,) which are boxes; the others are round.
    """

    def __init__(self, movers: tuple[Mover, ...], futures: Futures, signals: Signals, robot: RobotSpec,
                 config: RoadRehearsalConfig, *, delay_s: np.ndarray, tick_s: float, rng: np.random.Generator) -> None:
        n, m = futures.way.shape
        self._futures, self._signals, self._robot, self._config = futures, signals, robot, config
        self._tick_s, self._rng = tick_s, rng
        self.boxes = np.array([mover.half_x_m > 0.0 for mover in movers], dtype=bool)
        self._told_half = np.array([[mover.half_x_m, mover.half_y_m] for mover in movers]).reshape(m, 2)
        self._told_radius = np.array([mover.radius_m for mover in movers])
        self.half_m = futures.half_m
        self.xy, self.yaw, self.speed = futures.xy.copy(), futures.heading.copy(), futures.start_mps.copy()
        if m:
            self.yaw = np.where(self.boxes & (self.speed < 0.5), np.array([mover.yaw_rad for mover in movers]), self.yaw)
        self._on_way = futures.way >= 0
        self._row = np.maximum(futures.way, 0)
        self._along = futures.start_mps * delay_s[:, None]
        self._wander = np.zeros((n, m))
        self._wander_m = np.where(futures.kinds == CYCLIST, config.cyclists.wander_m, config.vehicles.wander_m)
        self._people = futures.kinds == PERSON
        self._paused_until = np.zeros((n, m))
        self._stood_s = np.zeros((n, m))
        self._given = np.zeros((n, m, futures.ways.gives_m.shape[1]), dtype=bool)
        self._must_stand_s = rng.uniform(*config.vehicles.sign_stop_s, (n, m))
        self._must_stand_s[:1] = sum(config.vehicles.sign_stop_s) / 2
        self._leader_mps = np.full((n, m), FREE_MPS)
        self._light_left = np.zeros((n, m))
        self._start_delay_s = rng.uniform(*config.vehicles.start_delay_s, (n, m))
        self._start_delay_s[:1] = sum(config.vehicles.start_delay_s) / 2
        if m:
            self._place()
        # what the controllers are told is so many ticks old
        self._late = np.round(delay_s / tick_s).astype(int)
        depth = int(self._late.max(initial=0)) + 1
        back = np.arange(depth)[:, None, None] * tick_s
        velocity = self._velocity()
        self._history = np.empty((depth, n, m, 5))
        self._history[..., :2] = self.xy - back[..., None] * velocity
        self._history[..., 2:4], self._history[..., 4] = velocity, self.yaw
        self._tracked = velocity.copy()
        self._keep = math.exp(-tick_s / TRACKER_LAG_S)
        self._velocity_error = config.perception.mover_velocity_sigma_mps * normal(rng, (n, m, 2))
        self._velocity_error *= (self.speed > 0.1)[..., None]

    def _velocity(self) -> np.ndarray:
        return np.stack([self.speed * np.cos(self.yaw), self.speed * np.sin(self.yaw)], axis=-1)

    def advance(self, tick: int, poses: np.ndarray, speed: np.ndarray) -> None:
        """Go on through one tick beside cars at poses (N, 3) with speed (N, 2)."""
        if not self.xy.shape[1]:
            return
        futures, time_s, tick_s = self._futures, tick * self._tick_s, self._tick_s
        vehicles, people = self._config.vehicles, self._config.people
        # now and then one stops for no reason that could be foreseen
        dice = self._rng.random((2, *self.speed.shape))
        every_s = np.where(self._people, people.stop_every_s, vehicles.stop_every_s)
        low, high = (np.where(self._people, people.stop_s[i], vehicles.stop_s[i]) for i in (0, 1))
        stops = (dice[0] < tick_s / every_s) & (self.speed > 0.1)
        stops[0] = False
        self._paused_until = np.where(stops, time_s + low + (high - low) * dice[1], self._paused_until)
        paused = time_s < self._paused_until
        wanted = np.where((time_s >= futures.begin_s) & ~paused, futures.pace_mps, 0.0)
        wanted = np.minimum(wanted, self._allowed(tick, poses, speed))
        up = np.where(self._people, PERSON_MPS2, vehicles.accel_mps2) * tick_s
        # a stop that nobody foresaw is a hard one
        down = np.where(self._people, PERSON_MPS2, vehicles.brake_hard_mps2) * tick_s
        self.speed = np.maximum(self.speed + np.clip(wanted - self.speed, -down, up), 0.0)
        self._move(time_s)
        velocity = self._velocity()
        self._tracked += (1.0 - self._keep) * (velocity - self._tracked)
        self._history[1:] = self._history[:-1].copy()
        self._history[0, ..., :2], self._history[0, ..., 2:4], self._history[0, ..., 4] = self.xy, self._tracked, self.yaw

    def _move(self, time_s: float) -> None:
        futures, tick_s = self._futures, self._tick_s
        wander_s = self._config.cyclists.wander_s
        kick = self._rng.normal(size=self.speed.shape) * self._wander_m * math.sqrt(2 * tick_s / wander_s)
        kick[0] = 0.0
        # nobody wanders while standing
        self._wander += np.where(self.speed > 0.5, kick - self._wander * tick_s / wander_s, 0.0)
        self._along += self.speed * tick_s
        straight = ~self._on_way
        heading = np.where(time_s >= futures.turn_s, futures.then_heading, futures.heading)
        turning = straight & (self.speed > 0.05)
        self.yaw = np.where(turning, heading, self.yaw)
        step = np.where(straight, self.speed * tick_s, 0.0)
        self.xy[..., 0] += step * np.cos(heading)
        self.xy[..., 1] += step * np.sin(heading)
        self._place()

    def _place(self) -> None:
        """Put those who follow a way where they are along it."""
        if not self._on_way.any():
            return
        futures, ways = self._futures, self._futures.ways
        at = self._along / WAY_POINT_M
        last = ways.points.shape[1] - 2
        low = np.clip(at.astype(int), 0, last)
        share = at - low
        begin, end = ways.points[self._row, low], ways.points[self._row, low + 1]
        point = begin[..., :2] + share[..., None] * (end[..., :2] - begin[..., :2])
        yaw = begin[..., 2] + np.minimum(share, 1.0) * (end[..., 2] - begin[..., 2])
        fade = np.exp(-self._along / self._config.vehicles.fade_m)
        offset = futures.offset_m * np.where(futures.kinds == CYCLIST, 1.0, fade) + self._wander
        point[..., 0] -= offset * np.sin(yaw)
        point[..., 1] += offset * np.cos(yaw)
        self.xy = np.where(self._on_way[..., None], point, self.xy)
        self.yaw = np.where(self._on_way, yaw + futures.yaw_off_rad * np.exp(-self._along / 6.0), self.yaw)

    def _allowed(self, tick: int, poses: np.ndarray, speed: np.ndarray) -> np.ndarray:
        """(N, M) speeds that turns, lights, those who have the right of way and those ahead allow."""
        ways, row = self._futures.ways, self._row
        if not self._on_way.any():
            return self._behind(tick, poses, speed)
        index = np.clip((self._along / WAY_POINT_M).astype(int), 0, ways.points.shape[1] - 1)
        most = ways.most_mps[row, index]
        front = self._along + self.half_m[..., 0]
        comfort = self._config.vehicles.brake_mps2
        needs_m = self.speed**2 / (2 * comfort)
        if ways.lights_m.shape[1]:
            left = ways.lights_m[row] - front[..., None]
            shown = self._signals.states[min(tick, len(self._signals.states) - 1)]
            state = shown[np.arange(len(row))[:, None, None], ways.light_columns[row]]
            holds = (left > -0.5) & ((state == RED) | ((state == YELLOW) & (left > needs_m[..., None])))
            free = np.where(holds, left, np.inf).min(axis=-1)
            # who has waited is not off at once
            waits = holds.any(axis=-1) & (self.speed < STANDS_MPS) & (free < 15.0)
            self._light_left = np.where(waits, self._start_delay_s, np.maximum(self._light_left - self._tick_s, 0.0))
            free = np.where(self._light_left > 0.0, np.minimum(free, 0.5), free)
            most = np.minimum(most, np.sqrt(2 * comfort * np.maximum(free - 0.5, 0.0)))
        if ways.gives_m.shape[1]:
            most = np.minimum(most, self._giving_way(front, poses, speed))
        most = np.where(self._on_way, most, FREE_MPS)
        return np.minimum(most, self._behind(tick, poses, speed))

    def _giving_way(self, front: np.ndarray, poses: np.ndarray, speed: np.ndarray) -> np.ndarray:
        """(N, M) speeds that stop signs and right turns across oncoming traffic allow, for the car's sake."""
        ways, row, spread = self._futures.ways, self._row, self._config.vehicles
        left = ways.gives_m[row] - front[..., None]
        at_line = (left > -0.5) & (left < AT_LINE_M)
        stands = self.speed < STANDS_MPS
        self._stood_s = np.where(stands & at_line.any(axis=-1), self._stood_s + self._tick_s, 0.0)
        to = ways.centres[row] - poses[:, None, None, :2]
        heading = np.stack([np.cos(poses[:, 2]), np.sin(poses[:, 2])], axis=-1)[:, None, None]
        away = np.hypot(to[..., 0], to[..., 1])
        comes = (away < spread.yields_within_m) & ((to * heading).sum(axis=-1) > -6.0)
        comes &= (np.abs(speed[:, 0])[:, None, None] > STANDS_MPS) | (away < 8.0)
        stood = ~ways.signs[row] | (self._stood_s >= self._must_stand_s)[..., None]
        self._given |= at_line & stood & ~comes
        free = np.where((left > -0.5) & ~self._given, left, np.inf).min(axis=-1)
        return np.sqrt(2 * spread.brake_mps2 * np.maximum(free - 0.5, 0.0))

    def _behind(self, tick: int, poses: np.ndarray, speed: np.ndarray) -> np.ndarray:
        """(N, M) speeds that leave a gap to what drives ahead the same way, the car included."""
        if tick % LEADER_EVERY:
            return self._leader_mps
        spread, robot = self._config.vehicles, self._robot
        car = car_footprints(poses, robot)
        xy = np.concatenate([self.xy, car[:, None, :2]], axis=1)
        yaw = np.concatenate([self.yaw, poses[:, None, 2]], axis=1)
        pace = np.concatenate([self.speed, speed[:, :1]], axis=1)
        half = np.concatenate([self.half_m, car[:, None, 3:]], axis=1)
        dx, dy = (xy[:, None, :, i] - self.xy[:, :, None, i] for i in (0, 1))
        cos, sin = np.cos(self.yaw)[..., None], np.sin(self.yaw)[..., None]
        ahead, aside = cos * dx + sin * dy, np.abs(cos * dy - sin * dx)
        same = np.cos(yaw[:, None] - self.yaw[:, :, None])
        wide = half[:, None, :, 1] + self.half_m[:, :, None, 1] + LEADER_BESIDE_M
        leads = (ahead > 0.3) & (ahead < LEADER_M) & (aside < wide)
        # who turns across the others' way does not drive into a car that is there already
        crosses = self._crosses()[..., None] & (np.arange(ahead.shape[2]) == ahead.shape[2] - 1)
        leads &= (same > 0.5) | crosses
        leads[:, :, :-1] &= ~self._people[None, None]
        gap = ahead - half[:, None, :, 0] - self.half_m[:, :, None, 0] - spread.gap_m
        onward = np.maximum(pace[:, None] * same, 0.0)
        # it may stop as hard as they can, and they notice late
        most = np.sqrt(onward**2 + 2 * spread.brake_mps2 * np.maximum(gap - 0.3 * self.speed[..., None], 0.0))
        most = np.where(gap < 0.0, 0.0, most)
        self._leader_mps = np.where(self._people, FREE_MPS, np.where(leads, most, FREE_MPS).min(axis=-1))
        return self._leader_mps

    def _crosses(self) -> np.ndarray:
        """(N, M) who is turning right through a crossing."""
        ways = self._futures.ways
        if not ways.gives_m.shape[1]:
            return np.zeros(self.speed.shape, dtype=bool)
        beyond = self._along[..., None] - ways.gives_m[self._row]
        return self._on_way & (~ways.signs[self._row] & (beyond > -6.0) & (beyond < 20.0)).any(axis=-1)

    def told(self, poses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(N, M, 5) x, y, vx, vy, radius and (N, M, 3) yaw, half_x, half_y as the controllers of cars at poses (N, 3) know them;
        NaN rows are out of sight."""
        n, m = self.speed.shape
        seen = self._config.perception
        old = self._history[self._late, np.arange(n)]
        noise = self._rng.normal(size=(n, m, 2)) * (WHITE * seen.mover_sigma_m)
        noise[0] = 0.0
        told = np.empty((n, m, 5))
        told[..., :2] = old[..., :2] + noise
        told[..., 2:4] = old[..., 2:4] + self._velocity_error
        told[..., 4] = self._told_radius
        far = np.hypot(self.xy[..., 0] - poses[:, None, 0], self.xy[..., 1] - poses[:, None, 1]) > seen.seen_within_m
        told[far] = np.nan
        shape = np.empty((n, m, 3))
        shape[..., 0], shape[..., 1:] = old[..., 4], self._told_half
        return told, shape

    def state(self) -> np.ndarray:
        """(N, M, 4) x, y, yaw, speed, a copy."""
        return np.concatenate([self.xy, self.yaw[..., None], self.speed[..., None]], axis=-1)
