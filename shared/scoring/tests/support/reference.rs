//! A second implementation: it evaluates `model.json` one row, one tree and one node at a time, and
//! works out SHAP values by their definition.
//!
//! It was written from CatBoost's description of the format and from Shapley's formula, and shares
//! no code with the crate.

use serde_json::Value;

#[derive(Debug)]
pub(crate) struct Reference {
    pub(crate) columns: usize,
    pub(crate) nan_is_above: Vec<bool>,
    pub(crate) has_nan: Vec<bool>,
    pub(crate) borders: Vec<Vec<f32>>,
    trees: Vec<Tree>,
    scale: f64,
    bias: f64,
}

#[derive(Debug)]
struct Tree {
    splits: Vec<(usize, f32)>,
    values: Vec<f64>,
    weights: Vec<f64>,
}

fn numbers(value: &Value) -> Vec<f64> {
    value
        .as_array()
        .map(|all| all.iter().map(|number| number.as_f64().unwrap()).collect())
        .unwrap_or_default()
}

impl Reference {
    pub(crate) fn read(json: &[u8]) -> Self {
        let model: Value = serde_json::from_slice(json).unwrap();
        let features = model["features_info"]["float_features"].as_array().unwrap();
        let tree = |tree: &Value| Tree {
            splits: tree["splits"]
                .as_array()
                .map_or(Vec::new(), |splits| splits.iter().map(split).collect()),
            values: numbers(&tree["leaf_values"]),
            weights: numbers(&tree["leaf_weights"]),
        };

        let treatment =
            |feature: &Value| feature["nan_value_treatment"].as_str().unwrap().to_owned();
        Self {
            columns: features.len(),
            nan_is_above: features.iter().map(|feature| treatment(feature) == "AsTrue").collect(),
            has_nan: features.iter().map(|feature| treatment(feature) != "AsIs").collect(),
            borders: features
                .iter()
                .map(|feature| {
                    numbers(&feature["borders"]).into_iter().map(|border| border as f32).collect()
                })
                .collect(),
            trees: model["oblivious_trees"].as_array().unwrap().iter().map(tree).collect(),
            scale: model["scale_and_bias"][0].as_f64().unwrap(),
            bias: model["scale_and_bias"][1][0].as_f64().unwrap(),
        }
    }

    /// Whether any tree asks about this column.
    pub(crate) fn uses(&self, column: usize) -> bool {
        self.trees.iter().any(|tree| tree.splits.iter().any(|(asked, _)| *asked == column))
    }

    fn above(&self, row: &[f32], (column, border): (usize, f32)) -> bool {
        if row[column].is_nan() { self.nan_is_above[column] } else { row[column] > border }
    }

    pub(crate) fn raw_value(&self, row: &[f32]) -> f64 {
        let leaf = |tree: &Tree| {
            let bits = tree
                .splits
                .iter()
                .enumerate()
                .map(|(bit, split)| usize::from(self.above(row, *split)) << bit);
            tree.values[bits.sum::<usize>()]
        };

        self.scale * self.trees.iter().map(leaf).sum::<f64>() + self.bias
    }

    /// The expected value of a tree when only the columns in `known` are known: down from the root,
    /// both ways in proportion to the training rows where the column is not known.
    fn expectation(
        &self,
        tree: &Tree,
        row: &[f32],
        known: &[usize],
        level: usize,
        leaf: usize,
    ) -> f64 {
        if level == 0 {
            return tree.values[leaf];
        }

        let bit = level - 1;
        let (column, _) = tree.splits[bit];
        let below = |yes: usize| self.expectation(tree, row, known, bit, leaf | yes << bit);
        if known.contains(&column) {
            return below(usize::from(self.above(row, tree.splits[bit])));
        }

        // Leaves under this node: all that agree on the bits from here up.
        let weight = |yes: usize| -> f64 {
            let first = leaf | yes << bit;
            (0..1_usize << bit).map(|rest| tree.weights[first | rest]).sum()
        };

        let (no, yes) = (weight(0), weight(1));
        if no + yes == 0.0 { 0.0 } else { (no * below(0) + yes * below(1)) / (no + yes) }
    }

    pub(crate) fn base_value(&self) -> f64 {
        let mean = |tree: &Tree| {
            self.expectation(tree, &vec![0.0; self.columns], &[], tree.splits.len(), 0)
        };

        self.scale * self.trees.iter().map(mean).sum::<f64>() + self.bias
    }

    /// For each tree and each of its columns, the sum over all subsets of the others.
    pub(crate) fn shap_values(&self, row: &[f32]) -> Vec<f64> {
        let mut values = vec![0.0; self.columns];
        for tree in &self.trees {
            let mut columns: Vec<usize> = tree.splits.iter().map(|(column, _)| *column).collect();
            columns.sort_unstable();
            columns.dedup();
            let expectation =
                |known: &[usize]| self.expectation(tree, row, known, tree.splits.len(), 0);
            for column in &columns {
                let others: Vec<usize> =
                    columns.iter().copied().filter(|other| other != column).collect();
                for subset in 0..1_usize << others.len() {
                    let mut known: Vec<usize> = (0..others.len())
                        .filter(|at| subset >> at & 1 == 1)
                        .map(|at| others[at])
                        .collect();
                    let weight = factorial(known.len()) * factorial(others.len() - known.len())
                        / factorial(columns.len());
                    let without = expectation(&known);
                    known.push(*column);
                    values[*column] += self.scale * weight * (expectation(&known) - without);
                }
            }
        }

        values
    }
}

fn split(split: &Value) -> (usize, f32) {
    (
        split["float_feature_index"].as_u64().unwrap() as usize,
        split["border"].as_f64().unwrap() as f32,
    )
}

fn factorial(n: usize) -> f64 {
    (1..=n).map(|factor| factor as f64).product()
}
