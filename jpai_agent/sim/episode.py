"""Episodes: read the lines of a suite strictly, every error with its line and reason (DESIGN section 7)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from jpai_agent.sim.expectations import Expectation, Metres, Strict, TurnExpectation
from jpai_agent.sim.limits import LIMITS
from jpai_agent.twin.lights import LightPlan
from jpai_agent.world.map import load_map
from jpai_agent.world.objects import ObjectSpec, motion_pose, objects_from_dicts
from jpai_agent.world.robot import load_robot

MOST_LINE_CHARS = 100_000
# which robots move about in which world
ROBOTS_OF_WORLD: dict[str, tuple[str, ...]] = {"yard": ("cart",), "street": ("car",)}


class EpisodeError(ValueError):
    """Lines of a suite that cannot be run.

    Attributes:
        errors: (line number counting from 1, reason), in order.
    """

    def __init__(self, source: str, errors: Sequence[tuple[int, str]]) -> None:
        self.errors = list(errors)
        super().__init__("\n".join(f"{source}:{line}: {reason}" for line, reason in self.errors))


Pair = Annotated[list[float], Field(min_length=2, max_length=2)]


class Turn(Strict):
    """Something that is said, at a time or when the plan before has ended."""

    say: str
    at_s: Metres | None = None
    after: Literal["done"] | None = None
    expect: TurnExpectation | None = None

    @model_validator(mode="after")
    def _one_time(self) -> Turn:
        if self.at_s is not None and self.after is not None:
            raise ValueError("a turn has at_s or after, not both")
        return self


Colour = Literal["red", "yellow", "green"]
Phase = Annotated[tuple[Colour, Annotated[float, Field(gt=0)]], Field(strict=False)]


class Light(Strict):
    """A traffic light and its phases (colour, seconds)."""

    at: Pair
    approach: Literal["north", "south", "east", "west"]
    phases: Annotated[list[Phase], Field(min_length=1)]


class _SceneLine(Strict):
    robot_pose: Annotated[list[float], Field(min_length=3, max_length=3)] = Field(
        default_factory=lambda: [0.0, 0.0, 0.0]
    )
    robot_speed_mps: float = 0.0
    objects: list[dict[str, Any]] = Field(default_factory=list)
    lights: list[Light] = Field(default_factory=list)


class _EpisodeLine(Strict):
    id: Annotated[str, Field(min_length=1, max_length=200)]
    world: str
    robot: str
    seed: Annotated[int, Field(ge=0)] = 0
    tags: list[str] = Field(default_factory=list)
    scene: _SceneLine
    turns: Annotated[list[Turn], Field(min_length=1)]
    time_limit_s: Annotated[float, Field(gt=0, le=3600)]
    expect: Expectation = Field(default_factory=Expectation)


@dataclass(frozen=True)
class Episode:
    """One episode of a suite.

    Attributes:
        robot_pose: x, y, heading_deg in the map frame. objects: every one with its size.
    """

    id: str
    world: str
    robot: str
    seed: int
    tags: tuple[str, ...]
    robot_pose: tuple[float, float, float]
    robot_speed_mps: float
    objects: tuple[ObjectSpec, ...]
    lights: tuple[Light, ...]
    turns: tuple[Turn, ...]
    time_limit_s: float
    expect: Expectation


def parse_episode(text: str) -> Episode:
    """The episode of one line. Raises ValueError saying what is wrong with it."""
    if len(text) > MOST_LINE_CHARS:
        raise ValueError(f"line has {len(text)} characters; at most {MOST_LINE_CHARS}")
    try:
        data = json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise ValueError(f"no JSON: {error}") from error
    except RecursionError as error:
        raise ValueError("JSON nested too deep") from error
    if not isinstance(data, dict):
        raise ValueError(f"an episode is a JSON object, not {type(data).__name__}")
    try:
        line = _EpisodeLine.model_validate(data)
    except ValidationError as error:
        raise ValueError("; ".join(_reason(e) for e in error.errors())) from error
    objects = objects_from_dicts(line.scene.objects)
    _check(line, {thing.id for thing in objects})
    _check_scene(line, objects)
    sized = tuple(replace(thing, size=thing.size or "medium") for thing in objects)
    x, y, heading_deg = line.scene.robot_pose
    return Episode(
        line.id,
        line.world,
        line.robot,
        line.seed,
        tuple(line.tags),
        (x, y, heading_deg),
        line.scene.robot_speed_mps,
        sized,
        tuple(line.scene.lights),
        tuple(line.turns),
        line.time_limit_s,
        line.expect,
    )


def read_suite(path: Path | str) -> list[Episode]:
    """All episodes of a suite, blank lines left out. Raises EpisodeError naming every bad line, OSError."""
    path = Path(path)
    episodes: list[Episode] = []
    errors: list[tuple[int, str]] = []
    line_of_id: dict[str, int] = {}
    for number, raw in enumerate(path.read_bytes().split(b"\n"), start=1):
        if not raw.strip():
            continue
        try:
            episode = parse_episode(raw.decode("utf-8-sig" if number == 1 else "utf-8"))
        except ValueError as error:  # UnicodeDecodeError is one
            errors.append((number, str(error)))
            continue
        if episode.id in line_of_id:
            errors.append((number, f"id {episode.id!r} was used in line {line_of_id[episode.id]}"))
        line_of_id.setdefault(episode.id, number)
        episodes.append(episode)
    if not errors and not episodes:
        errors.append((1, "no episodes"))
    if errors:
        raise EpisodeError(path.name, errors)
    return episodes


def _check_scene(line: _EpisodeLine, objects: Sequence[ObjectSpec]) -> None:
    """Everything begins within the world's bounds, at a speed that the robot can drive; lights stand where the map has some."""
    world_map, limits = load_map(line.world), LIMITS[line.robot]
    x0, y0, x1, y1 = world_map.bounds_m
    begins = [("scene.robot_pose", tuple(line.scene.robot_pose))]
    begins += [(f"object {thing.id}", motion_pose(thing, 0.0)) for thing in objects]
    for what, (x, y, _) in begins:
        if not (x0 <= x <= x1 and y0 <= y <= y1):
            raise ValueError(f"{what}: ({x:g}, {y:g}) is outside of the world's bounds {[x0, y0, x1, y1]}")
    if not -limits.reverse_mps <= line.scene.robot_speed_mps <= limits.forward_mps:
        raise ValueError(f"scene.robot_speed_mps: {line.robot} drives {-limits.reverse_mps:.2f} to {limits.forward_mps:.2f} m/s,"
                         f" not {line.scene.robot_speed_mps:g}")
    if world_map.road is not None:
        LightPlan.of_episode(world_map.road, [dict(light) for light in line.scene.lights])


def _check(line: _EpisodeLine, ids: set[str]) -> None:
    load_map(line.world)
    load_robot(line.robot)
    allowed = ROBOTS_OF_WORLD.get(line.world, ())
    if line.robot not in allowed:
        raise ValueError(f"robot {line.robot!r} does not go with world {line.world!r}; {', '.join(allowed)} does")
    for index, turn in enumerate(line.turns[1:], start=1):
        if turn.at_s is None and turn.after is None:
            raise ValueError(f"turns.{index}: a later turn needs at_s or after")
    if line.turns[0].after is not None:
        raise ValueError("turns.0: the first turn has no plan before it to wait for")
    for part in ("final", "sequence", "never"):
        for index, condition in enumerate(getattr(line.expect, part)):
            if unknown := sorted(condition.objects() - ids):
                raise ValueError(f"expect.{part}.{index}: no such object in the scene: {', '.join(unknown)}")


def _reason(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"])
    shown = repr(error.get("input"))
    return f"{where}: {error['msg']}" + (f" (got {shown[:80]})" if error["type"] not in ("missing",) else "")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    if twice := sorted({key for key in keys if keys.count(key) > 1}):
        raise ValueError(f"keys used twice: {', '.join(twice)}")
    return dict(pairs)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number")
