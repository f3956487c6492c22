"""Has the scene changed so that what was rehearsed no longer holds? (DESIGN section 8)"""

from __future__ import annotations

import math

import numpy as np

from jpai_agent.twin.gaps import outline, points_to_box, to_polyline
from jpai_agent.twin.road_changes import street_changed
from jpai_agent.twin.verdict import Verdict
from jpai_agent.world.road import RoadMap
from jpai_agent.world.robot import RobotSpec
from jpai_agent.world.scene import Mover, Obstacle, Scene

CORRIDOR_M, MOVED_M = 1.0, 0.2
SPACING_M = 0.1
# predicted set of a mover: it may stand, go on at up to FASTER × its speed, and stray by this angle to either side
FASTER, STRAY_RAD = 1.4, math.radians(35.0)
# slack of the predicted set: tracker noise at first sight
SLACK_M = 0.3
# a standing person may shift about this far; more is a new walk
SHIFT_M = 0.4
# movers matter when they can be at the corridor within this time
SOON_S = 3.0
WALKING_MPS = 0.25


def needs_rehearsal(verdict: Verdict | None, old_scene: Scene, new_scene: Scene, remaining_path: np.ndarray, *,
                    half_width_m: float = 0.25, robot: RobotSpec | None = None, road: RoadMap | None = None) -> str | None:
    """Why what remains of a rehearsed program must be rehearsed again in new_scene; None when the verdict still holds.

    An obstacle counts as new, or as moved, where its outline is more than 0.2 m away from everything that old_scene
    held, within 1 m of the corridor, and not hidden from the corridor by something known: seeing more of a known thing
    changes nothing.

    Args:
        verdict: The verdict under which the program runs; None or one that did not pass always needs a rehearsal.
        old_scene: The scene that was rehearsed. new_scene: the latest belief.
        remaining_path: (P, 2) or (P, 3) way still to go by base_link, map frame, P may be 0 (it stays where it is).
        half_width_m: Half width of the footprint. robot, road: With a car and the map's roads the street's rules hold instead
            (`road_changes`): who keeps his lane is no news, nor are lights.
    """
    if verdict is None or not verdict.passed:
        return "no passed verdict"
    path = np.asarray(remaining_path, dtype=float)[..., :2].reshape(-1, 2)
    if len(path) == 0:
        path = new_scene.robot.pose[None, :2]
    if robot is not None and robot.ackermann is not None and road is not None:
        return street_changed(old_scene, new_scene, path, robot, road)
    reach_m = CORRIDOR_M + half_width_m
    for thing in new_scene.obstacles:
        gap_m = _new_part(thing, old_scene, path, reach_m)
        if gap_m is not None:
            return f"obstacle {thing.id} appeared or moved {max(gap_m - half_width_m, 0.0):.1f} m from the corridor"
    for mover in new_scene.movers:
        if reason := _strayed(mover, old_scene, new_scene.stamp_s - old_scene.stamp_s, path, reach_m):
            return reason
    return None


def _box(thing: Obstacle) -> list[float]:
    return [thing.x_m, thing.y_m, thing.yaw_rad, thing.half_x_m, thing.half_y_m]


def _gap_to_known(points: np.ndarray, scene: Scene) -> np.ndarray:
    """(P,) gap of points (P, 2) to the nearest obstacle or mover of the scene."""
    gaps = [points_to_box(points, np.array(_box(o))) for o in scene.obstacles]
    gaps += [np.hypot(points[:, 0] - m.x_m, points[:, 1] - m.y_m) - m.radius_m for m in scene.movers]
    return np.minimum.reduce(gaps) if gaps else np.full(len(points), np.inf)


def _new_part(thing: Obstacle, old_scene: Scene, path: np.ndarray, reach_m: float) -> float | None:
    """Distance from the path of the nearest point of the thing that is news; None when there is no such point."""
    points = outline(np.array([_box(thing)]), SPACING_M)
    distance, nearest = to_polyline(points, path)
    news = (distance < reach_m) & (_gap_to_known(points, old_scene) > MOVED_M)
    if not news.any():
        return None
    if old_scene.obstacles:
        shares = np.linspace(0.0, 1.0, 1 + math.ceil(reach_m / SPACING_M))
        sight = points[news, None] + shares[:, None] * (nearest[news, None] - points[news, None])
        boxes = np.array([_box(o) for o in old_scene.obstacles])
        hidden = (points_to_box(sight[:, :, None], boxes) < SPACING_M / 2).any(axis=(1, 2))
        news[np.flatnonzero(news)[hidden]] = False
    return float(distance[news].min()) if news.any() else None


def _strayed(mover: Mover, old_scene: Scene, elapsed_s: float, path: np.ndarray, reach_m: float) -> str | None:
    xy = np.array([mover.x_m, mover.y_m])
    speed = math.hypot(mover.vx_mps, mover.vy_mps)
    distance_m = float(to_polyline(xy[None], path)[0][0]) - mover.radius_m
    if distance_m > reach_m + speed * SOON_S:
        return None
    before = old_scene.find(mover.id)
    if before is None:
        before = min(old_scene.movers, key=lambda m: math.hypot(m.x_m - xy[0], m.y_m - xy[1]), default=None)
    if isinstance(before, Mover) and _foreseen(xy, before, max(elapsed_s, 0.0)):
        return None
    # a thing that stood there all along and is now taken for a person is news only when it walks
    if float(_gap_to_known(xy[None], old_scene)[0]) <= 0.0 and speed < WALKING_MPS:
        return None
    if not isinstance(before, Mover):
        return f"mover {mover.id} appeared {max(distance_m, 0.0):.1f} m from the path"
    return f"mover {mover.id} left its predicted set"


def _foreseen(xy: np.ndarray, before: Mover, elapsed_s: float) -> bool:
    """Whether a mover seen as `before` may be at xy (2,) that much later: where it stood, or in the cone ahead."""
    offset = xy - np.array([before.x_m, before.y_m])
    speed = math.hypot(before.vx_mps, before.vy_mps)
    if speed < WALKING_MPS:
        return bool(np.hypot(*offset) <= SHIFT_M + speed * elapsed_s)
    heading = np.array([before.vx_mps, before.vy_mps]) / speed
    along, across = float(offset @ heading), abs(float(offset @ np.array([-heading[1], heading[0]])))
    return (-SLACK_M <= along <= FASTER * speed * elapsed_s + SLACK_M
            and across <= SLACK_M + max(along, 0.0) * math.tan(STRAY_RAD))
