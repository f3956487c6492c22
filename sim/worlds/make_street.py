"""Makes the street: the Lanelet2 road map `street.osm` and the world's file `street.json` beside this script.

Run by hand when the street changes (`python sim/worlds/make_street.py [FOLDER]`); both results are kept in the repository. The
same script always writes the same bytes. Map frame: metres, x east, y north; the file's latitudes and longitudes are those of a
local Cartesian frame around ORIGIN, which is a free choice and means no real place.

What stands for what in the file (tags beside Lanelet2's own):
  lanelet road          a lane between two crossings, or (with `crossing` and `turn_direction`) one through a crossing;
                        its `centerline` is given; `shoulder_m` is the width of the shoulder left of it
  lanelet crosswalk     a zebra crossing, with `crossing` and `name`
  lanelet walkway       pavement along a road
  polygon intersection_area  a crossing: the square that its stop lines bound, with `name`, `lights`, `kerb_m`
  area parking          a slot, with `name`, `car_park`, `yaw_deg`
  area freespace        the aisle of a car park, with `name` and `lane`, the lanelet that it opens to
  regulatory elements   traffic_light (stop line, head), traffic_sign (止まれ, stop line),
                        right_of_way (who yields to whom at stop signs and at crosswalks)
"""

from __future__ import annotations

import json
import math
import sys
from itertools import count, pairwise
from pathlib import Path

import lanelet2
import numpy as np
from lanelet2.core import (
    Area,
    AttributeMap,
    Lanelet,
    LaneletMap,
    LineString3d,
    Point3d,
    Polygon3d,
    RightOfWay,
    TrafficLight,
    TrafficSign,
    TrafficSignsWithType,
)

ORIGIN = (35.0, 139.0)
ROADS_M = (0.0, 80.0, 160.0)  # centre lines, both x and y
REACH_M = 40.0  # beyond the outermost crossings
LANE_M, SHOULDER_M, PAVEMENT_M = 3.0, 1.0, 2.0
KERB_M = LANE_M + SHOULDER_M
STOP_M = 9.0  # stop lines, and with them the crossings' squares, from the crossing's centre
CROSSWALK_M, CROSSWALK_HALF_M = 6.5, 1.5
LIT = (80.0, 80.0)
HEAD_AHEAD_M, HEAD_HEIGHT_M, LAMP_M, LAMP_PITCH_M = 9.0, 5.0, 0.3, 0.4
SIGN_LEFT_M, SIGN_HEIGHT_M, SIGN_WIDTH_M = 4.5 + LANE_M / 2, 2.2, 0.8  # from the lane's middle
LIMIT_KMPH = 30
# a turn's centre line: radius of its arc, and length of the clothoid on either side, in which the wheel is turned (0.6 rad/s)
TURNS = {"left": (5.0, 3.5), "right": (6.0, 3.5)}
SPACING_M = 0.5
SLOTS, SLOT_LENGTH_M, SLOT_WIDTH_M, SLOT_YAW_DEG = [(92.0 + 4.0 * k, 14.0) for k in range(1, 7)], 5.5, 2.6, 90
AISLE_M = (90.0, 4.0, 120.0, 10.5)
KANJI = "一二三四五六"
SIDES = {"east": (1, 0), "north": (0, 1), "west": (-1, 0), "south": (0, -1)}  # of a crossing
DRIVEN = {
    "one_way": "yes",
    "location": "urban",
    "participant:vehicle": "yes",
    "speed_limit": f"{LIMIT_KMPH} km/h",
    "shoulder_m": str(SHOULDER_M),
}


def turn_line(direction: str, reach_m: float) -> np.ndarray:
    """Centre line of a 90° turn, (P, 3) x, y, heading in the frame of its entry: straight, clothoid, arc, clothoid, straight.

    reach_m is the distance from the entry to where the tangents of entry and exit meet.
    """
    radius, ramp = TURNS[direction]
    arc = (math.pi / 2 - ramp / radius) * radius
    knots = np.array([0.0, ramp, ramp + arc, 2 * ramp + arc])
    s = np.linspace(0.0, knots[-1], 2001)
    heading = np.concatenate([[0.0], np.cumsum(np.diff(s) * _middles(np.interp(s, knots, [0, 1 / radius, 1 / radius, 0])))])
    steps = np.diff(s)[:, None] * np.stack([np.cos(_middles(heading)), np.sin(_middles(heading))], axis=1)
    xy = np.concatenate([[[0.0, 0.0]], np.cumsum(steps, axis=0)])
    straight = reach_m - xy[-1, 0]
    if straight < 0:
        raise ValueError(f"a {direction} turn needs {xy[-1, 0]:.2f} m, there are {reach_m:.2f} m")
    at = np.linspace(0.0, s[-1], round(s[-1] / SPACING_M) + 1)
    curve = np.stack([np.interp(at, s, xy[:, 0]) + straight, np.interp(at, s, xy[:, 1]), np.interp(at, s, heading)], axis=1)
    line = np.concatenate([[[0.0, 0.0, 0.0]], curve, [[reach_m, reach_m, math.pi / 2]]])
    return line if direction == "left" else line * [1, -1, -1]


def _middles(values: np.ndarray) -> np.ndarray:
    return (values[1:] + values[:-1]) / 2


class Street:
    """Builds the map. Ids count up, so that the file stays the same; points and lines are shared where lanes meet."""

    def __init__(self) -> None:
        self.map = LaneletMap()
        self._ids = count(1)
        self._points: dict[tuple[int, int, int], Point3d] = {}
        self._lines: dict[tuple[int, ...], LineString3d] = {}
        # lanes that lead to and away from a crossing, by crossing and side of it
        self.inward: dict[tuple[float, float, str], Lanelet] = {}
        self.outward: dict[tuple[float, float, str], Lanelet] = {}
        self.within: dict[tuple[float, float], list[Lanelet]] = {}

    def point(self, x: float, y: float, z: float = 0.0) -> Point3d:
        key = (round(x * 1000), round(y * 1000), round(z * 1000))
        if key not in self._points:
            self._points[key] = Point3d(next(self._ids), *(v / 1000 for v in key))
        return self._points[key]

    def line(self, xy: np.ndarray, **tags: str) -> LineString3d:
        """The line through (P, 2) or (P, 3) points; the one that is there already when it runs so or the other way."""
        points = [self.point(*p) for p in np.asarray(xy, dtype=float)]
        key = tuple(p.id for p in points)
        if key in self._lines:
            return self._lines[key]
        if key[::-1] in self._lines:
            return self._lines[key[::-1]].invert()
        self._lines[key] = LineString3d(next(self._ids), points, AttributeMap(tags))
        return self._lines[key]

    def lane(self, centre: np.ndarray, left: dict[str, str], right: dict[str, str], **tags: str) -> Lanelet:
        """A lane along (P, 3) x, y, heading, 3 m wide."""
        normal = np.stack([-np.sin(centre[:, 2]), np.cos(centre[:, 2])], axis=1) * LANE_M / 2
        # the bounds need not be as fine as the middle
        some = np.unique(np.r_[np.arange(0, len(centre), 2), len(centre) - 1])
        lane = Lanelet(
            next(self._ids),
            self.line((centre[:, :2] + normal)[some], **left),
            self.line((centre[:, :2] - normal)[some], **right),
            AttributeMap({"subtype": "road", **DRIVEN, **tags}),
        )
        lane.centerline = self.line(centre[:, :2], type="virtual", subtype="centerline")
        self.map.add(lane)
        return lane

    def roads(self) -> None:
        """The lanes outside of crossings, with their pavements."""
        ends = [ROADS_M[0] - REACH_M, *ROADS_M, ROADS_M[-1] + REACH_M]
        for across in ROADS_M:
            for a, b in pairwise(ends):
                low, high = a + STOP_M * (a in ROADS_M), b - STOP_M * (b in ROADS_M)
                for side in SIDES:
                    self._half_road(across, a, b, low, high, side)

    def _half_road(self, across: float, a: float, b: float, low: float, high: float, heading: str) -> None:
        u = np.array(SIDES[heading], dtype=float)
        left = np.array([-u[1], u[0]])
        forward = u.sum() > 0
        start, end = (low, high) if forward else (high, low)

        def at(along: float, to_left: float) -> np.ndarray:
            base = np.array([along, across]) if u[0] else np.array([across, along])
            return base + left * to_left

        yaw = math.atan2(u[1], u[0])
        centre = np.array([[*at(start, LANE_M / 2), yaw], [*at(end, LANE_M / 2), yaw]])
        lane = self.lane(centre, {"type": "line_thin", "subtype": "solid"}, {"type": "line_thin", "subtype": "dashed"})
        begin, finish = (a, b) if forward else (b, a)
        for crossing, lanes, side in ((finish, self.inward, _opposite(heading)), (begin, self.outward, heading)):
            if crossing in ROADS_M:
                where = (crossing, across) if u[0] else (across, crossing)
                lanes[(*where, side)] = lane
        for from_m, to_m in _pavements(heading, across, a, b):
            walk = Lanelet(
                next(self._ids),
                self.line(np.array([at(from_m, KERB_M + PAVEMENT_M), at(to_m, KERB_M + PAVEMENT_M)]), type="wall"),
                self.line(np.array([at(from_m, KERB_M), at(to_m, KERB_M)]), type="curbstone", subtype="high"),
                AttributeMap({"subtype": "walkway", "location": "urban", "one_way": "no", "participant:pedestrian": "yes"}),
            )
            self.map.add(walk)

    def crossings(self) -> None:
        """Squares, the lanes through them, and what rules them."""
        for x in ROADS_M:
            for y in ROADS_M:
                lit = (x, y) == LIT
                square = [self.point(x + STOP_M * i, y + STOP_M * j) for i, j in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
                self.map.add(
                    Polygon3d(
                        next(self._ids),
                        square,
                        AttributeMap(
                            {
                                "type": "intersection_area",
                                "name": _crossing(x, y),
                                "lights": "yes" if lit else "no",
                                "kerb_m": str(KERB_M),
                            }
                        ),
                    )
                )
                self.within[x, y] = [self._through(x, y, side, turn) for side in SIDES for turn in ("left", "straight", "right")]
                if lit:
                    self._lights(x, y)
                    self._crosswalks(x, y)
                else:
                    self._signs(x, y)

    def _through(self, x: float, y: float, side: str, turn: str) -> Lanelet:
        """The lane through a crossing for who comes from that side."""
        ux, uy = -np.array(SIDES[side])
        entry = np.array([x, y]) - STOP_M * np.array([ux, uy]) + LANE_M / 2 * np.array([-uy, ux])
        if turn == "straight":
            local = np.array([[0.0, 0.0, 0.0], [2 * STOP_M, 0.0, 0.0]])
        else:
            local = turn_line(turn, STOP_M - LANE_M / 2 if turn == "left" else STOP_M + LANE_M / 2)
        centre = np.concatenate(
            [entry + local[:, :2] @ np.array([[ux, uy], [-uy, ux]]), local[:, 2:] + math.atan2(uy, ux)], axis=1
        )
        virtual = {"type": "virtual"}
        return self.lane(centre, virtual, virtual, crossing=_crossing(x, y), turn_direction=turn)

    def _stop_line(self, x: float, y: float, side: str) -> LineString3d:
        u = np.array(SIDES[side], dtype=float)
        incoming_left = np.array([u[1], -u[0]])  # left of the traffic that comes from that side
        middle = np.array([x, y]) + STOP_M * u
        return self.line(
            np.array([middle + LANE_M * incoming_left, middle]),
            type="stop_line",
            subtype="solid",
            name=f"stop_{x:.0f}_{y:.0f}_{side}",
        )

    def _lights(self, x: float, y: float) -> None:
        for side, u in SIDES.items():
            t = -np.array(u, dtype=float)
            left = np.array([-t[1], t[0]])
            middle = np.array([x, y]) + HEAD_AHEAD_M * t + LANE_M / 2 * left
            lamps = np.array([[*(middle + left * LAMP_PITCH_M), HEAD_HEIGHT_M], [*(middle - left * LAMP_PITCH_M), HEAD_HEIGHT_M]])
            head = self.line(
                lamps,
                type="traffic_light",
                subtype="red_yellow_green",
                name=f"light_{x:.0f}_{y:.0f}_{side}",
                approach=side,
                lamp_diameter_m=str(LAMP_M),
                lamp_pitch_m=str(LAMP_PITCH_M),
            )
            rule = TrafficLight(next(self._ids), AttributeMap({"crossing": _crossing(x, y)}), [head], self._stop_line(x, y, side))
            self._rule(rule, self.inward[x, y, side])

    def _signs(self, x: float, y: float) -> None:
        """止まれ for east and west; north and south have priority."""
        for side in ("east", "west"):
            t = -np.array(SIDES[side], dtype=float)
            left = np.array([-t[1], t[0]])
            middle = np.array([x, y]) - STOP_M * t + (LANE_M / 2 + SIGN_LEFT_M) * left
            ends = np.array([[*(middle + s * left * SIGN_WIDTH_M / 2), SIGN_HEIGHT_M] for s in (1, -1)])
            sign = self.line(ends, type="traffic_sign", subtype="jp330")
            stop, lane = self._stop_line(x, y, side), self.inward[x, y, side]
            self._rule(
                TrafficSign(
                    next(self._ids),
                    AttributeMap({"crossing": _crossing(x, y)}),
                    TrafficSignsWithType([sign], "jp330"),
                    TrafficSignsWithType([], ""),
                    [stop],
                    [],
                ),
                lane,
            )
            first = [self.inward[x, y, s] for s in ("north", "south")]
            self._rule(
                RightOfWay(next(self._ids), AttributeMap({"crossing": _crossing(x, y)}), first, [lane], stop), lane, *first
            )

    def _crosswalks(self, x: float, y: float) -> None:
        for side, direction in SIDES.items():
            u = np.array(direction, dtype=float)
            left = np.array([-u[1], u[0]])
            near, far = (np.array([x, y]) + (CROSSWALK_M + s * CROSSWALK_HALF_M) * u for s in (-1, 1))
            walk = Lanelet(
                next(self._ids),
                self.line(np.array([far - KERB_M * left, far + KERB_M * left]), type="pedestrian_marking"),
                self.line(np.array([near - KERB_M * left, near + KERB_M * left]), type="pedestrian_marking"),
                AttributeMap(
                    {
                        "subtype": "crosswalk",
                        "location": "urban",
                        "one_way": "no",
                        "participant:pedestrian": "yes",
                        "crossing": _crossing(x, y),
                        "name": f"crosswalk_{x:.0f}_{y:.0f}_{side}",
                    }
                ),
            )
            self.map.add(walk)
            crossed = [lane for lane in self.within[x, y] if lanelet2.geometry.intersects2d(lane, walk)]
            self._rule(RightOfWay(next(self._ids), AttributeMap({"crossing": _crossing(x, y)}), [walk], crossed), *crossed)

    def _rule(self, rule: object, *lanes: Lanelet) -> None:
        self.map.add(rule)
        for lane in lanes:
            lane.addRegulatoryElement(rule)

    def car_park(self) -> None:
        """The aisle and its slots, north of the road y = 0."""
        x0, y0, x1, y1 = AISLE_M
        lane = self.outward[80.0, 0.0, "east"]
        self._area((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0, subtype="freespace", name="parking", lane=str(lane.id))
        for k, (x, y) in enumerate(SLOTS, start=1):
            self._area(
                x,
                y,
                SLOT_WIDTH_M,
                SLOT_LENGTH_M,
                subtype="parking",
                name=f"slot_{k}",
                car_park="parking",
                yaw_deg=str(SLOT_YAW_DEG),
            )

    def _area(self, x: float, y: float, width: float, height: float, **tags: str) -> None:
        """A rectangle; an area's outer bound runs clockwise."""
        corners = [np.array([x + i * width / 2, y + j * height / 2]) for i, j in ((-1, -1), (-1, 1), (1, 1), (1, -1), (-1, -1))]
        bound = [self.line(np.array(edge), type="parking_marking") for edge in pairwise(corners)]
        self.map.add(Area(next(self._ids), bound, [], AttributeMap({"location": "urban", "participant:vehicle": "yes", **tags})))


def _crossing(x: float, y: float) -> str:
    return f"crossing_{x:.0f}_{y:.0f}"


def _opposite(side: str) -> str:
    return {"east": "west", "west": "east", "north": "south", "south": "north"}[side]


def _pavements(heading: str, across: float, a: float, b: float) -> list[tuple[float, float]]:
    """Where pavement lies along half a road from a to b: up to the crossing roads' kerbs, and not across the car park's mouth."""
    low, high = a + KERB_M * (a in ROADS_M), b - KERB_M * (b in ROADS_M)
    mouth = (AISLE_M[0], AISLE_M[2])
    if heading == "east" and across == 0.0 and low < mouth[0] < mouth[1] < high:
        return [(low, mouth[0]), (mouth[1], high)]
    return [(low, high) if heading in ("east", "north") else (high, low)]


def world_file() -> dict[str, object]:
    """What `street.json` holds."""
    reach = [ROADS_M[0] - REACH_M, ROADS_M[-1] + REACH_M]
    yaw = round(math.radians(SLOT_YAW_DEG), 6)
    slots = [
        {
            "id": f"slot_{k}",
            "names": [f"{k}番", f"{k}番枠", f"{KANJI[k - 1]}番", f"{KANJI[k - 1]}番枠", f"{k}番の駐車枠", f"枠{k}"],
            "xy_m": [x, y],
            "yaw_rad": yaw,
        }
        for k, (x, y) in enumerate(SLOTS, start=1)
    ]
    parking = {
        "id": "parking",
        "names": ["駐車場", "パーキング"],
        "xy_m": [(AISLE_M[0] + AISLE_M[2]) / 2, (AISLE_M[1] + AISLE_M[3]) / 2],
    }
    return {
        "name": "street",
        "name_ja": "街路",
        "bounds_m": [reach[0], reach[0], reach[1], reach[1]],
        "road": "street.osm",
        "origin_deg": list(ORIGIN),
        "home": "parking",
        "places": [parking, *slots],
    }


def write(folder: Path) -> None:
    """Write street.osm and street.json into the folder."""
    street = Street()
    street.roads()
    street.crossings()
    street.car_park()
    lanelet2.io.write(
        str(folder / "street.osm"), street.map, lanelet2.projection.LocalCartesianProjector(lanelet2.io.Origin(*ORIGIN))
    )
    head, places = world_file(), world_file()["places"]
    lines = ",\n".join("    " + json.dumps(place, ensure_ascii=False) for place in places)
    fields = "".join(f"  {json.dumps(k)}: {json.dumps(v, ensure_ascii=False)},\n" for k, v in head.items() if k != "places")
    (folder / "street.json").write_text("{\n" + fields + '  "places": [\n' + lines + "\n  ]\n}\n", encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
