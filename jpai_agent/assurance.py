"""The commands `jpai audit` and `jpai certify`: what was done, and what may be done, both signed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from jpai_agent.refusal import refused

audit_app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown",
                        help="Examine the log of what was said, planned, rehearsed, started and stopped.")
certify_app = typer.Typer(invoke_without_command=True, rich_markup_mode="markdown")

Log = Annotated[Path | None, typer.Argument(metavar="[FILE]", help="The log; this user's when left out.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output and nothing else there.")]


@audit_app.command("verify", epilog="Example: jpai audit verify")
def audit_verify(
        file: Log = None,
        key: Annotated[Path | None, typer.Option(help="Public key that must have signed it; keys/audit.pub beside the log "
                                                      "when left out.")] = None,
        checkpoint: Annotated[list[Path] | None, typer.Option(help="A checkpoint kept elsewhere; may be given often.")] = None,
        as_json: AsJson = False) -> None:
    """Find edits, deletions, reordering, truncation and re-chaining, and say where. Exit code 1 when there are any."""
    from jpai_agent.record.audit import audit_path, read_checkpoint
    from jpai_agent.record.audit_verify import verify_log
    from jpai_agent.record.certificate import day
    from jpai_agent.record.keys import read_public

    path = file or audit_path()
    try:
        public = read_public(key or path.parent / "keys" / "audit.pub")
        kept = [_present(one, read_checkpoint(one)) for one in checkpoint or []]
        audit = verify_log(path, public, witnesses=kept)
    except (OSError, ValueError) as error:
        raise refused(str(error), 2) from error
    if as_json:
        found = [vars(finding) for finding in audit.findings]
        typer.echo(json.dumps({"file": str(path), "key": public, "whole": audit.whole, "records": audit.records,
                               "first_s": audit.first_s, "last_s": audit.last_s, "findings": found, "notes": audit.notes},
                              ensure_ascii=False))
    else:
        for finding in audit.findings:
            where = f"line {finding.line}" if finding.line else "at the end"
            typer.echo(f"{finding.kind:>11}  {where}: {finding.words}")
        for note in audit.notes:
            typer.echo(f"       note  {note}")
        span = "" if audit.first_s is None or audit.last_s is None else f", {day(audit.first_s)} to {day(audit.last_s)}"
        verdict = "whole" if audit.whole else "ALTERED"
        typer.echo(f"{path}: {verdict}, {audit.records} genuine records{span}, key {public[:16]}…")
    if not audit.whole:
        raise typer.Exit(1)


def _present(path: Path, value: Any) -> Any:
    if value is None:
        raise ValueError(f"no checkpoint {path}")
    return value


@audit_app.command("checkpoint", epilog="Example: jpai audit checkpoint >/media/usb/robot-7.checkpoint")
def audit_checkpoint(file: Log = None) -> None:
    """Print the signed checkpoint of the log's end. Kept elsewhere it shows when the log was put back to an older state."""
    from jpai_agent.record.audit import audit_path, checkpoint_path

    path = checkpoint_path(file or audit_path())
    try:
        typer.echo(path.read_text(encoding="utf-8").strip())
    except OSError as error:
        raise refused(f"no checkpoint {path}: {error.strerror}", 2) from error


@audit_app.command("renew", epilog="Example: jpai audit renew")
def audit_renew(file: Log = None) -> None:
    """Put the log aside and begin another, for instance one that was altered and so takes no more records."""
    from jpai_agent.record.audit import AuditError, renew

    try:
        typer.echo(f"put aside as {renew(file)}")
    except AuditError as error:
        raise refused(str(error), 1) from error


@certify_app.callback(epilog="Example: jpai certify --robot cart --out cart.certificate.json")
def certify(
        context: typer.Context,
        robot: Annotated[str, typer.Option(help="Robot, as in config/robots.")] = "cart",
        world: Annotated[str, typer.Option(help="World that it works in; that of the robot when left out.")] = "",
        suite: Annotated[list[Path] | None, typer.Option(help="Episodes, one JSON object a line; may be given often. "
                                                              "The world's own suite when left out.")] = None,
        model: Annotated[Path | None, typer.Option(help="Model folder; the embedded model when left out.")] = None,
        out: Annotated[Path | None, typer.Option(help="The certificate; ROBOT.certificate.json when left out.")] = None,
        quick: Annotated[bool, typer.Option(help="Try only a little, to see that it runs; it arms nothing.")] = False,
        resume: Annotated[bool, typer.Option(help="Go on where a trial of exactly the same that broke off had come to "
                                                  "(kept beside the certificate, as .progress).")] = False,
        seed: Annotated[int, typer.Option(help="Seed of everything drawn.")] = 0,
        jobs: Annotated[int, typer.Option(help="Processes.")] = 1, as_json: AsJson = False) -> None:
    """Try a robot with its model on suites, unsafe plans and faults, and sign what was found, for exactly what was tried.

    Under a certificate that passed, `jpai up robot` arms the gate of that robot. Exit code 1 when a check failed.
    """
    if context.invoked_subcommand is not None:
        return
    from jpai_agent import certify as trying
    from jpai_agent.record.certificate import CertificateError, day, write_certificate
    from jpai_agent.vlm import default_model_dir
    from jpai_agent.world.known import WORLDS
    from jpai_agent.world.paths import resource

    world = world or WORLDS.get(robot, "")
    path = out or Path(f"{robot}.certificate.json")
    kept = path.with_suffix(".progress")
    try:
        files = suite or [resource("sim", "suites", f"{world}.jsonl")]
        certificate = trying.certify(robot, world, model or default_model_dir(), files, quick=quick, seed=seed, jobs=jobs,
                                     tell=lambda line: typer.echo(line, err=True), progress=kept, resume=resume)
        write_certificate(certificate, path)
        kept.unlink()
    except (CertificateError, OSError, ValueError) as error:
        raise refused(str(error), 2) from error
    if as_json:
        typer.echo(path.read_text(encoding="utf-8"))
    else:
        for line in trying.table(certificate):
            typer.echo(line)
        found = "passed" if certificate.passed else "did NOT pass"
        typer.echo(f"{path}: {found}{' (quick: arms nothing)' if quick else ''}, signed by {certificate.key[:16]}…, "
                   f"good until {day(certificate.expires_at)}")
    if not certificate.passed:
        raise typer.Exit(1)


@certify_app.command("verify", epilog="Example: jpai certify verify cart.certificate.json")
def certify_verify(
        file: Annotated[Path, typer.Argument(help="The certificate.")],
        model: Annotated[Path | None, typer.Option(help="Model folder; the embedded model when left out.")] = None,
        as_json: AsJson = False) -> None:
    """Say whether a certificate permits arming its robot with what is installed here, now. Exit code 1 when it does not."""
    from jpai_agent import certify as trying
    from jpai_agent.record.certificate import CertificateError, day, permit, read_certificate
    from jpai_agent.vlm import default_model_dir

    why = ""
    try:
        certificate = read_certificate(file)
    except CertificateError as error:
        raise refused(str(error), 2) from error
    try:
        permit(file, certificate.subject.robot, certificate.subject.world, model or default_model_dir())
    except CertificateError as error:
        why = str(error)
    if as_json:
        typer.echo(json.dumps({"file": str(file), "permits": not why, "why": why, "robot": certificate.subject.robot,
                               "made_at": certificate.made_at, "expires_at": certificate.expires_at}, ensure_ascii=False))
    else:
        for line in trying.table(certificate):
            typer.echo(line)
        typer.echo(f"{file}: permits arming {certificate.subject.robot} until {day(certificate.expires_at)}" if not why
                   else f"{file}: {why}")
    if why:
        raise typer.Exit(1)
