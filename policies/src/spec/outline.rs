//! What the reader of a policy asks for, noted while it reads nothing: the schema is drawn from this.
//!
//! [`Fields`](super::fields::Fields) asked to draw has no entries; every question that is asked of it is noted here
//! instead. So the schema holds what is read, and nothing else.

use std::{cell::RefCell, rc::Rc};

use super::scalar::{Scalar, Shape};

/// A mapping under inspection, shared between its reader and the mapping that it stands in.
pub(crate) type Drawing = Rc<RefCell<Outline>>;

/// The fields of one mapping.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    /// In the order in which they are asked for.
    pub(crate) fields: Vec<(&'static str, Value)>,
    pub(crate) required: Vec<String>,
    /// How many of each of these sets may be written.
    pub(crate) choices: Vec<(Choice, &'static [&'static str])>,
    /// What stands behind keys that the writer chooses.
    pub(crate) others: Option<Value>,
}

/// How many fields of a set may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    /// At least one.
    Any,
    /// Exactly one.
    One,
    /// At most one, of two.
    NotAll,
}

/// What stands behind a key.
#[derive(Debug)]
pub(crate) enum Value {
    Scalar(Shape),
    /// One scalar, or a list of them.
    OneOrMany(Shape),
    /// A scalar, or nothing.
    OrNothing(Shape),
    /// A word, or fields.
    WordOrFields(Shape, Drawing),
    Fields(Drawing),
    /// A list of mappings.
    List(Drawing),
}

impl Outline {
    pub(crate) fn note(drawing: &Drawing, name: &'static str, value: Value) {
        drawing.borrow_mut().fields.push((name, value));
    }

    /// Notes a mapping that stands behind `name`, as `value` wraps it, and returns it.
    pub(crate) fn child(
        drawing: &Drawing,
        name: &'static str,
        value: impl FnOnce(Drawing) -> Value,
    ) -> Drawing {
        let child = Drawing::default();
        Self::note(drawing, name, value(child.clone()));
        child
    }
}

/// Returns what `scalar` looks like. Its words are those that are read, or the schema would forbid what is allowed.
pub(crate) fn shape<T>(scalar: &Scalar<T>) -> Shape {
    if let Shape::Words(words) = scalar.shape {
        debug_assert!(words.iter().all(|word| (scalar.parse)(word).is_ok()), "{words:?}");
        let told = (scalar.parse)("\0").err().unwrap_or_default();
        let told = told.split(", got").next().unwrap_or_default().matches('`').count() / 2;
        debug_assert!(told == words.len(), "{words:?}");
    }
    scalar.shape
}
