"""Which columns are no features, and what the trainer says of those that are doubtful."""

import json
import random
from pathlib import Path

import numpy as np
import pytest

from conftest import notices_of
from limit_training import dates, identifiers, special
from limit_training.sensitive import SUBJECTS, notice
from limit_training.values import profile

ROWS = 600


def read(name, values):
    texts = np.array([str(value) for value in values], dtype=object)
    return profile(name, texts)


DATES = {
    "dates": [
        ["2024-01-31", "2024-02-01"],
        ["2024-01-31T10:00:00Z", "2024-01-31 10:00"],
        ["2024-01-31 10:00:00.123+01:00", "2024-01-31 10:00:00+00:00"],
        ["2024/1/31", "2024/02/01"],
        ["31.12.2024", "1.2.24"],
        ["31-12-2024", "01-02-2023"],
        ["1/31/2024 5:30 PM", "2/1/2024 12:00 AM"],
        ["06-Dec-2011", "01-Jan-2012"],
        ["6 December 2011", "1 Jan 2012"],
        ["January 5, 2024", "Mar 12, 2023"],
        ["31JAN2024", "01FEB2024:10:00:00"],
        ["Tue Dec 6 12:00:00 2011", "Wed Dec 7 12:00:00 2011"],
        ["15 févr. 2024", "3 août 2023"],
        ["15 de janeiro de 2024", "2 de março de 2023"],
        ["20240131", "20230201"],
        ["20060431", "20060230"],
        ["20240131", "20240201", "99991231", "0"],
        ["2024-01-01"] * 30 + ["NA"],
        ["2024-01-01"] * 30 + ["unknown"],
    ],
    "months or quarters": [
        ["Jan-2024", "Feb-2024"],
        ["Mar-18", "Apr-18"],
        ["January 2024", "Feb 2023"],
        ["2024-01", "2024-12"],
        ["01/2024", "12/2023"],
        ["202401", "202312"],
        ["2024.01", "2024.12"],
        ["2024Q1", "2024-Q2"],
        ["Q1 2024", "Q2'24"],
        ["2024-W05", "2024W06"],
        ["FY2024", "FY23"],
        ["2023/24", "2022/23"],
    ],
    "months": [["jan", "may"]],
    "times of day": [["12:30", "13:45:10"]],
}
NO_DATES = [
    ["1001-10", "1234-77"],
    ["200000", "250000"],
    ["18-25", "26-35"],
    ["555-1234", "555-2222"],
    ["36 months", "60 months"],
    ["5yrs 3mon", "0yrs 1mon"],
    ["1.2.3", "2.0.1"],
    ["650", "700"],
    ["2019", "2020"],
    ["A", "B"],
    ["may", "owner"],
]


@pytest.mark.parametrize(
    ("kind", "values"), [(kind, values) for kind, lists in DATES.items() for values in lists]
)
def test_dates_in_common_spellings(kind, values):
    assert dates.kind_of(read("column", values)) == kind


@pytest.mark.parametrize("values", NO_DATES)
def test_what_only_looks_like_dates(values):
    assert dates.kind_of(read("column", values)) is None


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("open_date", ["45000", "45001"]),
        ("date", ["930701", "950107"]),
        ("created_at", ["1700000000", "1710000000"]),
        ("ts", ["1700000000123", "1710000000456"]),
    ],
)
def test_numbers_are_dates_where_the_name_says_so(name, values):
    assert dates.kind_of(read(name, values)) == "dates"
    assert dates.kind_of(read("amount", values)) is None


def sample(first, last, rows):
    return random.Random(7).sample(range(first, last), rows)


IDENTIFIERS = {
    "row numbers": ("Unnamed: 0", range(ROWS)),
    "few row numbers": ("n", range(1, 20)),
    "a shuffled index": ("column", sample(0, 1000, 400)),
    "rising keys": ("column", sorted(sample(0, 1_000_000, 100))),
    "dense keys": ("column", sample(100_002, 456_255, 3000)),
    "long keys": ("column", sample(708_000_000, 828_000_000, 300)),
    "keys as decimals": ("column", [f"{key}.0" for key in sample(0, 1000, 400)]),
    "CLIENTNUM": ("CLIENTNUM", sample(1, 10**7, 100)),
    "CustomerId": ("CustomerId", sample(1, 10**7, 100)),
    "SK_ID_CURR": ("SK_ID_CURR", sample(1, 10**7, 100)),
    "account no.": ("Account No.", sample(1, 10**7, 100)),
    "a customer each month": ("member_id", [key for key in sample(1, 10**6, 60) for _ in range(5)]),
    "mail": ("mail", [f"a{number}@b.c" for number in range(60)]),
}
FEATURES = {
    "incomes": ("income", [int(value) for value in np.random.default_rng(1).lognormal(10, 1, 200)]),
    "amounts that all differ": ("amount", sample(100_000, 999_999, 200)),
    "scores that all differ": ("score", sample(500, 800, 60)),
    "fractions": ("ratio", [random.Random(number).random() for number in range(200)]),
    "number of accounts": ("number_of_accounts", [number % 9 for number in range(200)]),
    "a small table": ("balance", sample(0, 10_000, 20)),
}


@pytest.mark.parametrize("case", IDENTIFIERS)
def test_identifiers_by_any_name(case):
    assert identifiers.reason(read(*IDENTIFIERS[case]))


@pytest.mark.parametrize("case", FEATURES)
def test_features_whose_values_differ_are_no_identifiers(case):
    assert identifiers.reason(read(*FEATURES[case])) is None


def test_they_are_left_out_with_a_notice_and_features_overrides(run_training, table):
    changed = {
        "Unnamed: 0": [str(number) for number in range(ROWS)],
        **table,
        "CustomerId": [str(key) for key in sample(15_000_000, 16_000_000, ROWS)],
        "issue_d": [f"{('Jan', 'Feb', 'Mar')[number % 3]}-2024" for number in range(ROWS)],
    }
    artifact = run_training(changed, "--exclude", "branch")
    assert {f["source_column"] for f in artifact.manifest["features"]} == {
        "bureau_score",
        "income",
        "status",
        "part",
    }
    notices = notices_of(artifact)
    for words in (
        '"Unnamed: 0" is left out: every row has a different value',
        "CustomerId is left out: every row has a different value",
        "issue_d is left out: it holds months or quarters",
    ):
        assert words.replace('"', "") in notices.replace('"', "")
    asked = run_training(changed, "--features", "Unnamed: 0,CustomerId,issue_d,bureau_score")
    assert {f["source_column"] for f in asked.manifest["features"]} == {
        "Unnamed: 0",
        "CustomerId",
        "issue_d",
        "bureau_score",
    }


LEAKS = {
    "a copy": lambda bad, n: "R" if bad else "A",
    "numbers": lambda bad, n: "1.0" if bad else "0.0",
    "statuses": lambda bad, n: f"{'late' if bad else 'paid'} {n % 6}",
    "many statuses": lambda bad, n: f"{'late' if bad else 'paid'} {n % 13}",
    "known for one class": lambda bad, n: f"{n % 97}.5" if bad else "",
    "a threshold": lambda bad, n: str((n % 97) + 1000 * bad),
}


@pytest.mark.parametrize("case", LEAKS)
def test_the_target_under_another_name_is_refused_and_features_overrides(
    refused, run_training, table, case
):
    def change(table):
        table["flag"] = [
            LEAKS[case](value == "Decline", number) for number, value in enumerate(table["outcome"])
        ]

    code, message, _ = refused(change=change)
    assert code == 3
    assert "'flag' gives the target away" in message and "--exclude flag" in message
    changed = dict(table)
    change(changed)
    artifact = run_training(changed, "--features", "bureau_score,flag")
    assert "flag gives the target away" in notices_of(artifact)


def test_a_column_that_almost_gives_the_outcome_away_is_named(run_training, table):
    generator = np.random.default_rng(3)
    later = [
        f"{(value == 'Decline') + generator.normal(0, 0.25):.4f}" for value in table["outcome"]
    ]
    artifact = run_training({**table, "later": later}, "--exclude", "branch")
    assert "later alone separates good from bad rows with an AUC of 0.9" in notices_of(artifact)


CODES = {
    "bureau": ([-9] * 50 + [-8] * 20 + [-7] * 3 + list(range(30)) * 5, {-9, -8, -7}),
    "far below scores": ([-9] * 50 + list(range(33, 94)) * 5, {-9}),
    "incomes": ([-9999998] * 5 + list(range(0, 100_000, 321)), {-9999998}),
    "below negative numbers": ([-9999998] * 10 + list(range(-500, 500)), {-9999998}),
    "never": ([-1] * 300 + list(range(1, 80)) * 5, {-1}),
    "nines": ([999] * 300 + list(range(30)) * 5, {999}),
    "late payments": ([96] * 5 + [98] * 200 + list(range(18)) * 9, {96, 98}),
    "both ends": ([-9] * 30 + [9999998] * 20 + list(range(40)) * 5, {-9, 9999998}),
    "percents": (list(range(0, 100)) * 5, set()),
    "amounts": ([999] * 5 + list(range(0, 5000, 7)), set()),
    "ordinal": ([-2, -1, 0, 1, 2, 3] * 50, set()),
    "changes": (list(range(-500, 500)), set()),
    "one outlier": ([-50, *range(100)], set()),
    "fractions": ([-1.5] * 10 + [3.0] * 10, set()),
}


@pytest.mark.parametrize("case", CODES)
def test_negative_whole_codes_that_stand_apart(case):
    values, expected = CODES[case]
    assert set(special.codes_of(read("column", values), set())) == expected


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("CODE_GENDER", "sex or gender"),
        ("personal_status_sex", "sex or gender"),
        ("MARRIAGE", "marital status"),
        ("NAME_FAMILY_STATUS", "marital status"),
        ("age", "age"),
        ("Age_of_Applicant", "age"),
        ("DAYS_BIRTH", "age"),
        ("nationality", "nationality"),
        ("foreign_worker", "nationality"),
        ("NumberOfDependents", "dependants"),
        ("CNT_CHILDREN", "dependants"),
        ("PostCode", "postcode"),
        ("zip_code", "postcode"),
        ("black", "race"),
        ("hispan", "race"),
        ("is_white", "race"),
        ("applicant_hispanic", "race"),
    ],
)
def test_doubtful_features_are_named_with_their_rule(name, words):
    found = notice(name)
    assert found.startswith(f"{name} looks like {words}") and "1002" in found


@pytest.mark.parametrize(
    "name",
    ["account_age", "OWN_CAR_AGE", "percentage", "usage", "mileage", "job_title", "essex"]
    + ["blacklisted", "white_goods"],
)
def test_names_that_only_have_such_a_word_in_them(name):
    assert notice(name) is None


# The counterfactuals of `limit-increase explain` are held to the same names.
NAMES = json.loads((Path(__file__).parents[2] / "tests" / "protected_names.json").read_text())


def test_the_names_that_no_counterfactual_moves_are_those_with_a_notice():
    words = frozenset.union(*(subject.words for subject in SUBJECTS))
    assert words <= set(NAMES["protected"])
    assert [name for name in NAMES["protected"] if notice(name) is None] == []
    assert [name for name in NAMES["other"] if notice(name) is not None] == []
