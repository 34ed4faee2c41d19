"""What is kept of the local pipeline: each version of its definition, and each execution.

.local/pipeline/pipeline.json               the versions, the newest last
.local/pipeline/definitions/<sha256>.json   the definition of each version
.local/pipeline/executions/<id>.json        an execution, written anew after each step
.local/pipeline/executions/<id>.lock        locked as long as its process lives
"""

import fcntl
import hashlib
import json
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TextIO

from limit_pipeline.errors import PipelineError

EXECUTING = "Executing"
STOPPED = "Stopped"
NOT_TOLD = "the ledger is told of this end by the next start"


@dataclass
class ExecutionRecord:
    """An execution, as its file has it. Times are seconds since 1970."""

    id: str
    arn: str
    pipeline_arn: str
    # The number of the definition's version, and its hash.
    version: int
    definition_sha256: str
    parameters: dict[str, str | int | bool]
    # A start with the same token is the same execution.
    token: str | None = None
    status: str = EXECUTING
    started: float = 0.0
    ended: float | None = None
    failure_reason: str | None = None
    # Why the ledger does not know of the failure.
    unrecorded: str | None = None
    steps: list[dict] = field(default_factory=list)

    @property
    def run_id(self) -> str:
        return f"pipeline-{self.id}"


@dataclass(frozen=True)
class Version:
    """A version of the definition."""

    number: int
    sha256: str
    created: float


class ExecutionStore:
    """The folder of the local pipeline."""

    def __init__(self, folder: Path, pipeline_arn: str) -> None:
        self.folder = folder
        self.pipeline_arn = pipeline_arn
        self.definitions = folder / "definitions"
        self.executions = folder / "executions"
        # The locks of the executions that this process has begun; the system frees them at its end.
        self.held: list[TextIO] = []

    def upsert(self, definition: str) -> tuple[Version, bool]:
        """Makes the definition the newest version. Returns it, and whether it is new."""
        sha256 = hashlib.sha256(definition.encode()).hexdigest()
        with self.locked():
            versions = self.versions()
            if versions and versions[-1].sha256 == sha256:
                return versions[-1], False

            version = Version(len(versions) + 1, sha256, time.time())
            write(self.definitions / f"{sha256}.json", json.loads(definition))
            write(self.folder / "pipeline.json", [asdict(v) for v in [*versions, version]])
            return version, True

    def versions(self) -> list[Version]:
        file = self.folder / "pipeline.json"
        return [Version(**version) for version in read(file)] if file.exists() else []

    def definition(self, version: Version) -> dict:
        return read(self.definitions / f"{version.sha256}.json")

    def begin(
        self, version: Version, parameters: dict, token: str | None
    ) -> tuple[ExecutionRecord, bool]:
        """A new execution, or the one that this token has started. Returns whether it is new."""
        with self.locked():
            if (known := self.find_token(token, parameters)) is not None:
                return known, False

            # As AWS names an execution: twelve characters.
            id = uuid.uuid4().hex[:12]
            record = ExecutionRecord(
                id=id,
                arn=f"{self.pipeline_arn}/execution/{id}",
                pipeline_arn=self.pipeline_arn,
                version=version.number,
                definition_sha256=version.sha256,
                parameters=parameters,
                token=token,
                started=time.time(),
            )
            self.hold(id)
            self.save(record)
            return record, True

    def find_token(self, token: str | None, parameters: dict) -> ExecutionRecord | None:
        """The execution that this token has started, which had to be the same."""
        for record in self.list() if token is not None else []:
            if record.token != token:
                continue
            if record.parameters != parameters:
                raise PipelineError(
                    f"the token {token} has started {record.id} with other parameters",
                    "give this start another --token",
                )
            return record
        return None

    def hold(self, id: str) -> None:
        """Locks an execution for as long as this process lives."""
        file = self.lock_of(id)
        file.parent.mkdir(parents=True, exist_ok=True)
        self.held.append(file.open("w"))
        fcntl.flock(self.held[-1], fcntl.LOCK_EX)

    def is_held(self, id: str) -> bool:
        """Whether the process that executes it lives."""
        try:
            with self.lock_of(id).open() as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except FileNotFoundError:
            return False
        return False

    def lock_of(self, id: str) -> Path:
        return self.executions / f"{id}.lock"

    def save(self, record: ExecutionRecord) -> None:
        write(self.executions / f"{record.id}.json", asdict(record))

    def list(self) -> list[ExecutionRecord]:
        """All executions, the newest first."""
        found = [self.read(file) for file in self.executions.glob("*.json")]
        return sorted(found, key=lambda record: record.started, reverse=True)

    def find(self, id: str) -> ExecutionRecord:
        """The execution of this id, of its run's id, or of its ARN."""
        id = id.rsplit("/", 1)[-1].removeprefix("pipeline-")
        file = self.executions / f"{id}.json"
        if not id.isalnum() or not file.exists():
            raise PipelineError(
                f"there is no execution {id}", "look at: limit-increase pipeline list"
            )
        return self.read(file)

    def read(self, file: Path) -> ExecutionRecord:
        """An execution. One whose process is gone was stopped, whatever its file says."""
        record = ExecutionRecord(**read(file))
        if record.status != EXECUTING or self.is_held(record.id):
            return record

        # It may have ended since. The lock is freed after the last writing, so this is final.
        record = ExecutionRecord(**read(file))
        if record.status != EXECUTING:
            return record

        record.status = STOPPED
        record.ended = file.stat().st_mtime
        record.failure_reason = "the process that executed it was killed, or this machine restarted"
        record.unrecorded = NOT_TOLD
        for step in record.steps:
            if step["status"] == EXECUTING:
                step["status"] = STOPPED
        return record

    @contextmanager
    def locked(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def read(file: Path) -> dict | list:
    return json.loads(file.read_text())


def write(file: Path, content: dict | list) -> None:
    """Writes a file as a whole, so that a reader never finds half of it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    fresh.write_text(json.dumps(content, indent=2) + "\n")
    fresh.replace(file)
