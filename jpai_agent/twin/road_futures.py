"""What other road users may do in the rollouts, drawn before they set out: ways of vehicles and cyclists, walks of people."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from jpai_agent.control.road.routes import LanePosition, Network, Way
from jpai_agent.twin.perturb import normal, quiet_first
from jpai_agent.twin.road_config import RoadRehearsalConfig, VehicleSpread
from jpai_agent.twin.road_signals import RED, Signals
from jpai_agent.world.road import Crosswalk
from jpai_agent.world.scene import Mover

VEHICLE, CYCLIST, PERSON = 0, 1, 2
# shorter boxes are cyclists, and so is what is round and faster than anyone runs through a town
SHORTEST_VEHICLE_M, FASTEST_WALK_MPS = 2.4, 3.0
# farther left of its lane's middle a vehicle is not on the road, and people are off the carriageway
BESIDE_ROAD_M, PAVEMENT_M = 3.2, 2.2
WAY_POINT_M = 0.5
# ways are made for at most so far; beyond, they go straight on
LONGEST_WAY_M = 300.0
TURN_MPS2, SLOWS_MPS2 = 2.0, 2.5
NEVER_S = 1e6


def kind_of(mover: Mover) -> int:
    """VEHICLE, CYCLIST or PERSON, by its shape and speed."""
    if mover.half_x_m > 0.0:
        return VEHICLE if 2 * max(mover.half_x_m, mover.half_y_m) >= SHORTEST_VEHICLE_M else CYCLIST
    return CYCLIST if math.hypot(mover.vx_mps, mover.vy_mps) > FASTEST_WALK_MPS else PERSON


@dataclass
class Ways:
    """All ways W that are taken, as tables: P points WAY_POINT_M apart, padded by going straight on, and what lies along them.

    Attributes:
        points: (W, P, 3) x, y, yaw. most_mps: (W, P) what its turns allow. length_m: (W,).
        lights_m: (W, E) where light lines are, inf beyond the last; light_columns: (W, E) of `Signals`.
        gives_m: (W, G) where way is given: stop signs and right turns, inf beyond the last. signs: (W, G) whether it is a sign.
        centres: (W, G, 2) of the crossings there.
    """

    points: np.ndarray
    most_mps: np.ndarray
    length_m: np.ndarray
    lights_m: np.ndarray
    light_columns: np.ndarray
    gives_m: np.ndarray
    signs: np.ndarray
    centres: np.ndarray


@dataclass
class Futures:
    """What M movers in N rollouts set out to do; row 0: each goes on as it was seen.

    Attributes:
        kinds: (M,). way: (N, M) index into ways, -1 for who goes straight. ways: see there.
        offset_m, yaw_off_rad: (N, M) from the way at the start.
        xy: (N, M, 2) where they are; heading: (N, M) of who goes straight.
        then_heading: (N, M) taken from turn_s (N, M) on.
        pace_mps: (N, M) how fast they want to go, begin_s: (N, M) from when on. start_mps: (N, M) how fast they are.
        half_m: (N, M, 2) true half extents, radii of round ones.
    """

    kinds: np.ndarray
    way: np.ndarray
    ways: Ways
    offset_m: np.ndarray
    yaw_off_rad: np.ndarray
    xy: np.ndarray
    heading: np.ndarray
    then_heading: np.ndarray
    turn_s: np.ndarray
    pace_mps: np.ndarray
    begin_s: np.ndarray
    start_mps: np.ndarray
    half_m: np.ndarray


def draw_futures(movers: tuple[Mover, ...], network: Network, signals: Signals, config: RoadRehearsalConfig, *, rollouts: int,
                 tick_s: float, delay_s: np.ndarray, rng: np.random.Generator) -> Futures:
    """Draw them. delay_s: (N,) how long ago movers were where the scene says."""
    n, m = rollouts, len(movers)
    kinds = np.array([kind_of(mover) for mover in movers], dtype=int)
    seen = config.perception
    xy = np.array([[o.x_m, o.y_m] for o in movers]).reshape(1, m, 2) + seen.mover_sigma_m * normal(rng, (n, m, 2)) * 0.7
    velocity = np.array([[o.vx_mps, o.vy_mps] for o in movers]).reshape(m, 2)
    speed = np.hypot(velocity[:, 0], velocity[:, 1])
    yaw = np.array([o.yaw_rad for o in movers])
    course = np.where(speed > 0.5, np.arctan2(velocity[:, 1], velocity[:, 0]), yaw)
    half = np.array([[o.half_x_m, o.half_y_m] if o.half_x_m > 0.0 else [o.radius_m, o.radius_m] for o in movers]).reshape(1, m, 2)
    half = np.maximum(half + seen.mover_size_sigma_m * normal(rng, (n, m, 2)) * (half > 0.5), 0.1)

    vehicles, cyclists, people = config.vehicles, config.cyclists, config.people
    spread = np.choose(kinds, (vehicles.speed_sigma, cyclists.speed_sigma, people.speed_sigma)) if m else np.zeros(0)
    stands = speed < (np.where(kinds == PERSON, people.standing_mps, vehicles.standing_mps) if m else 0.0)
    pace = speed * (1.0 + spread * normal(rng, (n, m)))
    start_mps = np.where(stands, 0.0, pace)
    begin = np.where(stands, NEVER_S, 0.0) + np.zeros((n, m))
    heading = course + np.zeros((n, m))
    drawn = Futures(kinds, np.full((n, m), -1), _tables([], network, signals), np.zeros((n, m)), np.zeros((n, m)), xy, heading,
                    heading.copy(), np.full((n, m), NEVER_S), pace, begin, start_mps, half)
    ways: dict[tuple[int, ...], int] = {}
    made: list[Way] = []
    for column, mover in enumerate(movers):
        if kinds[column] == PERSON:
            _walk(drawn, column, mover, bool(stands[column]), network, signals, config, tick_s, rng)
        else:
            _ride(drawn, column, bool(stands[column]), network, config, rng, ways, made)
    drawn.ways = _tables(made, network, signals)
    # where they truly are by now
    moved = start_mps * delay_s[:, None]
    drawn.xy = drawn.xy + moved[..., None] * np.stack([np.cos(drawn.heading), np.sin(drawn.heading)], axis=-1)
    return drawn


def _ride(drawn: Futures, column: int, stands: bool, network: Network, config: RoadRehearsalConfig, rng: np.random.Generator,
          ways: dict[tuple[int, ...], int], made: list[Way]) -> None:
    """A vehicle or cyclist: along its lane and on from there, or straight on where it is on none."""
    n, spread = len(drawn.way), config.vehicles
    x, y = drawn.xy[0, column]
    position = network.locate(np.array([x, y, drawn.heading[0, column]]))
    rides = drawn.kinds[column] == CYCLIST
    if stands:
        chance, starts = ((config.cyclists.start_probability, config.cyclists.start_mps) if rides
                          else (spread.start_probability, spread.start_mps))
        off = quiet_first(rng.random(n) < chance)
        begin = rng.uniform(*spread.start_after_s, n)
        if not rides and position is not None and _queues(position, network):
            # it waits at a light, which will tell
            off, begin = quiet_first(np.ones(n, dtype=bool)), rng.uniform(0.0, sum(spread.start_delay_s), n)
        drawn.begin_s[:, column] = np.where(off, begin, NEVER_S)
        drawn.pace_mps[:, column] = rng.uniform(*starts, n)
    if position is None or abs(position.offset_m) > BESIDE_ROAD_M or abs(position.heading_error_rad) > math.radians(50.0):
        return
    for row in range(n):
        lanes = _lanes_on(position, network, spread, None if row == 0 else rng)
        key = (column, *lanes)
        if key not in ways:
            ways[key] = len(made)
            made.append(network.way(lanes, position.along_m, LONGEST_WAY_M))
        drawn.way[row, column] = ways[key]
    begin = made[int(drawn.way[0, column])].at(0.0)
    left = np.array([-math.sin(begin[2]), math.cos(begin[2])])
    drawn.offset_m[:, column] = (drawn.xy[:, column] - begin[:2]) @ left
    drawn.yaw_off_rad[:, column] = position.heading_error_rad
    # along the way they are `begin` by the part of the drawn error that lies along it
    drawn.xy[:, column] = begin[:2] + drawn.offset_m[:, column, None] * left


def _queues(position: LanePosition, network: Network) -> bool:
    """Whether a light's line lies not far ahead of a place on a lane."""
    return any(line.kind == "light" and line.lane == position.lane and 0.0 <= line.along_m - position.along_m <= 20.0
               for line in network.road.stop_lines)


def _lanes_on(position: LanePosition, network: Network, spread: VehicleSpread, rng: np.random.Generator | None) -> list[int]:
    """Lanes from a place on: at each crossing one of its ways, straight on where rng is None."""
    shares = {"straight": spread.straight_share, "left": spread.left_share}
    shares["right"] = max(0.0, 1.0 - sum(shares.values()))
    lanes, length, lane_of = [position.lane], network.length_m(position.lane) - position.along_m, network.road.lanes
    while length < LONGEST_WAY_M and (following := lane_of[lanes[-1]].following):
        weights = np.array([shares.get(lane_of[after].turn, 1.0) for after in following])
        if rng is None or len(following) == 1 or weights.sum() == 0.0:
            lanes.append(following[int(np.argmax(weights))])
        else:
            lanes.append(following[int(rng.choice(len(following), p=weights / weights.sum()))])
        length += network.length_m(lanes[-1])
    return lanes


def _walk(drawn: Futures, column: int, mover: Mover, stands: bool, network: Network, signals: Signals,
          config: RoadRehearsalConfig, tick_s: float, rng: np.random.Generator) -> None:
    """A person: along the kerb, across the road, or standing and perhaps setting out, most likely over a crosswalk."""
    n, people = len(drawn.way), config.people
    at = np.array([mover.x_m, mover.y_m])
    lane_yaw, beside_m, to_road = _beside(at, network)
    if stands:
        walk = min(network.road.crosswalks, key=lambda w: _near(w, at), default=None)
        walk = walk if walk is not None and _near(walk, at) <= people.crosswalk_m else None
        begin = rng.uniform(*people.start_after_s, n)
        drawn.pace_mps[:, column] = rng.uniform(*people.start_mps, n)
        if walk is None:
            starts = quiet_first(rng.random(n) < people.start_probability)
            drawn.heading[:, column] = rng.uniform(-math.pi, math.pi, n)
        else:
            starts = quiet_first(rng.random(n) < people.cross_probability)
            drawn.heading[:, column] = _across(walk, at) + math.radians(people.heading_sigma_deg / 2) * normal(rng, (n,))
            begin = _when_cars_have_red(walk, begin, signals, tick_s)
        drawn.begin_s[:, column] = np.where(starts, begin, NEVER_S)
    else:
        off = math.remainder(float(drawn.heading[0, column]) - lane_yaw, math.pi)
        if beside_m > PAVEMENT_M and abs(off) < math.radians(people.along_deg):
            # who walks along a kerb keeps to it, but for some
            drawn.heading[:, column] -= off
            drawn.heading[0, column] += off
            steps = quiet_first(rng.random(n) < people.steps_out_probability)
            drawn.turn_s[:, column] = np.where(steps, rng.uniform(*people.start_after_s, n), NEVER_S)
        else:
            drawn.heading[:, column] += math.radians(people.heading_sigma_deg) * normal(rng, (n,))
    drawn.then_heading[:, column] = to_road


def _beside(at: np.ndarray, network: Network) -> tuple[float, float, float]:
    """Of the nearest lane outside of crossings its heading, how far off it is, and the direction to it."""
    best = (0.0, math.inf, 0.0)
    for lane in network.road.lanes.values():
        if lane.crossing is None:
            line = network.line(lane.id)
            x, y, yaw = line.at(line.nearest(float(at[0]), float(at[1]))[0])
            away = math.hypot(x - at[0], y - at[1])
            if away < best[1]:
                best = (float(yaw), away, math.atan2(y - at[1], x - at[0]))
    return best


def _near(walk: Crosswalk, at: np.ndarray) -> float:
    """How far a point is from a crosswalk."""
    offset = at - [walk.x_m, walk.y_m]
    cos, sin = math.cos(walk.yaw_rad), math.sin(walk.yaw_rad)
    along, across = abs(cos * offset[0] + sin * offset[1]), abs(cos * offset[1] - sin * offset[0])
    return math.hypot(max(along - walk.half_along_m, 0.0), max(across - walk.half_across_m, 0.0))


def _across(walk: Crosswalk, at: np.ndarray) -> float:
    """Heading over a crosswalk from the side that a point is on."""
    left = np.array([-math.sin(walk.yaw_rad), math.cos(walk.yaw_rad)])
    return walk.yaw_rad + (-math.pi / 2 if (at - [walk.x_m, walk.y_m]) @ left > 0.0 else math.pi / 2)


def _when_cars_have_red(walk: Crosswalk, begin_s: np.ndarray, signals: Signals, tick_s: float) -> np.ndarray:
    """(N,) the first times from begin_s (N,) on at which the road under a crosswalk has red; begin_s where no light rules it."""
    column = signals.column_of(walk.crossing, walk.yaw_rad)
    if column is None:
        return begin_s
    red = signals.states[:, :, column] == RED
    later = np.arange(len(red))[:, None] * tick_s >= begin_s
    first = np.argmax(red & later, axis=0)
    return np.where((red & later).any(axis=0), np.maximum(begin_s, first * tick_s), NEVER_S)


def _tables(ways: list[Way], network: Network, signals: Signals) -> Ways:
    longest = max((way.length_m for way in ways), default=0.0)
    at = np.arange(math.ceil(longest / WAY_POINT_M) + 2) * WAY_POINT_M
    points = np.array([way.at(at) for way in ways]).reshape(-1, len(at), 3)
    curvature = np.abs(np.diff(points[..., 2], axis=1, append=points[:, -1:, 2])) / WAY_POINT_M
    most = np.sqrt(TURN_MPS2 / np.maximum(curvature, 1e-3))
    for i in range(len(at) - 2, -1, -1):
        most[:, i] = np.minimum(most[:, i], np.sqrt(most[:, i + 1] ** 2 + 2 * SLOWS_MPS2 * WAY_POINT_M))
    columns = {head: column for column, head in enumerate(signals.ids)}
    lights = [[(mark.from_m, columns[mark.id]) for mark in way.marks if mark.kind == "light"] for way in ways]
    gives = [_gives_way(way) for way in ways]
    e, g = max((len(own) for own in lights), default=0), max((len(own) for own in gives), default=0)
    lights_m, light_columns = np.full((len(ways), e), np.inf), np.zeros((len(ways), e), dtype=int)
    gives_m, signs, centres = np.full((len(ways), g), np.inf), np.zeros((len(ways), g), dtype=bool), np.zeros((len(ways), g, 2))
    for row, (own_lights, own_gives) in enumerate(zip(lights, gives, strict=True)):
        for i, (at_m, column) in enumerate(own_lights):
            lights_m[row, i], light_columns[row, i] = at_m, column
        for i, (at_m, is_sign, centre) in enumerate(own_gives):
            gives_m[row, i], signs[row, i], centres[row, i] = at_m, is_sign, centre
    return Ways(points, most, np.array([way.length_m for way in ways]), lights_m, light_columns, gives_m, signs, centres)


def _gives_way(way: Way) -> list[tuple[float, bool, tuple[float, float]]]:
    """Where a way gives way: how far along, whether at a stop sign (else before a right turn), and the crossing's centre."""
    signs = [mark.from_m for mark in way.marks if mark.kind == "sign"]
    found = []
    for ahead in way.crossings:
        at_m = next((at for at in signs if abs(at - ahead.entry_m) < 3.0), None)
        if ahead.entry_m > 0.0 and (at_m is not None or ahead.turn == "right"):
            centre = ahead.crossing.x_m, ahead.crossing.y_m
            found.append((ahead.entry_m if at_m is None else at_m, at_m is not None, centre))
    return found
