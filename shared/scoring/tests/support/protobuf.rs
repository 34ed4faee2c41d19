//! Writes protobuf by hand, for ONNX files that no exporter would write.
//!
//! The unit tests of `onnx_bounds` include this file too.

/// A number: seven bits a byte, the lowest first.
pub(crate) fn number(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }

    bytes.push(number as u8);
    bytes
}

/// The key before a field's content.
pub(crate) fn key(field: u64, kind: u64) -> Vec<u8> {
    number(field << 3 | kind)
}

/// A field of bytes.
pub(crate) fn field(field: u64, content: &[u8]) -> Vec<u8> {
    [key(field, 2), number(content.len() as u64), content.to_vec()].concat()
}

/// A model with this graph.
pub(crate) fn graph(content: &[u8]) -> Vec<u8> {
    field(7, content)
}

/// A model whose graph has one node with this attribute.
pub(crate) fn attribute(content: &[u8]) -> Vec<u8> {
    graph(&field(1, &field(5, content)))
}
