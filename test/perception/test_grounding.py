"""Image points of the car's front camera found in the street: vehicles, people, the road, landmarks of the map."""

from __future__ import annotations

import pytest
from box_world import Ride, going, standing
from conftest import SHOP

from jpai_agent.perception.geometry import project
from jpai_agent.plan import Target
from jpai_agent.world.map import WorldMap
from jpai_agent.world.robot import RobotSpec
from jpai_agent.world.scene import GroundedTarget

CAR, PERSON = (4.2, 1.7, 1.5), (0.3, 0.5, 1.7)
# its heading is -90: 6 m deep along y, 8 m wide along x
HOUSE = standing(SHOP.pose[0], SHOP.pose[1], (8.0, 6.0, 4.0))


@pytest.fixture(scope="module")
def ride(car: RobotSpec, street: WorldMap) -> Ride:
    boxes = [HOUSE, standing(12.0, 84.3, CAR), standing(29.0, 86.8, CAR), standing(14.0, 77.0, PERSON),
             going(40.0, 78.5, -5.0, 0.0, CAR)]
    ride = Ride(car, street, boxes, seed=21)
    ride.drive(2.0)
    return ride


def pointed(ride: Ride, x: float, y: float, z: float) -> GroundedTarget | None:
    u, v = project(ride.car.camera("front"), [[x - ride.pose[0], y - ride.pose[1], z]])[0]
    # the newest frame is three periods old
    target = Target("それ", "front", (round(u), round(v)))
    return ride.perception.ground(target, ride.perception.scene(), ride.time_s - 0.2)


def test_a_point_on_a_parked_car_is_that_obstacle(ride: Ride) -> None:
    found = pointed(ride, 10.0, 84.0, 0.8)
    assert found is not None and found.kind == "object"
    owner = ride.perception.scene().find(str(found.object_id))
    assert owner is not None and abs(owner.x_m - 12.0) < 0.8 and abs(owner.y_m - 84.3) < 0.5


def test_a_point_on_who_stands_or_moves_is_that_mover(ride: Ride) -> None:
    person = pointed(ride, 14.0, 77.0, 1.2)
    oncoming = pointed(ride, ride.boxes[4].pose(ride.time_s - 0.2)[0] - 2.1, 78.5, 0.8)
    assert person is not None and person.kind == "mover" and person.object_id
    assert oncoming is not None and oncoming.kind == "mover" and oncoming.object_id not in (None, person.object_id)


def test_a_point_on_the_road_is_the_ground_there(ride: Ride) -> None:
    found = pointed(ride, 20.0, 81.5, 0.0)
    assert found is not None and found.kind == "floor"
    assert abs(found.x_m - 20.0) < 1.0 and abs(found.y_m - 81.5) < 0.3


def test_a_point_on_a_landmark_is_its_place_but_a_car_before_it_is_a_car(ride: Ride) -> None:
    shop = pointed(ride, 27.0, 88.0, 3.0)
    assert shop is not None and shop.kind == "place"
    assert (shop.x_m, shop.y_m) == SHOP.pose[:2]
    before = pointed(ride, 27.0, 86.0, 0.8)
    assert before is not None and before.kind == "object"


def test_places_of_the_map_need_no_point(ride: Ride) -> None:
    scene = ride.perception.scene()
    for name, x, y in (("slot_3", 104.0, 14.0), ("convenience_store", *SHOP.pose[:2])):
        found = ride.perception.ground(Target(place=name), scene, 0.0)
        assert found is not None and (found.kind, found.x_m, found.y_m) == ("place", x, y)


def test_the_sky_and_a_frame_that_is_too_old_give_nothing(ride: Ride) -> None:
    scene = ride.perception.scene()
    assert ride.perception.ground(Target("空", "front", (500, 50)), scene, ride.time_s) is None
    assert ride.perception.ground(Target("それ", "front", (500, 700)), scene, ride.time_s - 60.0) is None
