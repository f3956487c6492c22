"""The commands `jpai models …`: the user's own checkpoints, taken in, listed, checked and removed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from jpai_agent.refusal import done

models_app = typer.Typer(no_args_is_help=True, help="Your own models: add a checkpoint from a folder, list, verify, remove.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name under which it was added.")]
Called = Annotated[str, typer.Option("--name", help="To call it by; the folder's name when left out.")]


@models_app.command(epilog="Example: jpai models add ~/Qwen3-VL-2B-Instruct --bits 8")
def add(folder: Annotated[Path, typer.Argument(metavar="DIR", help="A checkpoint for transformers, in safetensors.")],
        name: Called = "", bits: Annotated[int | None, typer.Option(help="Keep linear weights in 8 or 4 bits.")] = None,
        license_id: Annotated[str, typer.Option("--license", help="SPDX id; the model card's when left out.")] = "",
        base: Annotated[str, typer.Option(help="Of an adapter that does not say it: the checkpoint that it is for.")] = "",
        probe: Annotated[bool, typer.Option(help="Load it and show it the probe image.")] = True) -> None:
    """Take in a checkpoint or an adapter: look at it, copy or quantize it, load it once, write the sha256 of each file."""
    from jpai_agent.vlm import store

    manifest = done(lambda: store.add(folder, name, bits=bits, license_id=license_id, probe=probe, base=base))
    _tell(manifest)
    typer.echo(f"use it with: --model {manifest.name}")


@models_app.command(epilog="Example: jpai models quantize Qwen3-VL-2B-Instruct --bits 4")
def quantize(name: Name, bits: Annotated[int, typer.Option(help="8 or 4.")] = 8,
             as_name: Annotated[str, typer.Option("--as", help="To call the result by.")] = "") -> None:
    """Make a model that was added again, with its linear weights in 8 or 4 bits."""
    from jpai_agent.vlm import store

    def work() -> Any:
        store.check(name)
        return store.add(store.models_dir() / name, as_name or f"{name}-int{bits}", bits=bits)

    _tell(done(work))


@models_app.command("list")
def list_models(as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False) -> None:
    """The models that were added."""
    from jpai_agent.vlm import store

    found = done(store.installed)
    if as_json:
        typer.echo(json.dumps([_facts(manifest) for manifest in found], ensure_ascii=False))
        return
    for manifest in found:
        _tell(manifest)
    if not found:
        typer.echo(f"no models in {store.models_dir()}")


@models_app.command()
def verify(name: Name) -> None:
    """Check every file of a model against its manifest. Exit code 3 when one is missing, altered or not listed."""
    from jpai_agent.vlm import store

    manifest = done(lambda: store.check(name))
    typer.echo(f"{manifest.name}: {len(manifest.files)} files as listed, sha256 {manifest.sha256[:16]}")


@models_app.command()
def remove(name: Name) -> None:
    """Delete a model that was added."""
    from jpai_agent.vlm import store

    typer.echo(f"removed {done(lambda: store.remove(name))}")


def _facts(manifest: Any) -> dict[str, Any]:
    return {"name": manifest.name, "family": manifest.card.get("family"), "model_type": manifest.model_type,
            "bits": manifest.bits, "parameters": manifest.parameters, "license": manifest.license,
            "points": manifest.card.get("points"), "sha256": manifest.sha256}


def _tell(manifest: Any) -> None:
    points = manifest.card.get("points")
    about = f"{manifest.parameters / 1e6:.1f} M parameters, {manifest.bits} bits, license {manifest.license}"
    about += f", points {points}" if points else ""
    typer.echo(f"{manifest.name}  {manifest.card.get('family')}  {about}")
