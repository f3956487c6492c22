#!/usr/bin/env python3
"""Build jpai_msgs against the ROS 2 wheels of a virtual environment and install it there, with plain CMake.

    python build_with_wheels.py [VENV]

For machines without a ROS 2 distribution; with one, colcon builds the package. A second call with nothing changed does
nothing. Must be run by the virtual environment's own Python.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
# the wheels' CMake files name the include folders of the machine that built them
BUILD_MACHINE_PYTHON = re.compile(r"/opt/python/cp\d+-cp\d+t?/include/python[0-9.]+t?")
BUILD_MACHINE_NUMPY = re.compile(
    r"/opt/python/cp\d+-cp\d+t?/lib/python[0-9.]+t?/site-packages/numpy/(?:_core|core)/include"
)


def stamp(venv: Path) -> str:
    """What the build depends on: the interfaces, this script, the Python and the wheels."""
    digest = hashlib.sha256(f"{sys.version} {venv}".encode())
    for path in sorted(p for p in PACKAGE.rglob("*") if p.suffix in {".msg", ".srv", ".action", ".txt", ".xml", ".py"}):
        digest.update(path.relative_to(PACKAGE).as_posix().encode() + path.read_bytes())
    for info in sorted(Path(sysconfig.get_path("purelib")).glob("ros_*rosidl*.dist-info")):
        digest.update(info.name.encode())
    return digest.hexdigest()


def mend_include_paths(venv: Path) -> int:
    """Point the wheels' exported targets at this Python's headers. Returns how many files were rewritten."""
    import numpy

    mended = 0
    for path in venv.glob("share/*/cmake/*.cmake"):
        text = path.read_text(encoding="utf-8")
        new = BUILD_MACHINE_NUMPY.sub(numpy.get_include(), text)
        new = BUILD_MACHINE_PYTHON.sub(sysconfig.get_path("include"), new)
        if new != text:
            path.write_text(new, encoding="utf-8")
            mended += 1
    return mended


def build(venv: Path, jobs: int) -> None:
    """Configure, compile and install. Raises RuntimeError with the tail of the log when a step fails."""
    tools = [shutil.which(tool) for tool in ("cmake", "g++")]
    if not all(tools):
        raise RuntimeError("building jpai_msgs needs cmake and g++: sudo apt-get install cmake g++ make")
    environment = os.environ | {
        "AMENT_PREFIX_PATH": str(venv),
        "CMAKE_PREFIX_PATH": str(venv),
        "PATH": f"{venv / 'bin'}:{os.environ.get('PATH', '')}",
    }
    environment.pop("ROS_DISTRO", None)
    with tempfile.TemporaryDirectory(prefix="jpai-msgs-") as folder:
        steps = [
            [
                "cmake",
                "-S",
                str(PACKAGE),
                "-B",
                folder,
                "-DCMAKE_BUILD_TYPE=None",
                "-DJPAI_RCLPY_ONLY=ON",
                "-DBUILD_TESTING=OFF",
                "-Wno-dev",
                f"-DCMAKE_INSTALL_PREFIX={venv}",
                f"-DPython3_EXECUTABLE={sys.executable}",
                "-DCMAKE_CXX_FLAGS=-O0",
                "-DCMAKE_C_FLAGS=-O1",
            ],
            ["cmake", "--build", folder, "--parallel", str(jobs)],
            ["cmake", "--install", folder],
        ]
        for step in steps:
            result = subprocess.run(
                step, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
            )
            if result.returncode != 0:
                raise RuntimeError(f"{' '.join(step[:2])} failed:\n{result.stdout[-4000:]}")


def main() -> int:
    """Build unless the stamp says that what is installed is up to date. Returns the exit code."""
    venv = Path(sys.argv[1] if len(sys.argv) > 1 else sys.prefix).resolve()
    if venv != Path(sys.prefix).resolve():
        print(f"build_with_wheels: run me with {venv / 'bin' / 'python'}, not {sys.executable}", file=sys.stderr)
        return 2
    mark = venv / "share" / "jpai_msgs" / ".stamp"
    wanted = stamp(venv)
    if mark.is_file() and mark.read_text() == wanted:
        return 0
    try:
        mend_include_paths(venv)
        build(venv, os.cpu_count() or 1)
    except RuntimeError as error:
        print(f"build_with_wheels: {error}", file=sys.stderr)
        return 1
    mark.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
