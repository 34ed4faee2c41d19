"""Every refusal says what is wrong, where, and what to do next, with the right exit code."""

import gzip
import json

import pytest

import train
from limit_training.errors import EXIT_DATA, EXIT_USAGE


def drop(name):
    return lambda table: table.pop(name)


def set_cell(name, row, value):
    return lambda table: table[name].__setitem__(row, value)


def set_column(name, make):
    return lambda table: table.__setitem__(
        name, [make(number) for number in range(len(table["outcome"]))]
    )


def copy_target(table):
    table["flag"] = ["R" if value == "Decline" else "A" for value in table["outcome"]]


DATA_CASES = {
    "missing feature": (
        ["--features", "bureau_scor"],
        None,
        ["'bureau_scor'", "bureau_score, income"],
    ),
    "missing target": ([], drop("outcome"), ["'outcome'", "customer_id, opened"]),
    "missing split column": (["--split-column", "parts"], None, ["'parts'", "part, outcome"]),
    "one class": ([], set_column("outcome", lambda _: "Decline"), ["one class only"]),
    "positive absent": (["--positive", "declined"], None, ["'declined'", "'Decline' ("]),
    "empty target": ([], set_cell("outcome", 4, ""), ["empty in 1 of 600", "data row 5"]),
    "feature is the target": (["--features", "income,outcome"], None, ["is the target"]),
    "feature is the split": (
        ["--features", "income,part", "--split-column", "part"],
        None,
        ["is the split column"],
    ),
    "feature twice": (["--features", "income,income"], None, ["named twice"]),
    "feature excluded": (
        ["--features", "income", "--exclude", "income"],
        None,
        ["also in --exclude"],
    ),
    "feature equals the target": (
        [],
        copy_target,
        ["'flag' gives the target away", "--exclude flag"],
    ),
    "one non-number": (
        ["--features", "income"],
        lambda table: (
            set_column("income", lambda n: str(n))(table),
            set_cell("income", 3, "none given")(table),
        ),
        ["looks numeric apart from 'none given' (1 rows)"],
    ),
    "too many categories": (
        ["--features", "branch", "--categorical", "branch"],
        set_column("branch", lambda n: str(n % 65)),
        ["65 categories", "the bound is 64", "group the rare ones"],
    ),
    "infinite": (
        ["--features", "income"],
        set_cell("income", 9, "inf"),
        ["infinite", "data row 10"],
    ),
    "beyond float32": (
        ["--features", "income"],
        set_cell("income", 9, "1e39"),
        ["too large", "data row 10"],
    ),
    "categorical not a feature": (
        ["--features", "income", "--categorical", "branch"],
        None,
        ["'branch' is in --categorical but is not a feature"],
    ),
    "description of no column": (["--descriptions", "incom=Pay"], None, ["'incom'"]),
    "nothing varies": (["--features", "country"], None, ["no feature varies"]),
    "no held-out name": (["--split-column", "branch"], None, ["--validation-value", "'01' ("]),
    "held-out value absent": (
        ["--split-column", "part", "--validation-value", "x"],
        None,
        ["'x'", "'Validation' ("],
    ),
    "two columns of one name": (
        ["--features", "status=owner,status"],
        lambda table: table.__setitem__("status=owner", table["income"]),
        ["two model columns would be called 'status=owner'"],
    ),
}


@pytest.mark.parametrize("name", DATA_CASES)
def test_data_that_cannot_be_trained_on(refused, name):
    options, change, expected = DATA_CASES[name]
    code, message, as_json = refused(*options, change=change)
    assert code == EXIT_DATA == as_json["error"]["exit_code"]
    for text in expected:
        assert text in message
    assert message.startswith("error: ") and "\n  where: " in message and "\n  next:  " in message
    assert as_json["error"]["next"]


FILE_CASES = {
    "empty": (b"", "the file is empty"),
    "header only": (b"a,outcome\n", "a header and no rows"),
    "no names": (b",,\n0,1,Decline\n", "no column has a name"),
    "ragged": (b"a,outcome\n1,Decline\n2\n", "line 3"),
    "not UTF-8": (b"a,outcome\n\xff,Decline\n", "not UTF-8"),
    "open quote": (b'a,outcome\n"1,Decline\n', "is never closed"),
    "one bad row": (b"a,outcome\n1,Decline\n2,Accept\n3,Accept\n", "1 bad rows; at least 2"),
}


@pytest.mark.parametrize("name", FILE_CASES)
def test_files_that_are_not_tables(refused, name):
    content, expected = FILE_CASES[name]
    code, message, _ = refused(content=content)
    assert code == EXIT_DATA
    assert expected in message


OPTION_CASES = {
    "depth 17": (["--depth", "17"], "between 1 and 16"),
    "too many leaves": (["--depth", "16", "--iterations", "1000"], "the bound is"),
    "no trees": (["--iterations", "0"], "between 1 and"),
    "weights": (["--class-weights", "1,2,3"], "not two numbers"),
    "weight of zero": (["--class-weights", "0,1"], "above 0"),
    "non-symmetric trees": (["--param", "grow_policy=Lossguide"], "symmetric trees only"),
    "multiclass": (["--param", "loss_function=MultiClass"], "name it with --positive"),
    "CatBoost's categories": (["--param", "cat_features=[3]"], "--categorical"),
    "text features": (["--param", "text_features=[3]"], "turn the text into numbers"),
    "unknown parameter": (["--param", "l2=3"], "l2_leaf_reg"),
    "parameter without a value": (["--param", "rsm"], "NAME=VALUE"),
    "validation value alone": (["--validation-value", "x"], "--split-column"),
    "no PDO": (["--pdo", "0"], "--pdo"),
    "odds that are no number": (["--target-odds", "nan"], "--target-odds"),
    "descriptions": (["--descriptions", "nosuch.json"], "nosuch.json"),
}


@pytest.mark.parametrize("name", OPTION_CASES)
def test_command_lines_that_are_wrong(refused, name):
    options, expected = OPTION_CASES[name]
    code, message, _ = refused(*options)
    assert code == EXIT_USAGE
    assert expected in message


def test_a_parameter_that_catboost_refuses_is_told_in_its_words(refused):
    code, message, _ = refused("--features", "income", "--param", "nan_mode=Sometimes")
    assert code == EXIT_DATA
    assert "CatBoost refused the training" in message and "Sometimes" in message


def test_without_data_it_points_to_the_command_that_generates_the_sample(capsys):
    assert train.main(["--target", "y", "--positive", "1", "--output", "x.tar.gz"]) == EXIT_USAGE
    assert "limit-increase train" in capsys.readouterr().err


def test_a_file_that_is_not_there_or_cut(tmp_path, capsys):
    command = [
        "--target",
        "y",
        "--positive",
        "1",
        "--output",
        str(tmp_path / "m.tar.gz"),
        "--json",
        "--data",
    ]
    assert train.main([*command, str(tmp_path / "no.csv")]) == EXIT_DATA
    assert "no such file" in json.loads(capsys.readouterr().out)["error"]["what"]
    (tmp_path / "cut.csv").write_bytes(gzip.compress(b"a,y\n1,1\n")[:-12])
    assert train.main([*command, str(tmp_path / "cut.csv")]) == EXIT_DATA
    assert "cannot read" in capsys.readouterr().err
