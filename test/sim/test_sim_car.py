"""The simulated car in the street: what its sensors deliver, what it touches, what the lights show; a seed repeats it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from jpai_agent.sim.car import DRY_FRICTION, WET_FRICTION, CarPhysics
from jpai_agent.sim.episode import Light
from jpai_agent.sim.robot import SimRobot
from jpai_agent.sim.sensors import AxleOdometry, noisy_rows
from jpai_agent.twin.render import SceneRenderer
from jpai_agent.world.objects import Motion, ObjectSpec
from jpai_agent.world.robot import RobotSpec
from jpai_agent.world.sensors import Observation

START = (0.0, 81.5, 0.0)
AHEAD = ObjectSpec("a", "truck", (20.0, 81.5, 0.0))
TO_CONTACT_M = 20.0 - 4.0 - 2.95


def make(car: RobotSpec, renderer: SceneRenderer, *things: ObjectSpec, **options: object) -> SimRobot:
    options = {"robot_pose": START, **options}
    return SimRobot(car, "street", things, renderer=renderer, **options)  # type: ignore[arg-type]


def drive(robot: SimRobot, seconds: float, command: tuple[float, float]) -> list[Observation]:
    seen = []
    for _ in range(round(seconds / 0.05)):
        robot.command(*command)
        robot.step(0.05)
        seen.append(robot.observe())
    return seen


def test_every_sensor_delivers_at_its_own_rate_and_frames_only_on_demand(car: RobotSpec, renderer: SceneRenderer) -> None:
    robot = make(car, renderer)
    seen = [robot.observe(), *drive(robot, 1.0, (0.0, 0.0))][:-1]
    assert sum(o.odometry is not None for o in seen) == 20
    assert sum(o.localization is not None for o in seen) == 10
    assert sum(o.scan is not None for o in seen) == 10
    assert [list(o.depths) for o in seen if o.depths] == [["front"]] * 5
    assert not any(o.images for o in seen)
    robot.streaming.add("tele")
    frames = [o.images["tele"] for o in drive(robot, 1.0, (0.0, 0.0)) if o.images]
    assert frames[0].rgb.shape == (480, 640, 3)
    assert np.median(np.diff([f.stamp_s for f in frames])) == pytest.approx(0.2)


def test_a_stream_of_no_camera_of_the_robot_is_named(car: RobotSpec) -> None:
    with pytest.raises(KeyError, match="rear"):
        SimRobot(car, "street", stream=("rear",))


def test_lidar_rows_measure_the_floor_and_the_truck_ahead(car: RobotSpec, renderer: SceneRenderer) -> None:
    robot = make(car, renderer, AHEAD, seed=3)
    scan = robot.observe().scan
    assert scan is not None
    assert scan.ranges_m.shape == (4, 720)
    # from the lidar, 1.25 m ahead of base_link and 1.7 m up, ranges along the beams
    floor = 1.7 / math.sin(math.radians(12.0))
    assert np.nanmedian(scan.ranges_m[0]) == pytest.approx(floor, rel=0.02)
    # the row above looks under the truck
    for row, rise in ((2, -2.5), (3, -0.5)):
        assert np.nanmedian(scan.ranges_m[row, 358:363]) == pytest.approx(
            (20.0 - 4.0 - 1.25) / math.cos(math.radians(rise)), rel=0.03)


def test_no_sensor_sees_the_car_itself(car: RobotSpec, renderer: SceneRenderer) -> None:
    observation = make(car, renderer).observe()
    assert observation.scan is not None
    assert np.nanmin(observation.scan.ranges_m) > 7.0
    depth = observation.depths["front"].depth_m
    # the lowest pixels look at the road: 41.8 + 6 degrees down from 1.4 m
    assert depth[depth > 0].min() > 1.3


def test_depth_reaches_sixty_metres(car: RobotSpec, renderer: SceneRenderer) -> None:
    depth = make(car, renderer, ObjectSpec("b", "bus", (52.0, 81.5, 90.0))).observe().depths["front"].depth_m
    assert depth.max() < 65.0
    ahead = depth[:, 158:162]
    assert ((ahead > 45.0) & (ahead < 52.0)).sum() > 20


def test_it_may_start_rolling_and_stays_in_its_lane(car: RobotSpec, renderer: SceneRenderer) -> None:
    robot = make(car, renderer, robot_speed_mps=6.0, robot_pose=(-10.0, 81.5, 0.0))
    drive(robot, 1.0, (6.0, 0.0))
    truth = robot.truth()
    assert truth.velocity[0] == pytest.approx(6.0, rel=0.02)
    assert truth.pose == pytest.approx([-4.0, 81.5, 0.0], abs=0.2)


def test_touching_a_truck_is_noted_at_its_bumper(car: RobotSpec, renderer: SceneRenderer) -> None:
    robot = make(car, renderer, AHEAD)
    while not (touched := robot.truth().contacts) and robot.time_s < 12.0:
        robot.command(1.5, 0.0)
        robot.step(0.05)
    assert touched == {"a"}
    assert robot.truth().pose[0] == pytest.approx(TO_CONTACT_M, abs=0.15)


def test_a_car_drives_its_path_whatever_the_robot_does(car: RobotSpec, renderer: SceneRenderer) -> None:
    who = ObjectSpec("c", "car", (20.0, 78.5, 180.0), motion=Motion(((20.0, 78.5), (0.0, 78.5)), 5.0, 0.5))
    robot = make(car, renderer, who)
    drive(robot, 1.5, (0.0, 0.0))
    assert robot.truth().objects[0] == pytest.approx([15.0, 78.5, 180.0])


def test_the_truth_tells_what_the_lights_of_the_episode_show(car: RobotSpec, renderer: SceneRenderer) -> None:
    lights = [Light.model_validate({"at": [80, 80], "approach": "west", "phases": [["red", 0.3], ["green", 20]]})]
    robot = make(car, renderer, lights=lights, robot_pose=(50.0, 81.5, 0.0))
    name = "light_80_80_west"
    assert robot.truth().lights[name] == "red"
    robot.command(0.0, 0.0)
    red = robot.picture("tele").astype(int)
    robot.step(0.4)
    assert robot.truth().lights[name] == "green"
    assert set(robot.truth().lights.values()) <= {"red", "yellow", "green"}
    # and the camera sees it
    assert np.abs(robot.picture("tele").astype(int) - red).max() > 100


def test_lights_where_there_are_none_are_refused(cart: RobotSpec) -> None:
    with pytest.raises(ValueError, match="no traffic lights"):
        SimRobot(cart, "yard", lights=[{"at": [80, 80], "approach": "west", "phases": [["red", 1]]}])


@pytest.mark.parametrize("seed", range(3))
def test_odometry_drifts_by_about_one_percent(car: RobotSpec, renderer: SceneRenderer, seed: int) -> None:
    robot = make(car, renderer, seed=seed, robot_speed_mps=6.0)
    robot.observe()
    odometry = [robot.observe().odometry]
    for _ in range(160):
        robot.command(6.0, 0.03)
        robot.step(0.05)
        odometry.append(robot._gear.odometry(robot.truth().pose, robot.time_s))  # no other sensor is of interest
    last, pose = odometry[-1], robot.truth().pose
    assert last is not None
    assert np.hypot(*(last.pose[:2] - pose[:2] + START[:2])) < 0.02 * 48.0
    assert last.pose[2] == pytest.approx(pose[2], abs=0.02)
    assert last.v_mps == pytest.approx(6.0, rel=0.05)


def test_odometry_starts_at_its_own_origin_and_turns_left_with_the_car() -> None:
    odometry = AxleOdometry(np.random.default_rng(0), 0.28)
    first = odometry.read(np.zeros(2), 3.1, 0.0)
    assert first.pose == pytest.approx([0, 0, 0])
    # over the seam at 180 degrees
    second = odometry.read(np.full(2, 1.0), -3.1, 0.1)
    assert second.w_radps == pytest.approx((2 * math.pi - 6.2) / 0.1, rel=0.03)
    assert second.v_mps == pytest.approx(2.8, rel=0.05)


def test_wet_roads_hold_less_than_dry_ones(car: RobotSpec) -> None:
    assert car.ackermann is not None
    for wet, (low, high) in ((False, DRY_FRICTION), (True, WET_FRICTION)):
        drawn = [CarPhysics.draw(np.random.default_rng(seed), car.ackermann, wet) for seed in range(20)]
        assert all(low <= d.tyre_friction <= high and 0 <= d.load_kg <= 220 for d in drawn)


def test_rain_makes_the_road_wet(car: RobotSpec) -> None:
    for seed in range(8):
        robot = SimRobot(car, "street", seed=seed)
        rainy = b"rain" in bytes(robot.model.text_data)
        assert isinstance(robot.physics, CarPhysics)
        assert (robot.physics.tyre_friction <= WET_FRICTION[1]) == rainy


def test_a_seed_repeats_everything_and_another_differs(car: RobotSpec, renderer: SceneRenderer) -> None:
    def course(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        seen = drive(robot := make(car, renderer, AHEAD, seed=seed), 0.5, (3.0, 0.1))
        scan = next(o.scan for o in reversed(seen) if o.scan is not None)
        return robot.truth().pose, scan.ranges_m, next(o.depths["front"] for o in reversed(seen) if o.depths).depth_m

    for a, b, c in zip(course(7), course(7), course(8), strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.array_equal(a, c)


def test_rows_drop_out_more_often_along_edges() -> None:
    clean = np.full((4, 7200), 20.0)
    clean[:, 1::20] = 10.0
    clean[3] = -1.0
    noisy = noisy_rows(clean, 60.0, np.random.default_rng(0))
    at_edge = np.isnan(noisy[:3, 1::20]).mean()
    assert 0.1 < at_edge < 0.2
    assert 0.002 < np.isnan(noisy[:3, 10::20]).mean() < 0.01
    assert np.isinf(noisy[3][~np.isnan(noisy[3])]).all()


def test_a_car_that_is_set_rolling_tells_its_speed_from_the_first_reading_on(car: RobotSpec, renderer: SceneRenderer) -> None:
    with SimRobot(car, "street", (), robot_pose=(78.5, 95.0, 90.0), robot_speed_mps=6.0, renderer=renderer) as robot:
        odometry = robot.observe().odometry
    assert odometry is not None
    assert odometry.v_mps == pytest.approx(6.0, rel=0.02)
