"""What the car's rehearsal is timed with: drives of a minute and more through the street among a dozen others and parked cars."""

from __future__ import annotations

import math

import numpy as np

from jpai_agent.control import Program
from jpai_agent.control.road.routes import LanePosition, Network, RoadError, Way, network_of
from jpai_agent.control.road.segments import RoadDrive
from jpai_agent.world.map import WorldMap
from jpai_agent.world.robot import RobotSpec
from jpai_agent.world.scene import LIGHT_STATES, Mover, Obstacle, RobotState, Scene, SeenLight

VEHICLES, CYCLISTS, PEOPLE, PARKED, SECONDS = 6, 2, 4, 8, 60.0
# others are so near to the drive's first part
NEAR_M = 90.0


def minute_drive(rng: np.random.Generator, robot: RobotSpec, world_map: WorldMap) -> tuple[Program, Scene]:
    """A drive of at least SECONDS with turns at every crossing, and a scene of VEHICLES, CYCLISTS and PEOPLE under way and PARKED
    vehicles at the kerbs. Raises ValueError for a map without roads.
    """
    if world_map.road is None:
        raise ValueError(f"map {world_map.name} has no roads")
    network = network_of(world_map.road)
    way = _long_way(network, rng, SECONDS * robot.cruise_mps)
    x, y, yaw = (float(v) for v in way.at(0.0))
    points = tuple((float(px), float(py)) for px, py in way.points)
    marks = tuple((m.kind, m.from_m, m.to_m, m.id) for m in way.marks)
    walks = tuple((c.id, c.x_m, c.y_m, c.yaw_rad, c.half_along_m, c.half_across_m) for c in world_map.road.crosswalks)
    program = Program((RoadDrive(0, robot.cruise_mps, points, rests=True, marks=marks),), (x, y, yaw), crosswalks=walks)

    lanes = [lane.id for lane in world_map.road.lanes.values() if lane.crossing is None
             and np.hypot(*(lane.centre - [x, y]).T).min() < NEAR_M]
    movers: list[Mover] = []
    while len(movers) < VEHICLES + CYCLISTS:
        rides = len(movers) >= VEHICLES
        lane = int(rng.choice(lanes))
        at = rng.uniform(2.0, network.length_m(lane) - 2.0)
        px, py, course = (float(v) for v in network.line(lane).at(at, 1.1 if rides else 0.0))
        if math.hypot(px - x, py - y) > 15.0:
            speed, half = (rng.uniform(3.0, 5.0), (0.85, 0.3)) if rides else (rng.uniform(4.0, 8.0), (2.1, 0.85))
            movers.append(Mover(f"rider-{len(movers)}" if rides else f"vehicle-{len(movers)}", px, py, speed * math.cos(course),
                                speed * math.sin(course), math.hypot(*half), 1.5, 0.0, 0.1, course, *half))
    for index in range(PEOPLE):
        lane = int(rng.choice(lanes))
        px, py, course = (float(v) for v in network.line(lane).at(rng.uniform(0.0, network.length_m(lane)), 3.4))
        course += float(rng.choice([0.0, math.pi]))
        speed = rng.uniform(0.8, 1.5)
        movers.append(Mover(f"walker-{index}", px, py, speed * math.cos(course), speed * math.sin(course), 0.3, 1.7, 0.0))
    # at the kerbs of lanes that are not driven, so that no way round them is wanted
    driven = {span.lane for span in way.lanes}
    free = [lane for lane in lanes if lane not in driven] or lanes
    obstacles = []
    for index in range(PARKED):
        lane = int(rng.choice(free))
        px, py, course = (float(v) for v in network.line(lane).at(rng.uniform(10.0, network.length_m(lane) - 10.0), 1.6))
        obstacles.append(Obstacle(f"parked-{index}", px, py, course, 2.1, 0.85, 1.5))
    lights = tuple(SeenLight(head, str(rng.choice(LIGHT_STATES[1:])), 0.0) for head in sorted(world_map.road.lights))[:1]
    return program, Scene("bench", 0.0, RobotState(x, y, yaw, 5.0), tuple(obstacles), tuple(movers), lights)


def _long_way(network: Network, rng: np.random.Generator, length_m: float) -> Way:
    """A way of that length at least, with turns drawn until one stays on the map for so long."""
    starts = [lane.id for lane in network.road.lanes.values() if lane.crossing is None and lane.following]
    while True:
        turns = [str(turn) for turn in rng.choice(["left", "straight", "right"], 8)]
        try:
            way = network.ahead(LanePosition(int(rng.choice(starts)), 5.0), turns, length_m)
        except RoadError:
            continue
        if way.length_m >= length_m - 0.1:
            return way
