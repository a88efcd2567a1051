"""True load of two GPUs of which one works and one idles, each by itself and as the pod that holds both.

    OUT=folder python3 -m tests.device.true_load_pair [seconds a load]

GPU 0 is kept busy as tests/device/duty.py does it, GPU 1 has nothing to do, and a fake kubelet says that one pod holds
the two. The exporter is scraped each second and each 15 s. It prints what the busy seconds of each GPU say beside what
ran, and what the pod's gpu_utilization (mean) and gpu_utilization_max are by the query of docs/true-load.md; ends with
code 1 where one is further off than 1.5 points. All scrapes go into true-load-pair.json in the folder OUT, else the
current one. It needs CuPy; 2 minutes. With MOCK set to a scenario it goes without a GPU, if TORCH_PYTHON names what
plays the load.
"""

import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from podresources.fake_kubelet import FakeKubelet
from podresources.fake_pods import Container, Pod
from tests.device import duty, loads
from tests.device.pages import page_of
from tests.waiting import until

MOCK = ["--mock", os.environ["MOCK"]] if os.environ.get("MOCK") else []
LOADS = ((37, 0.7), (100, 1.0))
SCRAPERS_S = (1, 15)
GPUS = (0, 1)
"""The first one works: CuPy takes it unless it is told otherwise."""

NAMESPACE, POD = "training", "pair-0"
UUID = re.compile(r'^gpu_exporter_busy_seconds_total\{[^}]*\bUUID="([^"]+)"', re.MULTILINE)
HELD = re.compile(rf'^gpu_exporter_busy_seconds_total\{{[^}}]*namespace="{NAMESPACE}",pod="{POD}"', re.MULTILINE)

Scrapes = Sequence[Mapping[int, dict[str, float]]]
"""What each scrape says, by GPU."""


class Outcome(NamedTuple):
    """One load, as one scraper saw it, percent."""

    load: str
    scraper: str
    pairs: int
    true: Sequence[float]
    ring: Sequence[float]
    seconds: Sequence[tuple[float, float]]
    pod_mean: tuple[float, float, float]
    pod_max: tuple[float, float, float]

    @property
    def off(self) -> float:
        """How far the worst of the four means is off."""
        expected = (*self.true, sum(self.true) / len(self.true), max(self.true))
        found = (*self.ring, self.pod_mean[0], self.pod_max[0])
        return max(abs(one - other) for one, other in zip(found, expected, strict=True))

    def row(self) -> str:
        gpus = [
            f"{self.true[gpu]:.2f} | {self.ring[gpu]:.2f} | {self.seconds[gpu][0]:.2f} of {self.seconds[gpu][1]:.2f}"
            for gpu in GPUS
        ]
        pod = [f"{mean:.2f} ({low:.1f} to {high:.1f})" for mean, low, high in (self.pod_mean, self.pod_max)]
        return f"| {self.load} | {self.scraper} | {self.pairs} | {' | '.join((*gpus, *pod))} |"


HEAD = (
    "GPU 0",
    "scrapes each",
    "pairs",
    "GPU 0 true, %",
    "by seconds",
    "busy of observed, s",
    "GPU 1 true, %",
    "by seconds",
    "busy of observed, s",
    "pod's gpu_utilization: mean (single pairs)",
    "gpu_utilization_max",
)


def scrape_both() -> dict[int, dict[str, float]] | None:
    at, text = time.time(), page_of(duty.ADDRESS)
    found = {gpu: duty.values_of(text, at, gpu) for gpu in GPUS}
    values = {gpu: one for gpu, one in found.items() if one is not None}
    return values if len(values) == len(GPUS) else None


def outcome(load: str, scraper: str, scrapes: Scrapes, intervals: Sequence[tuple[float, float]]) -> Outcome:
    """Return what the scrapes of one load say, pair by pair as the query does it."""
    both = list(pairs_of_both(scrapes))
    own = list(zip(*both, strict=True))
    ran = (intervals, ())
    answers = [[duty.percent_of([pair], "busy", "observed") for pair in pairs] for pairs in both]
    return Outcome(
        load,
        scraper,
        pairs=len(answers),
        true=[duty.truth(pairs, busy) for pairs, busy in zip(own, ran, strict=True)],
        ring=[duty.percent_of(pairs, "busy", "observed") for pairs in own],
        seconds=[(total(pairs, "busy"), total(pairs, "observed")) for pairs in own],
        pod_mean=spread(answers, lambda values: sum(values) / len(values)),
        pod_max=spread(answers, max),
    )


def pairs_of_both(scrapes: Scrapes) -> Iterator[list[duty.Pair]]:
    """Yield what two scrapes behind each other say of each GPU, where the query answers all of them."""
    for older, newer in pairwise(scrapes):
        pairs = [pair for gpu in GPUS for pair in duty.pairs([older[gpu], newer[gpu]])]
        if len(pairs) == len(GPUS):
            yield pairs


def total(pairs: Sequence[duty.Pair], name: str) -> float:
    return sum(pair.growth(name) for pair in pairs)


def spread(answers: Sequence[Sequence[float]], over: Callable[[Sequence[float]], float]) -> tuple[float, float, float]:
    """Return the mean, the least and the greatest of what the rule says at each pair of scrapes."""
    found = [over(answer) for answer in answers]
    return sum(found) / len(found), min(found), max(found)


def measure(load: loads.Load, percent: float, period_s: float, seconds: float) -> dict[str, Any]:
    load.begin(percent, period_s, seconds)
    time.sleep(duty.SETTLE_S)
    scrapers = {f"{every_s} s": duty.Scraper(every_s, scrape_both) for every_s in SCRAPERS_S}
    time.sleep(seconds - duty.SETTLE_S - 0.7)
    return {"scrapes": {name: one.stop() for name, one in scrapers.items()}, "intervals": load.result()}


def outcomes(seconds: float, measured: dict[str, Any]) -> Iterator[Outcome]:
    """Let an exporter run whose two GPUs are one pod's, and yield what each load gives."""
    with ExitStack() as stack:
        socket = Path(stack.enter_context(TemporaryDirectory()), "kubelet.sock")
        kubelet = stack.enter_context(FakeKubelet(socket))
        exporter = duty.start_exporter(*MOCK, "-k", "--pod-resources-kubelet-socket", str(socket))
        stack.callback(exporter.wait)
        stack.callback(exporter.terminate)
        until(lambda: scrape_both() is not None, what="busy seconds of both GPUs")
        uuids = UUID.findall(page_of(duty.ADDRESS))[: len(GPUS)]
        kubelet.set_pods([Pod(NAMESPACE, POD, [Container("main", {"nvidia.com/gpu": uuids})])])
        until(lambda: len(HELD.findall(page_of(duty.ADDRESS))) == len(GPUS), what="the pod on both GPUs")
        load = loads.Load(duty.LOAD)
        stack.callback(load.stop)
        for percent, period_s in LOADS:
            name = f"{percent} % of {period_s} s"
            measured[name] = measure(load, percent, period_s, seconds)
            for scraper, scrapes in measured[name]["scrapes"].items():
                yield outcome(name, scraper, scrapes, measured[name]["intervals"])


def main() -> int:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 50.0
    measured: dict[str, Any] = {}
    found: list[Outcome] = []
    print(f"| {' | '.join(HEAD)} |", f"|{'---|' * len(HEAD)}", sep="\n", flush=True)
    try:
        for one in outcomes(seconds, measured):
            found.append(one)
            print(one.row(), flush=True)
    finally:
        (Path(os.environ.get("OUT", ".")) / "true-load-pair.json").write_text(json.dumps(measured))
    wrong = [one for one in found if one.off > duty.TOLERANCE_POINTS]
    print(f"{len(wrong)} of {len(found)} are off by more than {duty.TOLERANCE_POINTS} points")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
