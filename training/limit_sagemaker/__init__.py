"""Runs a SageMaker training job: here without a container, in one, or on AWS.

A job is the request of CreateTrainingJob and the files that it names. `cli` asks the command line
`limit-increase` for both, and `job` is what it answers.

Here the job gets SageMaker's folders under /opt/ml from `layout`. `process` runs its program as a
process with the variables of `variables`, and `container` runs the image of the Dockerfile in an
`engine`. `aws` starts the job on AWS and follows it. All three give an `outcome`.

`model` packs what the job left in its model folder, and checks and packs it as the artifact that
the functions load. `publish` puts that where they read it. `progress` says what is going on.
"""
