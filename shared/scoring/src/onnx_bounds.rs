//! What decoding an ONNX may cost in memory, told before it is decoded.
//!
//! Two bytes of protobuf can become a message of several hundred, so a bound on the file's size alone bounds no memory. What
//! CatBoost exports is one node with a few arrays, as long as the trees of `model.json` have nodes and leaves, and some
//! texts. So the file's fields are counted as they lie there, and a file with more than that is refused undecoded.
//!
//! Field numbers are those of `onnx.proto`; the encoding is <https://protobuf.dev/programming-guides/encoding/>.

use crate::ensemble::Ensemble;
use crate::error::ScoringError;

/// Graphs, nodes, attributes and metadata entries; CatBoost writes 25.
const MAX_MESSAGES: usize = 256;
/// Everything whose content is not looked into: names, types of inputs and outputs.
const MAX_OTHER_BYTES: usize = 16 << 10;
/// Elements of arrays per leaf: nine for each of nearly two nodes and four for each of two classes are 26.
const MAX_ELEMENTS_PER_LEAF: usize = 32;
/// Texts in arrays per leaf: the mode of each of nearly two nodes.
const MAX_TEXTS_PER_LEAF: usize = 3;
/// Elements beside those of trees: classes, biases.
const MAX_OTHER_ELEMENTS: usize = 1 << 10;

/// What lies at a place of the file.
#[derive(Clone, Copy)]
enum Level {
    Model,
    Graph,
    Node,
    Attribute,
    /// An entry of the model's metadata.
    Texts,
}

/// A field's value, as far as the encoding tells.
enum Value<'a> {
    Number,
    Bytes(&'a [u8]),
}

/// What may still come.
struct Budget {
    messages: usize,
    other_bytes: usize,
    elements: usize,
    texts: usize,
}

/// Fails when decoding the ONNX could take more memory than a model with the ensemble's trees needs.
///
/// # Errors
/// When the file is no protobuf, or has more in it than such a model.
pub(crate) fn check(onnx: &[u8], ensemble: &Ensemble) -> Result<(), ScoringError> {
    let leaves: usize = ensemble.trees.iter().map(|tree| tree.leaf_values.len()).sum();
    let mut budget = Budget {
        messages: MAX_MESSAGES,
        other_bytes: MAX_OTHER_BYTES,
        elements: MAX_ELEMENTS_PER_LEAF * leaves + MAX_OTHER_ELEMENTS,
        texts: MAX_TEXTS_PER_LEAF * leaves + MAX_OTHER_ELEMENTS,
    };

    walk(onnx, Level::Model, &mut budget).map_err(|problem| {
        ScoringError::Onnx(format!("{problem}, for {leaves} leaves in model.json"))
    })
}

fn walk(mut message: &[u8], level: Level, budget: &mut Budget) -> Result<(), &'static str> {
    while !message.is_empty() {
        let (field, value) = next_field(&mut message).ok_or("can't be read")?;
        let inner = match (level, field) {
            (Level::Model, 7) => Level::Graph,
            (Level::Model, 14) => Level::Texts,
            (Level::Graph, 1) => Level::Node,
            (Level::Node, 5) => Level::Attribute,
            _ => {
                count(level, field, value, budget)?;
                continue;
            }
        };

        if let Value::Bytes(content) = value {
            spend(&mut budget.messages, 1).ok_or("has too many nodes, attributes or entries")?;
            walk(content, inner, budget)?;
        }
    }

    Ok(())
}

/// Counts a field that is not walked into.
fn count(
    level: Level,
    field: u64,
    value: Value<'_>,
    budget: &mut Budget,
) -> Result<(), &'static str> {
    const TOO_LONG: &str = "has longer arrays than its trees need";
    match (level, field, value) {
        // Texts of entries replace each other, and single numbers do.
        (Level::Texts, ..) | (Level::Model | Level::Graph | Level::Node, _, Value::Number) => {
            Ok(())
        }
        (Level::Attribute, 7, Value::Bytes(floats)) => {
            spend(&mut budget.elements, floats.len() / 4).ok_or(TOO_LONG)
        }
        (Level::Attribute, 8, Value::Bytes(ints)) => {
            // The last byte of each number has no continuation bit.
            let count = ints.iter().filter(|byte| **byte < 0x80).count();
            spend(&mut budget.elements, count).ok_or(TOO_LONG)
        }
        (Level::Attribute, 9, _) => spend(&mut budget.texts, 1).ok_or(TOO_LONG),
        (Level::Attribute, _, Value::Number) => spend(&mut budget.elements, 1).ok_or(TOO_LONG),
        (_, _, Value::Bytes(other)) => {
            // An empty message takes memory too, and two bytes of the file.
            spend(&mut budget.other_bytes, other.len() + 2).ok_or("has too much beside its trees")
        }
    }
}

fn spend(left: &mut usize, amount: usize) -> Option<()> {
    *left = left.checked_sub(amount)?;
    Some(())
}

/// Takes a field off the front of a message.
fn next_field<'a>(message: &mut &'a [u8]) -> Option<(u64, Value<'a>)> {
    let key = varint(message)?;
    let value = match key & 7 {
        0 => varint(message).map(|_| Value::Number),
        1 => message.split_off(..8).map(|_| Value::Number),
        2 => {
            let length = usize::try_from(varint(message)?).ok()?;
            message.split_off(..length).map(Value::Bytes)
        }
        5 => message.split_off(..4).map(|_| Value::Number),
        // Groups, which ONNX does not have.
        _ => None,
    };

    Some((key >> 3, value?))
}

/// Takes a number off the front: seven bits a byte, the lowest first.
fn varint(message: &mut &[u8]) -> Option<u64> {
    let length = 1 + message.iter().take(10).position(|byte| *byte < 0x80)?;
    let bytes = message.split_off(..length)?;
    Some(bytes.iter().rev().fold(0, |number, byte| number << 7 | u64::from(byte & 0x7f)))
}

#[cfg(test)]
mod tests;
