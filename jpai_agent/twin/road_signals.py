"""The lights of the rollouts: what they may do after what was seen of them, and what the controllers read of them, late."""

from __future__ import annotations

import math

import numpy as np

from jpai_agent.twin.road_config import LightSpread, PerceptionSpread
from jpai_agent.world.road import LightHead, RoadMap
from jpai_agent.world.scene import LIGHT_STATES, SeenLight

UNKNOWN, RED, YELLOW, GREEN = (np.int8(LIGHT_STATES.index(state)) for state in ("unknown", "red", "yellow", "green"))
# beyond this angle from where its lamps shine a head cannot be read, nor beyond this one from the car's heading
SHINES_RAD, SEES_RAD = math.radians(60.0), math.radians(45.0)
# what was read is held so long when the head is out of sight
HELD_S = 1.0


class Signals:
    """The lights of a map in N rollouts over T ticks. Heads on one road through a crossing show the same, the crossing road the
    opposite; row 0 goes on as it was seen for a middling time.

    Attributes:
        ids: (L,) the heads; at: (L, 2), yaw: (L,) where they are and shine to.
        states: (T, N, L) int8 indices into LIGHT_STATES, the truth, never unknown.
    """

    def __init__(self, road: RoadMap, seen: tuple[SeenLight, ...], spread: LightSpread, perception: PerceptionSpread, *,
                 rollouts: int, ticks: int, tick_s: float, rng: np.random.Generator) -> None:
        self.ids = tuple(sorted(road.lights))
        self._heads = [road.lights[head] for head in self.ids]
        self._perception, self._tick_s = perception, tick_s
        self.states = np.full((ticks, rollouts, len(self.ids)), RED, dtype=np.int8)
        known = {light.id: light.state for light in seen if light.state != "unknown"}
        clock = np.arange(ticks) * tick_s
        for crossing in sorted({head.crossing for head in self._heads}):
            for n in range(rollouts):
                for axis, states in zip((0, 1), self._cycle(crossing, known, clock, spread, rng, n == 0), strict=True):
                    for column, head in enumerate(self._heads):
                        if head.crossing == crossing and _axis(head) == axis:
                            self.states[:, n, column] = states
        late = rng.uniform(*perception.light_delay_s, rollouts)
        late[0] = sum(perception.light_delay_s) / 2
        self._late = np.round(late / tick_s).astype(int)
        begin = [LIGHT_STATES.index(known.get(head, "unknown")) for head in self.ids]
        self._held = np.tile(np.array(begin, dtype=np.int8), (rollouts, 1))
        self._held_s = np.zeros(self._held.shape)
        self.at = np.array([[h.x_m, h.y_m] for h in self._heads]).reshape(-1, 2)
        self.yaw = np.array([h.yaw_rad for h in self._heads])

    def _cycle(self, crossing: str, known: dict[str, str], clock: np.ndarray, spread: LightSpread, rng: np.random.Generator,
               middling: bool) -> tuple[np.ndarray, np.ndarray]:
        """The states (T,) of both roads through a crossing: the one that a light was seen of leads, the other gives way to it."""
        own = [h for h in self._heads if h.crossing == crossing and h.id in known]
        at = [{known[h.id] for h in own if _axis(h) == axis} for axis in (0, 1)]
        leads = 0 if at[0] or not at[1] else 1
        state = min(at[leads]) if at[leads] else ("red" if middling else str(rng.choice(("red", "green"))))

        def lasts(limits: tuple[float, float]) -> float:
            return sum(limits) / 2 if middling else float(rng.uniform(*limits))

        leader = np.full(len(clock), RED, dtype=np.int8)
        other = leader.copy()
        now = 0.0
        left = {"green": spread.green_left_s, "yellow": (0.0, spread.yellow_s), "red": spread.red_left_s}[state]
        duration = lasts(left)
        while now < clock[-1] + 1e-9:
            end = now + duration
            during = (clock >= now) & (clock < end)
            if state == "red":
                # the other road has green and yellow in between, where that is long enough
                yellow = end - spread.all_red_s - spread.yellow_s
                begins = now + (spread.all_red_s if now > 0.0 else 0.0)
                other[(clock >= begins) & (clock < yellow)] = GREEN
                other[(clock >= max(yellow, begins)) & (clock < end - spread.all_red_s)] = YELLOW
            leader[during] = {"green": GREEN, "yellow": YELLOW, "red": RED}[state]
            now, state = end, {"green": "yellow", "yellow": "red", "red": "green"}[state]
            duration = spread.yellow_s if state == "yellow" else lasts(spread.green_s if state == "green" else spread.red_s)
        return (leader, other) if leads == 0 else (other, leader)

    def column_of(self, crossing: str, yaw_rad: float) -> int | None:
        """The head that rules the road through a crossing which runs in a direction; None where there is none."""
        axis = 0 if abs(math.sin(yaw_rad)) > math.sqrt(0.5) else 1
        return next((i for i, head in enumerate(self._heads) if head.crossing == crossing and _axis(head) == axis), None)

    def told(self, tick: int, poses: np.ndarray) -> np.ndarray:
        """(N, L) what the controllers of cars at poses (N, 3) have read by now; unknown what they cannot see."""
        if not self.ids:
            return np.zeros((len(poses), 0), dtype=np.int8)
        rows = np.arange(len(poses))
        read = self.states[np.maximum(tick - self._late, 0), rows]
        offset = self.at - poses[:, None, :2]
        distance = np.hypot(offset[..., 0], offset[..., 1])
        bearing = np.arctan2(offset[..., 1], offset[..., 0])
        visible = ((distance <= self._perception.light_within_m) & (np.cos(bearing - poses[:, 2:]) > math.cos(SEES_RAD))
                   & (np.cos(bearing + math.pi - self.yaw) > math.cos(SHINES_RAD)))
        self._held_s = np.where(visible, 0.0, self._held_s + self._tick_s)
        self._held = np.where(visible, read, np.where(self._held_s > HELD_S, UNKNOWN, self._held)).astype(np.int8)
        return self._held


def _axis(head: LightHead) -> int:
    """0 for heads of north-south traffic, 1 for those of east-west traffic."""
    return 0 if head.approach in ("north", "south") else 1
