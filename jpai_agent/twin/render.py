"""Turns a world into what a camera sees: colour, depth in metres, and which object each pixel shows.

Unlike `mujoco.Renderer` one renderer serves any image size and one model after another in the same GL context:
loading a scene then costs about 15 ms instead of 150, which is what rendering a training set is made of.
"""

from __future__ import annotations

import os
import sys
from types import TracebackType

import mujoco
import numpy as np

from jpai_agent.twin.worlds import object_of_geom

_MAX_GEOMS = 4000
Size = tuple[int, int]


class SceneRenderer:
    """Renders a model's cameras. Sizes are (width, height) in pixels, at most the model's offscreen buffer (1280×960).

    A renderer belongs to the thread that made it. Close it, or use it as a context manager. Raises ImportError or
    RuntimeError when no GL context can be made.
    """

    def __init__(self, model: mujoco.MjModel | None = None, *, shadows: bool = False) -> None:
        self._shadows = shadows
        self._context: mujoco.MjrContext | None = None
        self._gl: mujoco.GLContext | None = _headless_gl()
        self._option = mujoco.MjvOption()
        if model is not None:
            self.load(model)

    def load(self, model: mujoco.MjModel) -> None:
        """Render this model from now on; the one before is released."""
        self._make_current()
        self._release_context()
        shadow_px = model.vis.quality.shadowsize
        if not self._shadows:
            model.vis.quality.shadowsize = 0  # a shadow map that nobody draws would cost most of the loading time
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_50.value)
        model.vis.quality.shadowsize = shadow_px
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._context)
        self._context.readDepthMap = mujoco.mjtDepthMap.mjDEPTH_ZEROFAR
        self._scene = mujoco.MjvScene(model, maxgeom=_MAX_GEOMS)
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = self._shadows
        self._scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = False
        self._scene.flags[mujoco.mjtRndFlag.mjRND_FOG] = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_NUMERIC, "fog") >= 0
        self._model = model
        self._object_of_geom = object_of_geom(model)

    def color(
        self, data: mujoco.MjData, camera: str | mujoco.MjvCamera = "front", size: Size = (640, 480)
    ) -> np.ndarray:
        """(H, W, 3) uint8 RGB."""
        rect = self._render(data, camera, size, ids=False)
        pixels = np.empty((size[1], size[0], 3), dtype=np.uint8)
        mujoco.mjr_readPixels(pixels, None, rect, self._context)
        return np.ascontiguousarray(pixels[::-1])

    def depth(
        self, data: mujoco.MjData, camera: str | mujoco.MjvCamera = "front", size: Size = (320, 240)
    ) -> np.ndarray:
        """(H, W) float32 metres along the optical axis, inf where there is only sky."""
        rect = self._render(data, camera, size, ids=True)
        return self._read_depth(rect, size)

    def objects(
        self, data: mujoco.MjData, camera: str | mujoco.MjvCamera = "front", size: Size = (320, 240)
    ) -> np.ndarray:
        """(H, W) int32: index into `worlds.object_ids` of the object that a pixel shows, −1 for none."""
        return self.depth_and_objects(data, camera, size)[1]

    def depth_and_objects(
        self, data: mujoco.MjData, camera: str | mujoco.MjvCamera = "front", size: Size = (320, 240)
    ) -> tuple[np.ndarray, np.ndarray]:
        """`depth` and `objects` of one rendering."""
        rect = self._render(data, camera, size, ids=True)
        depth = self._read_depth(rect, size)
        pixels = np.empty((size[1], size[0], 3), dtype=np.uint8)
        mujoco.mjr_readPixels(pixels, None, rect, self._context)
        segment = pixels.astype(np.int32) @ np.array([1, 1 << 8, 1 << 16], dtype=np.int32)
        index = np.full(self._scene.ngeom + 1, -1, dtype=np.int32)
        for geom in self._scene.geoms[: self._scene.ngeom]:
            if geom.segid >= 0 and geom.objtype == mujoco.mjtObj.mjOBJ_GEOM:
                index[geom.segid + 1] = self._object_of_geom[geom.objid]
        return depth, np.ascontiguousarray(index[segment][::-1])

    def close(self) -> None:
        """Free what the graphics driver holds; a closed renderer renders no more."""
        if self._gl is not None:
            self._make_current()
            self._release_context()
            self._gl.free()
            self._gl = None

    def __enter__(self) -> SceneRenderer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _render(self, data: mujoco.MjData, camera: str | mujoco.MjvCamera, size: Size, *, ids: bool) -> mujoco.MjrRect:
        if self._context is None:
            raise RuntimeError("no model is loaded, or the renderer is closed")
        width, height = size
        limit = self._model.vis.global_
        if not (0 < width <= limit.offwidth and 0 < height <= limit.offheight):
            raise ValueError(f"image size {width}x{height} is outside 1x1 to {limit.offwidth}x{limit.offheight}")
        self._make_current()
        mujoco.mjv_updateScene(
            self._model, data, self._option, None, self._view(camera), mujoco.mjtCatBit.mjCAT_ALL.value, self._scene
        )
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SEGMENT] = ids
        self._scene.flags[mujoco.mjtRndFlag.mjRND_IDCOLOR] = ids
        rect = mujoco.MjrRect(0, 0, width, height)
        mujoco.mjr_render(rect, self._scene, self._context)
        return rect

    def _view(self, camera: str | mujoco.MjvCamera) -> mujoco.MjvCamera:
        if not isinstance(camera, str):
            return camera
        view = mujoco.MjvCamera()
        view.type = mujoco.mjtCamera.mjCAMERA_FIXED
        view.fixedcamid = self._model.camera(camera).id
        return view

    def _read_depth(self, rect: mujoco.MjrRect, size: Size) -> np.ndarray:
        raw = np.empty((size[1], size[0]), dtype=np.float32)
        mujoco.mjr_readPixels(None, raw, rect, self._context)
        near = self._model.vis.map.znear * self._model.stat.extent
        far = self._model.vis.map.zfar * self._model.stat.extent
        # the buffer holds reversed z: 1 at the near plane, 0 at the far plane
        metres = near * far / (near + raw[::-1].astype(np.float64) * (far - near))
        metres[raw[::-1] == 0.0] = np.inf
        return metres.astype(np.float32)

    def _make_current(self) -> None:
        if self._gl is None:
            raise RuntimeError("the renderer is closed")
        self._gl.make_current()

    def _release_context(self) -> None:
        if self._context is not None:
            self._context.free()
            self._context = None


def _headless_gl() -> mujoco.GLContext:
    """A GL context that needs no display, whatever was in the environment when mujoco was first imported."""
    if sys.platform == "linux" and os.environ.get("MUJOCO_GL", "egl") == "egl":
        from mujoco.egl import GLContext

        return GLContext(1280, 960)
    return mujoco.GLContext(1280, 960)
