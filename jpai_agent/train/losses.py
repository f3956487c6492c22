"""What training asks of a forward pass: the answer's tokens, and that patches and attention heads find what is meant.

Besides the usual cross entropy of the answer (coordinates smoothed over their neighbours), auxiliary losses ask
- that the encoder's states at image patches tell, by a linear probe, which patches are the plan's first, second and
  third target and which are candidates that the words fit (heat maps);
- that the words of a label tell its object's kind and colour half-way up;
- that single heads look where they should: label words at their object's patches and these at the words, decoder heads
  at the object when a coordinate is due, at the words when a label is copied;
- that words for a landmark look at the token that says whether the map has it, or at `<s>` where there is none;
- that the words of a label tell whether none, one or several objects fit them;
- that what those heads bring back from any object's patch already names the coordinates of the object's point.

Probes live in `Probes` and are thrown away after training.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from jpai_agent.train.tokenizer import COORDINATES, STEP
from jpai_agent.train.trace import Trace

MAX_TARGETS = 3
CHANNELS = MAX_TARGETS + 1  # targets 1..3 of the plan, then all candidates that are mentioned
HEAT_LAYERS = (1, 2, 3)
# taught heads come first in their layer, see trace.TAUGHT_ENCODER_HEADS
WORD_LAYER = 1  # encoder layer whose words tell kind and colour; its head 1 takes patches to words
GROUND_LAYER = 2  # encoder layer whose head 0 takes words to patches, its head 1 to what the map has
X_HEAD, Y_HEAD, COPY_HEAD = 0, 1, 2
HEAT_POSITIVE_WEIGHT = 6.0
FIRST_TOKEN_WEIGHT = 3.0
COORDINATE_WEIGHT = 3.0
IGNORE = -100


@dataclass
class Batch:
    """Tensors of B questions over K patches, T prompt and A answer tokens; P points, N labels, C copied characters.

    Attributes:
        rows: (B,) frame of each question among the batch's frames.
        cells: (B, K) grid index of its patches, -1 for padding.
        prompt, prompt_mask: (B, T).
        answer_in, answer_out: (B, A) decoder input and what it should say, IGNORE for padding.
        heat: (B, CHANNELS, K) 1 where the patch belongs to the channel's objects.
        point_at: (P, 4) question, step before x, step before y, index of the target among MAX_TARGETS.
        point_goal: (P, K) where the head should look, rows sum to 1.
        span_at: (N, 2) question and target index; span_words: (N, T) the label's words; span_kind, span_color: (N,).
        copy_at: (C, 3) question, answer step, prompt position of the character to copy.
        count_of: (L,) question of a referring expression; count_words: (L, T) its words; count: (L,) how many objects it
            fits, 2 for more.
        map_of: (M,) question of words that name a landmark; map_words: (M, T) which; map_spot: (M,) the prompt's token that
            says the map has it, 0 for none.
        cell_point: (B, K, 2) index of the coordinate tokens of the nearby point of the patch's object, -1 for none.
    """

    rows: Tensor
    cells: Tensor
    prompt: Tensor
    prompt_mask: Tensor
    answer_in: Tensor
    answer_out: Tensor
    heat: Tensor
    point_at: Tensor
    point_goal: Tensor
    span_at: Tensor
    span_words: Tensor
    span_kind: Tensor
    span_color: Tensor
    copy_at: Tensor
    cell_point: Tensor
    count_of: Tensor
    count_words: Tensor
    count: Tensor
    map_of: Tensor
    map_words: Tensor
    map_spot: Tensor

    def __len__(self) -> int:
        return len(self.rows)

    def to(self, device: torch.device | str) -> Batch:
        """The batch on another device."""
        return Batch(**{item.name: getattr(self, item.name).to(device) for item in fields(self)})


class Probes(nn.Module):
    """Linear probes of the auxiliary losses."""

    def __init__(self, width: int, kinds: int, colors: int) -> None:
        super().__init__()
        self.heat = nn.ModuleList(nn.Linear(width, CHANNELS) for _ in HEAT_LAYERS)
        self.kind = nn.Linear(width, kinds)
        self.color = nn.Linear(width, colors)
        self.count = nn.Linear(width, 3)
        for name, parameter in self.heat.named_parameters():
            if name.endswith("bias"):
                nn.init.constant_(parameter, -3.0)


class AnswerLoss(nn.Module):
    """Cross entropy of answers; a coordinate's goal is spread over its neighbours with a spread of `sigma_bins`."""

    soft: Tensor
    place: Tensor
    ids: Tensor

    def __init__(self, coordinate_ids: list[int], vocabulary: int, sigma_bins: float = 1.1) -> None:
        super().__init__()
        values = torch.tensor(COORDINATES, dtype=torch.float) / STEP
        soft = torch.softmax(-((values[:, None] - values) ** 2) / (2 * sigma_bins**2), dim=1)
        place = torch.full((vocabulary,), -1)
        place[coordinate_ids] = torch.arange(len(coordinate_ids))
        self.register_buffer("soft", soft)
        self.register_buffer("place", place)
        self.register_buffer("ids", torch.tensor(coordinate_ids))

    def forward(self, logits: Tensor, goals: Tensor) -> Tensor:
        """Mean loss of a token, first ones and coordinates weighing more; `logits` (B, A, V), `goals` (B, A)."""
        log = logits.float().log_softmax(-1)
        known = goals != IGNORE
        safe = goals.clamp_min(0)
        hard = -log.gather(-1, safe[..., None])[..., 0]
        place = self.place[safe]
        at = (place >= 0) & known
        soft = -(log[at][:, self.ids] * self.soft[place[at]]).sum(-1)
        loss = hard.masked_scatter(at, soft)
        weight = known.float() + (COORDINATE_WEIGHT - 1) * at
        weight[:, 0] *= FIRST_TOKEN_WEIGHT
        return (loss * weight).sum() / weight.sum()


def _mean(values: Tensor) -> Tensor:
    return values.mean() if len(values) else values.sum()


def heat_loss(states: Tensor, probe: nn.Module, batch: Batch) -> Tensor:
    """Binary cross entropy of the heat maps that `probe` reads from a layer, targets' patches weighing more."""
    known = (batch.cells >= 0)[:, None]
    logits = probe(states[:, 1 : 1 + batch.cells.shape[1]]).transpose(1, 2).float()
    loss = functional.binary_cross_entropy_with_logits(logits, batch.heat, reduction="none")
    weight = (1 + (HEAT_POSITIVE_WEIGHT - 1) * batch.heat) * known
    return (loss * weight).sum() / weight.sum()


def attention_losses(trace: Trace, batch: Batch) -> dict[str, Tensor]:
    """Cross entropy of the taught heads against where they should look."""
    patches = batch.cells.shape[1]
    question, x_step, y_step, _ = batch.point_at.unbind(1)
    cross = trace.cross_scores.float().log_softmax(-1)
    x_looks = cross[question, X_HEAD, x_step, 1 : 1 + patches]
    y_looks = cross[question, Y_HEAD, y_step, 1 : 1 + patches]
    looks = -(batch.point_goal * (x_looks + y_looks)).sum(-1) / 2

    copied, step, spot = batch.copy_at.unbind(1)
    copies = -cross[copied, COPY_HEAD, step, 1 + patches + spot]

    owner, which = batch.span_at.unbind(1)
    goal = batch.heat[owner, which]
    words = batch.span_words.float()
    down = trace.encoder_scores[GROUND_LAYER][owner, 0].float().log_softmax(-1)[:, 1 + patches :, 1 : 1 + patches]
    seen = (down + goal.clamp_min(1e-9).log()[:, None]).logsumexp(-1)
    ground = -(seen * words).sum(-1) / words.sum(-1)
    up = trace.encoder_scores[WORD_LAYER][owner, 1].float().log_softmax(-1)[:, 1 : 1 + patches, 1 + patches :]
    read = (up + words.clamp_min(1e-9).log()[:, None]).logsumexp(-1)
    answer = -(read * goal).sum(-1) / goal.sum(-1).clamp_min(1)
    named = trace.encoder_scores[GROUND_LAYER][batch.map_of, 1].float().log_softmax(-1)[:, 1 + patches :]
    spot = (1 + patches + batch.map_spot)[:, None, None].expand(-1, named.shape[1], 1)
    known = batch.map_words.float()
    maps = -(named.gather(2, spot)[..., 0] * known).sum(-1) / known.sum(-1).clamp_min(1)
    return {"map": _mean(maps), "look": _mean(looks), "copy": _mean(copies), "ground": _mean(ground), "read": _mean(answer)}


def word_losses(trace: Trace, probes: Probes, batch: Batch) -> dict[str, Tensor]:
    """Cross entropy of kind and colour of each label's object, told from the label's words."""
    patches = batch.cells.shape[1]
    states = trace.layers[WORD_LAYER][batch.span_at[:, 0], 1 + patches :]
    words = batch.span_words.to(states.dtype)[..., None]
    mean = (states * words).sum(1) / words.sum(1)
    return {
        "kind": _mean(functional.cross_entropy(probes.kind(mean).float(), batch.span_kind, reduction="none")),
        "color": _mean(functional.cross_entropy(probes.color(mean).float(), batch.span_color, reduction="none")),
    }


def carry_loss(model: Any, trace: Trace, answer_loss: AnswerLoss, batch: Batch) -> Tensor:
    """Cross entropy of the coordinate that the x and the y head would write, had they looked at one patch of an object only.

    Teaches value and output projections of the last decoder layer's cross attention, and the encoder to keep positions, on
    every object in view rather than only on those that are asked about.
    """
    language = model.model.language_model
    attention = language.decoder.layers[-1].encoder_attn
    words = language.get_input_embeddings().weight[answer_loss.ids]
    at = batch.cell_point[..., 0] >= 0
    states = trace.layers[-1][:, 1 : 1 + batch.cells.shape[1]][at]
    goals = batch.cell_point[at]
    width = attention.head_dim
    parts = []
    for axis, head in enumerate((X_HEAD, Y_HEAD)):
        lane = slice(head * width, (head + 1) * width)
        value = functional.linear(states, attention.v_proj.weight[lane], attention.v_proj.bias[lane])
        written = functional.linear(value, attention.out_proj.weight[:, lane])
        log = functional.linear(written, words).float().log_softmax(-1)
        parts.append(_mean(-(log * answer_loss.soft[goals[:, axis]]).sum(-1)))
    return (parts[0] + parts[1]) / 2


def count_loss(trace: Trace, probes: Probes, batch: Batch) -> Tensor:
    """Cross entropy of none, one or several, told from a referring expression's words after the last encoder layer."""
    states = trace.layers[-1][batch.count_of, 1 + batch.cells.shape[1] :]
    words = batch.count_words.to(states.dtype)[..., None]
    told = probes.count((states * words).sum(1) / words.sum(1).clamp_min(1))
    return _mean(functional.cross_entropy(told.float(), batch.count, reduction="none"))


AUXILIARY_WEIGHTS = {
    "heat": 3.0,
    "look": 0.3,
    "copy": 0.3,
    "ground": 0.2,
    "read": 0.1,
    "kind": 0.1,
    "color": 0.1,
    "carry": 0.5,
    "count": 0.4,
    "map": 0.2,
}


def all_losses(model: Any, trace: Trace, probes: Probes, answer_loss: AnswerLoss, batch: Batch) -> dict[str, Tensor]:
    """Every loss by name; `answer` is the one that counts, the rest are weighted by AUXILIARY_WEIGHTS."""
    losses = {"answer": answer_loss(trace.logits, batch.answer_out)}
    heats = [
        heat_loss(trace.layers[layer], probe, batch) for layer, probe in zip(HEAT_LAYERS, probes.heat, strict=True)
    ]
    losses["heat"] = torch.stack(heats).mean()
    losses["count"] = count_loss(trace, probes, batch)
    losses["carry"] = carry_loss(model, trace, answer_loss, batch)
    return losses | attention_losses(trace, batch) | word_losses(trace, probes, batch)


def total(losses: dict[str, Tensor], auxiliary: float = 1.0) -> Tensor:
    """The weighted sum that is minimised."""
    return losses["answer"] + auxiliary * sum(weight * losses[name] for name, weight in AUXILIARY_WEIGHTS.items())
