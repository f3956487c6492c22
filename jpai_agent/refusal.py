"""How a command ends that cannot do what it was told."""

from __future__ import annotations

import typer


def refused(message: str, code: int) -> typer.Exit:
    """Say why on standard error; what is to be raised then."""
    typer.echo(f"jpai: {message}", err=True)
    return typer.Exit(code)
