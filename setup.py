"""The ament_python package: code, data under share/jpai_agent, and one executable for each node of the graph."""

from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
DATA = ("config", "launch", "models", "sim")
NODES = ("gate_node", "sim_node", "perception_node", "twin_node", "executor_node", "agent_node", "speech_node", "voice_node")


def data_files() -> list[tuple[str, list[str]]]:
    """Every data file, in its folder below share/jpai_agent."""
    folders: dict[str, list[str]] = {}
    for top in DATA:
        for path in sorted((ROOT / top).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                relative = path.relative_to(ROOT)
                folders.setdefault(f"share/jpai_agent/{relative.parent.as_posix()}", []).append(relative.as_posix())
    index = [
        ("share/ament_index/resource_index/packages", ["resource/jpai_agent"]),
        ("share/jpai_agent", ["package.xml"]),
    ]
    return index + sorted(folders.items())


setup(
    name="jpai_agent",
    version="0.1.0",
    packages=find_packages(include=["jpai_agent", "jpai_agent.*"]),
    package_data={"jpai_agent": ["**/*.txt", "**/*.yaml", "**/*.json"]},
    data_files=data_files(),
    install_requires=["setuptools"],
    zip_safe=False,
    author="JPAI Agent maintainers",
    maintainer="JPAI Agent maintainers",
    maintainer_email="maintainers@jpai-agent.invalid",
    description="Robots and vehicles that understand Japanese and think on their own computer",
    license="Apache-2.0",
    entry_points={
        "console_scripts": ["jpai = jpai_agent.cli:main"]
        + [f"{node} = jpai_agent.nodes.{node}:main" for node in NODES],
    },
)
