"""The result of a training as text for a person, and the warnings about it."""

import math

from .fit import Settings

# A credit model on data that was known before the outcome stays well below this.
SUSPICIOUS_AUC = 0.98


def as_text(result: dict) -> str:
    """The report that train.py prints."""
    training, target = result["training"], result["target"]
    lines = [
        f"Model        {training['trees']} trees of depth {training['depth']}"
        f" on {len(result['features'])} columns from {result['source_columns']} features",
        f"Bad class    {target['column']} = {target['positive_class']}"
        f"  (good: {', '.join(result['good_values'])})",
        f"Rows         {training['rows']:,} for training, {training['validation_rows']:,} held out;"
        f" {training['bad_rate']:.2%} of the training rows are bad",
        "",
        "On the held-out rows",
        f"  AUC        {training['auc']:.4f}",
        f"  Gini       {training['gini']:.4f}",
        f"  KS         {training['ks']:.4f}",
        f"  Log-loss   {training['log_loss']:.4f}",
        "",
        "Calibration: probability of the bad class in bands of equal size, the safest first",
        "  band    rows   predicted    observed",
    ]
    lines += [
        f"  {number:>4} {band['rows']:>7,} {band['predicted']:>10.3%} {band['observed']:>10.3%}"
        for number, band in enumerate(training["calibration"], start=1)
    ]
    lines += ["", *score_lines(result["scores"])]
    lines += direction_lines(result["features"])
    lines += ["", *[f"Note: {notice}" for notice in result["notices"]]]

    checks = result["checks"]
    lines += [
        "Checked: golden rows against model.json; ONNX against CatBoost on"
        f" {checks['onnx_rows']:,} rows (largest difference"
        f" {checks['onnx_max_difference']:.1e}).",
        f"Artifact: {result['output']} ({result['bytes']:,} bytes, sha256 {result['sha256']})",
    ]
    return "\n".join(lines)


def score_lines(scores: dict) -> list[str]:
    """The distribution of the scores, and the share that reaches the policy's cut-off."""
    columns = [("lowest", scores["lowest"])]
    columns += [(f"{quantile['share']:.0%}", quantile["score"]) for quantile in scores["quantiles"]]
    columns.append(("highest", scores["highest"]))
    first = "Scores"
    if "minimum_score" in scores:
        first = (
            f"Scores: {scores['share_at_or_above']:.1%} of the held-out rows have"
            f" {scores['minimum_score']} points or more, the policy's cut-off"
        )
    return [
        first,
        "  " + "".join(f"{name:>8}" for name, _ in columns),
        "  " + "".join(f"{score:>8}" for _, score in columns),
    ]


def direction_lines(features: list[dict]) -> list[str]:
    """The columns with a direction, which every tree keeps."""
    directions = [
        f"{feature['name']} {feature['monotone']:+d}"
        for feature in features
        if "monotone" in feature
    ]
    return [f"Monotone in every tree: {', '.join(directions)}"] if directions else []


def class_weight_notice(settings: Settings, pdo: float) -> str | None:
    """Says how far class weights move every score. They are a common request and a mistake."""
    if settings.class_weights is None or settings.population_bad_rate is not None:
        return None
    good, bad = settings.class_weights
    shift = math.log(bad / good)
    return (
        f"class weights {good:g},{bad:g} shift the log-odds of bad by about {shift:+.2f},"
        f" so scores move by about {-shift * pdo / math.log(2):+.0f} points."
        " The probabilities no longer match the observed bad rates."
        " AUC, Gini and KS can be compared with a model without weights; the calibration and the"
        " policy's minimum score cannot."
    )


def suspicious_notice(auc: float) -> str | None:
    if auc < SUSPICIOUS_AUC:
        return None
    return (
        f"an AUC of {auc:.3f} is too good for credit data: look for a feature that is only known"
        " after the outcome, and leave it out with --exclude."
    )
