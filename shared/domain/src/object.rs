//! Reading the documents that people write, which have to be JSON objects.

/// Implements `Deserialize` and `Serialize` for types that may be read from a JSON object only.
///
/// The code that serde derives for a struct also reads an array, by position. An empty array would
/// then be a policy with nothing but defaults, and a swapped pair would be a wrong rule. The types
/// are therefore derived with `#[serde(remote = "Self")]`, which gives them functions instead of
/// the traits. This macro writes the traits around those functions, and refuses an array.
#[macro_export]
macro_rules! deserialize_from_object {
    ($($name:ident),+ $(,)?) => {$(
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Object;
                impl<'de> serde::de::Visitor<'de> for Object {
                    type Value = $name;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        formatter.write_str("an object")
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(self, fields: A) -> Result<$name, A::Error> {
                        $name::deserialize(serde::de::value::MapAccessDeserializer::new(fields))
                    }
                }

                deserializer.deserialize_map(Object)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $name::serialize(self, serializer)
            }
        }
    )+};
}
