//! Reads CatBoost's JSON export into an [`Ensemble`] and refuses models that can't be scored.

use limit_increase_artifact::MAX_MODEL_COLUMNS;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::at_most::AtMost;
use crate::ensemble::{Ensemble, FloatFeature, MAX_DEPTH, NanTreatment, Split, Tree};
use crate::error::ScoringError;

/// What to do about a model that is too large.
const SMALLER: &str = "train with fewer or shallower trees";
/// What to do about features that are not numbers.
const ONE_HOT: &str = "encode them as one-hot columns before training, as train.py does";
/// The most trees. train.py has the same bound.
const MAX_TREES: usize = 10_000;
/// The most leaves of all trees together, as many as a thousand trees of depth 10 have.
pub(crate) const MAX_LEAVES: usize = 1 << 20;
/// The most values in the file, counted by its commas. A leaf has two values, and everything else
/// needs few beside them.
const MAX_VALUES: usize = 4 * MAX_LEAVES;
/// The most splits that are read of a tree. It is more than a tree may have, so that the error
/// about a tree that is too deep differs from the one about a damaged file.
const MAX_SPLITS_READ: usize = 2 * MAX_DEPTH;

#[derive(Deserialize)]
struct ModelJson {
    features_info: FeaturesInfo,
    #[serde(default)]
    oblivious_trees: Option<AtMost<TreeJson, MAX_TREES>>,
    /// Only models that are not symmetric have this.
    #[serde(default)]
    trees: Option<IgnoredAny>,
    #[serde(default)]
    scale_and_bias: Option<(f64, AtMost<f64, MAX_TREES>)>,
}

/// The features by kind. Only float features are accepted. The others are counted for the error
/// message, in lists of ignored elements, which take no memory.
#[derive(Deserialize)]
struct FeaturesInfo {
    #[serde(default)]
    float_features: AtMost<FloatFeatureJson, MAX_MODEL_COLUMNS>,
    #[serde(default)]
    categorical_features: Vec<IgnoredAny>,
    #[serde(default)]
    text_features: Vec<IgnoredAny>,
    #[serde(default)]
    embedding_features: Vec<IgnoredAny>,
}

#[derive(Deserialize)]
struct FloatFeatureJson {
    #[serde(default)]
    feature_id: Option<String>,
    feature_index: usize,
    flat_feature_index: usize,
    #[serde(default)]
    borders: Option<Vec<f64>>,
    nan_value_treatment: NanTreatment,
}

#[derive(Deserialize)]
struct TreeJson {
    #[serde(default)]
    splits: Option<AtMost<SplitJson, MAX_SPLITS_READ>>,
    leaf_values: Vec<f64>,
    #[serde(default)]
    leaf_weights: Vec<f64>,
}

#[derive(Deserialize)]
struct SplitJson {
    #[serde(default)]
    split_type: Option<String>,
    #[serde(default)]
    float_feature_index: Option<usize>,
    /// A split on categories has no border.
    #[serde(default)]
    border: Option<f64>,
}

/// Reads `model.json`. `names` are the model's columns according to the manifest.
///
/// # Errors
/// When the file is not JSON of this shape, when the model is of a kind that can't be scored, or
/// when it contradicts itself or the manifest.
pub(crate) fn parse(json: &[u8], names: &[&str]) -> Result<Ensemble, ScoringError> {
    // Two bytes of text can take eight bytes of memory, so values are counted before they are read.
    let commas = json.iter().filter(|byte| **byte == b',').count();
    if commas > MAX_VALUES {
        return Err(unsupported_error(
            format!("model.json has more than {MAX_VALUES} values"),
            SMALLER,
        ));
    }

    let model: ModelJson = serde_json::from_slice(json)?;
    check_kinds(&model.features_info)?;
    let Some(AtMost(trees)) = model.oblivious_trees.filter(|_| model.trees.is_none()) else {
        return Err(unsupported_error(
            "its trees are not symmetric",
            "train with grow_policy=SymmetricTree",
        ));
    };

    if trees.is_empty() {
        return Err(unsupported_error("it has no trees", "train with at least one iteration"));
    }

    let leaves: usize = trees.iter().map(|tree| tree.leaf_values.len()).sum();
    if leaves > MAX_LEAVES {
        return Err(unsupported_error(
            format!("it has {leaves} leaves, at most {MAX_LEAVES} are accepted"),
            SMALLER,
        ));
    }

    let (scale, bias) = read_scale_and_bias(model.scale_and_bias)?;
    let columns = read_columns(&model.features_info.float_features.0, names)?;
    let trees: Vec<Tree> = trees
        .into_iter()
        .enumerate()
        .map(|(number, tree)| read_tree(number, tree, &columns))
        .collect::<Result<_, _>>()?;

    let largest: f64 = trees
        .iter()
        .map(|tree| tree.leaf_values.iter().fold(0.0, |most: f64, leaf| most.max(leaf.abs())))
        .sum();
    if (scale.abs() * largest + bias.abs()).is_finite() {
        Ok(Ensemble { columns, trees, scale, bias })
    } else {
        Err(inconsistent_error("its leaf values add up to more than a float64 holds"))
    }
}

/// Refuses features of kinds that can't be scored.
fn check_kinds(info: &FeaturesInfo) -> Result<(), ScoringError> {
    let refused_kinds = [
        ("categorical features", info.categorical_features.len(), ONE_HOT),
        ("text features", info.text_features.len(), ONE_HOT),
        (
            "embedding features",
            info.embedding_features.len(),
            "give each of their numbers a column of its own",
        ),
    ];

    match refused_kinds.into_iter().find(|(_, count, _)| *count > 0) {
        Some((kind, count, instead)) => {
            Err(unsupported_error(format!("it has {count} {kind}"), instead))
        }
        None => Ok(()),
    }
}

/// Reads the scale and the bias, which are 1 and 0 where the file does not have them.
fn read_scale_and_bias(
    json: Option<(f64, AtMost<f64, MAX_TREES>)>,
) -> Result<(f64, f64), ScoringError> {
    let (scale, bias) = match json {
        None => (1.0, 0.0),
        Some((scale, AtMost(biases))) => match biases.as_slice() {
            [] => (scale, 0.0),
            [bias] => (scale, *bias),
            _ => return Err(multiclass_error()),
        },
    };

    if scale.is_finite() && bias.is_finite() {
        Ok((scale, bias))
    } else {
        Err(inconsistent_error("scale_and_bias is not finite"))
    }
}

fn unsupported_error(found: impl Into<String>, instead: &'static str) -> ScoringError {
    ScoringError::Unsupported { found: found.into(), instead }
}

fn multiclass_error() -> ScoringError {
    unsupported_error(
        "it predicts several classes or dimensions",
        "train a binary classifier (loss_function=Logloss)",
    )
}

fn inconsistent_error(problem: impl Into<String>) -> ScoringError {
    ScoringError::Inconsistent(problem.into())
}

/// Reads the columns, which must be those of the manifest in the same order.
fn read_columns(
    json: &[FloatFeatureJson],
    names: &[&str],
) -> Result<Vec<FloatFeature>, ScoringError> {
    if json.len() != names.len() {
        return Err(inconsistent_error(format!(
            "has {} float features, the manifest {}",
            json.len(),
            names.len()
        )));
    }

    let mut columns = Vec::with_capacity(json.len());
    for (position, (feature, name)) in json.iter().zip(names).enumerate() {
        if feature.feature_index != position || feature.flat_feature_index != position {
            return Err(inconsistent_error(format!(
                "float feature {position} has index {}",
                feature.feature_index
            )));
        }

        if feature.feature_id.as_ref().is_some_and(|id| id != name) {
            return Err(inconsistent_error(format!(
                "float feature {position} is not {name:?}, as the manifest has it"
            )));
        }

        // CatBoost writes a float32 border as a float64 of the same value.
        let borders: Vec<f32> =
            feature.borders.iter().flatten().map(|border| *border as f32).collect();
        let rising = borders.windows(2).all(|pair| pair[0] < pair[1]);
        if !rising || !borders.iter().all(|border| border.is_finite()) {
            return Err(inconsistent_error(format!(
                "the borders of float feature {position} are not finite and rising"
            )));
        }

        columns.push(FloatFeature { borders, nan: feature.nan_value_treatment });
    }

    Ok(columns)
}

fn read_tree(
    number: usize,
    json: TreeJson,
    columns: &[FloatFeature],
) -> Result<Tree, ScoringError> {
    let AtMost(splits) = json.splits.unwrap_or_default();
    let depth = splits.len();
    if depth > MAX_DEPTH {
        return Err(unsupported_error(
            format!("tree {number} has depth {depth}"),
            "train with depth up to 16",
        ));
    }

    let leaves = 1_usize << depth;
    if json.leaf_values.len() != leaves {
        if json.leaf_values.len().is_multiple_of(leaves) && json.leaf_values.len() > leaves {
            return Err(multiclass_error());
        }

        return Err(inconsistent_error(format!(
            "tree {number} has {} leaf values for {leaves} leaves",
            json.leaf_values.len()
        )));
    }

    if json.leaf_weights.len() != leaves {
        return Err(inconsistent_error(format!(
            "tree {number} has {} leaf weights for {leaves} leaves",
            json.leaf_weights.len()
        )));
    }

    let is_weight = |weight: &f64| weight.is_finite() && *weight >= 0.0;
    if !json.leaf_values.iter().all(|value| value.is_finite())
        || !json.leaf_weights.iter().all(is_weight)
    {
        return Err(inconsistent_error(format!(
            "tree {number} has a leaf value that is not finite or a negative weight"
        )));
    }

    if json.leaf_weights.iter().sum::<f64>() <= 0.0 {
        return Err(inconsistent_error(format!("no training row has reached tree {number}")));
    }

    let splits =
        splits.iter().map(|split| read_split(number, split, columns)).collect::<Result<_, _>>()?;
    Ok(Tree { splits, leaf_values: json.leaf_values, leaf_weights: json.leaf_weights })
}

fn read_split(
    tree: usize,
    split: &SplitJson,
    columns: &[FloatFeature],
) -> Result<Split, ScoringError> {
    let kind = split.split_type.as_deref().unwrap_or("FloatFeature");
    let (true, Some(feature), Some(border)) =
        (kind == "FloatFeature", split.float_feature_index, split.border)
    else {
        return Err(unsupported_error(
            format!("tree {tree} has a split of type {kind}"),
            "encode categories as one-hot columns",
        ));
    };

    let value = border as f32;
    // Borders are compared by value and not by bits, because zero may be written with either sign.
    let find_border = |column: &FloatFeature| {
        let at = column.borders.partition_point(|border| *border < value);
        column.borders.get(at).is_some_and(|border| *border <= value).then_some(at)
    };

    match columns.get(feature).and_then(find_border) {
        Some(border) => Ok(Split { column: feature, border }),
        None => Err(inconsistent_error(format!(
            "tree {tree} splits feature {feature} at {value}, which is none of its borders"
        ))),
    }
}
