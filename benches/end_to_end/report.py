"""The end-to-end measurement's figures: kept, compared, and put into tables."""

import dataclasses
import json
import os
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

from .database import Floor
from .functions import EVALUATE, QUERY, SCORE, UPDATE, Step

# From issue 4. Seconds of a run in floors, CPU seconds of the peer in ours, and so on.
TARGETS_FROM = 1_000_000
MAX_DIRECT, MAX_LOCALSTACK, MIN_PEER, MAX_PEAK_MB, MAX_TENTH, MAX_LOAD = (
    1.6,
    2.5,
    8.0,
    256.0,
    11.0,
    120.0,
)


@dataclass
class Measured:
    """A whole run."""

    seconds: float
    rows: int
    # CPU seconds of what the functions use: postgres, s3, localstack.
    others: dict[str, float]
    steps: dict[str, Step]
    query_seconds: float | None = None
    approved: int | None = None

    @property
    def cpu_seconds(self) -> float:
        return sum(step.cpu_seconds for step in self.steps.values())

    @property
    def peak_mb(self) -> float:
        return max(step.peak_mb for step in self.steps.values())


@dataclass
class Peer:
    seconds: float
    answer: dict
    postgres_cpu: float


@dataclass
class Figures:
    customers: int
    load_seconds: float | None = None
    floor: list[Floor] = field(default_factory=list)
    direct: list[Measured] = field(default_factory=list)
    localstack: list[Measured] = field(default_factory=list)
    tenth: list[Measured] = field(default_factory=list)
    peer: Peer | None = None


def sources(artifact: Path) -> list[str]:
    with tarfile.open(artifact) as archive:
        manifest = json.loads(archive.extractfile("manifest.json").read())
    return list(dict.fromkeys(feature["source_column"] for feature in manifest["features"]))


def best(measured: list):
    return min(measured, key=lambda one: one.seconds) if measured else None


def ratios(figures: Figures) -> list[tuple[str, float, float, bool]]:
    """What is compared, its value, the target, and whether the value has to stay below it."""
    floor, direct, emulated = best(figures.floor), best(figures.direct), best(figures.localstack)
    found = []
    if figures.load_seconds is not None and figures.customers == TARGETS_FROM:
        found.append(("seconds of setup-db", figures.load_seconds, MAX_LOAD, True))
    if floor and direct:
        found.append(
            ("driven directly, in floors", direct.seconds / floor.seconds, MAX_DIRECT, True)
        )
    if floor and emulated:
        found.append(
            (
                "through LocalStack, in floors",
                emulated.seconds / floor.seconds,
                MAX_LOCALSTACK,
                True,
            )
        )
    if direct and figures.peer:
        cpu = min(one.cpu_seconds for one in figures.direct)
        found.append(
            (
                "CPU seconds of Python, in ours",
                figures.peer.answer["cpu_seconds"] / cpu,
                MIN_PEER,
                False,
            )
        )
    for name, one in (("driven directly", direct), ("through LocalStack", emulated)):
        if one:
            found.append(
                (f"peak memory of a function in MB, {name}", one.peak_mb, MAX_PEAK_MB, True)
            )
    if direct and figures.tenth:
        found.append(
            (
                "seconds, in those of a tenth",
                direct.seconds / best(figures.tenth).seconds,
                MAX_TENTH,
                True,
            )
        )
    return found


def missed(figures: Figures) -> list[str]:
    """The targets that are not reached. They are for a million: of a few customers, starting up is most of the time."""
    if figures.customers < TARGETS_FROM:
        return []
    return [
        what
        for what, value, target, below in ratios(figures)
        if (value > target if below else value < target)
    ]


def text(figures: Figures) -> str:
    lines = [f"{figures.customers:,} customers"]
    if figures.load_seconds is not None:
        lines.append(f"setup-db: {figures.load_seconds:.1f} s")
    lines += [
        "",
        "| | seconds | rows/s | CPU s | PostgreSQL's CPU s | peak MB |",
        "|---|---|---|---|---|---|",
    ]
    if floor := best(figures.floor):
        for name, taken in (("floor: COPY out", floor.copy_out), ("floor: UPDATE", floor.update)):
            lines.append(row(name, taken.seconds, floor.rows, None, taken.postgres_cpu, None))
        lines.append(row("**floor**", floor.seconds, floor.rows, None, floor.postgres_cpu, None))
    for name, measured in (
        ("driven directly", figures.direct),
        ("driven directly, a tenth", figures.tenth),
        ("through LocalStack", figures.localstack),
    ):
        if one := best(measured):
            lines += run_rows(name, one)
    if peer := figures.peer:
        for name, part in peer.answer["parts"].items():
            lines.append(
                row(
                    f"Python: {name}",
                    part["seconds"],
                    peer.answer["rows"],
                    part["cpu_seconds"],
                    None,
                    None,
                )
            )
        answer = peer.answer
        lines.append(
            row(
                "**Python**",
                peer.seconds,
                answer["rows"],
                answer["cpu_seconds"],
                peer.postgres_cpu,
                answer["peak_mb"],
            )
        )
    lines.append("")
    if floor and (direct := best(figures.direct)):
        # What other programs take of the machine moves the seconds, and these hardly.
        together = direct.cpu_seconds + sum(direct.others.values())
        share = together / os.cpu_count() / floor.postgres_cpu
        lines.append(
            f"CPU seconds of a run driven directly, spread over all cores, in those of the floor: {share:.2f}"
        )
    for what, value, target, below in ratios(figures):
        lines.append(f"{what}: {value:.2f} (at {'most' if below else 'least'} {target:g})")
    return "\n".join(lines)


def run_rows(name: str, run: Measured) -> list[str]:
    lines = []
    for step in (QUERY, SCORE, EVALUATE, UPDATE):
        if step in run.steps:
            taken = run.steps[step]
            lines.append(
                row(
                    f"{name}: {step}",
                    taken.seconds or None,
                    run.rows,
                    taken.cpu_seconds,
                    None,
                    taken.peak_mb,
                )
            )
    for other in ("s3", "localstack"):
        if other in run.others:
            lines.append(row(f"{name}: {other}", None, run.rows, run.others[other], None, None))
    lines.append(
        row(
            f"**{name}**",
            run.seconds,
            run.rows,
            run.cpu_seconds,
            run.others["postgres"],
            run.peak_mb,
        )
    )
    return lines


def row(name: str, seconds, rows, cpu, postgres, peak) -> str:
    shown = lambda value, pattern: "" if value is None else format(value, pattern)  # noqa: E731
    rate = rows / seconds if seconds else None
    cells = [
        name,
        shown(seconds, ".2f"),
        shown(rate, ",.0f"),
        shown(cpu, ".2f"),
        shown(postgres, ".2f"),
    ]
    return f"| {' | '.join([*cells, shown(peak, '.0f')])} |"


def document(figures: Figures) -> dict:
    return {**dataclasses.asdict(figures), "ratios": [one[:3] for one in ratios(figures)]}
