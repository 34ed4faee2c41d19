"""The template as CloudFormation renders it with given parameters, as far as its policies need it.

Only the conditions and functions that the template uses are here. Any other is an error, so that a
new one cannot be rendered wrongly.
"""

import re
from typing import Any

ACCOUNT = "123456789012"
NO_VALUE = object()


class Rendering:
    """A stack that would be made from the template."""

    def __init__(self, template: dict, region: str, parameters: dict[str, Any]) -> None:
        self.template = template
        self.region = region
        declared = template["Parameters"]
        assert not parameters.keys() - declared.keys(), "the template has no such parameter"
        self.values: dict[str, Any] = {
            name: parameters.get(name, declaration.get("Default"))
            for name, declaration in declared.items()
        }
        missing = [name for name, value in self.values.items() if value is None]
        assert not missing, f"{missing} have no default"
        for name, declaration in declared.items():
            if declaration["Type"] == "CommaDelimitedList":
                self.values[name] = self.values[name].split(",")
        self.values |= {
            "AWS::Partition": "aws",
            "AWS::Region": region,
            "AWS::AccountId": ACCOUNT,
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::NoValue": NO_VALUE,
        }

    def resource(self, name: str) -> dict:
        """The properties of a resource."""
        return self.render(self.template["Resources"][name]["Properties"])

    def exists(self, name: str) -> bool:
        condition = self.template["Resources"][name].get("Condition")
        return condition is None or self.condition(condition)

    def of_type(self, kind: str) -> list[str]:
        return [name for name, item in self.template["Resources"].items() if item["Type"] == kind]

    def condition(self, name: str) -> bool:
        return self.render(self.template["Conditions"][name])

    def arn(self, name: str) -> str:
        kind = self.template["Resources"][name]["Type"]
        properties = self.template["Resources"][name]["Properties"]
        where = f"{self.region}:{ACCOUNT}"
        match kind:
            case "AWS::IAM::Role":
                return f"arn:aws:iam::{ACCOUNT}:role/{self.render(properties['RoleName'])}"
            case "AWS::Lambda::Function":
                return f"arn:aws:lambda:{where}:function:{self.render(properties['FunctionName'])}"
            case "AWS::Lambda::Version":
                return f"{self.function_of(properties)}:1"
            case "AWS::Lambda::Alias":
                return f"{self.function_of(properties)}:{properties['Name']}"
            case "AWS::SQS::Queue":
                return f"arn:aws:sqs:{where}:{self.render(properties['QueueName'])}"
            case "AWS::Events::Rule":
                return f"arn:aws:events:{where}:rule/{self.render(properties['Name'])}"
            case "AWS::StepFunctions::StateMachine":
                name = self.render(properties["StateMachineName"])
                return f"arn:aws:states:{where}:stateMachine:{name}"
            case "AWS::SNS::Topic":
                return f"arn:aws:sns:{where}:{self.render(properties['TopicName'])}"
            case "AWS::Logs::LogGroup":
                return f"arn:aws:logs:{where}:log-group:{self.render(properties['LogGroupName'])}:*"
        raise NotImplementedError(f"the ARN of {name}, which is an {kind}")

    def function_of(self, properties: dict) -> str:
        """The ARN of the function that a version or an alias is of."""
        return self.arn(properties["FunctionName"]["Ref"])

    def render(self, value: Any) -> Any:
        if isinstance(value, list):
            items = [self.render(item) for item in value]
            return [item for item in items if item is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((name, argument),) = value.items()
            if name == "Ref" or name.startswith("Fn::"):
                return self.function(name, argument)
            # The condition of a policy's statement is a map.
            if name == "Condition" and isinstance(argument, str):
                return self.condition(argument)
        rendered = {key: self.render(item) for key, item in value.items()}
        return {key: item for key, item in rendered.items() if item is not NO_VALUE}

    def function(self, name: str, argument: Any) -> Any:
        match name:
            case "Ref":
                return self.reference(argument)
            case "Fn::GetAtt":
                resource, attribute = argument
                assert attribute == "Arn", f"{resource}.{attribute} is not rendered here"
                return self.arn(resource)
            case "Fn::Sub":
                return self.substituted(argument)
            case "Fn::If":
                condition, then, otherwise = argument
                return self.render(then if self.condition(condition) else otherwise)
            case "Fn::Join":
                separator, parts = argument
                return separator.join(self.render(parts))
            case "Fn::Split":
                separator, source = argument
                return self.render(source).split(separator)
            case "Fn::Equals":
                left, right = self.render(argument)
                return str(left) == str(right)
            case "Fn::And":
                return all(self.render(argument))
            case "Fn::Not":
                (negated,) = self.render(argument)
                return not negated
        raise NotImplementedError(f"{name} is not rendered here")

    def reference(self, name: str) -> Any:
        if name in self.values:
            return self.values[name]
        if name.endswith(".Arn"):
            return self.arn(name.removesuffix(".Arn"))
        kind = self.template["Resources"][name]["Type"]
        if kind == "AWS::S3::Bucket":
            return self.values["BucketName"]
        if kind in {
            "AWS::Lambda::Alias",
            "AWS::Lambda::Version",
            "AWS::SNS::Topic",
            "AWS::StepFunctions::StateMachine",
        }:
            return self.arn(name)
        if kind == "AWS::Lambda::Function":
            return self.render(self.template["Resources"][name]["Properties"]["FunctionName"])
        if kind == "AWS::SQS::Queue":
            queue = self.arn(name).rsplit(":", 1)[1]
            return f"https://sqs.{self.region}.amazonaws.com/{ACCOUNT}/{queue}"
        raise NotImplementedError(f"a reference to {name}, which is an {kind}")

    def substituted(self, argument: Any) -> str:
        text, more = (argument, {}) if isinstance(argument, str) else argument
        values = {name: self.render(value) for name, value in more.items()}

        def one(match: re.Match) -> str:
            name = match[1]
            return str(values[name] if name in values else self.reference(name))

        return re.sub(r"\$\{([^}]+)\}", one, text)
