"""Names of columns as they were published can be given, on the command line and to make."""

import json
import shlex
import subprocess
from pathlib import Path

import pytest

from limit_training import options
from limit_training.names import choose, joined, shown, split

PROJECT = Path(__file__).parents[2]
CASES = json.loads((PROJECT / "tests" / "column_names.json").read_text())["cases"]
TRAIN = "train-catboost"
ODD = [
    " ROA(C) before interest",
    "Net Income to Stockholder's Equity",
    "Income, annual",
    'a "q"',
    "b",
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["text"])
def test_names_are_chosen_here_and_by_the_loader_alike(case):
    chosen = choose(case["text"], case["columns"])
    assert chosen == (case.get("found", []), case.get("unknown", []))


@pytest.mark.parametrize("name", ODD)
def test_a_name_is_shown_as_it_can_be_given(name):
    assert choose(shown(name), ODD) == ([name], [])
    (word,) = shlex.split(joined(ODD))
    assert choose(word, ODD) == (ODD, [])
    assert split(word) == ODD


def test_a_table_with_odd_names_is_trained_on_by_these_names(train_file):
    rows = "".join(
        f"{number % 3 == 0:d},{number % 7},{number % 11},{number % 13}\n" for number in range(90)
    )
    header = 'Bankrupt?, ROA(C) before interest,Stockholder\'s Equity," Income, annual"\n'
    result = train_file(
        (header + rows).encode(),
        "--target",
        "Bankrupt? ",
        "--positive",
        "1",
        "--features",
        ' ROA(C) before interest,Stockholder\'s Equity,"Income, annual"',
        "--descriptions",
        'ROA(C) before interest=Return,"Income, annual=Income, per year"',
    )
    assert [feature["source_column"] for feature in result["features"]] == [
        " ROA(C) before interest",
        "Stockholder's Equity",
        " Income, annual",
    ]
    described = [feature["description"] for feature in result["features"]]
    assert described == ["Return", "Stockholder's equity", "Income, per year"]
    assert result["target"] == {"column": "Bankrupt?", "positive_class": "1"}


def test_a_file_of_descriptions_may_begin_with_a_mark(tmp_path):
    texts = tmp_path / "texts.json"
    texts.write_text('{"income": "Pay"}', encoding="utf-8-sig")
    assert options.descriptions(str(texts)) == {"income": "Pay"}


def test_a_missing_name_is_answered_with_names_in_quotes(refused):
    def change(table):
        table[" odd, name"] = table["income"]

    code, message, _ = refused("--features", "odd name", change=change)
    assert code == 3 and '" odd, name"' in message


@pytest.mark.parametrize(
    ("variable", "option", "value", "goal"),
    [
        ("POSITIVE", "--positive", "$60K - $80K", TRAIN),
        ("POSITIVE", "--positive", "$6", TRAIN),
        ("TARGET", "--target", "it's", TRAIN),
        ("FEATURES", "--features", 'Net Income to Stockholder\'s Equity,"Income, annual"', TRAIN),
        ("EXCLUDE", "--exclude", "a b,#c", TRAIN),
        ("SPECIAL", "--special", "*=-9:no record,-8:it's old", TRAIN),
        ("POPULATION_BAD_RATE", "--population-bad-rate", "0.03", TRAIN),
        ("FEATURES", "--features", '"Income, annual",it\'s in $', "setup-db"),
        ("CATEGORICAL", "--categorical", "it's in $", "setup-db"),
    ],
)
def test_make_passes_a_variable_on_as_it_is(variable, option, value, goal):
    for place in ("argument", "environment"):
        command = ["make", "-n", goal, "DATA=x.csv"]
        environment = {"PATH": "/usr/bin:/bin"}
        if place == "argument":
            command.append(f"{variable}={value}")
        else:
            environment[variable] = value
        done = subprocess.run(
            command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=True
        )
        words = shlex.split(done.stdout.strip().splitlines()[-1])
        assert words[words.index(option) + 1] == value, place
