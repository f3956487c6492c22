"""Whether a person may arm the gate: a robot outside of simulation moves only under a certificate for exactly what runs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from jpai_agent.nodes.base import GraphNode
from jpai_agent.record.audit_writer import AuditWriter
from jpai_agent.record.certificate import CertificateError, permit
from jpai_agent.vlm import default_model_dir
from jpai_agent.world.paths import resource
from jpai_agent.world.zones import load_rules

CHECK_WITHIN_S = 60.0
RECORD_WITHIN_S = 3.0


class Arming:
    """Asked each time that somebody wants to arm.

    Parameters of the node: `hardware` (the motors are real: the default, except where the node arms itself, as in simulation),
    `certificate` (its file), `model` (the model's folder; "": the embedded one).
    """

    def __init__(self, node: GraphNode, audit: AuditWriter, *, simulated: bool) -> None:
        self._node, self._audit = node, audit
        self.hardware: bool = node.declare_parameter("hardware", not simulated).value
        self._certificate: str = node.declare_parameter("certificate", "").value
        self._model: str = node.declare_parameter("model", "").value
        # the model's files are read: the gate goes on publishing zero meanwhile
        self._beside = ThreadPoolExecutor(max_workers=1, thread_name_prefix="jpai-certificate")

    async def refusal(self) -> str:
        """Why it must not be armed now; "" when it may. Either is in the audit log by then."""
        why = await self._uncertified() if self.hardware else ""
        note = self._audit.note("arming", permitted=not why, why=why, hardware=self.hardware, certificate=self._certificate)
        error = await self._node.done(note, RECORD_WITHIN_S)
        return why or (f"its arming cannot be recorded: {error}" if error else "")

    async def _uncertified(self) -> str:
        if not self._certificate:
            return "no certificate: outside of simulation the gate is armed under one only (jpai certify, jpai up robot)"
        folder = Path(self._model) if self._model else default_model_dir()
        error = await self._node.done(self._beside.submit(self._check, folder), CHECK_WITHIN_S)
        return str(error) if error else ""

    def _check(self, model: Path) -> None:
        """Raise CertificateError unless the files are as certified, and this process runs on what they say now."""
        robot, world = self._node.robot, self._node.world_map
        certificate = permit(Path(self._certificate), robot.name, world.name, model)
        if certificate.subject.robot_sha256 != robot.sha256:
            raise CertificateError("the robot's file was changed after this gate was started")
        if load_rules(resource("config", "zones", f"{world.name}.yaml")).sha256 != world.rules.sha256:
            raise CertificateError("the rules of the place were changed after this gate was started")

    def close(self) -> None:
        """End its thread."""
        self._beside.shutdown(wait=False)
