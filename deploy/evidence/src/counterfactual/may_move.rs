//! Which inputs a counterfactual may move, and in which direction.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

/// Words of the subjects that the trainer's notices name (`training/limit_training/sensitive.py`):
/// what a person is, and not what a person does. tests/protected_names.json holds both to it.
const PROTECTED: [&str; 62] = [
    "age",
    "alter",
    "assistance",
    "benefits",
    "birth",
    "birthdate",
    "birthday",
    "born",
    "caucasian",
    "children",
    "citizen",
    "citizenship",
    "color",
    "colour",
    "dependant",
    "dependants",
    "dependent",
    "dependents",
    "disability",
    "disabled",
    "dob",
    "edad",
    "ethnic",
    "ethnicity",
    "familienstand",
    "famsize",
    "female",
    "foreign",
    "foreigner",
    "foreignworker",
    "gender",
    "geschlecht",
    "health",
    "hispanic",
    "immigrant",
    "immigration",
    "kids",
    "latino",
    "maintenance",
    "male",
    "marital",
    "maritalstatus",
    "marriage",
    "married",
    "medical",
    "nationality",
    "neighborhood",
    "plz",
    "postal",
    "postalcode",
    "postcode",
    "pregnancy",
    "pregnant",
    "race",
    "religion",
    "sex",
    "sexe",
    "sexo",
    "spouse",
    "welfare",
    "zip",
    "zipcode",
];
/// Whole names of such columns, without their gaps.
const PROTECTED_NAMES: [&str; 43] = [
    "familystatus",
    "namefamilystatus",
    "civilstatus",
    "maritalstat",
    "black",
    "isblack",
    "white",
    "iswhite",
    "asian",
    "isasian",
    "hispan",
    "ishispan",
    "customerage",
    "applicantage",
    "clientage",
    "borrowerage",
    "ageyears",
    "daysbirth",
    "yearborn",
    "fammembers",
    "cntfammembers",
    "numfammembers",
    "numberoffammembers",
    "nooffammembers",
    "cntchildren",
    "numchildren",
    "numberofchildren",
    "noofchildren",
    "cntdependents",
    "numdependents",
    "numberofdependents",
    "noofdependents",
    "cntdependants",
    "numdependants",
    "numberofdependants",
    "noofdependants",
    "zip3",
    "zipcode3",
    "post",
    "post3",
    "postcode3",
    "postal3",
    "postalcode3",
];
/// Words of a column that holds a date.
const DATES: [&str; 5] = ["date", "day", "timestamp", "datetime", "dt"];
/// Words of a column that holds how long something has lasted.
const DURATIONS: [&str; 4] = ["tenure", "seniority", "since", "age"];
/// First words of such a column: months_on_book, years_employed.
const DURATION_UNITS: [&str; 2] = ["months", "years"];
/// Whose age is no property of the person: account_age, age_of_oldest_trade.
const THINGS: [&str; 13] = [
    "account", "acct", "card", "loan", "trade", "file", "address", "credit", "vehicle", "car",
    "home", "house", "property",
];

/// Whose age is that of a person, in spite of a thing in the name: age_of_home_owner.
const PERSONS: [&str; 6] = ["owner", "holder", "applicant", "borrower", "customer", "client"];

/// How an input may move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Movement {
    /// In both directions.
    Free,
    /// It may rise: time passes in one direction alone.
    RisesOnly,
    /// Not at all.
    None(Unmoved),
}

/// Why an input was not moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unmoved {
    /// Its name is that of a property that nobody may be asked to change.
    Protected,
    /// Its name is that of a date.
    Date,
    /// It is not among the inputs that may move.
    NotListed,
    /// It is missing, so there is no distance to another value.
    Missing,
    /// No tree of the model asks about it.
    Unused,
}

impl fmt::Display for Unmoved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Protected => "a property that nobody is asked to change",
            Self::Date => "a date",
            Self::NotListed => "not among --may-move",
            Self::Missing => "missing, so no change of it can be measured",
            Self::Unused => "no tree of the model asks about it",
        })
    }
}

/// The inputs that may move.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum MayMove {
    /// All but those whose names are of protected properties or of dates.
    #[default]
    ByName,
    /// These, whatever their names are.
    Listed(BTreeSet<String>),
}

impl MayMove {
    /// How the input of this name may move. How long something has lasted may rise and not fall,
    /// listed or not.
    #[must_use]
    pub fn movement(&self, column: &str) -> Movement {
        let words = words_of(column);
        let has = |of: &[&str]| words.iter().any(|word| of.contains(&word.as_str()));
        let of_a_thing = has(&["age"]) && has(&THINGS) && !has(&PERSONS);
        let whole = words.concat();
        let has_protected_name =
            PROTECTED.iter().chain(&PROTECTED_NAMES).any(|name| *name == whole);
        match self {
            Self::Listed(listed) if !listed.contains(column) => {
                return Movement::None(Unmoved::NotListed);
            }
            Self::ByName if (has(&PROTECTED) && !of_a_thing) || has_protected_name => {
                return Movement::None(Unmoved::Protected);
            }
            Self::ByName if has(&DATES) => return Movement::None(Unmoved::Date),
            Self::ByName | Self::Listed(_) => {}
        }

        let begins_with_unit =
            words.first().is_some_and(|first| DURATION_UNITS.contains(&first.as_str()));
        if has(&DURATIONS) || begins_with_unit { Movement::RisesOnly } else { Movement::Free }
    }
}

/// The words in a column's name, in lower case: `SK_ID_CURR`, `CustomerId` and `Loan ID` all have the
/// word id.
fn words_of(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before: Option<char> = None;
    for one in name.chars() {
        let goes_on = before.is_some_and(|before| {
            (before.is_lowercase() && one.is_lowercase())
                || (before.is_uppercase() && one.is_alphabetic())
                || (before.is_numeric() && one.is_numeric())
        });
        if one.is_alphanumeric() {
            match words.last_mut().filter(|_| goes_on) {
                Some(word) => word.extend(one.to_lowercase()),
                None => words.push(one.to_lowercase().collect()),
            }
        }
        before = Some(one);
    }

    words
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_the_trainer_has_a_notice_about_does_not_move() {
        #[derive(serde::Deserialize)]
        struct Names {
            protected: Vec<String>,
            other: Vec<String>,
        }

        let names: Names =
            serde_json::from_str(include_str!("../../../../tests/protected_names.json")).unwrap();
        let is_protected =
            |name: &String| MayMove::ByName.movement(name) == Movement::None(Unmoved::Protected);
        assert!(names.protected.len() > 60 && names.other.len() > 5);
        for name in &names.protected {
            assert!(is_protected(name), "{name} should not move");
        }
        for name in &names.other {
            assert!(!is_protected(name), "{name} may move");
        }
    }

    #[test]
    fn a_name_says_how_its_column_may_move() {
        const PROTECTED: Movement = Movement::None(Unmoved::Protected);
        const DATE: Movement = Movement::None(Unmoved::Date);
        let cases = [
            ("utilisation", Movement::Free),
            ("late_payments_last_6_months", Movement::Free),
            ("average_balance", Movement::Free),
            ("percentage_paid", Movement::Free),
            ("annual_income", Movement::Free),
            ("age", PROTECTED),
            ("Applicant_Age", PROTECTED),
            ("SEX", PROTECTED),
            ("MaritalStatus", PROTECTED),
            ("postal_code", PROTECTED),
            ("account_holder_age", PROTECTED),
            ("account_age", Movement::RisesOnly),
            ("age_of_oldest_trade", Movement::RisesOnly),
            ("months_on_book", Movement::RisesOnly),
            ("YearsEmployed", Movement::RisesOnly),
            ("job_tenure", Movement::RisesOnly),
            ("days_past_due", Movement::Free),
            ("application_date", DATE),
            ("OpenDate", DATE),
        ];
        for (name, expected) in cases {
            assert_eq!(MayMove::ByName.movement(name), expected, "{name}");
        }
    }

    #[test]
    fn a_list_is_followed_whatever_the_names_are_but_time_does_not_go_back() {
        let listed = MayMove::Listed(["age", "income"].map(str::to_owned).into());
        assert_eq!(listed.movement("income"), Movement::Free);
        assert_eq!(listed.movement("age"), Movement::RisesOnly);
        assert_eq!(listed.movement("utilisation"), Movement::None(Unmoved::NotListed));
    }

    #[test]
    fn names_are_cut_into_words() {
        for name in ["customer_age", "CustomerAge", "Customer AGE", "customer-age"] {
            assert_eq!(words_of(name), ["customer", "age"], "{name}");
        }
        assert_eq!(words_of("missed12m"), ["missed", "12", "m"]);
    }
}
