"""The camera of the training pictures: renders a scene in a random look and spoils the picture as real cameras do."""

from __future__ import annotations

from types import TracebackType

import cv2
import mujoco
import numpy as np

from jpai_agent.train.scenes import Scene
from jpai_agent.twin.lights import LightPlan
from jpai_agent.twin.render import SceneRenderer
from jpai_agent.twin.worlds import build_world
from jpai_agent.world.known import WORLDS
from jpai_agent.world.map import load_map
from jpai_agent.world.robot import load_robot

_TILT_DEG, _SHIFT_M = 1.5, 0.02  # how far the camera's mounting varies


class FrameCamera:
    """Renders scenes of a robot's world with its front camera. Close it, or use it as a context manager."""

    def __init__(self, robot: str, render_size: tuple[int, int], mask_size: tuple[int, int]) -> None:
        self._world, self._xml = load_map(WORLDS[robot]), load_robot(robot).model_xml
        self._renderer = SceneRenderer()
        self._render_size, self._mask_size = render_size, mask_size

    def take(self, scene: Scene, rng: np.random.Generator, image_size: tuple[int, int]) -> tuple[np.ndarray,
                                                                                                     np.ndarray]:
        """The picture (height, width, 3) uint8 of image_size and the object mask (h, w) int32 of the mask size."""
        lights = LightPlan.of_episode(self._world.road, scene.lights) if self._world.road else None
        model = build_world(self._world, scene.objects, lights=lights, robot_pose=scene.robot_pose, appearance=rng,
                            robot_xml=self._xml).compile()
        _shake(model, rng)
        data = mujoco.MjData(model)
        mujoco.mj_forward(model, data)
        self._renderer.load(model)
        color = self._renderer.color(data, "front", self._render_size)
        mask = self._renderer.objects(data, "front", self._mask_size)
        return spoil(cv2.resize(color, image_size, interpolation=cv2.INTER_AREA), rng), mask

    def close(self) -> None:
        """Free the graphics context."""
        self._renderer.close()

    def __enter__(self) -> FrameCamera:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()


def _shake(model: mujoco.MjModel, rng: np.random.Generator) -> None:
    """Move and tilt the front camera a little, as mountings do."""
    camera = model.camera("front").id
    model.cam_pos[camera] += rng.uniform(-_SHIFT_M, _SHIFT_M, 3)
    tilt = np.zeros(4)
    pitch, roll = np.radians(rng.uniform(-_TILT_DEG, _TILT_DEG, 2))
    mujoco.mju_euler2Quat(tilt, np.array([pitch, 0.0, roll]), "xyz")  # the camera's x is right, its z backwards
    turned = np.zeros(4)
    mujoco.mju_mulQuat(turned, model.cam_quat[camera], tilt)
    model.cam_quat[camera] = turned


def spoil(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Exposure, gamma, white balance, blur, noise and JPEG of a (H, W, 3) uint8 picture, each at random strength."""
    gamma, gain = rng.uniform(0.8, 1.25), rng.uniform(0.8, 1.15)
    balance = gain * (1 + rng.uniform(-0.05, 0.05, 3))
    ramp = (np.arange(256) / 255.0) ** gamma
    table = (np.clip(ramp[:, None] * balance, 0, 1) * 255 + 0.5).astype(np.uint8)
    image = cv2.LUT(image, table.reshape(256, 1, 3))
    if rng.random() < 0.3:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 0.8))
    if rng.random() < 0.7:
        noise = rng.standard_normal(image.shape, dtype=np.float32) * rng.uniform(0.5, 5.0)
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        quality = int(rng.integers(50, 96))
        packed = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        image = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR))
    return image
