"""The entry point that LocalStack uses if LAMBDA_RUNTIME_EXECUTOR is `process`."""

from localstack.services.lambda_.invocation.plugins import RuntimeExecutorPlugin


class ProcessExecutorPlugin(RuntimeExecutorPlugin):
    name = "process"

    def load(self, *args, **kwargs) -> type:
        # Imported late, because LocalStack loads this module at every start, and Lambda only when
        # it is used.
        from limit_increase_executor import versions  # noqa: F401
        from limit_increase_executor.executor import ProcessRuntimeExecutor

        return ProcessRuntimeExecutor
