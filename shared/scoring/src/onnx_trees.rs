//! Checks that the ONNX describes the same trees as `model.json`.
//!
//! tract runs the ONNX, but float64 leaf values and leaf weights come from the JSON. So both files
//! must be of one model, and a damaged or mixed-up export is refused. CatBoost writes a symmetric
//! tree as a full binary tree, level by level: node `i` has the children `2i + 1` (no) and `2i + 2`
//! (yes). Only trees that are written like this are accepted.

use std::cmp::Ordering;

use tract_onnx::pb::{AttributeProto, NodeProto};

use crate::ensemble::{Ensemble, NanTreatment, Tree};
use crate::error::ScoringError;

/// The largest relative difference between a float64 value and its float32 in the ONNX, a little
/// more than one rounding.
const FLOAT32_TOLERANCE: f64 = 2e-7;
/// The largest absolute difference, for values that float32 rounds to zero or to a subnormal
/// number.
const FLOAT32_TINY: f64 = 1e-37;

/// Checks that the operator's trees are those of the ensemble.
///
/// # Errors
/// The first difference.
pub(crate) fn check(node: &NodeProto, ensemble: &Ensemble) -> Result<(), ScoringError> {
    check_operator(node)?;
    check_bias(floats(node, "base_values"), ensemble.bias)?;
    let mut nodes = NodeArrays::read(node)?;
    let mut leaves = LeafArrays::read(node)?;
    for (number, tree) in ensemble.trees.iter().enumerate() {
        let tree_nodes = nodes.take(2 * tree.leaf_values.len() - 1);
        let tree_leaves = leaves.take(2 * tree.leaf_values.len());
        match (tree_nodes, tree_leaves) {
            (Some(nodes), Some(leaves)) => {
                check_tree(&nodes, &leaves, number, tree, ensemble)
                    .map_err(|problem| different_model_error(format!("tree {number} {problem}")))?;
            }
            _ => {
                return Err(different_model_error(format!(
                    "it ends within tree {number} of {}",
                    ensemble.trees.len()
                )));
            }
        }
    }

    if nodes.ids.is_empty() && leaves.ids.is_empty() {
        Ok(())
    } else {
        Err(different_model_error(format!(
            "it has more than the {} trees of model.json",
            ensemble.trees.len()
        )))
    }
}

fn different_model_error(problem: String) -> ScoringError {
    ScoringError::Onnx(format!("not the model of model.json: {problem}"))
}

/// Whether the ONNX's float32 is this float64, rounded.
fn is_rounded(exact: f64, single: f32) -> bool {
    let single = f64::from(single);
    (exact - single).abs() <= FLOAT32_TOLERANCE * exact.abs().max(single.abs()) + FLOAT32_TINY
}

fn find<'a>(node: &'a NodeProto, name: &str) -> Option<&'a AttributeProto> {
    node.attribute.iter().find(|attribute| attribute.name == name)
}

fn ints<'a>(node: &'a NodeProto, name: &str) -> &'a [i64] {
    find(node, name).map_or(&[], |attribute| &attribute.ints)
}

fn floats<'a>(node: &'a NodeProto, name: &str) -> &'a [f32] {
    find(node, name).map_or(&[], |attribute| &attribute.floats)
}

/// Checks that the operator has two classes and applies the logistic function, as CatBoost exports
/// a model with Logloss.
fn check_operator(node: &NodeProto) -> Result<(), ScoringError> {
    let transform = find(node, "post_transform").map_or(&b""[..], |attribute| &attribute.s[..]);
    if transform != b"LOGISTIC" {
        return Err(ScoringError::Unsupported {
            found: format!(
                "model.onnx has post_transform {:?}",
                String::from_utf8_lossy(transform)
            ),
            instead: "train a binary classifier (loss_function=Logloss), which has LOGISTIC",
        });
    }

    let labels = find(node, "classlabels_strings").map_or(0, |attribute| attribute.strings.len());
    let classes = labels.max(ints(node, "classlabels_int64s").len());
    if classes != 2 {
        return Err(ScoringError::Unsupported {
            found: format!("model.onnx has {classes} classes"),
            instead: "train a binary classifier (loss_function=Logloss)",
        });
    }

    Ok(())
}

/// Checks the bias, which CatBoost writes for both classes with opposite signs, or not at all.
fn check_bias(written: &[f32], bias: f64) -> Result<(), ScoringError> {
    let same = match written {
        [] => bias.abs() <= FLOAT32_TINY,
        [good, bad] => is_rounded(-bias, *good) && is_rounded(bias, *bad),
        _ => false,
    };

    if same {
        Ok(())
    } else {
        Err(different_model_error(format!("its base_values are {written:?}, the bias is {bias}")))
    }
}

/// The nodes that were not compared yet. ONNX has them in parallel arrays.
struct NodeArrays<'a> {
    trees: &'a [i64],
    ids: &'a [i64],
    columns: &'a [i64],
    borders: &'a [f32],
    yes: &'a [i64],
    no: &'a [i64],
    modes: &'a [Vec<u8>],
    nan_is_yes: &'a [i64],
}

impl<'a> NodeArrays<'a> {
    fn read(node: &'a NodeProto) -> Result<Self, ScoringError> {
        let nodes = Self {
            trees: ints(node, "nodes_treeids"),
            ids: ints(node, "nodes_nodeids"),
            columns: ints(node, "nodes_featureids"),
            borders: floats(node, "nodes_values"),
            yes: ints(node, "nodes_truenodeids"),
            no: ints(node, "nodes_falsenodeids"),
            modes: find(node, "nodes_modes").map_or(&[][..], |attribute| &attribute.strings),
            nan_is_yes: ints(node, "nodes_missing_value_tracks_true"),
        };

        let lengths = [
            nodes.trees.len(),
            nodes.columns.len(),
            nodes.borders.len(),
            nodes.yes.len(),
            nodes.no.len(),
            nodes.modes.len(),
            nodes.nan_is_yes.len(),
        ];

        if lengths.iter().all(|length| *length == nodes.ids.len()) {
            Ok(nodes)
        } else {
            Err(ScoringError::Onnx("the arrays of its nodes differ in length".to_owned()))
        }
    }

    /// Splits off the nodes of a tree; `None` when there are fewer.
    fn take(&mut self, count: usize) -> Option<Self> {
        Some(Self {
            trees: self.trees.split_off(..count)?,
            ids: self.ids.split_off(..count)?,
            columns: self.columns.split_off(..count)?,
            borders: self.borders.split_off(..count)?,
            yes: self.yes.split_off(..count)?,
            no: self.no.split_off(..count)?,
            modes: self.modes.split_off(..count)?,
            nan_is_yes: self.nan_is_yes.split_off(..count)?,
        })
    }
}

/// The leaves that were not compared yet, with a value for each of the two classes.
struct LeafArrays<'a> {
    trees: &'a [i64],
    ids: &'a [i64],
    classes: &'a [i64],
    values: &'a [f32],
}

impl<'a> LeafArrays<'a> {
    fn read(node: &'a NodeProto) -> Result<Self, ScoringError> {
        let leaves = Self {
            trees: ints(node, "class_treeids"),
            ids: ints(node, "class_nodeids"),
            classes: ints(node, "class_ids"),
            values: floats(node, "class_weights"),
        };

        let lengths = [leaves.trees.len(), leaves.classes.len(), leaves.values.len()];
        if lengths.iter().all(|length| *length == leaves.ids.len()) {
            Ok(leaves)
        } else {
            Err(ScoringError::Onnx("the arrays of its leaves differ in length".to_owned()))
        }
    }

    /// Splits off the leaves of a tree; `None` when there are fewer.
    fn take(&mut self, count: usize) -> Option<Self> {
        Some(Self {
            trees: self.trees.split_off(..count)?,
            ids: self.ids.split_off(..count)?,
            classes: self.classes.split_off(..count)?,
            values: self.values.split_off(..count)?,
        })
    }
}

fn check_tree(
    nodes: &NodeArrays<'_>,
    leaves: &LeafArrays<'_>,
    number: usize,
    tree: &Tree,
    ensemble: &Ensemble,
) -> Result<(), String> {
    if nodes.trees.iter().chain(leaves.trees).any(|of| *of != number as i64) {
        return Err("has another number of nodes or leaves".to_owned());
    }

    let inner = tree.leaf_values.len() - 1;
    for id in 0..nodes.ids.len() {
        let node_error = |problem: &str| Err(format!("node {id} {problem}"));
        if nodes.ids[id] != id as i64 {
            return node_error("is out of order");
        }

        if id >= inner {
            if nodes.modes[id] != b"LEAF" {
                return node_error("is not a leaf");
            }

            continue;
        }

        // The root is the last split.
        let level = (id + 1).ilog2() as usize;
        let split = tree.splits[tree.splits.len() - 1 - level];
        let column = &ensemble.columns[split.column];
        if nodes.modes[id] != b"BRANCH_GT"
            || nodes.no[id] != 2 * id as i64 + 1
            || nodes.yes[id] != 2 * id as i64 + 2
        {
            return node_error("does not branch as a symmetric tree does");
        }

        let same_border =
            nodes.borders[id].partial_cmp(&column.borders[split.border]) == Some(Ordering::Equal);
        if nodes.columns[id] != split.column as i64 || !same_border {
            return node_error("asks another question");
        }

        if (nodes.nan_is_yes[id] != 0) != (column.nan == NanTreatment::AsTrue) {
            return node_error("takes missing values another way");
        }
    }

    check_leaves(leaves, tree, ensemble.scale)
}

fn check_leaves(leaves: &LeafArrays<'_>, tree: &Tree, scale: f64) -> Result<(), String> {
    let inner = tree.leaf_values.len() - 1;
    for (leaf, value) in tree.leaf_values.iter().enumerate() {
        for (at, class, exact) in [(2 * leaf, 0, -scale * value), (2 * leaf + 1, 1, scale * value)]
        {
            if leaves.ids[at] != (inner + leaf) as i64 || leaves.classes[at] != class {
                return Err(format!("leaf {leaf} is out of order"));
            }

            if !is_rounded(exact, leaves.values[at]) {
                return Err(format!(
                    "leaf {leaf} has the value {:e}, not {exact:e}",
                    leaves.values[at]
                ));
            }
        }
    }

    Ok(())
}
