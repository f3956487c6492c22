"""Judge a car's finished rollouts: which rule of the road each broke first, when, and how near it came to touching anything."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from jpai_agent.twin.gaps import corners
from jpai_agent.twin.road_car import car_footprints
from jpai_agent.twin.road_config import RoadRules
from jpai_agent.twin.road_contacts import STRIDE, Others, RoadRecording, touching
from jpai_agent.twin.road_futures import PERSON, VEHICLE
from jpai_agent.twin.road_ground import Ground, Line, ground_of, line_across, on_walk, passages
from jpai_agent.twin.road_signals import RED, Signals
from jpai_agent.world.road import Crosswalk, RoadMap
from jpai_agent.world.robot import RobotSpec

# stretches over the centre line that are so close in time are one manoeuvre
ONE_MANOEUVRE_S = 3.0
TURNED_BACK_RAD, TURNING_RAD = math.radians(120.0), math.radians(45.0)
# what is passed stands, at most so far ahead when the car pulls out
STANDS_MPS, PASSED_AHEAD_M, PASSED_BEHIND_M = 0.4, 40.0, 12.0
# who begins in the oncoming lane is led back out of it within this way
LED_BACK_M = 25.0
# people on or beside a crosswalk
PERSON_MPS, BESIDE_M = 0.2, 0.3
# a footprint may hang over the kerb by this much
KERB_M = 0.25
# parking, a car may reach so far beyond its aisle or slot
BY_PARK_M = 3.0


@dataclass(frozen=True)
class RoadJudgement:
    """Per rollout: reasons "" when it passed, failed_rows (N,), clearance_m (N,), ttc_s (N,); violations: rollouts by reason."""

    reasons: list[str]
    failed_rows: np.ndarray
    clearance_m: np.ndarray
    ttc_s: np.ndarray
    violations: dict[str, int]


def judge_road(recording: RoadRecording, others: Others, road: RoadMap, signals: Signals, robot: RobotSpec, rules: RoadRules,
               tick_s: float) -> RoadJudgement:
    """Judge each rollout by the rule that it broke first; `violations` counts all that were broken."""
    rows, n = recording.speed_mps.shape
    alive = np.arange(rows)[:, None] < recording.ends
    contact, ttc, clearance, ttc_s = touching(recording, others, road, robot, rules, tick_s, alive)
    yaw = recording.pose[..., 2]
    front = recording.pose[..., :2] + robot.front_m * np.stack([np.cos(yaw), np.sin(yaw)], axis=-1)
    scene = _Road(recording, others, road, ground_of(road), signals, robot, rules, tick_s, front)
    broken = {
        "collision": contact, "near_miss": ttc, "red_light": scene.red_light(), "stop_sign": scene.stop_sign(),
        "crosswalk": scene.crosswalk(), "speed_limit": scene.too_fast(), "slide": recording.aside_mps2 > rules.slide_mps2,
        **scene.off_lane(), "not_reached": recording.missed}
    reasons: list[str] = []
    violations: dict[str, int] = {}
    failed_rows = np.full(n, rows)
    for i in range(n):
        first: dict[str, int] = {}
        for name, when in broken.items():
            if (when[:, i] & alive[:, i]).any():
                first[name] = int(np.argmax(when[:, i]))
        outcome = recording.outcome[i]
        if outcome not in ("done", "under_way"):
            first.setdefault(outcome, int(recording.ends[i]) - 1)
        # only what happens up to the first contact was foretold
        until = first.get("collision", len(alive))
        first = {name: row for name, row in first.items() if row <= until}
        for name in first:
            violations[name] = violations.get(name, 0) + 1
        # a contact explains the near miss before it
        if "collision" in first:
            first.pop("near_miss", None)
        reason = min(first, key=lambda name: first[name]) if first else ""
        reasons.append(reason)
        failed_rows[i] = first[reason] if reason else rows
    return RoadJudgement(reasons, failed_rows, clearance, ttc_s, violations)


@dataclass(frozen=True)
class _Road:
    """The rules that the road map is needed for; each gives (T, N) rows in which it is broken."""

    recording: RoadRecording
    others: Others
    road: RoadMap
    ground: Ground
    signals: Signals
    robot: RobotSpec
    rules: RoadRules
    tick_s: float
    front: np.ndarray

    def _none(self) -> np.ndarray:
        return np.zeros(self.recording.speed_mps.shape, dtype=bool)

    def _passages(self, line: Line) -> list[tuple[int, int]]:
        passed = passages(self.front, self.recording.pose[..., 2], line)
        return [(row, n) for row, n in passed if row + 1 < self.recording.ends[n]]

    def red_light(self) -> np.ndarray:
        """The front went over a stop line later than the grace time after red began."""
        broken, late = self._none(), math.ceil(self.rules.red_grace_s / self.tick_s)
        for line in self.road.stop_lines:
            if line.kind == "light" and line.light in self.signals.ids:
                red = self.signals.states[:, :, self.signals.ids.index(line.light)] == RED
                for row, n in self._passages(line_across(self.road.lanes[line.lane], line.along_m)):
                    broken[row + 1, n] |= red[row + 1, n] and red[max(row + 1 - late, 0), n]
        return broken

    def stop_sign(self) -> np.ndarray:
        """The front went over a sign's line without having stood long enough shortly before it."""
        broken, rules = self._none(), self.rules
        still = np.abs(self.recording.speed_mps) < rules.still_mps
        for line in self.road.stop_lines:
            if line.kind == "sign":
                across = line_across(self.road.lanes[line.lane], line.along_m)
                for row, n in self._passages(across):
                    left = (across.at - self.front[: row + 1, n]) @ across.direction
                    near = (left <= rules.stand_within_m) & (left >= -rules.line_m)
                    came = int(np.flatnonzero(~near)[-1]) + 1 if not near.all() else 0
                    stood = longest_run(still[came: row + 1, n]) * self.tick_s
                    before = self.recording.stood_before and came == 0 and bool(still[0, n])
                    broken[row + 1, n] |= stood < rules.stand_s + self.tick_s - 1e-6 and not before
        return broken

    def too_fast(self) -> np.ndarray:
        """Over the speed limit for too long."""
        speed = np.abs(self.recording.speed_mps)
        limits = {lane.speed_limit_mps for lane in self.road.lanes.values()}
        limit = np.full(speed.shape, max(limits))
        if len(limits) > 1:
            for row, n in zip(*np.nonzero(speed > min(limits) + self.rules.speed_over_mps), strict=True):
                own = self.ground.own(self.recording.pose[row, n])
                limit[row, n] = max(limits) if own is None else self.ground.limit_mps[own]
        over = speed > limit + self.rules.speed_over_mps
        need = math.ceil(self.rules.speed_for_s / self.tick_s)
        since = np.arange(len(over))[:, None] - np.maximum.accumulate(np.where(over, -1, np.arange(len(over))[:, None]), axis=0)
        return over & (since > need)

    def crosswalk(self) -> np.ndarray:
        """The front went onto a crosswalk while somebody was in the car's half, or stepping towards it, early enough to stop."""
        broken, rules = self._none(), self.rules
        people = np.flatnonzero(self.others.kinds == PERSON)
        for walk in self.road.crosswalks if len(people) else ():
            for forward in (True, False):
                way = 1.0 if forward else -1.0
                direction = way * np.array([math.cos(walk.yaw_rad), math.sin(walk.yaw_rad)])
                left = np.array([-direction[1], direction[0]])
                edge = np.array([walk.x_m, walk.y_m]) - direction * walk.half_along_m + left * walk.half_across_m / 2
                for row, n in self._passages(Line(edge, direction, walk.half_across_m / 2 + 0.5)):
                    distance = (edge - self.front[: row + 1, n]) @ direction
                    for who in people:
                        there = self._in_the_way(walk, forward, self.recording.movers[: row + 1, n, who])
                        if not there[-1]:
                            continue
                        away = np.flatnonzero(~there)
                        since = int(away[-1]) + 1 if len(away) else 0
                        v = float(self.recording.speed_mps[since, n])
                        broken[row + 1, n] |= distance[since] >= rules.reacts_s * v + v * v / (2 * rules.stops_mps2)
        return broken

    def _in_the_way(self, walk: Crosswalk, forward: bool, states: np.ndarray) -> np.ndarray:
        """(R,) whether a person in states (R, 4) is in the car's half of a crosswalk, or going to be soon."""
        velocity = states[:, 3:] * np.stack([np.cos(states[:, 2]), np.sin(states[:, 2])], axis=-1)
        there = np.zeros(len(states), dtype=bool)
        for ahead_s in np.linspace(0.0, self.rules.stepping_s, 5):
            along, left = on_walk(walk, states[:, :2] + velocity * ahead_s, forward)
            in_half = (np.abs(along) <= walk.half_along_m + BESIDE_M) & (left >= -BESIDE_M) & (left <= walk.half_across_m)
            there |= in_half & ((states[:, 3] > PERSON_MPS) | (ahead_s == 0.0))
        return there

    def off_lane(self) -> dict[str, np.ndarray]:
        """"centre_line": over it where that is not allowed; "off_road": over the kerb."""
        feet = car_footprints(self.recording.pose, self.robot)
        points = corners(feet)
        yaw = self.recording.pose[..., 2]
        heading = np.stack([np.cos(yaw), np.sin(yaw)], axis=-1)
        alive = np.arange(len(yaw))[:, None] < self.recording.ends
        free = self.ground.in_crossing(feet[..., :2])
        over = self.ground.oncoming(points, heading, self.rules.line_m) & ~free & alive
        off = self.ground.off_road(points, KERB_M).any(axis=-1) & ~free & alive
        centre, kerb = self._none(), self._none()
        for n in map(int, np.flatnonzero((over | off).any(axis=0))):
            for broken, when in ((centre, over), (kerb, off)):
                for first, last in self._manoeuvres(when[:, n]):
                    allowed = self._turns_back(n, first, last)
                    if broken is centre:
                        allowed = allowed or self._in_car_park(points[:, n], first, last)
                        allowed = allowed or self._passes(feet[:, n], over[:, n], n, first, last)
                    else:
                        # who did not begin on the road is led back to it
                        allowed = allowed or first == 0 or self._by_car_park(points[first:last + 1, n])
                    broken[first, n] |= not allowed
        return {"centre_line": centre, "off_road": kerb}

    def _manoeuvres(self, over: np.ndarray) -> list[tuple[int, int]]:
        """First and last row of every stretch over the line, those close in time taken together."""
        joined: list[tuple[int, int]] = []
        for first, last in runs(over):
            if joined and (first - joined[-1][1]) * self.tick_s <= ONE_MANOEUVRE_S:
                joined[-1] = joined[-1][0], last
            else:
                joined.append((first, last))
        return joined

    def _around(self, first: int, last: int) -> slice:
        margin = round(ONE_MANOEUVRE_S / self.tick_s)
        return slice(max(first - margin, 0), last + margin + 1)

    def _in_car_park(self, points: np.ndarray, first: int, last: int) -> bool:
        return bool(self.ground.in_car_park(points[self._around(first, last)]).any())

    def _by_car_park(self, points: np.ndarray) -> bool:
        """Whether corners of footprints (T, 4, 2) that are off the road stay by a car park: none leads out of its back."""
        return not (self.ground.off_road(points, KERB_M) & ~self.ground.in_car_park(points, BY_PARK_M)).any()

    def _turns_back(self, n: int, first: int, last: int) -> bool:
        """The car turns round, or is turning when the rollout ends or begins."""
        yaw = np.unwrap(self.recording.pose[: self.recording.ends[n], n, 2])
        around = yaw[self._around(first, last)]
        turned = np.abs(around - around[0])
        cut = last + ONE_MANOEUVRE_S / self.tick_s >= len(yaw) or first * self.tick_s < ONE_MANOEUVRE_S
        return bool(turned[-1] >= TURNED_BACK_RAD or (cut and turned.max() >= TURNING_RAD))

    def _passes(self, feet: np.ndarray, over: np.ndarray, n: int, first: int, last: int) -> bool:
        """Something stands in the car's lane, or the car began over the line and is led back; and the oncoming lane is free
        for as long as the car is in it."""
        own = self.ground.own(self.recording.pose[first, n])
        if own is None:
            return False
        driven_m = float(np.abs(self.recording.speed_mps[first:last + 1, n]).sum()) * self.tick_s
        led_back = first == 0 and driven_m < LED_BACK_M
        direction, half_m = self.ground.direction[own], self.ground.half_m[own]
        yaw = math.atan2(direction[1], direction[0])

        def there(boxes: np.ndarray, row: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            """How far ahead of the car, and how far left of the lane's middle boxes are, and half their width across it."""
            _, left = self.ground.on(own, boxes[:, :2])
            turned = boxes[:, 2] - yaw
            half = np.abs(np.sin(turned)) * boxes[:, 3] + np.abs(np.cos(turned)) * boxes[:, 4]
            return (boxes[:, :2] - feet[row, :2]) @ direction, left, half

        def mover_boxes(row: int) -> np.ndarray:
            return np.concatenate([self.recording.movers[row, n, :, :3], self.others.half_m[n]], axis=-1)

        standing = mover_boxes(first)[self.recording.movers[first, n, :, 3] < STANDS_MPS]
        ahead, left, half = there(np.concatenate([self.others.boxes[n], standing]), first)
        close = (ahead >= -PASSED_BEHIND_M) & (ahead <= PASSED_AHEAD_M)
        # from its begin on, the car may be beside what it passes already
        if not led_back and not ((np.abs(left) - half < half_m) & close).any():
            return False
        for row in range(first, last + 1, STRIDE):
            if over[row] and len(self.others.kinds):
                boxes = mover_boxes(row)
                ahead, left, _ = there(boxes, row)
                onward = self.recording.movers[row, n, :, 3] * np.cos(boxes[:, 2] - yaw)
                v = float(self.recording.speed_mps[row, n]) * math.cos(feet[row, 2] - yaw)
                gap = ahead - boxes[:, 3] - self.robot.length_m / 2
                comes = (self.others.kinds == VEHICLE) & (onward < -STANDS_MPS) & (ahead > 0.0)
                comes &= (left >= -3 * half_m) & (left <= -1.0)
                if (comes & (gap < self.rules.oncoming_s * np.maximum(v - onward, 0.0))).any():
                    return False
        return True


def runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """First and last index of each stretch of True in flags (T,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def longest_run(flags: np.ndarray) -> int:
    """Length of the longest stretch of True in flags (T,)."""
    return max((last - first + 1 for first, last in runs(flags)), default=0)
