"""Everything that is wrong with the columns is said in one error; what is not used is no error."""

import pytest

from conftest import notices_of
from limit_training.errors import EXIT_DATA

ROWS = 600


def spoil(table):
    table["rate"] = [f"{number % 77}.5%" for number in range(ROWS)]
    table["surname"] = [f"name {number % 200}" for number in range(ROWS)]
    table["huge"] = ["1e39" if number == 9 else str(number % 7) for number in range(ROWS)]
    table["flag"] = ["R" if value == "Decline" else "A" for value in table["outcome"]]
    table["x" * 64] = [str(number % 5) for number in range(ROWS)]
    table["Income, annual"] = [f"{number % 300},5" for number in range(ROWS)]


def test_every_column_that_cannot_be_used_is_listed_with_its_own_advice(
    refused, run_training, table
):
    code, message, as_json = refused(change=spoil)
    assert code == EXIT_DATA
    assert "6 columns cannot be used" in message
    for words in (
        "- rate has numbers with a percent sign, for example '0.5%' (600 rows). Next: write",
        "- surname has ",
        "categories; the bound is 64. Next: group the rare ones",
        "- huge is '1e39', which is infinite or too large",
        "data row 10",
        "- feature 'flag' gives the target away",
        "has 64 bytes, and PostgreSQL takes 63. Next: give the column a shorter name",
        '- "Income, annual" has numbers with a decimal comma',
        f"--exclude 'rate,surname,huge,flag,{'x' * 64},\"Income, annual\"'",
    ):
        assert words in message, words
    columns = [entry["column"] for entry in as_json["error"]["columns"]]
    assert columns == ["rate", "surname", "huge", "flag", "x" * 64, "Income, annual"]
    assert all(entry["what"] and entry["next"] for entry in as_json["error"]["columns"])

    # The advice is right: without these columns the training goes through.
    changed = dict(table)
    spoil(changed)
    artifact = run_training(
        changed, "--exclude", f'rate,surname,huge,flag,{"x" * 64},"Income, annual"'
    )
    assert len(artifact.manifest["features"]) > 1


def test_names_that_are_no_columns_are_listed_with_the_columns_that_cannot_be_used(refused):
    options = ["--features", "nothing,rate,nobody", "--categorical", "nowhere"]
    code, message, _ = refused(*options, change=spoil)
    assert code == EXIT_DATA
    for words in (
        "4 columns cannot be used",
        "there is no column 'nothing' (--features)",
        "there is no column 'nobody' (--features)",
        "there is no column 'nowhere' (--categorical)",
        "rate has numbers with a percent sign",
    ):
        assert words in message, words


HEADER = b"%b\n" + b"".join(
    b"%d,%d,%d,%b\n" % (number, number % 7, number % 5, b"Accept" if number % 3 else b"Decline")
    for number in range(90)
)


def test_repeated_names_matter_only_if_they_are_used(refused, tmp_path):
    content = HEADER % b"a,b,a,outcome"
    code, message, _ = refused(content=content)
    assert code == EXIT_DATA
    assert "names a column twice: a (columns 1, 3)" in message and "line 1" in message


@pytest.mark.parametrize("options", [("--features", "b"), ("--exclude", "a")])
def test_repeated_names_that_are_not_used_are_no_problem(train_file, options):
    result = train_file(HEADER % b"a,b,a,outcome", *options)
    assert [feature["name"] for feature in result["features"]] == ["b"]


@pytest.mark.parametrize(
    ("header", "position", "hint"),
    [(b",b,c,outcome", 1, "files written by pandas and R"), (b"a,b, ,outcome", 3, "")],
)
def test_a_column_without_a_name_is_left_out_with_a_notice(train_file, header, position, hint):
    result = train_file(HEADER % header)
    notices = "\n".join(result["notices"])
    assert f"column {position} has no name and is left out{'; ' if hint else ''}{hint}" in notices
    assert [feature["name"] for feature in result["features"]] == (
        ["b", "c"] if position == 1 else ["b"]
    )


def test_a_trailing_comma_in_every_line_is_a_column_without_a_name(train_file):
    lines = (HEADER % b"a,b,c,outcome").replace(b"\n", b",\n")
    result = train_file(lines)
    assert "column 5 has no name and is left out." in "\n".join(result["notices"])


@pytest.mark.parametrize(("columns", "fits"), [(950, True), (1100, False)])
def test_more_numbers_than_a_row_of_the_database_holds_are_refused(refused, columns, fits):
    header = ",".join(f"n{at}" for at in range(columns))
    lines = [
        ",".join(str(number * (1 + at % 10) % 11) for at in range(columns))
        + (",Decline" if number % 3 else ",Accept")
        for number in range(60)
    ]
    # A parameter that CatBoost refuses shows that the columns were accepted, in no time.
    code, message, _ = refused(
        "--param", "nan_mode=Never", content="\n".join([f"{header},outcome", *lines]).encode()
    )
    assert code == EXIT_DATA
    assert ("CatBoost refused the training" in message) == fits
    assert ("1,100 features would have 8,848 bytes, and PostgreSQL stores 8,160" in message) != fits


def test_where_no_column_is_left_every_reason_is_said(refused):
    content = b"row,opened,outcome\n" + b"".join(
        b"%d,2024-01-%02d,%b\n" % (number, 1 + number % 28, b"Accept" if number % 3 else b"Decline")
        for number in range(90)
    )
    code, message, _ = refused(content=content)
    assert code == EXIT_DATA and "no column is left to train on" in message
    assert "- row is left out: every row" in message and "- opened is left out: it" in message


def test_a_feature_called_customer_id_is_refused_where_the_model_is_made(refused):
    code, message, _ = refused("--features", "bureau_score,customer_id", "--categorical", "branch")
    assert code == EXIT_DATA and "'customer_id' cannot be a feature" in message


def test_doubtful_features_have_a_notice_in_the_report(run_training, table):
    changed = {**table, "Gender": ["f" if number % 3 else "m" for number in range(ROWS)]}
    artifact = run_training(changed, "--exclude", "branch")
    assert "Gender looks like sex or gender: a prohibited basis in Regulation B" in notices_of(
        artifact
    )
    assert "Gender=f" in [feature["name"] for feature in artifact.manifest["features"]]
