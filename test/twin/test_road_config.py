"""The car's rehearsal settings: every value of the file is checked, and a bad one is named."""

import dataclasses

import pytest
import yaml

from jpai_agent.twin.road_config import load_road_rehearsal
from jpai_agent.world.paths import resource

FILE = resource("config", "rehearsal_car.yaml")


def changed(tmp_path, change):
    data = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    change(data)
    path = tmp_path / "rehearsal_car.yaml"
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    return path


def test_the_file_is_read_in_full_and_every_value_has_its_reason_near_it():
    config = load_road_rehearsal()
    assert (config.rollouts, config.pass_rate) == (32, 0.9)
    assert config.judge.ttc_s == 1.0
    for section in dataclasses.fields(config):
        lines = FILE.read_text(encoding="utf-8").split(f"\n{section.name}:")[-1].split("\n\n")[0]
        if dataclasses.is_dataclass(getattr(config, section.name)):
            assert "#" in lines, section.name


@pytest.mark.parametrize(("change", "named"), [
    (lambda d: d["vehicles"].pop("gap_m"), "vehicles.*missing.*gap_m"),
    (lambda d: d["car"].update(magic=1), "car.*unknown.*magic"),
    (lambda d: d["lights"].update(green_s=[9.0, 5.0]), "lights.green_s: 9.0 is above 5.0"),
    (lambda d: d.update(pass_rate=1.5), "pass_rate is a share"),
    (lambda d: d.update(timestep_s=0.5), "timestep_s"),
    (lambda d: d["vehicles"].update(straight_share=0.9, left_share=0.4), "together are more than 1"),
    (lambda d: d["pose"].update(sigma_m="small"), "pose.sigma_m must be a finite number"),
])
def test_a_bad_value_is_named_with_the_file(tmp_path, change, named):
    with pytest.raises(ValueError, match=f"rehearsal_car.yaml: .*{named}"):
        load_road_rehearsal(changed(tmp_path, change))
