//! Reading the fields of a mapping, one by one, noting what is wrong with each.
//!
//! Every field that is asked for becomes known; what is left at the end is unknown, and the known ones are what the
//! writer may have meant. So the list of fields cannot differ from what is read.

use std::cell::RefCell;

use super::{
    outline::{Choice, Drawing, Outline, Value, shape},
    scalar::Scalar,
};
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
struct Item<'n> {
    node: &'n Node,
    field: String,
}

impl Item<'_> {
    /// Reads a scalar; notes what is wrong with it.
    fn value<T>(&self, sink: &Sink, scalar: Scalar<T>) -> Option<Written<T>> {
        let (place, field) = (self.node.place.clone(), self.field.clone());
        let message = match &self.node.kind {
            Kind::Null => return None,
            Kind::Text(text) => match (scalar.parse)(text) {
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
    /// Nothing is read: what is asked for is noted.
    drawing: Option<Drawing>,
}

/// What stands where a word or fields may.
pub(crate) enum WordOrFields<'n, 's, T> {
    Nothing,
    Word(Written<T>),
    Fields(Fields<'n, 's>),
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
            drawing: None,
        })
    }

    /// Returns a mapping without entries that notes in `drawing` what it is asked for.
    pub(crate) fn draw(drawing: Drawing, sink: &'s Sink) -> Self {
        let place = Place { file: "".into(), line: 0, column: 0 };
        let (entries, known, refused): (&[_], _, _) = (&[], vec![], vec![]);
        Self { path: String::new(), place, entries, known, refused, sink, drawing: Some(drawing) }
    }

    fn child(&self, name: &'static str, value: impl FnOnce(Drawing) -> Value) -> Option<Self> {
        let drawing = self.drawing.as_ref()?;
        Some(Self::draw(Outline::child(drawing, name, value), self.sink))
    }

    fn note(&self, name: &'static str, value: impl FnOnce() -> Value) {
        if let Some(drawing) = &self.drawing {
            Outline::note(drawing, name, value());
        }
    }

    /// Returns the path of the field `name`.
    pub(crate) fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// Reads a mapping from names that the writer chooses to mappings.
    pub(crate) fn named<T>(
        &mut self,
        name: &'static str,
        read: impl Fn(Written<String>, Option<Fields<'n, 's>>) -> T,
    ) -> Vec<T> {
        if let Some(fields) = self.child(name, Value::Fields) {
            let child = Drawing::default();
            if let Some(drawing) = &fields.drawing {
                drawing.borrow_mut().others = Some(Value::Fields(child.clone()));
            }
            let name =
                Written { value: String::new(), place: self.place.clone(), field: String::new() };
            read(name, Some(Self::draw(child, self.sink)));
            return vec![];
        }
        let Some(fields) = self.fields(name) else { return vec![] };
        let entry = |(key, node): (Written<String>, &'n Node)| {
            let fields = Fields::of(node, key.field.clone(), self.sink);
            read(key, fields)
        };
        fields.entries().map(entry).collect()
    }

    /// Reads a mapping from names that the writer chooses to scalars; a name with nothing behind it is one too.
    pub(crate) fn conditions<T>(
        &mut self,
        name: &'static str,
        scalar: Scalar<T>,
    ) -> Vec<(Written<String>, Option<T>)> {
        let drawn = self.child(name, Value::Fields).and_then(|fields| fields.drawing);
        if let Some(drawing) = drawn {
            drawing.borrow_mut().others = Some(Value::OrNothing(shape(&scalar)));
            return vec![];
        }
        let Some(fields) = self.fields(name) else { return vec![] };
        let condition = |(key, node): (Written<String>, &'n Node)| {
            if node.kind == Kind::Null {
                return Some((key, None));
            }
            let item = Item { node, field: key.field.clone() };
            let value = item.value(fields.sink, scalar)?;
            Some((key, Some(value.value)))
        };
        fields.entries().filter_map(condition).collect()
    }

    /// Reads the field `name` as a list of mappings.
    pub(crate) fn each<T>(
        &mut self,
        name: &'static str,
        read: impl Fn(Fields<'n, 's>) -> T,
    ) -> Vec<T> {
        if let Some(fields) = self.child(name, Value::List) {
            read(fields);
            return vec![];
        }
        let items = self.list(name);
        let items =
            items.iter().filter_map(|item| Fields::of(item.node, item.field.clone(), self.sink));
        items.map(read).collect()
    }

    /// Reads the field `name` as a word or as fields.
    pub(crate) fn word_or_fields<T>(
        &mut self,
        name: &'static str,
        word: Scalar<T>,
    ) -> WordOrFields<'n, 's, T> {
        if let Some(fields) = self.child(name, |fields| Value::WordOrFields(shape(&word), fields)) {
            return WordOrFields::Fields(fields);
        }
        let Some(item) = self.item(name) else { return WordOrFields::Nothing };
        if let Kind::Text(_) = item.node.kind {
            return item.value(self.sink, word).map_or(WordOrFields::Nothing, WordOrFields::Word);
        }
        let fields = Fields::of(item.node, item.field, self.sink);
        fields.map_or(WordOrFields::Nothing, WordOrFields::Fields)
    }

    /// Tells how many fields of `names` may be written. Whoever reads them holds the writer to it; this is for the schema.
    pub(crate) fn choice(&self, choice: Choice, names: &'static [&'static str]) {
        if let Some(drawing) = &self.drawing {
            drawing.borrow_mut().choices.push((choice, names));
        }
    }

    fn entries(&self) -> impl Iterator<Item = (Written<String>, &'n Node)> {
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

    /// Tells whether nothing at all is written.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Tells whether `name` is written, even with nothing behind it.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|(key, _)| key.name == name)
    }

    /// Notes that the field `name` was dealt with.
    pub(crate) fn known(&mut self, name: &'static str) {
        self.known.push(name);
    }

    fn entry(&mut self, name: &'static str) -> Option<&'n (Key, Node)> {
        self.known.push(name);
        self.entries.iter().find(|(key, _)| key.name == name)
    }

    /// Tells whether something stands behind `name`.
    pub(crate) fn has_value(&self, name: &str) -> bool {
        let written = self.entries.iter().find(|(key, _)| key.name == name);
        written.is_some_and(|(_, node)| node.kind != Kind::Null)
    }

    /// Returns the field `name` unless nothing stands there.
    fn item(&mut self, name: &'static str) -> Option<Item<'n>> {
        let (_, node) = self.entry(name)?;
        if node.kind == Kind::Null {
            return None;
        }
        Some(Item { node, field: self.path_of(name) })
    }

    /// Reads the scalar field `name`.
    pub(crate) fn value<T>(&mut self, name: &'static str, scalar: Scalar<T>) -> Option<Written<T>> {
        self.note(name, || Value::Scalar(shape(&scalar)));
        self.item(name)?.value(self.sink, scalar)
    }

    /// Reads the field `name` as one scalar or a list of them.
    pub(crate) fn values<T>(&mut self, name: &'static str, scalar: Scalar<T>) -> Vec<Written<T>> {
        self.note(name, || Value::OneOrMany(shape(&scalar)));
        let Some(item) = self.item(name) else { return vec![] };
        let items = match &item.node.kind {
            Kind::Text(_) => vec![item],
            _ => self.list(name),
        };
        items.iter().filter_map(|item| item.value(self.sink, scalar)).collect()
    }

    /// Reads the field `name` as a list.
    fn list(&mut self, name: &'static str) -> Vec<Item<'n>> {
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

    /// Tells whether `name` is written as a list that holds all of `words`, and where.
    pub(crate) fn lists_all(&self, name: &str, words: &[&str]) -> Option<Place> {
        let (_, node) = self.entries.iter().find(|(key, _)| key.name == name)?;
        let Kind::List(items) = &node.kind else { return None };
        let has = |word: &&str| items.iter().any(|item| item.kind == Kind::Text((*word).into()));
        words.iter().all(has).then(|| node.place.clone())
    }

    /// Tells whether `name` is written as a list.
    pub(crate) fn is_list(&self, name: &str) -> bool {
        let written = self.entries.iter().find(|(key, _)| key.name == name);
        written.is_some_and(|(_, node)| matches!(node.kind, Kind::List(_)))
    }

    /// Tells whether `name` is written as an empty list.
    pub(crate) fn list_is_empty(&self, name: &str) -> bool {
        let written = self.entries.iter().find(|(key, _)| key.name == name);
        written.is_some_and(|(_, node)| matches!(&node.kind, Kind::List(items) if items.is_empty()))
    }

    /// Reads the field `name` as a mapping.
    pub(crate) fn fields(&mut self, name: &'static str) -> Option<Fields<'n, 's>> {
        if let Some(fields) = self.child(name, Value::Fields) {
            return Some(fields);
        }
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
        self.missing_at(self.place.clone(), name, fix);
    }

    /// The same, to be told at `place`.
    pub(crate) fn missing_at(&self, place: Place, name: &str, fix: &str) {
        if let Some(drawing) = &self.drawing {
            drawing.borrow_mut().required.push(name.to_owned());
        }
        self.sink.add(place, self.path_of(name), format!("missing; {fix}"));
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
