"""What the skills of a car add their motions to: the trip under way, the segments made so far, and where the car will be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from jpai_agent.control.paths import ProgramError, keep_out
from jpai_agent.control.road.closures import OPEN, Closures, closures_of
from jpai_agent.control.road.leaving import leave
from jpai_agent.control.road.passing import on_way, standing_boxes
from jpai_agent.control.road.routes import Network, RoadError, Way
from jpai_agent.control.road.rules import END_M
from jpai_agent.control.road.trip import Cut, Trip
from jpai_agent.control.segments import Segment
from jpai_agent.world.map import WorldMap
from jpai_agent.world.objects import KINDS
from jpai_agent.world.robot import RobotSpec
from jpai_agent.world.scene import GroundedTarget, Mover, Obstacle, Scene

# braking that a rest at once is planned with, and the most that one at a place is; the way that a command takes to act
REST_MPS2, HARDEST_MPS2, LATE_S = 1.9, 2.6, 0.5
# what stands this far beside the way is at it; a landmark's front looks at a road within this
BESIDE_M, FACING_RAD = 16.0, math.radians(60)
# heading further off the lane's than this, a car is not on it
ASTRAY_RAD = math.radians(50)
# a place that has just been passed, or is too near to stop at, is taken this much later
LATER_M = 8.0
# the least and the most of a drive that is worth its while
LEAST_M = 0.3

# lanes that lead past a target, where along them that is, and which of several targets it is
Passing = tuple[list[int], float, GroundedTarget]


@dataclass
class Making:
    """The program so far.

    Attributes:
        network: Ways on the map's roads. pose: (3,) where the car will be; v_mps: and how fast.
        trip: The lanes under way, None where none were begun. cruise_mps: top speed from here on.
        target_ids: Ids of things that the plan comes near to. decides_later: the present step waits for a nearer look.
        followed: Where the car will be depends on a vehicle that it follows.
        passes: It goes round what stands in its lane; else it waits behind that.
    """

    robot: RobotSpec
    world_map: WorldMap
    network: Network
    scene: Scene
    targets: Mapping[int, GroundedTarget]
    pose: np.ndarray
    v_mps: float
    cruise_mps: float
    step: int = 0
    segments: list[Segment] = field(default_factory=list)
    target_ids: list[str] = field(default_factory=list)
    trip: Trip | None = None
    decides_later: bool = False
    followed: bool = False
    passes: bool = True

    @property
    def at_rest(self) -> bool:
        """Whether the car will stand."""
        return self.trip is None and self.v_mps < 0.1

    @property
    def target(self) -> GroundedTarget:
        """The present step's target. Raises ProgramError when it was not found."""
        if self.step not in self.targets:
            raise ProgramError("target_missing", f"step {self.step} has no target", self.step)
        return self.targets[self.step]

    @property
    def has_target(self) -> bool:
        """Whether the present step has one."""
        return self.step in self.targets

    def under_way(self) -> Trip:
        """The trip, begun where the car will be. Raises ProgramError("no_road") off the road."""
        if self.trip is None:
            position = self.network.locate(self.pose)
            if (position is None or abs(position.heading_error_rad) > ASTRAY_RAD) and leave(self):
                position = self.network.locate(self.pose)
            if position is None or abs(position.heading_error_rad) > ASTRAY_RAD:
                raise ProgramError("no_road", f"no lane at ({self.pose[0]:.1f}, {self.pose[1]:.1f})")
            self.trip = Trip(position, [position.lane])
        return self.trip

    def way(self) -> Way:
        """The trip's way and what follows it straight on."""
        return self.under_way().way(self.network)

    def go_to(self, until_m: float, lanes: list[int] | None = None, *, carry_on: bool = False) -> None:
        """Drive up to there, on the lanes of the trip's way or on others that begin like it."""
        trip = self.under_way()
        until_m = max(until_m, trip.length_m)
        trip.reach(self.network, lanes if lanes is not None else [s.lane for s in self.way().lanes], until_m)
        trip.cuts.append(Cut(self.step, self.cruise_mps, until_m, carry_on=carry_on))

    def say(self, words: str) -> None:
        """Say something there."""
        trip = self.under_way()
        trip.cuts.append(Cut(self.step, self.cruise_mps, trip.length_m, words))

    def rest(self, kerb_m: float = 0.0) -> None:
        """Come to rest at the end of the trip."""
        self.flush(rests=True, kerb_m=kerb_m)

    def flush(self, *, rests: bool, kerb_m: float = 0.0) -> None:
        """Make the trip's segments."""
        trip = self.trip
        if trip is None or not trip.cuts:
            self.trip = None
            return
        ignored = self.target_ids if self.passes else [name for name, _, _ in standing_boxes(self.scene)]
        segments, self.pose = trip.drives(self.network, self.scene, self.robot, rests=rests, kerb_m=kerb_m, ignored=ignored)
        self.segments += segments
        self.v_mps = 0.0 if rests else self.cruise_mps
        self.trip = None

    @property
    def soonest_m(self) -> float:
        """Along the trip, where the car can be at rest at the earliest, comfortably."""
        return self._rest_after(REST_MPS2)

    @property
    def hardest_m(self) -> float:
        """Along the trip, where it can be at rest at the very earliest."""
        return self._rest_after(HARDEST_MPS2)

    def _rest_after(self, brake_mps2: float) -> float:
        trip = self.under_way()
        v = self.v_mps if not trip.cuts else self.cruise_mps
        if trip.cuts and self.v_mps < self.cruise_mps:
            v = min(v, math.sqrt(self.v_mps**2 + 2 * self.robot.limits.accel_mps2 * trip.length_m))
        return trip.length_m + v * v / (2 * brake_mps2) + LATE_S * v

    def end_m(self, way: Way) -> float:
        """Where base_link stands when the car has come to the end of a way that ends with its road."""
        return way.length_m - END_M - self.robot.front_m

    def box_of(self, target: GroundedTarget) -> np.ndarray:
        """(5,) what a target covers: the thing seen, the landmark by its kind, or the point."""
        seen = self.scene.find(target.object_id) if target.object_id else None
        if isinstance(seen, Obstacle):
            return np.array([seen.x_m, seen.y_m, seen.yaw_rad, seen.half_x_m, seen.half_y_m])
        if isinstance(seen, Mover):
            half_x, half_y = (seen.half_x_m, seen.half_y_m) if seen.half_x_m > 0 else (seen.radius_m, seen.radius_m)
            return np.array([seen.x_m, seen.y_m, seen.yaw_rad, half_x, half_y])
        kind = next((p.kind for p in self.world_map.places
                     if p.kind and math.hypot(p.x_m - target.x_m, p.y_m - target.y_m) < 0.5), "")
        if target.kind == "place" and kind:
            width, depth, _ = KINDS[kind].sizes["medium"]
            return np.array([target.x_m, target.y_m, target.yaw_rad or 0.0, depth / 2, width / 2])
        return np.array([target.x_m, target.y_m, 0.0, 0.05, 0.05])

    def alternatives(self, target: GroundedTarget) -> list[GroundedTarget]:
        """The target, or, of a landmark that the map has several of, all of them."""
        if target.kind != "place":
            return [target]
        named = next((p for p in self.world_map.places if math.hypot(p.x_m - target.x_m, p.y_m - target.y_m) < 0.5), None)
        if named is None or not named.kind or named.id != named.kind:
            return [target]
        return [GroundedTarget(target.label, p.x_m, p.y_m, "place", p.yaw_rad)
                for p in self.world_map.places if p.kind == named.kind]

    @property
    def closures(self) -> Closures:
        """Where the lanes are closed to the car. A zone that it stands in already it may leave."""
        half_m = self.robot.length_m / 2, self.robot.width_m / 2
        rules = self.world_map.rules.beyond(self.scene.robot.pose, half_m, self.robot.center_x_m)
        return closures_of(self.network.road, rules, self.robot)

    def passing(self, target: GroundedTarget, from_m: float, *, closed: Closures | None = None) -> Passing:
        """The lanes that lead past a target, where along the trip that is, and which it is where there are several.

        Straight on if the way comes by it within sight of its front, at from_m or later; else by the shortest way there.

        Args:
            closed: What the lanes lead round; the closed roads when left out.

        Raises:
            ProgramError: "behind" where no way leads there, "keep_out" where all that do are closed.
        """
        closed = self.closures if closed is None else closed
        way = self.way()
        begin = self.under_way().length_m
        straight = [(along, t) for t in self.alternatives(target)
                    if (along := self._along_of(way, t)) is not None and along >= from_m]
        free = [found for found in straight if closed.along(way, begin, found[0]) is None]
        if free:
            along, chosen = min(free, key=lambda found: found[0])
            return [s.lane for s in way.lanes], along, chosen
        best = self._round_to(target, from_m, closed)
        if best is not None:
            return best
        # what is it that closes the way there?
        if straight:
            zone = closed.along(way, begin, min(along for along, _ in straight))
        elif (other := self._round_to(target, from_m, OPEN)) is not None:
            zone = closed.along(self.network.way(other[0], self.under_way().start.along_m), begin, other[1])
        else:
            zone = None
        if zone is not None:
            raise keep_out(zone, f"every way to ({target.x_m:.1f}, {target.y_m:.1f}) leads")
        raise ProgramError("behind", f"no way leads past ({target.x_m:.1f}, {target.y_m:.1f})")

    def _round_to(self, target: GroundedTarget, from_m: float, closed: Closures) -> Passing | None:
        """As `passing`, by the shortest way from where the trip ends as yet; None where there is none."""
        trip, way, best = self.under_way(), self.way(), None
        for t in self.alternatives(target):
            at = way.lane_at(trip.length_m)
            try:
                route = self.network.route_to(at, t.x_m, t.y_m, facing_rad=t.yaw_rad, closed=closed)
            except RoadError:
                continue
            along = trip.length_m + route.along_m
            if along >= from_m and (best is None or along < best[1]):
                before = [s.lane for s in trip.way(self.network, max(trip.length_m, 0.1)).lanes]
                lanes = [s.lane for s in route.way.lanes]
                joined = before[:-1] if before[-1] == lanes[0] else before
                best = [*joined, *lanes], along, t
        return best

    def _along_of(self, way: Way, target: GroundedTarget) -> float | None:
        """Where a way comes by a target, None where it does not."""
        along, _ = way.nearest(target.x_m, target.y_m)
        x, y, _ = way.at(along)
        away = math.hypot(target.x_m - x, target.y_m - y)
        begin, end, _, _ = on_way(way, self.box_of(target))
        if away > BESIDE_M or along >= way.length_m - 0.01 or along < 0.01 or (end - begin) > 20.0:
            return None
        if target.yaw_rad is not None and target.kind == "place":
            facing = math.atan2(y - target.y_m, x - target.x_m) - target.yaw_rad
            if abs(math.remainder(facing, 2 * math.pi)) > FACING_RAD:
                return None
        return along
