"""Rehearse a program in the twin of the perceived scene: N perturbed rollouts under the controllers that drive it."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from jpai_agent.control import Command, Program, ProgramRunner, RoadRunner, View
from jpai_agent.control.runner import LOOKS
from jpai_agent.control.segments import Drive
from jpai_agent.twin.config import RehearsalConfig, load_rehearsal
from jpai_agent.twin.crowd import Crowd
from jpai_agent.twin.judge import Judgement, Recording, judge, main_reason
from jpai_agent.twin.perturb import Perturbation, draw
from jpai_agent.twin.physics import RolloutPhysics
from jpai_agent.twin.road_config import RoadRehearsalConfig
from jpai_agent.twin.road_rehearse import rehearse_drive
from jpai_agent.twin.shorten import shortened
from jpai_agent.twin.verdict import Binding, Verdict
from jpai_agent.twin.zones import kept_out
from jpai_agent.world.map import WorldMap
from jpai_agent.world.robot import RobotSpec
from jpai_agent.world.scene import Scene

PATH_STEP_S = 0.2


def rehearse(program: Program, scene: Scene, robot: RobotSpec, world_map: WorldMap, binding: Binding, *,
             rollouts: int | None = None, seed: int = 0, progress: ProgramRunner | RoadRunner | None = None, lead_s: float = 0.0,
             config: RehearsalConfig | RoadRehearsalConfig | None = None) -> Verdict:
    """Run the program in perturbed twins of the scene and judge it. The same inputs give the same verdict.

    It passes when the unperturbed rollout passes and at least config.pass_rate of all do. A rollout in which the
    physics diverged makes the verdict "invalid". Long waits and follows are rehearsed for as long as the config says,
    look_for as a whole turn that finds its object last.

    Args:
        program: To rehearse, from `scene.robot`.
        scene: What the robot believes now. world_map: for the walls.
        binding: What the verdict is to be bound to.
        rollouts: N, by default the config's. seed: of the perturbations.
        progress: The runner that is under way, when only the rest of the program is left; its clock is the scene's.
        lead_s: The robot carries on at its present speed for so long before it sets out (as in `compile_program`).
        config: By default `config/rehearsal.yaml`, for a car `config/rehearsal_car.yaml`. A car is rehearsed by
            `road_rehearse`: a reduced model, other road users, lights and the rules of the road.

    Raises TypeError for a config or progress of the other kind of robot.
    """
    if robot.ackermann is not None:
        if isinstance(config, RehearsalConfig) or isinstance(progress, ProgramRunner):
            raise TypeError("the rehearsal of a car takes a RoadRehearsalConfig and a RoadRunner")
        driven = rehearse_drive(program, scene, robot, world_map, binding, rollouts=rollouts, seed=seed, progress=progress,
                                lead_s=lead_s, config=config)
        return kept_out(driven, program, robot, world_map.rules)
    if isinstance(config, RoadRehearsalConfig) or isinstance(progress, RoadRunner):
        raise TypeError(f"the rehearsal of {robot.name} takes a RehearsalConfig and a ProgramRunner")
    begun = time.perf_counter()
    config = config or load_rehearsal()
    n, tick_s = rollouts or config.rollouts, 1.0 / robot.control_rate_hz
    short, cut_s = shortened(program, config.horizon.longest_wait_s, config.horizon.longest_follow_s)
    if progress is None:
        runner = ProgramRunner(short, robot, n)
    else:
        runner = progress.repeated(n)
        runner.program = short
    allowed_s = lead_s + short.duration_s(robot) * config.horizon.factor + config.horizon.margin_s
    horizon_s = min(allowed_s, config.horizon.longest_s)
    rng = np.random.default_rng(seed)
    drawn = draw(scene, robot, config, rollouts=n, ticks=round(horizon_s / tick_s), tick_s=tick_s, rng=rng)
    recording = _Rollouts(scene, robot, world_map, drawn, config, tick_s, rng).run(runner, lead_s)
    judgement = judge(recording, drawn.boxes, drawn.mover_radii_m, world_map.bounds_m,
                      (robot.length_m / 2, robot.width_m / 2), config.judge, tick_s, world_map.rules)
    return _verdict(judgement, recording, scene, binding, config, tick_s, cut_s, begun)


@dataclass
class _Rollouts:
    """One rehearsal under way."""

    scene: Scene
    robot: RobotSpec
    world_map: WorldMap
    drawn: Perturbation
    config: RehearsalConfig
    tick_s: float
    rng: np.random.Generator

    def run(self, runner: ProgramRunner, lead_s: float) -> Recording:
        """Carry on for lead_s, then run to the end of the horizon or of all rollouts."""
        drawn, scene, n = self.drawn, self.scene, self.drawn.rollouts
        rules, half_m = self.config.judge, (self.robot.length_m / 2, self.robot.width_m / 2)
        physics = RolloutPhysics(self.robot, self.world_map, drawn, timestep_s=self.config.timestep_s,
                                 tick_s=self.tick_s, threads=self.config.threads)
        physics.set_speed(scene.robot.v_mps, scene.robot.w_radps)
        crowd = Crowd(drawn, self.config.people, self.world_map.bounds_m, half_m, rules.moving_mps, self.tick_s,
                      self.rng)
        boxes = np.array([[o.x_m, o.y_m, o.yaw_rad, o.half_x_m, o.half_y_m] for o in scene.obstacles])
        boxes = boxes.reshape(1, -1, 5)
        box_ids, mover_ids = tuple(o.id for o in scene.obstacles), tuple(m.id for m in scene.movers)

        active, looks = np.ones(n, dtype=bool), np.zeros(n, dtype=int)
        ends, outcome = np.zeros(n, dtype=int), ["timeout"] * n
        carry_on = Command(np.full(n, scene.robot.v_mps), np.full(n, scene.robot.w_radps))
        rows: list[tuple[np.ndarray, ...]] = []
        ticks = len(drawn.pose_errors)
        for tick in range(ticks):
            ends[active] = tick + 1
            view = View(scene.stamp_s + tick * self.tick_s, physics.pose + drawn.pose_errors[tick],
                        physics.speed + drawn.speed_errors[tick], boxes, self._movers(crowd, physics.pose), mover_ids,
                        box_ids)
            before = runner.segment.copy()
            command = carry_on if tick * self.tick_s < lead_s else runner.tick(view, self.tick_s)
            if (looking := runner.wants_look.copy()).any():
                looks[looking] += 1
                runner.looked(found=bool(looks[looking].max() >= LOOKS))
            rows.append((physics.pose, physics.speed[:, 0], physics.up, physics.contact.copy(), crowd.xy, before,
                         self._missed(runner, before, physics.pose)))
            struck = physics.contact & (np.abs(physics.speed[:, 0]) > rules.moving_mps)
            for i in np.flatnonzero(active & (runner.finished | struck | physics.diverged)):
                fault = "collision" if struck[i] else "diverged"
                outcome[i] = "done" if runner.succeeded[i] else runner.failed[i] or fault
                active[i] = False
            if not active.any():
                break
            speed_mps = np.abs(physics.speed[:, 0])
            crowd.advance(tick, physics.pose, speed_mps)
            physics.advance(np.stack([command.v_mps, command.w_radps], axis=1), crowd.xy, active)
        pose, v, up, contact, mover_xy, segment, missed = (np.stack(values) for values in zip(*rows, strict=True))
        steps = np.array([s.step for s in runner.program.segments] or [0])
        exempt = np.array([m in runner.program.target_ids for m in mover_ids], dtype=bool)
        step = steps[np.minimum(segment, len(steps) - 1)]
        return Recording(pose, np.abs(v), up, contact, mover_xy, step, missed, ends, outcome,
                         np.broadcast_to(exempt, mover_xy.shape[:3]), physics.diverged)

    def _movers(self, crowd: Crowd, poses: np.ndarray) -> np.ndarray:
        """(N, M, 5) what the controllers are told of movers; NaN rows are out of sight."""
        xy, velocity = crowd.told()
        radii = np.broadcast_to(self.drawn.mover_radii_m[:, None], (*xy.shape[:2], 1))
        told = np.concatenate([xy, velocity, radii], axis=2)
        told[~crowd.seen(poses)] = np.nan
        return told

    def _missed(self, runner: ProgramRunner, before: np.ndarray, poses: np.ndarray) -> np.ndarray:
        """(N,) whether a path has just been taken for driven to its end with base_link truly elsewhere."""
        missed = np.zeros(len(before), dtype=bool)
        for row in np.flatnonzero(runner.segment > before):
            segment = runner.program.segments[before[row]]
            if isinstance(segment, Drive):
                missed[row] = np.hypot(*(poses[row, :2] - segment.points[-1])) > self.config.judge.goal_m
        return missed


def _verdict(judgement: Judgement, recording: Recording, scene: Scene, binding: Binding, config: RehearsalConfig,
             tick_s: float, cut_s: float, begun: float) -> Verdict:
    reasons = judgement.reasons
    passed = np.array([not reason for reason in reasons])
    rate = float(passed.mean())
    if "diverged" in reasons:
        status, reason = "invalid", "diverged"
    elif passed[0] and rate >= config.pass_rate:
        status, reason = "pass", ""
    else:
        status, reason = "fail", main_reason(reasons)
    failed_step = None
    if not passed.all():
        first = int(np.argmin(judgement.failed_rows))
        failed_step = int(recording.step[judgement.failed_rows[first], first])
    stride = max(1, round(PATH_STEP_S / tick_s))
    paths = [np.round(recording.pose[:end:stride, i], 3).tolist() for i, end in enumerate(recording.ends)]
    alive = np.arange(len(recording.pose))[:, None] < recording.ends
    return Verdict(
        id="", status=status, made_at_s=scene.stamp_s, rollouts=len(reasons), pass_rate=rate,
        binding=binding, failed_step=failed_step, reason=reason, min_clearance_m=float(judgement.clearance_m.min()),
        duration_s=float(np.median(recording.ends[passed]) * tick_s + cut_s) if passed.any() else 0.0,
        peak_speed_mps=float(recording.speed_mps[alive].max()), paths=paths, swept=[point[:2] for point in paths[0]],
        wall_s=time.perf_counter() - begun, min_ttc_s=float(judgement.ttc_s.min()), violations=judgement.violations).sealed()
