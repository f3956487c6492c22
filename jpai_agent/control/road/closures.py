"""Where the lanes are closed to a car: the stretches of each on which its footprint would enter a zone to keep out of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from jpai_agent.control.road.lines import Line, runs
from jpai_agent.world.road import RoadMap
from jpai_agent.world.robot import RobotSpec
from jpai_agent.world.zones import SiteRules, Zone

if TYPE_CHECKING:
    from jpai_agent.control.road.routes import Way

# how far apart a lane is tried, and the gap to a zone that counts as none: more than a program must keep to it
STEP_M, GAP_M = 0.25, 0.12


@dataclass(frozen=True)
class Closures:
    """The closed stretches (from, to, zone) of lanes by their id, in metres along the lane's centre line."""

    stretches: Mapping[int, tuple[tuple[float, float, Zone], ...]]

    def on(self, lane: int, from_m: float, to_m: float) -> Zone | None:
        """The first zone that a car comes to on [from_m, to_m] of a lane; None where that is open."""
        met = [(begin, zone) for begin, end, zone in self.stretches.get(lane, ()) if end > from_m and begin < to_m]
        return min(met, key=lambda found: found[0])[1] if met else None

    def along(self, way: Way, from_m: float, to_m: float) -> Zone | None:
        """The first zone that a car comes to on [from_m, to_m] of a way; None where that is open."""
        for span in way.lanes if self.stretches else ():
            begin, end = max(from_m, span.from_m), min(to_m, span.to_m)
            offset = span.lane_from_m - span.from_m
            zone = self.on(span.lane, begin + offset, end + offset) if begin <= end else None
            if zone is not None:
                return zone
        return None


# no lane is closed
OPEN = Closures({})


def closures_of(road: RoadMap, rules: SiteRules, robot: RobotSpec) -> Closures:
    """Where the zones of the rules close a road map's lanes to a robot; found once for each."""
    return _found(road, rules, (robot.length_m / 2, robot.width_m / 2), robot.center_x_m)


@lru_cache(maxsize=16)
def _found(road: RoadMap, rules: SiteRules, half_m: tuple[float, float], center_x_m: float) -> Closures:
    stretches: dict[int, tuple[tuple[float, float, Zone], ...]] = {}
    for lane in road.lanes.values() if rules.zones else ():
        line = Line(lane.centre)
        along = np.append(np.arange(0.0, line.length_m, STEP_M), line.length_m)
        poses = line.at(along)
        closed = [(float(along[a]), float(along[b]), zone) for zone in rules.zones
                  for a, b in runs(zone.gap_m(poses, half_m, center_x_m) < GAP_M)]
        if closed:
            stretches[lane.id] = tuple(closed)
    return Closures(stretches)
