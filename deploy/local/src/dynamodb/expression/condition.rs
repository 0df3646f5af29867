//! Conditions: how they are read, and whether they hold.

use std::cmp::Ordering;

use super::{Operand, Parser, operand_type};
use crate::dynamodb::{
    attribute::{Attribute, Item},
    token::Token,
};

/// Whether something is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    Exists(String),
    BeginsWith(Operand, Operand),
    Compare(Operand, Comparator, Operand),
    Between(Operand, Operand, Operand),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    Not(Box<Self>),
}

/// How two operands compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparator {
    fn of(sign: &str) -> Option<Self> {
        match sign {
            "=" => Some(Self::Equal),
            "<>" => Some(Self::NotEqual),
            "<" => Some(Self::Less),
            "<=" => Some(Self::LessOrEqual),
            ">" => Some(Self::Greater),
            ">=" => Some(Self::GreaterOrEqual),
            _ => None,
        }
    }

    /// Whether it asks for an order, which not every type has.
    fn orders(self) -> bool {
        !matches!(self, Self::Equal | Self::NotEqual)
    }

    /// What is missing equals nothing; types that differ have no order.
    fn holds(self, left: Option<&Attribute>, right: Option<&Attribute>) -> bool {
        let equal = left.is_some() && left == right;
        let order = left.zip(right).and_then(|(left, right)| left.order(right));
        match self {
            Self::Equal => equal,
            Self::NotEqual => !equal,
            Self::Less => order.is_some_and(Ordering::is_lt),
            Self::LessOrEqual => order.is_some_and(Ordering::is_le),
            Self::Greater => order.is_some_and(Ordering::is_gt),
            Self::GreaterOrEqual => order.is_some_and(Ordering::is_ge),
        }
    }
}

impl Condition {
    /// Whether it holds for `item`; an item that is not there has no attributes.
    pub(crate) fn holds(&self, item: &Item) -> bool {
        match self {
            Self::Exists(name) => item.contains_key(name),
            Self::BeginsWith(text, prefix) => match (text.of(item), prefix.of(item)) {
                (Some(Attribute::Text(text)), Some(Attribute::Text(prefix))) => {
                    text.starts_with(prefix)
                }
                (Some(Attribute::Bytes(bytes)), Some(Attribute::Bytes(prefix))) => {
                    bytes.starts_with(prefix)
                }
                _ => false,
            },
            Self::Compare(left, comparator, right) => {
                comparator.holds(left.of(item), right.of(item))
            }
            Self::Between(value, low, high) => {
                let value = value.of(item);
                Comparator::LessOrEqual.holds(low.of(item), value)
                    && Comparator::LessOrEqual.holds(value, high.of(item))
            }
            Self::And(left, right) => left.holds(item) && right.holds(item),
            Self::Or(left, right) => left.holds(item) || right.holds(item),
            Self::Not(condition) => !condition.holds(item),
        }
    }
}

impl Operand {
    /// What it is in `item`.
    pub(super) fn of<'a>(&'a self, item: &'a Item) -> Option<&'a Attribute> {
        match self {
            Self::Attribute(name) => item.get(name),
            Self::Value(value) => Some(value),
        }
    }
}

impl Parser<'_> {
    /// `a OR b`: binds least.
    pub(super) fn disjunction(&mut self) -> Result<Condition, String> {
        let mut left = self.conjunction()?;
        while self.keyword("OR") {
            left = Condition::Or(Box::new(left), Box::new(self.conjunction()?));
        }
        Ok(left)
    }

    fn conjunction(&mut self) -> Result<Condition, String> {
        let mut left = self.negation()?;
        while self.keyword("AND") {
            left = Condition::And(Box::new(left), Box::new(self.negation()?));
        }
        Ok(left)
    }

    fn negation(&mut self) -> Result<Condition, String> {
        if self.keyword("NOT") {
            let condition = self.deeper(Self::negation)?;
            return Ok(Condition::Not(Box::new(condition)));
        }
        if self.sign("(") {
            let condition = self.deeper(Self::disjunction)?;
            self.expect(")")?;
            return Ok(condition);
        }
        self.predicate()
    }

    fn predicate(&mut self) -> Result<Condition, String> {
        if let Some(function) = self.function() {
            self.at += 2;
            let condition = match function {
                "attribute_exists" => Condition::Exists(self.attribute()?),
                "attribute_not_exists" => {
                    Condition::Not(Box::new(Condition::Exists(self.attribute()?)))
                }
                "begins_with" => {
                    let text = self.operand()?;
                    self.expect(",")?;
                    Condition::BeginsWith(text, self.operand()?)
                }
                "attribute_type" | "contains" | "size" => {
                    return Err(format!("the local cloud has no function {function}"));
                }
                _ => return Err(format!("Invalid function name; function: {function}")),
            };
            self.expect(")")?;
            return Ok(condition);
        }
        let left = self.operand()?;
        if self.keyword("BETWEEN") {
            let low = self.ordered("BETWEEN")?;
            if !self.keyword("AND") {
                return Err(self.unexpected());
            }
            return Ok(Condition::Between(left, low, self.ordered("BETWEEN")?));
        }
        let Some(Token::Sign(sign)) = self.peek() else { return Err(self.unexpected()) };
        let comparator = Comparator::of(sign).ok_or_else(|| self.unexpected())?;
        self.at += 1;
        let right = if comparator.orders() { self.ordered(sign)? } else { self.operand()? };
        Ok(Condition::Compare(left, comparator, right))
    }

    /// An operand of a type that has an order, as far as it is known.
    fn ordered(&mut self, operator: &str) -> Result<Operand, String> {
        let operand = self.operand()?;
        match &operand {
            Operand::Value(value) if value.order(value).is_none() => {
                Err(operand_type(operator, value))
            }
            _ => Ok(operand),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Names, condition};
    use super::*;

    /// Names and values of the tests, and an item `{n: 5, text: "abc", flag: true}`.
    fn holds(text: &str) -> Result<bool, String> {
        let values = [
            (":four", json!({ "N": "4" })),
            (":five", json!({ "N": "5.0" })),
            (":six", json!({ "N": "6" })),
            (":ab", json!({ "S": "ab" })),
            (":abc", json!({ "S": "abc" })),
            (":true", json!({ "BOOL": true })),
        ];
        let values =
            values.map(|(name, value)| (name.to_owned(), Attribute::read(&value).unwrap()));
        let names = [("#n", "n"), ("#gone", "gone")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        let names = Names::new(names.into(), values.into()).unwrap();
        let item = json!({ "n": { "N": "5" }, "text_1": { "S": "abc" }, "flag": { "BOOL": true } });
        let item = crate::dynamodb::attribute::read(item.as_object().unwrap()).unwrap();
        let condition = condition("ConditionExpression", text, &names);
        condition.map(|condition| condition.holds(&item)).map_err(|refusal| refusal.message)
    }

    #[test]
    fn conditions_hold_as_in_dynamodb() {
        for (text, expected) in [
            ("attribute_exists(#n)", true),
            ("attribute_not_exists(#n)", false),
            ("attribute_not_exists(gone)", true),
            ("#n = :five", true),
            ("#n <> :five", false),
            ("#n < :five", false),
            ("#n <= :five AND #n >= :five", true),
            ("#n > :four AND #n < :six", true),
            (":four < #n", true),
            ("flag = :true", true),
            // What is missing differs from everything, and has no order.
            ("#gone <> :five", true),
            ("#gone = :five", false),
            ("#gone = #gone", false),
            ("#gone < :five OR #gone >= :five", false),
            // Types that differ are not equal and have no order.
            ("text_1 <> :five", true),
            ("text_1 < :five OR text_1 > :five", false),
            ("text_1 > :ab", true),
            ("begins_with(text_1, :ab)", true),
            ("begins_with(#n, :ab)", false),
            ("#n BETWEEN :four AND :six AND text_1 = :abc", true),
            ("#n between :six and :six", false),
        ] {
            assert_eq!(holds(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn and_binds_before_or_and_not_before_both() {
        let (yes, no) = ("#n = :five", "#n = :six");
        for (text, expected) in [
            (format!("{yes} OR {no} AND {no}"), true),
            (format!("({yes} OR {no}) AND {no}"), false),
            (format!("NOT {no} AND {yes}"), true),
            (format!("NOT ({no} OR {yes})"), false),
            (format!("not not {yes}"), true),
            (format!("{no} or {no} or {yes}"), true),
        ] {
            assert_eq!(holds(&text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_in_dynamodbs_words() {
        for (text, part) in [
            ("#n =", "Invalid ConditionExpression: Syntax error; token: \"<EOF>\", near: \"=\""),
            ("#n = :five)", "token: \")\", near: \":five )\""),
            ("(#n = :five", "token: \"<EOF>\""),
            ("#n = :five #n", "token: \"#n\""),
            ("AND #n = :five", "reserved keyword: AND"),
            ("name = :ab", "Attribute name is a reserved keyword; reserved keyword: name"),
            ("#n < :true", "operator or function: <, operand type: BOOL"),
            ("size(#n) > :four", "the local cloud has no function size"),
            ("exists(#n)", "Invalid function name; function: exists"),
            ("a.b = :four", "no paths"),
            ("a[0] = :four", "token: \"0\""),
            ("#n BETWEEN :four", "token: \"<EOF>\""),
            ("#n IN (:four)", "token: \"IN\""),
            (":nothing = :four", "not defined; attribute value: :nothing"),
        ] {
            let error = holds(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
        let deep = format!("{}#n = :five{}", "(".repeat(101), ")".repeat(101));
        assert!(holds(&deep).unwrap_err().contains("nests deeper"));
        let deep = format!("{}#n = :five", "NOT ".repeat(1000));
        assert!(holds(&deep).unwrap_err().contains("nests deeper"));
    }
}
