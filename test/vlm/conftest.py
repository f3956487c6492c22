"""A tiny Florence-2 with random weights, the model folder that the export makes of it, and this folder's helper modules."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from jpai_agent.skills import skills_for
from jpai_agent.vlm import PlanRequest
from jpai_agent.vlm.codecs import probe_image

PLACES = {"dock": ("充電ステーション", "ドック"), "exit": ("出口",)}
CHARACTERS = "赤青緑い箱の手前まで行って秒待充電右左回戻作業員看板"


@pytest.fixture(scope="session")
def frame() -> np.ndarray:
    return probe_image()


@pytest.fixture
def request_(frame) -> PlanRequest:
    return PlanRequest("赤い箱の手前まで行って", {"front": frame}, places=PLACES)


@pytest.fixture(scope="session")
def tokenizer():
    from jpai_agent.train.tokenizer import build_tokenizer

    return build_tokenizer(skills_for("cart").values(), [CHARACTERS], list(PLACES))


@pytest.fixture(scope="session")
def checkpoint(tokenizer, tmp_path_factory):
    from jpai_agent.train.model import ModelSize, build_model, build_processor, save_checkpoint

    size = ModelSize(tower=(16, 16, 32), tower_depths=(1, 1, 1), tower_heads=(2, 2, 2), d_model=32, heads=2,
                     encoder_layers=1, decoder_layers=1, encoder_ffn=32, decoder_ffn=32)  # fmt: skip
    folder = tmp_path_factory.mktemp("checkpoint")
    save_checkpoint(folder, build_model(tokenizer, size, seed=0), build_processor(tokenizer), {"seed": 0})
    return folder


@pytest.fixture(scope="session")
def model_folder(checkpoint, tmp_path_factory):
    from jpai_agent.vlm.export import export

    folder = tmp_path_factory.mktemp("models") / "tiny"
    export(checkpoint, folder, name="tiny", card={"purpose": "tests"})
    return folder


@pytest.fixture(scope="session")
def backend(model_folder):
    from jpai_agent.vlm import load_backend

    return load_backend(model_folder)
