"""Examine the installation: what runs here, whether the model's files are whole, and what would leave this machine."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from jpai_agent.world.machine import cpu_name, usable_cores

PACKAGES = ("mujoco", "torch", "transformers", "onnxruntime", "xgrammar", "numpy", "opencv-python-headless", "pyzmq",
            "cryptography")
# of the voice extra: packages and what they are imported as
VOICE_PACKAGES = {"pyopenjtalk-plus": "pyopenjtalk", "silero-vad": "silero_vad", "sounddevice": "sounddevice"}
# of the vehicle interfaces that a robot's file may name, the ROS packages that they need
INTERFACES = {"ackermann": ("ackermann_msgs",),
              "autoware": ("autoware_control_msgs", "autoware_vehicle_msgs", "autoware_adapi_v1_msgs")}


@dataclass
class Finding:
    """One thing examined. `well` is None where it is only told."""

    what: str
    well: bool | None
    detail: str


@dataclass
class Report:
    """All findings. residency: what may go to which endpoint, a row each (`Policy.residency`)."""

    findings: list[Finding] = field(default_factory=list)
    residency: list[dict[str, Any]] = field(default_factory=list)

    @property
    def well(self) -> bool:
        """True when nothing that was checked failed."""
        return all(finding.well is not False for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {"well": self.well, "findings": [asdict(finding) for finding in self.findings], "residency": self.residency}

    def lines(self) -> list[str]:
        """One line a finding, and the table of residency."""
        marks = {True: "良", False: "否", None: "　"}
        told = [f"{marks[finding.well]} {finding.what}: {finding.detail}" for finding in self.findings]
        return told + _table(self.residency)


def examine(model_dir: Path | None = None) -> Report:
    """Look at machine, packages, graphics, ROS, model and network. Changes nothing and sends nothing."""
    report = Report()
    cores = usable_cores()
    report.findings.append(Finding("machine", None, f"{cpu_name()}, {cores} cores, Python {platform.python_version()}"))
    for name in PACKAGES:
        try:
            report.findings.append(Finding(name, True, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            report.findings.append(Finding(name, False, "not installed"))
    report.findings += [_graphics(), _ros(), _road(), _vehicles(), _font(), _video(), _model(model_dir), *voice(),
                        network(), *residency(report)]
    return report


def _graphics() -> Finding:
    import mujoco

    from jpai_agent.twin.render import SceneRenderer
    from jpai_agent.twin.worlds import build_yard

    try:
        model = build_yard([]).compile()
        data = mujoco.MjData(model)
        mujoco.mj_forward(model, data)
        with SceneRenderer(model) as renderer:
            seen = renderer.color(data, "front", (64, 48))
        library = os.environ.get("MUJOCO_GL", "egl")
        return Finding("graphics", bool(seen.std() > 1), f"MUJOCO_GL={library}, renders without a display")
    except (RuntimeError, OSError, ImportError, mujoco.FatalError) as error:
        return Finding("graphics", False, f"cannot render: {error}; install libegl1 and libgl1-mesa-dri")


def _ros() -> Finding:
    # asked of a process of its own: only the nodes import rclpy here
    import subprocess
    import sys

    probe = "import rclpy, jpai_msgs.action, importlib.metadata as m; print(rclpy.__file__)"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False)
    if done.returncode:
        return Finding("ROS 2", False, (done.stderr.strip().splitlines() or ["rclpy does not import"])[-1])
    distribution = os.environ.get("ROS_DISTRO")
    detail = f"distribution {distribution}" if distribution else "Jazzy from Python packages, jpai_msgs built"
    return Finding("ROS 2", True, detail)


def _road() -> Finding:
    try:
        return Finding("road maps", True, f"lanelet2 {importlib.metadata.version('lanelet2')}")
    except importlib.metadata.PackageNotFoundError:
        # its wheels are for x86-64 alone
        return Finding("road maps", None, "lanelet2 is not installed: worlds with roads (street) cannot be loaded")


def _vehicles() -> Finding:
    here = {name: all(importlib.util.find_spec(package) for package in needs) for name, needs in INTERFACES.items()}
    told = [f"{name} {'ready' if there else 'needs ' + ', '.join(INTERFACES[name])}" for name, there in here.items()]
    return Finding("vehicle interfaces", None, "; ".join(["twist ready", *told]))


def _font() -> Finding:
    from jpai_agent.record.text import font_path

    try:
        return Finding("Japanese font", True, font_path().name)
    except (OSError, ImportError) as error:
        return Finding("Japanese font", False, str(error))


def _video() -> Finding:
    import imageio_ffmpeg

    try:
        return Finding("video", True, Path(imageio_ffmpeg.get_ffmpeg_exe()).name)
    except RuntimeError as error:
        return Finding("video", False, str(error))


def _model(model_dir: Path | None) -> Finding:
    from jpai_agent.vlm import VlmError, default_model_dir, verify

    folder = model_dir or default_model_dir()
    try:
        manifest = verify(folder)
    except VlmError as error:
        return Finding("model", False, str(error))
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
    return Finding("model", True, f"{manifest.name} {manifest.version}, int{manifest.bits}, {size:.1f} MB, "
                                  f"sha256 {manifest.sha256[:16]}, every file as listed")


def voice() -> list[Finding]:
    """What hears and speaks; none of it is needed for typed words. No microphone is opened and no model loaded."""
    from jpai_agent.voice.audio import INSTALL, AudioError, portaudio
    from jpai_agent.voice.recogniser import RecogniserError, kind_of
    from jpai_agent.world.paths import resource

    missing = [name for name, module in VOICE_PACKAGES.items() if importlib.util.find_spec(module) is None]
    if missing:
        return [Finding("voice", None, f"the extra is not installed ({', '.join(missing)}): {INSTALL}")]
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in VOICE_PACKAGES)
    findings = [Finding("voice", True, versions)]
    folder = resource("models", "voice")
    try:
        there = folder.is_dir() and kind_of(folder) == "embedded"
        findings.append(Finding("recogniser", there or None, f"embedded, in {folder}" if there else f"none in {folder}"))
    except RecogniserError as error:
        findings.append(Finding("recogniser", False, str(error)))
    try:
        sounddevice = portaudio()
    except AudioError as error:
        return [*findings, Finding("microphone", None, str(error))]
    try:
        devices = sounddevice.query_devices()
    except sounddevice.PortAudioError as error:
        return [*findings, Finding("microphone", None, f"PortAudio does not tell its devices: {error}")]
    for what, channels in (("microphone", "max_input_channels"), ("loudspeaker", "max_output_channels")):
        names = [device["name"] for device in devices if device[channels] > 0]
        findings.append(Finding(what, None, "; ".join(names) or "none on this machine: WAV files and typed words work"))
    return findings


def network() -> Finding:
    """What ROS would let leave this machine; models load from local files and are asked on a local socket."""
    reach = os.environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE")
    peers = os.environ.get("ROS_STATIC_PEERS")
    if reach in (None, "LOCALHOST", "OFF") and not peers:
        return Finding("leaves this machine", True, "nothing beyond the policy: models from local files, their server on a "
                                                    f"local socket, ROS discovery {reach or 'LOCALHOST, as jpai up sets it'}")
    return Finding("leaves this machine", False, f"ROS messages: ROS_AUTOMATIC_DISCOVERY_RANGE is {reach or 'unset'}, "
                                                 f"ROS_STATIC_PEERS {peers or 'unset'}; set the range to LOCALHOST")


def residency(report: Report) -> list[Finding]:
    """What the policy allows; its table goes into the report. Nobody is asked."""
    from jpai_agent.vlm.policy import PolicyError, load_policy, policy_path

    try:
        policy = load_policy()
    except PolicyError as error:
        return [Finding("policy", False, str(error))]
    report.residency = policy.residency
    if not policy.endpoints:
        return [Finding("policy", True, f"no endpoint, so nothing leaves this machine ({policy_path()})")]
    return [Finding("policy", None, f"data may go to {', '.join(policy.endpoints)} where a model endpoint:NAME is chosen "
                                    f"({policy_path()})")]


def _table(rows: list[dict[str, Any]]) -> list[str]:
    """The table of residency, as wide as it needs."""
    from io import StringIO

    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    if not rows:
        return []
    table = Table(*rows[0], box=SIMPLE)
    for row in rows:
        table.add_row(*({True: "yes", False: "no"}.get(value, value) for value in row.values()))
    out = StringIO()
    Console(file=out, width=240).print(table)
    return [line.rstrip() for line in out.getvalue().splitlines() if line.strip()]
