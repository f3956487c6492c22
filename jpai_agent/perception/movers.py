"""Find and follow what moves: lidar clusters at constant velocity that enter what was seen to be free."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

CLUSTER_GAP_M = 0.30
LARGEST_M = 1.0
GATE_M = 0.6
MOVING_MPS = 0.25
NEWS_NEEDED = 3
STROLLED_M, STROLLING_MPS, SMALL_RADIUS_M = 0.45, 0.15, 0.35
FORGET_S = 3.0
TRAIL_SCANS = 20
# gains of the alpha-beta filter at 10 Hz
ALPHA, BETA = 0.5, 0.167


@dataclass(eq=False)
class Track:
    """A cluster followed over time, odom frame.

    Attributes:
        xy, velocity: (2,) metres and m/s. born_xy: where it was first seen.
        moving: It has been seen to enter free space, at speed. news: scans in a row in which it entered free space.
        trail: Where it was in its latest scans, oldest first; whoever clears the memory there empties it.
    """

    xy: np.ndarray
    seen_s: float
    radius_m: float
    velocity: np.ndarray = field(default_factory=lambda: np.zeros(2))
    born_xy: np.ndarray = field(default_factory=lambda: np.zeros(2))
    scans: int = 1
    news: int = 0
    moving: bool = False
    id: str = ""
    trail: deque[np.ndarray] = field(default_factory=lambda: deque(maxlen=TRAIL_SCANS))

    def predict(self, now_s: float) -> np.ndarray:
        """(2,) where it should be, carried on for one second at most."""
        return self.xy + self.velocity * min(max(now_s - self.seen_s, 0.0), 1.0)


def clusters(points: np.ndarray, valid: np.ndarray) -> list[np.ndarray]:
    """Runs of neighbouring beams whose hits lie close together: index arrays into the scan.

    Args:
        points: (n, 2) hits in beam order; valid: (n,) which of them count.
    """
    indices = np.flatnonzero(valid)
    if len(indices) == 0:
        return []
    gap = np.linalg.norm(np.diff(points[indices], axis=0), axis=1)
    breaks = np.flatnonzero((gap > CLUSTER_GAP_M) | (np.diff(indices) > 3)) + 1
    groups = np.split(indices, breaks)
    around = np.linalg.norm(points[indices[0]] - points[indices[-1]]) < CLUSTER_GAP_M
    if len(groups) > 1 and around and indices[0] == 0 and indices[-1] == len(points) - 1:
        groups[0] = np.concatenate([groups.pop(), groups[0]])
    return [group for group in groups if len(group) >= 2]


class MoverTracker:
    """Keeps the tracks. Those that move are reported by `moving`."""

    def __init__(self) -> None:
        self.tracks: list[Track] = []

    def update(self, points: np.ndarray, valid: np.ndarray, entered: np.ndarray, now_s: float) -> None:
        """Take one scan.

        Args:
            points: (n, 2) hits in odom, in beam order; valid: (n,) which of them are hits away from walls.
            entered: (n,) whether the hit lies where the floor was seen to be free.
        """
        blobs = []
        for group in clusters(points, valid):
            xy = points[group]
            spread = np.ptp(xy, axis=0)
            if np.hypot(*spread) <= LARGEST_M:
                blobs.append((xy.mean(axis=0), float(np.hypot(*spread)) / 2, float(entered[group].mean())))
        free_tracks = list(self.tracks)
        for centre, radius_m, novelty in blobs:
            track = min(free_tracks, key=lambda t: float(np.linalg.norm(t.predict(now_s) - centre)), default=None)
            if track is None or np.linalg.norm(track.predict(now_s) - centre) > GATE_M:
                self.tracks.append(Track(centre, now_s, radius_m, born_xy=centre))
                continue
            free_tracks.remove(track)
            self._follow(track, centre, radius_m, novelty, now_s)
        self.tracks = [track for track in self.tracks if now_s - track.seen_s < (FORGET_S if track.moving else 0.5)]

    @staticmethod
    def _follow(track: Track, centre: np.ndarray, radius_m: float, novelty: float, now_s: float) -> None:
        step_s = max(now_s - track.seen_s, 1e-3)
        expected = track.predict(now_s)
        error = centre - expected
        track.velocity = track.velocity + BETA * error / step_s
        track.xy = expected + ALPHA * error
        track.radius_m = max(track.radius_m * 0.9, radius_m)
        track.seen_s = now_s
        track.scans += 1
        track.trail.append(track.xy)
        entering = novelty > 0.5 and np.linalg.norm(track.velocity) > MOVING_MPS
        track.news = track.news + 1 if entering else 0
        gone_m = float(np.linalg.norm(track.xy - track.born_xy))
        # a slow walker fills the cells that it enters before it is told from them; what has gone farther than the
        # seen part of so small a thing can shift has walked
        strolling = gone_m > STROLLED_M and track.radius_m < SMALL_RADIUS_M and np.linalg.norm(track.velocity) > STROLLING_MPS
        if strolling or (track.news >= NEWS_NEEDED and gone_m > 0.2):
            track.moving = True

    def moving(self) -> list[Track]:
        """The tracks that move or have moved."""
        return [track for track in self.tracks if track.moving]
