//! The policy's JSON Schema, for editors: drawn from what the reader asks for, worded by the reference.
//!
//! The reader itself is run on nothing and every field that it asks for is noted, so the schema cannot know another
//! policy than [`load`](crate::load) does. It tells shapes; what only makes sense beside something else (a service that
//! does not exist, two lanes in one region) is left to `pacer check`. Descriptions are those of `docs/policy.md`.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use crate::spec::{
    draw,
    outline::{Choice, Drawing, Value},
    scalar::Shape,
};

/// The reference of the policy file.
const REFERENCE: &str = include_str!("../../docs/policy.md");

/// Returns the schema of a policy's main file, as JSON (draft 2020-12).
pub fn schema() -> Json {
    let mut schema = mapping(&draw(), "", &reference());
    let head = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Pacer policy",
        "$defs": {
            "environment": {
                "description": "A reference to the environment: ${NAME} or ${NAME:-default}.",
                "type": "string",
                "pattern": r"\$\{",
            },
        },
    });
    merge(&mut schema, head);
    schema
}

/// What the tables of the reference say of each key.
fn reference() -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    for line in REFERENCE.lines() {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [keys, meaning, rest @ ..] = &cells[..] else { continue };
        if !keys.starts_with('`') {
            continue;
        }
        let default = match rest.first().map(|cell| cell.trim_end_matches(" |")) {
            Some(default) if !default.is_empty() => format!(" Default: {default}."),
            _ => String::new(),
        };
        let mut group = "";
        for key in keys.split('`').skip(1).step_by(2) {
            // `objective.p99`, `.success`: the later ones leave out what they share.
            let name = match key.strip_prefix('.') {
                Some(rest) => format!("{group}.{rest}"),
                None => key.to_owned(),
            };
            group = if key.starts_with('.') { group } else { key.split('.').next().unwrap_or(key) };
            texts.entry(name).or_insert_with(|| format!("{meaning}.{default}").replace('`', ""));
        }
    }
    texts
}

/// Returns the name under which the reference tells of the field at `path`: what is inherited is told once.
fn told_as(path: &str) -> String {
    ["defaults.", "services.*.", "routes.*."]
        .iter()
        .find_map(|prefix| path.strip_prefix(prefix))
        .unwrap_or(path)
        .replace(".*", "")
}

fn mapping(drawing: &Drawing, path: &str, reference: &BTreeMap<String, String>) -> Json {
    let outline = drawing.borrow();
    let at = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    let mut properties = Map::new();
    for (name, value) in &outline.fields {
        let path = at(name);
        let mut schema = value_schema(value, &path, reference);
        if let Some(text) = reference.get(&told_as(&path)) {
            merge(&mut schema, json!({ "description": text }));
        }
        properties.insert((*name).to_owned(), schema);
    }
    let mut schema = json!({ "type": "object" });
    let others = outline.others.as_ref().map(|value| value_schema(value, &at("*"), reference));
    merge(&mut schema, json!({ "additionalProperties": others.unwrap_or(Json::Bool(false)) }));
    if !properties.is_empty() {
        merge(&mut schema, json!({ "properties": properties }));
    }
    if !outline.required.is_empty() {
        merge(&mut schema, json!({ "required": outline.required }));
    }
    for (choice, names) in &outline.choices {
        let required = |name: &&str| json!({ "required": [name] });
        let each: Vec<Json> = names.iter().map(required).collect();
        merge(
            &mut schema,
            match choice {
                Choice::Any => json!({ "anyOf": each }),
                Choice::One => json!({ "oneOf": each }),
                Choice::NotAll => json!({ "not": { "required": names } }),
            },
        );
    }
    schema
}

fn value_schema(value: &Value, path: &str, reference: &BTreeMap<String, String>) -> Json {
    match value {
        Value::Scalar(shape) => scalar(*shape),
        Value::OneOrMany(shape) => {
            let one = scalar(*shape);
            json!({ "anyOf": [one, { "type": "array", "items": one }] })
        }
        Value::OrNothing(shape) => json!({ "anyOf": [scalar(*shape), { "type": "null" }] }),
        Value::WordOrFields(shape, fields) => {
            json!({ "anyOf": [scalar(*shape), mapping(fields, path, reference)] })
        }
        Value::Fields(fields) => mapping(fields, path, reference),
        Value::List(fields) => {
            let items = mapping(fields, &format!("{path}.*"), reference);
            json!({ "type": "array", "items": items })
        }
    }
}

/// Returns the schema of a scalar, for which a reference to the environment may always stand.
fn scalar(shape: Shape) -> Json {
    let written = match shape {
        Shape::Text => return json!({ "type": ["string", "number", "boolean"] }),
        Shape::Only(number) => return json!({ "const": number }),
        Shape::Words(words) => {
            let mut words: Vec<Json> = words.iter().map(|word| (*word).into()).collect();
            // As YAML 1.1 reads it, and editors that still go by that.
            words.extend(words.contains(&"off".into()).then_some(Json::Bool(false)));
            json!({ "enum": words })
        }
        Shape::Boolean => json!({ "type": "boolean" }),
        Shape::Count => json!({ "type": "integer", "minimum": 1 }),
        Shape::Whole => json!({ "type": "integer", "minimum": 0 }),
        Shape::Number => json!({ "type": "number", "exclusiveMinimum": 0 }),
        Shape::Form(form) => json!({ "type": "string", "pattern": form }),
        Shape::FormOrOff(form) => {
            json!({ "anyOf": [{ "type": "string", "pattern": form }, { "enum": ["off", false] }] })
        }
    };
    json!({ "anyOf": [written, { "$ref": "#/$defs/environment" }] })
}

fn merge(into: &mut Json, from: Json) {
    if let (Json::Object(into), Json::Object(from)) = (into, from) {
        into.extend(from);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{path::Path, sync::LazyLock};

    use jsonschema::Validator;

    use super::*;
    use crate::{
        load::{MemorySource, Source, load},
        node::{self, Kind, Node},
    };

    static VALIDATOR: LazyLock<Validator> =
        LazyLock::new(|| jsonschema::validator_for(&schema()).expect("a schema"));

    /// A tree as an editor reads it, by the core schema of YAML 1.2.
    fn json(node: &Node) -> Json {
        match &node.kind {
            Kind::Null => Json::Null,
            Kind::Text(text) => match (&**text, text.parse::<i64>(), text.parse::<f64>()) {
                ("true", ..) => true.into(),
                ("false", ..) => false.into(),
                (_, Ok(number), _) => number.into(),
                (_, _, Ok(number)) => number.into(),
                _ => text.as_str().into(),
            },
            Kind::List(items) => items.iter().map(json).collect(),
            Kind::Map(entries) => {
                entries.iter().map(|(key, value)| (key.name.clone(), json(value))).collect()
            }
        }
    }

    fn errors(name: &str, text: &str) -> Vec<String> {
        let mut tree = json(&node::parse(&name.into(), text).expect("YAML"));
        // An included file may leave out its version.
        if let Json::Object(fields) = &mut tree
            && name != "policy.yaml"
        {
            fields.entry("version").or_insert_with(|| 1.into());
        }
        let errors = VALIDATOR.iter_errors(&tree);
        errors.map(|error| format!("{name}{}: {error}", error.instance_path())).collect()
    }

    /// Fails when a policy that was accepted is none by the schema. Every accepted policy of the tests comes here.
    pub(crate) fn holds(source: &dyn Source, files: &[String]) {
        for name in files {
            let text = source.read(name).expect("it was read before");
            assert_eq!(errors(name, &text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn the_schema_in_the_repository_is_fresh() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema.json");
        let fresh = format!("{:#}\n", schema());
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&file, &fresh).unwrap();
        }
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text == fresh, "policies/schema.json is stale: UPDATE=1 cargo test -p policies");
    }

    #[test]
    fn common_slips_are_marked_in_the_editor() {
        let good = "
version: 1
listen: { http: '127.0.0.1:0' }
defaults: { timeouts: { total: 30s } }
services:
  app:
    lambda: { function: 'f:live', assume: { memory: 1GiB } }
    container: { upstreams: [http://a], requests_per_task: 4 }
routes:
  - { match: { path: /a, method: POST }, service: app, class: auto, lanes: [lambda] }
";
        load("policy.yaml", &MemorySource::file("policy.yaml", good)).unwrap();
        assert_eq!(errors("policy.yaml", good), Vec::<String>::new());
        for (right, wrong) in [
            ("version: 1", "version: 2"),
            ("version: 1\n", "\n"),
            ("listen:", "lisen:"),
            ("'127.0.0.1:0'", "8080"),
            ("30s", "30"),
            ("30s", "30sec"),
            ("timeouts:", "timeout:"),
            ("function: 'f:live', ", ""),
            ("1GiB", "1024"),
            ("assume: { memory: 1GiB }", "memory: 1GiB"),
            ("upstreams: [http://a], ", ""),
            (
                "upstreams: [http://a]",
                "upstreams: [http://a], ecs: { cluster: c, service: s, port: 1 }",
            ),
            ("http://a", "a:80"),
            ("requests_per_task: 4", "requests_per_task: 0"),
            ("path: /a", "path: a"),
            ("path: /a", "path: /a, path_prefix: /b"),
            ("method: POST", "method: post"),
            ("match: {", "mtch: {"),
            ("class: auto", "class: fast"),
            ("lanes: [lambda]", "lanes: [lamda]"),
            ("service: app, ", ""),
            ("routes:", "canary: 1\nroutes:"),
        ] {
            let bad = good.replacen(right, wrong, 1);
            assert_ne!(bad, good, "{wrong}");
            let refused = load("policy.yaml", &MemorySource::file("policy.yaml", &bad)).is_err();
            assert!(refused, "the reader takes `{wrong}`");
            assert_ne!(
                errors("policy.yaml", &bad),
                Vec::<String>::new(),
                "the schema takes `{wrong}`"
            );
        }
    }

    #[test]
    fn the_reference_tells_of_every_field() {
        fn walk(schema: &Json, path: &str, missing: &mut Vec<String>) {
            for (name, field) in schema["properties"].as_object().into_iter().flatten() {
                if !field["description"].is_null() {
                    continue;
                }
                let path = format!("{path}.{name}");
                let inner = ["/additionalProperties", "/items", ""]
                    .iter()
                    .filter_map(|at| field.pointer(at));
                let before = missing.len();
                let mut is_group = false;
                for inner in inner {
                    is_group |= inner["properties"].is_object();
                    walk(inner, &path, missing);
                }
                if !is_group && missing.len() == before {
                    missing.push(path);
                }
            }
        }
        let mut missing = Vec::new();
        walk(&schema(), "", &mut missing);
        assert_eq!(missing, Vec::<String>::new());
    }
}
