"""One road user that is followed: its filter, its size, and its middle measured from the sides that face the lidar.

Kalman filter over position and velocity; its gain opens when the motion breaks off (Bar-Shalom, Li, Kirubarajan: Estimation
with Applications to Tracking and Navigation, chapters 6 and 11).
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from jpai_agent.perception.boxes import Rect, fit_rect
from jpai_agent.perception.geometry import wrap
from jpai_agent.perception.returns import RANGE_NOISE, SMOOTH_NOISE, Sight

LARGEST_M, WIDEST_M = 12.5, 3.4
# a person's extent; a small thing faster than this rides
SMALL_M, RIDING_MPS, RIDER_TOP_M = 1.15, 2.6, 1.2
# length and width of what is seen in part: by the width of an end, or by the length of a side
RIDER_M, KEI_M, CAR_M, TRUCK_M = (1.7, 0.6), (3.4, 1.48), (4.1, 1.7), (8.0, 2.4)
_RIDER_WIDE_M = 1.2
_RIDER_END_M, _KEI_END_M, _CAR_END_M = 0.95, 1.58, 2.15
_RIDER_SIDE_M, _KEI_SIDE_M, _CAR_SIDE_M = 2.3, 3.7, 5.4
COAST_S = 2.0
LONGEST_CAR_M = 4.5
ACCEL_MPS2 = (1.5, 2.5)
# squared error in standard deviations that a steady motion hardly makes
SURPRISE = 9.0
# a car of which nothing is seen below this height may reach so much farther than what is seen
BONNET_TOP_M, BONNET_M, BONNET_GUESS_M, CAR_TOP_M = 0.72, 1.3, 0.3, 1.9
# beams this little above a point would still have met its thing
ABOVE_M = 0.04
# of so much of what was seen a scan must tell
TOLD_SHARE = 0.3


@dataclass(frozen=True)
class Glimpse:
    """What was seen of a road user in one scan.

    Attributes:
        xy: (N, 2) points, tops_m: (N,) their heights; deep: (N, 2) as far behind them as they may be off.
        middle: (2,) of the road user.
    """

    stamp_s: float
    xy: np.ndarray
    tops_m: np.ndarray
    middle: np.ndarray
    deep: np.ndarray

    @classmethod
    def of(cls, stamp_s: float, xy: np.ndarray, tops_m: np.ndarray, middle: np.ndarray, viewer: np.ndarray) -> Glimpse:
        """What viewer (2,) saw."""
        rays = xy - viewer
        deep = xy + rays * (2.5 * SMOOTH_NOISE + 0.12 / np.maximum(np.hypot(*rays.T), 0.5))[:, None]
        return cls(stamp_s, xy, tops_m, middle.copy(), deep)

    def free_in(self, sight: Sight) -> float:
        """Share of its points that a scan looked through, in front and behind, among those of which it tells; 0 for too few."""
        tops = self.tops_m + ABOVE_M
        told = sight.tells(self.xy, tops)
        if told.sum() < max(1, TOLD_SHARE * len(told)):
            return 0.0
        return float((sight.looked_through(self.xy, tops) & sight.looked_through(self.deep, tops))[told].mean())


@dataclass(eq=False)
class RoadUser:
    """A thing followed over scans, odom frame. length_m is 0 for a round thing."""

    xy: np.ndarray
    seen_s: float
    born_xy: np.ndarray
    yaw_rad: float
    length_m: float
    width_m: float
    top_m: float
    velocity: np.ndarray = field(default_factory=lambda: np.zeros(2))
    # covariance (4, 4) of position and velocity
    spread: np.ndarray = field(default_factory=lambda: np.diag([0.1, 0.1, 9.0, 9.0]))
    scans: int = 1
    displaced: int = 0
    # since when it has been known to move
    moving_s: float | None = None
    surprised: int = 0
    id: str = ""
    # whether only the cabin was seen last, and what of the near end was not
    over_bonnet: bool = False
    bonnet_m: float = 0.0
    glimpses: deque[Glimpse] = field(default_factory=lambda: deque(maxlen=15))

    @property
    def moving(self) -> bool:
        """It has been seen to move."""
        return self.moving_s is not None

    @property
    def small(self) -> bool:
        """Round: a person, or what is too little to tell."""
        return self.length_m == 0.0

    @property
    def speed_mps(self) -> float:
        return float(np.hypot(*self.velocity))

    def at(self, now_s: float) -> np.ndarray:
        """(2,) where it should be, carried on for at most COAST_S."""
        return self.xy + self.velocity * min(max(now_s - self.seen_s, 0.0), COAST_S)

    def rect(self, now_s: float) -> Rect:
        """Its footprint at a time, a square for a round thing."""
        x, y = self.at(now_s)
        if self.small:
            return Rect(float(x), float(y), 0.0, 0.3, 0.3)
        return Rect(float(x), float(y), self.yaw_rad, self.length_m / 2, self.width_m / 2)

    def foresee(self, now_s: float) -> None:
        """Carry position and spread on to a time."""
        step_s = max(now_s - self.seen_s, 1e-3)
        self.xy = self.at(now_s)
        move = np.eye(4) + step_s * np.eye(4, k=2)
        # what hardly moves is taken to stand, until it surprises
        accel = ACCEL_MPS2[0 if self.small else 1] * (0.3 if self.moving and self.speed_mps < 0.5 else 1.0)
        push = np.array([[step_s**4 / 4, step_s**3 / 2], [step_s**3 / 2, step_s**2]]) * accel**2
        self.spread = move @ self.spread @ move.T + np.kron(push, np.eye(2))

    def correct(self, xy: np.ndarray, noise: np.ndarray, now_s: float) -> None:
        """Take a measured middle (2,) with its covariance (2, 2)."""
        error = xy - self.xy
        known = np.linalg.inv(self.spread[:2, :2] + noise)
        if float(error @ known @ error) > SURPRISE:
            self.surprised += 1
            if self.surprised >= 2:
                self.spread[2:, 2:] += 6.0 * np.eye(2)
        else:
            self.surprised = 0
        gain = self.spread[:, :2] @ known
        change = gain @ error
        self.xy, self.velocity = self.xy + change[:2], self.velocity + change[2:]
        rest = np.eye(4) - gain @ np.eye(2, 4)
        self.spread = rest @ self.spread @ rest.T + gain @ noise @ gain.T
        self.spread[2:, 2:] += 0.004 * np.eye(2)
        self.seen_s = now_s
        self.scans += 1

    def measure(self, xy: np.ndarray, tops_m: np.ndarray, viewer: np.ndarray, now_s: float) -> None:
        """Take what one scan shows of it: points (N, 2), their heights (N,), seen from viewer (2,)."""
        self.foresee(now_s)
        to_viewer = viewer - xy.mean(axis=0)
        away_m = float(np.hypot(*to_viewer)) + 1e-6
        self.top_m = max(self.top_m, float(tops_m.max()))
        if self.small:
            extent = float(np.hypot(*np.ptp(xy, axis=0)))
            if extent - 2.5 * SMOOTH_NOISE * away_m > SMALL_M and len(xy) >= 4:
                # more of it has come into view
                self.size_up(xy, tops_m, viewer)
            elif self.moving and self.speed_mps > RIDING_MPS and self.top_m > RIDER_TOP_M:
                self.length_m, self.width_m = RIDER_M
                self.yaw_rad = math.atan2(self.velocity[1], self.velocity[0])
        if not self.small and self.length_m < _RIDER_SIDE_M and self.width_m > _RIDER_WIDE_M:
            # too wide for a rider
            self.size_up(xy, tops_m, viewer)
        if self.small:
            # the near side is seen; a person is a quarter of a metre thick
            middle = xy.mean(axis=0) - to_viewer / away_m * 0.12
            sigma_m = (0.06 + RANGE_NOISE * away_m / math.sqrt(len(xy)), 0.06 + 0.003 * away_m)
        else:
            self._turn()
            middle = self._middle(xy, viewer, self._over_bonnet(tops_m))
            # a windscreen leans, so what is seen of it wanders
            sigma_m = (0.08 + 0.005 * away_m + (0.25 if self.over_bonnet else 0.0), 0.08 + 0.005 * away_m)
        ray = _axes(math.atan2(to_viewer[1], to_viewer[0]))
        self.correct(middle, ray.T @ np.diag(np.square(sigma_m)) @ ray, now_s)
        self.glimpses.append(Glimpse.of(now_s, xy, tops_m, self.xy, viewer))

    def size_up(self, xy: np.ndarray, tops_m: np.ndarray, viewer: np.ndarray, hint_rad: float | None = None) -> None:
        """Take heading and size from points (N, 2) alone, along its motion if it moves, else along the road's direction or the
        points'; where it is stays."""
        if self.moving and self.speed_mps > 1.0:
            yaw = math.atan2(self.velocity[1], self.velocity[0])
        else:
            rect = fit_rect(xy, 0.05, hint_rad)
            yaw = rect.yaw_rad
            end_on = 2 * rect.half_x_m < 2.9 and 2 * rect.half_y_m < 1.2
            if end_on and (abs(math.cos(yaw - hint_rad)) < 0.7 if hint_rad is not None else 2 * rect.half_x_m > 1.3):
                yaw += math.pi / 2
        self.yaw_rad = wrap(yaw)
        low, high = _extent(xy, self.yaw_rad, viewer)
        long_m, wide_m = (high - low).tolist()
        if max(long_m, wide_m) < SMALL_M:
            self.length_m = self.width_m = 0.0
            return
        if wide_m > _RIDER_END_M:
            kind = KEI_M if wide_m <= _KEI_END_M else CAR_M if wide_m <= _CAR_END_M else TRUCK_M
        elif long_m <= _RIDER_SIDE_M:
            kind = RIDER_M
        else:
            kind = KEI_M if long_m <= _KEI_SIDE_M else CAR_M if long_m <= _CAR_SIDE_M else TRUCK_M
        self.length_m, self.width_m = min(max(long_m, kind[0]), LARGEST_M), min(max(wide_m, kind[1]), WIDEST_M)
        self.xy = self._middle(xy, viewer, self._over_bonnet(tops_m))

    def _over_bonnet(self, tops_m: np.ndarray) -> bool:
        return bool(tops_m.min() > BONNET_TOP_M) and self.top_m < CAR_TOP_M and self.width_m < _CAR_END_M

    def _beyond_seen(self, expected_m: float, over_bonnet: bool) -> float:
        """How far the near end of a car reaches beyond what is seen of it; expected_m: by where it was expected."""
        if not over_bonnet or self.length_m < KEI_M[0]:
            self.bonnet_m = 0.0
        elif not self.over_bonnet:
            self.bonnet_m = float(np.clip(expected_m, 0.0, BONNET_M)) if self.scans > 3 else BONNET_GUESS_M
        return self.bonnet_m

    def _turn(self) -> None:
        """Bring the heading to that of the motion; of two opposite ones a slow thing keeps the nearer."""
        if self.speed_mps < 1.0 or (not self.moving and self.scans < 5):
            return
        turn = wrap(math.atan2(self.velocity[1], self.velocity[0]) - self.yaw_rad)
        if abs(turn) > math.pi / 2:
            self.yaw_rad, turn = wrap(self.yaw_rad + math.pi), wrap(turn - math.pi)
        self.yaw_rad = wrap(self.yaw_rad + min(0.35, 0.1 * self.speed_mps) * turn)

    def _middle(self, xy: np.ndarray, viewer: np.ndarray, over_bonnet: bool) -> np.ndarray:
        """The middle (2,) of the box that fits to the sides that are seen; brings the size along.

        over_bonnet: Whether the beams may have passed over a bonnet, and only the cabin is seen.
        """
        axes = _axes(self.yaw_rad)
        low, high = _extent(xy - self.xy, self.yaw_rad, viewer - self.xy)
        eye = axes @ (viewer - self.xy)
        if self.width_m < _CAR_END_M and self.length_m > LONGEST_CAR_M:
            # too narrow for a truck
            self.length_m += 0.3 * (max(LONGEST_CAR_M, float(high[0] - low[0])) - self.length_m)
        away_m = float(np.hypot(*eye))
        sizes, middle, shift = [self.length_m, self.width_m], np.zeros(2), np.zeros(2)
        beyond = [abs(eye[k]) > sizes[k] / 2 + 0.3 for k in (0, 1)]
        for k in (0, 1):
            seen, before = float(high[k] - low[k]), sizes[k]
            if seen > before + 0.1 + 1.5 * SMOOTH_NOISE * away_m:
                sizes[k] = min((LARGEST_M, WIDEST_M)[k], before + 0.3 * (seen - before))
            elif k == 0 and beyond[1] and min(seen, before) > 2.4 and abs(eye[0]) < 1.5 * abs(eye[1]):
                # the side is seen: it tells the length
                sizes[0] += 0.1 * min(max(seen, KEI_M[0]) - before, 0.0)
            elif k == 1 and beyond[0] and seen > 0.4 and abs(eye[0]) > 0.5 * abs(eye[1]):
                sizes[1] += 0.2 * (max(seen, RIDER_M[1]) - before)
            half = sizes[k] / 2
            if k == 0 and sizes[0] < _RIDER_SIDE_M:
                # a rider sits in the middle; the wheels are hardly seen
                middle[0] = float(np.median((xy - self.xy) @ axes[0]))
            elif beyond[k]:
                side = math.copysign(1.0, eye[k])
                edge = high[k] if side > 0 else low[k]
                if k == 0:
                    edge += side * self._beyond_seen(side * (side * before / 2 - edge), over_bonnet)
                middle[k] = edge - side * half
                if k == 0 and self.over_bonnet and not over_bonnet and abs(middle[0]) < 2 * BONNET_M:
                    # the bonnet comes into view: that is no motion
                    shift[0] += middle[0]
                # what it has grown by lies on the far side: that is no motion
                shift[k] = -side * (half - before / 2)
            elif seen > 0.75 * sizes[k]:
                middle[k] = (low[k] + high[k]) / 2
            else:
                middle[k] = min(low[k] + half, high[k] - half, key=abs)
        self.over_bonnet = over_bonnet
        measured = self.xy + middle @ axes
        self.xy = self.xy + shift @ axes
        self.length_m, self.width_m = sizes
        return measured


def born(xy: np.ndarray, tops_m: np.ndarray, viewer: np.ndarray, now_s: float, hint_rad: float | None) -> RoadUser:
    """A road user of the first points (N, 2) that are seen of it; hint_rad: direction of the road there."""
    user = RoadUser(xy.mean(axis=0), now_s, xy.mean(axis=0), 0.0, 0.0, 0.0, float(tops_m.max()))
    user.size_up(xy, tops_m, viewer, hint_rad)
    user.glimpses.append(Glimpse.of(now_s, xy, tops_m, user.xy, viewer))
    return user


def _axes(yaw_rad: float) -> np.ndarray:
    cos, sin = math.cos(yaw_rad), math.sin(yaw_rad)
    return np.array([[cos, sin], [-sin, cos]])


def _extent(xy: np.ndarray, yaw_rad: float, viewer: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest (2,) along and across yaw_rad of points (N, 2), less the noise along the line of sight, plus half of
    what lies between two beams across it."""
    axes = _axes(yaw_rad)
    local = xy @ axes.T
    sight = axes @ (viewer - xy.mean(axis=0))
    away_m = float(np.hypot(*sight)) + 1e-6
    noise = SMOOTH_NOISE * away_m * min(1.5, 0.5 * math.log2(len(xy) + 1)) * np.abs(sight) / away_m
    noise -= 0.004 * away_m * np.abs(sight[::-1]) / away_m
    low, high = local.min(axis=0) + noise, local.max(axis=0) - noise
    middle = (low + high) / 2
    return np.minimum(low, middle), np.maximum(high, middle)
