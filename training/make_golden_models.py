"""Makes the golden models of the scoring crate's tests: small models with CatBoost's own answers.

    .local/venvs/training/bin/python training/make_golden_models.py [NAME ...]

Each model becomes an artifact in shared/scoring/tests/golden/. The rows in its manifest, which the
tests repeat, are training rows, missing values, infinities, and numbers exactly on, just below and
just above thresholds. Models that the scoring crate must refuse go to refused/.

The files are committed, because their figures are CatBoost's. Run this again only to add a case or
to move to another release of CatBoost.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import catboost
import numpy as np
import onnx

from limit_training import artifact, golden

TARGET = Path(__file__).parent.parent / "shared" / "scoring" / "tests" / "golden"
REFUSED = "refused"
CREATED_AT = "2026-01-01T00:00:00Z"
ROWS = 1_200
SAMPLED_ROWS = 20
MAX_THRESHOLD_COLUMNS = 6
CATEGORIES = ("owner", "tenant", "with parents", None)

MakeColumns = Callable[[np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Case:
    """A model to make: its columns, how to train it, and what to change in it afterwards."""

    columns: MakeColumns
    params: dict
    one_hot: bool = False
    order: list[int] | None = None
    scale_and_bias: tuple[float, float] | None = None
    weights: bool = False
    monotone: dict[int, int] = field(default_factory=dict)
    missing_in_golden: bool = True
    expects: dict = field(default_factory=dict)


def numbers(count: int) -> MakeColumns:
    """Columns on very different scales, with few and with many distinct values."""

    def make(rng: np.random.Generator) -> np.ndarray:
        matrix = rng.normal(size=(ROWS, count)) * 10.0 ** (np.arange(count) % 7 - 2)
        matrix[:, 2::3] = np.round(matrix[:, 2::3])
        return matrix

    return make


def with_missing(count: int) -> MakeColumns:
    def make(rng: np.random.Generator) -> np.ndarray:
        matrix = numbers(count)(rng)
        matrix[rng.random(matrix.shape) < 0.15] = np.nan
        return matrix

    return make


def with_constant(rng: np.random.Generator) -> np.ndarray:
    matrix = numbers(3)(rng)
    matrix[:, 1] = 7.0
    return matrix


def with_categories(rng: np.random.Generator) -> np.ndarray:
    """Two numbers with a one-hot group between them, in the order that train.py gives columns."""
    matrix = numbers(2)(rng)
    group = np.eye(len(CATEGORIES))[rng.integers(0, len(CATEGORIES), ROWS)]
    return np.column_stack([matrix[:, 0], group, matrix[:, 1]])


def trees(count: int, depth: int, **more) -> dict:
    return {"iterations": count, "depth": depth, **more}


PERMUTATION = [3, 0, 5, 1, 4, 2]
CASES = {
    "depth_1": Case(numbers(4), trees(60, 1)),
    "depth_2_trees_1000": Case(numbers(5), trees(1_000, 2)),
    "depth_6": Case(numbers(6), trees(25, 6, random_strength=0)),
    "depth_6_permuted": Case(numbers(6), trees(25, 6, random_strength=0), order=PERMUTATION),
    "depth_10": Case(numbers(12), trees(4, 10)),
    "depth_12": Case(numbers(14), trees(1, 12)),
    "depth_16": Case(numbers(20), trees(1, 16)),
    # Small enough for a test that flips every bit of its files.
    "stumps": Case(numbers(2), trees(3, 1)),
    "one_tree": Case(numbers(5), trees(1, 6)),
    "one_feature": Case(numbers(1), trees(30, 4)),
    "constant_feature": Case(with_constant, trees(30, 4)),
    "repeated_splits": Case(numbers(2), trees(25, 8)),
    "many_borders": Case(
        numbers(1),
        trees(400, 3, border_count=4_000, random_strength=20),
        expects={"borders": 260},
    ),
    "many_columns": Case(numbers(300), trees(40, 4)),
    "nan_min": Case(with_missing(5), trees(25, 6, nan_mode="Min"), expects={"nan": "AsFalse"}),
    "nan_max": Case(with_missing(5), trees(25, 6, nan_mode="Max"), expects={"nan": "AsTrue"}),
    "nan_as_is": Case(numbers(5), trees(25, 6), expects={"nan": "AsIs"}),
    "class_weights": Case(numbers(5), trees(25, 6, class_weights=[1.0, 9.5])),
    "row_weights": Case(numbers(5), trees(25, 6), weights=True),
    "boost_from_average": Case(numbers(5), trees(25, 6, boost_from_average=True)),
    "no_boost_from_average": Case(numbers(5), trees(25, 6, boost_from_average=False)),
    "scale_and_bias": Case(numbers(5), trees(25, 6), scale_and_bias=(0.37, 1.25)),
    "negative_scale": Case(numbers(5), trees(25, 4), scale_and_bias=(-2.5, -0.75)),
    "one_hot": Case(with_categories, trees(25, 6), one_hot=True),
    "monotone": Case(
        with_missing(3),
        trees(25, 6, nan_mode="Min"),
        monotone={0: 1, 2: -1},
        expects={"nan": "AsFalse"},
    ),
}


def make_target(matrix: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """About a fifth of the rows are bad. It depends on all columns and on a product of two."""
    scaled = np.nan_to_num(matrix / (np.nanstd(matrix, axis=0) + 1e-9))
    signal = scaled @ np.cos(np.arange(matrix.shape[1])) + scaled[:, 0] * scaled[:, -1]
    signal = signal + rng.normal(size=len(matrix))
    return (signal > np.quantile(signal, 0.8)).astype(int)


def model_columns(case: Case, count: int) -> list[dict]:
    """The manifest's columns. A permuted model has the same names in another order."""
    columns = [
        {
            "name": f"x{at}",
            "kind": "numeric",
            "source_column": f"x{at}",
            "description": f"Column {at}",
            "median": 0.0,
        }
        for at in (case.order if case.order is not None else range(count))
    ]

    for at, direction in case.monotone.items():
        columns[at]["monotone"] = direction
    if case.one_hot:
        for at, category in enumerate(CATEGORIES, start=1):
            columns[at] = {
                "name": f"home={category or ''}",
                "kind": "one_hot",
                "source_column": "home",
                "description": "Home",
                "category": category,
            }
    return columns


def make_inputs(
    case: Case, matrix: np.ndarray, described: list[dict], rng: np.random.Generator
) -> np.ndarray:
    """Training rows, varied at the values where an evaluation goes wrong first."""
    sample = matrix[rng.choice(len(matrix), SAMPLED_ROWS, replace=False)].astype(np.float32)
    rows = list(sample)
    odd = [np.inf, -np.inf, -0.0, 1e-42, 3e38, -3e38]
    if case.missing_in_golden:
        odd.append(np.nan)
    one_hot = range(1, len(CATEGORIES) + 1) if case.one_hot else ()
    numeric = [at for at in range(matrix.shape[1]) if at not in one_hot]

    for at in numeric[:MAX_THRESHOLD_COLUMNS]:
        borders = np.array(described[at]["borders"] or [], dtype=np.float32)
        for border in borders[[0, len(borders) // 2, -1]] if len(borders) else []:
            # With nan_mode Max a border is the largest float32, and the next number is infinity.
            with np.errstate(over="ignore"):
                above, below = (np.nextafter(border, np.float32(end)) for end in (np.inf, -np.inf))
            base = sample[len(rows) % SAMPLED_ROWS]
            rows += [replaced(base, at, value) for value in (border, above, below)]
        base = sample[len(rows) % SAMPLED_ROWS]
        rows += [replaced(base, at, value) for value in odd]

    rows += [replaced(sample[0], numeric, value) for value in odd]
    return np.vstack(rows).astype(np.float32)


def replaced(row: np.ndarray, at: int | list[int], value: float) -> np.ndarray:
    changed = row.copy()
    changed[at] = value
    return changed


def classifier(**params) -> catboost.CatBoostClassifier:
    defaults = {
        "learning_rate": 0.2,
        "loss_function": "Logloss",
        "random_seed": 7,
        "bootstrap_type": "No",
        "thread_count": 1,
        "verbose": False,
        "allow_writing_files": False,
    }
    return catboost.CatBoostClassifier(**{**defaults, **params})


def make_artifact(case: Case) -> bytes:
    rng = np.random.default_rng(20_260_101)
    matrix = case.columns(rng).astype(np.float32)
    target = make_target(matrix, rng)
    if case.order is not None:
        matrix = matrix[:, case.order]
    columns = model_columns(case, matrix.shape[1])

    names = [column["name"] for column in columns]
    weights = rng.uniform(0.05, 3.0, len(matrix)) if case.weights else None
    constraints = [case.monotone.get(at, 0) for at in range(len(columns))]
    more = {"monotone_constraints": constraints} if case.monotone else {}
    model = classifier(**case.params, **more)
    model.fit(catboost.Pool(matrix, target, weight=weights, feature_names=names))

    if case.scale_and_bias is None:
        files, saved = artifact.export(model)
    else:
        files, saved = export_scaled(model, *case.scale_and_bias)
    described = json.loads(files["model.json"])["features_info"]["float_features"]
    check_expectations(case, described)

    inputs = make_inputs(case, matrix, described, rng)
    if case.scale_and_bias is None:
        rows = golden.golden_rows(saved, inputs)
    else:
        rows = scaled_golden_rows(saved, inputs, *case.scale_and_bias)
    return artifact.pack(files, make_manifest(case, saved, columns, files, rows))


def make_manifest(
    case: Case,
    model: catboost.CatBoost,
    columns: list[dict],
    files: dict[str, bytes],
    rows: list[dict],
) -> dict:
    return {
        # Without a profile, as the first artifacts were: such a model still has to load.
        "schema_version": 1,
        "model_name": "golden",
        "created_at": CREATED_AT,
        "catboost_version": catboost.__version__,
        "target": {"column": "bad", "positive_class": "1"},
        "features": columns,
        "scorecard": {"pdo": 20.0, "target_score": 600.0, "target_odds": 30.0},
        "training": {
            "rows": ROWS,
            "validation_rows": 0,
            "trees": model.tree_count_,
            "depth": case.params["depth"],
            "bad_rate": None,
            "auc": None,
            "gini": None,
            "ks": None,
            "log_loss": None,
            "calibration": [],
        },
        "files": artifact.describe_files(files),
        "golden_rows": rows,
    }


def export_scaled(
    model: catboost.CatBoost, scale: float, bias: float
) -> tuple[dict[str, bytes], catboost.CatBoost]:
    """Exports a model with a scale.

    CatBoost writes no ONNX for such a model, and ONNX has no field for a scale. So the leaf values
    of the ONNX are multiplied by it here.
    """
    model.set_scale_and_bias(1.0, bias)
    files, _ = artifact.export(model)
    graph = onnx.load_model_from_string(files["model.onnx"])
    attributes = graph.graph.node[0].attribute
    leaves = next(entry for entry in attributes if entry.name == "class_weights")
    leaves.floats[:] = [float(np.float32(scale * value)) for value in leaves.floats]

    model.set_scale_and_bias(scale, bias)
    files = {"model.json": model_json(model), "model.onnx": graph.SerializeToString()}
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "model.json")
        path.write_bytes(files["model.json"])
        saved = catboost.CatBoostClassifier()
        saved.load_model(str(path), format="json")
    return files, saved


def scaled_golden_rows(
    model: catboost.CatBoost, inputs: np.ndarray, scale: float, bias: float
) -> list[dict]:
    """CatBoost's answers for a model with a scale, whose SHAP values it does not compute.

    SHAP values are linear: they scale with the model, and the bias is in the base value.
    """
    raw = model.predict(inputs, prediction_type="RawFormulaVal")
    probability = model.predict(inputs, prediction_type="Probability")[:, 1]

    model.set_scale_and_bias(1.0, 0.0)
    rows = golden.golden_rows(model, inputs)
    for at, row in enumerate(rows):
        row["raw_value"], row["probability"] = float(raw[at]), float(probability[at])
        row["base_value"] = scale * row["base_value"] + bias
        row["shap_values"] = [scale * value for value in row["shap_values"]]
    return rows


def check_expectations(case: Case, described: list[dict]) -> None:
    """A case that has lost the property in its name would test nothing."""
    treatments = {column["nan_value_treatment"] for column in described}
    if "nan" in case.expects and case.expects["nan"] not in treatments:
        sys.exit(f"no column has nan_value_treatment {case.expects['nan']}")
    if "borders" in case.expects and len(described[0]["borders"]) < case.expects["borders"]:
        sys.exit(f"the first column has only {len(described[0]['borders'])} borders")


def make_refused() -> dict[str, bytes]:
    """Models of kinds that cannot be scored, as CatBoost's JSON.

    A model with text features is missing here: CatBoost does not write one as JSON.
    """
    rng = np.random.default_rng(1)
    matrix = rng.normal(size=(400, 4)).astype(np.float32)
    target = (matrix[:, 0] + matrix[:, 1] > 0.5).astype(int)
    texts = np.array(["tenant", "owner", "with parents"])[rng.integers(0, 3, 400)]
    mixed = [[*row[:3].tolist(), text] for row, text in zip(matrix, texts, strict=True)]
    classes = np.digitize(matrix[:, 0], [-0.5, 0.5])
    by_text = (texts == "tenant").astype(int)

    small = trees(3, 2)
    lossguide = classifier(**small, grow_policy="Lossguide").fit(matrix, target)
    depthwise = classifier(**small, grow_policy="Depthwise").fit(matrix, target)
    categorical = classifier(**small, one_hot_max_size=10).fit(
        catboost.Pool(mixed, by_text, cat_features=[3])
    )
    multiclass = classifier(**small, loss_function="MultiClass").fit(matrix, classes)
    return {
        "lossguide": model_json(lossguide),
        "depthwise": model_json(depthwise),
        "categorical": model_json(categorical),
        "multiclass": model_json(multiclass),
    }


def model_json(model: catboost.CatBoost) -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "model.json")
        model.save_model(str(path), format="json")
        return path.read_bytes()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "names", nargs="*", help=f"the cases to make, or {REFUSED} (default: all of them)"
    )
    names = parser.parse_args().names or [*CASES, REFUSED]
    unknown = set(names) - {*CASES, REFUSED}
    if unknown:
        parser.error(f"no such case: {', '.join(sorted(unknown))}")

    (TARGET / REFUSED).mkdir(parents=True, exist_ok=True)
    total = 0
    for name in names:
        if name == REFUSED:
            made = {f"{REFUSED}/{kind}.json": content for kind, content in make_refused().items()}
        else:
            made = {f"{name}.tar.gz": make_artifact(CASES[name])}
        for path, content in made.items():
            (TARGET / path).write_bytes(content)
            total += len(content)
            print(f"{path}: {len(content):,} bytes")
    print(f"{total:,} bytes in all")


if __name__ == "__main__":
    main()
