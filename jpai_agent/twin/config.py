"""Settings of the rehearsal, read from `config/rehearsal.yaml`; every value is checked when it is read."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, get_type_hints

import yaml

from jpai_agent.world.paths import resource

Range = tuple[float, float]


@dataclass(frozen=True)
class Horizon:
    """How long a program is simulated: its estimate × factor + margin_s, at most longest_s; waits and follows less."""

    factor: float
    margin_s: float
    longest_s: float
    longest_wait_s: float
    longest_follow_s: float


@dataclass(frozen=True)
class JudgeRules:
    """What a rollout may not do. See the comments in the file."""

    person_gap_m: float
    creep_gap_m: float
    crawl_mps: float
    moving_mps: float
    moved_within_s: float
    tip_deg: float
    goal_m: float


@dataclass(frozen=True)
class PoseSpread:
    """Errors of the believed pose and speed."""

    start_sigma_m: float
    start_sigma_deg: float
    sigma_m: float
    sigma_deg: float
    correlation_s: float
    speed_sigma_mps: float
    speed_sigma_radps: float


@dataclass(frozen=True)
class RobotSpread:
    """Spread of the robot's own physics."""

    friction: Range
    mass_sigma: float
    payload_kg: Range
    payload_height_m: float
    wheel_gain_sigma: float
    lag_s: Range
    delay_s: Range


@dataclass(frozen=True)
class ObstacleSpread:
    """Spread of what stands."""

    sigma_factor: float
    yaw_sigma_deg: float


@dataclass(frozen=True)
class PeopleSpread:
    """Futures of what moves or may move."""

    standing_mps: float
    heading_sigma_deg: float
    speed_sigma: float
    turn_every_s: float
    turn_sigma_deg: float
    stop_every_s: float
    stop_s: Range
    start_probability: float
    start_after_s: Range
    start_mps: Range
    start_for_s: Range
    pass_standing_m: float
    velocity_sigma_mps: float
    seen_within_m: float


@dataclass(frozen=True)
class RehearsalConfig:
    """All of it."""

    rollouts: int
    timestep_s: float
    threads: int
    pass_rate: float
    horizon: Horizon
    judge: JudgeRules
    pose: PoseSpread
    robot: RobotSpread
    obstacles: ObstacleSpread
    people: PeopleSpread

    def __post_init__(self) -> None:
        if not 0.0 < self.pass_rate <= 1.0:
            raise ValueError(f"pass_rate is a share in (0, 1], not {self.pass_rate}")
        if self.rollouts < 1 or not 0.0 < self.timestep_s <= 0.05:
            raise ValueError("needs rollouts of 1 or more and a timestep_s in (0, 0.05], "
                             f"not {self.rollouts} and {self.timestep_s}")


@lru_cache(maxsize=4)
def load_rehearsal(path: Path | None = None) -> RehearsalConfig:
    """The settings in `path`, by default config/rehearsal.yaml. Raises ValueError naming the bad key and the file."""
    settings: RehearsalConfig = read_settings(RehearsalConfig, path or resource("config", "rehearsal.yaml"))
    return settings


def read_settings(kind: Any, path: Path) -> Any:
    """The dataclass `kind` with exactly the values of a YAML file. Raises ValueError naming the bad key and the file."""
    try:
        return _read(kind, yaml.safe_load(path.read_text(encoding="utf-8")), "")
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error


def _read(kind: Any, data: Any, where: str) -> Any:
    names = {field.name for field in fields(kind)}
    if not isinstance(data, dict) or set(data) != names:
        given = set(data) if isinstance(data, dict) else set()
        raise ValueError(f"{where or 'file'}: missing {sorted(names - given)}, unknown {sorted(given - names)}")
    values: dict[str, Any] = {}
    for name, wanted in get_type_hints(kind).items():
        value, place = data[name], f"{where}{name}"
        if is_dataclass(wanted):
            values[name] = _read(wanted, value, f"{place}.")
        elif wanted == Range:
            values[name] = _range(value, place)
        else:
            values[name] = wanted(_number(value, place))
    return kind(**values)


def _range(value: Any, where: str) -> Range:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError(f"{where} must be [low, high], not {value!r}")
    low, high = (_number(v, where) for v in value)
    if low > high:
        raise ValueError(f"{where}: {low} is above {high}")
    return low, high


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.0 <= value < float("inf"):
        raise ValueError(f"{where} must be a finite number of 0 or more, not {value!r}")
    return value
