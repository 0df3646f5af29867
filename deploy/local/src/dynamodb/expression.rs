//! DynamoDB's expressions: text -> condition or update, by recursive descent.
//!
//! A subset: attributes at the top of an item; no paths into lists and maps, no filters, no ADD and DELETE of sets.
//! What is left out is refused by name. Names and values are put in while reading, so that what is read is whole.

use std::{cell::RefCell, collections::BTreeMap, collections::BTreeSet};

use super::{
    attribute::Attribute,
    refusal::invalid,
    token::{Token, is_reserved, tokens},
};
use crate::aws_json::Refusal;

mod condition;
mod update;

pub(crate) use condition::{Comparator, Condition};
pub(crate) use update::Update;

/// How deep parentheses may nest; DynamoDB's own limit is 300 operators an expression.
const DEPTH_MAX: usize = 100;

/// What both kinds of expressions are about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operand {
    Attribute(String),
    Value(Attribute),
}

/// `ExpressionAttributeNames` and `ExpressionAttributeValues` of a request, and which of them were used.
#[derive(Debug, Default)]
pub(crate) struct Names {
    attributes: BTreeMap<String, String>,
    values: BTreeMap<String, Attribute>,
    used: RefCell<BTreeSet<String>>,
}

impl Names {
    pub(crate) fn new(
        names: BTreeMap<String, String>,
        values: BTreeMap<String, Attribute>,
    ) -> Result<Self, Refusal> {
        let is_wrong = |name: &str, prefix| !name.starts_with(prefix) || name.len() < 2;
        if let Some(name) = names.keys().find(|name| is_wrong(name, '#')) {
            return Err(invalid(format!(
                "ExpressionAttributeNames contains invalid key: Syntax error; key: \"{name}\""
            )));
        }
        if let Some(name) = values.keys().find(|name| is_wrong(name, ':')) {
            return Err(invalid(format!(
                "ExpressionAttributeValues contains invalid key: Syntax error; key: \"{name}\""
            )));
        }
        Ok(Self { attributes: names, values, used: RefCell::default() })
    }

    /// Refuses what was given and never used; to be asked when all expressions were read.
    pub(crate) fn all_used(&self) -> Result<(), Refusal> {
        let used = self.used.borrow();
        let unused = |what: &str, names: Vec<&String>| match names.as_slice() {
            [] => Ok(()),
            names => {
                let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
                let names = names.join(", ");
                Err(invalid(format!(
                    "Value provided in {what} unused in expressions: keys: {{{names}}}"
                )))
            }
        };
        let rest = |name: &&String| !used.contains(name.as_str());
        unused("ExpressionAttributeNames", self.attributes.keys().filter(rest).collect())?;
        unused("ExpressionAttributeValues", self.values.keys().filter(rest).collect())
    }
}

/// Reads the condition of a `ConditionExpression` or `KeyConditionExpression`, which `what` says.
pub(crate) fn condition(what: &str, text: &str, names: &Names) -> Result<Condition, Refusal> {
    read(what, text, names, Parser::disjunction)
}

/// Reads an `UpdateExpression`.
pub(crate) fn update(text: &str, names: &Names) -> Result<Update, Refusal> {
    read("UpdateExpression", text, names, Parser::update)
}

fn read<'a, T>(
    what: &str,
    text: &'a str,
    names: &'a Names,
    rule: impl FnOnce(&mut Parser<'a>) -> Result<T, String>,
) -> Result<T, Refusal> {
    let read = || {
        let mut parser = Parser { tokens: tokens(text)?, at: 0, depth: 0, names };
        let read = rule(&mut parser)?;
        match parser.peek() {
            None => Ok(read),
            Some(_) => Err(parser.unexpected()),
        }
    };
    read().map_err(|problem| invalid(format!("Invalid {what}: {problem}")))
}

/// Reads from left to right, one token ahead.
struct Parser<'a> {
    tokens: Vec<Token<'a>>,
    at: usize,
    depth: usize,
    names: &'a Names,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<Token<'a>> {
        self.tokens.get(self.at).copied()
    }

    /// Takes the sign if it comes next.
    fn sign(&mut self, sign: &str) -> bool {
        let found = self.peek() == Some(Token::Sign(sign));
        self.at += usize::from(found);
        found
    }

    /// Takes the keyword if it comes next.
    fn keyword(&mut self, keyword: &str) -> bool {
        let found = self.peek().is_some_and(|token| token.is_keyword(keyword));
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str) -> Result<(), String> {
        if self.sign(sign) { Ok(()) } else { Err(self.unexpected()) }
    }

    /// The name of the function that is called here, if one is: a word before a parenthesis.
    fn function(&self) -> Option<&'a str> {
        match (self.peek(), self.tokens.get(self.at + 1)) {
            (Some(Token::Word(name)), Some(Token::Sign("("))) => Some(name),
            _ => None,
        }
    }

    /// Goes one level deeper for `rule`.
    fn deeper<T>(
        &mut self,
        rule: impl FnOnce(&mut Self) -> Result<T, String>,
    ) -> Result<T, String> {
        self.depth += 1;
        if DEPTH_MAX < self.depth {
            return Err(format!("The expression nests deeper than {DEPTH_MAX}"));
        }
        let read = rule(self);
        self.depth -= 1;
        read
    }

    /// An attribute's name, as such or as `#name`.
    fn attribute(&mut self) -> Result<String, String> {
        let name = match self.peek() {
            Some(Token::Word(word)) if is_reserved(word) => {
                return Err(format!(
                    "Attribute name is a reserved keyword; reserved keyword: {word}"
                ));
            }
            Some(Token::Word(word)) => word.to_owned(),
            Some(Token::Name(name)) => {
                self.names.used.borrow_mut().insert(name.to_owned());
                let found = self.names.attributes.get(name);
                found.cloned().ok_or_else(|| {
                    format!(
                        "An expression attribute name used in the document path is not defined; attribute name: {name}"
                    )
                })?
            }
            _ => return Err(self.unexpected()),
        };
        self.at += 1;
        match self.peek() {
            Some(Token::Sign("." | "[")) => Err(format!(
                "the local cloud has no paths into lists and maps; `{name}` must be the whole path"
            )),
            _ => Ok(name),
        }
    }

    /// An attribute or a value.
    fn operand(&mut self) -> Result<Operand, String> {
        let Some(Token::Value(name)) = self.peek() else {
            return self.attribute().map(Operand::Attribute);
        };
        self.at += 1;
        self.names.used.borrow_mut().insert(name.to_owned());
        let value = self.names.values.get(name).cloned();
        value.map(Operand::Value).ok_or_else(|| {
            format!(
                "An expression attribute value used in expression is not defined; attribute value: {name}"
            )
        })
    }

    /// What is said of the token that comes next, and should not.
    fn unexpected(&self) -> String {
        let token = self.peek().map_or("<EOF>", Token::text);
        let around = self.at.saturating_sub(1)..self.tokens.len().min(self.at + 2);
        let near: Vec<&str> = self.tokens[around].iter().map(|token| token.text()).collect();
        format!("Syntax error; token: \"{token}\", near: \"{}\"", near.join(" "))
    }
}

/// The sentence for a value that an operator or a function does not take.
fn operand_type(operator: &str, value: &Attribute) -> String {
    format!(
        "Incorrect operand type for operator or function; operator or function: {operator}, operand type: {}",
        value.kind()
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_given_must_be_used_and_what_is_used_given() {
        let names = |names: &[&str], values: &[&str]| {
            let value = Attribute::read(&json!({ "N": "1" })).unwrap();
            Names::new(
                names.iter().map(|n| ((*n).to_owned(), n[1..].to_owned())).collect(),
                values.iter().map(|v| ((*v).to_owned(), value.clone())).collect(),
            )
        };
        let check = |names: Names| {
            condition("ConditionExpression", "#a = :v", &names)?;
            names.all_used()
        };
        assert!(check(names(&["#a"], &[":v"]).unwrap()).is_ok());
        for (given, problem) in [
            (names(&[], &[":v"]), "not defined; attribute name: #a"),
            (names(&["#a"], &[]), "not defined; attribute value: :v"),
            (names(&["#a", "#b"], &[":v"]), "Names unused in expressions: keys: {#b}"),
            (names(&["#a"], &[":v", ":w"]), "Values unused in expressions: keys: {:w}"),
        ] {
            let error = check(given.unwrap()).unwrap_err().message;
            assert!(error.contains(problem), "{error}");
        }
        assert!(names(&["a"], &[]).unwrap_err().message.contains("invalid key"));
        assert!(names(&[], &[":"]).unwrap_err().message.contains("invalid key"));
    }
}
