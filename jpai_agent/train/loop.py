"""The training loop: a wall-time budget, resumable at any moment, several processes by torchrun, curves as PNG."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

WARMUP_STEPS = 100
SAVE_EVERY_S = 60.0
LOG_EVERY_S = 15.0
# several processes train apart and average their weights now and then: on a busy machine each wait is long
AVERAGE_EVERY_STEPS = 4


def start_processes() -> tuple[int, int]:
    """(rank, processes) of this process; joins torchrun's group where there is one."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1 and not dist.is_initialized():
        dist.init_process_group("gloo")
    return int(os.environ.get("RANK", "0")), world


def learning_rate(base: float, step: int, share: float, floor: float = 0.03) -> float:
    """Warm-up over WARMUP_STEPS, then a cosine down to `floor` of the base; `share` of the budget is used up."""
    cosine = floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))
    return base * min(1.0, (step + 1) / WARMUP_STEPS) * cosine


class Loop:
    """Runs `step` until the budget of seconds is used up, over any number of restarts.

    `modules` are saved and restored with the optimizer's state, the counters and the history, which is also
    written as `<name>.jsonl` and drawn as `<name>.png`.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        modules: dict[str, nn.Module],
        groups: list[dict[str, Any]],
        budget_s: float,
        clip: float = 1.0,
    ) -> None:
        self.folder, self.name, self.modules, self.budget_s, self.clip = folder, name, modules, budget_s, clip
        self.rank, self.world = start_processes()
        folder.mkdir(parents=True, exist_ok=True)
        self.optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
        self.bases = [group["lr"] for group in self.optimizer.param_groups]
        self.parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        self.step_count, self.seen, self.used_s = 0, 0, 0.0
        self.history: list[dict[str, float]] = []
        self.path = folder / f"{name}.pt"
        if self.path.is_file():
            self._restore()

    def _restore(self) -> None:
        state = torch.load(self.path, map_location="cpu", weights_only=True)
        for name, module in self.modules.items():
            module.load_state_dict(state["modules"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step_count, self.seen, self.used_s = state["step"], state["seen"], state["used_s"]
        self.history = state["history"]

    def save(self) -> None:
        """Write everything needed to go on from here; the file before stays until the new one is whole."""
        if self.rank:
            return
        state = {
            "modules": {name: module.state_dict() for name, module in self.modules.items()},
            "optimizer": self.optimizer.state_dict(),
            "step": self.step_count,
            "seen": self.seen,
            "used_s": self.used_s,
            "history": self.history,
        }
        part = self.path.with_suffix(".part")
        torch.save(state, part)
        part.replace(self.path)

    def run(
        self,
        batches: Iterable[Any],
        losses_of: Callable[[Any], tuple[Tensor, dict[str, Tensor], int]],
        every_s: float = 600.0,
        check: Callable[[], dict[str, float]] | None = None,
    ) -> None:
        """Train until the budget ends. `losses_of` gives (loss, parts, questions); `check` runs every `every_s`."""
        sums: dict[str, list[float]] = {}
        questions = 0
        logged = saved = last = time.monotonic()
        checked_s = self.used_s
        for batch in batches:
            for group, base in zip(self.optimizer.param_groups, self.bases, strict=False):
                group["lr"] = learning_rate(
                    base * group.get("scale", 1.0), self.step_count, self.used_s / self.budget_s
                )
            loss, parts, size = losses_of(batch)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.parameters, self.clip)
            self.optimizer.step()
            self.step_count += 1
            self.seen += size * self.world
            for name, value in parts.items():
                sums.setdefault(name, []).append(float(value.detach()))
            questions += size * self.world
            now = time.monotonic()
            self.used_s, last = self.used_s + now - last, now
            meet = self.world > 1 and self.step_count % AVERAGE_EVERY_STEPS == 0
            if meet:
                self._average_weights()
            over = self._agree(self.used_s >= self.budget_s) if meet or self.world == 1 else False
            if now - logged > LOG_EVERY_S or over:
                means = {name: sum(values) / len(values) for name, values in sums.items()}
                self._log(means | {"per_s": questions / (now - logged)})
                sums, questions, logged = {}, 0, now
            if now - saved > SAVE_EVERY_S or over:
                self.save()
                saved = now
            if check is not None and self.rank == 0 and (self.used_s - checked_s > every_s or over):
                checked_s = self.used_s
                self._log({f"check_{name}": value for name, value in check().items()})
                last = time.monotonic()
            if over:
                break
        self.draw()

    def _average_weights(self) -> None:
        """Make all processes go on from the mean of their weights."""
        flat = torch.cat([parameter.detach().reshape(-1) for parameter in self.parameters])
        dist.all_reduce(flat)
        parts = (flat / self.world).split([parameter.numel() for parameter in self.parameters])
        with torch.no_grad():
            for parameter, part in zip(self.parameters, parts, strict=True):
                parameter.copy_(part.view_as(parameter))

    def _agree(self, over: bool) -> bool:
        if self.world == 1:
            return over
        flag = torch.tensor([float(over)])
        dist.all_reduce(flag, op=dist.ReduceOp.MAX)
        return bool(flag.item())

    def _log(self, values: dict[str, float]) -> None:
        if self.rank:
            return
        row = {"step": self.step_count, "seen": self.seen, "minutes": round(self.used_s / 60, 2)} | {
            name: round(value, 4) for name, value in values.items()
        }
        self.history.append(row)
        with (self.folder / f"{self.name}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(f"[{self.name}] " + " ".join(f"{name} {value}" for name, value in row.items()), flush=True)

    def draw(self) -> None:
        """Draw the history as `<name>.png`, one panel a quantity over the questions seen."""
        if self.rank or not self.history:
            return
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot

        names = list(
            dict.fromkeys(name for row in self.history for name in row if name not in ("step", "seen", "minutes"))
        )
        columns = 4
        figure, axes = pyplot.subplots(
            math.ceil(len(names) / columns), columns, figsize=(14, 2.6 * math.ceil(len(names) / columns)), squeeze=False
        )
        for axis, name in zip(axes.flat, names, strict=False):
            rows = [row for row in self.history if name in row]
            axis.plot([row["seen"] for row in rows], [row[name] for row in rows])
            axis.set_title(name)
            axis.grid(alpha=0.3)
        figure.tight_layout()
        figure.savefig(self.folder / f"{self.name}.png", dpi=80)
        pyplot.close(figure)
