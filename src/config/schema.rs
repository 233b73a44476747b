//! Which keys a configuration type has and what goes into each, asked of the type itself.
//!
//! serde tells a `Deserializer` the fields and kinds it expects. [`Schema::of`] answers each question with a harmless value and
//! notes what was asked, so the list of keys can never differ from the structs.

use std::fmt;

use serde::de::value::{Error, StrDeserializer, StringDeserializer};
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess, SeqAccess,
    Visitor,
};
use serde::forward_to_deserialize_any;

/// What a key takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Schema {
    /// Not asked for by the type, or something no configuration file can hold.
    #[default]
    Unknown,
    Text,
    Whole,
    Number,
    Flag,
    Choice(&'static [&'static str]),
    List(Box<Schema>),
    Table(Vec<(&'static str, Schema)>),
}

impl Schema {
    pub fn of<'de, T: Deserialize<'de>>() -> Self {
        let mut schema = Self::default();
        // The values are made up; whether T likes them does not matter, only what it asked for.
        drop(T::deserialize(Probe(&mut schema)));
        schema
    }

    /// The keys of a table, or of the tables in a list.
    pub fn keys(&self) -> &[(&'static str, Schema)] {
        match self {
            Self::Table(keys) => keys,
            Self::List(of) => of.keys(),
            Self::Unknown
            | Self::Text
            | Self::Whole
            | Self::Number
            | Self::Flag
            | Self::Choice(_) => &[],
        }
    }

    pub fn get(&self, key: &str) -> Option<&Schema> {
        self.keys().iter().find(|(k, _)| *k == key).map(|(_, s)| s)
    }

    pub fn is_list_of_tables(&self) -> bool {
        matches!(self, Self::List(of) if matches!(**of, Self::Table(_)))
    }
}

impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("a value"),
            Self::Text => f.write_str("text in quotes"),
            Self::Whole => f.write_str("a whole number, not negative"),
            Self::Number => f.write_str("a number"),
            Self::Flag => f.write_str("true or false"),
            Self::Choice(words) => {
                let words: Vec<String> = words.iter().map(|w| format!("\"{w}\"")).collect();
                write!(f, "one of {}", words.join(", "))
            }
            Self::List(of) => write!(f, "a list, each item {of}"),
            Self::Table(_) => f.write_str("a table"),
        }
    }
}

const ANY_TEXT: &str = "127.0.0.1:1";

struct Probe<'a>(&'a mut Schema);

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("a configuration type must say what it takes"))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        *self.0 = Schema::Flag;
        visitor.visit_bool(false)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        *self.0 = Schema::Whole;
        visitor.visit_u64(1)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        *self.0 = Schema::Number;
        visitor.visit_f64(1.0)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        *self.0 = Schema::Text;
        visitor.visit_str(ANY_TEXT)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let mut of = Schema::default();
        let value = visitor.visit_seq(Items {
            of: &mut of,
            left: 1,
        });
        *self.0 = Schema::List(Box::new(of));
        value
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        let mut of = Schema::default();
        let value = visitor.visit_seq(Items {
            of: &mut of,
            left: len,
        });
        *self.0 = Schema::List(Box::new(of));
        value
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let mut keys = Vec::with_capacity(fields.len());
        let value = visitor.visit_map(Fields {
            left: fields,
            keys: &mut keys,
        });
        *self.0 = Schema::Table(keys);
        value
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        *self.0 = Schema::Choice(variants);
        let first = variants.first().copied().unwrap_or_default();
        let first: StringDeserializer<Error> = first.to_owned().into_deserializer();
        visitor.visit_enum(first)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u128 f32 char bytes byte_buf unit unit_struct tuple_struct map identifier ignored_any
    }
}

struct Items<'a> {
    of: &'a mut Schema,
    left: usize,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        self.left = left;
        seed.deserialize(Probe(self.of)).map(Some)
    }
}

struct Fields<'a> {
    left: &'static [&'static str],
    keys: &'a mut Vec<(&'static str, Schema)>,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        let Some((field, left)) = self.left.split_first() else {
            return Ok(None);
        };
        self.left = left;
        self.keys.push((field, Schema::default()));
        let key: StrDeserializer<'_, Error> = (*field).into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        match self.keys.last_mut() {
            Some((_, schema)) => seed.deserialize(Probe(schema)),
            None => Err(Error::custom("a value before its key")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn every_key_of_the_daemon_is_understood() {
        fn no_unknown(path: &str, schema: &Schema) {
            assert_ne!(*schema, Schema::Unknown, "{path}");
            for (key, of) in schema.keys() {
                no_unknown(&format!("{path}.{key}"), of);
            }
        }
        let schema = Schema::of::<Config>();
        no_unknown("", &schema);
        let http = schema.get("http").unwrap();
        assert_eq!(http.get("listen"), Some(&Schema::Text));
        assert_eq!(http.get("metrics_public"), Some(&Schema::Flag));
        assert_eq!(
            schema.get("log").unwrap().get("format"),
            Some(&Schema::Choice(&["text", "json"]))
        );
        assert!(schema.get("mqtt").unwrap().is_list_of_tables());
        assert!(schema.get("mqtt").unwrap().get("client_id").is_some());
    }
}
