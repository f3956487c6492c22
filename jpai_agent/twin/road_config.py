"""Settings of a car's rehearsal, read from `config/rehearsal_car.yaml`; its comments say what each is and where it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from jpai_agent.twin.config import PoseSpread, Range, read_settings
from jpai_agent.world.paths import resource


@dataclass(frozen=True)
class RoadHorizon:
    """How long a program is simulated: its estimate × factor + margin_s and what it waits, at most longest_s; waits and follows
    less, and of what a car goes on with after the plan carry_on_s."""

    factor: float
    margin_s: float
    longest_s: float
    longest_wait_s: float
    longest_follow_s: float
    carry_on_s: float


@dataclass(frozen=True)
class RoadRules:
    """What a rollout may not do (DESIGN section 7)."""

    moving_mps: float
    moved_within_s: float
    speed_over_mps: float
    speed_for_s: float
    red_grace_s: float
    still_mps: float
    stand_s: float
    stand_within_m: float
    line_m: float
    stepping_s: float
    reacts_s: float
    stops_mps2: float
    oncoming_s: float
    ttc_s: float
    gentle_mps2: float
    slide_mps2: float
    goal_m: float


@dataclass(frozen=True)
class CarSpread:
    """Spread of the car's own physics."""

    friction: Range
    speed_gain_sigma: float
    steer_gain_sigma: float
    steer_trim_deg: float
    steer_rate_factor: Range
    speed_lag_s: Range
    steer_lag_s: Range
    delay_s: Range
    understeer_sigma_s2pm2: float


@dataclass(frozen=True)
class PerceptionSpread:
    """How late and how wrong the controllers' knowledge is."""

    delay_s: Range
    obstacle_sigma_factor: float
    obstacle_yaw_sigma_deg: float
    obstacle_size_sigma_m: float
    mover_sigma_m: float
    mover_velocity_sigma_mps: float
    mover_size_sigma_m: float
    seen_within_m: float
    light_within_m: float
    light_delay_s: Range


@dataclass(frozen=True)
class VehicleSpread:
    """Futures of vehicles."""

    standing_mps: float
    speed_sigma: float
    brake_mps2: float
    brake_hard_mps2: float
    accel_mps2: float
    stop_every_s: float
    stop_s: Range
    start_probability: float
    start_after_s: Range
    start_mps: Range
    start_delay_s: Range
    straight_share: float
    left_share: float
    fade_m: float
    wander_m: float
    gap_m: float
    headway_s: float
    yields_within_m: float
    sign_stop_s: Range


@dataclass(frozen=True)
class CyclistSpread:
    """Futures of cyclists."""

    speed_sigma: float
    wander_m: float
    wander_s: float
    start_probability: float
    start_mps: Range


@dataclass(frozen=True)
class WalkerSpread:
    """Futures of people."""

    standing_mps: float
    speed_sigma: float
    heading_sigma_deg: float
    along_deg: float
    steps_out_probability: float
    stop_every_s: float
    stop_s: Range
    crosswalk_m: float
    cross_probability: float
    start_after_s: Range
    start_mps: Range
    start_probability: float


@dataclass(frozen=True)
class LightSpread:
    """Futures of lights."""

    green_left_s: Range
    red_left_s: Range
    green_s: Range
    yellow_s: float
    red_s: Range
    all_red_s: float


@dataclass(frozen=True)
class RoadRehearsalConfig:
    """All of it."""

    rollouts: int
    timestep_s: float
    pass_rate: float
    horizon: RoadHorizon
    judge: RoadRules
    pose: PoseSpread
    car: CarSpread
    perception: PerceptionSpread
    vehicles: VehicleSpread
    cyclists: CyclistSpread
    people: WalkerSpread
    lights: LightSpread

    def __post_init__(self) -> None:
        if not 0.0 < self.pass_rate <= 1.0:
            raise ValueError(f"pass_rate is a share in (0, 1], not {self.pass_rate}")
        if self.rollouts < 1 or not 0.0 < self.timestep_s <= 0.05:
            raise ValueError("needs rollouts of 1 or more and a timestep_s in (0, 0.05], "
                             f"not {self.rollouts} and {self.timestep_s}")
        if self.vehicles.straight_share + self.vehicles.left_share > 1.0:
            raise ValueError("vehicles: straight_share and left_share together are more than 1")


@lru_cache(maxsize=4)
def load_road_rehearsal(path: Path | None = None) -> RoadRehearsalConfig:
    """The settings in `path`, by default config/rehearsal_car.yaml. Raises ValueError naming the bad key and the file."""
    settings: RoadRehearsalConfig = read_settings(RoadRehearsalConfig, path or resource("config", "rehearsal_car.yaml"))
    return settings
