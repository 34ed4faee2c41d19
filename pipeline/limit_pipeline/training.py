"""The steps that train a model and register it, before those of the nightly job. They are optional.

The job is that of `make train-sagemaker`: the image of training/Dockerfile, the options of train.py
as hyperparameters, the table as the channel `training`. Its model becomes a version in a model
package group, which waits for a person's approval. It decides about nobody until somebody puts it
where the functions read their model, so this execution uses the model that is there.
"""

import json
from dataclasses import dataclass

from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.model import Model
from sagemaker.session import Session
from sagemaker.workflow.model_step import ModelStep
from sagemaker.workflow.parameters import ParameterString
from sagemaker.workflow.steps import TrainingStep

from limit_pipeline.names import Training

INSTANCE = "ml.m5.large"
VOLUME_GB = 10
# SageMaker stops the job after this time. The training itself takes minutes.
MAX_RUN_SECONDS = 3_600
# The group needs a container for inference. Only the functions score, so nobody deploys it.
CONTENT_TYPE = "text/csv"


@dataclass(frozen=True)
class TrainingSteps:
    """The two steps, and the parameter that says where the table is."""

    data: ParameterString
    train: TrainingStep
    register: ModelStep


def define_training(training: Training, session: Session) -> TrainingSteps:
    """The steps for this training."""
    data = ParameterString("TrainingData", default_value=training.data)
    # The toolkit reads a value as JSON if it can. As a JSON string, "01" does not become a number.
    options = {name: json.dumps(value) for name, value in training.options.items()}
    estimator = Estimator(
        image_uri=training.image,
        role=training.role,
        instance_count=1,
        instance_type=INSTANCE,
        volume_size=VOLUME_GB,
        max_run=MAX_RUN_SECONDS,
        output_path=training.output,
        hyperparameters=options,
        # Its rule would have another name in every definition.
        disable_profiler=True,
        debugger_hook_config=False,
        sagemaker_session=session,
    )
    # Its `fit` gives the same request, and reports to the maker of the SDK that it was called.
    train = TrainingStep(
        name="TrainModel",
        estimator=estimator,
        inputs={"training": TrainingInput(data, content_type=CONTENT_TYPE)},
    )
    model = Model(
        image_uri=training.image,
        model_data=train.properties.ModelArtifacts.S3ModelArtifacts,
        sagemaker_session=session,
    )
    # The SDK adds to the name: the step is called CreditModel-RegisterModel.
    register = ModelStep(
        name="CreditModel",
        step_args=model.register(
            content_types=[CONTENT_TYPE],
            response_types=[CONTENT_TYPE],
            inference_instances=[INSTANCE],
            transform_instances=[INSTANCE],
            model_package_group_name=training.group,
            approval_status="PendingManualApproval",
            description="A credit model; it decides when a person has published it",
        ),
    )
    return TrainingSteps(data, train, register)
