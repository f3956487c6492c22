"""What the car's perception makes of a street: boxes of what stands, movers of what moves, nothing else."""

from __future__ import annotations

import math

import numpy as np
import pytest
from box_world import Box, Ride, going, standing

from jpai_agent.world.map import WorldMap, load_map
from jpai_agent.world.robot import RobotSpec, load_robot
from jpai_agent.world.scene import Mover, Obstacle, Scene

CAR, TRUCK, BUS = (4.2, 1.7, 1.5), (8.0, 2.4, 3.0), (10.5, 2.5, 3.0)
PERSON, CHILD, CONE = (0.3, 0.5, 1.7), (0.25, 0.4, 1.1), (0.38, 0.38, 0.7)
# what is seen of a bicycle is its rider
RIDER = (0.5, 0.5, 1.7)
PARKED = [standing(22.0, 84.3, CAR), standing(34.0, 84.4, TRUCK), standing(45.0, 75.6, CAR), standing(58.0, 84.6, BUS)]


def nearest(scene: Scene, x: float, y: float, *, movers: bool = False) -> Obstacle | Mover:
    things: list[Obstacle | Mover] = [*scene.movers] if movers else [*scene.obstacles, *scene.movers]
    assert things, "nothing is seen"
    return min(things, key=lambda t: math.hypot(t.x_m - x, t.y_m - y))


def moving(scene: Scene) -> list[Mover]:
    return [m for m in scene.movers if math.hypot(m.vx_mps, m.vy_mps) > 0.0]


def errors(ride: Ride, scenes: list[Scene], box: Box, since_s: float, before_s: float) -> tuple[np.ndarray, np.ndarray, set[str]]:
    """Errors of position and velocity of the mover that is the box, and its ids."""
    off, wrong, ids = [], [], set()
    for scene in scenes:
        if not since_s <= scene.stamp_s < before_s:
            continue
        x, y, _ = box.pose(scene.stamp_s)
        velocity = (np.array(box.pose(scene.stamp_s + 0.01)[:2]) - [x, y]) / 0.01
        seen = nearest(scene, x, y, movers=True)
        assert isinstance(seen, Mover)
        off.append(math.hypot(seen.x_m - x, seen.y_m - y))
        wrong.append(math.hypot(seen.vx_mps - velocity[0], seen.vy_mps - velocity[1]))
        ids.add(seen.id)
    return np.array(off), np.array(wrong), ids


@pytest.mark.parametrize("seed", [1, 2])
def test_parked_vehicles_that_one_drives_by_at_8_mps_stay_where_they_are(car: RobotSpec, street: WorldMap, seed: int) -> None:
    ride = Ride(car, street, PARKED, v_mps=8.0, seed=seed)
    scenes = ride.drive(7.0)
    assert sum(len(moving(scene)) for scene in scenes) == 0
    here = next(scene for scene in scenes if scene.robot.x_m > 12.0)
    parked = nearest(here, 22.0, 84.3)
    assert math.hypot(parked.x_m - 22.0, parked.y_m - 84.3) < 0.45
    assert parked.half_x_m == pytest.approx(2.1, abs=0.45) and parked.half_y_m == pytest.approx(0.85, abs=0.35)
    assert abs(math.remainder(parked.yaw_rad, math.pi)) < 0.1


def test_nothing_seems_to_move_in_a_turn(car: RobotSpec, street: WorldMap) -> None:
    around = [standing(90.0, 90.0, CAR, 0.4), standing(76.0, 98.0, CAR, math.pi / 2), standing(84.5, 100.0, TRUCK, math.pi / 2),
              standing(86.0, 86.0, PERSON), standing(70.0, 87.5, (1.0, 8.0, 4.0))]
    ride = Ride(car, street, around, pose=(73.0, 81.5, 0.0), v_mps=4.0, w_radps=0.5, seed=3)
    assert sum(len(moving(scene)) for scene in ride.drive(3.0)) <= 2


@pytest.mark.parametrize(
    ("box", "v_mps", "since_s", "before_s", "off_m"),
    [
        (going(50.0, 78.5, -8.0, 0.0, CAR), 0.0, 1.5, 5.5, 0.4),
        (going(60.0, 78.5, -6.0, 0.0, TRUCK), 5.0, 2.0, 5.0, 0.6),
        (going(8.0, 81.5, 5.0, 0.0, CAR), 3.0, 1.5, 8.0, 0.4),
        (going(20.0, 89.0, 0.0, -1.3, PERSON), 0.0, 1.2, 8.0, 0.3),
        (going(22.0, 86.0, 0.0, -2.5, CHILD), 2.0, 1.2, 4.0, 0.3),
        (going(8.0, 82.6, 4.0, 0.0, RIDER), 3.0, 1.5, 8.0, 0.4),
    ],
    ids=["oncoming car", "oncoming truck", "car ahead", "person crossing", "child crossing", "bicycle ahead"],
)
def test_what_moves_is_followed_under_one_name(
    car: RobotSpec, street: WorldMap, box: Box, v_mps: float, since_s: float, before_s: float, off_m: float
) -> None:
    ride = Ride(car, street, [box, standing(26.0, 84.4, CAR)], v_mps=v_mps, seed=5)
    off, wrong, ids = errors(ride, ride.drive(before_s), box, since_s, before_s)
    assert np.median(off) < 0.5 * off_m + 0.05 and np.percentile(off, 90) < off_m
    assert np.median(wrong) < 0.35 and np.percentile(wrong, 90) < 0.8
    assert len(ids) == 1


def test_a_mover_box_lies_along_its_motion(car: RobotSpec, street: WorldMap) -> None:
    ride = Ride(car, street, [going(45.0, 78.5, -7.0, 0.0, CAR)], seed=6)
    mover = moving(ride.drive(3.5)[-1])[0]
    assert abs(math.remainder(mover.yaw_rad - math.pi, math.tau)) < 0.1
    assert mover.half_x_m == pytest.approx(2.1, abs=0.3) and mover.half_y_m == pytest.approx(0.85, abs=0.2)
    assert mover.radius_m == pytest.approx(math.hypot(mover.half_x_m, mover.half_y_m))


def test_a_car_that_stops_dead_stays_a_mover_that_stands(car: RobotSpec, street: WorldMap) -> None:
    lead = going(10.0, 81.5, 6.0, 0.0, CAR, end_s=3.0)
    scenes = Ride(car, street, [lead], v_mps=0.5, seed=7).drive(13.0)
    for scene in (s for s in scenes if s.stamp_s > 4.5):
        stood = nearest(scene, 28.0, 81.5, movers=True)
        assert isinstance(stood, Mover)
        assert math.hypot(stood.x_m - 28.0, stood.y_m - 81.5) < 0.6
        assert math.hypot(stood.vx_mps, stood.vy_mps) < 0.4


def test_people_who_stand_by_the_road_are_movers_and_keep_their_name_when_they_walk(car: RobotSpec, street: WorldMap) -> None:
    child = going(12.0, 84.5, 0.0, -1.5, CHILD, start_s=2.5)
    ride = Ride(car, street, [child], seed=8)
    waiting = nearest(ride.drive(2.4)[-1], 12.0, 84.5)
    assert isinstance(waiting, Mover) and waiting.vx_mps == waiting.vy_mps == 0.0
    walking = moving(ride.drive(1.6)[-1])
    assert [m.id for m in walking] == [waiting.id]


@pytest.mark.parametrize("seed", [1, 2])
def test_who_sets_out_on_foot_is_seen_to_within_a_second(car: RobotSpec, street: WorldMap, seed: int) -> None:
    walker = going(24.0, 87.0, 0.0, -0.7, PERSON, start_s=2.0)
    scenes = Ride(car, street, [walker], v_mps=5.0, seed=seed).drive(3.4)
    assert not any(moving(scene) for scene in scenes if scene.stamp_s < 2.0)
    assert next(scene.stamp_s for scene in scenes if moving(scene)) < 3.05


def test_cones_posts_and_barriers_are_no_people(car: RobotSpec, street: WorldMap) -> None:
    things = [standing(10.0, 83.4, CONE), standing(14.0, 85.5, (0.2, 0.2, 4.0)), standing(18.0, 83.6, (0.5, 1.5, 0.9))]
    scene = Ride(car, street, things, v_mps=1.0, seed=9).drive(2.5)[-1]
    assert not scene.movers
    for x, y in ((10.0, 83.4), (14.0, 85.5), (18.0, 83.6)):
        thing = nearest(scene, x, y)
        assert math.hypot(thing.x_m - x, thing.y_m - y) < 0.4


def test_a_cone_keeps_its_place_while_the_lidar_looks_over_it_and_goes_when_it_has_gone(car: RobotSpec, street: WorldMap) -> None:
    cone = standing(12.0, 81.5, CONE)
    ride = Ride(car, street, [cone], v_mps=1.0, seed=10)
    for scene in ride.drive(5.0)[30:]:
        thing = nearest(scene, 12.0, 81.5)
        assert math.hypot(thing.x_m - 12.0, thing.y_m - 81.5) < 0.35
    ride.boxes.clear()
    assert not ride.drive(4.0)[-1].obstacles


def test_a_body_that_pitches_while_braking_does_not_raise_the_road(car: RobotSpec, street: WorldMap) -> None:
    ride = Ride(car, street, [], v_mps=6.0, seed=11)
    ride.drive(1.0)
    ride.pitch_rad = math.radians(1.2)
    scenes = ride.drive(2.0)
    assert all(not scene.obstacles and not scene.movers for scene in scenes)


def test_what_stands_far_from_the_road_is_left_out(car: RobotSpec, street: WorldMap) -> None:
    scene = Ride(car, street, [standing(20.0, 100.0, CAR)], seed=12).drive(1.0)[-1]
    assert not scene.obstacles and not scene.movers


def test_a_rear_seen_alone_is_completed_but_not_over_what_was_seen_free(car: RobotSpec, street: WorldMap) -> None:
    scene = Ride(car, street, [standing(14.0, 81.5, CAR)], seed=13).drive(1.5)[-1]
    seen = nearest(scene, 14.0, 81.5)
    assert seen.half_x_m == pytest.approx(2.1, abs=0.35) and math.hypot(seen.x_m - 14.0, seen.y_m - 81.5) < 0.5
    # a board of that width and height is seen round
    board = standing(14.0, 84.5, (0.15, 1.7, 1.5))
    ride = Ride(car, street, [board], v_mps=3.0, seed=13)
    seen = nearest(ride.drive(4.0)[-1], 14.0, 84.5)
    assert 4 * seen.half_x_m * seen.half_y_m < 3.0


def test_a_car_needs_a_map_with_a_road() -> None:
    with pytest.raises(ValueError, match="no road"):
        Ride(load_robot("car"), load_map("yard"), [])
