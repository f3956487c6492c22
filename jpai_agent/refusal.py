"""How a command ends that cannot do what it was told."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import typer

Result = TypeVar("Result")


def refused(message: str, code: int) -> typer.Exit:
    """Say why on standard error; what is to be raised then."""
    typer.echo(f"jpai: {message}", err=True)
    return typer.Exit(code)


def done(work: Callable[[], Result]) -> Result:
    """What work with a model gives, or the command's end: with 2 where it was told wrong, 3 where the model does not do."""
    from jpai_agent.vlm import VlmError

    try:
        return work()
    except VlmError as error:
        raise refused(str(error), 2 if error.reason_code in ("bad_request", "plan_error") else 3) from error
