"""Run the model server (`vlm.server`) with an audit log, in which is what its model, where that is an endpoint, was sent."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from jpai_agent.outward import Accounts
from jpai_agent.vlm import load_backend
from jpai_agent.vlm.server import main as serve


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM; options and exit codes are those of `python -m jpai_agent.vlm.server`, and --audit FILE."""
    parser = argparse.ArgumentParser(prog="python -m jpai_agent.serving", description=__doc__, add_help=False)
    parser.add_argument("--audit", type=Path, default=None)
    options, rest = parser.parse_known_args(arguments)
    return serve(rest, load=partial(load_backend, note=Accounts("vlm_server", options.audit)))


if __name__ == "__main__":
    sys.exit(main())
