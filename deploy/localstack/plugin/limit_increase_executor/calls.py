"""Refuses a call of a function that cloudformation/calls.yml does not list.

LocalStack lets every caller do everything. On AWS a function may do what its role allows, and the
tests of the template prove by simulation that the role allows the calls of the list. Here the list
is compared with the calls that really happen.
"""

import logging
import re
from fnmatch import fnmatchcase
from pathlib import Path

import yaml
from localstack.aws.api import CommonServiceException

LOG = logging.getLogger(__name__)
# What IAM calls the operations that do not give their name to an action.
ACTIONS = {
    "s3:HeadObject": "s3:GetObject",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:ListObjects": "s3:ListBucket",
}
# A stack's suffix, as the template's parameter NameSuffix allows it.
SUFFIX = re.compile(r"-[a-z][a-z0-9]{0,9}")

# The name of the function that each access key was given to. LocalStack makes a key for each
# execution environment.
_functions: dict[str, str] = {}


def remember(access_key: str | None, function: str) -> None:
    """Notes that this key signs the requests of this function."""
    if access_key:
        _functions[access_key] = function


def read(path: Path) -> dict[str, list[str]]:
    """The list: the calls of each function."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


class ListedCallsOnly:
    """A handler of LocalStack's gateway, for a request that is parsed and not yet answered."""

    def __init__(self, calls: dict[str, list[str]]) -> None:
        self._calls = calls

    def __call__(self, _chain: object, context: object, _response: object) -> None:
        if context.operation is None or context.is_internal_call:
            return
        function = _functions.get(access_key(context.request.headers.get("Authorization", "")))
        allowed = self._calls_of(function) if function else None
        if allowed is None:
            return

        service, operation = context.service.service_name, context.operation.name
        call = as_iam_names_it(service, operation, context.service_request or {})
        if not any(fnmatchcase(call, pattern) for pattern in allowed):
            message = f"{function} called {call}, which cloudformation/calls.yml does not list"
            LOG.error("%s", message)
            raise CommonServiceException(
                "AccessDenied", message, status_code=403, sender_fault=True
            )

    def _calls_of(self, function: str) -> list[str] | None:
        """The calls of a function of any stack. A function that is not ours may do everything."""
        for name, calls in self._calls.items():
            if function.startswith(name):
                suffix = function.removeprefix(name)
                if not suffix or SUFFIX.fullmatch(suffix):
                    return calls
        return None


def access_key(authorization: str) -> str:
    """The access key in the header `Authorization`, or nothing."""
    found = re.search(r"Credential=([^/]+)/", authorization)
    return found[1] if found else ""


def as_iam_names_it(service: str, operation: str, request: dict) -> str:
    """The action of a call, and for S3 the key or the prefix."""
    action = ACTIONS.get(f"{service}:{operation}", f"{service}:{operation}")
    if service != "s3":
        return action
    if action == "s3:GetObject" and request.get("VersionId"):
        action = "s3:GetObjectVersion"
    return f"{action} {request.get('Key') or request.get('Prefix') or ''}"


def enforce(path: Path) -> None:
    """Makes LocalStack refuse what the list lacks."""
    from localstack.aws import handlers

    handlers.serve_custom_service_request_handlers.append(ListedCallsOnly(read(path)))
