"""The command `jpai keys`: the keys of this user on this machine, which of them others need, and whom they let in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from jpai_agent.refusal import refused

keys_app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown",
                       help="Keys of model servers and their clients beyond one machine, and those that sign.")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output and nothing else there.")]
State = Annotated[Path | None, typer.Option(help="Folder of the state; $JPAI_STATE_DIR or ~/.local/state/jpai when left out.")]


@keys_app.command("make", epilog="Example: jpai keys make server")
def make(end: Annotated[str, typer.Argument(help="`server`, where a model is served; `client`, on a robot that asks one.")],
         state: State = None) -> None:
    """Make this machine's key for one end of the way to a model server, where there is none, and print its public half's file."""
    from jpai_agent.vlm.keys import CLIENT, SERVER, make_key
    from jpai_agent.world.keys import KeyFault, keys_dir

    names = {"server": SERVER, "client": CLIENT}
    if end not in names:
        raise refused(f"unknown end {end!r}: server or client", 2)
    try:
        make_key(names[end], state)
    except KeyFault as error:
        raise refused(str(error), 1) from error
    typer.echo(keys_dir(state) / f"{names[end]}.pub")


@keys_app.command("allow", epilog="Example: jpai keys allow model-client.pub --name robot-7")
def allow(file: Annotated[Path, typer.Argument(help="A robot's model-client.pub, brought to this machine.")],
          name: Annotated[str, typer.Option(help="What the robot is called; no two have the same name.")],
          state: State = None) -> None:
    """Let a robot ask the model that is served here, from its next connection on; without the file printed it no longer may."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

    from jpai_agent.vlm.keys import CLIENTS
    from jpai_agent.world.keys import KeyFault, keys_dir, read_public

    folder = keys_dir(state) / CLIENTS
    if not name.replace("-", "").replace("_", "").isalnum():
        raise refused(f"{name!r} is no name: letters, digits, - and _", 2)
    try:
        public = read_public(file, X25519PublicKey)
        path = folder / f"{name}.pub"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with path.open("x", encoding="ascii") as kept:
            kept.write(public + "\n")
    except FileExistsError as error:
        raise refused(f"{path} is there: remove it first", 1) from error
    except KeyFault as error:
        raise refused(str(error), 2) from error
    except OSError as error:
        raise refused(f"{folder}: {error.strerror}", 1) from error
    typer.echo(path)


@keys_app.command("list", epilog="Example: jpai keys list")
def list_keys(state: State = None, as_json: AsJson = False) -> None:
    """Print every public key, and whether its private half is here."""
    from jpai_agent.world.keys import keys_dir

    folder = keys_dir(state)
    found = []
    for path in sorted(folder.rglob("*.pub")):
        try:
            public = path.read_text(encoding="ascii").strip()
        except (OSError, ValueError) as error:
            public = f"unreadable: {error}"
        found.append({"name": str(path.relative_to(folder).with_suffix("")), "public": public[:64],
                      "private": path.with_suffix(".key").exists()})
    if as_json:
        typer.echo(json.dumps({"folder": str(folder), "keys": found}, ensure_ascii=False))
        return
    typer.echo(f"{folder}")
    for key in found:
        typer.echo(f"  {'own  ' if key['private'] else 'other'} {key['name']:<32} {key['public']}")
