"""Messages into the package's types and back. Frames: map for scenes and targets, odom for odometry, base_link else."""

from __future__ import annotations

import array
import inspect
import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
from geometry_msgs.msg import Point32, PoseWithCovarianceStamped, Quaternion
from nav_msgs.msg import Odometry as OdometryMsg
from sensor_msgs.msg import CameraInfo, LaserScan, PointCloud2, PointField
from sensor_msgs.msg import Image as ImageMsg

from jpai_agent.control import Program, ProgramRunner, RoadRunner, runner_for
from jpai_agent.nodes.base import seconds, stamp_of
from jpai_agent.twin.verdict import Binding, Verdict
from jpai_agent.world.robot import CameraSpec, LidarSpec, RobotSpec
from jpai_agent.world.scene import GroundedTarget, Mover, Obstacle, RobotState, Scene, SeenLight
from jpai_agent.world.sensors import DepthImage, Image, LidarScan, Localization, Odometry
from jpai_msgs import msg

_STATUS = {"pass": msg.Verdict.PASS, "fail": msg.Verdict.FAIL, "invalid": msg.Verdict.INVALID}
_STATUS_NAME = {value: name for name, value in _STATUS.items()}
_SWAPPED = {"rgb8": False, "bgr8": True}


class UnusableImage(ValueError):
    """A picture whose encoding, size or stride does not add up."""


class UnusableCloud(ValueError):
    """A cloud that is not this lidar's: rows, beams, fields or sizes do not add up."""


def _yaw(q: Quaternion) -> float:
    return math.atan2(2 * (q.w * q.z + q.x * q.y), 1 - 2 * (q.y * q.y + q.z * q.z))


def _quaternion(yaw_rad: float) -> Quaternion:
    return Quaternion(z=math.sin(yaw_rad / 2), w=math.cos(yaw_rad / 2))


def odometry_msg(odometry: Odometry) -> OdometryMsg:
    """Odometry of base_link in odom."""
    message = OdometryMsg(child_frame_id="base_link")
    message.header.frame_id, message.header.stamp = "odom", stamp_of(odometry.stamp_s)
    x, y, yaw = (float(v) for v in odometry.pose)
    message.pose.pose.position.x, message.pose.pose.position.y = x, y
    message.pose.pose.orientation = _quaternion(yaw)
    message.twist.twist.linear.x, message.twist.twist.angular.z = float(odometry.v_mps), float(odometry.w_radps)
    return message


def odometry(message: OdometryMsg) -> Odometry:
    """The package's odometry."""
    pose, twist = message.pose.pose, message.twist.twist
    return Odometry(
        seconds(message.header.stamp),
        np.array([pose.position.x, pose.position.y, _yaw(pose.orientation)]),
        twist.linear.x,
        twist.angular.z,
    )


def localization_msg(fix: Localization) -> PoseWithCovarianceStamped:
    """A localiser's fix in map."""
    message = PoseWithCovarianceStamped()
    message.header.frame_id, message.header.stamp = "map", stamp_of(fix.stamp_s)
    x, y, yaw = (float(v) for v in fix.pose)
    message.pose.pose.position.x, message.pose.pose.position.y = x, y
    message.pose.pose.orientation = _quaternion(yaw)
    covariance = np.zeros(36)
    covariance[[0, 7]], covariance[35] = fix.sigma_xy_m**2, fix.sigma_yaw_rad**2
    message.pose.covariance = covariance
    return message


def localization(message: PoseWithCovarianceStamped) -> Localization:
    """The package's fix; a covariance left at zero means the usual one."""
    pose, covariance = message.pose.pose, message.pose.covariance
    at = np.array([pose.position.x, pose.position.y, _yaw(pose.orientation)])
    if covariance[0] > 0 and covariance[35] > 0:
        return Localization(seconds(message.header.stamp), at, math.sqrt(covariance[0]), math.sqrt(covariance[35]))
    return Localization(seconds(message.header.stamp), at)


def scan_msg(scan: LidarScan, rate_hz: float) -> LaserScan:
    """A turn of the lidar; inf where nothing was hit, NaN for a dropout (REP 117)."""
    message = LaserScan(
        angle_min=scan.angle_min_rad,
        angle_increment=scan.angle_step_rad,
        range_max=scan.range_max_m,
        angle_max=scan.angle_min_rad + scan.angle_step_rad * (len(scan.ranges_m) - 1),
        scan_time=1.0 / rate_hz,
    )
    message.header.frame_id, message.header.stamp = "base_link", stamp_of(scan.stamp_s)
    message.ranges = array.array("f", scan.ranges_m.astype(np.float32).tobytes())
    return message


def scan(message: LaserScan) -> LidarScan:
    """The package's scan."""
    return LidarScan(
        seconds(message.header.stamp),
        np.frombuffer(message.ranges, dtype=np.float32).astype(float),
        message.angle_min,
        message.angle_increment,
        message.range_max,
    )


def beam_directions(lidar: LidarSpec) -> np.ndarray:
    """(rows, n, 3) unit vectors in base_link along which the lidar's beams look."""
    azimuth = -math.pi + np.arange(lidar.beams) * (2 * math.pi / lidar.beams)
    rise = np.radians(np.asarray(lidar.rows_deg))[:, None]
    level = np.cos(rise)
    return np.stack([level * np.cos(azimuth), level * np.sin(azimuth), np.broadcast_to(np.sin(rise), (len(rise), lidar.beams))],
                    axis=-1)


def points_msg(scan: LidarScan, lidar: LidarSpec) -> PointCloud2:
    """A turn of a lidar with rows as an organised cloud in base_link: a row of the cloud for each of the lidar's.

    x, y, z as float32; NaN for a dropout, infinite where nothing was hit (as REP 117 has it for ranges).
    """
    rows, beams = scan.ranges_m.shape
    directions = beam_directions(lidar)
    nothing = np.isinf(scan.ranges_m)
    points = np.where(nothing, 0.0, scan.ranges_m)[..., None] * directions + [lidar.x_m, 0.0, lidar.height_m]
    points = np.where(nothing[..., None], np.copysign(np.inf, directions), points)
    message = PointCloud2(height=rows, width=beams, point_step=12, row_step=12 * beams, is_dense=False)
    message.fields = [PointField(name=name, offset=4 * i, datatype=PointField.FLOAT32, count=1) for i, name in enumerate("xyz")]
    message.header.frame_id, message.header.stamp = "base_link", stamp_of(scan.stamp_s)
    message.data = array.array("B", np.ascontiguousarray(points, dtype=np.float32).tobytes())
    return message


def points(message: PointCloud2, lidar: LidarSpec) -> LidarScan:
    """The package's scan from an organised cloud in base_link, a row for each of the lidar's. Raises UnusableCloud."""
    rows, beams = len(lidar.rows_deg), lidar.beams
    if (message.height, message.width) != (rows, beams):
        raise UnusableCloud(f"{message.height}×{message.width} points, needs {rows} rows of {beams}")
    offsets = {field.name: field.offset for field in message.fields if field.datatype == PointField.FLOAT32}
    if not {"x", "y", "z"} <= set(offsets):
        raise UnusableCloud("needs x, y and z as float32")
    if message.row_step < message.point_step * beams or len(message.data) != message.row_step * rows:
        raise UnusableCloud(f"{len(message.data)} bytes in rows of {message.row_step}, needs {rows} rows")
    data = np.frombuffer(message.data, dtype=np.uint8).reshape(rows, message.row_step)[:, : message.point_step * beams]
    cells = np.ascontiguousarray(data).reshape(rows, beams, message.point_step)
    kind = np.dtype(np.float32).newbyteorder(">" if message.is_bigendian else "<")
    xyz = [np.ascontiguousarray(cells[..., offsets[axis] : offsets[axis] + 4]).view(kind)[..., 0] for axis in "xyz"]
    away = np.stack(xyz, axis=-1).astype(float) - [lidar.x_m, 0.0, lidar.height_m]
    ranges = np.where(np.isnan(away).any(axis=-1), np.nan, np.sqrt((away**2).sum(axis=-1)))
    return LidarScan(seconds(message.header.stamp), ranges, -math.pi, 2 * math.pi / beams, lidar.range_max_m)


def image_msg(image: Image) -> ImageMsg:
    """A colour frame, rgb8."""
    height, width = image.rgb.shape[:2]
    message = ImageMsg(height=height, width=width, encoding="rgb8", step=width * 3)
    message.header.frame_id, message.header.stamp = f"camera_{image.camera}", stamp_of(image.stamp_s)
    message.data = array.array("B", np.ascontiguousarray(image.rgb).tobytes())
    return message


def image(message: ImageMsg, camera: CameraSpec) -> Image:
    """The package's frame from an rgb8 or bgr8 picture of that camera. Raises UnusableImage when it does not add up."""
    if message.encoding not in _SWAPPED:
        raise UnusableImage(f"camera {camera.name}: encoding {message.encoding!r}, needs {' or '.join(_SWAPPED)}")
    rgb = _pixels(message, camera.width_px, camera.height_px, np.dtype(np.uint8), 3, camera.name)
    return Image(
        camera.name,
        seconds(message.header.stamp),
        np.ascontiguousarray(rgb[..., ::-1] if _SWAPPED[message.encoding] else rgb),
    )


def depth_msg(depth: DepthImage) -> ImageMsg:
    """A depth frame, 32FC1 metres; 0 where there is no reading."""
    height, width = depth.depth_m.shape
    message = ImageMsg(height=height, width=width, encoding="32FC1", step=width * 4)
    message.header.frame_id, message.header.stamp = f"camera_{depth.camera}", stamp_of(depth.stamp_s)
    message.data = array.array("B", np.ascontiguousarray(depth.depth_m, dtype=np.float32).tobytes())
    return message


def depth(message: ImageMsg, camera: CameraSpec) -> DepthImage:
    """The package's depth frame from 32FC1 metres or 16UC1 millimetres (REP 118). Raises UnusableImage."""
    if message.encoding not in ("32FC1", "16UC1"):
        raise UnusableImage(f"camera {camera.name}: depth encoding {message.encoding!r}, needs 32FC1 or 16UC1")
    kind = np.dtype(np.float32 if message.encoding == "32FC1" else np.uint16)
    values = _pixels(message, camera.depth_width_px, camera.depth_height_px, kind, 1, camera.name)[..., 0]
    metres = values.astype(np.float32) * (1.0 if kind == np.float32 else 1e-3)
    return DepthImage(camera.name, seconds(message.header.stamp), np.where(np.isfinite(metres), metres, np.float32(0.0)))


def _pixels(message: ImageMsg, width: int, height: int, kind: np.dtype, channels: int, name: str) -> np.ndarray:
    row_bytes = width * channels * kind.itemsize
    if (message.width, message.height) != (width, height):
        raise UnusableImage(f"camera {name}: {message.width}×{message.height} pixels, needs {width}×{height}")
    if message.step < row_bytes or len(message.data) != message.step * height:
        raise UnusableImage(
            f"camera {name}: {len(message.data)} bytes in rows of {message.step}, needs {height} rows of {row_bytes}"
        )
    rows = np.frombuffer(message.data, dtype=np.uint8).reshape(height, message.step)[:, :row_bytes]
    values = np.ascontiguousarray(rows).view(kind.newbyteorder(">") if message.is_bigendian else kind)
    return values.reshape(height, width, channels)


def camera_info_msg(camera: CameraSpec, stamp_s: float) -> CameraInfo:
    """Intrinsics of the colour image (no distortion)."""
    focal, cx, cy = camera.focal_px, camera.width_px / 2, camera.height_px / 2
    message = CameraInfo(width=camera.width_px, height=camera.height_px, distortion_model="plumb_bob", d=[0.0] * 5)
    message.header.frame_id, message.header.stamp = f"camera_{camera.name}", stamp_of(stamp_s)
    message.k = [focal, 0.0, cx, 0.0, focal, cy, 0.0, 0.0, 1.0]
    message.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    message.p = [focal, 0.0, cx, 0.0, 0.0, focal, cy, 0.0, 0.0, 0.0, 1.0, 0.0]
    return message


def target_msg(target: GroundedTarget) -> msg.GroundedTarget:
    """A grounded target."""
    return msg.GroundedTarget(
        label=target.label,
        kind=target.kind,
        x_m=target.x_m,
        y_m=target.y_m,
        has_yaw=target.yaw_rad is not None,
        yaw_rad=target.yaw_rad or 0.0,
        object_id=target.object_id or "",
        sigma_m=target.sigma_m,
    )


def target(message: msg.GroundedTarget) -> GroundedTarget:
    """The package's grounded target."""
    return GroundedTarget(
        message.label,
        message.x_m,
        message.y_m,
        message.kind,
        message.yaw_rad if message.has_yaw else None,
        message.object_id or None,
        message.sigma_m,
    )


def scene_msg(scene: Scene, targets: tuple[GroundedTarget, ...] = ()) -> msg.Scene:
    """A scene with the hash of its content."""
    message = msg.Scene(
        id=scene.id,
        sha256=scene.sha256(),
        robot=msg.RobotState(**_plain(scene.robot)),
        obstacles=[msg.Obstacle(**_plain(o)) for o in scene.obstacles],
        movers=[msg.Mover(**_plain(m)) for m in scene.movers],
        lights=[msg.SeenLight(**_plain(light)) for light in scene.lights],
        has_camera_s=scene.camera_s is not None,
        camera_s=scene.camera_s or 0.0,
        targets=[target_msg(t) for t in targets],
    )
    message.header.frame_id, message.header.stamp = "map", stamp_of(scene.stamp_s)
    return message


def scene(message: msg.Scene) -> Scene:
    """The package's scene."""
    return Scene(
        message.id,
        seconds(message.header.stamp),
        RobotState(**_fields(message.robot)),
        tuple(Obstacle(**_fields(o)) for o in message.obstacles),
        tuple(Mover(**_fields(m)) for m in message.movers),
        tuple(SeenLight(**_fields(light)) for light in message.lights),
        message.camera_s if message.has_camera_s else None,
    )


def verdict_msg(verdict: Verdict) -> msg.Verdict:
    """A verdict without its paths, which go out as markers."""
    bound = verdict.binding
    return msg.Verdict(
        id=verdict.id,
        status=_STATUS[verdict.status],
        made_at=stamp_of(verdict.made_at_s),
        rollouts=verdict.rollouts,
        pass_rate=float(verdict.pass_rate),
        pass_rate_low=float(verdict.pass_rate_low),
        failed_step=-1 if verdict.failed_step is None else verdict.failed_step,
        reason=verdict.reason,
        min_clearance_m=float(verdict.min_clearance_m),
        min_ttc_s=float(verdict.min_ttc_s),
        violations=list(verdict.violations),
        violation_counts=list(verdict.violations.values()),
        under_way=float(verdict.under_way),
        duration_s=float(verdict.duration_s),
        peak_speed_mps=float(verdict.peak_speed_mps),
        wall_s=float(verdict.wall_s),
        swept=[Point32(x=float(p[0]), y=float(p[1])) for p in verdict.swept],
        plan_sha256=bound.plan,
        program_sha256=bound.program,
        scene_sha256=bound.scene,
        robot_sha256=bound.robot,
        model_sha256=bound.model,
        site_sha256=bound.site,
    )


def verdict(message: msg.Verdict) -> Verdict:
    """The package's verdict, without paths; invalid, and not genuine, where its bound is not that of its figures."""
    found = Verdict(
        message.id,
        _STATUS_NAME.get(message.status, "invalid"),
        seconds(message.made_at),
        message.rollouts,
        message.pass_rate,
        Binding(
            message.plan_sha256,
            message.program_sha256,
            message.scene_sha256,
            message.robot_sha256,
            message.model_sha256,
            message.site_sha256,
        ),
        None if message.failed_step < 0 else message.failed_step,
        message.reason,
        message.min_clearance_m,
        message.duration_s,
        message.peak_speed_mps,
        [],
        [[p.x, p.y] for p in message.swept],
        message.wall_s,
        message.min_ttc_s,
        dict(zip(message.violations, message.violation_counts, strict=True)),
        message.under_way,
    )
    return found if math.isclose(message.pass_rate_low, found.pass_rate_low, abs_tol=1e-9) else replace(found, status="invalid")


def _plain(thing: Any) -> dict[str, Any]:
    return {name: value if isinstance(value, str) else float(value) for name, value in vars(thing).items()}


def _fields(message: Any) -> dict[str, Any]:
    return {name: getattr(message, name) for name in message.get_fields_and_field_types()}


def progress_json(runner: ProgramRunner | RoadRunner) -> str:
    """Where in its program a robot is, for `runner_at`: every array of the runner and of its parts."""
    return json.dumps([{name: value.tolist() for name, value in _arrays(part)} for part in _parts(runner)])


def runner_at(progress: str, program: Program, robot: RobotSpec) -> ProgramRunner | RoadRunner:
    """A runner of one robot that stands where `progress_json` was taken. Raises ValueError when it does not fit."""
    runner = runner_for(program, robot, 1)
    parts, states = _parts(runner), json.loads(progress)
    if not isinstance(states, list) or len(states) != len(parts):
        raise ValueError(f"progress of {len(parts)} parts is needed")
    for part, state in zip(parts, states, strict=True):
        for name, value in _arrays(part):
            if name not in state:
                raise ValueError(f"progress lacks {name!r}")
            restored = np.array(state[name], dtype=value.dtype)
            if restored.shape != value.shape:
                raise ValueError(f"progress of shape {restored.shape} for {name!r}, needs {value.shape}")
            setattr(part, name, restored)
    return runner


def _parts(runner: ProgramRunner | RoadRunner) -> list[Any]:
    """The objects that hold a runner's state, itself first: those that were made for its N robots."""
    held = [value for member in vars(runner).values() for value in (member if isinstance(member, list) else [member])]
    return [runner, *(thing for thing in held if "n" in inspect.signature(type(thing).__init__).parameters)]


def _arrays(part: Any) -> list[tuple[str, np.ndarray]]:
    return [(name, value) for name, value in vars(part).items() if isinstance(value, np.ndarray)]


def program_json(program: Program) -> str:
    """A program as JSON, for `program`."""
    return json.dumps(program.to_dict(), ensure_ascii=False)


def program(text: str) -> Program:
    """A program from its JSON. Raises ValueError for anything else."""
    values = json.loads(text)
    if not isinstance(values, dict):
        raise ValueError("a program is a JSON object")
    return Program.from_dict(values)
