"""The map a robot is given: bounds and named places, read from `sim/worlds/<name>.json`, and the rules that hold there."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from jpai_agent.world.objects import KINDS, LANDMARKS, ObjectSpec
from jpai_agent.world.paths import resource
from jpai_agent.world.road import RoadMap
from jpai_agent.world.zones import SiteRules, load_rules


@dataclass(frozen=True)
class Place:
    """A named place.

    Attributes:
        id: As in plans. names: Japanese names, the usual one first.
        x_m, y_m: Where, in the map frame; yaw_rad: heading there, or None when any will do.
        kind: Of a landmark, its kind of object; "" for any other place. Landmarks of one kind share their names; the first of
            them has the kind as its id, the others `<kind>_2`, `<kind>_3` …
    """

    id: str
    names: tuple[str, ...]
    x_m: float
    y_m: float
    yaw_rad: float | None = None
    kind: str = ""


@dataclass(frozen=True)
class WorldMap:
    """Bounds (x0, y0, x1, y1) in metres and the places; `home` is the place that charging and 戻って mean.

    `road` is what a car drives on, None in a world without roads; `rules` are the zones to keep out of and the top speed.
    """

    name: str
    bounds_m: tuple[float, float, float, float]
    places: tuple[Place, ...]
    home: str
    road: RoadMap | None = None
    rules: SiteRules = field(default_factory=SiteRules)

    def place(self, place_id: str) -> Place:
        """The place of that id. Raises KeyError with the known ids."""
        for place in self.places:
            if place.id == place_id:
                return place
        raise KeyError(f"map {self.name} has no place {place_id!r}; it has {', '.join(p.id for p in self.places)}")

    def with_landmarks(self, objects: Iterable[ObjectSpec]) -> WorldMap:
        """The map of an episode: a place more for each of the objects that is a landmark, in their order, facing as it does."""
        seen: Counter[str] = Counter()
        places = []
        for spec in objects:
            if spec.kind in LANDMARKS:
                seen[spec.kind] += 1
                place_id = spec.kind if seen[spec.kind] == 1 else f"{spec.kind}_{seen[spec.kind]}"
                x, y, heading_deg = spec.pose
                places.append(Place(place_id, KINDS[spec.kind].names_ja, x, y, math.radians(heading_deg), spec.kind))
        return replace(self, places=(*self.places, *places))


def load_map(name: str) -> WorldMap:
    """Read `sim/worlds/<name>.json`, the Lanelet2 file that it names where the world has roads, and `config/zones/<name>.yaml`.

    Raises ValueError naming the known worlds when there is none, or what is wrong with the rules.
    """
    path = resource("sim", "worlds", f"{name}.json")
    if not path.is_file():
        known = sorted(p.stem for p in resource("sim", "worlds").glob("*.json"))
        raise ValueError(f"unknown world {name!r}; known worlds: {', '.join(known)}")
    data = json.loads(path.read_text(encoding="utf-8"))
    places = tuple(Place(p["id"], tuple(p["names"]), p["xy_m"][0], p["xy_m"][1], p.get("yaw_rad")) for p in data["places"])
    road = None
    if "road" in data:
        # only worlds with roads need lanelet2
        from jpai_agent.world.road_file import load_road

        road = load_road(path.with_name(data["road"]), tuple(data["origin_deg"]))
    return WorldMap(name, tuple(data["bounds_m"]), places, data["home"], road,
                    load_rules(resource("config", "zones", f"{name}.yaml")))
