"""The end-to-end measurement: a whole run beside the database alone and beside Python.

`__main__` the order of the measurements; `machine` the services, and the CPU and memory of processes;
`database` equal tables before each measurement, and the floor; `functions` a run driven directly;
`states` a run through Step Functions; `storage` what a run left in S3; `peer` the same work in Python;
`report` figures, targets and tables.
"""
