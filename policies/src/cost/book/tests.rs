//! The built-in list, and own prices laid over it.

use proptest::prelude::*;

use super::*;
use crate::node::Kind;

fn with(text: &str) -> Result<PriceBook, String> {
    PriceBook::fallback().with_overrides("own.yaml", text).map_err(|problems| problems.to_string())
}

fn wrong(text: &str) -> String {
    with(text).expect_err("the test writes a mistake")
}

/// Tells whether `text` holds a date such as 2026-09-19.
fn dated(text: &str) -> bool {
    text.as_bytes().windows(10).any(|part| {
        part.iter().enumerate().all(|(index, byte)| match index {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        })
    })
}

/// Checks all numbers at and below `node`; returns how many there are.
fn sourced(node: &Node, path: &str, sources: &BTreeMap<String, String>) -> usize {
    match &node.kind {
        Kind::Map(entries) if entries.iter().any(|(key, _)| key.name == "source") => {
            let source = entries.iter().find(|(key, _)| key.name == "source");
            let Some((_, Node { kind: Kind::Text(source), .. })) = source else {
                panic!("{path}: its source is not a name");
            };
            assert!(dated(&sources[source]), "{path}: source {source} has no date");
            1
        }
        Kind::Map(entries) => entries
            .iter()
            .filter(|(key, _)| !["sources", "region", "currency"].contains(&&*key.name))
            .map(|(key, node)| sourced(node, &format!("{path}.{}", key.name), sources))
            .sum(),
        Kind::List(items) => items.iter().map(|item| sourced(item, path, sources)).sum(),
        Kind::Null | Kind::Text(_) => panic!("{path}: a number without a source"),
    }
}

#[test]
fn every_number_of_the_built_in_list_has_a_dated_source() {
    let book = PriceBook::fallback();
    assert_eq!(book.region, PriceBook::FALLBACK_REGION);
    let written = BUILT_IN.matches(", source: ").count();
    assert_eq!(sourced(&book.tree, "", &book.sources), written);
    assert!(book.own.is_empty());
    assert_eq!(PriceBook::builtin("us-east-1"), Some(book));
    assert_eq!(PriceBook::builtin("mars-north-1"), None);
}

#[test]
fn facts_that_callers_apply_are_in_the_book() {
    let PriceBook { lambda, fargate, .. } = PriceBook::fallback();
    assert_eq!(lambda.provisioned_minimum_seconds, 5 * 60);
    assert_eq!(lambda.snapstart_cache_minimum_seconds, 3 * 60 * 60);
    assert_eq!(lambda.streaming_free_mb_per_request, 6);
    assert_eq!(lambda.storage_free_mb, 512);
    assert_eq!(fargate.minimum_seconds, 60);
    assert_eq!(fargate.storage_free_gb, 20);
}

#[test]
fn own_prices_replace_what_they_name_and_nothing_else() {
    let own = with(
        "\
# What we negotiated.
sources: { contract: 'signed 2026-06-01' }
lambda:
  million_requests: 0.19
  duration_gb_second:
    arm64: { price: 0.000012, source: contract }
    x86_64: [{ up_to_gb_seconds: 1000, price: 0.00001 }, { price: 0 }]
fargate:
  minimum_seconds: 1
  spot_vcpu_hour: { arm64: '0.01' }
savings_plans:
  three_years_all_upfront: { fargate_gb_hour: { arm64: 0.0016 } }
",
    )
    .unwrap();
    let book = PriceBook::fallback();
    assert_eq!(own.lambda.million_requests, PicoUsd(190_000_000_000));
    let flat = Tier { up_to_gb_seconds: None, price: PicoUsd(12_000_000) };
    assert_eq!(own.lambda.duration_gb_second.arm64, [flat]);
    assert_eq!(own.lambda.duration_gb_second.x86_64[0].up_to_gb_seconds, Some(1000));
    assert_eq!(own.fargate.minimum_seconds, 1);
    assert_eq!(own.fargate.spot_vcpu_hour.arm64, PicoUsd(10_000_000_000));
    assert_eq!(own.fargate.spot_vcpu_hour.x86_64, book.fargate.spot_vcpu_hour.x86_64);
    assert_eq!(own.fargate.vcpu_hour, book.fargate.vcpu_hour);
    assert_eq!(
        own.savings_plans.three_years_all_upfront.fargate_gb_hour.arm64,
        Some(PicoUsd(1_600_000_000))
    );
    assert_eq!(
        own.own,
        [
            "fargate.minimum_seconds",
            "fargate.spot_vcpu_hour.arm64",
            "lambda.duration_gb_second.arm64",
            "lambda.duration_gb_second.x86_64",
            "lambda.million_requests",
            "savings_plans.three_years_all_upfront.fargate_gb_hour"
        ]
    );
    // A second file is laid over the first.
    let more = own.with_overrides("more.yaml", "lambda: { streaming_gb: 0 }").unwrap();
    assert_eq!(more.lambda.million_requests, own.lambda.million_requests);
    assert_eq!(more.lambda.streaming_gb, PicoUsd::ZERO);
    assert_eq!(more.own.len(), 7);
}

#[test]
fn nothing_written_changes_nothing() {
    for text in [
        "",
        "# later\n",
        "lambda:\n",
        "lambda: { million_requests: }\n",
        "region: us-east-1\n",
        "savings_plans: { three_years_all_upfront: { fargate_gb_hour: } }\n",
    ] {
        let own = with(text).unwrap();
        assert_eq!((&own.lambda, &own.own), (&PriceBook::fallback().lambda, &vec![]), "{text}");
    }
    // The whole list, copied, is a file of own prices too.
    assert_eq!(with(BUILT_IN).unwrap().fargate, PriceBook::fallback().fargate);
}

#[test]
fn mistakes_are_told_all_at_once_with_line_field_and_fix() {
    insta::assert_snapshot!(wrong("\
lamda: { million_requests: 1 }
lambda:
  million_request: 0.19
  streaming_gb: $0.008
  free_requests: 1e6
  storage_gb_second: { pric: 1 }
  snapstart_restore_gb: [1]
fargate:
  vcpu_hour: 0.03
  gb_hour: { arm: 0.003 }
  minimum_seconds: { value: 60, source: fargte }
savings_plans: { two_years: {} }
"), @"
    own.yaml:1:1 lamda: unknown field `lamda`; did you mean `lambda`?
    own.yaml:3:3 lambda.million_request: unknown field `million_request`; did you mean `million_requests`?
    own.yaml:4:17 lambda.streaming_gb: expected a price in USD such as `0.0000166667` (at most 12 decimals and 18 million), got `$0.008`; write `0.008`
    own.yaml:5:18 lambda.free_requests: expected a whole number in digits alone, got `1e6`
    own.yaml:6:22 lambda.storage_gb_second.price: missing; write the number
    own.yaml:6:24 lambda.storage_gb_second.pric: unknown field `pric`; did you mean `price`?
    own.yaml:7:25 lambda.snapstart_restore_gb: expected fields (`key: value`), got a list
    own.yaml:9:14 fargate.vcpu_hour: expected one for each architecture, got `0.03`; write `{ arm64: 0.03 }`
    own.yaml:10:14 fargate.gb_hour.arm: unknown field `arm`; known here: arm64, x86_64
    own.yaml:11:41 fargate.minimum_seconds.source: expected a name among `sources`, got `fargte`; did you mean `fargate`? Or add it there, or leave `source` out
    own.yaml:12:18 savings_plans.two_years: unknown field `two_years`; known here: one_year_no_upfront, three_years_all_upfront, three_years_no_upfront
    ");
    insta::assert_snapshot!(wrong("lambda: { duration_gb_second: { arm64: [] } }"), @"own.yaml:1:31 lambda.duration_gb_second.arm64: missing; write its number");
    insta::assert_snapshot!(wrong("\
lambda:
  duration_gb_second:
    arm64: [{ price: 1 }, { up_to_gb_seconds: 5, price: 1 }]
    x86_64:
      - { up_to_gb_seconds: 5, price: 1 }
      - { up_to_gb_seconds: 5, price: -1 }
      - { price: }
"), @"
    own.yaml:3:13 lambda.duration_gb_second.arm64[0]: only the last tier is without `up_to_gb_seconds`; write it
    own.yaml:3:27 lambda.duration_gb_second.arm64[1]: the last tier holds for all usage above; remove `up_to_gb_seconds`
    own.yaml:6:9 lambda.duration_gb_second.x86_64[1]: tiers ascend; write a larger `up_to_gb_seconds`, or sort them
    own.yaml:6:39 lambda.duration_gb_second.x86_64[1].price: expected a price in USD such as `0.0000166667` (at most 12 decimals and 18 million), got `-1`
    own.yaml:7:9 lambda.duration_gb_second.x86_64[2].price: missing; write the number
    ");
    insta::assert_snapshot!(wrong("region: eu-west-1\nlambda: { million_request: 0.2 }"), @"
    own.yaml:1:9 region: own prices are laid over those of `us-east-1`, got `eu-west-1`; remove this line
    own.yaml:2:11 lambda.million_request: unknown field `million_request`; did you mean `million_requests`?
    ");
    insta::assert_snapshot!(wrong("currency: EUR"), @"own.yaml:1:11 currency: expected `USD`, got `EUR`");
    insta::assert_snapshot!(wrong("- 1"), @"own.yaml:1:1 expected fields (`key: value`), got a list");
    insta::assert_snapshot!(wrong("lambda: 5"), @"own.yaml:1:9 lambda: expected fields (`key: value`), got `5`");
    insta::assert_snapshot!(wrong("lambda: { million_requests: 99999999 }"), @"own.yaml:1:29 lambda.million_requests: expected a price in USD such as `0.0000166667` (at most 12 decimals and 18 million), got `99999999`");
    insta::assert_snapshot!(wrong("a: 1\na: 2"), @"own.yaml:2:1 `a` is written twice; keep one of them");
}

proptest! {
    /// Whatever a section or a number is replaced with, there is a book or a problem of the own file.
    #[test]
    fn any_file_is_a_book_or_problems(
        section in "lambda|fargate|savings_plans|sources|region|currency|x",
        name in "million_requests|duration_gb_second|vcpu_hour|one_year_no_upfront|lambda|price|y",
        arch in "x86_64|arm64|price|value|source|z",
        value in proptest::sample::select(&[
            "", "0", "1.5", "-1", "1e9", "~", "a", "[]", "{}", "[1]", "[{price: 1}]", "{price: 1}", "{value: 2}",
        ][..]),
        depth in 0_usize..4,
    ) {
        let text = match depth {
            0 => value.to_owned(),
            1 => format!("{section}: {value}"),
            2 => format!("{section}: {{ {name}: {value} }}"),
            _ => format!("{section}: {{ {name}: {{ {arch}: {value} }} }}"),
        };
        if let Err(problems) = PriceBook::fallback().with_overrides("own.yaml", &text) {
            for problem in problems.0 {
                prop_assert_eq!(&*problem.place.file, "own.yaml", "{} {}", text, problem);
            }
        }
    }
}
