//! Updates: how they are read, and what they make of an item.

use super::{Operand, Parser, operand_type};
use crate::dynamodb::{
    attribute::{Attribute, Item},
    number::Number,
};

/// What an update expression does to an item.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Update(Vec<(String, Change)>);

/// What becomes of one attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Set(Term),
    Add(Term, Term),
    Subtract(Term, Term),
    Remove,
}

/// One side of what is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Term {
    Operand(Operand),
    IfNotExists(String, Operand),
}

impl Term {
    fn of<'a>(&'a self, item: &'a Item) -> Result<&'a Attribute, String> {
        let value = match self {
            Self::Operand(operand) => operand.of(item),
            Self::IfNotExists(name, other) => item.get(name).or_else(|| other.of(item)),
        };
        value.ok_or_else(|| {
            "The provided expression refers to an attribute that does not exist in the item".into()
        })
    }
}

impl Update {
    /// The names of the attributes it changes.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// What becomes of `item`. Every change sees the item as it was before all of them.
    ///
    /// # Errors
    /// DynamoDB's sentence for what cannot be done with this item.
    pub(crate) fn apply(&self, item: &Item) -> Result<Item, String> {
        let mut changed = item.clone();
        for (name, change) in &self.0 {
            let value = match change {
                Change::Set(term) => Some(term.of(item)?.clone()),
                Change::Add(left, right) => {
                    Some(sum(left.of(item)?, right.of(item)?, Number::plus)?)
                }
                Change::Subtract(left, right) => {
                    Some(sum(left.of(item)?, right.of(item)?, Number::minus)?)
                }
                Change::Remove => None,
            };
            match value {
                Some(value) => changed.insert(name.clone(), value),
                None => changed.remove(name),
            };
        }
        Ok(changed)
    }
}

type Operation = fn(Number, Number) -> Result<Number, String>;

fn sum(left: &Attribute, right: &Attribute, operation: Operation) -> Result<Attribute, String> {
    match (left, right) {
        (Attribute::Number(left), Attribute::Number(right)) => {
            operation(*left, *right).map(Attribute::Number)
        }
        _ => Err("An operand in the update expression has an incorrect data type".into()),
    }
}

impl Parser<'_> {
    /// Sections `SET` and `REMOVE`, each at most once.
    pub(super) fn update(&mut self) -> Result<Update, String> {
        let mut update = Update::default();
        let mut seen: Vec<&str> = Vec::new();
        while self.peek().is_some() {
            let Some(section) = ["SET", "REMOVE"].into_iter().find(|word| self.keyword(word))
            else {
                let missing = ["ADD", "DELETE"].into_iter().find(|word| self.keyword(word));
                return Err(missing.map_or_else(
                    || self.unexpected(),
                    |word| format!("the local cloud has no section {word}; write SET or REMOVE"),
                ));
            };
            if seen.contains(&section) {
                return Err(format!(
                    "The \"{section}\" section can only be used once in an update expression;"
                ));
            }
            seen.push(section);
            loop {
                let name = self.attribute()?;
                if update.names().any(|other| other == name) {
                    return Err(format!(
                        "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [{name}], path two: [{name}]"
                    ));
                }
                let change = if section == "SET" { self.set()? } else { Change::Remove };
                update.0.push((name, change));
                if !self.sign(",") {
                    break;
                }
            }
        }
        Ok(update)
    }

    /// `= value`, `= a + b` or `= a - b`.
    fn set(&mut self) -> Result<Change, String> {
        self.expect("=")?;
        let left = self.term()?;
        let sign = ["+", "-"].into_iter().find(|sign| self.sign(sign));
        let Some(sign) = sign else { return Ok(Change::Set(left)) };
        let right = self.term()?;
        for term in [&left, &right] {
            if let Term::Operand(Operand::Value(value)) = term
                && !matches!(value, Attribute::Number(_))
            {
                return Err(operand_type(sign, value));
            }
        }
        Ok(if sign == "+" { Change::Add(left, right) } else { Change::Subtract(left, right) })
    }

    fn term(&mut self) -> Result<Term, String> {
        match self.function() {
            None => self.operand().map(Term::Operand),
            Some("if_not_exists") => {
                self.at += 2;
                let name = self.attribute()?;
                self.expect(",")?;
                let other = self.operand()?;
                self.expect(")")?;
                Ok(Term::IfNotExists(name, other))
            }
            Some("list_append") => Err("the local cloud has no function list_append".into()),
            Some(other) => Err(format!("Invalid function name; function: {other}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::{Names, update};
    use crate::dynamodb::attribute::{Attribute, item_json, read};

    /// What becomes of `{n: 5, m: 7, word: "a"}`.
    fn updated(text: &str) -> Result<Value, String> {
        let values = [(":one", json!({ "N": "1" })), (":b", json!({ "S": "b" }))];
        let values =
            values.map(|(name, value)| (name.to_owned(), Attribute::read(&value).unwrap()));
        let names = Names::new([("#n".to_owned(), "n".to_owned())].into(), values.into()).unwrap();
        let item = json!({ "n": { "N": "5" }, "m": { "N": "7" }, "word": { "S": "a" } });
        let item = read(item.as_object().unwrap()).unwrap();
        let update = update(text, &names).map_err(|refusal| refusal.message)?;
        update.apply(&item).map(|item| item_json(&item))
    }

    #[test]
    fn updates_make_of_an_item_what_dynamodb_makes() {
        let (seven, a) = (json!({ "N": "7" }), json!({ "S": "a" }));
        for (text, expected) in [
            ("SET #n = :one", json!({ "n": { "N": "1" }, "m": seven, "word": a })),
            ("SET #n = #n + :one", json!({ "n": { "N": "6" }, "m": seven, "word": a })),
            ("set #n = m - #n remove word", json!({ "n": { "N": "2" }, "m": seven })),
            // Each change sees the item as it was.
            ("SET #n = m, m = #n", json!({ "n": seven, "m": { "N": "5" }, "word": a })),
            ("REMOVE m, gone SET word = :b", json!({ "n": { "N": "5" }, "word": { "S": "b" } })),
            (
                "SET k = if_not_exists(k, :one) + :one, #n = if_not_exists(#n, :one)",
                json!({ "n": { "N": "5" }, "m": seven, "word": a, "k": { "N": "2" } }),
            ),
        ] {
            assert_eq!(updated(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_in_dynamodbs_words() {
        for (text, part) in [
            ("", "The expression can not be empty"),
            ("#n = :one", "Syntax error; token: \"#n\""),
            ("SET", "token: \"<EOF>\""),
            ("SET #n = :one,", "token: \"<EOF>\""),
            ("SET #n :one", "token: \":one\""),
            ("SET #n = :one SET m = :one", "\"SET\" section can only be used once"),
            ("SET #n = :one, n = :one", "path one: [n], path two: [n]"),
            ("SET #n = :one REMOVE n", "Two document paths overlap"),
            ("ADD #n :one", "no section ADD"),
            ("SET #n = #n + :b", "operator or function: +, operand type: S"),
            ("SET #n = list_append(#n, :b)", "no function list_append"),
            ("SET #n = word + :one", "incorrect data type"),
            ("SET #n = gone + :one", "an attribute that does not exist in the item"),
        ] {
            let error = updated(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
