"""Has the street changed so that what was rehearsed of a car's program no longer holds?

What stands counts where it is news near the corridor that the car comes to soon, and in the slot that it is to park in. Who
moves counts when he is new or has left his predicted set, and comes into the corridor when the car does. What others do within
that is for the controllers, which were rehearsed against it; so are lights.
"""

from __future__ import annotations

import math

import numpy as np

from jpai_agent.control.road.parking import slot_taken
from jpai_agent.control.road.routes import LanePosition, Network, network_of
from jpai_agent.twin.gaps import outline, points_to_box, to_polyline
from jpai_agent.twin.road_futures import BESIDE_ROAD_M, PERSON, VEHICLE, kind_of
from jpai_agent.world.road import RoadMap, Slot
from jpai_agent.world.robot import RobotSpec
from jpai_agent.world.scene import Mover, Obstacle, Scene

CORRIDOR_M = 1.0
# what is seen afar is seen less well: news must be this much off what was known, more per metre of distance
MOVED_M, MOVED_PER_M = 0.3, 0.015
SPACING_M = 0.2
# corridor that counts: what the car drives in so long, and needs to stop at this braking, and a bit
SOON_S, STOPS_MPS2, AND_M = 3.0, 3.0, 8.0
# predicted set: as far as such an acceleration takes it, this much behind, beside its lane, beside its course, and per second
ACCEL_MPS2, BACK_M, ASIDE_M, SLACK_M = 2.0, 1.0, 1.2, 0.5
STRAY_RAD = math.radians(30.0)
# one that stands may shift so far
SHIFT_M, STANDS_MPS = 0.8, 0.5
# how far ahead others are looked at, how finely, and the gap to them that is too small
AHEAD_S, STEP_S, NEAR_M = 4.0, 0.5, 0.6
# the car is at a place this much earlier or later than at its present speed
EITHER_S = 1.5
SAME_RAD = math.radians(50.0)
# how hard the car may have to brake for who goes ahead, which its controllers see to
LEAD_MPS2 = 4.0


def street_changed(old_scene: Scene, new_scene: Scene, path: np.ndarray, robot: RobotSpec, road: RoadMap) -> str | None:
    """See `changes.needs_rehearsal`. path: (P, 2) way still to go by base_link, P of 1 or more."""
    speed = abs(new_scene.robot.v_mps)
    corridor = _first(path, new_scene.robot.pose[:2], speed * SOON_S + speed**2 / (2 * STOPS_MPS2) + AND_M + robot.front_m)
    half_m = robot.width_m / 2
    here = new_scene.robot.pose[:2]
    for thing in new_scene.obstacles:
        gap_m = _news(thing, old_scene, corridor, CORRIDOR_M + half_m, here)
        if gap_m is not None:
            return f"obstacle {thing.id} appeared or moved {max(gap_m - half_m, 0.0):.1f} m from the corridor"
    for slot in _parks_in(path, road):
        if slot_taken(slot, new_scene) and not slot_taken(slot, old_scene):
            return f"slot {slot.id} is seen to be taken"
    network = network_of(road)
    for mover in new_scene.movers:
        before = _before(mover, old_scene)
        if before is not None and _foreseen(mover, before, max(new_scene.stamp_s - old_scene.stamp_s, 0.0), network):
            continue
        if _comes(mover, corridor, new_scene, robot, network):
            return f"mover {mover.id} " + ("appeared and comes into the corridor" if before is None else "left its predicted set")
    return None


def _parks_in(path: np.ndarray, road: RoadMap) -> list[Slot]:
    """The slot that a path ends in."""
    slots = [slot for park in road.car_parks for slot in park.slots]
    boxes = np.array([[s.x_m, s.y_m, s.yaw_rad, s.length_m / 2, s.width_m / 2] for s in slots]).reshape(-1, 5)
    return [slot for slot, gap in zip(slots, points_to_box(path[-1:], boxes), strict=True) if gap <= 0.0]


def _first(path: np.ndarray, here: np.ndarray, length_m: float) -> np.ndarray:
    """The first length_m of a path from the place on it that is nearest to here."""
    path = path[int(np.argmin(np.linalg.norm(path - here, axis=1))):]
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    return path[: max(int(np.searchsorted(along, length_m)) + 1, 1)]


def _box(thing: Obstacle | Mover) -> np.ndarray:
    return np.array([thing.x_m, thing.y_m, thing.yaw_rad, thing.half_x_m, thing.half_y_m])


def _known_gap(points: np.ndarray, scene: Scene) -> np.ndarray:
    """(P,) gap of points (P, 2) to the nearest thing of the scene."""
    gaps = [points_to_box(points, _box(o)) for o in scene.obstacles]
    for m in scene.movers:
        round_gap = np.hypot(points[:, 0] - m.x_m, points[:, 1] - m.y_m) - m.radius_m
        gaps.append(points_to_box(points, _box(m)) if m.half_x_m > 0.0 else round_gap)
    return np.minimum.reduce(gaps) if gaps else np.full(len(points), np.inf)


def _news(thing: Obstacle, old_scene: Scene, corridor: np.ndarray, reach_m: float, here: np.ndarray) -> float | None:
    """Distance from the corridor of the nearest point of the thing that was not known; None when there is no such point."""
    points = outline(_box(thing)[None], SPACING_M)
    distance, nearest = to_polyline(points, corridor)
    moved_m = MOVED_M + MOVED_PER_M * np.hypot(*(points - here).T)
    news = (distance < reach_m) & (_known_gap(points, old_scene) > moved_m)
    if news.any() and old_scene.obstacles:
        # what was hidden behind a known thing, as the corridor sees it, changes nothing
        shares = np.linspace(0.0, 1.0, 8)
        sight = points[news, None] + shares[:, None] * (nearest[news, None] - points[news, None])
        boxes = np.array([_box(o) for o in old_scene.obstacles])
        news[np.flatnonzero(news)[(points_to_box(sight[:, :, None], boxes) < SPACING_M / 4).any(axis=(1, 2))]] = False
    return float(distance[news].min()) if news.any() else None


def _before(mover: Mover, old_scene: Scene) -> Mover | None:
    """The same mover as it was; by its name, else the nearest of its kind."""
    before = old_scene.find(mover.id)
    if isinstance(before, Mover):
        return before
    if isinstance(before, Obstacle):
        return Mover(before.id, before.x_m, before.y_m, 0.0, 0.0, math.hypot(before.half_x_m, before.half_y_m), before.height_m,
                     old_scene.stamp_s, before.sigma_m, before.yaw_rad, before.half_x_m, before.half_y_m)
    alike = [m for m in old_scene.movers if kind_of(m) == kind_of(mover)]
    return min(alike, key=lambda m: math.hypot(m.x_m - mover.x_m, m.y_m - mover.y_m), default=None)


def _heading(mover: Mover) -> float:
    return math.atan2(mover.vy_mps, mover.vx_mps) if math.hypot(mover.vx_mps, mover.vy_mps) > STANDS_MPS else mover.yaw_rad


def _located(mover: Mover, network: Network) -> LanePosition | None:
    """The lane that a vehicle or cyclist keeps to."""
    if kind_of(mover) == PERSON:
        return None
    position = network.locate(np.array([mover.x_m, mover.y_m, _heading(mover)]))
    fits = position is not None and abs(position.offset_m) < BESIDE_ROAD_M and abs(position.heading_error_rad) < STRAY_RAD
    return position if fits else None


def _foreseen(mover: Mover, before: Mover, elapsed_s: float, network: Network) -> bool:
    """Whether a mover seen as `before` may be where it is elapsed_s later."""
    speed = math.hypot(before.vx_mps, before.vy_mps)
    slack = SLACK_M + 0.15 * min(speed * elapsed_s, 10.0)
    apart = math.hypot(mover.x_m - before.x_m, mover.y_m - before.y_m)
    if speed < STANDS_MPS and kind_of(mover) != VEHICLE:
        return apart <= SHIFT_M + speed * elapsed_s
    farthest = speed * elapsed_s + 0.5 * ACCEL_MPS2 * elapsed_s**2 + slack
    if apart <= SHIFT_M:
        return True
    if apart > farthest:
        return False
    position = _located(before, network)
    if position is not None:
        # the lanes that it may have come to by now, each as far aside as it was
        reached, length = [position.lane], -position.along_m
        frontier = [(position.lane, length)]
        while frontier:
            lane, so_far = frontier.pop()
            so_far += network.length_m(lane)
            if so_far < farthest:
                reached += (after := [a for a in network.road.lanes[lane].following if a not in reached])
                frontier += [(a, so_far) for a in after]
        aside = min(abs(network.line(lane).nearest(mover.x_m, mover.y_m)[1]) for lane in reached)
        return aside <= abs(position.offset_m) + ASIDE_M + slack / 2
    heading = np.array([math.cos(_heading(before)), math.sin(_heading(before))])
    offset = np.array([mover.x_m - before.x_m, mover.y_m - before.y_m])
    along, across = float(offset @ heading), abs(float(offset @ [-heading[1], heading[0]]))
    return along >= -BACK_M and across <= slack + max(along, 0.0) * math.tan(STRAY_RAD)


def _comes(mover: Mover, corridor: np.ndarray, scene: Scene, robot: RobotSpec, network: Network) -> bool:
    """Whether a mover that keeps its lane or course is in the corridor about when the car is, or goes ahead in it too near."""
    speed, own = math.hypot(mover.vx_mps, mover.vy_mps), abs(scene.robot.v_mps)
    times = np.arange(0.0, AHEAD_S + 1e-9, STEP_S)
    position = _located(mover, network)
    if position is not None and speed > STANDS_MPS:
        ahead = network.ahead(position, (), speed * AHEAD_S + 1.0).at(speed * times, position.offset_m)
    else:
        heading = _heading(mover)
        step = np.stack([mover.vx_mps * times, mover.vy_mps * times, np.zeros_like(times)], axis=1)
        ahead = np.array([mover.x_m, mover.y_m, heading]) + step
    distance, nearest = to_polyline(ahead[:, :2], corridor)
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(corridor, axis=0), axis=1))])
    index = np.argmin(np.linalg.norm(corridor[None] - nearest[:, None], axis=2), axis=1)
    bend = np.diff(corridor, axis=0, append=corridor[-1:] + (corridor[-1:] - corridor[-2:-1] if len(corridor) > 1 else 1.0))
    course = np.arctan2(bend[index, 1], bend[index, 0])
    turned = np.abs(np.remainder(ahead[:, 2] - course + math.pi, 2 * math.pi) - math.pi)
    if mover.half_x_m > 0.0:
        across_m = np.abs(np.sin(turned)) * mover.half_x_m + np.abs(np.cos(turned)) * mover.half_y_m
    else:
        across_m = np.full(len(times), mover.radius_m)
    inside = distance < robot.width_m / 2 + across_m + NEAR_M
    same = (turned < SAME_RAD) & (speed > STANDS_MPS)
    # the nose is there sooner, the tail later
    sooner, later = along[index] - robot.front_m - mover.radius_m, along[index] + robot.rear_m + mover.radius_m
    meets = (sooner <= own * (times + EITHER_S)) & (later >= own * np.maximum(times - EITHER_S, 0.0) - 1.0)
    if bool((inside & meets & ~same).any()):
        return True
    gap = float(along[index[0]] - robot.front_m - max(mover.half_x_m, mover.radius_m))
    onward = speed * math.cos(float(turned[0]))
    needs = own * 0.5 + max(own**2 - max(onward, 0.0) ** 2, 0.0) / (2 * LEAD_MPS2)
    return bool(inside[0] and gap > -robot.length_m and gap < needs)
