//! Deployments to a stand-in of CloudFormation.
#![allow(clippy::unwrap_used)]

use std::cell::Cell;
use std::collections::BTreeMap;

use super::stand_in::{Request, StandIn, State};
use super::*;

fn spec() -> StackSpec {
    StackSpec {
        name: "credit".to_owned(),
        template_url: "https://s3.eu-west-1.amazonaws.com/artifacts/template.yml".to_owned(),
        parameters: BTreeMap::from([("CodeKey".to_owned(), "new.zip".to_owned())]),
        tags: BTreeMap::from([("team".to_owned(), "risk".to_owned())]),
    }
}

/// A stack of an earlier deployment. Its template had `Dropped`, and lacked `Fresh`.
fn live(status: &'static str) -> State {
    let parameters = [
        ("CodeKey", "old.zip"),
        ("SubnetIds", "subnet-1"),
        ("DatabaseUrl", "****"),
        ("DeploymentId", "20261101T020000000Z"),
        ("Dropped", "x"),
    ];
    State {
        status,
        parameters: parameters
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        template: vec!["CodeKey", "SubnetIds", "DatabaseUrl", "DeploymentId", "Fresh"],
        ..State::default()
    }
}

fn deploy(stand_in: &StandIn, answer: bool) -> (Result<Stack>, Vec<String>) {
    let asked = Cell::new(Vec::<String>::new());
    let agree = |changes: &[ResourceChange]| {
        asked.set(changes.iter().map(line).collect());
        Ok(answer)
    };
    let aws = stand_in.aws();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let result = runtime.block_on(apply(&aws.cloudformation, &spec(), agree, &Ui::silent()));
    (result, asked.take())
}

/// The parameters of a request, each as its value or as `previous`.
fn parameters(request: &Request) -> BTreeMap<String, String> {
    let of = |(key, name): (&String, &String)| {
        let field = |field: &str| request.get(&key.replace("ParameterKey", field)).cloned();
        let previous = field("UsePreviousValue").is_some_and(|value| value == "true");
        let value = if previous { Some("previous".to_owned()) } else { field("ParameterValue") };
        Some((name.clone(), value?))
    };
    request.iter().filter(|(key, _)| key.ends_with(".ParameterKey")).filter_map(of).collect()
}

#[test]
fn a_second_deployment_keeps_every_value_that_is_not_repeated() {
    let stand_in = StandIn::start(live("UPDATE_ROLLBACK_COMPLETE"));
    let (stack, shown) = deploy(&stand_in, true);
    assert_eq!(stack.unwrap().status, "UPDATE_COMPLETE");

    let expected = [
        ("CodeKey", "new.zip"),
        ("DatabaseUrl", "previous"),
        ("DeploymentId", "previous"),
        ("SubnetIds", "previous"),
    ];
    let mut expected =
        BTreeMap::from(expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let [compared, sent] = &stand_in.requests("CreateChangeSet")[..] else {
        panic!("one change set to compare, and one to deploy")
    };
    assert_eq!(parameters(compared), expected);

    let id = parameters(sent)["DeploymentId"].clone();
    assert!(id.starts_with("20") && id.ends_with('Z') && id.len() == 19, "{id}");
    expected.insert("DeploymentId".to_owned(), id);
    assert_eq!(parameters(sent), expected);
    assert_eq!(sent["ChangeSetType"], "UPDATE");
    assert!(sent["TemplateURL"].starts_with("https://s3.") && !sent.contains_key("TemplateBody"));
    assert_eq!((&*sent["Tags.member.1.Key"], &*sent["Tags.member.1.Value"]), ("team", "risk"));

    let [line] = &shown[..] else { panic!("one change expected: {shown:?}") };
    for words in ["Modify", "ModelBucket", "AWS::S3::Bucket", "REPLACED"] {
        assert!(line.contains(words), "{words} in {line}");
    }
}

#[test]
fn a_change_that_nobody_wants_is_not_made() {
    let stand_in = StandIn::start(live("CREATE_COMPLETE"));
    let (stack, _) = deploy(&stand_in, false);
    assert!(stack.unwrap_err().to_string().contains("was not changed"));
    let pair = ["CreateChangeSet", "DeleteChangeSet"];
    assert_eq!(stand_in.actions(), [pair, pair].concat());
}

#[test]
fn a_first_creation_asks_nothing_and_ends_protected() {
    let stand_in =
        StandIn::start(State { template: vec!["CodeKey", "DeploymentId"], ..State::default() });
    let (stack, shown) = deploy(&stand_in, false);
    assert_eq!(stack.unwrap().status, "CREATE_COMPLETE");
    assert!(shown.is_empty() && stand_in.state().protected);
    let expected = ["CreateChangeSet", "ExecuteChangeSet", "UpdateTerminationProtection"];
    assert_eq!(stand_in.actions(), expected);
}

#[test]
fn only_the_remains_of_a_first_creation_are_deleted() {
    for status in ["ROLLBACK_COMPLETE", "CREATE_FAILED"] {
        let stand_in = StandIn::start(live(status));
        assert_eq!(deploy(&stand_in, true).0.unwrap().status, "CREATE_COMPLETE");
        assert_eq!(stand_in.actions()[0], "DeleteStack", "{status}");
    }

    let others = [
        "CREATE_COMPLETE",
        "UPDATE_COMPLETE",
        "UPDATE_FAILED",
        "UPDATE_ROLLBACK_COMPLETE",
        "UPDATE_ROLLBACK_FAILED",
        "ROLLBACK_FAILED",
        "DELETE_FAILED",
        "UPDATE_IN_PROGRESS",
        "REVIEW_IN_PROGRESS",
    ];
    for status in others {
        let stand_in = StandIn::start(live(status));
        let _ = deploy(&stand_in, true);
        assert!(!stand_in.actions().contains(&"DeleteStack".to_owned()), "{status}");
    }
}

#[test]
fn a_stack_of_a_release_without_versions_gets_its_first_id() {
    let mut older = live("UPDATE_COMPLETE");
    older.parameters.remove("DeploymentId");
    let stand_in = StandIn::start(older);
    assert_eq!(deploy(&stand_in, true).0.unwrap().status, "UPDATE_COMPLETE");
    let [sent] = &stand_in.requests("CreateChangeSet")[..] else { panic!("one change set") };
    assert_ne!(parameters(sent)["DeploymentId"], "previous");
}

#[test]
fn nothing_to_change_is_no_question_and_no_change() {
    let stand_in =
        StandIn::start(State { unchanged: true, protected: true, ..live("UPDATE_COMPLETE") });
    let (stack, shown) = deploy(&stand_in, false);
    assert_eq!(stack.unwrap().status, "UPDATE_COMPLETE");
    assert!(shown.is_empty());
    assert_eq!(stand_in.actions(), ["CreateChangeSet", "DeleteChangeSet"]);
}

#[test]
fn a_stack_that_cannot_be_deployed_to_is_refused_before_anything_is_built() {
    let stack = |status: &str| Stack {
        name: "credit".to_owned(),
        id: "arn".to_owned(),
        status: status.to_owned(),
        outputs: BTreeMap::new(),
        parameters: BTreeMap::new(),
        protected: true,
    };

    assert!(check(None, false, &Ui::silent()).is_ok());
    assert!(check(Some(&stack("ROLLBACK_COMPLETE")), false, &Ui::silent()).is_ok());
    assert!(check(Some(&stack("UPDATE_COMPLETE")), true, &Ui::silent()).is_ok());

    let cases = [
        ("UPDATE_COMPLETE", false, "nobody to ask"),
        ("UPDATE_IN_PROGRESS", true, "UPDATE_IN_PROGRESS"),
        ("UPDATE_ROLLBACK_FAILED", true, "UPDATE_ROLLBACK_FAILED and takes no update"),
        ("DELETE_FAILED", true, "DELETE_FAILED and takes no update"),
    ];
    for (status, yes, words) in cases {
        let error = check(Some(&stack(status)), yes, &Ui::silent()).unwrap_err();
        assert!(error.to_string().contains(words), "{status}: {error}");
    }
}
