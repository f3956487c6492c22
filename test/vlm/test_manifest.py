"""A model folder starts only when every file is what its manifest says."""

import json

import pytest

from jpai_agent.vlm import VlmError, load_backend, read_manifest, verify
from jpai_agent.vlm.manifest import MANIFEST, write_manifest


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "onnx").mkdir()
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "onnx" / "decoder.onnx").write_bytes(bytes(range(256)) * 40)
    write_manifest(tmp_path, "tiny", "0.1.0", license_id="Apache-2.0", model_type="florence2", bits=8, parameters=9,
                   card={"seed": 0})  # fmt: skip
    return tmp_path


def test_an_unaltered_folder_passes_and_tells_what_it_is(folder):
    manifest = verify(folder)
    assert (manifest.name, manifest.bits, manifest.card) == ("tiny", 8, {"seed": 0})
    assert set(manifest.files) == {"config.json", "onnx/decoder.onnx"}
    assert manifest.sha256 == read_manifest(folder).sha256


def test_the_models_hash_changes_with_any_file(folder):
    before = read_manifest(folder).sha256
    (folder / "config.json").write_text("{ }")
    after = write_manifest(folder, "tiny", "0.1.0", license_id="", model_type="", bits=8, parameters=9, card={})
    assert after.sha256 != before


def refused(folder, code, *names):
    with pytest.raises(VlmError) as caught:
        load_backend(folder)
    assert caught.value.reason_code == code
    assert all(name in str(caught.value) for name in names)


@pytest.mark.parametrize("position", [0, 5000, -1])
def test_one_flipped_bit_refuses_to_start_and_names_the_file(folder, position):
    path = folder / "onnx" / "decoder.onnx"
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)
    refused(folder, "model_altered", "decoder.onnx")


def test_a_truncated_file_refuses_to_start(folder):
    path = folder / "onnx" / "decoder.onnx"
    path.write_bytes(path.read_bytes()[:-1])
    refused(folder, "model_altered", "decoder.onnx")


def test_a_missing_file_refuses_to_start(folder):
    (folder / "config.json").unlink()
    refused(folder, "model_missing", "config.json")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "modeling_own.py", "onnx/other.onnx"])
def test_a_file_that_the_manifest_does_not_know_refuses_to_start(folder, name):
    (folder / name).write_bytes(b"x")
    refused(folder, "model_altered", name)


def test_without_a_manifest_exported_graphs_do_not_start(folder):
    (folder / MANIFEST).unlink()
    refused(folder, "model_missing", MANIFEST)


def test_no_folder_is_an_error_that_names_it(tmp_path):
    refused(tmp_path / "nowhere", "model_missing", "nowhere")


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": 9}', '{"format": 1}', "not json", '{"format": 1, "name": "x", "z": 1}']
)
def test_a_broken_manifest_is_an_error(folder, text):
    (folder / MANIFEST).write_text(text)
    refused(folder, "model_altered", MANIFEST)


@pytest.mark.parametrize("name", ["../config.json", "/etc/hosts"])
def test_a_manifest_cannot_point_out_of_its_folder(folder, name):
    data = json.loads((folder / MANIFEST).read_text())
    data["files"][name] = "0" * 64
    (folder / MANIFEST).write_text(json.dumps(data))
    refused(folder, "model_altered", name)
