"""A deployment changes nothing for a run under way, and whatever is deployed takes effect."""

FUNCTIONS = ["QueryBatchScores", "ScoreCustomers", "EvaluateLimitIncrease", "UpdateDatabase"]
DESCRIPTION = {"Fn::Sub": "${Release}, deployment ${DeploymentId}"}


def test_an_execution_names_versions_which_no_deployment_changes_or_deletes(template):
    resources = template["Resources"]
    given = resources["StateMachine"]["Properties"]["DefinitionSubstitutions"]
    for name in FUNCTIONS:
        assert given[f"{name}Arn"] == {"Ref": f"{name}Version"}

    kept = [f"{name}Version" for name in FUNCTIONS] + ["StateMachineVersion"]
    for name in kept:
        # A redrive within 14 days calls the versions that its definition names. An update replaces
        # the resource, and one that was rolled back deletes what it has made.
        assert resources[name]["DeletionPolicy"] == "Retain", name
        assert resources[name]["UpdateReplacePolicy"] == "Retain", name

    role = resources["StateMachineRole"]["Properties"]["Policies"][0]["PolicyDocument"]
    (invoke,) = [one for one in role["Statement"] if one.get("Sid") == "InvokeSteps"]
    assert invoke["Resource"] == [{"Fn::Sub": f"${{{name}Function.Arn}}:*"} for name in FUNCTIONS]


def test_a_deployment_publishes_every_function_whatever_it_changes(template):
    """Without a new version the state machine would go on with the old code and parameters.

    CloudFormation replaces a version when its description changes, and Lambda publishes one only if
    the function differs from its last version. So the id has to be in both.
    """
    for name in FUNCTIONS:
        version = template["Resources"][f"{name}Version"]["Properties"]
        assert version == {"FunctionName": {"Ref": f"{name}Function"}, "Description": DESCRIPTION}
        function = template["Resources"][f"{name}Function"]["Properties"]
        assert function["Environment"]["Variables"]["DEPLOYMENT_ID"] == {"Ref": "DeploymentId"}
    machine = template["Resources"]["StateMachineVersion"]["Properties"]
    assert machine == {"StateMachineArn": {"Ref": "StateMachine"}, "Description": DESCRIPTION}
    # A default would be the same id in two deployments.
    assert "Default" not in template["Parameters"]["DeploymentId"]


def test_eventbridge_calls_the_version_that_was_deployed_last(template):
    resources = template["Resources"]
    alias = {"Ref": "UpdateDatabaseLive"}
    live = resources["UpdateDatabaseLive"]["Properties"]
    assert live["FunctionName"] == {"Ref": "UpdateDatabaseFunction"}
    assert live["FunctionVersion"] == {"Fn::GetAtt": ["UpdateDatabaseVersion", "Version"]}

    for rule in ("RunInterrupted", "OpenRunsReport"):
        (target,) = resources[rule]["Properties"]["Targets"]
        assert target["Arn"] == {"Fn::Sub": "${UpdateDatabaseFunction.Arn}:" + live["Name"]}, rule
        assert resources[rule]["DependsOn"] == "UpdateDatabaseLive", rule
        assert resources[f"{rule}Permission"]["Properties"]["FunctionName"] == alias, rule

    # What happens to a failed event is configured for each qualifier by itself.
    events = resources["UpdateDatabaseEvents"]
    assert events["Properties"]["Qualifier"] == live["Name"]
    assert events["DependsOn"] == "UpdateDatabaseLive"


def test_nothing_calls_a_function_without_a_version(template):
    for name, item in template["Resources"].items():
        if item["Type"] in ("AWS::Events::Rule", "AWS::StepFunctions::StateMachine"):
            for function in FUNCTIONS:
                assert f"'{function}Function'" not in repr(item), name


def test_a_run_records_the_release(template):
    function = template["Resources"]["QueryBatchScoresFunction"]["Properties"]
    assert function["Environment"]["Variables"]["RELEASE"] == {"Ref": "Release"}
