use super::*;
use crate::ensemble::{FloatFeature, NanTreatment, Split, Tree};

fn ensemble(trees: usize, depth: usize) -> Ensemble {
    let columns =
        (0..depth).map(|_| FloatFeature { borders: vec![0.5], nan: NanTreatment::AsIs }).collect();
    let splits: Vec<Split> = (0..depth).map(|column| Split { column, border: 0 }).collect();
    let leaves = 1 << depth;
    let tree = Tree { splits, leaf_values: vec![0.5; leaves], leaf_weights: vec![1.0; leaves] };
    Ensemble { columns, trees: vec![tree; trees], scale: 1.0, bias: 0.0 }
}

fn tables(explainer: &Explainer) -> usize {
    explainer.trees.iter().filter(|tree| matches!(tree.method, Method::Table(_))).count()
}

#[test]
fn tables_stop_at_the_bound() {
    let ensemble = ensemble(5, 3);
    let one = 3 * 8 * 8;
    let columns = [0, 1, 2];
    for (bytes, expected) in [(0, 0), (one - 1, 0), (one, 1), (3 * one + 5, 3), (100 * one, 5)] {
        let explainer = Explainer::new(&ensemble, &columns, bytes);
        assert_eq!(
            (tables(&explainer), explainer.table_bytes()),
            (expected, expected * one),
            "{bytes}"
        );
    }
}

#[test]
fn deep_trees_get_no_table() {
    let columns: Vec<usize> = (0..11).collect();
    assert_eq!(tables(&Explainer::new(&ensemble(1, 11), &columns, usize::MAX)), 0);
    assert_eq!(tables(&Explainer::new(&ensemble(1, 10), &columns[..10], usize::MAX)), 1);
}
