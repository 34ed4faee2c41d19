//! Bounds the memory that decoding an ONNX file takes, before it is decoded.
//!
//! Two bytes of protobuf can become a message of several hundred bytes, so a bound on the size of
//! the file does not bound the memory. CatBoost exports one node with a few arrays, whose length
//! follows from the trees of `model.json`, and some texts. So the fields of the encoded file are
//! counted, and a file with more than that is refused without decoding it.
//!
//! Field numbers are those of `onnx.proto`; the encoding is
//! <https://protobuf.dev/programming-guides/encoding/>.

use crate::ensemble::Ensemble;
use crate::error::ScoringError;

/// The most graphs, nodes, attributes and metadata entries together. CatBoost writes 25.
const MAX_MESSAGES: usize = 256;
/// The most bytes of fields that are not counted by their content: names, types of inputs and
/// outputs.
const MAX_OTHER_BYTES: usize = 16 << 10;
/// The most elements of arrays per leaf. CatBoost writes 26: nine for each of nearly two nodes, and
/// four for each of two classes.
const MAX_ELEMENTS_PER_LEAF: usize = 32;
/// The most texts in arrays per leaf. CatBoost writes the mode of each of nearly two nodes.
const MAX_TEXTS_PER_LEAF: usize = 3;
/// The most elements that do not belong to trees: classes and biases.
const MAX_OTHER_ELEMENTS: usize = 1 << 10;

/// The kind of message at a place of the file.
#[derive(Clone, Copy)]
enum Level {
    Model,
    Graph,
    Node,
    Attribute,
    /// An entry of the model's metadata.
    Texts,
}

/// A field's value, as far as the encoding says what it is.
enum Value<'a> {
    Number,
    Bytes(&'a [u8]),
}

/// How much of each kind the rest of the file may have.
struct Budget {
    messages: usize,
    other_bytes: usize,
    elements: usize,
    texts: usize,
}

/// Checks that the file has no more in it than a model with the ensemble's trees needs.
///
/// # Errors
/// When the file is not protobuf or has more in it.
pub(crate) fn check(onnx: &[u8], ensemble: &Ensemble) -> Result<(), ScoringError> {
    let leaves: usize = ensemble.trees.iter().map(|tree| tree.leaf_values.len()).sum();
    let mut budget = Budget {
        messages: MAX_MESSAGES,
        other_bytes: MAX_OTHER_BYTES,
        elements: MAX_ELEMENTS_PER_LEAF * leaves + MAX_OTHER_ELEMENTS,
        texts: MAX_TEXTS_PER_LEAF * leaves + MAX_OTHER_ELEMENTS,
    };

    count_message(onnx, Level::Model, &mut budget).map_err(|problem| {
        ScoringError::Onnx(format!("{problem}, for {leaves} leaves in model.json"))
    })
}

/// Counts the fields of a message and of the messages in it.
fn count_message(
    mut message: &[u8],
    level: Level,
    budget: &mut Budget,
) -> Result<(), &'static str> {
    while !message.is_empty() {
        let (field, value) = next_field(&mut message).ok_or("can't be read")?;
        let inner = match (level, field) {
            (Level::Model, 7) => Level::Graph,
            (Level::Model, 14) => Level::Texts,
            (Level::Graph, 1) => Level::Node,
            (Level::Node, 5) => Level::Attribute,
            _ => {
                count_field(level, field, value, budget)?;
                continue;
            }
        };

        if let Value::Bytes(content) = value {
            spend(&mut budget.messages, 1).ok_or("has too many nodes, attributes or entries")?;
            count_message(content, inner, budget)?;
        }
    }

    Ok(())
}

/// Counts a field that is not a message of a known kind.
fn count_field(
    level: Level,
    field: u64,
    value: Value<'_>,
    budget: &mut Budget,
) -> Result<(), &'static str> {
    const TOO_LONG: &str = "has longer arrays than its trees need";
    match (level, field, value) {
        // These take no memory beyond the message: a later value of such a field replaces an
        // earlier one.
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
            // An empty message takes memory too. It has two bytes in the file.
            spend(&mut budget.other_bytes, other.len() + 2).ok_or("has too much beside its trees")
        }
    }
}

/// Takes an amount out of what is left; `None` when it is more.
fn spend(left: &mut usize, amount: usize) -> Option<()> {
    *left = left.checked_sub(amount)?;
    Some(())
}

/// Takes a field off the front of a message and gives its number and value.
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
        // Groups, which ONNX does not use, and kinds that do not exist.
        _ => None,
    };

    Some((key >> 3, value?))
}

/// Takes a number off the front of a message. Each byte has seven bits of it, the lowest first.
fn varint(message: &mut &[u8]) -> Option<u64> {
    let length = 1 + message.iter().take(10).position(|byte| *byte < 0x80)?;
    let bytes = message.split_off(..length)?;
    Some(bytes.iter().rev().fold(0, |number, byte| number << 7 | u64::from(byte & 0x7f)))
}

#[cfg(test)]
mod tests;
