//! Rows as they outlive a restart: each under a name that says whose it is, its numbers as bytes.
//!
//! A row's name begins with its day and the life of the gateway that wrote it, so that no two gateways of one bucket write the
//! same row. In a directory, which one gateway holds at a time, every life goes on with the rows of the one before.

use policies::decide::{Class, Lane};
use serde_json::{Value, json};

use super::{Instead, Key, Part, Row, row::NUMBERS};
use crate::history::bytes;

/// Returns the name of a row.
pub(super) fn name(day: u64, life: &str, key: &Key) -> String {
    let (part, [route, tenant, class, lane]) = match &key.part {
        Part::Route { route, tenant, class, lane } => {
            ("route", [&**route, &**tenant, class.as_str(), lane.as_str()])
        }
        Part::Held => ("held", [""; 4]),
        Part::Warm => ("warm", [""; 4]),
        Part::Provisioned => ("provisioned", [""; 4]),
        Part::Cache => ("cache", [""; 4]),
        Part::Instead(way) => (way.as_str(), [""; 4]),
        Part::Own => ("own", [""; 4]),
    };
    json!([day, life, &*key.service, part, route, tenant, class, lane]).to_string()
}

/// Returns the day, the life and the key of a name; `None` when it is of nothing that this gateway knows.
pub(super) fn read_name(name: &str) -> Option<(u64, String, Key)> {
    let fields: Vec<Value> = serde_json::from_str(name).ok()?;
    let day = fields.first()?.as_u64()?;
    let texts: Option<Vec<&str>> = fields[1..].iter().map(Value::as_str).collect();
    let [life, service, part, route, tenant, class, lane] = texts?[..] else { return None };
    let part = match part {
        "route" => Part::Route {
            route: route.into(),
            tenant: tenant.into(),
            class: Class::ALL.into_iter().find(|known| known.as_str() == class)?,
            lane: Lane::ALL.into_iter().find(|known| known.as_str() == lane)?,
        },
        "held" => Part::Held,
        "warm" => Part::Warm,
        "provisioned" => Part::Provisioned,
        "cache" => Part::Cache,
        "own" => Part::Own,
        way => Part::Instead(Instead::ALL.into_iter().find(|known| known.as_str() == way)?),
    };
    Some((day, life.to_owned(), Key::new(service.into(), part)))
}

/// Returns a row's numbers as bytes.
pub(super) fn numbers(row: &Row) -> Vec<u8> {
    let mut out = Vec::with_capacity(2 * NUMBERS);
    for number in row.numbers() {
        bytes::put(&mut out, number);
    }
    out
}

/// Reads a row's numbers; `None` when they are none.
pub(super) fn read_numbers(mut bytes: &[u8]) -> Option<Row> {
    let mut numbers = Vec::with_capacity(NUMBERS);
    while !bytes.is_empty() {
        numbers.push(bytes::take(&mut bytes).ok()?);
    }
    Some(Row::from_numbers(&numbers))
}

#[cfg(test)]
mod tests {
    use policies::policy::Arch;

    use super::*;

    #[test]
    fn a_row_is_read_as_it_was_written_whatever_it_is_called() {
        let route = Part::Route {
            route: "GET /\"a\"\n[1]".into(),
            tenant: "\u{202e}acme".into(),
            class: Class::Marathon,
            lane: Lane::Container,
        };
        let ways = Instead::ALL.map(Part::Instead);
        let parts = [route, Part::Held, Part::Warm, Part::Provisioned, Part::Cache, Part::Own];
        for part in parts.into_iter().chain(ways) {
            let key = Key::new("film".into(), part);
            let name = name(20_778, "0a1b", &key);
            assert_eq!(read_name(&name), Some((20_778, "0a1b".to_owned(), key)), "{name}");
        }
        let row = Row { requests: 3, arch: Arch::X86_64, mb_ms: u64::MAX, ..Row::default() };
        assert_eq!(read_numbers(&numbers(&row)), Some(row));
        for odd in ["", "[]", "{}", "[1]", "[1,\"a\",\"b\",\"later\",\"\",\"\",\"\",\"\"]", "x"] {
            assert_eq!(read_name(odd), None, "{odd}");
        }
        assert_eq!(read_numbers(&[0xff]), None);
    }
}
