"""The rehearsal's reduced car against the full one of the simulator: 20 s with a turn, under the same controller and the same
commands."""

import math
from dataclasses import replace

import numpy as np
import pytest

from jpai_agent.control import Program, RoadRunner, View
from jpai_agent.control.road.routes import Network
from jpai_agent.control.road.segments import RoadDrive
from jpai_agent.sim.robot import SimRobot
from jpai_agent.twin.road_car import Cars, nominal_car
from jpai_agent.twin.road_config import load_road_rehearsal
from jpai_agent.world.map import load_map

START, TICK_S, SECONDS = (40.0, 81.5, 0.0), 0.05, 20.0
APART_M = 0.3
STREET = load_map("street")


def reduced_like(car, physics) -> Cars:
    """The reduced car with what the seed drew of the full one."""
    driver = physics.driver
    own = {"friction": physics.tyre_friction, "speed_gain": driver.speed_gain, "speed_lag_s": driver.speed_lag_s,
           "steer_gain": driver.steer_gain, "steer_trim_rad": driver.steer_trim_rad, "steer_lag_s": driver.steer_lag_s,
           "steer_rate_radps": driver.steer_rate_radps, "delay_s": driver.delay_s}
    config = load_road_rehearsal()
    drawn = nominal_car(car, config.car, np.array(START), 1)
    drawn = replace(drawn, **{name: np.array([value]) for name, value in own.items()})
    return Cars(car, drawn, timestep_s=config.timestep_s, tick_s=TICK_S)


def view(time_s, pose, v_mps, w_radps) -> View:
    """Perfect knowledge, all lights green."""
    lights = np.full((1, len(STREET.road.lights)), 3, dtype=np.int8)
    return View(time_s, np.array(pose)[None], np.array([[v_mps, w_radps]]), np.empty((1, 0, 5)), np.empty((1, 0, 5)), (), (),
                np.empty((1, 0, 3)), lights, tuple(STREET.road.lights))


@pytest.mark.parametrize(("seed", "turn"), [(0, "right"), (1, "left"), (3, "left")])
def test_after_20_s_with_a_turn_it_is_less_than_30_cm_from_the_full_car(car, renderer, seed, turn, record_property):
    network = Network(STREET.road)
    way = network.ahead(network.locate(np.array(START)), [turn], 150.0)
    points = tuple((float(x), float(y)) for x, y in way.points)
    program = Program((RoadDrive(0, 6.9, points, rests=True),), START)
    with SimRobot(car, "street", robot_pose=(40.0, 81.5, 0.0), seed=seed, renderer=renderer) as full:
        same_controller, same_commands = reduced_like(car, full.physics), reduced_like(car, full.physics)
        runners = RoadRunner(program, car, 1), RoadRunner(program, car, 1)
        apart = np.zeros((round(SECONDS / TICK_S), 2))
        for tick in range(len(apart)):
            truth = full.truth()
            command = runners[0].tick(view(tick * TICK_S, truth.pose, truth.velocity[0], truth.velocity[2]), TICK_S)
            own = runners[1].tick(view(tick * TICK_S, same_controller.pose[0], *same_controller.speed[0]), TICK_S)
            full.command(float(command.v_mps[0]), float(command.w_radps[0]))
            full.step(TICK_S)
            same_commands.advance(np.stack([command.v_mps, command.w_radps], axis=1), np.ones(1, dtype=bool))
            same_controller.advance(np.stack([own.v_mps, own.w_radps], axis=1), np.ones(1, dtype=bool))
            at = full.truth().pose[:2]
            apart[tick] = [math.dist(at, reduced.pose[0, :2]) for reduced in (same_controller, same_commands)]
        driven_m = float(np.hypot(*(full.truth().pose[:2] - START[:2])))
    record_property("apart_m", apart.max(axis=0).round(3).tolist())
    most, last = apart.max(axis=0), apart[-1]
    print(f"seed {seed}, {turn}: at most {most[0]:.3f} m apart under the same controller, {most[1]:.3f} m under the same "
          f"commands; after {SECONDS:.0f} s {last[0]:.3f} and {last[1]:.3f} m")
    assert driven_m > 60.0
    assert (apart.max(axis=0) < APART_M).all()
