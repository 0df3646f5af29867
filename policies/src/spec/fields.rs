//! Reading the fields of a mapping, one by one, noting what is wrong with each.
//!
//! Every field that is asked for becomes known; what is left at the end is unknown, and the known ones are what the
//! writer may have meant. So the list of fields cannot differ from what is read.

use std::cell::RefCell;

use crate::{
    node::{Key, Kind, Node},
    problem::{Place, Problem, did_you_mean},
};

/// Collects problems while several readers are at work.
#[derive(Debug, Default)]
pub(crate) struct Sink(RefCell<Vec<Problem>>);

impl Sink {
    pub(crate) fn add(&self, place: Place, field: impl Into<String>, message: impl Into<String>) {
        self.push(Problem { place, field: field.into(), message: message.into() });
    }

    pub(crate) fn push(&self, problem: Problem) {
        self.0.borrow_mut().push(problem);
    }

    /// Returns how many problems there are by now: what changed it was not sound.
    pub(crate) fn count(&self) -> usize {
        self.0.borrow().len()
    }

    /// Takes what was collected, ordered by the files' order in `files`, then by place; equal problems once.
    pub(crate) fn into_problems(self, files: &[String]) -> Vec<Problem> {
        let mut problems = self.0.into_inner();
        let rank = |problem: &Problem| files.iter().position(|file| **file == *problem.place.file);
        problems.sort_by_cached_key(|problem| (rank(problem), problem.clone()));
        problems.dedup();
        problems
    }
}

/// A value that was read, and what a later check needs to speak about it.
#[derive(Debug, Clone)]
pub(crate) struct Written<T> {
    pub(crate) value: T,
    pub(crate) place: Place,
    pub(crate) field: String,
}

impl<T> Written<T> {
    pub(crate) fn problem(&self, sink: &Sink, message: impl Into<String>) {
        sink.add(self.place.clone(), self.field.clone(), message);
    }
}

/// A node and the path of its field.
#[derive(Debug, Clone)]
pub(crate) struct Item<'n> {
    pub(crate) node: &'n Node,
    pub(crate) field: String,
}

impl Item<'_> {
    /// Reads a scalar; notes what `parse` finds wrong with it.
    pub(crate) fn value<T>(
        &self,
        sink: &Sink,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Written<T>> {
        let (place, field) = (self.node.place.clone(), self.field.clone());
        let message = match &self.node.kind {
            Kind::Null => return None,
            Kind::Text(text) => match parse(text) {
                Ok(value) => return Some(Written { value, place, field }),
                Err(message) => message,
            },
            Kind::List(_) => "expected one value, got a list".to_owned(),
            Kind::Map(_) => "expected one value, got fields".to_owned(),
        };
        sink.add(place, field, message);
        None
    }
}

/// The fields of one mapping.
#[derive(Debug)]
pub(crate) struct Fields<'n, 's> {
    pub(crate) path: String,
    pub(crate) place: Place,
    entries: &'n [(Key, Node)],
    known: Vec<&'static str>,
    /// Known, but not to be written here.
    refused: Vec<&'static str>,
    pub(crate) sink: &'s Sink,
}

impl<'n, 's> Fields<'n, 's> {
    /// Returns the fields of `node`; notes it when it is something else. Nothing written is no field.
    pub(crate) fn of(node: &'n Node, path: String, sink: &'s Sink) -> Option<Self> {
        let entries: &[(Key, Node)] = match &node.kind {
            Kind::Map(entries) => entries,
            Kind::Null => &[],
            Kind::Text(text) => {
                sink.add(
                    node.place.clone(),
                    path,
                    format!("expected fields (`key: value`), got `{text}`"),
                );
                return None;
            }
            Kind::List(_) => {
                sink.add(node.place.clone(), path, "expected fields (`key: value`), got a list");
                return None;
            }
        };
        Some(Self {
            path,
            place: node.place.clone(),
            entries,
            known: vec![],
            refused: vec![],
            sink,
        })
    }

    /// Returns the path of the field `name`.
    pub(crate) fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// Returns all fields, for mappings whose keys the writer chooses.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (Written<String>, &'n Node)> {
        self.entries.iter().map(|(key, node)| {
            (
                Written {
                    value: key.name.clone(),
                    place: key.place.clone(),
                    field: self.path_of(&key.name),
                },
                node,
            )
        })
    }

    /// Tells whether `name` is written, even with nothing behind it.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|(key, _)| key.name == name)
    }

    fn entry(&mut self, name: &'static str) -> Option<&'n (Key, Node)> {
        self.known.push(name);
        self.entries.iter().find(|(key, _)| key.name == name)
    }

    /// Returns the field `name` unless nothing stands there.
    pub(crate) fn item(&mut self, name: &'static str) -> Option<Item<'n>> {
        let (_, node) = self.entry(name)?;
        if node.kind == Kind::Null {
            return None;
        }
        Some(Item { node, field: self.path_of(name) })
    }

    /// Reads the scalar field `name`.
    pub(crate) fn value<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Written<T>> {
        self.item(name)?.value(self.sink, parse)
    }

    /// Reads the field `name` as one scalar or a list of them.
    pub(crate) fn values<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<Written<T>> {
        let Some(item) = self.item(name) else { return vec![] };
        let items = match &item.node.kind {
            Kind::Text(_) => vec![item],
            _ => self.list(name),
        };
        items.iter().filter_map(|item| item.value(self.sink, &parse)).collect()
    }

    /// Reads the field `name` as a list.
    pub(crate) fn list(&mut self, name: &'static str) -> Vec<Item<'n>> {
        let Some(item) = self.item(name) else { return vec![] };
        let Kind::List(items) = &item.node.kind else {
            self.sink.add(item.node.place.clone(), item.field, "expected a list (`- item`)");
            return vec![];
        };
        let field = item.field;
        items
            .iter()
            .enumerate()
            .map(|(index, node)| Item { node, field: format!("{field}[{index}]") })
            .collect()
    }

    /// Tells whether `name` is written as an empty list.
    pub(crate) fn list_is_empty(&self, name: &str) -> bool {
        let written = self.entries.iter().find(|(key, _)| key.name == name);
        written.is_some_and(|(_, node)| matches!(&node.kind, Kind::List(items) if items.is_empty()))
    }

    /// Reads the field `name` as a mapping.
    pub(crate) fn fields(&mut self, name: &'static str) -> Option<Fields<'n, 's>> {
        let item = self.item(name)?;
        Fields::of(item.node, item.field, self.sink)
    }

    /// Refuses the field `name`, whose feature does not exist yet.
    pub(crate) fn not_yet(&mut self, name: &'static str) {
        self.misplaced(name, "not yet supported; remove it");
    }

    /// Refuses the fields `names` as not yet supported, without offering them as corrections.
    pub(crate) fn reserved(&mut self, names: &[&'static str]) {
        for name in names {
            if self.has(name) {
                self.not_yet(name);
            }
        }
    }

    /// Refuses the field `name` with `message`.
    pub(crate) fn misplaced(&mut self, name: &'static str, message: &str) {
        self.refused.push(name);
        if let Some((key, _)) = self.entries.iter().find(|(key, _)| key.name == name) {
            self.sink.add(key.place.clone(), self.path_of(name), message);
        }
    }

    /// Notes that the field `name` must be written.
    pub(crate) fn missing(&self, name: &str, fix: &str) {
        self.sink.add(self.place.clone(), self.path_of(name), format!("missing; {fix}"));
    }

    /// Notes every field that nobody asked for.
    pub(crate) fn done(self) {
        let Self { mut known, refused, entries, sink, path, .. } = self;
        known.sort_unstable();
        for (key, _) in entries {
            let name = &*key.name;
            if known.contains(&name) || refused.contains(&name) {
                continue;
            }
            // What is refused may still be what was meant; the next run then says where it belongs.
            let hint = match did_you_mean(name, known.iter().chain(&refused).copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("known here: {}", known.join(", ")),
            };
            let dot = if path.is_empty() { "" } else { "." };
            sink.add(
                key.place.clone(),
                format!("{path}{dot}{name}"),
                format!("unknown field `{name}`; {hint}"),
            );
        }
    }
}
