"""The rules of the road on made-up recordings: each is broken where it should be, and only there."""

import math

import numpy as np
import pytest
from street_drives import CAR, ROAD

from jpai_agent.twin.road_config import load_road_rehearsal
from jpai_agent.twin.road_contacts import Others, RoadRecording
from jpai_agent.twin.road_futures import PERSON, VEHICLE
from jpai_agent.twin.road_judge import judge_road
from jpai_agent.twin.road_signals import GREEN, RED, Signals

CONFIG, TICK_S = load_road_rehearsal(), 0.05


def along(x, y=81.5, yaw=0.0) -> np.ndarray:
    """(T, 3) poses at these x (T,)."""
    x = np.asarray(x, dtype=float)
    return np.stack([x, y + np.zeros_like(x), yaw + np.zeros_like(x)], axis=1)


def going(start_x, v_mps, seconds) -> np.ndarray:
    return start_x + v_mps * TICK_S * np.arange(round(seconds / TICK_S))


def signals(states) -> Signals:
    """Lights whose western head of (80, 80) shows these states (T,), the others red."""
    made = Signals(ROAD, (), CONFIG.lights, CONFIG.perception, rollouts=1, ticks=len(states), tick_s=TICK_S,
                   rng=np.random.default_rng(0))
    made.states[:] = RED
    made.states[:, 0, made.ids.index("light_80_80_west")] = states
    return made


def judged(poses, *, movers=(), boxes=(), lights=None, outcome="done", aside=0.0, kinds=None, stood_before=False):
    """Judge one rollout of poses (T, 3); movers: (half extents or radius, kind, states (T, 4))."""
    rows = len(poses)
    step = np.linalg.norm(np.diff(poses[:, :2], axis=0, append=poses[-1:, :2]), axis=1)
    step[-1] = step[-2] if rows > 1 else 0.0
    states = np.stack([m[2] for m in movers], axis=1)[:, None] if movers else np.zeros((rows, 1, 0, 4))
    recording = RoadRecording(poses[:, None], step[:, None] / TICK_S, np.full((rows, 1), aside), states,
                              np.zeros((rows, 1), dtype=int), np.zeros((rows, 1), dtype=bool), np.array([rows]), [outcome],
                              stood_before)
    half = np.array([m[0] if isinstance(m[0], tuple) else (m[0], m[0]) for m in movers], dtype=float).reshape(1, -1, 2)
    others = Others(np.array(boxes, dtype=float).reshape(1, -1, 5), np.array([m[1] for m in movers], dtype=int), half,
                    np.array([isinstance(m[0], tuple) for m in movers], dtype=bool))
    lights = signals(np.full(rows, GREEN) if lights is None else lights)
    return judge_road(recording, others, ROAD, lights, CAR, CONFIG.judge, TICK_S)


def mover(half, kind, x, y, yaw, v_mps):
    x, y = np.broadcast_arrays(np.asarray(x, dtype=float), np.asarray(y, dtype=float))
    return half, kind, np.stack([x, y, np.full(len(x), yaw), np.full(len(x), v_mps)], axis=1)


def test_driving_in_its_lane_breaks_nothing():
    judgement = judged(along(going(20, 8.0, 4.0)))
    assert (judgement.reasons, judgement.violations) == ([""], {})
    assert math.isinf(judgement.ttc_s[0])


@pytest.mark.parametrize(("red_after_s", "broken"), [(-1.0, True), (0.0, True), (0.4, True), (0.7, False), (2.0, False)])
def test_a_red_light_is_run_when_the_front_passes_the_line_later_than_the_grace_time(red_after_s, broken):
    x = going(60.0, 8.0, 2.0)
    # the front is over the line, 71 m, after 0.756 s
    assert np.interp(71.0 - CAR.front_m, x, np.arange(len(x)) * TICK_S) == pytest.approx(1.01, abs=0.02)
    lights = np.where(np.arange(len(x)) * TICK_S >= red_after_s + 0.2, RED, GREEN)
    assert judged(along(x), lights=lights).reasons == ["red_light" if broken else ""]


def stop_before_sign(stands_s, before_m=1.0):
    """A drive to before_m before the stop sign's line at x 71 of y 1.5, a standstill, and on."""
    stop = 71.0 - CAR.front_m - before_m
    stands = np.full(round(stands_s / TICK_S), stop)
    return along(np.concatenate([np.linspace(stop - 8.0, stop, 60), stands, np.linspace(stop, stop + 8.0, 60)]), 1.5)


@pytest.mark.parametrize(("stands_s", "before_m", "broken"),
                         [(1.3, 1.0, False), (0.6, 1.0, True), (0.0, 1.0, True), (3.0, 4.0, True), (1.3, 2.5, False)])
def test_a_stop_sign_wants_a_second_of_standstill_near_its_line(stands_s, before_m, broken):
    assert judged(stop_before_sign(stands_s, before_m)).reasons == ["stop_sign" if broken else ""]


def test_who_stood_there_before_the_rehearsal_has_stopped():
    poses = stop_before_sign(0.3)[60:]
    assert judged(poses).reasons == ["stop_sign"]
    assert judged(poses, stood_before=True).reasons == [""]


def test_a_little_over_the_limit_is_no_offence_and_more_for_half_a_second_is():
    assert judged(along(going(20, 8.5, 4.0))).reasons == [""]
    assert judged(along(going(20, 8.8, 4.0))).reasons == ["speed_limit"]
    assert judged(along(going(20, 8.8, 0.4))).reasons == [""]


def swerve(reach_m, seconds=8.0, v_mps=5.0):
    x = going(15, v_mps, seconds)
    aside = reach_m * np.exp(-(((x - 38.0) / 8.0) ** 4))
    return np.stack([x, 81.5 - aside, np.arctan(-np.gradient(aside, x))], axis=1)


def test_the_centre_line_may_be_crossed_only_to_pass_what_stands_when_nobody_comes():
    parked = (40.0, 81.3, 0.0, 2.1, 0.85)
    free = [mover((2.1, 0.85), VEHICLE, 120 - 0.35 * np.arange(160), 78.5, math.pi, 7.0)]
    comes = [mover((2.1, 0.85), VEHICLE, 70 - 0.2 * np.arange(160), 77.9, math.pi, 4.0)]
    assert judged(swerve(0.6)).reasons == [""]
    assert judged(swerve(2.4)).reasons == ["centre_line"]
    assert judged(swerve(2.4), boxes=[parked]).reasons == [""]
    assert judged(swerve(2.4), boxes=[parked], movers=free).reasons == [""]
    assert judged(swerve(2.4), boxes=[parked], movers=comes).violations["centre_line"] == 1


def test_who_begins_over_the_centre_line_may_be_led_back_when_nobody_comes():
    back = swerve(2.4)[100:]
    stays = along(going(40, 5.0, 8.0), y=79.1)
    comes = [mover((2.1, 0.85), VEHICLE, 70 - 0.2 * np.arange(60), 77.9, math.pi, 4.0)]
    assert judged(back).reasons == [""]
    assert judged(back, movers=comes).violations["centre_line"] == 1
    assert judged(stays).reasons == ["centre_line"]


def test_the_kerb_is_the_roads_end():
    assert judged(swerve(-1.2)).reasons == [""]
    assert judged(swerve(-2.6)).reasons == ["off_road"]


def test_turning_back_may_use_the_whole_road():
    angle = np.linspace(0.0, -math.pi, 160)
    radius = 3.6
    poses = np.stack([30 - radius * np.sin(angle), 83.0 - radius * (1 - np.cos(angle)), angle], axis=1)
    assert "centre_line" not in judged(poses).violations


def person_on_crosswalk(left_m, v_mps=0.0, yaw=math.pi / 2):
    """Somebody left_m to the left of the road's middle on the western crosswalk of (80, 80)."""
    return [mover(0.3, PERSON, np.full(80, 73.5), 80.0 + left_m + v_mps * math.sin(yaw) * TICK_S * np.arange(80), yaw, v_mps)]


def test_people_in_the_cars_half_of_a_crosswalk_are_waited_for():
    drive = along(going(55, 5.0, 4.0))
    assert "crosswalk" in judged(drive, movers=person_on_crosswalk(3.3)).violations
    assert "crosswalk" not in judged(drive, movers=person_on_crosswalk(-2.0)).violations
    assert "crosswalk" in judged(drive, movers=person_on_crosswalk(-3.0, 1.0)).violations
    assert "crosswalk" not in judged(drive, movers=person_on_crosswalk(-0.5, 1.0, -math.pi / 2)).violations


def test_who_could_not_have_stopped_is_judged_by_what_it_touches_alone():
    late = [mover(0.3, PERSON, np.full(80, 73.5), np.where(np.arange(80) < 50, 79.0, 80.6), math.pi / 2, 0.1)]
    assert "crosswalk" not in judged(along(going(55, 6.0, 4.0)), movers=late).violations


def test_touching_is_its_fault_when_it_drives_and_not_when_somebody_runs_up_from_behind():
    box = (40.0, 81.5, 0.0, 0.3, 0.3)
    assert judged(along(going(20, 5.0, 4.0)), boxes=[box]).reasons == ["collision"]
    standing = along(np.full(80, 30.0))
    behind = [mover((2.1, 0.85), VEHICLE, 22 + 0.1 * np.arange(80), 81.5, 0.0, 2.0)]
    assert judged(standing, movers=behind).reasons == [""]
    across = [mover((2.1, 0.85), VEHICLE, np.full(80, 31.0), 90 - 0.15 * np.arange(80), -math.pi / 2, 3.0)]
    assert judged(standing, movers=across).reasons == ["collision"]
    walker = [mover(0.3, PERSON, np.full(80, 31.0), 84 - 0.05 * np.arange(80), -math.pi / 2, 1.0)]
    assert judged(standing, movers=walker).reasons == [""]


def test_time_to_contact_is_that_of_going_on_and_gentle_approaches_are_no_near_miss():
    def braking(v_mps, brake_mps2, gap_m):
        """To a stop gap_m before a box at x 60."""
        stop = 60.0 - CAR.front_m - gap_m
        t = np.arange(round(v_mps / brake_mps2 / TICK_S) + 20) * TICK_S
        left = np.maximum(v_mps / brake_mps2 - t, 0.0)
        return along(stop - 0.5 * brake_mps2 * left**2)

    box = (60.3, 81.5, 0.0, 0.3, 0.3)
    gentle, hard = judged(braking(4.0, 1.5, 0.3), boxes=[box]), judged(braking(8.0, 6.0, 0.5), boxes=[box])
    assert gentle.reasons == [""]
    assert hard.reasons == ["near_miss"]
    assert hard.ttc_s[0] == pytest.approx(0.58, abs=0.15)
    assert hard.clearance_m[0] == pytest.approx(0.5, abs=0.05)


def test_sliding_and_giving_up_fail_by_their_names():
    assert judged(along(going(20, 8.0, 1.0)), aside=4.5).reasons == ["slide"]
    assert judged(along(going(20, 8.0, 1.0)), outcome="blocked").reasons == ["blocked"]
    assert judged(along(going(20, 8.0, 1.0)), outcome="under_way").reasons == [""]
