"""Runs the functions of LocalStack's Lambda as processes of this machine, without Docker.

`plugin` is found by LocalStack. `executor` is one execution environment as LocalStack sees it, and
`process` the function's process in it. `runtime_api` serves the Lambda Runtime API to the process,
and knows nothing of LocalStack: the measurements in benches/end_to_end use it too. `logs` keeps the
output, and `watchdog` ends the processes when LocalStack is gone. `versions` has nothing to do with
processes: it corrects LocalStack's CloudFormation.
"""
