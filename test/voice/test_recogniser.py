"""Recognisers come from folders of this machine, say what is missing, and never fetch anything."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_sound import noise

from jpai_agent.voice.recogniser import (
    FASTER_WHISPER,
    SHERPA,
    TRANSFORMERS,
    RecogniserError,
    Transcript,
    kind_of,
    load_recogniser,
)

CONTROLS = ["<|endoftext|>", "<|startoftranscript|>", "<|ja|>", "<|translate|>", "<|transcribe|>", "<|startoflm|>",
            "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]


@pytest.fixture(scope="module")
def whisper(tmp_path_factory) -> Path:
    """A Whisper of 60 000 weights that mean nothing, with bytes for words."""
    transformers, torch = pytest.importorskip("transformers"), pytest.importorskip("torch")
    from tokenizers.pre_tokenizers import ByteLevel

    folder = tmp_path_factory.mktemp("whisper")
    words = [*sorted(ByteLevel.alphabet()), *CONTROLS]
    ids = {word: n for n, word in enumerate(words)}
    tokenizer = transformers.WhisperTokenizer(vocab=ids, merges=[])
    tokenizer.add_special_tokens({"additional_special_tokens": CONTROLS[1:]})
    features = transformers.WhisperFeatureExtractor(feature_size=80, chunk_length=15)
    size = {f"{part}_{what}": n for part in ("encoder", "decoder") for what, n in (("layers", 1), ("attention_heads", 2),
                                                                                   ("ffn_dim", 32))}
    config = transformers.WhisperConfig(
        vocab_size=len(tokenizer), d_model=32, max_source_positions=750, max_target_positions=448, num_mel_bins=80,
        decoder_start_token_id=ids["<|startoftranscript|>"], bos_token_id=ids["<|endoftext|>"], eos_token_id=ids["<|endoftext|>"],
        pad_token_id=ids["<|endoftext|>"], suppress_tokens=[], begin_suppress_tokens=[], **size)
    torch.manual_seed(1)
    model = transformers.WhisperForConditionalGeneration(config)
    said = model.generation_config
    said.is_multilingual, said.lang_to_id = True, {"<|ja|>": ids["<|ja|>"]}
    said.task_to_id = {"transcribe": ids["<|transcribe|>"], "translate": ids["<|translate|>"]}
    said.no_timestamps_token_id, said.prev_sot_token_id = ids["<|notimestamps|>"], ids["<|startofprev|>"]
    said.max_length, said._from_model_config = 16, False
    model.save_pretrained(folder)
    transformers.WhisperProcessor(features, tokenizer).save_pretrained(folder)
    return folder


def test_a_whisper_of_transformers_is_told_by_its_files_and_writes_something_down(whisper: Path) -> None:
    assert kind_of(whisper) == TRANSFORMERS
    recogniser = load_recogniser(whisper)
    plain = recogniser.transcribe(noise(1.0))
    assert plain == recogniser.transcribe(noise(1.0))
    assert 0.0 <= plain.confidence < 0.5  # its weights mean nothing
    assert "<|" not in plain.text
    assert recogniser.name == TRANSFORMERS


def test_its_hints_are_what_it_is_told_beforehand_and_no_part_of_what_it_writes(whisper: Path) -> None:
    recogniser = load_recogniser(f"transformers:{whisper}")
    told = recogniser.transcribe(noise(1.0), ["赤い箱", "出口", *["とても長い言葉"] * 100])
    assert isinstance(told, Transcript)
    assert not told.text.startswith("赤い箱、出口")


def test_a_model_of_another_type_is_refused(whisper: Path, tmp_path: Path) -> None:
    for file in whisper.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "florence2"}))
    with pytest.raises(RecogniserError, match="'florence2': whisper is wanted"):
        load_recogniser(tmp_path)


def test_a_model_that_is_broken_is_refused_by_its_folder(whisper: Path, tmp_path: Path) -> None:
    for file in whisper.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(RecogniserError, match=f"{tmp_path} does not load"):
        load_recogniser(tmp_path)


def folder_of(path: Path, *names: str) -> Path:
    path.mkdir(exist_ok=True)
    for name in names:
        (path / name).write_text("{}" if name.endswith(".json") else "赤 0\n箱 1\n")
    return path


@pytest.mark.parametrize(("files", "kind"), [
    (("model.bin", "config.json", "tokenizer.json"), FASTER_WHISPER),
    (("config.json", "model.safetensors"), TRANSFORMERS),
    (("tokens.txt", "model.int8.onnx"), SHERPA),
    (("recogniser.json", "config.json", "model.safetensors"), "embedded"),
])
def test_the_files_of_a_folder_tell_what_it_is_for(tmp_path: Path, files: tuple[str, ...], kind: str) -> None:
    assert kind_of(folder_of(tmp_path, *files)) == kind


@pytest.mark.parametrize(("which", "files", "said"), [
    ("{}", (), "no recogniser's files: model.bin .*it has none"),
    ("{}", ("readme.md",), r"it has readme\.md"),
    ("{}/none", (), "no recogniser at .*none"),
    ("faster-whisper:{}", ("config.json",), r"faster-whisper: model\.bin, tokenizer\.json missing"),
    ("transformers:{}", ("config.json", "vocab.json"),
     r"transformers: preprocessor_config\.json or processor_config\.json, \*\.safetensors or pytorch_model\*\.bin missing"),
    ("sherpa-onnx:{}", ("model.onnx",), r"sherpa-onnx: tokens\.txt missing"),
    ("espeak", (), "no recogniser at espeak"),
])
def test_a_folder_without_its_files_is_refused_with_what_is_missing(tmp_path, which: str, files, said: str) -> None:
    folder_of(tmp_path, *files)
    with pytest.raises(RecogniserError, match=said):
        load_recogniser(which.format(tmp_path))


@pytest.mark.parametrize(("module", "files"), [
    ("faster_whisper", ("model.bin", "config.json", "tokenizer.json")), ("sherpa_onnx", ("tokens.txt", "model.onnx"))])
def test_without_its_package_a_recogniser_says_what_to_install(tmp_path, monkeypatch, module: str, files) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(RecogniserError, match=f"pip install {module.replace('_', '-')}"):
        load_recogniser(folder_of(tmp_path, *files))


# --- packages that are no part of the extra: modules stand in for them, with the same calls


@pytest.fixture
def package(monkeypatch) -> Callable[..., types.ModuleType]:
    def there(name: str, **members: Any) -> types.ModuleType:
        module = types.ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)
        return module

    return there


def test_faster_whisper_gets_the_hints_as_hotwords_and_doubts_what_may_be_silence(tmp_path, package) -> None:
    asked: dict[str, Any] = {}

    class WhisperModel:
        def __init__(self, path: str, **options: Any) -> None:
            assert options["local_files_only"]

        def transcribe(self, samples, **options):
            asked.update(options)
            spoken = [types.SimpleNamespace(text=" 赤い箱", avg_logprob=np.log(0.9), no_speech_prob=0.5),
                      types.SimpleNamespace(text="へ", avg_logprob=np.log(0.8), no_speech_prob=0.0)]
            return iter(spoken if samples.any() else []), None

    package("faster_whisper", WhisperModel=WhisperModel)
    recogniser = load_recogniser(folder_of(tmp_path, "model.bin", "config.json", "tokenizer.json"))
    found = recogniser.transcribe(noise(1.0), ["赤い箱", "出口"])
    assert found == Transcript("赤い箱へ", pytest.approx(0.45))
    assert asked["hotwords"] == "赤い箱 出口"
    assert asked["language"] == "ja"
    assert recogniser.transcribe(np.zeros(16000, np.float32)) == Transcript("", 0.0)


def test_a_package_that_breaks_costs_an_utterance_with_its_name(tmp_path, package) -> None:
    class WhisperModel:
        def __init__(self, path: str, **options: Any) -> None:
            pass

        def transcribe(self, samples, **options):
            raise RuntimeError("CUDA out of memory")

    package("faster_whisper", WhisperModel=WhisperModel)
    recogniser = load_recogniser(folder_of(tmp_path, "model.bin", "config.json", "tokenizer.json"))
    with pytest.raises(RecogniserError, match="faster-whisper: RuntimeError: CUDA out of memory"):
        recogniser.transcribe(noise(1.0))


class Offline:
    """sherpa_onnx.OfflineRecognizer: remembers how it was made and asked."""

    asked: dict[str, Any]

    @classmethod
    def _made(cls, kind: str, **options: Any) -> Offline:
        recogniser = cls()
        recogniser.asked = {"kind": kind, **options}
        return recogniser

    @classmethod
    def from_transducer(cls, **options: Any) -> Offline:
        return cls._made("transducer", **options)

    @classmethod
    def from_whisper(cls, **options: Any) -> Offline:
        return cls._made("whisper", **options)

    @classmethod
    def from_sense_voice(cls, **options: Any) -> Offline:
        return cls._made("sense_voice", **options)

    @classmethod
    def from_nemo_ctc(cls, **options: Any) -> Offline:
        return cls._made("nemo_ctc", **options)

    def create_stream(self, hotwords: str | None = None) -> Any:
        self.asked["hotwords"] = hotwords
        scores = np.log([0.9, 0.4]).tolist()
        return types.SimpleNamespace(accept_waveform=lambda rate, samples: None,
                                     result=types.SimpleNamespace(text="赤箱", ys_log_probs=scores))

    def decode_stream(self, stream: Any) -> None:
        pass


def test_a_transducer_of_sherpa_onnx_leans_towards_the_hints_that_it_can_write(tmp_path, package) -> None:
    package("sherpa_onnx", OfflineRecognizer=Offline)
    files = ("tokens.txt", *(f"{part}{kind}.onnx" for part in ("encoder", "decoder", "joiner") for kind in ("", ".int8")))
    recogniser = load_recogniser(folder_of(tmp_path, *files))
    assert recogniser.transcribe(noise(1.0), ["赤箱", "出口", "箱"]) == Transcript("赤箱", pytest.approx(0.6))
    asked = recogniser._recogniser.asked
    assert asked["kind"] == "transducer" and asked["encoder"].endswith("encoder.int8.onnx")
    assert asked["hotwords"] == "赤箱/箱"


def test_a_whisper_for_sherpa_onnx_has_no_joiner_and_speaks_japanese(tmp_path, package) -> None:
    package("sherpa_onnx", OfflineRecognizer=Offline)
    recogniser = load_recogniser(folder_of(tmp_path, "tokens.txt", "small-encoder.onnx", "small-decoder.onnx"))
    recogniser.transcribe(noise(1.0), ["赤箱"])
    asked = recogniser._recogniser.asked
    assert (asked["kind"], asked["language"], asked["hotwords"]) == ("whisper", "ja", None)


@pytest.mark.parametrize(("model_type", "kind"), [("sense_voice_ctc", "sense_voice"), ("EncDecCTCModelBPE", "nemo_ctc")])
def test_a_single_file_for_sherpa_onnx_says_in_itself_what_it_is(tmp_path, package, model_type: str, kind: str) -> None:
    onnx = pytest.importorskip("onnx")
    package("sherpa_onnx", OfflineRecognizer=Offline)
    x, y = (onnx.helper.make_tensor_value_info(name, 1, [1]) for name in "xy")
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["x"], ["y"])], "g", [x], [y])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.helper.set_model_props(model, {"model_type": model_type})
    folder_of(tmp_path, "tokens.txt")
    onnx.save(model, tmp_path / "model.onnx")
    assert load_recogniser(tmp_path)._recogniser.asked["kind"] == kind
