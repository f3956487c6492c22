"""Ways on the road map: where the car is on it, what lies ahead, and the shortest way to a place beside the road.

Map frame, metres, radians. Everything runs along lanes' centre lines, which base_link follows; "along" counts from a way's
start, offsets are positive to the left. The order of the lanes (`Lane.following`) is lanelet2's routing graph.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from jpai_agent.control.road.closures import OPEN, Closures
from jpai_agent.control.road.lines import Line, runs
from jpai_agent.world.road import Crossing, Lane, RoadMap
from jpai_agent.world.robot import RobotSpec

SPACING_M = 0.5
DIRECTIONS = ("left", "straight", "right")
# a car that passes another still belongs to its own lane, one lane's width away
ON_ROAD_M = 4.0
HEADING_MAX_RAD = math.radians(100.0)
# what a radian of wrong heading counts against a metre of offset
_HEADING_WEIGHT_M = 2.0
KERB_SEARCH_M = 60.0
# a road that runs past a place is hardly further away than the nearest one by more than its other lane
_SAME_ROAD_M = 4.5
_FACING_MAX_RAD = math.radians(60.0)


class RoadError(ValueError):
    """There is no such way. `reason` is "no_road" (no road goes there) or "no_path" (none of the roads ahead leads there)."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class LanePosition:
    """A place on a lane: how far along its centre line, how far left of it, and the heading less the lane's."""

    lane: int
    along_m: float
    offset_m: float = 0.0
    heading_error_rad: float = 0.0


@dataclass(frozen=True)
class LaneSpan:
    """The stretch [from_m, to_m] of a way that runs on a lane; it begins lane_from_m along the lane."""

    lane: int
    from_m: float
    to_m: float
    lane_from_m: float


@dataclass(frozen=True)
class Mark:
    """What lies along a way, [from_m, to_m] of base_link's way; the front of the car is there earlier.

    kind and id: "light" (a stop line, id: the light head's), "sign" (a stop line with 止まれ, id: the line's), "crosswalk",
    "crossing" (its square), "end" (where the road ends, id: the lane's number).
    """

    kind: str
    from_m: float
    to_m: float
    id: str


@dataclass(frozen=True)
class CrossingAhead:
    """A crossing on a way: where base_link enters its square, is nearest to its centre, and leaves the square."""

    crossing: Crossing
    turn: str
    entry_m: float
    centre_m: float
    exit_m: float

    @property
    def id(self) -> str:
        return self.crossing.id

    @property
    def lights(self) -> bool:
        return self.crossing.lights


class Way(Line):
    """A stretch of road to drive: lanes one after the other, as points SPACING_M apart.

    Attributes:
        points: (P, 2). along_m: (P,) from 0. yaw_rad: (P,). length_m: its whole length. See Line.
        lanes: The lanes that it runs on, in order. marks: what lies along it, sorted by from_m.
    """

    def __init__(self, network: Network, lanes: Sequence[LaneSpan]) -> None:
        self.lanes = tuple(lanes)
        self._network = network
        super().__init__(
            np.concatenate([network.line(s.lane).part(s.lane_from_m, s.lane_from_m + s.to_m - s.from_m) for s in self.lanes]),
            SPACING_M,
        )

    @cached_property
    def marks(self) -> tuple[Mark, ...]:
        """What lies along the way, sorted by from_m."""
        road = self._network.road
        marks = [Mark("crossing", c.entry_m, c.exit_m, c.id) for c in self.crossings]
        for stop in road.stop_lines:
            marks += [Mark(stop.kind, at, at, stop.light or stop.id) for at in self.along_of(stop.lane, stop.along_m)]
        fine = np.arange(0.0, self.length_m, 0.1)
        xy = self.at(fine)[:, :2]
        for walk in road.crosswalks:
            c, s = math.cos(walk.yaw_rad), math.sin(walk.yaw_rad)
            local = (xy - [walk.x_m, walk.y_m]) @ np.array([[c, -s], [s, c]])
            marks += [
                Mark("crosswalk", float(fine[a]), float(fine[b]), walk.id)
                for a, b in runs(np.all(np.abs(local) <= [walk.half_along_m + 0.01, walk.half_across_m], axis=1))
            ]
        last = self.lanes[-1]
        left_of_it = self._network.length_m(last.lane) - last.lane_from_m - (last.to_m - last.from_m)
        if not road.lanes[last.lane].following and left_of_it < 0.01:
            marks.append(Mark("end", self.length_m, self.length_m, str(last.lane)))
        return tuple(sorted(marks, key=lambda mark: (mark.from_m, mark.to_m, mark.kind)))

    @cached_property
    def crossings(self) -> tuple[CrossingAhead, ...]:
        """The crossings on the way, in order."""
        found = []
        for span in self.lanes:
            lane = self._network.road.lanes[span.lane]
            if lane.crossing is not None:
                crossing = self._network.road.crossings[lane.crossing]
                centre, _ = self._network.line(lane.id).nearest(crossing.x_m, crossing.y_m)
                at = span.from_m + min(max(centre - span.lane_from_m, 0.0), span.to_m - span.from_m)
                found.append(CrossingAhead(crossing, lane.turn, span.from_m, at, span.to_m))
        return tuple(found)

    def along_of(self, lane: int, along_m: float) -> tuple[float, ...]:
        """Where the way comes by a place on a lane: nowhere, once, or again after a round."""
        found = []
        for span in self.lanes:
            at = span.from_m + along_m - span.lane_from_m
            if span.lane == lane and span.from_m - 1e-6 <= at <= span.to_m + 1e-6:
                found.append(min(max(at, 0.0), self.length_m))
        return tuple(found)

    def lane_at(self, along_m: float) -> LanePosition:
        """The lane there and how far along it; before and beyond the way its first and last lane."""
        index = max(0, bisect_right([span.from_m for span in self.lanes], along_m) - 1)
        span = self.lanes[index]
        return LanePosition(span.lane, span.lane_from_m + min(max(along_m, 0.0), self.length_m) - span.from_m)


@dataclass(frozen=True)
class Route:
    """A way that leads past a place: where along it the place is passed, on which lane, and on which side it then is."""

    way: Way
    along_m: float
    lane: int
    side: str  # "left" or "right"
    distance_m: float  # from the lane's centre line to the place


class Network:
    """The roads of a map as a network of lanes. Immutable; all its answers are new objects."""

    def __init__(self, road: RoadMap) -> None:
        self.road = road
        self._lines = {lane.id: Line(lane.centre) for lane in road.lanes.values()}
        self._ids = np.concatenate([np.full(len(lane.centre), lane.id) for lane in road.lanes.values()])
        self._points = np.concatenate([lane.centre for lane in road.lanes.values()])

    def line(self, lane: int) -> Line:
        """The lane's centre line."""
        return self._lines[lane]

    def length_m(self, lane: int) -> float:
        return self._lines[lane].length_m

    def opposite_of(self, lane: int) -> Lane | None:
        """The lane beside it on the right that runs the other way."""
        beside = self.road.lanes[lane].opposite
        return None if beside is None else self.road.lanes[beside]

    def kerb_offset_m(self, lane: int, robot: RobotSpec, gap_m: float = 0.3) -> float:
        """How far left of the lane's middle base_link stands at the kerb, the car's left side gap_m from the shoulder's edge."""
        return self.road.lanes[lane].width_m / 2 + self.road.shoulder_m - gap_m - robot.width_m / 2

    def locate(self, pose: np.ndarray, within_m: float = ON_ROAD_M, prefer: Iterable[int] = ()) -> LanePosition | None:
        """The lane that a car at pose (3,) x, y, yaw belongs to: near, and running as it heads.

        Inside a crossing, where lanes lie over one another, the straight one is taken among equals, and before all others
        one of `prefer` (lanes of the way that the car is on). None when no lane is within within_m of it, or none runs within
        100° of its heading.
        """
        x, y, yaw = (float(v) for v in pose)
        near = np.unique(self._ids[np.hypot(*(self._points - [x, y]).T) < within_m + 1.0])
        wanted, best, best_cost = set(prefer), None, math.inf
        for lane in map(int, near):
            along, offset = self._lines[lane].nearest(x, y)
            lane_x, lane_y, lane_yaw = self._lines[lane].at(np.array(along))
            error, distance = math.remainder(yaw - lane_yaw, 2 * math.pi), math.hypot(x - lane_x, y - lane_y)
            if distance > within_m or abs(error) > HEADING_MAX_RAD:
                continue
            cost = distance + _HEADING_WEIGHT_M * abs(error) - (1.0 if lane in wanted else 0.0)
            cost += 0.05 if self.road.lanes[lane].turn in ("left", "right") else 0.0
            if cost < best_cost - 1e-9:
                best, best_cost = LanePosition(lane, along, offset, error), cost
        return best

    def in_lane(self, pose: np.ndarray) -> LanePosition | None:
        """Where a car at pose (3,) is that drives along a lane; None in a crossing, off the road and across it."""
        place = self.locate(pose)
        if place is None or abs(place.heading_error_rad) > math.pi / 4 or self.road.lanes[place.lane].crossing is not None:
            return None
        return place

    def turn(self, lane: int, direction: str) -> int:
        """The lane through the crossing at the lane's end in that direction. Raises RoadError("no_road") when there is none."""
        for after in self.road.lanes[lane].following:
            if self.road.lanes[after].turn == direction:
                return after
        raise RoadError("no_road", f"no road goes {direction} at the end of lane {lane}")

    def ahead(self, position: LanePosition, turns: Sequence[str] = (), until_m: float = math.inf) -> Way:
        """The way ahead: in each of `turns` at the crossings in order, then straight on, for until_m or to the road's end.

        A crossing that position already lies in does not count. Raises RoadError("no_road") when a turn is not to be had, or
        the road ends before the last one.
        """
        lanes, length, left = [position.lane], self.length_m(position.lane) - position.along_m, list(turns)
        while length < until_m and (following := self.road.lanes[lanes[-1]].following):
            if self.road.lanes[following[0]].crossing is None:
                lanes.append(following[0])
            else:
                lanes.append(self.turn(lanes[-1], left.pop(0) if left else "straight"))
            length += self.length_m(lanes[-1])
        if left and length < until_m:
            raise RoadError("no_road", f"the road ends before the {len(turns)}th crossing")
        return self.way(lanes, position.along_m, until_m)

    def way(self, lanes: Sequence[int], from_along_m: float = 0.0, until_m: float = math.inf) -> Way:
        """The way over these lanes, from from_along_m on the first, until_m long at most."""
        spans, length, start = [], 0.0, from_along_m
        for lane in lanes:
            piece = min(self.length_m(lane) - start, until_m - length)
            if piece > 1e-6:
                spans.append(LaneSpan(lane, length, length + piece, start))
                length += piece
            start = 0.0
        if not spans:
            # at the very end of a road: a way of no length
            spans = [LaneSpan(lanes[-1], 0.0, 0.0, min(from_along_m, self.length_m(lanes[-1])))]
        return Way(self, spans)

    def route_to(
        self,
        position: LanePosition,
        x_m: float,
        y_m: float,
        side_matters: bool = True,
        facing_rad: float | None = None,
        beyond_m: float = 30.0,
        closed: Closures = OPEN,
    ) -> Route:
        """The shortest way past the point of a road that is nearest to (x_m, y_m), and beyond_m further, straight on.

        Of the road's two lanes the one is taken that has the place on its left, on the kerb's side; the other one only where
        there is none within 60 m that can be reached. Without side_matters the one that is reached sooner is taken. facing_rad:
        the place's heading, if it has a front: of two roads at a corner it is the one that it looks at. closed: what the way up
        to the place leads round. Raises RoadError("no_path") when no lane that passes the place can be reached.
        """
        found = []
        for lane, along, offset, distance in self._passing(x_m, y_m, facing_rad):
            path = self._path(position, lane, along, closed)
            if path is not None:
                found.append((*path, lane, offset, distance))
        if not found:
            raise RoadError("no_path", f"no way leads past ({x_m:.1f}, {y_m:.1f})")
        kerb = [f for f in found if f[3] > 0 and f[4] <= KERB_SEARCH_M]
        length, lanes, lane, offset, distance = min(kerb if side_matters and kerb else found, key=lambda f: (f[0], f[4]))
        onward = self.ahead(LanePosition(lane, 0.0)).lanes[1:]
        way = self.way([*lanes, *(span.lane for span in onward)], position.along_m, length + beyond_m)
        return Route(way, length, lane, "left" if offset > 0 else "right", distance)

    def _passing(self, x: float, y: float, facing_rad: float | None) -> list[tuple[int, float, float, float]]:
        """Lanes outside of crossings that pass a place: (lane, along, offset of the place, distance), of the road it lies at."""
        found = []
        for lane in (lane for lane in self.road.lanes.values() if lane.crossing is None):
            along, offset = self._lines[lane.id].nearest(x, y)
            lane_x, lane_y, _ = self._lines[lane.id].at(np.array(along))
            away = math.atan2(lane_y - y, lane_x - x)
            faces = facing_rad is None or abs(math.remainder(away - facing_rad, 2 * math.pi)) <= _FACING_MAX_RAD
            found.append((not faces, math.hypot(lane_x - x, lane_y - y), (lane.id, along, offset)))
        not_faced, nearest, _ = min(found)
        return [
            (*place, distance)
            for other, distance, place in sorted(found)
            if other == not_faced and distance <= nearest + _SAME_ROAD_M
        ]

    def _path(self, position: LanePosition, lane: int, along_m: float, closed: Closures) -> tuple[float, list[int]] | None:
        """The shortest way from position to a place on a lane: its length and lanes, by Dijkstra; None when none leads there."""
        ahead = lane == position.lane and along_m >= position.along_m - 1e-6
        if ahead and closed.on(lane, position.along_m, along_m) is None:
            return max(0.0, along_m - position.along_m), [lane]
        # nodes are lanes, costs those of reaching a lane's start; the first lane may be come back to
        heap: list[tuple[float, int, tuple[int, ...]]] = []
        done: set[int] = set()
        to_end = self.length_m(position.lane) - position.along_m
        leads_on = closed.on(position.lane, position.along_m, math.inf) is None
        for after in self.road.lanes[position.lane].following if leads_on else ():
            heapq.heappush(heap, (to_end, after, (position.lane,)))
        while heap:
            cost, current, before = heapq.heappop(heap)
            if current in done:
                continue
            done.add(current)
            path = (*before, current)
            if current == lane and closed.on(lane, 0.0, along_m) is None:
                return cost + along_m, list(path)
            for after in self.road.lanes[current].following if closed.on(current, 0.0, math.inf) is None else ():
                heapq.heappush(heap, (cost + self.length_m(current), after, path))
        return None


@lru_cache(maxsize=8)
def network_of(road: RoadMap) -> Network:
    """The network of a road map, made once; maps are told apart by identity."""
    return Network(road)
