"""The end-to-end measurement: a whole run beside the database alone and beside Python.

`__main__` is the program. `measurements` has one method for each thing that is measured. `machine`
is the services, and the CPU and memory of processes. `database` restores equal tables before each
measurement, and measures the floor. `functions` drives a run directly, and `states` drives it
through Step Functions. `storage` is what a run leaves in S3. `peer` is the same work in Python.
`report` is the figures, the targets and the tables.
"""
