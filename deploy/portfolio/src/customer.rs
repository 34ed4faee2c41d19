//! Draws one customer. Each line follows a line of the table in the specification.

use chrono::{Days, NaiveDate};
use limit_increase_domain::ColumnKind;
use limit_increase_workflow::rows::CellValue;
use rust_decimal::Decimal;

use super::draw::{Draws, logistic, round, round_3};

/// The features of the portfolio, in the order of the specification's table.
pub const FEATURES: [Feature; 12] = [
    Feature { column: "bureau_score", kind: ColumnKind::Number },
    Feature { column: "utilisation", kind: ColumnKind::Number },
    Feature { column: "payment_ratio", kind: ColumnKind::Number },
    Feature { column: "missed_payments_12m", kind: ColumnKind::Number },
    Feature { column: "credit_searches_6m", kind: ColumnKind::Number },
    Feature { column: "employment_status", kind: ColumnKind::Category },
    Feature { column: "residential_status", kind: ColumnKind::Category },
    Feature { column: "gross_annual_income", kind: ColumnKind::Number },
    Feature { column: "months_in_employment", kind: ColumnKind::Number },
    Feature { column: "months_on_book", kind: ColumnKind::Number },
    Feature { column: "debt_to_income", kind: ColumnKind::Number },
    Feature { column: "existing_products", kind: ColumnKind::Number },
];

/// A feature of the portfolio.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Feature {
    /// The name of the column in the training file and in `customer_features`.
    pub column: &'static str,
    /// Whether the column holds numbers or categories.
    pub kind: ColumnKind,
}

/// A synthetic customer as the specification draws one.
#[derive(Debug, Clone, PartialEq)]
pub struct Customer {
    /// The values of the features, in the order of [`FEATURES`].
    pub features: [CellValue<'static>; 12],
    /// The current score, 550 to 750 points.
    pub current_score: i32,
    /// The current limit, 2,000.00 to 12,000.00 in steps of 100.
    pub current_limit: Decimal,
    /// The day of the application, in the six months before the reference day.
    pub application_date: NaiveDate,
    /// Whether the customer defaulted: the outcome that the model learns to predict.
    pub defaulted: bool,
}

impl Customer {
    /// The current limit in cents.
    #[must_use]
    pub fn limit_cents(&self) -> u64 {
        // The mantissa of an amount with two decimals, from 200,000 to 1,200,000.
        u64::try_from(self.current_limit.mantissa()).unwrap_or_default()
    }
}

/// All customers of one seed; each is drawn when it is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Portfolio {
    seed: u64,
    reference_day: NaiveDate,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Employment {
    Permanent,
    FixedTerm,
    SelfEmployed,
    NotEmployed,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Residence {
    Mortgage,
    Tenant,
    Owner,
    WithFamily,
}

impl Employment {
    const fn name(self) -> &'static str {
        match self {
            Self::Permanent => "permanent",
            Self::FixedTerm => "fixed_term",
            Self::SelfEmployed => "self_employed",
            Self::NotEmployed => "not_employed",
        }
    }

    /// The effect on the logarithm of income, the mean months in employment, and the effect on the
    /// log-odds of default.
    const fn effects(self) -> (f64, f64, f64) {
        match self {
            Self::Permanent => (0.0, 72.0, 0.0),
            Self::FixedTerm => (-0.15, 18.0, 0.2),
            Self::SelfEmployed => (0.05, 54.0, 0.15),
            Self::NotEmployed => (-0.7, 0.0, 0.5),
        }
    }
}

impl Residence {
    const fn name(self) -> &'static str {
        match self {
            Self::Mortgage => "mortgage",
            Self::Tenant => "tenant",
            Self::Owner => "owner",
            Self::WithFamily => "with_family",
        }
    }

    /// The effect on the log-odds of default.
    const fn effect(self) -> f64 {
        match self {
            Self::Mortgage => -0.1,
            Self::Tenant => 0.15,
            Self::Owner => -0.3,
            Self::WithFamily => 0.05,
        }
    }
}

/// The values that the probability of default is computed from.
struct Risk {
    bureau_score: Option<f64>,
    utilisation: f64,
    payment_ratio: f64,
    missed_payments: f64,
    credit_searches: f64,
    employment: Employment,
    residence: Option<Residence>,
    income: f64,
    months_in_employment: Option<f64>,
    months_on_book: f64,
    debt_to_income: f64,
}

impl Portfolio {
    /// The customers of `seed`, with application dates on or before `reference_day`.
    #[must_use]
    pub const fn new(seed: u64, reference_day: NaiveDate) -> Self {
        Self { seed, reference_day }
    }

    /// Draws customer number `index`, counted from 0.
    #[must_use]
    pub fn customer(&self, index: u64) -> Customer {
        let mut draw = Draws::new(self.seed, index);
        let z = draw.normal();
        let bureau_score =
            round(700.0 + 70.0 * (0.8 * z + 0.6 * draw.normal())).clamp(300.0, 999.0);
        let utilisation = round_3(logistic(-0.5 - 0.9 * z + 0.9 * draw.normal()));
        let payment_ratio = round_3(logistic(-0.6 + 0.7 * z + draw.normal())).clamp(0.02, 1.0);
        let missed_payments = draw.exponential(0.35 * (-0.8 * z).exp()).floor().min(6.0);
        let credit_searches = draw.exponential(0.9 * (-0.35 * z).exp()).floor().min(10.0);
        let employment = draw.category(
            &[
                (Employment::Permanent, 0.68),
                (Employment::FixedTerm, 0.12),
                (Employment::SelfEmployed, 0.14),
            ],
            Employment::NotEmployed,
        );

        let residence = draw.category(
            &[(Residence::Mortgage, 0.38), (Residence::Tenant, 0.30), (Residence::Owner, 0.22)],
            Residence::WithFamily,
        );

        let (income_effect, mean_months, _) = employment.effects();
        let income_log = 28_000_f64.ln() + 0.15 * z + 0.42 * draw.normal() + income_effect;
        let income = (100.0 * round(income_log.exp() / 100.0)).clamp(6_000.0, 250_000.0);
        let months_in_employment = draw.exponential(mean_months).floor().clamp(0.0, 480.0);
        let months_on_book = 6.0 + draw.exponential(48.0).floor().min(294.0);
        let debt_to_income = round_3(0.30 - 0.07 * z + 0.12 * draw.normal()).clamp(0.0, 1.2);
        let existing_products = 1.0 + draw.exponential(1.1).floor().min(5.0);
        let current_score =
            round(655.0 + 40.0 * (0.6 * z + 0.8 * draw.normal())).clamp(550.0, 750.0);
        let hundreds =
            round((6_200.0 + 1_200.0 * z + 2_300.0 * draw.normal()) / 100.0).clamp(20.0, 120.0);
        let days_ago = (182.0 * draw.uniform()).floor();
        let risk = Risk {
            bureau_score: unless(draw.uniform() < 0.03, bureau_score),
            utilisation,
            payment_ratio,
            missed_payments,
            credit_searches,
            employment,
            months_in_employment: unless(draw.uniform() < 0.04, months_in_employment),
            residence: unless(draw.uniform() < 0.02, residence),
            income,
            months_on_book,
            debt_to_income,
        };

        let defaulted = draw.uniform() < logistic(risk.log_odds());
        Customer {
            features: risk.features(existing_products),
            current_score: current_score as i32,
            current_limit: Decimal::new(hundreds as i64 * 10_000, 2),
            application_date: self.reference_day - Days::new(days_ago as u64),
            defaulted,
        }
    }
}

fn unless<T>(missing: bool, value: T) -> Option<T> {
    (!missing).then_some(value)
}

impl Risk {
    /// The true log-odds of default, by the formula of the specification.
    fn log_odds(&self) -> f64 {
        let indicator = |condition: bool| f64::from(u8::from(condition));
        -5.22
            + self.bureau_score.map_or(0.4, |score| -0.0085 * (score - 700.0))
            + 1.7 * (self.utilisation - 0.35).max(0.0)
            + 0.5 * indicator(self.utilisation > 0.9)
            - 0.7 * (self.payment_ratio - 0.35)
            + 0.6 * self.missed_payments.min(3.0)
            + 0.15 * self.credit_searches.min(6.0)
            + 1.2 * (self.debt_to_income - 0.30)
            + 1.5 * (self.debt_to_income - 0.45).max(0.0)
            - 0.35 * (self.income / 28_000.0).ln()
            + self.months_in_employment.map_or(0.2, |months| -0.4 * months.min(60.0) / 60.0)
            + 0.5 * (-self.months_on_book / 24.0).exp()
            + self.employment.effects().2
            + self.residence.map_or(0.2, Residence::effect)
            + 0.5 * indicator(self.missed_payments >= 1.0 && self.utilisation > 0.75)
            + 0.4 * indicator(self.credit_searches >= 3.0 && self.months_on_book < 24.0)
    }

    fn features(&self, existing_products: f64) -> [CellValue<'static>; 12] {
        use CellValue::{Number, Text};
        [
            Number(self.bureau_score),
            Number(Some(self.utilisation)),
            Number(Some(self.payment_ratio)),
            Number(Some(self.missed_payments)),
            Number(Some(self.credit_searches)),
            Text(Some(self.employment.name())),
            Text(self.residence.map(Residence::name)),
            Number(Some(self.income)),
            Number(self.months_in_employment),
            Number(Some(self.months_on_book)),
            Number(Some(self.debt_to_income)),
            Number(Some(existing_products)),
        ]
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{CUSTOMER_SEED, TRAINING_CUSTOMERS, TRAINING_SEED};

    fn day() -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 11, 24).unwrap()
    }

    fn number(customer: &Customer, column: &str) -> Option<f64> {
        let position = FEATURES.iter().position(|feature| feature.column == column).unwrap();
        match customer.features[position] {
            CellValue::Number(value) => value,
            CellValue::Text(_) => panic!("{column} is a category"),
        }
    }

    #[test]
    fn a_customer_does_not_depend_on_who_else_is_drawn() {
        let portfolio = Portfolio::new(CUSTOMER_SEED, day());
        let forwards: Vec<Customer> = (0..100).map(|index| portfolio.customer(index)).collect();
        for index in (0..100).rev() {
            assert_eq!(portfolio.customer(index as u64), forwards[index]);
        }

        assert_ne!(Portfolio::new(CUSTOMER_SEED + 1, day()).customer(0), forwards[0]);
    }

    #[test]
    fn the_same_seed_gives_the_same_customers_for_ever() {
        let customer = Portfolio::new(CUSTOMER_SEED, day()).customer(0);
        insta::assert_debug_snapshot!(customer);
    }

    #[test]
    fn every_value_is_in_its_range() {
        let portfolio = Portfolio::new(CUSTOMER_SEED, day());
        for index in 0..5_000 {
            let customer = portfolio.customer(index);
            assert!((550..=750).contains(&customer.current_score));
            assert!(
                customer.current_limit >= Decimal::from(2_000)
                    && customer.current_limit <= Decimal::from(12_000)
            );

            assert_eq!(customer.current_limit.scale(), 2);
            let age = (day() - customer.application_date).num_days();
            assert!((0..182).contains(&age));
            let ranges = [
                ("bureau_score", 300.0, 999.0),
                ("utilisation", 0.0, 1.0),
                ("payment_ratio", 0.02, 1.0),
                ("missed_payments_12m", 0.0, 6.0),
                ("credit_searches_6m", 0.0, 10.0),
                ("gross_annual_income", 6_000.0, 250_000.0),
                ("months_in_employment", 0.0, 480.0),
                ("months_on_book", 6.0, 300.0),
                ("debt_to_income", 0.0, 1.2),
                ("existing_products", 1.0, 6.0),
            ];

            for (column, low, high) in ranges {
                if let Some(value) = number(&customer, column) {
                    assert!((low..=high).contains(&value), "customer {index}: {column} = {value}");
                }
            }
        }
    }

    #[test]
    fn the_population_is_the_one_that_is_specified() {
        let portfolio = Portfolio::new(TRAINING_SEED, day());
        let customers: Vec<Customer> =
            (0..TRAINING_CUSTOMERS).map(|index| portfolio.customer(u64::from(index))).collect();
        let share = |condition: &dyn Fn(&Customer) -> bool| {
            customers.iter().filter(|customer| condition(customer)).count() as f64
                / f64::from(TRAINING_CUSTOMERS)
        };

        let expectations = [
            ("bad rate", share(&|customer| customer.defaulted), 0.0235, 0.004),
            (
                "no bureau score",
                share(&|customer| number(customer, "bureau_score").is_none()),
                0.03,
                0.005,
            ),
            (
                "employment not asked",
                share(&|customer| number(customer, "months_in_employment").is_none()),
                0.04,
                0.006,
            ),
            (
                "tenants",
                share(&|customer| customer.features[6] == CellValue::Text(Some("tenant"))),
                0.294,
                0.012,
            ),
            (
                "eligible",
                share(&|customer| {
                    customer.current_score >= 600 && customer.current_limit < Decimal::from(10_000)
                }),
                0.845,
                0.01,
            ),
        ];

        for (what, found, expected, tolerance) in expectations {
            assert!((found - expected).abs() < tolerance, "{what}: {found}, expected {expected}");
        }
    }
}
