"""The figures of the end-to-end measurement, their targets, and the tables that show them."""

import dataclasses
import os
from dataclasses import dataclass, field
from typing import NamedTuple

from .database import Floor
from .functions import EVALUATE, QUERY, SCORE, UPDATE, StepCost

# The targets are for this many customers: with few, starting the programs is most of the time.
TARGET_CUSTOMERS = 1_000_000
MAX_DIRECT_FLOORS = 1.6
MAX_LOCALSTACK_FLOORS = 2.5
MIN_PEER_CPU = 8.0
MAX_PEAK_MB = 256.0
MAX_TENTHS = 11.0
MAX_LOAD_SECONDS = 120.0

HEADER = (
    "| | seconds | rows/s | CPU s | PostgreSQL's CPU s | peak MB |",
    "|---|---|---|---|---|---|",
)


@dataclass
class RunFigures:
    """A whole run."""

    seconds: float
    rows: int
    # CPU seconds of the programs that the functions use: postgres, s3, localstack.
    others: dict[str, float]
    steps: dict[str, StepCost]
    query_seconds: float | None = None
    approved: int | None = None

    @property
    def cpu_seconds(self) -> float:
        return sum(step.cpu_seconds for step in self.steps.values())

    @property
    def peak_mb(self) -> float:
        return max(step.peak_mb for step in self.steps.values())


@dataclass
class PeerFigures:
    """The same work in Python. `answer` is what peer.py prints."""

    seconds: float
    answer: dict
    postgres_cpu: float


@dataclass
class Figures:
    """Everything that was measured, with one entry for each round."""

    customers: int
    load_seconds: float | None = None
    floor: list[Floor] = field(default_factory=list)
    direct: list[RunFigures] = field(default_factory=list)
    localstack: list[RunFigures] = field(default_factory=list)
    tenth: list[RunFigures] = field(default_factory=list)
    peer: PeerFigures | None = None


class Ratio(NamedTuple):
    """A figure and its target, which is a maximum or a minimum."""

    what: str
    value: float
    target: float
    is_maximum: bool = True

    @property
    def is_missed(self) -> bool:
        return self.value > self.target if self.is_maximum else self.value < self.target


def best(measured: list) -> Floor | RunFigures | None:
    """The fastest round, if there is one."""
    return min(measured, key=lambda one: one.seconds) if measured else None


def ratios(figures: Figures) -> list[Ratio]:
    """The comparisons that the measured parts allow."""
    floor, direct, emulated = best(figures.floor), best(figures.direct), best(figures.localstack)
    found = []
    if figures.load_seconds is not None and figures.customers == TARGET_CUSTOMERS:
        found.append(Ratio("seconds of setup-db", figures.load_seconds, MAX_LOAD_SECONDS))

    if floor and direct:
        value = direct.seconds / floor.seconds
        found.append(Ratio("driven directly, in floors", value, MAX_DIRECT_FLOORS))
    if floor and emulated:
        value = emulated.seconds / floor.seconds
        found.append(Ratio("through LocalStack, in floors", value, MAX_LOCALSTACK_FLOORS))
    if direct and figures.peer:
        cpu = min(run.cpu_seconds for run in figures.direct)
        value = figures.peer.answer["cpu_seconds"] / cpu
        found.append(Ratio("CPU seconds of Python, in ours", value, MIN_PEER_CPU, is_maximum=False))

    for name, run in (("driven directly", direct), ("through LocalStack", emulated)):
        if run:
            what = f"peak memory of a function in MB, {name}"
            found.append(Ratio(what, run.peak_mb, MAX_PEAK_MB))
    if direct and figures.tenth:
        value = direct.seconds / best(figures.tenth).seconds
        found.append(Ratio("seconds, in those of a tenth", value, MAX_TENTHS))
    return found


def missed(figures: Figures) -> list[str]:
    """The targets that were not reached. Runs with fewer customers have no targets."""
    if figures.customers < TARGET_CUSTOMERS:
        return []
    return [ratio.what for ratio in ratios(figures) if ratio.is_missed]


def text(figures: Figures) -> str:
    lines = [f"{figures.customers:,} customers"]
    if figures.load_seconds is not None:
        lines.append(f"setup-db: {figures.load_seconds:.1f} s")
    lines += ["", *HEADER, *table_rows(figures), ""]

    if (floor := best(figures.floor)) and (direct := best(figures.direct)):
        # Other programs on the machine change the seconds, and change the CPU seconds only little.
        together = direct.cpu_seconds + sum(direct.others.values())
        share = together / os.cpu_count() / floor.postgres_cpu
        lines.append(
            "CPU seconds of a run driven directly, spread over all cores, in those of the floor:"
            f" {share:.2f}"
        )
    for ratio in ratios(figures):
        bound = "most" if ratio.is_maximum else "least"
        lines.append(f"{ratio.what}: {ratio.value:.2f} (at {bound} {ratio.target:g})")
    return "\n".join(lines)


def table_rows(figures: Figures) -> list[str]:
    lines = []
    if floor := best(figures.floor):
        for name, cost in (("floor: COPY out", floor.copy_out), ("floor: UPDATE", floor.update)):
            lines.append(table_row(name, cost.seconds, floor.rows, postgres=cost.postgres_cpu))
        lines.append(table_row("**floor**", floor.seconds, floor.rows, postgres=floor.postgres_cpu))

    for name, measured in (
        ("driven directly", figures.direct),
        ("driven directly, a tenth", figures.tenth),
        ("through LocalStack", figures.localstack),
    ):
        if run := best(measured):
            lines += run_rows(name, run)

    if figures.peer:
        lines += peer_rows(figures.peer)
    return lines


def run_rows(name: str, run: RunFigures) -> list[str]:
    lines = []
    for step in (QUERY, SCORE, EVALUATE, UPDATE):
        if step in run.steps:
            cost = run.steps[step]
            seconds = cost.seconds or None
            lines.append(
                table_row(f"{name}: {step}", seconds, run.rows, cost.cpu_seconds, peak=cost.peak_mb)
            )
    for other in ("s3", "localstack"):
        if other in run.others:
            lines.append(table_row(f"{name}: {other}", None, run.rows, run.others[other]))
    postgres = run.others["postgres"]
    lines.append(
        table_row(f"**{name}**", run.seconds, run.rows, run.cpu_seconds, postgres, run.peak_mb)
    )
    return lines


def peer_rows(peer: PeerFigures) -> list[str]:
    answer = peer.answer
    lines = [
        table_row(f"Python: {name}", part["seconds"], answer["rows"], part["cpu_seconds"])
        for name, part in answer["parts"].items()
    ]
    cpu, peak = answer["cpu_seconds"], answer["peak_mb"]
    lines.append(
        table_row("**Python**", peer.seconds, answer["rows"], cpu, peer.postgres_cpu, peak)
    )
    return lines


def table_row(
    name: str,
    seconds: float | None,
    rows: int,
    cpu: float | None = None,
    postgres: float | None = None,
    peak: float | None = None,
) -> str:
    def cell(value: float | None, pattern: str) -> str:
        return "" if value is None else format(value, pattern)

    rate = rows / seconds if seconds else None
    cells = [name, cell(seconds, ".2f"), cell(rate, ",.0f"), cell(cpu, ".2f")]
    cells += [cell(postgres, ".2f"), cell(peak, ".0f")]
    return f"| {' | '.join(cells)} |"


def document(figures: Figures) -> dict:
    """The figures as JSON."""
    return {**dataclasses.asdict(figures), "ratios": [ratio[:3] for ratio in ratios(figures)]}
