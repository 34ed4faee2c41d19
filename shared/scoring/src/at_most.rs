//! JSON lists with a maximum length, enforced while parsing.
//!
//! A list that is too long is refused at the first element beyond its maximum, before memory is
//! spent on the others.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

/// A list of at most `MOST` elements.
#[derive(Debug)]
pub(crate) struct AtMost<T, const MOST: usize>(pub(crate) Vec<T>);

impl<T, const MOST: usize> Default for AtMost<T, MOST> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for AtMost<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Elements(PhantomData))
    }
}

struct Elements<T, const MOST: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for Elements<T, MOST> {
    type Value = AtMost<T, MOST>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MOST}")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = list.next_element()? {
            if elements.len() == MOST {
                return Err(A::Error::custom(format_args!("a list has more than {MOST} elements")));
            }

            elements.push(element);
        }

        Ok(AtMost(elements))
    }
}

#[cfg(test)]
mod tests {
    use super::AtMost;

    #[test]
    fn a_list_may_have_its_maximum_and_not_one_element_more() {
        let parse = |json| serde_json::from_str::<AtMost<u8, 2>>(json);
        for (json, expected) in [("[]", &[][..]), ("[1]", &[1]), ("[1, 2]", &[1, 2])] {
            assert_eq!(parse(json).ok().map(|list| list.0).as_deref(), Some(expected), "{json}");
        }

        let error = |json| parse(json).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error("[1, 2, 3]").contains("a list has more than 2 elements"));
        assert!(error("{}").contains("a list of at most 2"));
    }
}
