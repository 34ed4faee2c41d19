"""The functions driven directly: their own programs over the Lambda Runtime API, without LocalStack or Step Functions.

A worker has one process of each function of a shard, as execution environments are kept warm, and takes shard after
shard through them, as one of the Map's concurrent executions does. The API is the one that the local AWS serves them.
"""

import json
import queue
import subprocess
import threading
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from limit_increase_executor.runtime_api import Invocation, RuntimeApiServer

from . import machine

QUERY, SCORE, EVALUATE, UPDATE = (
    "query-batch-scores",
    "score-customers",
    "evaluate-limit-increase",
    "update-database",
)
INVOCATION_SECONDS = 900


class FunctionError(Exception):
    """The function answered with an error, or died."""


@dataclass
class Step:
    """What the processes of one function took together."""

    calls: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_mb: float = 0.0


class Function:
    """A process of a built function, and what it says over the Runtime API."""

    def __init__(self, name: str, environment: dict[str, str], log: Path) -> None:
        self.name, self.step = name, Step()
        self._events: queue.Queue[Invocation | None] = queue.Queue()
        self._answers: queue.Queue[tuple[bool, bytes]] = queue.Queue()
        self._server = RuntimeApiServer(self)
        program = machine.functions_directory() / name / "bootstrap"
        own = {
            "AWS_LAMBDA_RUNTIME_API": self._server.address,
            "AWS_LAMBDA_FUNCTION_NAME": name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
            "AWS_LAMBDA_LOG_GROUP_NAME": name,
            "AWS_LAMBDA_LOG_STREAM_NAME": name,
        }
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [program],
                env={**environment, **own},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        threading.Thread(target=self._await_exit, daemon=True).start()

    def invoke(self, event: object) -> dict:
        started = time.perf_counter()
        deadline = int((time.time() + INVOCATION_SECONDS) * 1000)
        arn = f"arn:aws:lambda:us-east-1:000000000000:function:{self.name}"
        self._events.put(
            Invocation(str(uuid.uuid4()), json.dumps(event).encode(), deadline, arn, "")
        )
        well, payload = self._answers.get(timeout=INVOCATION_SECONDS)
        self.step.calls += 1
        self.step.seconds += time.perf_counter() - started
        if not well:
            raise FunctionError(f"{self.name}: {payload.decode(errors='replace')}")
        return json.loads(payload)

    def stop(self) -> Step:
        """Ends the process; gives what it took."""
        self.step.cpu_seconds = machine.cpu_seconds(self._process.pid)
        self.step.peak_mb = machine.peak_mb(self._process.pid)
        self._process.terminate()
        self._process.wait()
        self._events.put(None)
        self._server.shutdown()
        self._server.server_close()
        return self.step

    def _await_exit(self) -> None:
        status = self._process.wait()
        self._answers.put((False, f"the process ended with status {status}".encode()))

    # What the function does, over the Runtime API

    def next_invocation(self) -> Invocation | None:
        return self._events.get()

    def responded(self, request_id: str, payload: bytes) -> bool:
        self._answers.put((True, payload))
        return True

    def failed(self, request_id: str, payload: bytes) -> bool:
        self._answers.put((False, payload))
        return True

    def too_large(self, request_id: str, size: int) -> bool:
        return self.failed(request_id, f"an answer of {size} bytes".encode())

    def init_failed(self, payload: bytes) -> None:
        self._answers.put((False, payload))


@dataclass
class Run:
    """A whole run: what the state machine would have answered, and what each step took."""

    summary: dict
    seconds: float
    query_seconds: float
    steps: dict[str, Step] = field(default_factory=dict)

    def add(self, name: str, step: Step) -> None:
        total = self.steps.setdefault(name, Step())
        total.calls += step.calls
        total.seconds += step.seconds
        total.cpu_seconds += step.cpu_seconds
        total.peak_mb = max(total.peak_mb, step.peak_mb)

    @property
    def cpu_seconds(self) -> float:
        return sum(step.cpu_seconds for step in self.steps.values())


class Worker(threading.Thread):
    """One of the Map's concurrent executions."""

    def __init__(
        self, run: dict, shards: queue.SimpleQueue, functions: dict[str, Function]
    ) -> None:
        super().__init__(daemon=True)
        self._run, self._shards, self._functions = run, shards, functions
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            while True:
                shard = self._shards.get_nowait()
                task = {"run": self._run, "shard": shard}
                self._functions[SCORE].invoke(task)
                self._functions[EVALUATE].invoke(task)
                self._functions[UPDATE].invoke({"action": "apply_shard", **task})
        except queue.Empty:
            pass
        except Exception as error:  # noqa: BLE001 - told by the thread that waits
            self.error = error


def finish_event(opened: dict) -> dict:
    """What the state machine sends at the end, by its own definition."""
    states = json.loads((machine.ROOT / "statemachine/limit-increase.asl.json").read_text())[
        "States"
    ]
    payload = states["SaveResults"]["Parameters"]["Payload"]
    fields = [name.removesuffix(".$") for name in payload if name.endswith(".$")]
    return {"action": payload["action"], **{name: opened[name] for name in fields}}


def run(
    name: str, request: dict, environment: dict[str, str], log: Path, workers: int, read_object
) -> Run:
    """Does what the state machine does; `read_object(bucket, key)` reads the shard list as the Map does."""
    start = lambda function: Function(function, environment, log)  # noqa: E731
    query = start(QUERY)
    sets = [
        {function: start(function) for function in (SCORE, EVALUATE, UPDATE)}
        for _ in range(workers)
    ]
    try:
        started = time.perf_counter()
        opened = query.invoke({"run_id": name, "request": request})
        queried = time.perf_counter()
        shards: queue.SimpleQueue = queue.SimpleQueue()
        for shard in json.loads(read_object(opened["shards"]["bucket"], opened["shards"]["key"])):
            shards.put(shard)
        threads = [Worker(opened["run"], shards, functions) for functions in sets]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
            if thread.error is not None:
                raise thread.error
        summary = sets[0][UPDATE].invoke(finish_event(opened))
        finished = time.perf_counter()
    finally:
        taken = [
            (function.name, function.stop())
            for function in [query, *(f for s in sets for f in s.values())]
        ]
    result = Run(summary, finished - started, queried - started)
    for function, step in taken:
        result.add(function, step)
    return result
