"""What is kept of the local pipeline: each version of its definition, and each execution.

.local/pipeline/pipeline.json               the versions, the newest last
.local/pipeline/definitions/<sha256>.json   the definition of each version
.local/pipeline/executions/<id>.json        an execution, written anew after each step
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

from limit_pipeline.errors import PipelineError


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
    status: str = "Executing"
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
            for record in self.list() if token is not None else []:
                if record.token == token:
                    if record.parameters != parameters:
                        raise PipelineError(
                            f"the token {token} has started {record.id} with other parameters",
                            "give this start another --token",
                        )
                    return record, False

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
            self.save(record)
            return record, True

    def save(self, record: ExecutionRecord) -> None:
        write(self.executions / f"{record.id}.json", asdict(record))

    def list(self) -> list[ExecutionRecord]:
        """All executions, the newest first."""
        found = [ExecutionRecord(**read(file)) for file in self.executions.glob("*.json")]
        return sorted(found, key=lambda record: record.started, reverse=True)

    def find(self, id: str) -> ExecutionRecord:
        """The execution of this id, of its run's id, or of its ARN."""
        id = id.rsplit("/", 1)[-1].removeprefix("pipeline-")
        file = self.executions / f"{id}.json"
        if not id.isalnum() or not file.exists():
            raise PipelineError(
                f"there is no execution {id}", "look at: limit-increase pipeline list"
            )
        return ExecutionRecord(**read(file))

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
