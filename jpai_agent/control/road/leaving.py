"""Back onto a lane: out of a slot or an aisle, or from where a turn was broken off."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from jpai_agent.control.geometry import wrap
from jpai_agent.control.paths import ProgramError
from jpai_agent.control.road.manoeuvre import MANOEUVRE_MPS, Region, Stroke, to_lane
from jpai_agent.control.road.passing import standing_boxes
from jpai_agent.control.road.segments import RoadDrive
from jpai_agent.world.road import CarPark, Slot

if TYPE_CHECKING:
    from jpai_agent.control.road.lines import Line
    from jpai_agent.control.road.making import Making

# things this near are reckoned with; lanes this near are turned onto
AROUND_M, LANE_M = 30.0, 8.0


def region_of(making: Making, park: CarPark, slots: list[Slot], line: Line) -> Region:
    """Where a car may be that goes between a car park's lane and some of its slots."""
    x0, y0, x1, y1 = park.aisle_m
    aisle = [(x0 + x1) / 2, (y0 + y1) / 2, 0.0, (x1 - x0) / 2 + 0.05, (y1 - y0) / 2 + 0.8]
    areas = [aisle] + [[s.x_m, s.y_m, s.yaw_rad, s.length_m / 2 + 0.8, s.width_m / 2 + 0.1] for s in slots]
    lane = making.network.road.lanes[park.lane]
    # the lane's own half and the shoulder: to the left it reaches further than to the right
    middle = line.at(np.arange(0.0, line.length_m, 0.5), making.network.road.shoulder_m / 2)[:, :2]
    reach = (lane.width_m + making.network.road.shoulder_m) / 2 - 0.02
    boxes = np.array([box for _, box, _ in standing_boxes(making.scene)]).reshape(-1, 5)
    away = np.abs(boxes[:, :2] - np.array([slots[0].x_m, slots[0].y_m])).max(axis=1, initial=0.0)
    return Region(middle, reach, np.array(areas), boxes[away < AROUND_M])


def add_strokes(making: Making, strokes: list[Stroke], *, rests: bool) -> None:
    """Add strokes to the program; the car comes to rest between them and, where it is to, at their end."""
    for i, stroke in enumerate(strokes):
        points = tuple((round(float(x), 4), round(float(y), 4)) for x, y in stroke.points)
        last = i == len(strokes) - 1
        cruise = min(making.cruise_mps, MANOEUVRE_MPS)
        making.segments.append(RoadDrive(making.step, cruise, points, stroke.reverse, not last or rests))
    ahead = strokes[-1].points[-1] - strokes[-1].points[-2]
    yaw = math.atan2(ahead[1], ahead[0]) + (math.pi if strokes[-1].reverse else 0.0)
    making.pose = np.array([*strokes[-1].points[-1], yaw])
    making.trip, making.v_mps = None, 0.0 if rests else MANOEUVRE_MPS


def leave(making: Making) -> bool:
    """Add the way back onto a lane, out of a car park to the one that it is open to; False where there is none."""
    for park in making.network.road.car_parks:
        x0, y0, x1, y1 = park.aisle_m
        x, y = float(making.pose[0]), float(making.pose[1])
        inside = [s for s in park.slots if math.hypot(s.x_m - x, s.y_m - y) < s.length_m]
        if not inside and not (x0 < x < x1 and y0 - 1.0 < y < y1):
            continue
        line = making.network.line(park.lane)
        region = region_of(making, park, inside or list(park.slots[:1]), line)
        strokes, _ = to_lane(making.pose, line, region, making.robot)
        add_strokes(making, strokes, rests=strokes[-1].reverse)
        _merges(making)
        return True
    return _turned_back(making)


def _turned_back(making: Making) -> bool:
    """Add the way to a lane that is near, the one first that the car is turned to most."""
    network = making.network
    lanes = {}
    for lane in network.road.lanes.values():
        along, aside = network.line(lane.id).nearest(float(making.pose[0]), float(making.pose[1]))
        if lane.crossing is None and abs(aside) < LANE_M and along < network.length_m(lane.id) - 1.0:
            lanes[lane.id] = abs(float(wrap(network.line(lane.id).at(along)[2] - making.pose[2])))
    points = np.concatenate([lane.centre for lane in network.road.lanes.values()])
    points = points[np.hypot(*(points - making.pose[:2]).T) < AROUND_M]
    boxes = np.array([box for _, box, _ in standing_boxes(making.scene)]).reshape(-1, 5)
    width = max((lane.width_m for lane in network.road.lanes.values()), default=3.0)
    region = Region(points, width / 2 + network.road.shoulder_m - 0.1, np.empty((0, 5)), boxes)
    for lane_id in sorted(lanes, key=lambda name: lanes[name]):
        try:
            strokes, _ = to_lane(making.pose, network.line(lane_id), region, making.robot)
        except ProgramError:
            continue
        add_strokes(making, strokes, rests=strokes[-1].reverse)
        return True
    return False


def _merges(making: Making) -> None:
    """The last stroke waits for a gap in the traffic before it comes onto the lane."""
    last = making.segments[-1]
    if isinstance(last, RoadDrive):
        length = float(np.linalg.norm(np.diff(np.array(last.points), axis=0), axis=1).sum())
        making.segments[-1] = RoadDrive(last.step, last.cruise_mps, last.points, last.reverse, last.rests,
                                        (("merge", 0.0, round(length, 2), "car_park"),))
