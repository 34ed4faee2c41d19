"""The training's outcome as text for a person, and the warnings that belong to it."""

import math

from .fit import Settings

# Credit models on honest data stay well below this.
SUSPICIOUS_AUC = 0.98


def as_text(outcome: dict) -> str:
    training, target = outcome["training"], outcome["target"]
    lines = [
        f"Model        {training['trees']} trees of depth {training['depth']} on {len(outcome['features'])} columns"
        f" from {outcome['source_columns']} features",
        f"Bad class    {target['column']} = {target['positive_class']}  (good: {', '.join(outcome['good_values'])})",
        f"Rows         {training['rows']:,} for training, {training['validation_rows']:,} held out"
        f"; {training['bad_rate']:.2%} of the training rows are bad",
        "",
        "On the held-out rows",
        f"  AUC        {training['auc']:.4f}",
        f"  Gini       {training['gini']:.4f}",
        f"  KS         {training['ks']:.4f}",
        f"  Log-loss   {training['log_loss']:.4f}",
        "",
        "Calibration, bands of equal size from the safest to the riskiest (probability of the bad class)",
        "  band    rows   predicted    observed",
    ]
    lines += [
        f"  {number:>4} {band['rows']:>7,} {band['predicted']:>10.3%} {band['observed']:>10.3%}"
        for number, band in enumerate(training["calibration"], start=1)
    ]
    lines += ["", *[f"Note: {notice}" for notice in outcome["notices"]]]
    lines += [
        f"Checked: golden rows against model.json; ONNX against CatBoost on {outcome['checks']['onnx_rows']:,} rows"
        f" (largest difference {outcome['checks']['onnx_max_difference']:.1e}).",
        f"Artifact: {outcome['output']} ({outcome['bytes']:,} bytes, sha256 {outcome['sha256']})",
    ]
    return "\n".join(lines)


def class_weight_notice(settings: Settings, pdo: float) -> str | None:
    """Weights are a common request and a common mistake: they move every score."""
    if settings.class_weights is None:
        return None
    good, bad = settings.class_weights
    shift = math.log(bad / good)
    return (
        f"class weights {good:g},{bad:g} shift the log-odds of bad by about {shift:+.2f}, so scores move by about"
        f" {-shift * pdo / math.log(2):+.0f} points and the probabilities no longer match the observed bad rates."
        " Discrimination (AUC, Gini, KS) can be compared; calibration and the policy's score cut-off cannot."
    )


def suspicious_notice(auc: float) -> str | None:
    if auc < SUSPICIOUS_AUC:
        return None
    return (
        f"an AUC of {auc:.3f} is too good for credit data: look for a feature that is only known after the outcome,"
        " and leave it out with --exclude."
    )
