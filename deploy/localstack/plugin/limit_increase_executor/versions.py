"""Makes LocalStack treat versions of functions as AWS does. Importing it is enough.

LocalStack 4.9.2 publishes the first version only: it takes a new description of a version for an
update in place, and then updates nothing, neither the version nor an alias. It also deletes what it
replaces, although a template says that it is retained. In a container LocalStack runs this file as
an init script.
"""

from localstack.services.cloudformation.resource_provider import (
    OperationStatus,
    ProgressEvent,
    ResourceProvider,
    ResourceRequest,
)
from localstack.services.lambda_.resource_providers.aws_lambda_version import LambdaVersionProvider
from localstack.services.lambda_.resource_providers.lambda_alias import LambdaAliasProvider


def retain(provider: ResourceProvider, request: ResourceRequest) -> ProgressEvent:
    """Deletes nothing. A version and an alias go with their function."""
    return ProgressEvent(status=OperationStatus.SUCCESS, resource_model=request.desired_state)


def put_alias(provider: LambdaAliasProvider, request: ResourceRequest) -> ProgressEvent:
    """Points the alias at the version that the template names, and makes it if it is missing.

    LocalStack may take an update for a replacement, because the alias refers to a function that
    changes. Then it would make the alias twice and delete it.
    """
    model = {**(request.previous_state or {}), **request.desired_state}
    client = request.aws_client_factory.lambda_
    alias = {
        name: model[name]
        for name in ("FunctionName", "Name", "FunctionVersion", "Description")
        if name in model
    }
    try:
        model["Id"] = client.create_alias(**alias)["AliasArn"]
    except client.exceptions.ResourceConflictException:
        model["Id"] = client.update_alias(**alias)["AliasArn"]
    return ProgressEvent(status=OperationStatus.SUCCESS, resource_model=model)


LambdaVersionProvider.SCHEMA["createOnlyProperties"].append("/properties/Description")
LambdaVersionProvider.delete = retain
LambdaAliasProvider.create = put_alias
LambdaAliasProvider.update = put_alias
LambdaAliasProvider.delete = retain
