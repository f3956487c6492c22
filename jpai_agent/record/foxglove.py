"""Messages in Foxglove's well-known JSON schemas, and the schemas: frames, pictures, 3-D scenes and log lines.

Names and members are those of Foxglove's message schemas (docs.foxglove.dev, "Message schemas"); a viewer knows a message by its
schema's name. Metres, radians; frames as in REP 105, of pictures the optical one (x right, y down, z ahead).
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from jpai_agent.world.robot import CameraSpec
from jpai_agent.world.sensors import Image

Schema = Mapping[str, Any]
Message = dict[str, Any]
Color = tuple[int, int, int]

NUMBER: Schema = {"type": "number"}
STRING: Schema = {"type": "string"}
BOOLEAN: Schema = {"type": "boolean"}
INTEGER: Schema = {"type": "integer"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_BYTES: Schema = {"type": "string", "contentEncoding": "base64"}
_NSEC: Schema = {"type": "integer", "minimum": 0, "maximum": 999_999_999}
_TIME: Schema = {"type": "object", "title": "time", "properties": {"sec": _COUNT, "nsec": _NSEC}}
_DURATION: Schema = {"type": "object", "title": "duration", "properties": {"sec": INTEGER, "nsec": _NSEC}}


def object_schema(title: str, **members: Schema) -> Schema:
    """A schema of an object with these members, all of which it must have."""
    return {"title": title, "type": "object", "properties": members, "required": list(members)}


def lacking(schema: Schema, *optional: str) -> Schema:
    """The schema of an object that need not have some of its members."""
    return {**schema, "required": [name for name in schema["required"] if name not in optional]}


def array_schema(items: Schema, length: int | None = None) -> Schema:
    """A schema of an array, of one length where that is given."""
    return {"type": "array", "items": items} | ({} if length is None else {"minItems": length, "maxItems": length})


def _one_of(title: str, names: Iterable[str]) -> Schema:
    return {"title": f"foxglove.{title}", "oneOf": [{"title": name, "const": value} for value, name in enumerate(names)]}


_VECTOR = object_schema("foxglove.Vector3", x=NUMBER, y=NUMBER, z=NUMBER)
_POINTS = array_schema(object_schema("foxglove.Point3", x=NUMBER, y=NUMBER, z=NUMBER))
_QUATERNION = object_schema("foxglove.Quaternion", x=NUMBER, y=NUMBER, z=NUMBER, w=NUMBER)
_POSE = object_schema("foxglove.Pose", position=_VECTOR, orientation=_QUATERNION)
_COLOR = object_schema("foxglove.Color", r=NUMBER, g=NUMBER, b=NUMBER, a=NUMBER)
_MESH: Mapping[str, Schema] = {"points": _POINTS, "color": _COLOR, "colors": array_schema(_COLOR),
                               "indices": array_schema(_COUNT)}
_PRIMITIVES: Mapping[str, Schema] = {
    "arrows": object_schema("foxglove.ArrowPrimitive", pose=_POSE, shaft_length=NUMBER, shaft_diameter=NUMBER,
                            head_length=NUMBER, head_diameter=NUMBER, color=_COLOR),
    "cubes": object_schema("foxglove.CubePrimitive", pose=_POSE, size=_VECTOR, color=_COLOR),
    "spheres": object_schema("foxglove.SpherePrimitive", pose=_POSE, size=_VECTOR, color=_COLOR),
    "cylinders": object_schema("foxglove.CylinderPrimitive", pose=_POSE, size=_VECTOR, bottom_scale=NUMBER, top_scale=NUMBER,
                               color=_COLOR),
    "lines": object_schema("foxglove.LinePrimitive", type=_one_of("LineType", ("LINE_STRIP", "LINE_LOOP", "LINE_LIST")),
                           pose=_POSE, thickness=NUMBER, scale_invariant=BOOLEAN, **_MESH),
    "triangles": object_schema("foxglove.TriangleListPrimitive", pose=_POSE, **_MESH),
    "texts": object_schema("foxglove.TextPrimitive", pose=_POSE, billboard=BOOLEAN, font_size=NUMBER, scale_invariant=BOOLEAN,
                           color=_COLOR, text=STRING),
    "models": object_schema("foxglove.ModelPrimitive", pose=_POSE, scale=_VECTOR, color=_COLOR, override_color=BOOLEAN,
                            url=STRING, media_type=STRING, data=_BYTES),
}
_ENTITY = object_schema(
    "foxglove.SceneEntity", timestamp=_TIME, frame_id=STRING, id=STRING, lifetime=_DURATION, frame_locked=BOOLEAN,
    metadata=array_schema(object_schema("foxglove.KeyValuePair", key=STRING, value=STRING)),
    **{name: array_schema(schema) for name, schema in _PRIMITIVES.items()})
_DELETION = object_schema("foxglove.SceneEntityDeletion", timestamp=_TIME, id=STRING,
                          type=_one_of("SceneEntityDeletionType", ("MATCHING_ID", "ALL")))
_TRANSFORM = object_schema("foxglove.FrameTransform", timestamp=_TIME, parent_frame_id=STRING, child_frame_id=STRING,
                           translation=_VECTOR, rotation=_QUATERNION)
LEVELS = ("UNKNOWN", "DEBUG", "INFO", "WARNING", "ERROR", "FATAL")

SCHEMAS: Mapping[str, Schema] = {schema["title"]: schema for schema in (
    object_schema("foxglove.FrameTransforms", transforms=array_schema(_TRANSFORM)),
    object_schema("foxglove.SceneUpdate", deletions=array_schema(_DELETION), entities=array_schema(_ENTITY)),
    object_schema("foxglove.CompressedImage", timestamp=_TIME, frame_id=STRING, data=_BYTES, format=STRING),
    object_schema("foxglove.CameraCalibration", timestamp=_TIME, frame_id=STRING, width=_COUNT, height=_COUNT,
                  distortion_model=STRING, D=array_schema(NUMBER), K=array_schema(NUMBER, 9), R=array_schema(NUMBER, 9),
                  P=array_schema(NUMBER, 12)),
    object_schema("foxglove.Log", timestamp=_TIME, level=_one_of("LogLevel", LEVELS), message=STRING, name=STRING, file=STRING,
                  line=_COUNT),
)}

_IDENTITY = {"x": 0.0, "y": 0.0, "z": 0.0, "w": 1.0}


def time_of(time_s: float) -> Message:
    """A time or duration in seconds, not before 0."""
    sec, nsec = divmod(nanoseconds(time_s), 1_000_000_000)
    return {"sec": sec, "nsec": nsec}


def nanoseconds(time_s: float) -> int:
    """Seconds as whole nanoseconds, not before 0."""
    return max(0, round(time_s * 1e9))


def vector(x: float, y: float, z: float) -> Message:
    """A vector or point, to the tenth of a millimetre."""
    return {"x": round(float(x), 4), "y": round(float(y), 4), "z": round(float(z), 4)}


def turned(yaw_rad: float) -> Message:
    """The quaternion of a heading."""
    return {"x": 0.0, "y": 0.0, "z": round(math.sin(yaw_rad / 2), 6), "w": round(math.cos(yaw_rad / 2), 6)}


def pose(x: float, y: float, z: float = 0.0, yaw_rad: float = 0.0) -> Message:
    """A pose."""
    return {"position": vector(x, y, z), "orientation": turned(yaw_rad)}


def color(rgb: Color, alpha: float = 1.0) -> Message:
    """A colour of three bytes."""
    return {name: round(value / 255, 3) for name, value in zip("rgb", rgb, strict=True)} | {"a": alpha}


def transform(time_s: float, parent: str, child: str, translation: Message, rotation: Message) -> Message:
    """Where a frame is in another one, at one time."""
    return {"timestamp": time_of(time_s), "parent_frame_id": parent, "child_frame_id": child, "translation": translation,
            "rotation": rotation}


def optical_frame(camera: str) -> str:
    """Name of the frame that a camera's pictures are in."""
    return f"camera_{camera}_optical_frame"


def mounting(time_s: float, camera: CameraSpec) -> Message:
    """Where a camera's optical frame is in base_link."""
    half = math.radians(camera.pitch_deg) / 2
    c, s = math.cos(half) / 2, math.sin(half) / 2
    # x right, y down, z ahead, then the turn about base_link's y by the pitch
    rotation = {"x": -c - s, "y": c + s, "z": s - c, "w": c - s}
    return transform(time_s, "base_link", optical_frame(camera.name), vector(*camera.position_m), rotation)


def picture(time_s: float, image: Image, quality: int = 85) -> Message:
    """A picture as JPEG. Raises OSError when it cannot be coded."""
    good, data = cv2.imencode(".jpg", cv2.cvtColor(image.rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not good:
        raise OSError(f"could not code a picture of camera {image.camera}")
    return {"timestamp": time_of(time_s), "frame_id": optical_frame(image.camera), "format": "jpeg",
            "data": base64.b64encode(np.asarray(data).tobytes()).decode("ascii")}


def calibration(time_s: float, camera: CameraSpec) -> Message:
    """A camera's intrinsics, without distortion."""
    focal, cx, cy = camera.focal_px, camera.width_px / 2, camera.height_px / 2
    return {"timestamp": time_of(time_s), "frame_id": optical_frame(camera.name), "width": camera.width_px,
            "height": camera.height_px, "distortion_model": "plumb_bob", "D": [0.0] * 5,
            "K": [focal, 0.0, cx, 0.0, focal, cy, 0.0, 0.0, 1.0], "R": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
            "P": [focal, 0.0, cx, 0.0, 0.0, focal, cy, 0.0, 0.0, 0.0, 1.0, 0.0]}


def log_line(time_s: float, level: str, message: str, name: str) -> Message:
    """A line of the log; level: one of LEVELS."""
    return {"timestamp": time_of(time_s), "level": LEVELS.index(level), "message": message, "name": name, "file": "", "line": 0}


def update(*entities: Message) -> Message:
    """Entities of a scene; each takes the place of the one of its id."""
    return {"deletions": [], "entities": list(entities)}


def entity(time_s: float, name: str, frame: str = "map", *, locked: bool = False, **primitives: Sequence[Message]) -> Message:
    """What is drawn under one id until it is replaced. locked: it moves with its frame."""
    drawn = {kind: list(primitives.get(kind, ())) for kind in _PRIMITIVES}
    return {"timestamp": time_of(time_s), "frame_id": frame, "id": name, "lifetime": time_of(0.0), "frame_locked": locked,
            "metadata": [], **drawn}


def box(at: Message, size: tuple[float, float, float], rgb: Color, alpha: float = 1.0) -> Message:
    """A cube or sphere around the middle `at`."""
    return {"pose": at, "size": vector(*size), "color": color(rgb, alpha)}


def cylinder(at: Message, radius_m: float, height_m: float, rgb: Color, alpha: float = 1.0) -> Message:
    """An upright cylinder around its middle."""
    return box(at, (2 * radius_m, 2 * radius_m, height_m), rgb, alpha) | {"bottom_scale": 1.0, "top_scale": 1.0}


def arrow(at: Message, length_m: float, rgb: Color) -> Message:
    """An arrow from `at` the way that its x axis looks."""
    head = min(0.2, length_m / 2)
    return {"pose": at, "shaft_length": round(length_m - head, 4), "shaft_diameter": 0.06, "head_length": round(head, 4),
            "head_diameter": 0.14, "color": color(rgb)}


def line(points: Iterable[Sequence[float]], rgb: Color, thickness_m: float, *, z_m: float = 0.02, alpha: float = 1.0,
         closed: bool = False) -> Message:
    """A polyline through points of which x and y are taken."""
    return {"type": int(closed), "pose": {"position": vector(0, 0, 0), "orientation": _IDENTITY}, "thickness": thickness_m,
            "scale_invariant": False, "points": [vector(p[0], p[1], z_m) for p in points], "color": color(rgb, alpha),
            "colors": [], "indices": []}


def text(at: Message, words: str, rgb: Color, size_m: float = 0.3) -> Message:
    """Words that face whoever looks."""
    return {"pose": at, "billboard": True, "font_size": size_m, "scale_invariant": False, "color": color(rgb), "text": words}
