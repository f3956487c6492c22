"""What could run linear layers is timed side by side, each on the same integers."""

import numpy as np
import torch

from jpai_agent.vlm.engines import _engines, bench_engines


def test_every_engine_is_timed_against_the_bandwidth_of_the_same_run():
    figures = bench_engines(1, width=64, inner=128, layers=1)
    assert {"torch bf16", "torch int8, packed (chosen)", "torch int4, packed (chosen)"} <= set(figures["engines"])
    assert all(row["ms"] > 0 for row in figures["engines"].values())
    assert figures["bandwidth_gb_per_s"] > 0


def test_every_engine_computes_the_same():
    draw = torch.Generator().manual_seed(0)
    integers = [torch.randint(-8, 8, (64, 64), generator=draw, dtype=torch.int8) for _ in range(2)]
    x = torch.randn(1, 64, generator=draw)
    wanted = x
    for values in integers:
        wanted = wanted @ (values / 400).T
    for name, _, run in _engines(integers, x):
        found = run()
        found = found.float() if isinstance(found, torch.Tensor) else torch.from_numpy(np.array(found[0]))
        # activations are int8 or bf16 in between
        assert torch.allclose(found, wanted, atol=0.06 * float(wanted.abs().max())), name
