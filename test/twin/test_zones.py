"""Zones on the road: plans that lead into one are refused, and so is any other program by its rehearsal."""

from __future__ import annotations

from dataclasses import replace

import pytest
from street_drives import BINDING, CAR, STREET, TO_SIGN, drive, scene

from jpai_agent.control import ProgramError, compile_program
from jpai_agent.plan import Step
from jpai_agent.twin.rehearse import rehearse
from jpai_agent.world.map import WorldMap
from jpai_agent.world.zones import SiteRules, Zone


def closed(x0: float, x1: float, y0: float = 0.0, y1: float = 3.0) -> WorldMap:
    """The town with the eastbound lane of the road y = 0 closed from x0 to x1."""
    works = Zone("works", "工事区間", ((x0, y0), (x1, y0), (x1, y1), (x0, y1)))
    return replace(STREET, rules=SiteRules((works,)))


def test_a_drive_through_a_closed_road_fails_and_one_beside_it_passes() -> None:
    program = drive(TO_SIGN, 30.0)
    through = rehearse(program, scene(TO_SIGN), CAR, closed(35.0, 45.0), BINDING, rollouts=4)
    assert (through.status, through.reason, through.failed_step, through.violations) == ("fail", "keep_out", 0, {"keep_out": 4})
    assert through.genuine
    beside = rehearse(program, scene(TO_SIGN), CAR, closed(35.0, 45.0, 2.6, 6.0), BINDING, rollouts=4)
    assert beside.passed and beside.genuine


def test_a_plan_into_a_closed_road_is_refused_by_its_name() -> None:
    with pytest.raises(ProgramError) as error:
        compile_program((Step("drive", {"distance_m": 30.0}),), {}, scene(TO_SIGN), CAR, closed(35.0, 45.0))
    assert (error.value.reason, error.value.step, error.value.about) == ("keep_out", 0, "工事区間")


def test_a_car_that_goes_on_by_itself_stops_before_a_closed_road() -> None:
    program = compile_program((Step("drive", {"distance_m": 10.0}),), {}, scene(TO_SIGN), CAR, closed(60.0, 70.0))
    last = program.segments[-1]
    assert last.carry_on and last.rests
    assert last.points[-1][0] + CAR.front_m == pytest.approx(58.0, abs=0.7)
    with pytest.raises(ProgramError):
        compile_program((Step("drive", {"distance_m": 37.0}),), {}, scene(TO_SIGN), CAR, closed(60.0, 70.0))
