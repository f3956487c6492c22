"""Zones in the planner: ways lead round them, plans into them are refused by the zone's name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from plant import CART, HALF_M, YARD, at, box, scene, spot

from jpai_agent.control import Program, ProgramError, compile_program
from jpai_agent.control.paths import headings
from jpai_agent.control.segments import Drive
from jpai_agent.plan import Step, Target
from jpai_agent.world.map import Place
from jpai_agent.world.scene import GroundedTarget, RobotState
from jpai_agent.world.zones import SiteRules, Zone

ZONE = Zone("pit", "ピット", ((3.0, -1.0), (5.0, -1.0), (5.0, 1.0), (3.0, 1.0)))
SITE = replace(YARD, rules=SiteRules((ZONE,), 1.0))
GO = Step("go_to", {"target": Target("床", "front", (500, 500))})
MOVE = Step("move", {"distance_m": 3.5})


def made(where, *steps, targets=None, home=None) -> Program:
    return compile_program(steps, targets or {}, where, CART, SITE, home=home)


def refused(where, *steps, **more) -> ProgramError:
    with pytest.raises(ProgramError) as error:
        made(where, *steps, **more)
    return error.value


def test_a_way_leads_round_a_zone() -> None:
    segments = made(scene(), GO, targets={0: spot(8.0, 0.0)}).segments
    path = np.concatenate([np.array(s.points) for s in segments if isinstance(s, Drive)])
    poses = np.concatenate([path, headings(path)[:, None]], axis=1)
    assert ZONE.gap_m(poses, HALF_M).min() > 0.02
    assert np.hypot(*(path[-1] - [8.0, 0.0])) < 0.01


@pytest.mark.parametrize("target", [spot(4.0, 0.5), spot(3.05, 0.0), GroundedTarget("柵", 4.5, 0.0, "place")])
def test_a_goal_in_a_zone_is_refused_by_its_name(target: GroundedTarget) -> None:
    error = refused(scene(), Step("wait", {"duration_s": 1.0}), GO, targets={1: target})
    assert (error.reason, error.step, error.about) == ("keep_out", 1, "ピット")


def test_driving_straight_into_a_zone_is_refused() -> None:
    assert refused(scene(), MOVE).about == "ピット"
    assert made(scene(), Step("move", {"distance_m": 2.5})).segments


def test_home_in_a_zone_is_refused() -> None:
    assert refused(scene(), Step("return_home"), home=(4.0, 0.0, 0.0)).reason == "keep_out"


def test_a_thing_at_the_edge_of_a_zone_is_gone_to_as_far_as_the_zone() -> None:
    edge, middle = box("edge", 3.2, 0.0, 0.1), box("middle", 4.5, 0.0, 0.1)
    path = made(scene(edge), GO, targets={0: at(edge)}).segments[0].points
    assert path[-1][0] < 3.0 - HALF_M[0]
    assert refused(scene(middle), GO, targets={0: at(middle)}).about == "ピット"


def test_a_robot_that_stands_in_a_zone_may_leave_it() -> None:
    inside = replace(scene(), robot=RobotState(4.0, 0.5, 1.57))
    assert made(inside, GO, targets={0: spot(4.0, 4.0)}).segments
    assert made(inside, MOVE).segments


def test_a_zone_across_the_yard_leaves_no_way() -> None:
    band = Zone("band", "柵の中", ((3.0, -8.0), (5.0, -8.0), (5.0, 8.0), (3.0, 8.0)))
    with pytest.raises(ProgramError):
        compile_program((GO,), {0: spot(8.0, 0.0)}, scene(), CART, replace(YARD, rules=SiteRules((band,))))


def test_the_site_s_speed_limit_holds() -> None:
    assert refused(scene(), Step("set_speed", {"speed": 1.1}), Step("move", {"distance_m": 1.0})).reason == "too_fast"
    steps = Step("set_speed", {"factor": 3.0}), Step("move", {"distance_m": 1.0})
    assert made(scene(), *steps).segments[0].cruise_mps == 1.0


def test_a_landmark_of_the_map_may_lie_in_a_zone_without_being_reached() -> None:
    site = replace(SITE, places=(*SITE.places, Place("pit", ("ピット",), 4.0, 0.0)))
    with pytest.raises(ProgramError) as error:
        compile_program((GO,), {0: GroundedTarget("ピット", 4.0, 0.0, "place")}, scene(), CART, site)
    assert error.value.reason == "keep_out"
