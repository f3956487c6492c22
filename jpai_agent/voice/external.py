"""Recognisers of the user's own, each from a folder on this machine: faster-whisper, Whisper in transformers, sherpa-onnx.

Their packages are imported when one is loaded and are no part of the voice extra. None is ever downloaded, nor any file of a
model: what a package would fetch from elsewhere is asked for in the folder first.
"""

from __future__ import annotations

import importlib
import json
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jpai_agent.voice.audio import RATE_HZ, Samples
from jpai_agent.voice.recogniser import RecogniserError, Transcript

LANGUAGE = "ja"
THREADS = 2
# Whisper reads at most half of its text's length, 224 tokens, of what it is told beforehand (Radford et al. 2022, section 2.3)
PROMPT_TOKENS = 200
PROMPT_CHARS = 150
# of a recogniser that tells none: everything is read back
NO_CONFIDENCE = 0.5


class FasterWhisper:
    """A Whisper model converted for CTranslate2. Hints become its hotwords; confidence is the mean likelihood of its tokens."""

    name = "faster-whisper"

    def __init__(self, folder: Path) -> None:
        """Raises RecogniserError."""
        # without its tokenizer the package would ask a hub for one
        _need(folder, self.name, "model.bin", "config.json", "tokenizer.json")
        package = _package("faster_whisper", self.name)
        self._model = _loaded(folder, lambda: package.WhisperModel(
            str(folder), device="auto", compute_type="default", cpu_threads=THREADS, local_files_only=True))

    def transcribe(self, samples: Samples, hints: Sequence[str] = ()) -> Transcript:
        """As of any recogniser."""
        def work() -> Transcript:
            pieces, _ = self._model.transcribe(samples, language=LANGUAGE, beam_size=5, temperature=0.0, vad_filter=False,
                                               without_timestamps=True, condition_on_previous_text=False,
                                               hotwords=" ".join(_short(hints)) or None)
            found = list(pieces)
            if not found:
                return Transcript("", 0.0)
            likely = [math.exp(piece.avg_logprob) * (1.0 - piece.no_speech_prob) for piece in found]
            return Transcript("".join(piece.text for piece in found).strip(), min(likely))

        return _done(self.name, work)


class TransformersWhisper:
    """A Whisper model in transformers. Hints become its prompt; confidence is the mean likelihood of its tokens."""

    name = "transformers"

    def __init__(self, folder: Path) -> None:
        """Raises RecogniserError."""
        _need(folder, self.name, "config.json", "preprocessor_config.json|processor_config.json", "tokenizer.json|vocab.json",
              "*.safetensors|pytorch_model*.bin")
        kind = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
        if kind != "whisper":
            raise RecogniserError(f"{folder} holds a model of type {kind!r}: whisper is wanted")
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        transformers, self._torch = _package("transformers", self.name), _package("torch", self.name)
        self._processor, self._model = _loaded(folder, lambda: (
            transformers.WhisperProcessor.from_pretrained(folder, local_files_only=True),
            transformers.WhisperForConditionalGeneration.from_pretrained(folder, local_files_only=True).eval()))
        said = self._model.generation_config
        spoken = bool(getattr(said, "is_multilingual", False))
        self._spoken = {"language": LANGUAGE, "task": "transcribe"} if spoken else {}
        # what stands before the words that it writes
        self._head = [said.decoder_start_token_id, *([said.lang_to_id[f"<|{LANGUAGE}|>"], said.task_to_id["transcribe"]] if spoken
                                                     else []), said.no_timestamps_token_id]

    def transcribe(self, samples: Samples, hints: Sequence[str] = ()) -> Transcript:
        """As of any recogniser."""
        return _done(self.name, lambda: self._transcribe(samples, hints))

    def _transcribe(self, samples: Samples, hints: Sequence[str]) -> Transcript:
        torch, tokenizer = self._torch, self._processor.tokenizer
        features = self._processor(samples, sampling_rate=RATE_HZ, return_tensors="pt").input_features
        told = "、".join(_short(hints))
        prompt = tokenizer.get_prompt_ids(told, return_tensors="pt")[:PROMPT_TOKENS] if told else None
        with torch.inference_mode():
            written = self._model.generate(features, **self._spoken, prompt_ids=prompt, num_beams=1, do_sample=False)[0]
            # what comes before is what it was told
            tokens = written[len(prompt):] if prompt is not None and written[:len(prompt)].equal(prompt) else written
            text = tokenizer.decode(tokens, skip_special_tokens=True).strip()
            return Transcript(text, self._likely(features, prompt, tokens) if text else 0.0)

    def _likely(self, features: Any, prompt: Any, tokens: Any) -> float:
        """Mean likelihood of the words among `tokens`, times that of speech at all; read again with all of them known."""
        torch, tokenizer = self._torch, self._processor.tokenizer
        words = [int(token) for token in tokens if int(token) not in tokenizer.all_special_ids]
        told = [] if prompt is None else prompt.tolist()
        before = [*told, *self._head]
        scores = self._model(features, decoder_input_ids=torch.tensor([[*before, *words]])).logits[0].log_softmax(-1)
        own = scores[len(before) - 1:-1].gather(1, torch.tensor(words)[:, None]).mean()
        # told by what it would write first (Radford et al. 2022, section 4.5), in one of two spellings
        silent = [tokenizer.convert_tokens_to_ids(token) for token in ("<|nospeech|>", "<|nocaptions|>")]
        none = max(float(scores[len(told), token].exp()) for token in silent if token is not None)
        return float(own.exp()) * (1.0 - none)


class SherpaOnnx:
    """A model for sherpa-onnx: a transducer, whose hints become hotwords, SenseVoice, Whisper or a CTC model."""

    name = "sherpa-onnx"

    def __init__(self, folder: Path) -> None:
        """Raises RecogniserError."""
        _need(folder, self.name, "tokens.txt", "*.onnx")
        package = _package("sherpa_onnx", self.name)
        tokens = folder / "tokens.txt"
        lines = tokens.read_text(encoding="utf-8").splitlines()
        self._known = frozenset(line.rsplit(maxsplit=1)[0] for line in lines if line.strip())
        self._biased = False
        made, options = self._kind(folder)
        make = getattr(package.OfflineRecognizer, made)
        self._recogniser = _loaded(folder, lambda: make(**options, tokens=str(tokens), num_threads=THREADS))

    def _kind(self, folder: Path) -> tuple[str, dict[str, Any]]:
        """Which of the package's makers the files are for, and with what."""
        parts = {part: _best(folder, f"*{part}*.onnx") for part in ("encoder", "decoder", "joiner")}
        if all(parts.values()):
            self._biased = True
            return "from_transducer", {**parts, "decoding_method": "modified_beam_search", "modeling_unit": "cjkchar"}
        if parts["encoder"] and parts["decoder"]:
            return "from_whisper", {"encoder": parts["encoder"], "decoder": parts["decoder"], "language": LANGUAGE}
        model = _best(folder, "*.onnx")
        kind = _metadata(Path(model)).get("model_type", "")
        if kind.startswith("sense_voice"):
            return "from_sense_voice", {"model": model, "language": LANGUAGE, "use_itn": True}
        return ("from_zipformer_ctc" if kind.startswith("zipformer") else "from_nemo_ctc"), {"model": model}

    def transcribe(self, samples: Samples, hints: Sequence[str] = ()) -> Transcript:
        """As of any recogniser."""
        def work() -> Transcript:
            # a word with a letter that the model has not would make it give up all of them
            words = [hint for hint in hints if hint and all(letter in self._known for letter in hint)] if self._biased else []
            stream = self._recogniser.create_stream(hotwords="/".join(words)) if words else self._recogniser.create_stream()
            stream.accept_waveform(RATE_HZ, samples)
            self._recogniser.decode_stream(stream)
            found = stream.result
            text = found.text.strip()
            scores = list(found.ys_log_probs)
            sure = math.exp(sum(scores) / len(scores)) if scores else NO_CONFIDENCE
            return Transcript(text, min(sure, 1.0) if text else 0.0)

        return _done(self.name, work)


def _best(folder: Path, pattern: str) -> str:
    """The file of a pattern, the int8 one where there are two; "" where there is none."""
    found = sorted(folder.glob(pattern), key=lambda path: (".int8." not in path.name, path.name))
    return str(found[0]) if found else ""


def _metadata(model: Path) -> dict[str, str]:
    import onnxruntime

    session = _loaded(model, lambda: onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"]))
    return dict(session.get_modelmeta().custom_metadata_map)


def _short(hints: Sequence[str]) -> list[str]:
    """The first of the hints, as many as a prompt takes."""
    taken: list[str] = []
    for hint in hints:
        if sum(map(len, taken)) + len(taken) + len(hint) > PROMPT_CHARS:
            break
        taken.append(hint)
    return taken


def _need(folder: Path, name: str, *patterns: str) -> None:
    """Raises RecogniserError naming the files that a folder has not; either of those parted by | will do."""
    missing = [pattern for pattern in patterns if not any(any(folder.glob(one)) for one in pattern.split("|"))]
    if missing:
        told = ", ".join(pattern.replace("|", " or ") for pattern in missing)
        raise RecogniserError(f"{folder} is no whole model for {name}: {told} missing")


def _package(module: str, name: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise RecogniserError(f"the recogniser {name} needs a package that is not installed: pip install "
                              f"{module.replace('_', '-')} ({error})") from error


def _loaded(path: Path, load: Callable[[], Any]) -> Any:
    try:
        return load()
    except Exception as error:  # each package raises its own kinds
        raise RecogniserError(f"{path} does not load: {type(error).__name__}: {error}") from error


def _done(name: str, work: Callable[[], Transcript]) -> Transcript:
    try:
        return work()
    except Exception as error:  # a recogniser that breaks must not take hearing with it
        raise RecogniserError(f"{name}: {type(error).__name__}: {error}") from error
