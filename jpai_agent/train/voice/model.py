"""The embedded recogniser's network: a small FastConformer with a CTC head, as transformers' ParakeetForCTC builds it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from jpai_agent.voice.features import BANDS

MIDDLE = 3  # layers below the one that also learns to write kana
KANA = "、ー" + "".join(map(chr, range(0x30A1, 0x30F7)))


def build(characters: int, seed: int = 0, size: int = 160, layers: int = 6) -> Any:
    """A new ParakeetForCTC that writes so many characters; its last output (id `characters`) is the blank.

    One output frame for each 80 ms: 8 frames of `voice.features`.
    """
    from transformers import ParakeetCTCConfig, ParakeetForCTC

    torch.manual_seed(seed)
    encoder = {
        "hidden_size": size, "intermediate_size": size * 14 // 5, "num_hidden_layers": layers, "num_attention_heads": 4,
        "num_key_value_heads": 4, "num_mel_bins": BANDS, "subsampling_factor": 8, "subsampling_conv_channels": 48,
        "conv_kernel_size": 9, "dropout": 0.05, "activation_dropout": 0.0, "attention_dropout": 0.0, "layerdrop": 0.0,
        "scale_input": False, "max_position_embeddings": 1000,
    }
    model = ParakeetForCTC(ParakeetCTCConfig(vocab_size=characters + 1, pad_token_id=characters, encoder_config=encoder))
    # transformers draws every weight with a standard deviation of 0.02: through three narrow convolutions nothing of the sound
    # is left then. PyTorch's own choice goes by the layer's size.
    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.Conv1d, nn.Conv2d)):
            module.reset_parameters()
    model.set_attn_implementation("eager")  # on a CPU faster than the fused kernel, above all in bfloat16
    return model


class TwoScripts(nn.Module):
    """The recogniser with a second head half-way up that writes kana, for training only: what it sounds like comes first,
    how it is written after it."""

    def __init__(self, recogniser: Any) -> None:
        super().__init__()
        self.recogniser = recogniser
        self.kana_head = nn.Linear(recogniser.config.encoder_config.hidden_size, 2 * (len(KANA) + 1))
        self._middle: Tensor | None = None
        recogniser.encoder.layers[MIDDLE - 1].register_forward_hook(self._keep)

    def _keep(self, _module: nn.Module, _inputs: Any, output: Any) -> None:
        self._middle = output[0] if isinstance(output, tuple) else output

    def forward(self, features: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """features (batch, frames, BANDS), mask (batch, frames) → log-probabilities (batch, frames / 8, characters + 1)
        of the characters and (batch, frames / 4, len(KANA) + 1) of the kana, which come faster than one in 80 ms."""
        logits = self.recogniser(input_features=features, attention_mask=mask).logits
        assert self._middle is not None
        sounds = self.kana_head(self._middle).reshape(len(logits), -1, len(KANA) + 1)
        return logits.float().log_softmax(-1), sounds.float().log_softmax(-1)


def output_frames(frames: Tensor) -> Tensor:
    """Output frames for input frames: three strided convolutions, each (n − 1) // 2 + 1."""
    for _ in range(3):
        frames = (frames - 1) // 2 + 1
    return frames
