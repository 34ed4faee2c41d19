#![allow(clippy::unwrap_used)]
use serde_json::json;

use super::*;
use crate::terminal::Problem;
use crate::testing::TempDir;

/// Writes a table and the trainer's rows, and forecasts.
struct Case {
    table: String,
    scored: String,
    policy: &'static str,
    limit_column: Option<&'static str>,
}

impl Case {
    fn run(&self) -> Result<Forecast> {
        let dir = TempDir::new("forecast");
        let (table, scored) = (dir.path().join("table.csv"), dir.path().join("rows.csv"));
        std::fs::write(&table, &self.table).unwrap();
        std::fs::write(&scored, format!("row,score,weight\n{}", self.scored)).unwrap();
        let rows = self.table.lines().count() - 1;
        let report = json!({
            "table": { "rows": rows, "skip_lines": 0 },
            "scores": { "lowest": 500, "highest": 700 },
        });
        let table = Table { path: &table, report: &report, limit_column: self.limit_column };
        let policy: Policy = serde_json::from_str(self.policy).unwrap();
        forecast(&policy, "a test".to_owned(), &scored, &table)
    }

    fn forecast(&self) -> Forecast {
        self.run().unwrap()
    }

    fn refusal(&self) -> Problem {
        Problem::of(&self.run().unwrap_err())
    }
}

/// The limits of docs/your-policy.md, and rows that no run decides.
fn with_limits() -> Case {
    Case {
        table:
            "limit,income\n3333.33,20000\n4700,20000\n4999.99,9000.019\n5000.00,\n9999.99,20000\n\
                10000,20000\n,20000\nabout 7,20000\n-1,20000\n4000,20000\n"
                .to_owned(),
        // Row 9 is a training row.
        scored: "0,650,1\n1,650,1\n2,700,1\n3,649,1\n4,651,1\n5,700,1\n6,700,1\n7,700,1\n8,700,1\n"
            .to_owned(),
        policy: "{}",
        limit_column: Some("limit"),
    }
}

fn counted(numbers: [u64; 4], raised: &str) -> Counted {
    let [customers, approved, declined, referred] = numbers;
    Counted { customers, approved, declined, referred, raised: raised.parse().unwrap() }
}

#[test]
fn each_row_is_decided_with_its_own_limit() {
    let forecast = with_limits().forecast();
    let tiers: Vec<&Counted> = forecast.tiers.iter().map(|tier| &tier.counted).collect();
    // 4999 - 3333.33, 7050 - 4700, 7499 - 4999.99; a negative limit is referred.
    assert_eq!(*tiers[0], counted([4, 3, 0, 1], "6514.68"));
    // 12499 - 9999.99; 5000.00 has a score that is too low.
    assert_eq!(*tiers[1], counted([2, 1, 1, 0], "2499.01"));
    assert_eq!(forecast.total, Some(counted([6, 4, 1, 1], "9013.69")));
    assert_eq!((forecast.not_eligible, forecast.without_limit), (1, 2));
    assert_eq!((forecast.warning, forecast.notices.len()), (None, 0));
    assert!((forecast.share_at_or_above - 8.0 / 9.0).abs() < 1e-12);
    assert_eq!(forecast.policy_sha256, Policy::default().sha256());
}

#[test]
fn without_a_column_of_limits_each_tier_has_one_in_its_middle() {
    let case = Case { limit_column: None, ..with_limits() };
    let forecast = case.forecast();
    assert_eq!((&forecast.total, forecast.tiers.len()), (&None, 2));
    let assumed = |at: usize| forecast.tiers[at].assumed_limit.unwrap().to_string();
    assert_eq!([assumed(0), assumed(1)], ["2500.00", "7500.00"]);
    // 8 of 9 rows; each limit of 2500 rises by 1250, each of 7500 by 1875.
    assert_eq!(forecast.tiers[0].counted, counted([1000, 889, 111, 0], "1111111.11"));
    assert_eq!(forecast.tiers[1].counted, counted([1000, 889, 111, 0], "1666666.67"));

    let low = Case {
        policy: r#"{"eligibility": {"current_limit_below": "3000"}}"#,
        limit_column: None,
        ..with_limits()
    };
    let forecast = low.forecast();
    assert_eq!(forecast.tiers.len(), 1);
    assert_eq!(forecast.tiers[0].assumed_limit.unwrap().to_string(), "1500.00");
}

#[test]
fn an_income_caps_the_raises_and_a_table_without_it_is_named() {
    let policy = r#"{"affordability": {"income_column": "income", "maximum_share": "0.6"}}"#;
    let forecast = Case { policy, ..with_limits() }.forecast();
    // The third row may have 0.6 * 9000.02, rounded down to 5400, and 5000.00 has no income but
    // a score that is too low.
    assert_eq!(forecast.tiers[0].counted, counted([4, 3, 0, 1], "4415.68"));
    assert!(forecast.notices.is_empty());

    let other = r#"{"affordability": {"income_column": "salary", "maximum_share": "0.6"}}"#;
    let forecast = Case { policy: other, ..with_limits() }.forecast();
    assert_eq!(forecast.total, Some(counted([6, 4, 1, 1], "9013.69")));
    assert!(forecast.notices[0].contains("\"salary\""), "{:?}", forecast.notices);
}

#[test]
fn a_row_without_a_score_is_referred_and_weights_count() {
    let case = Case {
        table: "limit\n1000\n1000\n1000\n".to_owned(),
        scored: "0,700,1.5\n1,600,0.5\n2,,1\n".to_owned(),
        ..with_limits()
    };
    let forecast = case.forecast();
    assert_eq!(forecast.total, Some(counted([3, 2, 0, 1], "750.00")));
    assert!((forecast.share_at_or_above - 0.75).abs() < 1e-12);
}

#[test]
fn nobody_and_everybody_are_warned_of() {
    let share = |approved: usize, of: usize| {
        let case = Case {
            table: format!("limit\n{}", "1000\n".repeat(of)),
            scored: (0..of)
                .map(|row| format!("{row},{},1\n", if row < approved { 650 } else { 649 }))
                .collect(),
            ..with_limits()
        };
        case.forecast().warning.unwrap_or_default()
    };

    assert!(share(0, 50).starts_with("nobody would be approved (0.0 %)"));
    assert!(share(1, 50).starts_with("almost nobody would be approved (2.0 %)"));
    assert_eq!(share(25, 50), "");
    assert!(share(49, 50).starts_with("almost everybody"));
    let all = share(50, 50);
    assert!(all.starts_with("everybody would be approved (100.0 %)"), "{all}");
    assert!(all.contains("from 500 to 700") && all.contains("cut-off is 650"), "{all}");
    let rich = Case {
        table: "limit\n10000\n".to_owned(),
        scored: "0,700,1\n".to_owned(),
        ..with_limits()
    };
    assert!(rich.forecast().warning.unwrap().contains("no held-out row is eligible"));
}

#[test]
fn another_table_than_that_of_the_training_is_refused() {
    let missing = Case { limit_column: Some("limits"), ..with_limits() }.refusal();
    assert!(missing.what.contains("\"limits\" (--limit-column)"), "{missing:?}");
    assert!(missing.next.unwrap().contains("limit, income"));
    let shorter = Case { scored: "0,650,1\n99,650,1\n".to_owned(), ..with_limits() }.refusal();
    assert!(shorter.what.contains("the training read 10 rows"), "{shorter:?}");
    assert!(Case { scored: "0,many,1\n".to_owned(), ..with_limits() }.run().is_err());
}
