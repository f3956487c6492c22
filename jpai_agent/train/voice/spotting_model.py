"""The spotter's network: causal dilated convolutions over log-mel frames, the same over a whole stream and frame by frame.

Beside the stop words it learns to tell phonemes (CTC), which teaches it the sounds of everything else that is said; that head
is not exported.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from jpai_agent.voice.spotter import BANDS

CHANNELS = 64
DILATIONS = (1, 2, 4, 8, 1, 2, 4, 8)  # kernel 3, steps of 32 ms: 2 s are seen
PER_STEP = 2  # frames that give one step
_STEM = 6


class SpotterNet(nn.Module):
    """Stem, residual causal convolutions, two heads."""

    def __init__(self, words: int, phonemes: int) -> None:
        """`words`: without "nothing". `phonemes`: without CTC's blank."""
        super().__init__()
        self.stem = nn.Conv1d(BANDS, CHANNELS, _STEM, stride=PER_STEP)
        self.blocks = nn.ModuleList(nn.Conv1d(CHANNELS, CHANNELS, 3, dilation=d) for d in DILATIONS)
        self.norms = nn.ModuleList(nn.BatchNorm1d(CHANNELS) for _ in DILATIONS)
        self.words = nn.Linear(CHANNELS, 1 + words)
        self.phonemes = nn.Linear(CHANNELS, 1 + phonemes)
        self.drop = nn.Dropout(0.1)

    def forward(self, frames: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """(logits of words (B, S, 1 + words), of phonemes (B, S, 1 + phonemes), next state) of frames (B, S × PER_STEP, BANDS).

        `state` (B, CHANNELS, `state_frames()`) is what the convolutions still need of the past; None: silence.
        """
        x = frames.transpose(1, 2)
        if state is None:
            state = x.new_zeros(x.shape[0], CHANNELS, state_frames())
        at = _STEM - PER_STEP
        full = torch.cat([state[:, :BANDS, :at], x], dim=2)
        kept = [F.pad(full[:, :, -at:], (0, 0, 0, CHANNELS - BANDS))]
        x = F.relu(self.stem(full))
        for conv, norm, dilation in zip(self.blocks, self.norms, DILATIONS, strict=True):
            full = torch.cat([state[:, :, at:at + 2 * dilation], x], dim=2)
            kept.append(full[:, :, -2 * dilation:])
            x = x + self.drop(F.relu(norm(conv(full))))
            at += 2 * dilation
        y = x.transpose(1, 2)
        return self.words(y), self.phonemes(y), torch.cat(kept, dim=2)


def state_frames() -> int:
    """Frames of the past that all convolutions together keep."""
    return _STEM - PER_STEP + sum(2 * d for d in DILATIONS)


class _Streaming(nn.Module):
    def __init__(self, net: SpotterNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, frames: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        words, _, following = self.net(frames, state)
        return words, following


def export(net: SpotterNet, path: Path) -> None:
    """Write the network as ONNX: frames (1, S × PER_STEP, BANDS), state → logits (1, S, 1 + words), the next state."""
    streaming = _Streaming(net.eval()).eval()
    inputs = (torch.zeros(1, 14, BANDS), torch.zeros(1, CHANNELS, state_frames()))
    steps = torch.export.Dim("steps", min=1, max=100_000)
    program = torch.onnx.export(
        streaming, inputs, dynamo=True, verbose=False, input_names=["frames", "state"], output_names=["logits", "following"],
        dynamic_shapes=({1: PER_STEP * steps}, None))
    assert program is not None
    program.save(str(path))
