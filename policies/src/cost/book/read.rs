//! A tree becomes a price book here.
//!
//! A number is written as `{ price: "0.20", source: NAME }` (or `value`, where it is no price), or plainly. Reading stops
//! at nothing: what cannot be read is noted and taken as zero, and a book with a problem is no book.

use std::{collections::BTreeMap, sync::Arc};

use super::{FargatePrices, LambdaPrices, Plan, PriceBook, SavingsPlans, Tier};
use crate::{
    cost::{ByArch, PicoUsd, decimal_usd},
    node::Node,
    problem::{Problems, did_you_mean},
    spec::{
        fields::{Fields, Sink, WordOrFields},
        scalar::{self, Scalar, Shape},
    },
};

const PRICE: Scalar<PicoUsd> = scalar::scalar(price, Shape::Text);
const WHOLE: Scalar<u64> = scalar::scalar(whole, Shape::Text);
/// One word where each architecture has its own: always a mistake.
const NOT_BY_ARCH: Scalar<()> = scalar::scalar(
    |text| {
        Err(format!(
            "expected one for each architecture, got `{text}`; write `{{ arm64: {text} }}`"
        ))
    },
    Shape::Text,
);
const CURRENCY: Scalar<()> =
    scalar::scalar(|text| scalar::one_of(text, &[("USD", ())]), Shape::Words(&["USD"]));

/// Reads the book whose tree is `tree`; problems are those of `file`.
///
/// Laid over the prices of the region `base`, it must not name another: prices of two would be mixed unseen.
pub(super) fn read(tree: Node, file: &Arc<str>, base: Option<&str>) -> Result<PriceBook, Problems> {
    let sink = Sink::default();
    let book = Fields::of(&tree, String::new(), &sink).and_then(|mut fields| {
        let sources: BTreeMap<String, String> = fields
            .conditions("sources", scalar::TEXT)
            .into_iter()
            .map(|(name, text)| (name.value, text.map_or(String::new(), |text| text.to_string())))
            .collect();
        let reader = Reader { sources: &sources };
        let region = fields.value("region", scalar::TEXT);
        if let (Some(region), Some(base)) = (&region, base)
            && &*region.value != base
        {
            let named = &region.value;
            region.problem(
                &sink,
                format!(
                    "own prices are laid over those of `{base}`, got `{named}`; remove this line"
                ),
            );
        }
        fields.value("currency", CURRENCY);
        let lambda = fields.fields("lambda").map(|section| reader.lambda(section));
        let fargate = fields.fields("fargate").map(|section| reader.fargate(section));
        let plans = fields.fields("savings_plans").map(|section| reader.plans(section));
        fields.done();
        Some((region?.value.to_string(), lambda?, fargate?, plans?, sources))
    });
    let mut problems = sink.into_problems(&[file.to_string()]);
    if problems.iter().any(|problem| problem.place.file == *file) {
        // What then is wrong with the prices below (their `sources` replaced, say) is not the writer's second problem.
        problems.retain(|problem| problem.place.file == *file);
    }
    match book {
        Some((region, lambda, fargate, savings_plans, sources)) if problems.is_empty() => {
            Ok(PriceBook { region, lambda, fargate, savings_plans, sources, own: vec![], tree })
        }
        _ => {
            debug_assert!(!problems.is_empty(), "a book is only missing for a reason");
            Err(Problems(problems))
        }
    }
}

/// Reads sections; knows what sources there are.
struct Reader<'s> {
    sources: &'s BTreeMap<String, String>,
}

impl Reader<'_> {
    fn lambda(&self, mut fields: Fields<'_, '_>) -> LambdaPrices {
        let prices = LambdaPrices {
            million_requests: self.price(&mut fields, "million_requests"),
            duration_gb_second: by_arch(&mut fields, "duration_gb_second", |fields, name| {
                self.tiers(fields, name)
            }),
            provisioned_gb_second: self.prices(&mut fields, "provisioned_gb_second"),
            provisioned_duration_gb_second: self
                .prices(&mut fields, "provisioned_duration_gb_second"),
            provisioned_minimum_seconds: self.whole(&mut fields, "provisioned_minimum_seconds"),
            snapstart_cache_gb_second: self.price(&mut fields, "snapstart_cache_gb_second"),
            snapstart_cache_minimum_seconds: self
                .whole(&mut fields, "snapstart_cache_minimum_seconds"),
            snapstart_restore_gb: self.price(&mut fields, "snapstart_restore_gb"),
            streaming_gb: self.price(&mut fields, "streaming_gb"),
            streaming_free_mb_per_request: self.whole(&mut fields, "streaming_free_mb_per_request"),
            storage_gb_second: self.price(&mut fields, "storage_gb_second"),
            storage_free_mb: self.whole(&mut fields, "storage_free_mb"),
            free_requests: self.whole(&mut fields, "free_requests"),
            free_gb_seconds: self.whole(&mut fields, "free_gb_seconds"),
            free_streaming_gb: self.whole(&mut fields, "free_streaming_gb"),
        };
        fields.done();
        prices
    }

    fn fargate(&self, mut fields: Fields<'_, '_>) -> FargatePrices {
        let prices = FargatePrices {
            vcpu_hour: self.prices(&mut fields, "vcpu_hour"),
            gb_hour: self.prices(&mut fields, "gb_hour"),
            spot_vcpu_hour: self.prices(&mut fields, "spot_vcpu_hour"),
            spot_gb_hour: self.prices(&mut fields, "spot_gb_hour"),
            minimum_seconds: self.whole(&mut fields, "minimum_seconds"),
            storage_gb_hour: self.price(&mut fields, "storage_gb_hour"),
            storage_free_gb: self.whole(&mut fields, "storage_free_gb"),
            public_ipv4_hour: self.price(&mut fields, "public_ipv4_hour"),
        };
        fields.done();
        prices
    }

    fn plans(&self, mut fields: Fields<'_, '_>) -> SavingsPlans {
        let mut plan =
            |name| fields.fields(name).map(|fields| self.plan(fields)).unwrap_or_default();
        let plans = SavingsPlans {
            one_year_no_upfront: plan("one_year_no_upfront"),
            three_years_no_upfront: plan("three_years_no_upfront"),
            three_years_all_upfront: plan("three_years_all_upfront"),
        };
        fields.done();
        plans
    }

    fn plan(&self, mut fields: Fields<'_, '_>) -> Plan {
        let mut known = |name| {
            if !fields.has_value(name) {
                fields.known(name);
                return ByArch::default();
            }
            by_arch(&mut fields, name, |fields, name| self.number(fields, name, "price", PRICE))
        };
        let plan = Plan {
            lambda_gb_second: known("lambda_gb_second"),
            lambda_provisioned_gb_second: known("lambda_provisioned_gb_second"),
            lambda_provisioned_duration_gb_second: known("lambda_provisioned_duration_gb_second"),
            fargate_vcpu_hour: known("fargate_vcpu_hour"),
            fargate_gb_hour: known("fargate_gb_hour"),
        };
        fields.done();
        plan
    }

    /// Reads a price for each architecture.
    fn prices(&self, fields: &mut Fields<'_, '_>, name: &'static str) -> ByArch<PicoUsd> {
        by_arch(fields, name, |fields, name| self.price(fields, name))
    }

    /// Reads a list of tiers, or one price for all usage.
    fn tiers(&self, fields: &mut Fields<'_, '_>, name: &'static str) -> Vec<Tier> {
        if !fields.is_list(name) {
            return vec![Tier { up_to_gb_seconds: None, price: self.price(fields, name) }];
        }
        let tiers = fields.each(name, |mut fields| {
            let up_to = fields.value("up_to_gb_seconds", WHOLE);
            let price = self.sourced(&mut fields, "price", PRICE).unwrap_or_default();
            let (place, field) = (fields.place.clone(), fields.path.clone());
            let sink = fields.sink;
            fields.done();
            (Tier { up_to_gb_seconds: up_to.map(|up_to| up_to.value), price }, sink, place, field)
        });
        let mut below = Some(0);
        for (index, (tier, sink, place, field)) in tiers.iter().enumerate() {
            let last = index + 1 == tiers.len();
            let message = match (below, tier.up_to_gb_seconds) {
                (_, None) if !last => "only the last tier is without `up_to_gb_seconds`; write it",
                (_, Some(_)) if last => {
                    "the last tier holds for all usage above; remove `up_to_gb_seconds`"
                }
                (Some(below), Some(up_to)) if up_to <= below => {
                    "tiers ascend; write a larger `up_to_gb_seconds`, or sort them"
                }
                _ => "",
            };
            if !message.is_empty() {
                sink.add(place.clone(), field.clone(), message);
            }
            below = tier.up_to_gb_seconds;
        }
        if tiers.is_empty() {
            missing(fields, name);
        }
        tiers.into_iter().map(|(tier, ..)| tier).collect()
    }

    fn price(&self, fields: &mut Fields<'_, '_>, name: &'static str) -> PicoUsd {
        let price = self.number(fields, name, "price", PRICE);
        if price.is_none() {
            missing(fields, name);
        }
        price.unwrap_or_default()
    }

    fn whole(&self, fields: &mut Fields<'_, '_>, name: &'static str) -> u64 {
        let value = self.number(fields, name, "value", WHOLE);
        if value.is_none() {
            missing(fields, name);
        }
        value.unwrap_or_default()
    }

    /// Reads a number, plain or with its source; `None` when there is none, or a problem.
    fn number<T>(
        &self,
        fields: &mut Fields<'_, '_>,
        name: &'static str,
        key: &'static str,
        scalar: Scalar<T>,
    ) -> Option<T> {
        match fields.word_or_fields(name, scalar) {
            WordOrFields::Nothing => None,
            WordOrFields::Word(plain) => Some(plain.value),
            WordOrFields::Fields(mut fields) => {
                let number = self.sourced(&mut fields, key, scalar);
                fields.done();
                number
            }
        }
    }

    /// Reads the number behind `key`, and the name of its source beside it.
    fn sourced<T>(
        &self,
        fields: &mut Fields<'_, '_>,
        key: &'static str,
        scalar: Scalar<T>,
    ) -> Option<T> {
        let number = fields.value(key, scalar);
        if !fields.has_value(key) {
            fields.missing(key, "write the number");
        }
        if let Some(source) = fields.value("source", scalar::TEXT)
            && !self.sources.contains_key(&*source.value)
        {
            let known = self.sources.keys().map(String::as_str);
            let hint = did_you_mean(&source.value, known)
                .map_or(String::new(), |name| format!("did you mean `{name}`? Or "));
            source.problem(
                fields.sink,
                format!(
                    "expected a name among `sources`, got `{}`; {hint}add it there, or leave `source` out",
                    source.value
                ),
            );
        }
        number.map(|number| number.value)
    }
}

/// Reads something for each architecture.
fn by_arch<T: Default>(
    fields: &mut Fields<'_, '_>,
    name: &'static str,
    read: impl Fn(&mut Fields<'_, '_>, &'static str) -> T,
) -> ByArch<T> {
    let WordOrFields::Fields(mut archs) = fields.word_or_fields(name, NOT_BY_ARCH) else {
        missing(fields, name);
        return ByArch::default();
    };
    let each = ByArch { x86_64: read(&mut archs, "x86_64"), arm64: read(&mut archs, "arm64") };
    archs.done();
    each
}

/// Notes that nothing is written as `name`, if so: what is written and cannot be read was noted already.
fn missing(fields: &Fields<'_, '_>, name: &str) {
    if !fields.has_value(name) || fields.list_is_empty(name) {
        fields.missing(name, "write its number");
    }
}

fn price(text: &str) -> Result<PicoUsd, String> {
    if let Some(price) = decimal_usd(text) {
        return Ok(price);
    }
    let fix = match text.strip_prefix('$') {
        Some(amount) if decimal_usd(amount).is_some() => format!("; write `{amount}`"),
        _ => String::new(),
    };
    Err(format!(
        "expected a price in USD such as `0.0000166667` (at most 12 decimals and 18 million), got `{text}`{fix}"
    ))
}

fn whole(text: &str) -> Result<u64, String> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = plain.then(|| text.parse().ok()).flatten();
    number.ok_or_else(|| format!("expected a whole number in digits alone, got `{text}`"))
}
