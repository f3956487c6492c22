"""Find and follow vehicles, bicycles and people in the scans of a lidar with rows, odom frame.

What is followed counts as moving only when mass was displaced: it is where the lidar looked through before, or the place where
it was is looked through now. New parts that come into view, as of parked cars that one drives by, do neither.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

import numpy as np

from jpai_agent.perception.boxes import fit_rect
from jpai_agent.perception.returns import Sight
from jpai_agent.perception.road_user import COAST_S, LARGEST_M, RIDER_M, SMALL_M, WIDEST_M, RoadUser, born

GATE_M, GATE_PER_M = 1.0, 0.02
MOVING_MPS, DISPLACED_M, DISPLACED_PER_M = 0.45, 0.28, 0.012
DISPLACED_SHARE, CONFIRMATIONS, LONE_CONFIRMATIONS = 0.5, 2, 4
FARTHEST_M = 50.0
FASTEST_MPS, LEAST_SCANS, SURE_SPEED = 18.0, 4, 2.0
# farther than this one beam may be all that meets a child
LONE_M = 8.0
# ages of the glimpses that it is compared with
COMPARED_S = ((0.25, 0.75), (0.9, 1.45))
TENTATIVE_S, STOPPED_S = 0.45, 20.0
STANDS_MPS = 0.25


class RoadUsers:
    """Keeps the road users; `moving` are the ones that have been seen to move."""

    def __init__(self) -> None:
        self.tracks: list[RoadUser] = []
        self._sights: deque[Sight] = deque(maxlen=16)

    def moving(self) -> list[RoadUser]:
        """Those that move or have moved."""
        return [track for track in self.tracks if track.moving]

    def seen_free(self, xy: np.ndarray, top_m: float) -> np.ndarray:
        """(N,) whether one of the latest scans looked through points (N, 2) below a height."""
        tops = np.full(len(xy), top_m)
        free = np.zeros(len(xy), dtype=bool)
        for sight in list(self._sights)[-9::4]:
            free |= sight.looked_through(xy, tops)
        return free

    def update(self, xy: np.ndarray, tops_m: np.ndarray, labels: np.ndarray, stands: np.ndarray, sight: Sight,
               hint_at: Callable[[np.ndarray], float | None]) -> list[RoadUser]:
        """Take one scan's points on things.

        Args:
            xy: (M, 2) odom; tops_m: (M,) heights; labels: (M,) of the clusters that they form.
            stands: (M,) which of them lie where something has stood for long.
            sight: What the scan looked through.
            hint_at: Tells the direction of the road at a point (2,), None where it has none.

        Returns:
            Road users that were found to move in this scan.
        """
        now_s = sight.stamp_s
        taken = np.zeros(len(xy), dtype=bool)
        moving = self.moving()
        if moving:
            # of two that pass one another each takes what is nearer to it
            nearest = np.argmin([track.rect(now_s).gaps(xy) for track in moving], axis=0)
            for number, track in enumerate(moving):
                self._follow(track, xy, tops_m, labels, ~stands & (nearest == number), taken, sight)
        rest = np.flatnonzero(~taken & ~stands)
        order = rest[np.argsort(labels[rest], kind="stable")]
        groups = [g for g in np.split(order, np.flatnonzero(np.diff(labels[order])) + 1) if _may_be_one(xy[g], sight.xy)]
        found = []
        for track, group in self._matches(groups, xy, sight):
            track.measure(xy[group], tops_m[group], sight.xy, now_s)
            track.displaced = track.displaced + 1 if self._displaced(track, sight) else 0
            if track.surprised >= 2 and _hardly_seen(track):
                # these are another thing's points
                self.tracks.remove(track)
                self.tracks.append(born(xy[group], tops_m[group], sight.xy, now_s, hint_at(xy[group[0]])))
            elif track.displaced >= (LONE_CONFIRMATIONS if _hardly_seen(track) else CONFIRMATIONS):
                track.moving_s = now_s
                found.append(track)
                whole = labels == labels[group[0]]
                rect = fit_rect(xy[whole], 0.05, None)
                # a pedestrian beside a parked car is not the car
                alone = len(group) > 0.5 * whole.sum() or np.hypot(*np.ptp(xy[group], axis=0)) > SMALL_M + 0.2
                fits = 2 * rect.half_x_m < LARGEST_M and 2 * rect.half_y_m < WIDEST_M
                mine = whole if alone and fits else group
                track.size_up(xy[mine], tops_m[mine], sight.xy)
        for group in groups:
            self.tracks.append(born(xy[group], tops_m[group], sight.xy, now_s, hint_at(xy[group[0]])))
        self._sights.append(sight)
        self._forget(sight)
        return [track for track in found if track in self.tracks]

    @staticmethod
    def _follow(track: RoadUser, xy: np.ndarray, tops_m: np.ndarray, labels: np.ndarray, own: np.ndarray,
                taken: np.ndarray, sight: Sight) -> None:
        """Give a road user that moves the points where it is expected, of those that may be its `own`, and mark them as taken."""
        now_s = sight.stamp_s
        rect = track.rect(now_s)
        away_m = float(np.hypot(rect.x_m - sight.xy[0], rect.y_m - sight.xy[1]))
        # it may have stopped dead since
        way_m = (0.08 + 0.15 * min(now_s - track.seen_s, 1.0)) * track.speed_mps
        margin_m = (0.35 if track.small else 0.45) + 0.012 * away_m + way_m
        open_to = ~taken & own
        # what moves along its length does not come off to the side
        beside_m = margin_m if track.small else 0.25 + 0.012 * away_m
        mine = rect.holds(xy, margin_m, beside_m) & open_to
        if int(mine.sum()) < (1 if track.small and away_m > LONE_M else 2):
            return
        if track.length_m > RIDER_M[0] + 0.5:
            # what hangs together with it and sticks out belongs to it, as long as it stays a vehicle
            whole = np.isin(labels, np.unique(labels[mine])) & open_to
            if rect.holds(xy[whole], 1.2 + margin_m, 0.2 + beside_m).all():
                mine = whole
        # nor are the rest of its points another thing
        taken |= mine | (rect.holds(xy, margin_m + 0.2, beside_m + 0.1) & own)
        track.measure(xy[mine], tops_m[mine], sight.xy, now_s)

    def _matches(self, groups: list[np.ndarray], xy: np.ndarray, sight: Sight) -> list[tuple[RoadUser, np.ndarray]]:
        """Tracks that do not move yet with the groups of points that are theirs, the nearest first; takes these from `groups`."""
        now_s = sight.stamp_s
        tracks = [track for track in self.tracks if not track.moving]
        if not tracks or not groups:
            return []
        middles = np.array([xy[group].mean(axis=0) for group in groups])
        away_m = np.hypot(*(middles - sight.xy).T)
        pairs = []
        for t, track in enumerate(tracks):
            offsets = np.hypot(*(middles - track.at(now_s)).T)
            for g in np.flatnonzero(offsets < track.length_m / 2 + 3.0):
                cost = float(track.rect(now_s).gaps(xy[groups[g]]).mean() + 0.2 * offsets[g] - 0.05 * min(track.scans, 8))
                if cost < GATE_M + GATE_PER_M * away_m[g]:
                    pairs.append((cost, t, int(g)))
        matched: dict[int, int] = {}
        for _, first, second in sorted(pairs):
            if first not in matched and second not in matched.values():
                matched[first] = second
        found = [(tracks[t], groups[g]) for t, g in matched.items()]
        taken = set(matched.values())
        groups[:] = [group for g, group in enumerate(groups) if g not in taken]
        return found

    def _displaced(self, track: RoadUser, sight: Sight) -> bool:
        """Whether the track has left a place that is free now, or has come to one that was free, at speed."""
        speed = track.speed_mps
        if not MOVING_MPS < speed < FASTEST_MPS or track.scans < LEAST_SCANS:
            return False
        ahead = track.velocity / speed
        if speed < SURE_SPEED * math.sqrt(float(ahead @ track.spread[2:, 2:] @ ahead)):
            return False
        now = track.glimpses[-1]
        away_m = float(np.hypot(*(track.xy - sight.xy)))
        least = 1 if track.small else 3
        for least_s, most_s in COMPARED_S:
            then = next((g for g in track.glimpses if least_s <= sight.stamp_s - g.stamp_s <= most_s), None)
            if then is None or min(len(now.xy), len(then.xy)) < least:
                continue
            gone, since_s = track.xy - then.middle, sight.stamp_s - then.stamp_s
            gone_m = float(np.hypot(*gone))
            if away_m > FARTHEST_M or gone_m < max(DISPLACED_M + DISPLACED_PER_M * away_m, 0.35 * since_s):
                continue
            # it has gone as it goes
            if float(gone @ ahead) < 0.8 * gone_m or not 0.4 < speed * since_s / gone_m < 4.0:
                continue
            before = next((s for s in reversed(self._sights) if s.stamp_s <= then.stamp_s + 0.01), None)
            if then.free_in(sight) >= DISPLACED_SHARE or (before is not None and now.free_in(before) >= DISPLACED_SHARE):
                return True
        return False

    def _forget(self, sight: Sight) -> None:
        now_s = sight.stamp_s
        kept: list[RoadUser] = []
        for track in sorted(self.tracks, key=lambda t: (not t.moving, -t.scans)):
            unseen_s = now_s - track.seen_s
            if track.speed_mps > 1.3 * FASTEST_MPS:
                continue
            if track.moving_s is None:
                if unseen_s < TENTATIVE_S:
                    kept.append(track)
                continue
            followed_s = track.seen_s - track.moving_s
            if unseen_s > (STOPPED_S if track.speed_mps < STANDS_MPS else min(COAST_S + 1.0, 0.5 + followed_s)):
                continue
            if unseen_s > 0.25:
                rect = track.rect(now_s)
                spots = np.array([[u, v] for u in (-0.8, -0.4, 0.0, 0.4, 0.8) for v in (-0.6, 0.0, 0.6)])
                spots = np.array([rect.x_m, rect.y_m]) + (spots * [rect.half_x_m, rect.half_y_m]) @ rect.axes
                if sight.looked_through(spots, np.full(len(spots), track.top_m)).mean() > 0.6:
                    continue
            # two of one: the older stays
            if not any(other.moving and other.rect(now_s).holds(track.at(now_s)[None, :], 0.1)[0] for other in kept):
                kept.append(track)
        self.tracks = kept


def _may_be_one(xy: np.ndarray, viewer: np.ndarray) -> bool:
    """Whether points (N, 2) that hang together may be one road user; near the lidar one beam alone is none."""
    if not len(xy) or np.ptp(xy, axis=0).max() > LARGEST_M:
        return False
    return len(xy) > 1 or float(np.hypot(*(xy[0] - viewer))) > LONE_M


def _hardly_seen(track: RoadUser) -> bool:
    """Whether the latest scans met it with less than two beams each."""
    return sum(len(glimpse.xy) for glimpse in list(track.glimpses)[-3:]) < 6
