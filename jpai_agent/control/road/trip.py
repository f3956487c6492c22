"""A trip: lanes that are driven without a rest, cut into the drives of the steps that it belongs to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from jpai_agent.control.road.passing import offsets, over_line, shifted, shifts_round
from jpai_agent.control.road.routes import LanePosition, Network, Way
from jpai_agent.control.road.segments import POINT_M, Mark, RoadDrive
from jpai_agent.control.segments import Say, Segment
from jpai_agent.world.robot import RobotSpec
from jpai_agent.world.scene import Scene

# a car that begins this far beside the lane's middle merges into it, and that far on its way it is in
MERGE_M, MERGED_M = 0.7, 10.0
# nearer than this it is on a stretch over the centre line already
BEGUN_M = 0.3


@dataclass(frozen=True)
class Cut:
    """A drive of a step ends at until_m of the trip, or words are said there."""

    step: int
    cruise_mps: float
    until_m: float
    words: str = ""
    carry_on: bool = False


@dataclass
class Trip:
    """Lanes from a position on.

    Attributes:
        start: Where it begins. lanes: their ids, the first one is start's. cuts: where its drives end, in order.
    """

    start: LanePosition
    lanes: list[int]
    cuts: list[Cut] = field(default_factory=list)

    @property
    def length_m(self) -> float:
        """How far it goes as yet."""
        return max((cut.until_m for cut in self.cuts), default=0.0)

    def way(self, network: Network, until_m: float = math.inf) -> Way:
        """Its way, and beyond its last lane straight on."""
        last = LanePosition(self.lanes[-1], 0.0)
        onward = [span.lane for span in network.ahead(last).lanes][1:]
        return network.way([*self.lanes, *onward], self.start.along_m, until_m)

    def reach(self, network: Network, lanes: Sequence[int], until_m: float) -> None:
        """Have lanes enough to go until_m, which lie on `lanes` from its first one on."""
        length, kept = -self.start.along_m, []
        for lane in lanes:
            kept.append(lane)
            length += network.length_m(lane)
            if length >= until_m - 1e-6:
                break
        self.lanes = kept

    def drives(self, network: Network, scene: Scene, robot: RobotSpec, *, rests: bool, kerb_m: float = 0.0,
               ignored: Sequence[str] = ()) -> tuple[list[Segment], np.ndarray]:
        """Its segments, past what stands in its lanes, and the pose (3,) of base_link at its end.

        Args:
            rests: It ends at standstill. kerb_m: there it is so far left of the lane's middle.
            ignored: Ids of things that are not to be passed.
        """
        way, total = self.way(network), self.length_m
        shifts = shifts_round(way, total, scene, network, robot, ignored, self.start.offset_m)
        # a trip that rests ends in its lane
        shifts = [s for s in shifts if s.full_to_m < total or not rests]
        count = max(2, math.ceil(total / POINT_M) + 1)
        along = np.unique(np.concatenate([np.linspace(0.0, total, count), [cut.until_m for cut in self.cuts]]))
        kerb = (kerb_m, total) if kerb_m else None
        slope = math.tan(np.clip(self.start.heading_error_rad, -0.6, 0.6))
        aside = offsets(along, self.start.offset_m, shifts, slope, kerb)
        poses = shifted(way, along, aside)
        poses[0, 2] = way.at(0.0)[2] + self.start.heading_error_rad
        driven = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(poses[:, :2], axis=0), axis=1))])
        over = [(s.name, over_line(way, along, aside, s, robot, network)) for s in shifts if s.leaves_lane]
        marks = self._marks(way, [(name, *stretch) for name, stretch in over if stretch is not None])
        segments: list[Segment] = []
        begin = 0.0
        for cut in self.cuts:
            if cut.words:
                segments.append(Say(cut.step, cut.cruise_mps, cut.words))
                continue
            if cut.until_m < begin + 0.3 and cut is not self.cuts[-1]:
                continue
            inside = (along >= begin - 1e-9) & (along <= cut.until_m + 1e-9)
            origin = float(np.interp(begin, along, driven))
            own = tuple(_moved(m, along, driven, origin, way) for m in marks if begin <= m[1] < cut.until_m
                        or (m[1] < begin < m[2] and begin == 0.0) or (cut is self.cuts[-1] and m[1] >= cut.until_m
                                                                      and m[1] < cut.until_m + robot.front_m + 8.0))
            points = tuple((round(float(x), 4), round(float(y), 4)) for x, y in poses[inside, :2])
            last = cut is self.cuts[-1]
            segments.append(RoadDrive(cut.step, cut.cruise_mps, points, False, rests and last, own, cut.carry_on))
            begin = cut.until_m
        return segments, poses[-1]

    def _marks(self, way: Way, passes: Sequence[tuple[str, float, float]]) -> list[Mark]:
        """Its way's marks, and one for each stretch (name, from, to) over the centre line that it has not begun yet."""
        marks: list[Mark] = [(m.kind, m.from_m, m.to_m, m.id) for m in way.marks]
        marks += [("pass", begin, end, name) for name, begin, end in passes if begin > BEGUN_M]
        if self.start.offset_m > MERGE_M:
            marks.append(("merge", 0.0, MERGED_M, "kerb"))
        return sorted(marks, key=lambda m: m[1])


def _moved(mark: Mark, along: np.ndarray, driven: np.ndarray, origin: float, way: Way) -> Mark:
    """A mark of the way as one of the drive that begins at `origin` of what is driven."""

    def at(value: float) -> float:
        beyond = max(value - float(along[-1]), 0.0)
        return round(float(np.interp(value, along, driven)) + beyond - origin, 3)

    return mark[0], at(mark[1]), at(mark[2]), mark[3]
