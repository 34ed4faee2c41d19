"""Makes LocalStack's CloudFormation treat versions of functions as AWS does. Importing it is enough.

LocalStack 4.9.2 publishes the first version only: it takes a new description of a version for an
update in place, and then updates nothing, neither the version nor an alias. It also deletes what it
replaces, although a template says that it is retained. In a container LocalStack runs this file as
an init script.
"""

from localstack.services.cloudformation.resource_provider import (
    OperationStatus,
    ProgressEvent,
    ResourceRequest,
)
from localstack.services.lambda_.resource_providers.aws_lambda_version import LambdaVersionProvider
from localstack.services.lambda_.resource_providers.lambda_alias import LambdaAliasProvider


def retain(provider: LambdaVersionProvider, request: ResourceRequest) -> ProgressEvent:
    """Deletes nothing. A version goes with its function."""
    return ProgressEvent(status=OperationStatus.SUCCESS, resource_model=request.desired_state)


def update_alias(provider: LambdaAliasProvider, request: ResourceRequest) -> ProgressEvent:
    """Points the alias at the version that the template names now."""
    model = {**request.previous_state, **request.desired_state}
    request.aws_client_factory.lambda_.update_alias(
        FunctionName=model["FunctionName"],
        Name=model["Name"],
        FunctionVersion=model["FunctionVersion"],
        Description=model.get("Description", ""),
    )
    return ProgressEvent(status=OperationStatus.SUCCESS, resource_model=model)


LambdaVersionProvider.SCHEMA["createOnlyProperties"].append("/properties/Description")
LambdaVersionProvider.delete = retain
LambdaAliasProvider.update = update_alias
