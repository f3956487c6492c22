"""Strokes in a tight place, forward and back: from a slot to the lane, and by the same way reversed from the lane to a slot.

A best-first search over short arcs of a few curvatures (hybrid A*: Dolgov, Thrun, Montemerlo, Diebel: Path Planning for
Autonomous Vehicles in Unknown Semi-structured Environments, IJRR 2010), the heading and curvature continuous in a stroke.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass

import numpy as np

from jpai_agent.control.geometry import footprint_gap_m, wrap
from jpai_agent.control.paths import ProgramError
from jpai_agent.control.road.lines import Line
from jpai_agent.world.robot import RobotSpec

# length of an arc, the points on it, curvatures as shares of the tightest, and the part of that which is used
ARC_M, POINTS, LEVELS, TIGHT_SHARE = 0.75, 3, (-1.0, -0.5, 0.0, 0.5, 1.0), 0.93
# a stroke back this near to the lane's middle counts so much more: others drive there
ROAD_M, ROAD_COST = 3.2, 3.0
# states are told apart by so much
CELL_M, CELL_RAD = 0.5, math.radians(10.0)
# what a metre back, a change of direction and one of curvature count in metres; how greedy the search is
BACK_COST, CUSP_COST, BEND_COST, GREED = 1.15, 4.0, 0.25, 1.6
# on the lane within this; from there a curve of so many metres takes it up
ON_LANE_M, ON_LANE_RAD, JOIN_M = 0.45, math.radians(11.0), 5.0
GAP_M = 0.25
MOST_STATES, MOST_BACKING = 4000, 1500
# ways forward into the lane, beside it at first
BLENDS_M = (15.0, 12.5, 10.5)
MANOEUVRE_MPS = 1.2


@dataclass(frozen=True)
class Region:
    """Where the footprint may be: near these centre lines, in these oriented boxes, and GAP_M clear of all obstacles.

    Attributes:
        near: (P, 2) points of centre lines; within reach_m of them. areas: (A, 5) boxes. obstacles: (K, 5).
    """

    near: np.ndarray
    reach_m: float
    areas: np.ndarray
    obstacles: np.ndarray

    def free(self, poses: np.ndarray, robot: RobotSpec, gap_m: float = GAP_M) -> np.ndarray:
        """(Q,) whether the footprint may be at poses (Q, 3) of base_link."""
        cos, sin = np.cos(poses[:, 2])[:, None], np.sin(poses[:, 2])[:, None]
        outline = _outline(robot)
        x = poses[:, :1] + cos * outline[:, 0] - sin * outline[:, 1]
        y = poses[:, 1:2] + sin * outline[:, 0] + cos * outline[:, 1]
        inside = np.zeros(x.shape, dtype=bool)
        for bx, by, yaw, half_x, half_y in self.areas:
            c, s = math.cos(yaw), math.sin(yaw)
            inside |= (np.abs(c * (x - bx) + s * (y - by)) <= half_x) & (np.abs(c * (y - by) - s * (x - bx)) <= half_y)
        if not inside.all():
            away = (x[..., None] - self.near[:, 0]) ** 2 + (y[..., None] - self.near[:, 1]) ** 2
            inside |= away.min(axis=-1) <= self.reach_m**2
        free = inside.all(axis=1)
        if len(self.obstacles):
            middle = poses.copy()
            middle[:, 0] += robot.center_x_m * cos[:, 0]
            middle[:, 1] += robot.center_x_m * sin[:, 0]
            gap = footprint_gap_m(middle[:, None], (robot.length_m / 2, robot.width_m / 2), self.obstacles)
            free &= (gap >= gap_m).all(axis=1)
        return np.asarray(free)


@dataclass(frozen=True)
class Stroke:
    """Points (P, 2) of base_link, driven forwards or back."""

    points: np.ndarray
    reverse: bool


def to_lane(pose: np.ndarray, lane: Line, region: Region, robot: RobotSpec, *, from_m: float = 0.0, backing: bool = False
            ) -> tuple[list[Stroke], float]:
    """Strokes from a pose (3,) to a lane, heading as it runs, and how far along the lane they end.

    Args:
        from_m: Not before there. backing: Back all the way, so that the way reversed is driven forwards.

    Raises:
        ProgramError: "no_path".
    """
    if not backing and (simple := _backed_out(pose, lane, region, robot, from_m)) is not None:
        return simple
    found = _search(pose, lane, region, robot, from_m, backing)
    if found is None:
        raise ProgramError("no_path", f"no way between ({pose[0]:.1f}, {pose[1]:.1f}) and the lane")
    poses, gears, along = found
    strokes: list[Stroke] = []
    begin = 0
    for i in range(1, len(gears) + 1):
        if i == len(gears) or gears[i] != gears[begin]:
            strokes.append(Stroke(poses[begin * POINTS:i * POINTS + 1, :2], gears[begin] < 0))
            begin = i
    end = poses[-1]
    way = -1.0 if backing else 1.0
    joined = _join(end, lane, along, along + way * JOIN_M)
    if strokes and strokes[-1].reverse == backing:
        strokes[-1] = Stroke(np.concatenate([strokes[-1].points, joined[1:]]), backing)
    else:
        strokes.append(Stroke(joined, backing))
    return strokes, along + way * JOIN_M


def _backed_out(pose: np.ndarray, lane: Line, region: Region, robot: RobotSpec, from_m: float
                ) -> tuple[list[Stroke], float] | None:
    """Straight back, back round a quarter turn or so beside the lane, and forward into it; None where that does not fit."""
    assert robot.ackermann is not None
    radius = 1.0 / (TIGHT_SHARE * robot.ackermann.curvature_max_radpm)
    along, _ = lane.nearest(float(pose[0]), float(pose[1]))
    turn = float(wrap(lane.at(along)[2] - pose[2]))
    if not math.radians(30) < abs(turn) < math.radians(150):
        return None
    back = -np.array([math.cos(pose[2]), math.sin(pose[2])])
    side = -math.copysign(1.0, turn) * np.array([-math.sin(pose[2]), math.cos(pose[2])])
    for straight in np.arange(0.0, 8.0, 0.25):
        first = pose[:2] + back * np.linspace(0.0, straight, max(2, round(straight / 0.25) + 1))[:, None]
        turned = np.linspace(0.0, abs(turn), 16)[1:, None]
        arc = first[-1] + radius * (back * np.sin(turned) + side * (1.0 - np.cos(turned)))
        yaw = np.concatenate([np.full(len(first), pose[2]), pose[2] + np.sign(turn) * turned[:, 0]])
        out = np.concatenate([np.concatenate([first, arc]), yaw[:, None]], axis=1)
        at, aside = lane.nearest(float(arc[-1, 0]), float(arc[-1, 1]))
        if not region.free(out, robot).all():
            continue
        for length in BLENDS_M:
            on = at + np.linspace(0.0, length, 40)
            onto = lane.at(on, aside * (1.0 - _smooth((on - at) / length)))
            step = np.gradient(onto[:, :2], axis=0)
            onto[:, 2] = np.arctan2(step[:, 1], step[:, 0])
            if at + length >= from_m and at + length < lane.length_m and region.free(onto, robot).all():
                strokes = [Stroke(out[:, :2], True), Stroke(np.concatenate([arc[-1:], onto[1:, :2]]), False)]
                return strokes, at + length
    return None


def _smooth(share: np.ndarray) -> np.ndarray:
    """From 0 to 1 without slope or bend at either end."""
    return share**3 * (10.0 - 15.0 * share + 6.0 * share**2)


def reversed_strokes(strokes: list[Stroke]) -> list[Stroke]:
    """The same strokes driven the other way round."""
    return [Stroke(s.points[::-1], not s.reverse) for s in reversed(strokes)]


def _outline(robot: RobotSpec) -> np.ndarray:
    """(12, 2) points around the footprint, in base_link."""
    x = np.linspace(-robot.rear_m, robot.front_m, 4)
    side = robot.width_m / 2
    return np.array([[v, s * side] for v in x for s in (1, -1)] + [[-robot.rear_m, 0.0], [robot.front_m, 0.0]])


def _join(pose: np.ndarray, lane: Line, along: float, to_m: float) -> np.ndarray:
    """(P, 2) a smooth curve (Hermite) from a pose near a lane to the lane's middle further along, or further back."""
    end = lane.at(to_m)
    length = abs(to_m - along) * math.copysign(1.0, to_m - along)
    t = np.linspace(0.0, 1.0, 15)[:, None]
    out = length * np.array([math.cos(pose[2]), math.sin(pose[2])])
    into = length * np.array([math.cos(end[2]), math.sin(end[2])])
    return ((2 * t**3 - 3 * t**2 + 1) * pose[:2] + (t**3 - 2 * t**2 + t) * out
            + (3 * t**2 - 2 * t**3) * end[:2] + (t**3 - t**2) * into)


def _search(pose: np.ndarray, lane: Line, region: Region, robot: RobotSpec, from_m: float, backing: bool
            ) -> tuple[np.ndarray, list[int], float] | None:
    """The poses (P, 3), POINTS an arc, the direction of each arc, and how far along the lane it ends."""
    assert robot.ackermann is not None
    tight = TIGHT_SHARE * robot.ackermann.curvature_max_radpm
    gears = (-1,) if backing else (1, -1)
    moves = [(gear, level, _arc(gear, LEVELS[level] * tight)) for gear in gears for level in range(len(LEVELS))]
    nodes: list[tuple[np.ndarray, int, int, int]] = [(pose.astype(float), -1, 2, 0)]  # pose, parent, level, gear
    steps: list[np.ndarray] = [pose[None].astype(float)]
    costs = [0.0]
    best: dict[tuple[int, ...], float] = {}
    heap: list[tuple[float, int]] = [(_guess(pose, lane), 0)]
    while heap and len(nodes) < (MOST_BACKING if backing else MOST_STATES):
        _, at = heapq.heappop(heap)
        here, _, level, gear = nodes[at]
        along, aside = lane.nearest(here[0], here[1])
        off = float(wrap(here[2] - lane.at(along)[2]))
        ends = abs(aside) < ON_LANE_M and abs(off) < ON_LANE_RAD and 0.0 < along < lane.length_m - 0.1
        joins = along - JOIN_M >= from_m if backing else along + JOIN_M < lane.length_m and along >= from_m
        if ends and joins and at > 0 and _joins(here, lane, along, region, robot, backing):
            return (*_traced(nodes, steps, at), along)
        allowed = [m for m in moves if gear == 0 or m[0] != gear or abs(m[1] - level) <= 1]
        cos, sin = math.cos(here[2]), math.sin(here[2])
        arcs = np.stack([m[2] for m in allowed])
        poses = np.stack([here[0] + cos * arcs[..., 0] - sin * arcs[..., 1], here[1] + sin * arcs[..., 0] + cos * arcs[..., 1],
                          here[2] + arcs[..., 2]], axis=-1)
        free = np.asarray(region.free(poses.reshape(-1, 3), robot).reshape(len(allowed), POINTS).all(axis=1))
        for (new_gear, new_level, _), arc, fits in zip(allowed, poses, free, strict=True):
            if not fits:
                continue
            cost = costs[at] + ARC_M * (1.0 if new_gear > 0 else BACK_COST) + BEND_COST * abs(new_level - level)
            cost += CUSP_COST if gear not in (0, new_gear) else 0.0
            if new_gear < 0 and not backing and abs(aside) < ROAD_M:
                cost += ROAD_COST
            end = arc[-1]
            key = (round(end[0] / CELL_M), round(end[1] / CELL_M), round(float(wrap(end[2])) / CELL_RAD), new_level, new_gear)
            if cost < best.get(key, math.inf) - 1e-9:
                best[key] = cost
                nodes.append((end, at, new_level, new_gear))
                steps.append(arc)
                costs.append(cost)
                heapq.heappush(heap, (cost + GREED * _guess(end, lane), len(nodes) - 1))
    return None


def _arc(gear: int, curvature: float) -> np.ndarray:
    """(POINTS, 3) the poses of an arc from the origin."""
    way = gear * ARC_M * np.arange(1, POINTS + 1) / POINTS
    turned = curvature * way
    if abs(curvature) < 1e-9:
        return np.stack([way, np.zeros_like(way), turned], axis=1)
    return np.stack([np.sin(turned) / curvature, (1.0 - np.cos(turned)) / curvature, turned], axis=1)


def _guess(pose: np.ndarray, lane: Line) -> float:
    """About how far it is to the lane."""
    along, aside = lane.nearest(float(pose[0]), float(pose[1]))
    off = abs(float(wrap(pose[2] - lane.at(along)[2])))
    return max(abs(aside), 3.5 * off) + 0.3 * min(abs(aside), 3.5 * off)


def _joins(pose: np.ndarray, lane: Line, along: float, region: Region, robot: RobotSpec, backing: bool) -> bool:
    """Whether the curve from there into the lane's middle is free."""
    points = _join(pose, lane, along, along + (-JOIN_M if backing else JOIN_M))
    step = np.gradient(points, axis=0) * (-1.0 if backing else 1.0)
    poses = np.concatenate([points, np.arctan2(step[:, 1], step[:, 0])[:, None]], axis=1)
    return bool(region.free(poses, robot).all())


def _traced(nodes: list[tuple[np.ndarray, int, int, int]], steps: list[np.ndarray], at: int) -> tuple[np.ndarray, list[int]]:
    arcs, gears = [], []
    while at > 0:
        arcs.append(steps[at])
        gears.append(nodes[at][3])
        at = nodes[at][1]
    return np.concatenate([steps[0], *arcs[::-1]]), gears[::-1]
