//! Reading the ONNX, down to the one node that scores.
//!
//! The file comes from whoever can write to the bucket, and tract's parser takes a file to be well-formed: it panics, for
//! one, on an output that no node has. So what is handed to tract is put together here from what has been checked, and
//! from nothing else.

use std::io::Cursor;

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::type_proto::{Tensor, Value};
use tract_onnx::pb::{
    GraphProto, ModelProto, NodeProto, TensorShapeProto, TypeProto, ValueInfoProto,
};
use tract_onnx::prelude::Framework;

use crate::ensemble::Ensemble;
use crate::error::ScoringError;
use crate::{onnx_bounds, onnx_trees};

/// The operator that scores.
pub(crate) const CLASSIFIER: &str = "TreeEnsembleClassifier";
/// Makes dictionaries for Python from the probabilities; tract has no place for them, and nobody here reads them.
const DICTIONARIES: &str = "ZipMap";
/// What the classifier reads.
const INPUT: &str = "features";
/// What it gives, in the operator's order.
const OUTPUTS: [&str; 2] = ["label", "probabilities"];

/// Reads the ONNX: a graph of one input `[rows, columns]` f32 and the classifier.
///
/// # Errors
/// When it can't be read, has anything but the one classifier, or describes another model than the ensemble.
pub(crate) fn read(
    onnx: &tract_onnx::Onnx,
    bytes: &[u8],
    ensemble: &Ensemble,
) -> Result<ModelProto, ScoringError> {
    onnx_bounds::check(bytes, ensemble)?;
    let proto = onnx
        .proto_model_for_read(&mut Cursor::new(bytes))
        .map_err(|error| ScoringError::Onnx(format!("can't be read: {error:#}")))?;
    let Some(graph) = proto.graph else { return refuse("has no graph") };
    if let Some(other) =
        graph.node.iter().find(|node| ![CLASSIFIER, DICTIONARIES].contains(&&*node.op_type))
    {
        return refuse(format!("has the operator {:?} beside {CLASSIFIER}", other.op_type));
    }

    let mut nodes = graph.node.into_iter().filter(|node| node.op_type == CLASSIFIER);
    let (Some(node), None) = (nodes.next(), nodes.next()) else {
        return refuse(format!("must have exactly one {CLASSIFIER}"));
    };

    let [input] = graph.input.as_slice() else {
        return refuse(format!("must have exactly one input, and has {}", graph.input.len()));
    };

    check_input(input, ensemble.columns.len())?;
    if node.input != [input.name.as_str()] {
        return refuse(format!("its {CLASSIFIER} does not read the graph's input"));
    }

    onnx_trees::check(&node, ensemble)?;
    Ok(of_classifier(node, ensemble.columns.len()))
}

fn refuse<T>(problem: impl Into<String>) -> Result<T, ScoringError> {
    Err(ScoringError::Onnx(problem.into()))
}

/// Any number of rows of as many float32 as the model has columns.
fn check_input(input: &ValueInfoProto, columns: usize) -> Result<(), ScoringError> {
    let tensor = input
        .r#type
        .as_ref()
        .and_then(|kind| kind.value.as_ref())
        .map(|Value::TensorType(tensor)| tensor);
    let Some(Tensor { elem_type, shape: Some(shape) }) = tensor else {
        return refuse("its input is no tensor of a shape");
    };

    if *elem_type != DataType::Float as i32 {
        return refuse("its input is not float32");
    }

    let size = |dimension: &Dimension| match dimension.value {
        Some(dimension::Value::DimValue(size)) => usize::try_from(size).ok(),
        _ => None,
    };

    match shape.dim.as_slice() {
        [rows, row] if size(rows).is_none() && size(row) == Some(columns) => Ok(()),
        dimensions => {
            let sizes: Vec<Option<usize>> = dimensions.iter().map(size).collect();
            refuse(format!(
                "its input has the shape {sizes:?}, and must have any number of rows of {columns}"
            ))
        }
    }
}

/// The graph of this node alone.
fn of_classifier(mut node: NodeProto, columns: usize) -> ModelProto {
    node.name = CLASSIFIER.to_owned();
    node.input = vec![INPUT.to_owned()];
    node.output = OUTPUTS.map(str::to_owned).to_vec();
    let dimension = |value| Dimension { value, ..Dimension::default() };
    let shape = TensorShapeProto {
        dim: vec![dimension(None), dimension(Some(dimension::Value::DimValue(columns as i64)))],
    };

    let tensor = Tensor { elem_type: DataType::Float as i32, shape: Some(shape) };
    let kind = TypeProto { value: Some(Value::TensorType(tensor)), ..TypeProto::default() };
    let input =
        ValueInfoProto { name: INPUT.to_owned(), r#type: Some(kind), ..ValueInfoProto::default() };
    let output = |name: &str| ValueInfoProto { name: name.to_owned(), ..ValueInfoProto::default() };
    let graph = GraphProto {
        node: vec![node],
        input: vec![input],
        output: OUTPUTS.map(output).to_vec(),
        ..GraphProto::default()
    };

    ModelProto { graph: Some(graph), ..ModelProto::default() }
}
