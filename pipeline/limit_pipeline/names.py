"""Names and numbers of the pipeline. Importing them needs no SDK, whose import takes seconds."""

from dataclasses import dataclass

# The name of the pipeline in lower case, as SageMaker writes it into its ARN.
NAME = "limit-increase-pipeline"
# The form of the messages; the functions look for it.
CALLER = "sagemaker-pipeline"
# A run is called like its execution, with this before it.
RUN_PREFIX = "pipeline"
# A parameter always has a value. These two stand for what a request leaves out.
DEFAULT_POLICY = "in force"
DEFAULT_DATE = "today"
DEFAULT_LIMIT = 20
DEFAULT_SHARD_SIZE = 25_000
# The bounds of a request: shared/workflow/src/request.rs.
MAX_SHARD_SIZE = 50_000
# The account and the region of everything local.
REGION = "us-east-1"
ACCOUNT = "000000000000"
LOCAL_ARN = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:pipeline/{NAME}"
# The longest text of a parameter or an output in SageMaker's API.
MAX_TEXT = 1_024


# The model package group of the models that a pipeline trains.
MODEL_GROUP = "limit-increase-models"


@dataclass(frozen=True)
class Functions:
    """The ARNs of the four functions, each with its version."""

    query_batch_scores: str
    score_customers: str
    evaluate_limit_increase: str
    update_database: str


@dataclass(frozen=True)
class Training:
    """What the pipeline trains with before it decides."""

    # The URI of the image of training/Dockerfile, and the role that the job runs as.
    image: str
    role: str
    # Where the table is in S3, and where SageMaker puts the model.
    data: str
    output: str
    # The options of train.py. One that is repeated has a list.
    options: dict[str, str | list[str]]
    group: str = MODEL_GROUP
