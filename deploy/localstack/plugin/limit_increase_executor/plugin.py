"""What LocalStack finds through the entry point: LAMBDA_RUNTIME_EXECUTOR=process."""

from localstack.services.lambda_.invocation.plugins import RuntimeExecutorPlugin


class ProcessExecutorPlugin(RuntimeExecutorPlugin):
    name = "process"

    def load(self, *args, **kwargs):
        # Only when Lambda is used: LocalStack looks at every plugin while it starts.
        from limit_increase_executor.executor import ProcessRuntimeExecutor

        return ProcessRuntimeExecutor
