"""Time a model server that several robots ask at once: processes of their own, with their own frames, as fast as it answers."""

from __future__ import annotations

import multiprocessing
import multiprocessing.synchronize
import os
import subprocess
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jpai_agent.vlm.backend import PlanRequest, VlmError
from jpai_agent.vlm.bench import INSTRUCTIONS, PLACES, machine
from jpai_agent.vlm.client import VlmClient
from jpai_agent.vlm.codecs import probe_image
from jpai_agent.vlm.server import server_command
from jpai_agent.world.machine import usable_cores

CLIENTS = (1, 4, 16)
ROUND_S, ROUNDS = 4.0, 5
AGAIN_S = 0.05  # after an error
DEADLINE_S = 3.0  # that a robot waits for a plan
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Round:
    """What so many clients met with in a round.

    Attributes:
        seconds: How long they asked. answered_ms: of each plan, from the asking to the answer. errors: of the others, by reason
            code.
        server_s, clients_s: Processor time of the server and of the clients. others: share of the machine that others took.
    """

    clients: int
    seconds: float
    answered_ms: tuple[float, ...]
    errors: Counter[str]
    server_s: float
    clients_s: float
    others: float

    @property
    def per_s(self) -> float:
        """Plans a second."""
        return len(self.answered_ms) / self.seconds


def bench_fleet(model: Path | str | None = None, rounds: int = ROUNDS, round_s: float = ROUND_S,
                clients: Sequence[int] = CLIENTS, workers: int = 0) -> dict[str, Any]:
    """The figures for each number of clients. Rounds of all of them take turns, so that a busy machine is busy for each alike.

    Args:
        workers: Of the server; 0: one a core.

    Raises VlmError when the server does not start.
    """
    workers = workers or usable_cores()
    endpoint = f"ipc://@jpai-fleet-{uuid.uuid4().hex}"
    server = subprocess.Popen(server_command(model, endpoint, workers=workers), stderr=subprocess.DEVNULL)
    try:
        client = VlmClient(endpoint, 60.0)
        about = client.wait_ready(120.0)
        for words in INSTRUCTIONS:
            client.plan(_request(probe_image(), words))
        client.close()
        played = [_play(endpoint, count, round_s, server.pid, seed)
                  for seed in range(rounds) for count in clients]
    finally:
        server.terminate()
        server.wait(30)
    found = {count: [one for one in played if one.clients == count] for count in clients}
    alone = [one.per_s for one in found[clients[0]]]
    return {
        "what": f"clients, each a process that asks about a new 640x480 frame as soon as it has its answer; {DEADLINE_S:g} s "
                "deadline",
        "model": about["model"], "workers": workers, "rounds": rounds, "round_s": round_s,
        "clients": {str(count): _summary(each, alone) for count, each in found.items()}, "machine": machine(),
    }


def _summary(rounds: Sequence[Round], alone: Sequence[float]) -> dict[str, Any]:
    answered = np.concatenate([one.answered_ms for one in rounds]) if any(one.answered_ms for one in rounds) else np.zeros(1)
    outcomes = sum((one.errors for one in rounds), Counter[str]())
    plans = sum(len(one.answered_ms) for one in rounds)
    ratios = [one.per_s / max(before, 1e-9) for one, before in zip(rounds, alone, strict=True)]
    return {
        "n": plans, "plans_per_s": round(float(np.median([one.per_s for one in rounds])), 1),
        "times_one_client": round(float(np.median(ratios)), 2), "times_one_client_by_round": [round(each, 2) for each in ratios],
        "ms": {f"p{q}": round(float(np.percentile(answered, q)), 1) for q in (50, 95, 99)},
        "later_than_the_deadline": int((answered > 1000 * DEADLINE_S).sum()), "errors": dict(outcomes),
        "cpu_ms_per_plan": {"server": round(1000 * sum(one.server_s for one in rounds) / max(plans, 1), 1),
                            "client": round(1000 * sum(one.clients_s for one in rounds) / max(plans, 1), 1)},
        "machine_taken_by_others": [round(one.others, 2) for one in rounds],
    }


def _play(endpoint: str, count: int, seconds: float, server: int, seed: int) -> Round:
    # forked from a process that has no threads
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    ready, queue = context.Barrier(count + 1), context.SimpleQueue()
    robots = [context.Process(target=_robot, args=(endpoint, seconds, (seed, index), ready, queue)) for index in range(count)]
    for robot in robots:
        robot.start()
    ready.wait(60)
    before, busy, began = _cpu_s(server), _busy_s(), time.monotonic()
    told = [queue.get() for _ in robots]
    took, spent, all_spent = time.monotonic() - began, _cpu_s(server) - before, _busy_s() - busy
    for robot in robots:
        robot.join()
    asking = sum(cpu_s for *_, cpu_s in told)
    others = max(0.0, all_spent - spent - asking) / (took * usable_cores())
    answered = tuple(ms for each, *_ in told for ms in each)
    return Round(count, seconds, answered, sum((errors for _, errors, _ in told), Counter[str]()), spent, asking, others)


def _robot(endpoint: str, seconds: float, seed: tuple[int, int], ready: multiprocessing.synchronize.Barrier, queue: Any) -> None:
    """One client's round: it puts milliseconds of its answers, its other outcomes and its processor time into the queue."""
    frame = np.clip(probe_image() + np.random.default_rng(seed).integers(-2, 3, (480, 640, 1)), 0, 255).astype(np.uint8)
    client = VlmClient(endpoint, DEADLINE_S)
    client.wait_ready(30.0)
    answered, errors, asked = [], Counter[str](), 0
    ready.wait(60)
    end, spent = time.monotonic() + seconds, time.process_time()
    while (began := time.monotonic()) < end:
        # another frame, for a server that remembers the last ones
        frame[0, 0] = asked % 256, asked // 256 % 256, 0
        asked += 1
        try:
            client.plan(_request(frame, INSTRUCTIONS[(asked + seed[1]) % len(INSTRUCTIONS)]))
            # what comes after the end is not counted
            if time.monotonic() <= end:
                answered.append(1000 * (time.monotonic() - began))
        except VlmError as error:
            errors[error.reason_code] += 1
            time.sleep(AGAIN_S)
    queue.put((answered, errors, time.process_time() - spent))
    client.close()


def _request(frame: np.ndarray, words: str) -> PlanRequest:
    return PlanRequest(words, {"front": frame}, places=PLACES)


def _cpu_s(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii", errors="replace").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_S


def _busy_s() -> float:
    """Processor time of the whole machine that was not idle."""
    fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:]
    user, nice, system, _, _, irq, softirq, *_ = map(int, fields)
    return (user + nice + system + irq + softirq) * _TICK_S
