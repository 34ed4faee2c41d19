//! `train` on a lender's own table: what the policy would do, and directions that every tree keeps.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use limit_increase_artifact::{Artifact, Direction};
use limit_increase_domain::{CreditScore, Policy, Scoring, decide};
use limit_increase_scoring::Model;
use limit_increase_tests::environment::Environment;
use rust_decimal::Decimal;

use crate::text;

const ROWS: usize = 800;

/// A table in which a higher income is better, with limits of which some are not eligible.
fn table() -> Result<String> {
    let mut table = "income,utilisation,limit,bad\n".to_owned();
    for row in 0..ROWS {
        let income = 8_000 + row * 7_919 % 50_000;
        let limit = match row % 20 {
            0 => String::new(),
            1 => "12000.00".to_owned(),
            step => format!("{}.33", 500 * step),
        };
        let luck = row * 2_654_435_761 % 4_294_967_296 / 42_949_673;
        let bad = luck < 45 - income / 1_500;
        writeln!(table, "{income},0.{:02},{limit},{}", row * 31 % 100, u8::from(bad))?;
    }

    Ok(table)
}

/// The sum of raises over the held-out rows, worked out from the files alone.
fn raised_by_hand(table: &str, scored: &Path, policy: &Policy) -> Result<Decimal> {
    let rows: Vec<Vec<&str>> =
        table.lines().skip(1).map(|line| line.split(',').collect()).collect();
    let mut raised = Decimal::ZERO;
    for line in std::fs::read_to_string(scored)?.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let limit = rows[fields[0].parse::<usize>()?][2];
        let Ok(limit) = limit.parse::<Decimal>() else { continue };
        if limit < policy.eligibility.current_limit_below {
            let score = CreditScore::new(fields[1].parse()?);
            let decision = decide(policy, limit, None, Scoring::Scored { score, reasons: &[] });
            raised += decision.new_limit.map_or(Decimal::ZERO, |new| new.amount() - limit);
        }
    }

    Ok(raised)
}

pub(crate) fn training_says_what_the_policy_would_do_and_keeps_directions(
    environment: &Environment,
) -> Result<()> {
    let home = environment.context.home.root();
    let (models, kept) = (home.join("model"), home.join("model-kept"));
    std::fs::rename(&models, &kept)?;
    let outcome = train_and_look(environment);
    // The other cases use the sample's model.
    std::fs::remove_dir_all(&models)?;
    std::fs::rename(&kept, &models)?;
    outcome
}

fn train_and_look(environment: &Environment) -> Result<()> {
    let home = environment.context.home.root();
    let (data, stricter) = (home.join("loans.csv"), home.join("stricter.json"));
    let table = table()?;
    std::fs::write(&data, &table)?;
    std::fs::write(&stricter, r#"{"minimum_score": 900}"#)?;
    let (data, stricter) = (data.display().to_string(), stricter.display().to_string());
    let train = ["train", "--data", &data, "--target", "bad", "--positive", "1"];
    let mine = ["--limit-column", "limit", "--bucket", "another-bucket", "--features"];
    let features = ["income,utilisation", "--policy"];
    let own = ["--", "--iterations", "30", "--target-score", "680", "--monotone", "income=-1"];
    let loose = home.join("loose.json").display().to_string();
    std::fs::write(&loose, r#"{"minimum_score": 596}"#)?;
    let arguments = |policy| [&train[..], &mine, &features, &[policy], &own].concat();

    let trained = environment.command_json(&arguments(&loose))?;
    let forecast = &trained["forecast"];
    let total = &forecast["total"];
    let count = |name: &str| total[name].as_u64().unwrap_or_default();
    ensure!(
        count("customers") == count("approved") + count("declined") + count("referred")
            && count("approved") > 0
            && count("customers")
                + forecast["not_eligible"].as_u64().unwrap_or_default()
                + forecast["without_limit"].as_u64().unwrap_or_default()
                == trained["report"]["training"]["validation_rows"].as_u64().unwrap_or_default(),
        "the forecast should count every held-out row once: {forecast}"
    );

    let policy: Policy = serde_json::from_str(&std::fs::read_to_string(&loose)?)?;
    let scored = environment.context.home.scored_rows();
    let raised = raised_by_hand(&table, &scored, &policy)?;
    ensure!(
        total["raised"] == raised.to_string() && raised > Decimal::ZERO,
        "limits should rise by {raised} together: {forecast}"
    );

    let output = environment.command(&arguments(&stricter))?;
    let shown = text(&output.stdout);
    ensure!(
        shown.contains("WARNING: nobody would be approved (0.0 %)")
            && shown.contains("0.0 % have 900 or more")
            && shown.contains("Monotone in every tree: income -1"),
        "nobody approved should be warned of: {shown} {}",
        text(&output.stderr)
    );
    let again = environment.command_json(&arguments(&stricter))?;
    ensure!(again["trained"] == false, "another policy should not train again: {again}");

    // Without a policy of its own the one in force counts, and without a limit each tier.
    let plain =
        environment.command_json(&[&train[..], &mine[2..], &features[..1], &own].concat())?;
    ensure!(
        plain["forecast"]["policy"] == "the policy in force in s3://another-bucket"
            && plain["forecast"]["minimum_score"] == 650
            && plain["forecast"]["tiers"][0]["assumed_limit"] == "2500.00",
        "the built-in policy and a limit for each tier expected: {plain}"
    );
    check_model(&std::fs::read(environment.context.home.model())?)
}

/// The functions would take this model, and not one that promises another direction.
fn check_model(archive: &[u8]) -> Result<()> {
    let mut artifact = Artifact::open(archive)?;
    let income = &artifact.manifest.columns[0];
    ensure!(
        (income.name.as_str(), income.monotone) == ("income", Some(Direction::Falling)),
        "the direction should be in the manifest: {income:?}"
    );
    Model::load(&artifact)?;
    artifact.manifest.columns[0].monotone = Some(Direction::Rising);
    let refusal = Model::load(&artifact).err().context("a wrong direction is accepted")?;
    ensure!(refusal.to_string().contains("\"income\" is monotone (+1"), "{refusal}");
    Ok(())
}
