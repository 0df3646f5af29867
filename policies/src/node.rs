//! A YAML file as a tree in which every key and value knows its place.
//!
//! The policy is read from this tree and not by serde's derive, for three reasons: serde stops at a file's first unknown
//! field, its errors do not name the path of the field, and an environment reference may stand where a number is due.
//! Scalars therefore stay the text that was written (`007`, `off`, `1.10`) until a field says what it wants.

mod expand;

use std::{fmt, sync::Arc};

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

pub(crate) use self::expand::expand;
use crate::problem::{Place, Problem};

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) kind: Kind,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing written, `~` or `null`.
    Null,
    /// A scalar as written, without quotes.
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key of a mapping and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) place: Place,
}

/// Reads one file.
pub(crate) fn parse(file: &Arc<str>, text: &str) -> Result<Node, Problem> {
    let place = |location: Location| Place {
        file: file.clone(),
        line: u32::try_from(location.line()).unwrap_or(u32::MAX),
        column: u32::try_from(location.column()).unwrap_or(u32::MAX),
    };
    match serde_saphyr::from_str::<Spanned<Raw>>(text) {
        Ok(raw) => Ok(settle(raw, text, &place)),
        Err(error) => {
            let place =
                error.location().map_or(Place { file: file.clone(), line: 1, column: 1 }, place);
            let message =
                syntax_message(&error.without_snippet().to_string(), line_at(text, place.line));
            Err(Problem { place, field: String::new(), message })
        }
    }
}

/// Gives every scalar the text that was written.
fn settle(raw: Spanned<Raw>, text: &str, place: &dyn Fn(Location) -> Place) -> Node {
    let written = || {
        let span = raw.defined.span();
        let start = usize::try_from(span.byte_offset()?).ok()?;
        let end = start + usize::try_from(span.byte_len()?).ok()?;
        text.get(start..end)
    };
    let kind = match raw.value {
        Raw::Null => Kind::Null,
        Raw::Text(text) => Kind::Text(text),
        Raw::Typed(read) => Kind::Text(written().map_or(read, str::to_owned)),
        Raw::List(items) => {
            Kind::List(items.into_iter().map(|item| settle(item, text, place)).collect())
        }
        Raw::Map(entries) => Kind::Map(
            entries
                .into_iter()
                .map(|(key, value)| {
                    (
                        Key { place: place(key.referenced), name: key.value },
                        settle(value, text, place),
                    )
                })
                .collect(),
        ),
    };
    Node { place: place(raw.referenced), kind }
}

/// Words the parser's error for the writer of a policy, who knows nothing of the parser's options.
fn syntax_message(error: &str, line: &str) -> String {
    let message = error.split(" at line ").next().unwrap_or(error);
    if let Some(rest) = message.strip_prefix("duplicate mapping key: ") {
        let key = rest.split(", set ").next().unwrap_or(rest);
        return format!("`{key}` is written twice; keep one of them");
    }
    if message.starts_with("multiple YAML documents") {
        return "a policy file is one YAML document; remove what follows `---` or give it a file of its own".to_owned();
    }
    if line.contains("${") {
        return format!(
            "not valid YAML: {message}; inside [ ] and {{ }} a reference needs quotes: \"${{NAME}}\""
        );
    }
    format!("not valid YAML: {message}")
}

fn line_at(text: &str, line: u32) -> &str {
    text.lines().nth((line as usize).saturating_sub(1)).unwrap_or_default()
}

/// What the parser sees; `Typed` scalars are those it reads as something else than text.
enum Raw {
    Null,
    Text(String),
    Typed(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E: Error>(self, read: bool) -> Result<Raw, E> {
        Ok(Raw::Typed(read.to_string()))
    }

    fn visit_u64<E: Error>(self, read: u64) -> Result<Raw, E> {
        Ok(Raw::Typed(read.to_string()))
    }

    fn visit_i64<E: Error>(self, read: i64) -> Result<Raw, E> {
        Ok(Raw::Typed(read.to_string()))
    }

    fn visit_u128<E: Error>(self, read: u128) -> Result<Raw, E> {
        Ok(Raw::Typed(read.to_string()))
    }

    fn visit_i128<E: Error>(self, read: i128) -> Result<Raw, E> {
        Ok(Raw::Typed(read.to_string()))
    }

    fn visit_f64<E: Error>(self, read: f64) -> Result<Raw, E> {
        Ok(Raw::Typed(read.to_string()))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = vec![];
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut map = vec![];
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Raw::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        let node = parse(&"t.yaml".into(), text).expect("the test writes YAML");
        let Kind::List(items) = node.kind else { panic!("the test writes a list") };
        items
            .into_iter()
            .map(|item| match item.kind {
                Kind::Text(text) => format!("{}:{} {text}", item.place.line, item.place.column),
                other => format!("{other:?}"),
            })
            .collect()
    }

    fn error(text: &str) -> String {
        parse(&"t.yaml".into(), text).expect_err("the test writes nonsense").to_string()
    }

    #[test]
    fn scalars_stay_as_written() {
        assert_eq!(
            texts("[007, 1.10, off, true, 0x10, é, \"a b\", 2026-11-27, 1_000]"),
            [
                "1:2 007",
                "1:7 1.10",
                "1:13 off",
                "1:18 true",
                "1:24 0x10",
                "1:30 é",
                "1:33 a b",
                "1:40 2026-11-27",
                "1:52 1_000"
            ]
        );
    }

    #[test]
    fn an_alias_stands_where_it_is_used() {
        assert_eq!(texts("- &a 1s\n- *a\n"), ["1:6 1s", "2:3 1s"]);
    }

    #[test]
    fn syntax_errors_speak_of_the_file_and_not_of_the_parser() {
        insta::assert_snapshot!(error("a: 1\na: 2\n"), @"t.yaml:2:1 `a` is written twice; keep one of them");
        insta::assert_snapshot!(error("a: 1\n---\nb: 2\n"), @"t.yaml:3:1 a policy file is one YAML document; remove what follows `---` or give it a file of its own");
        insta::assert_snapshot!(error("a: [x, ${Y:-1}]\n"), @r#"t.yaml:1:9 not valid YAML: while parsing a flow sequence, expected ',' or ']'; inside [ ] and { } a reference needs quotes: "${NAME}""#);
        insta::assert_snapshot!(error("a: 1\n b: 2\n"), @"t.yaml:2:3 not valid YAML: mapping values are not allowed in this context");
    }
}
