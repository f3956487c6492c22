"""What every traffic light shows when, and how the world shows it.

An episode lists approaches with their phases; these run in order from t = 0 and the last one holds. What it does not list:
an approach opposite a listed one shows the same. The crossing road is red whenever the listed road is not, and otherwise
green until 3 s before the listed road's red ends, then yellow; within a red of less than 6 s it stays red. A crossing
of which no approach is listed has its roads take turns for ever: 20 s green, 3 s yellow, and red for as long, beginning at
t = 0 with green for north–south.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import mujoco

from jpai_agent.twin.scenery import OBSTACLE_BIT
from jpai_agent.world.road import LightHead, RoadMap

SHOWN_STATES = ("green", "yellow", "red")  # in the order of the lamps, from the driver's left
GREEN_S, YELLOW_S = 20.0, 3.0
_SHORTEST_TURN_S = 2 * YELLOW_S
_NORTH_SOUTH = ("north", "south")
_LIT = {"green": (0.02, 0.85, 0.34), "yellow": (1.0, 0.56, 0.01), "red": (1.0, 0.06, 0.04)}
_DARK = {"green": (0.02, 0.07, 0.05), "yellow": (0.08, 0.06, 0.02), "red": (0.09, 0.02, 0.02)}
_HOUSING, _STEEL = (0.13, 0.14, 0.14), (0.55, 0.57, 0.58)

Times = tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class LightPlan:
    """Per head the times from which on it shows what, ascending from 0; a head with a period repeats it.

    Attributes:
        times: By head id: ((since_s, state), …). period_s: by head id; heads that hold their last state have none.
    """

    times: Mapping[str, Times]
    period_s: Mapping[str, float]

    @classmethod
    def of_episode(cls, road: RoadMap, lights: Sequence[Mapping[str, Any]] = ()) -> LightPlan:
        """The plan of an episode's `scene.lights`. Raises ValueError naming the entry that is wrong."""
        listed = _listed(road, lights)
        times: dict[str, Times] = {}
        period_s: dict[str, float] = {}
        for head in road.lights.values():
            own = {h.approach: listed[h.id] for h in road.lights.values() if h.crossing == head.crossing and h.id in listed}
            along = [t for a, t in own.items() if (a in _NORTH_SOUTH) == (head.approach in _NORTH_SOUTH)]
            if head.id in listed:
                times[head.id] = listed[head.id]
            elif along:
                times[head.id] = along[0]
            elif own:
                times[head.id] = _giving_way(list(own.values()))
            else:
                first, turn = head.approach in _NORTH_SOUTH, GREEN_S + YELLOW_S
                times[head.id] = ((0.0, "green"), (GREEN_S, "yellow"), (turn, "red")) if first else (
                    (0.0, "red"), (turn, "green"), (turn + GREEN_S, "yellow"))
                period_s[head.id] = 2 * turn
        return cls(times, period_s)

    def state_at(self, head_id: str, t_s: float) -> str:
        """"red", "yellow" or "green". Raises KeyError for an unknown head."""
        return self._phase(head_id, t_s)[1]

    def since(self, head_id: str, t_s: float) -> float:
        """When the state of time t_s began. Raises KeyError for an unknown head."""
        return self._phase(head_id, t_s)[0]

    def states(self, t_s: float) -> dict[str, str]:
        """The state of every head by its id."""
        return {head: self.state_at(head, t_s) for head in self.times}

    def _phase(self, head_id: str, t_s: float) -> tuple[float, str]:
        times = self.times[head_id]
        period = self.period_s.get(head_id)
        start = 0.0 if period is None else math.floor(max(0.0, t_s) / period) * period
        index = bisect_right([since for since, _ in times], max(0.0, t_s) - start) - 1
        since, state = times[index]
        return start + since, state


def show_lights(model: mujoco.MjModel, plan: LightPlan, t_s: float) -> None:
    """Switch the lamps of a street's model to what the plan has at t_s; a model without looks is left as it is."""
    for head, state in plan.states(t_s).items():
        for lamp in SHOWN_STATES:
            geom = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_GEOM, lamp_name(head, lamp))
            if geom >= 0:
                model.geom_rgba[geom, :3] = _LIT[lamp] if lamp == state else _DARK[lamp]


def lamp_name(head_id: str, state: str) -> str:
    """Name of the geom that is that lamp."""
    return f"lamp:{head_id}:{state}"


def add_light(spec: mujoco.MjSpec, head: LightHead, kerb_offset_m: float, state: str, *, visual: bool) -> None:
    """A head on an arm from a pole on the left of its traffic; the pole's contact solid is `pole:<head id>`.

    kerb_offset_m: from the head to the pole, to the left of the traffic that it faces.
    """
    body = spec.worldbody.add_body(
        name=f"light:{head.id}", pos=[head.x_m, head.y_m, 0], quat=[math.cos(head.yaw_rad / 2), 0, 0, math.sin(head.yaw_rad / 2)]
    )
    pole_y, top, radius = -kerb_offset_m, head.z_m + 0.45, 0.09

    def add(kind: mujoco.mjtGeom, rgb: tuple[float, float, float], *, material: str = "matte", **more: Any) -> None:
        body.add_geom(type=kind, rgba=[*rgb, 1], material=material, contype=0, conaffinity=0, group=1, mass=0.0, **more)

    solid = body.add_geom(
        name=f"pole:{head.id}", type=mujoco.mjtGeom.mjGEOM_CYLINDER, pos=[-0.3, pole_y, top / 2], size=[radius, top / 2, 0],
        contype=OBSTACLE_BIT, conaffinity=0, group=3 if visual else 1, rgba=[*_STEEL, 1],
    )
    if not visual:
        return
    box, cylinder = mujoco.mjtGeom.mjGEOM_BOX, mujoco.mjtGeom.mjGEOM_CYLINDER
    add(cylinder, _STEEL, pos=solid.pos, size=solid.size)
    add(cylinder, _STEEL, fromto=[-0.3, pole_y, head.z_m + 0.25, -0.3, 0.7, head.z_m + 0.1], size=[0.055, 0, 0])
    wide, radius = 3 * head.lamp_pitch_m + 0.08, head.lamp_diameter_m / 2
    add(box, _HOUSING, pos=[-0.14, 0, head.z_m], size=[0.12, wide / 2, 0.24])
    add(box, (0.04, 0.04, 0.045), pos=[-0.05, 0, head.z_m], size=[0.01, wide / 2 + 0.12, 0.36])
    for k, lamp in enumerate(SHOWN_STATES):
        y = (k - 1) * head.lamp_pitch_m
        rgb = _LIT[lamp] if lamp == state else _DARK[lamp]
        add(cylinder, rgb, material="lamp", name=lamp_name(head.id, lamp), fromto=[-0.04, y, head.z_m, 0.02, y, head.z_m],
            size=[radius, 0, 0])
        add(box, _HOUSING, pos=[0.08, y, head.z_m + radius + 0.02], size=[0.12, radius, 0.012])


def _listed(road: RoadMap, lights: Sequence[Mapping[str, Any]]) -> dict[str, Times]:
    listed: dict[str, Times] = {}
    for number, entry in enumerate(lights, 1):
        where = f"lights entry {number}"
        if set(entry) != {"at", "approach", "phases"}:
            raise ValueError(f"{where}: needs exactly at, approach and phases, not {sorted(entry)}")
        heads = [h for h in road.lights.values() if h.approach == entry["approach"] and _is_at(road, h, entry["at"])]
        if not heads:
            raise ValueError(f"{where}: no light at {entry['at']!r} for traffic from {entry['approach']!r}")
        if heads[0].id in listed:
            raise ValueError(f"{where}: the {entry['approach']} approach at {entry['at']!r} is listed twice")
        listed.update(dict.fromkeys((h.id for h in heads), _times(entry["phases"], where)))
    return listed


def _is_at(road: RoadMap, head: LightHead, at: Any) -> bool:
    crossing = road.crossings[head.crossing]
    try:
        return math.dist((crossing.x_m, crossing.y_m), at) < 1.0
    except (TypeError, ValueError):
        return False


def _times(phases: Any, where: str) -> Times:
    times: list[tuple[float, str]] = []
    since = 0.0
    if not isinstance(phases, Sequence) or not phases:
        raise ValueError(f"{where}: phases must be a list of [state, seconds], not {phases!r}")
    for phase in phases:
        try:
            state, seconds = phase
            seconds = float(seconds)
        except (TypeError, ValueError):
            raise ValueError(f"{where}: a phase is [state, seconds], not {phase!r}") from None
        if state not in SHOWN_STATES or not (math.isfinite(seconds) and seconds > 0):
            raise ValueError(f"{where}: a phase is red, yellow or green and more than 0 s, not {phase!r}")
        if not times or times[-1][1] != state:
            times.append((since, state))
        since += seconds
    return tuple(times)


def _giving_way(others: Sequence[Times]) -> Times:
    """What the road that is not listed shows against the ones that are."""
    changes = sorted({since for times in others for since, _ in times})
    reds: list[tuple[float, float]] = []  # when all of the listed road is red
    for start, end in zip(changes, [*changes[1:], math.inf], strict=True):
        if all(times[bisect_right([since for since, _ in times], start) - 1][1] == "red" for times in others):
            if reds and reds[-1][1] == start:
                reds[-1] = reds[-1][0], end
            else:
                reds.append((start, end))
    times: list[tuple[float, str]] = [(0.0, "red")]
    for start, end in reds:
        if end - start >= _SHORTEST_TURN_S:
            times += [(start, "green"), (end - YELLOW_S, "yellow"), (end, "red")]
    kept = [(since, state) for since, state in times if math.isfinite(since)]
    return tuple(kept[1:] if len(kept) > 1 and kept[1][0] == 0.0 else kept)
