"""Deployment certificates: what was tried with which result, signed, for exactly what runs: the key that arms a robot's gate."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jpai_agent.record.audit import canonical
from jpai_agent.record.files import jsonable, write_exact
from jpai_agent.record.keys import KeyFault, genuine, public_hex, signing_key, trusted
from jpai_agent.vlm.backend import VlmError
from jpai_agent.vlm.manifest import verify
from jpai_agent.world.paths import share_dir
from jpai_agent.world.robot import load_robot

FORMAT = 1
KEY = "certificate"
MARK = b"jpai deployment certificate 1\n"
VALID_DAYS = 90
# of another clock's difference that a certificate may come from the future
CLOCK_SLACK_S = 300.0
PACKAGE = Path(__file__).resolve().parents[1]


class CertificateError(ValueError):
    """There is no certificate, or it does not cover what runs; the message says why."""


@dataclass(frozen=True)
class Subject:
    """Exactly what runs.

    Attributes:
        robot, world: Names. robot_sha256: of the robot's file and its MJCF. limits: what the motors may be asked for.
        model, model_sha256: Name and hash of the model, every file of which is as its manifest says.
        config_sha256: Of everything in config/ but the robots' files: perturbations, zones, rules, policies.
        source_sha256: Of the package's Python files. world_sha256: of the maps in sim/worlds.
        versions: Of the package, mujoco, and Python (major.minor).
    """

    robot: str
    world: str
    robot_sha256: str
    limits: Mapping[str, float | None]
    model: str
    model_sha256: str
    config_sha256: str
    source_sha256: str
    world_sha256: str
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Certificate:
    """What was tried.

    Attributes:
        subject: Exactly what was tried. results: of the checks, JSON-ready.
        passed: Every check met its bar. quick: Fewer cases were tried than are needed to arm a robot.
        made_at, expires_at: Unix seconds. machine: where. key: who signed, 64 hex digits.
    """

    subject: Subject
    results: Sequence[Mapping[str, Any]]
    passed: bool
    quick: bool
    made_at: float
    expires_at: float
    machine: Mapping[str, Any] = field(default_factory=dict)
    key: str = ""
    signature: str = ""

    def content(self) -> bytes:
        """What is signed."""
        values = {name: value for name, value in asdict(self).items() if name != "signature"}
        return MARK + canonical({"format": FORMAT, **values})


def subject_of(robot: str, world: str, model_dir: Path) -> Subject:
    """What runs here, from the files that it runs from. Raises CertificateError for an unknown robot or an altered model."""
    try:
        spec = load_robot(robot)
        manifest = verify(model_dir)
    except (ValueError, VlmError) as error:
        raise CertificateError(str(error)) from error
    share = share_dir()
    versions = {"python": ".".join(platform.python_version_tuple()[:2]), "mujoco": importlib.metadata.version("mujoco"),
                "jpai_agent": package_version()}
    return Subject(robot, world, spec.sha256, jsonable(asdict(spec.limits)), manifest.name, manifest.sha256,
                   tree_sha256(share / "config", without=share / "config" / "robots"), tree_sha256(PACKAGE, "*.py"),
                   tree_sha256(share / "sim" / "worlds"), versions)


def package_version() -> str:
    """Of this package: as installed, else as package.xml beside the sources says."""
    try:
        return importlib.metadata.version("jpai_agent")
    except importlib.metadata.PackageNotFoundError:
        text = (PACKAGE.parent / "package.xml").read_text(encoding="utf-8")
        return text.split("<version>")[1].split("</version>")[0].strip()


def tree_sha256(folder: Path, pattern: str = "*", without: Path | None = None) -> str:
    """One hash of the names and contents of all files below a folder; without: a folder to leave out."""
    digest = hashlib.sha256()
    for path in _files(folder, pattern):
        if without is None or without not in path.parents:
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{content}  {path.relative_to(folder).as_posix()}\n".encode())
    return digest.hexdigest()


def _files(folder: Path, pattern: str) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob(pattern)) if path.is_file() and "__pycache__" not in path.parts)


def issue(subject: Subject, results: Sequence[Mapping[str, Any]], *, passed: bool, quick: bool = False,
          machine: Mapping[str, Any] | None = None, days: float = VALID_DAYS, now: float | None = None,
          state: Path | None = None) -> Certificate:
    """A certificate signed with this user's key, which is made where there is none. Raises CertificateError."""
    try:
        key = signing_key(KEY, state)
    except KeyFault as error:
        raise CertificateError(str(error)) from error
    made_at = round(time.time() if now is None else now, 3)
    certificate = Certificate(subject, [jsonable(result, 6) for result in results], passed, quick, made_at,
                              made_at + days * 86400, jsonable(machine or {}), public_hex(key))
    return Certificate(**(_shallow(certificate) | {"signature": key.sign(certificate.content()).hex()}))


def _shallow(certificate: Certificate) -> dict[str, Any]:
    return {name: getattr(certificate, name) for name in Certificate.__dataclass_fields__}


def write_certificate(certificate: Certificate, path: Path) -> None:
    """Keep a certificate as JSON. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = {"format": FORMAT, "what": "JPAI Agent deployment certificate", **asdict(certificate)}
    write_exact(path, values)


def read_certificate(path: Path) -> Certificate:
    """A certificate of a file, unchecked. Raises CertificateError when it is none."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values.pop("format") != FORMAT:
            raise CertificateError(f"{path} is not of format {FORMAT}")
        values.pop("what")
        return Certificate(Subject(**values.pop("subject")), **values)
    except OSError as error:
        raise CertificateError(f"no certificate {path}: {error.strerror}") from error
    except CertificateError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CertificateError(f"{path} is no certificate: {error}") from error


def check_signature(certificate: Certificate, believed: Mapping[str, str]) -> None:
    """Raise CertificateError unless it is as it was signed, by one of the believed keys (hex to where the key comes from)."""
    try:
        whole = genuine(certificate.key, certificate.signature, certificate.content())
    except (TypeError, ValueError):
        whole = False
    if not whole:
        raise CertificateError("the certificate was altered: its signature does not fit its content")
    if certificate.key not in believed:
        raise CertificateError(f"the certificate was signed with a foreign key {certificate.key[:16]}…; to believe it, put its "
                               "public key into keys/trusted/NAME.pub of the state folder")


def check_certificate(certificate: Certificate, subject: Subject, *, now: float | None = None,
                      believed: Mapping[str, str] | None = None) -> None:
    """Raise CertificateError, with everything that is wrong, unless it permits a robot to be armed with what runs.

    Args:
        subject: What runs. now: Unix seconds. believed: Public keys; by default this user's own and trusted ones.
    """
    check_signature(certificate, trusted() if believed is None else believed)
    now = time.time() if now is None else now
    wrong = []
    if now > certificate.expires_at:
        wrong.append(f"it expired on {day(certificate.expires_at)}")
    if now < certificate.made_at - CLOCK_SLACK_S:
        wrong.append(f"it is of the future ({day(certificate.made_at)}), or this clock is wrong")
    if not certificate.passed:
        failed = [str(result.get("name")) for result in certificate.results if not result.get("passed")]
        wrong.append(f"what was tried did not pass: {', '.join(failed) or 'nothing was tried'}")
    if certificate.quick:
        wrong.append("it was made with --quick, which tries too little to arm a robot")
    wrong += differences(certificate.subject, subject)
    if wrong:
        raise CertificateError("the certificate does not permit this: " + "; ".join(wrong))


def differences(certified: Subject, running: Subject) -> list[str]:
    """In which ways what runs is not what was certified, in words."""
    return [f"another {name.replace('_sha256', '').replace('_', ' ')} than was certified "
            f"({_brief(getattr(certified, name))}, here {_brief(getattr(running, name))})"
            for name in Subject.__dataclass_fields__ if getattr(certified, name) != getattr(running, name)]


def _brief(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {member}" for key, member in sorted(value.items()))
    return value[:12] + "…" if isinstance(value, str) and len(value) == 64 else str(value)


def day(unix_s: float) -> str:
    """A time as people read it, in UTC."""
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%d %H:%M UTC")


def permit(path: Path, robot: str, world: str, model_dir: Path, *, now: float | None = None) -> Certificate:
    """The certificate of a file, if it permits arming this robot with what runs here now. Raises CertificateError."""
    certificate = read_certificate(path)
    try:
        believed = trusted()
    except KeyFault as error:
        raise CertificateError(str(error)) from error
    # a foreign or altered one is not worth hashing the model for
    check_signature(certificate, believed)
    check_certificate(certificate, subject_of(robot, world, model_dir), now=now, believed=believed)
    return certificate
