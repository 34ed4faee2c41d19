"""An execution environment as LocalStack sees it, with a process in place of a container."""

import os
import shutil
import tempfile
import threading
import time
from pathlib import Path

from localstack import config
from localstack.services.lambda_.invocation.lambda_models import (
    FunctionVersion,
    InvocationResult,
    RequestEntityTooLargeException,
)
from localstack.services.lambda_.invocation.runtime_executor import RuntimeExecutor

from limit_increase_executor import calls
from limit_increase_executor.logs import EnvironmentLog, log_path, report_line, start_line
from limit_increase_executor.process import Answer, FunctionProcess, platform_error
from limit_increase_executor.runtime_api import Invocation

# Lambda gives a function at least this time until it asks for its first event.
INIT_SECONDS = 10.0
REQUEST_LIMIT = 6 * 1024 * 1024
MAX_LOGGED_ERROR = 2000
# What LocalStack tells the program in its own container. A function on AWS does not see them.
INTERNAL_VARIABLES = (
    "LOCALSTACK_RUNTIME_ID",
    "LOCALSTACK_RUNTIME_ENDPOINT",
    "LOCALSTACK_MAX_PAYLOAD_SIZE",
)


class ProcessRuntimeExecutor(RuntimeExecutor):
    """One execution environment: its log, its temporary directory and its current process."""

    def __init__(self, id: str, function_version: FunctionVersion) -> None:
        super().__init__(id=id, function_version=function_version)
        logs = Path(
            os.environ.get("LIMIT_INCREASE_FUNCTION_LOGS") or Path(config.dirs.logs) / "functions"
        )
        self._log = EnvironmentLog(log_path(logs, function_version.id.function_name, id))
        self._temporary = Path(tempfile.gettempdir()) / "environments" / id
        self._environment: dict[str, str] = {}
        self._process: FunctionProcess | None = None
        self._start_error: str | None = None
        self._stopped = False
        # LocalStack may call `stop` during an invocation.
        self._lock = threading.Lock()

    def start(self, env_vars: dict[str, str]) -> None:
        self._environment = self._function_environment(env_vars)
        name = self.function_version.id.function_name
        calls.remember(self._environment.get("AWS_ACCESS_KEY_ID"), name)
        # The first invocation waits for the init and reports how it went. So an error carries that
        # invocation's request id, and the output reaches CloudWatch Logs.
        self._start_process()

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            process = self._process
        if process is not None:
            process.stop()
        self._log.close()
        shutil.rmtree(self._temporary, ignore_errors=True)

    def invoke(self, payload: dict[str, str]) -> InvocationResult:
        request_id = payload["invoke-id"]
        event = payload["payload"].encode()
        if len(event) > REQUEST_LIMIT:
            raise RequestEntityTooLargeException(
                f"{len(event)} byte payload is too large for the RequestResponse invocation type"
                f" (limit {REQUEST_LIMIT} bytes)"
            )

        if (self._process is None or not self._process.usable) and not self._stopped:
            # The last process crashed, or was ended because of its time-out.
            self._start_process()
        answer = self._await_init(request_id)

        self._log.line(start_line(request_id, self.function_version.id.qualifier))
        began = time.monotonic()
        if answer is None:
            answer = self._run(payload, event)
        duration = time.monotonic() - began
        self._write_report(request_id, duration, answer)
        return InvocationResult(request_id, answer.payload, answer.is_error, self._log.take())

    def _run(self, payload: dict[str, str], event: bytes) -> Answer:
        timeout = float(self.function_version.config.timeout)
        invocation = Invocation(
            request_id=payload["invoke-id"],
            payload=event,
            deadline_ms=int((time.time() + timeout) * 1000),
            arn=payload["invoked-function-arn"],
            trace_id=payload["trace-id"],
        )
        answer = self._process.run(invocation, timeout)
        if answer.timed_out:
            self._process.stop()
        return answer

    def _await_init(self, request_id: str) -> Answer | None:
        """Waits until the process is ready for an event. An answer means that it never will be."""
        if self._process is None:
            message = self._start_error or "the environment was stopped"
            return platform_error("Runtime.InvalidEntrypoint", request_id, message)

        timeout = max(INIT_SECONDS, self.function_version.config.timeout)
        answer = self._process.await_init(timeout, request_id)
        if answer is not None:
            self._process.stop()
        return answer

    def _start_process(self) -> None:
        code = self.function_version.config.code.get_unzipped_code_location()
        self._temporary.mkdir(parents=True, exist_ok=True)
        try:
            process = FunctionProcess(code, self._environment, self._log)
        except OSError as error:
            self._process = None
            self._start_error = (
                f"fork/exec /var/task/bootstrap: {(error.strerror or str(error)).lower()}"
            )
            return

        with self._lock:
            self._process = process
            stopped = self._stopped
        if stopped:
            process.stop()

    def _write_report(self, request_id: str, duration: float, answer: Answer) -> None:
        process = self._process
        if answer.is_error:
            # The function may not have logged its error: a process that is killed cannot.
            error = answer.payload[:MAX_LOGGED_ERROR].decode(errors="replace")
            self._log.line(f"ERROR RequestId: {request_id} {error}")
        self._log.line(f"END RequestId: {request_id}")

        # Only the first invocation of a process reports how long its init took.
        init = process.init_duration if process is not None and process.invocations == 1 else None
        memory_used = process.memory_used if process is not None else None
        memory_size = self.function_version.config.memory_size
        self._log.line(report_line(request_id, duration, init, memory_size, memory_used))

    def _function_environment(self, env_vars: dict[str, str]) -> dict[str, str]:
        """The function's variables. As on AWS, it sees none of LocalStack's own except the PATH."""
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "en_US.UTF-8"}
        environment |= {name: str(value) for name, value in env_vars.items() if value is not None}
        for name in INTERNAL_VARIABLES:
            environment.pop(name, None)
        code = str(self.function_version.config.code.get_unzipped_code_location())
        environment |= {
            "LAMBDA_TASK_ROOT": code,
            "LAMBDA_RUNTIME_DIR": code,
            "TMPDIR": str(self._temporary),
        }
        own = self.function_version.config.environment or {}
        # AWS sets `:UTC`, which some programs understand only on Amazon Linux.
        environment["TZ"] = own.get("TZ", "UTC")
        return environment

    def get_logs(self) -> str:
        return self._log.everything()

    def get_address(self) -> str:
        return "127.0.0.1"

    def get_endpoint_from_executor(self) -> str:
        return "127.0.0.1"

    def get_runtime_endpoint(self) -> str:
        """An address that LocalStack asks for. The function gets the address of its own server."""
        return f"http://127.0.0.1:{config.GATEWAY_LISTEN[0].port}"

    @classmethod
    def prepare_version(cls, function_version: FunctionVersion) -> None:
        if function_version.config.code:
            function_version.config.code.prepare_for_execution()

    @classmethod
    def cleanup_version(cls, function_version: FunctionVersion) -> None:
        """Does nothing: LocalStack removes the unpacked code, and there is nothing else."""
