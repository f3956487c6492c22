"""Counters of a model server, in Prometheus' text format (exposition format 0.0.4)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS_S = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0)
PREFIX = "jpai_"

Labels = tuple[tuple[str, str], ...]


class Metrics:
    """Counts and times. Every name stands in `HELP`; any thread may tell."""

    HELP: Mapping[str, tuple[str, str]] = {
        "requests_total": ("counter", "Requests by route and outcome: answered, or a reason code."),
        "request_seconds": ("histogram", "From arrival to the answer or the error, of requests that were taken."),
        "http_responses_total": ("counter", "HTTP answers by path and status."),
        "prompt_tokens_total": ("counter", "Tokens read."),
        "answer_tokens_total": ("counter", "Tokens written."),
        "plan_seconds_total": ("counter", "Time of the model by part."),
        "late_total": ("counter", "Plans that were ready only after nobody waited for them any more."),
        "queue_length": ("gauge", "Requests that wait."),
        "working": ("gauge", "Plans under way."),
        "working_seconds": ("gauge", "Age of the oldest plan under way."),
        "workers": ("gauge", "Plans that can be under way at a time."),
        "model_info": ("gauge", "The model that is served."),
    }

    def __init__(self) -> None:
        self._values: dict[tuple[str, Labels], float] = {}
        self._times: dict[Labels, list[float]] = {}
        self._gauges: list[tuple[str, Labels, Callable[[], float]]] = []
        self._lock = threading.Lock()

    def count(self, name: str, amount: float = 1.0, **labels: str) -> None:
        """Add to a counter."""
        key = name, tuple(sorted(labels.items()))
        with self._lock:
            self._values[key] = self._values.get(key, 0.0) + amount

    def took(self, seconds: float, **labels: str) -> None:
        """Add a request's time to the histogram."""
        key = tuple(sorted(labels.items()))
        with self._lock:
            found = self._times.setdefault(key, [0.0] * (len(BUCKETS_S) + 2))
            for index, upper in enumerate(BUCKETS_S):
                found[index] += seconds <= upper
            found[-2] += 1
            found[-1] += seconds

    def watch(self, name: str, value: Callable[[], float], **labels: str) -> None:
        """Read a gauge whenever the text is made."""
        self._gauges.append((name, tuple(sorted(labels.items())), value))

    def value(self, name: str, **labels: str) -> float:
        """A counter, summed over the labels that are not given."""
        wanted = set(labels.items())
        with self._lock:
            return sum(value for (key, found), value in self._values.items() if key == name and wanted <= set(found))

    def text(self) -> str:
        """All of it."""
        with self._lock:
            lines = [(name, _line(name, labels, value)) for (name, labels), value in self._values.items()]
            for labels, found in self._times.items():
                uppers = [f"{upper:g}" for upper in BUCKETS_S] + ["+Inf"]
                lines += [("request_seconds", _line("request_seconds_bucket", (*labels, ("le", upper)), value))
                          for upper, value in zip(uppers, found, strict=False)]
                lines += [("request_seconds", _line("request_seconds_count", labels, found[-2])),
                          ("request_seconds", _line("request_seconds_sum", labels, found[-1]))]
        lines += [(name, _line(name, labels, value())) for name, labels, value in self._gauges]
        return "\n".join(_told(lines)) + "\n"


def _told(lines: list[tuple[str, str]]) -> Iterable[str]:
    for name, (kind, about) in Metrics.HELP.items():
        found = [line for of, line in lines if of == name]
        if found:
            yield f"# HELP {PREFIX}{name} {about}"
            yield f"# TYPE {PREFIX}{name} {kind}"
            yield from found


def _line(name: str, labels: Labels, value: float) -> str:
    said = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels)
    return f"{PREFIX}{name}{'{' + said + '}' if said else ''} {value:.10g}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
