//! Environment references in a tree: `${NAME}` and `${NAME:-default}`.
//!
//! Replaced after parsing, in values only: a variable can change a value and never the shape of a policy.

use super::{Kind, Node};
use crate::problem::Problem;

/// Replaces the references in all values below `node`, whose path is `field`.
///
/// `${NAME:-default}` takes the default when `NAME` is unset or empty, as a shell does; `$${` writes `${`.
pub(crate) fn expand(
    node: &mut Node,
    field: &str,
    env: &dyn Fn(&str) -> Option<String>,
    problems: &mut Vec<Problem>,
) {
    match &mut node.kind {
        Kind::Text(text) if text.contains("${") => match expanded(text, env) {
            Ok(expanded) => *text = expanded,
            Err(message) => {
                problems.push(Problem {
                    place: node.place.clone(),
                    field: field.to_owned(),
                    message,
                });
                // Whatever it would have been: the missing variable is the one problem to tell of.
                node.kind = Kind::Null;
            }
        },
        Kind::Null | Kind::Text(_) => {}
        Kind::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                expand(item, &format!("{field}[{index}]"), env, problems);
            }
        }
        Kind::Map(entries) => {
            for (key, value) in entries {
                let dot = if field.is_empty() { "" } else { "." };
                expand(value, &format!("{field}{dot}{}", key.name), env, problems);
            }
        }
    }
}

fn expanded(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, reference) = rest.split_at(start);
        if let Some(before) = before.strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = &reference[2..];
            continue;
        }
        out.push_str(before);
        let end = reference
            .find('}')
            .ok_or_else(|| format!("`{reference}` has no `}}`; write `${{NAME}}`"))?;
        let inside = &reference[2..end];
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        if !is_name(name) {
            return Err(format!(
                "`{name}` is not the name of an environment variable; write `${{NAME}}`"
            ));
        }
        match (env(name), default) {
            (Some(value), None) => out.push_str(&value),
            (Some(value), Some(_)) if !value.is_empty() => out.push_str(&value),
            (_, Some(default)) => out.push_str(default),
            (None, None) => {
                return Err(format!(
                    "environment variable `{name}` is not set; set it, or give a default: `${{{name}:-value}}`"
                ));
            }
        }
        rest = &reference[end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_replaced_and_escapes_kept() {
        let env = |name: &str| match name {
            "PORT" => Some("80".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let ok = |text| expanded(text, &env).unwrap();
        assert_eq!(ok("a:${PORT}/${PORT}"), "a:80/80");
        assert_eq!(ok("${NONE:-8:-0}"), "8:-0");
        assert_eq!(ok("${PORT:-1}"), "80");
        assert_eq!(ok("${EMPTY:-1}"), "1");
        assert_eq!(ok("${EMPTY}"), "");
        assert_eq!(ok("$${PORT}"), "${PORT}");
        assert_eq!(ok("$5 $LATEST"), "$5 $LATEST");
        let wrong = |text| expanded(text, &env).unwrap_err();
        insta::assert_snapshot!(wrong("${NONE}"), @"environment variable `NONE` is not set; set it, or give a default: `${NONE:-value}`");
        insta::assert_snapshot!(wrong("${PORT"), @"`${PORT` has no `}`; write `${NAME}`");
        insta::assert_snapshot!(wrong("${A B}"), @"`A B` is not the name of an environment variable; write `${NAME}`");
    }
}
