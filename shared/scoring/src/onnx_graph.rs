//! Reads the ONNX file and builds the graph that tract is given.
//!
//! The file is untrusted input, but tract's parser expects a well-formed file. For example, it
//! panics on an output that no node has. So tract is given a new graph, which is built from the
//! checked parts of the file alone.

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
/// The operator that makes Python dictionaries of the probabilities. It is accepted and left out,
/// because nothing here reads dictionaries.
const DICTIONARIES: &str = "ZipMap";
/// The name of the graph's input.
const INPUT: &str = "features";
/// The names of the graph's outputs, in the operator's order.
const OUTPUTS: [&str; 2] = ["label", "probabilities"];

/// Reads the ONNX and gives a graph of the classifier alone, whose input is `[rows, columns]` in
/// f32.
///
/// # Errors
/// When the file can't be read, has more than the one classifier, or describes another model than
/// the ensemble.
pub(crate) fn read(
    onnx: &tract_onnx::Onnx,
    bytes: &[u8],
    ensemble: &Ensemble,
) -> Result<ModelProto, ScoringError> {
    onnx_bounds::check(bytes, ensemble)?;
    let proto = onnx
        .proto_model_for_read(&mut Cursor::new(bytes))
        .map_err(|error| ScoringError::Onnx(format!("can't be read: {error:#}")))?;
    let Some(graph) = proto.graph else { return Err(onnx_error("has no graph")) };
    if let Some(other) =
        graph.node.iter().find(|node| ![CLASSIFIER, DICTIONARIES].contains(&&*node.op_type))
    {
        return Err(onnx_error(format!(
            "has the operator {:?} beside {CLASSIFIER}",
            other.op_type
        )));
    }

    let mut nodes = graph.node.into_iter().filter(|node| node.op_type == CLASSIFIER);
    let (Some(node), None) = (nodes.next(), nodes.next()) else {
        return Err(onnx_error(format!("must have exactly one {CLASSIFIER}")));
    };

    let [input] = graph.input.as_slice() else {
        return Err(onnx_error(format!(
            "must have exactly one input, and has {}",
            graph.input.len()
        )));
    };

    check_input(input, ensemble.columns.len())?;
    if node.input != [input.name.as_str()] {
        return Err(onnx_error(format!("its {CLASSIFIER} does not read the graph's input")));
    }

    onnx_trees::check(&node, ensemble)?;
    Ok(classifier_graph(node, ensemble.columns.len()))
}

fn onnx_error(problem: impl Into<String>) -> ScoringError {
    ScoringError::Onnx(problem.into())
}

/// Checks that the input is any number of rows, each of one float32 per column.
fn check_input(input: &ValueInfoProto, columns: usize) -> Result<(), ScoringError> {
    let tensor = input
        .r#type
        .as_ref()
        .and_then(|kind| kind.value.as_ref())
        .map(|Value::TensorType(tensor)| tensor);
    let Some(Tensor { elem_type, shape: Some(shape) }) = tensor else {
        return Err(onnx_error("its input is no tensor of a shape"));
    };

    if *elem_type != DataType::Float as i32 {
        return Err(onnx_error("its input is not float32"));
    }

    let size = |dimension: &Dimension| match dimension.value {
        Some(dimension::Value::DimValue(size)) => usize::try_from(size).ok(),
        _ => None,
    };

    match shape.dim.as_slice() {
        [rows, row] if size(rows).is_none() && size(row) == Some(columns) => Ok(()),
        dimensions => {
            let sizes: Vec<Option<usize>> = dimensions.iter().map(size).collect();
            Err(onnx_error(format!(
                "its input has the shape {sizes:?}, and must have any number of rows of {columns}"
            )))
        }
    }
}

/// Builds the graph of this node alone.
fn classifier_graph(mut node: NodeProto, columns: usize) -> ModelProto {
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
