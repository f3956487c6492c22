"""A run that never was: a real scene and real pictures of it, with events, rollouts and a path made up around them."""

from __future__ import annotations

import math
from collections.abc import Iterator

import mujoco
import numpy as np

from jpai_agent.agent.events import Decided, Event, Finished, Grounded, Heard, Planned, Rehearsed, Replied, StepStarted
from jpai_agent.control import Program
from jpai_agent.control.segments import Drive, Wait
from jpai_agent.perception.geometry import project
from jpai_agent.plan import ActionPlan, Step, Target
from jpai_agent.record.recorder import RunRecorder
from jpai_agent.twin.render import SceneRenderer
from jpai_agent.twin.verdict import Binding, Verdict
from jpai_agent.twin.worlds import build_yard, place_movers
from jpai_agent.world.map import load_map
from jpai_agent.world.objects import Motion, ObjectSpec, footprint
from jpai_agent.world.robot import load_robot
from jpai_agent.world.scene import GroundedTarget, Mover, Obstacle, RobotState, Scene
from jpai_agent.world.sensors import Image

START = (-7.0, -1.5, math.radians(12.0))
OBJECTS = (
    ObjectSpec("a", "box", (-1.2, 0.6, 10), "red", "large"),
    ObjectSpec("b", "drum", (-2.8, -2.4, 0), "blue"),
    ObjectSpec("c", "cone", (-3.6, 1.4, 0)),
    ObjectSpec("d", "shelf", (3.0, -1.5, 90), "gray"),
    ObjectSpec("e", "pallet", (1.5, 3.4, 20)),
    ObjectSpec("f", "plant", (5.5, 4.5, 0)),
    ObjectSpec("g", "handcart", (-8.5, 4.0, 45), "blue"),
    ObjectSpec("h", "desk", (6.0, -4.4, 0)),
    ObjectSpec("w", "worker", (0.6, -3.0, 90), motion=Motion(((0.6, -3.0), (0.6, 3.0)), 0.9, 2.0)),
)
PLAN = ActionPlan(
    "act",
    (
        Step("go_to", {"target": Target("赤い箱", "front", (500, 500))}),
        Step("wait", {"duration_s": 3.0}),
        Step("go_to", {"target": Target("充電ステーション", place="dock")}),
    ),
    reply="赤い箱の手前で3秒待ってから、充電ステーションへ戻ります。",
)
SAID = "赤い箱の手前まで行って、3秒待ってから充電ステーションに戻って"


def smooth(points: list[tuple[float, float]], step_m: float = 0.05) -> np.ndarray:
    """A rounded path (N, 2) through the points."""
    coarse = np.array(points, float)
    for _ in range(3):  # Chaikin's corner cutting
        inner = np.stack(
            [0.75 * coarse[:-1] + 0.25 * coarse[1:], 0.25 * coarse[:-1] + 0.75 * coarse[1:]], axis=1
        ).reshape(-1, 2)
        coarse = np.vstack([coarse[:1], inner, coarse[-1:]])
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(coarse, axis=0), axis=1))])
    at = np.linspace(0.0, along[-1], max(2, int(along[-1] / step_m)))
    return np.stack([np.interp(at, along, coarse[:, i]) for i in (0, 1)], axis=1)


def with_headings(path: np.ndarray) -> np.ndarray:
    """(N, 3) with the direction of travel."""
    way = np.gradient(path, axis=0)
    return np.column_stack([path, np.arctan2(way[:, 1], way[:, 0])])


class MadeUpRun:
    """A cart that goes to the red box, waits and returns to the dock, and what the agent would tell of it."""

    def __init__(self, renderer: SceneRenderer, seed: int = 4) -> None:
        self.robot, self.world = load_robot("cart"), load_map("yard")
        self.seed, self.rng = seed, np.random.default_rng(seed)
        self._renderer = renderer
        pose = (START[0], START[1], math.degrees(START[2]))
        spec = build_yard(OBJECTS, robot_pose=pose, appearance=np.random.default_rng(seed))
        self._model = spec.compile()
        self._data = mujoco.MjData(self._model)
        self.there = smooth([START[:2], (-5.0, -0.9), (-3.4, 0.0), (-2.35, 0.3)])
        self.back = smooth([(-2.35, 0.3), (-4.0, -0.6), (-7.5, -0.6), (-9.5, 0.0), (-11.0, 0.0)])
        self.plan = self._pointed()
        self.scene = self._scene()
        self.program = Program(
            (
                Drive(0, 0.8, tuple(map(tuple, self.there))),
                Wait(1, 0.8, 3.0),
                Drive(2, 0.8, tuple(map(tuple, self.back))),
            ),
            START,
        )
        self.frame = Image("front", 0.0, self.picture("front"))

    def picture(self, camera: str, pose: np.ndarray | None = None, time_s: float = 0.0) -> np.ndarray:
        """A picture (480, 640, 3) from a camera with the robot at a pose."""
        self._renderer.load(self._model)
        if pose is not None:
            self._data.qpos[:7] = (
                pose[0],
                pose[1],
                self._data.qpos[2],
                math.cos(pose[2] / 2),
                0,
                0,
                math.sin(pose[2] / 2),
            )
        place_movers(self._model, self._data, OBJECTS, time_s)
        mujoco.mj_forward(self._model, self._data)
        return self._renderer.color(self._data, camera)

    def drive(self, rate_hz: float = 20.0) -> Iterator[tuple[float, int, np.ndarray, float]]:
        """(time, step, pose, speed) of the made-up drive."""
        time_s = 1.5
        for step, path in ((0, self.there), (1, self.there[-1:]), (2, self.back)):
            poses = (
                with_headings(path)
                if len(path) > 1
                else np.repeat(with_headings(self.there)[-1:], round(3 * rate_hz), axis=0)
            )
            moving = len(path) > 1
            for pose in poses[:: max(1, round(0.8 / rate_hz / 0.05))] if moving else poses:
                yield time_s, step, pose, 0.8 if moving else 0.0
                time_s += 1.0 / rate_hz

    def events(self, turn: int = 0, said: str = SAID, status: str = "pass") -> list[Event]:
        """What happens until the plan is under way."""
        targets = {
            0: GroundedTarget("赤い箱", -1.55, 0.55, "object", object_id="a"),
            2: GroundedTarget("充電ステーション", -11.0, 0.0, "place"),
        }
        return [
            Heard(0.0, turn, said),
            Planned(0.5, turn, self.frame, self.plan, self.plan.to_json(), 182.0, "", {"decode": 61.0}),
            Grounded(0.5, turn, self.scene, targets),
            Rehearsed(1.0, turn, self.program, self.verdict(status), 912.0),
            Decided(1.0, turn, "act", None, self.plan),
            Replied(1.0, turn, self.plan.reply or ""),
        ]

    def question(self, turn: int = 0) -> list[Event]:
        """A turn that ends in a question."""
        plan = ActionPlan("ask", reason="ambiguous", reply="箱が2つあります。どちらの箱でしょうか？")
        return [
            Heard(30.0, turn, "箱のところへ行って"),
            Planned(30.5, turn, self.frame, plan, plan.to_json(), 140.0),
            Decided(30.5, turn, "ask", "ambiguous", plan),
            Replied(30.5, turn, plan.reply or ""),
            Finished(30.5, turn, "answered"),
        ]

    def record(self, recorder: RunRecorder) -> None:
        """Play it all to a recorder."""
        for event in self.events():
            recorder(event)
        # drawn anew for each record: what one test is given must not hang on those before it
        reached, rng = -1, np.random.default_rng((self.seed, 1))
        for time_s, step, pose, speed in self.drive():
            if step != reached:
                recorder(StepStarted(time_s, 0, step))
                reached = step
            believed = pose + rng.normal(0.0, 0.01, 3)
            recorder.tick(time_s, self.scene, RobotState(*believed, v_mps=speed), (speed, 0.0), pose + 0.06)
        recorder(Finished(time_s, 0, "done"))

    def verdict(self, status: str = "pass") -> Verdict:
        """A verdict with 32 rollouts around the path."""
        whole = with_headings(np.vstack([self.there, self.back]))[::4]
        drift, rng = np.linspace(0, 1, len(whole))[:, None], np.random.default_rng((self.seed, 2))
        paths = [
            (whole + drift * rng.normal(0, [0.12, 0.12, 0.0]) + rng.normal(0, 0.008, whole.shape)).tolist()
            for _ in range(32)
        ]
        bound = Binding("p", "q", self.scene.sha256(), "r", "m", "t")
        if status == "pass":
            return Verdict(
                "v-1", "pass", 1.0, 32, 1.0, bound, None, "", 0.42, 21.3, 0.83, paths, self.there.tolist(), 0.9
            )
        return Verdict("v-1", "fail", 1.0, 32, 20 / 32, bound, 0, "collision", 0.0, 0.0, 0.8, paths, [], 0.9)

    def _pointed(self) -> ActionPlan:
        box = np.array([-1.2 - START[0], 0.6 - START[1]])
        cos, sin = math.cos(START[2]), math.sin(START[2])
        ahead = np.array([[cos * box[0] + sin * box[1], -sin * box[0] + cos * box[1], 0.4]])
        point = project(self.robot.camera("front"), ahead)[0]
        step = PLAN.steps[0].with_target(Target("赤い箱", "front", (round(point[0]), round(point[1]))))
        return ActionPlan("act", (step, *PLAN.steps[1:]), reply=PLAN.reply)

    def _scene(self) -> Scene:
        obstacles, movers = [], []
        for thing in OBJECTS:
            ground = footprint(thing)
            x, y = ground.x + self.rng.normal(0, 0.03), ground.y + self.rng.normal(0, 0.03)
            if thing.moves:
                movers.append(Mover(thing.id, x, y, 0.05, 0.88, 0.35, 1.7, 0.0))
            else:
                obstacles.append(
                    Obstacle(
                        thing.id,
                        x,
                        y,
                        math.radians(ground.heading_deg),
                        ground.half_x,
                        ground.half_x if ground.round else ground.half_y,
                        thing.dimensions_m[2],
                    )
                )
        return Scene("s-1", 0.0, RobotState(*START), tuple(obstacles), tuple(movers))
