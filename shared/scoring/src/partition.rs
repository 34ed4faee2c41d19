//! The parts into which a model cuts the values of each source. It scores all values of a part
//! alike, so whoever asks what another value would have scored has to try one of each part.

use limit_increase_artifact::{Artifact, Categories, ModelInput};

use crate::catboost_json;
use crate::error::ScoringError;

/// The parts of one source.
#[derive(Debug, Clone, PartialEq)]
pub enum Partition {
    /// Numbers. The thresholds rise. A part begins above one of them and ends with the next one,
    /// which belongs to it: the model asks whether a number, in float32, is above a threshold.
    Thresholds(Vec<f32>),
    /// Categories: the names that the model knows, each of which is a part.
    Categories(Vec<String>),
}

/// The parts of each source, in the order of [`Model::inputs`](crate::Model::inputs).
///
/// # Errors
/// When `model.json` is of a kind that can't be scored, as in [`Model::load`](crate::Model::load).
pub fn partitions(artifact: &Artifact) -> Result<Vec<Partition>, ScoringError> {
    let manifest = &artifact.manifest;
    let names: Vec<&str> = manifest.columns.iter().map(|column| column.name.as_str()).collect();
    let ensemble = catboost_json::parse(&artifact.model_json, &names)?;

    // CatBoost lists every border that it tried. Those that no tree asks about cut nothing.
    let mut asked: Vec<Vec<usize>> = vec![Vec::new(); names.len()];
    for split in ensemble.trees.iter().flat_map(|tree| &tree.splits) {
        asked[split.column].push(split.border);
    }

    let mut first = 0;
    let partition = |(_, categories): (ModelInput, Option<Categories>)| {
        let column = first;
        first += categories.as_ref().map_or(1, Categories::width);
        match categories {
            Some(categories) => {
                let names = categories.names().into_iter().map(str::to_owned).collect();
                Partition::Categories(names)
            }
            None => {
                let borders = &mut asked[column];
                borders.sort_unstable();
                borders.dedup();
                let threshold = |border: &usize| ensemble.columns[column].borders[*border];
                Partition::Thresholds(borders.iter().map(threshold).collect())
            }
        }
    };

    Ok(manifest.inputs_with_categories().into_iter().map(partition).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::encode::{Column, Frame};
    use crate::model::Model;

    #[test]
    fn a_category_is_a_part_and_thresholds_rise() {
        let archive = include_bytes!("../tests/golden/one_hot.tar.gz");
        let found = partitions(&Artifact::open(archive).unwrap()).unwrap();
        let [Partition::Thresholds(first), Partition::Categories(home), Partition::Thresholds(_)] =
            found.as_slice()
        else {
            panic!("a number, a category, a number: {found:?}")
        };

        assert_eq!(home.as_slice(), ["owner", "tenant", "with parents"]);
        assert!(!first.is_empty() && first.windows(2).all(|pair| pair[0] < pair[1]));
    }

    /// What is exact about a counterfactual: between two thresholds nothing changes, and at each of
    /// them something may.
    #[test]
    fn all_numbers_of_a_part_score_alike_to_the_last_bit() {
        let archive = include_bytes!("../tests/golden/depth_6.tar.gz");
        let artifact = Artifact::open(archive).unwrap();
        let (model, found) = (Model::load(&artifact).unwrap(), partitions(&artifact).unwrap());

        for (source, partition) in found.iter().enumerate() {
            let Partition::Thresholds(thresholds) = partition else { panic!("numbers alone") };
            let mut values = Vec::new();
            for pair in thresholds.windows(2) {
                values.extend([pair[0].next_up(), pair[1]].map(f64::from));
            }

            let column = |other: usize| match other == source {
                true => Column::Numbers(values.clone()),
                false => Column::Numbers(vec![0.25; values.len()]),
            };
            let frame = Frame {
                columns: (0..found.len()).map(column).collect(),
                has_features: vec![true; values.len()],
            };
            let raw: Vec<u64> = model
                .predict(&frame)
                .unwrap()
                .into_iter()
                .map(|prediction| prediction.unwrap().raw_value.to_bits())
                .collect();
            for ends in raw.chunks_exact(2) {
                assert_eq!(ends[0], ends[1], "source {source}");
            }

            let parts: Vec<u64> = raw.chunks_exact(2).map(|ends| ends[0]).collect();
            assert!(parts.len() < 2 || parts.windows(2).any(|pair| pair[0] != pair[1]));
        }
    }
}
