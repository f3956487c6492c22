"""Programs of others: what the robot could not be asked for is refused before any rehearsal."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
from plant import CART, YARD, made, scene, spot

from jpai_agent.control import Program, compile_program
from jpai_agent.control.road.segments import RoadDrive
from jpai_agent.control.segments import Drive, Follow, Straight, TurnBy, Wait
from jpai_agent.control.validity import check_program
from jpai_agent.plan import Step, Target
from jpai_agent.world.map import load_map
from jpai_agent.world.robot import load_robot
from jpai_agent.world.scene import RobotState, Scene
from jpai_agent.world.zones import SiteRules

GO = Step("go_to", {"target": Target("床", "front", (500, 500))})
DRIVE = made(scene(), GO, targets={0: spot(3.0, 1.0)})


def changed(**change: object) -> Program:
    at = next(i for i, s in enumerate(DRIVE.segments) if isinstance(s, Drive))
    drive = replace(DRIVE.segments[at], **change)  # type: ignore[arg-type]
    return replace(DRIVE, segments=(*DRIVE.segments[:at], drive, *DRIVE.segments[at + 1:]))


def with_more(segment: object) -> Program:
    return replace(DRIVE, segments=(*DRIVE.segments, segment))  # type: ignore[arg-type]


BROKEN: dict[str, Callable[[], Program]] = {
    "nothing": lambda: Program((), (0.0, 0.0, 0.0)),
    "too many segments": lambda: Program((Wait(0, 0.8, 1.0),) * 401, (0.0, 0.0, 0.0)),
    "a million points": lambda: changed(points=((0.0, 0.0),) * 10**6),
    "a speed over the limit": lambda: changed(cruise_mps=1.21), "a speed of no number": lambda: changed(cruise_mps=math.nan),
    "no speed": lambda: changed(cruise_mps=0.0), "a point nowhere": lambda: changed(points=((0.0, 0.0), (math.inf, 0.0))),
    "a leap": lambda: changed(points=((0.0, 0.0), (0.2, 0.0))), "one point": lambda: changed(points=((0.0, 0.0),)),
    "a path off the map": lambda: changed(points=((11.95, 0.0), (12.05, 0.0))),
    "a step before the first": lambda: changed(step=-1),
    "an endless wait": lambda: with_more(Wait(0, 0.8, 1e6)), "a wait of no number": lambda: with_more(Wait(0, 0.8, math.nan)),
    "an endless follow": lambda: with_more(Follow(0, 0.8, "a", 1.0, 1.0, 1e6)),
    "a straight without end": lambda: with_more(Straight(0, 0.8, 1e6)), "many turns": lambda: with_more(TurnBy(0, 0.8, 100.0)),
    "a start nowhere": lambda: replace(DRIVE, start=(math.nan, 0.0, 0.0)),
    "a car's drive": lambda: Program((RoadDrive(0, 0.8, ((0.0, 0.0), (0.5, 0.0))),), (0.0, 0.0, 0.0)),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_program_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        check_program(BROKEN[name](), CART, YARD)


def test_what_the_robot_makes_itself_is_fine_also_by_way_of_json() -> None:
    program = Program.from_dict(made(scene(), GO, Step("turn", {"angle_deg": 360.0}), Step("move", {"distance_m": -1.0}),
                                     targets={0: spot(3.0, 1.0)}).to_dict())
    check_program(program, CART, YARD)
    with pytest.raises(ValueError, match="cruise_mps"):
        check_program(program, CART, replace(YARD, rules=SiteRules((), 0.5)))


def test_a_car_keeps_to_the_road_s_limit_in_any_program() -> None:
    car, street = load_robot("car"), load_map("street")
    where = Scene("s", 0.0, RobotState(20.0, 1.5, 0.0))
    program = compile_program((Step("drive", {"distance_m": 20.0}),), {}, where, car, street)
    check_program(program, car, street)
    fast = tuple(replace(s, cruise_mps=8.5) for s in program.segments)
    with pytest.raises(ValueError, match="cruise_mps"):
        check_program(replace(program, segments=fast), car, street)
    with pytest.raises(ValueError, match="not for robot car"):
        check_program(Program((Straight(0, 5.0, 1.0),), (20.0, 1.5, 0.0)), car, street)
