"""A run whose functions are driven directly, without LocalStack's Lambda and Step Functions.

The built programs are served the Lambda Runtime API, by the server that the local AWS uses. A
worker does what one of the Map's concurrent executions does: it takes shard after shard through the
three functions of a shard. It keeps one process of each, as execution environments are kept warm.
"""

import json
import queue
import subprocess
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from limit_increase_executor.runtime_api import Invocation, RuntimeApiServer

from . import machine

QUERY = "query-batch-scores"
SCORE = "score-customers"
EVALUATE = "evaluate-limit-increase"
UPDATE = "update-database"
INVOCATION_SECONDS = 900


class FunctionError(Exception):
    """The function answered with an error, or its process ended."""


@dataclass
class StepCost:
    """What the processes of one function took together."""

    calls: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_mb: float = 0.0

    def add(self, other: "StepCost") -> None:
        self.calls += other.calls
        self.seconds += other.seconds
        self.cpu_seconds += other.cpu_seconds
        self.peak_mb = max(self.peak_mb, other.peak_mb)


class Function:
    """A process of a built function. Implements `runtime_api.Runtime`."""

    def __init__(self, name: str, environment: dict[str, str], log: Path) -> None:
        self.name, self.cost = name, StepCost()
        self._events: queue.Queue[Invocation | None] = queue.Queue()
        self._answers: queue.Queue[tuple[bool, bytes]] = queue.Queue()
        self._server = RuntimeApiServer(self)

        variables = {
            **environment,
            "AWS_LAMBDA_RUNTIME_API": self._server.address,
            "AWS_LAMBDA_FUNCTION_NAME": name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
            "AWS_LAMBDA_LOG_GROUP_NAME": name,
            "AWS_LAMBDA_LOG_STREAM_NAME": name,
        }
        program = machine.functions_directory() / name / "bootstrap"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [program], env=variables, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        threading.Thread(target=self._await_exit, daemon=True).start()

    def invoke(self, event: object) -> dict:
        """Gives the event to the function, waits for its answer and adds the time to its cost."""
        started = time.perf_counter()
        deadline = int((time.time() + INVOCATION_SECONDS) * 1000)
        arn = f"arn:aws:lambda:us-east-1:000000000000:function:{self.name}"
        payload = json.dumps(event).encode()
        self._events.put(Invocation(str(uuid.uuid4()), payload, deadline, arn, ""))

        succeeded, answer = self._answers.get(timeout=INVOCATION_SECONDS)
        self.cost.calls += 1
        self.cost.seconds += time.perf_counter() - started
        if not succeeded:
            raise FunctionError(f"{self.name}: {answer.decode(errors='replace')}")
        return json.loads(answer)

    def stop(self) -> StepCost:
        """Ends the process. Returns what it took."""
        self.cost.cpu_seconds = machine.cpu_seconds(self._process.pid)
        self.cost.peak_mb = machine.peak_mb(self._process.pid)
        self._process.terminate()
        self._process.wait()
        self._events.put(None)
        self._server.shutdown()
        self._server.server_close()
        return self.cost

    def _await_exit(self) -> None:
        status = self._process.wait()
        self._answers.put((False, f"the process ended with status {status}".encode()))

    # Called by the Runtime API's server, for the function

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
    """A whole run: its summary, and what it took."""

    summary: dict
    seconds: float
    query_seconds: float
    steps: dict[str, StepCost] = field(default_factory=dict)


class Worker(threading.Thread):
    """Takes shard after shard through its functions, until no shard is left."""

    def __init__(
        self, run: dict, shards: queue.SimpleQueue, functions: dict[str, Function]
    ) -> None:
        super().__init__(daemon=True)
        self._run, self._shards, self._functions = run, shards, functions
        # The error that ended this thread. The thread that joins it raises the error.
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            while True:
                shard = self._shards.get_nowait()
                task = {"run": self._run, "shard": shard}
                scored = self._functions[SCORE].invoke(task)
                evaluations = self._functions[EVALUATE].invoke({**task, "scored": scored})
                self._functions[UPDATE].invoke(
                    {"action": "apply_shard", **task, "evaluations": evaluations}
                )
        except queue.Empty:
            pass
        except Exception as error:  # noqa: BLE001 - kept for the thread that joins this one
            self.error = error


def run(
    name: str,
    request: dict,
    environment: dict[str, str],
    log: Path,
    workers: int,
    read_object: Callable[[str, str], bytes],
) -> Run:
    """Does what the state machine does.

    `read_object` takes a bucket and a key. The Map reads the list of the shards in the same way.
    """
    definition = machine.ROOT / "statemachine" / "limit-increase.asl.json"
    states = json.loads(definition.read_text())["States"]
    execution = execution_of(name, request)

    query = Function(QUERY, environment, log)
    sets = [
        {step: Function(step, environment, log) for step in (SCORE, EVALUATE, UPDATE)}
        for _ in range(workers)
    ]
    try:
        started = time.perf_counter()
        opened = query.invoke(event_of(states["QueryBatchScores"], {}, execution))
        queried = time.perf_counter()

        listed = read_object(opened["shards"]["bucket"], opened["shards"]["key"])
        work_on_shards(opened["run"], json.loads(listed), sets)
        summary = sets[0][UPDATE].invoke(event_of(states["SaveResults"], opened, execution))
        finished = time.perf_counter()
    finally:
        functions = [query, *(function for one in sets for function in one.values())]
        costs = [(function.name, function.stop()) for function in functions]

    result = Run(summary, finished - started, queried - started)
    for step, cost in costs:
        result.steps.setdefault(step, StepCost()).add(cost)
    return result


def execution_of(name: str, request: dict) -> dict:
    """What Step Functions puts into `$$.Execution`."""
    started = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {
        "Id": f"arn:aws:states:us-east-1:000000000000:execution:LimitIncreaseWorkflow:{name}",
        "Name": name,
        "Input": request,
        "StartTime": started,
        "RedriveCount": 0,
    }


def work_on_shards(run: dict, listed: list[dict], sets: list[dict[str, Function]]) -> None:
    """Starts a worker for each set of functions, and waits until all shards are done."""
    shards: queue.SimpleQueue = queue.SimpleQueue()
    for shard in listed:
        shards.put(shard)

    workers = [Worker(run, shards, functions) for functions in sets]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        if worker.error is not None:
            raise worker.error


def event_of(state: dict, answer: dict, execution: dict) -> dict:
    """The event that the state machine sends in a state, as its definition describes it.

    `answer` is the state's input, and `execution` what Step Functions says of the execution.
    """
    payload = state["Parameters"]["Payload"]
    event = {}
    for name, value in payload.items():
        if not name.endswith(".$"):
            event[name] = value
        elif value == "$$.Execution":
            event[name.removesuffix(".$")] = execution
        else:
            event[name.removesuffix(".$")] = answer[value.removeprefix("$.")]
    return event
