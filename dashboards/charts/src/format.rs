//! Numbers as people read them.
//!
//! The same as on the terminal, so that the page and the table of one report agree. What is no number (NaN, an infinity) is
//! written as a dash: it never reaches a reader as a word that looks like a result.

/// Writes an amount for a reader.
pub type Format = fn(f64) -> String;

/// Stands where there is no number.
pub(crate) const NONE: &str = "–";

/// Writes an amount without a unit: `0`, `0.25`, `7.5`, `62`, `1,204`; from a quadrillion on `1.2e18`.
pub fn count(amount: f64) -> String {
    signed(amount, |size| match size {
        0.0 => "0".to_owned(),
        _ if size < 0.001 => format!("{size:.1e}"),
        _ if size < 0.995 => trimmed(format!("{size:.3}")),
        _ if size < 9.95 => trimmed(format!("{size:.2}")),
        _ if size < 99.95 => trimmed(format!("{size:.1}")),
        _ => thousands(size),
    })
}

/// Writes dollars: `0`, `$0.0041` below a cent, `$8.30` below ten, `$1,204`.
pub fn usd(amount: f64) -> String {
    signed(amount, |size| match size {
        0.0 => "0".to_owned(),
        _ if size < 1e-9 => format!("${size:.1e}"),
        _ if size < 0.01 => {
            // Two significant digits: below a cent two decimals would say nothing.
            let decimals = (1.0 - size.log10().floor()) as usize;
            format!("${}", trimmed(format!("{size:.decimals$}")))
        }
        _ if size < 9.995 => format!("${size:.2}"),
        _ => format!("${}", thousands(size)),
    })
}

/// Writes a share of one as a percentage: `0`, `<0.01%`, `12.20%`, and `100%` from 99.995 % on.
pub fn percent(share: f64) -> String {
    signed(share, |share| match share * 100.0 {
        0.0 => "0".to_owned(),
        percent if percent < 0.01 => "<0.01%".to_owned(),
        percent if percent < 99.995 => format!("{percent:.2}%"),
        percent => format!("{}%", thousands(percent)),
    })
}

/// Writes microseconds: `4.2ms`, `987ms`, `59.8s`, `120s`.
pub fn duration_us(us: f64) -> String {
    signed(us / 1e3, |ms| match ms {
        0.0 => "0ms".to_owned(),
        _ if ms < 9.95 => format!("{ms:.1}ms"),
        _ if ms < 999.5 => format!("{ms:.0}ms"),
        _ if ms < 99_950.0 => format!("{:.1}s", ms / 1e3),
        _ => format!("{}s", thousands(ms / 1e3)),
    })
}

/// Writes a whole number with a comma between thousands; from a quadrillion on as `1.2e18`.
pub fn thousands(number: f64) -> String {
    signed(number, |number| {
        if 1e15 <= number {
            return format!("{number:.1e}");
        }
        let digits = format!("{number:.0}");
        let mut out = String::with_capacity(digits.len() + digits.len() / 3);
        for (at, digit) in digits.chars().enumerate() {
            if at != 0 && (digits.len() - at).is_multiple_of(3) {
                out.push(',');
            }
            out.push(digit);
        }
        out
    })
}

fn signed(amount: f64, size: impl Fn(f64) -> String) -> String {
    if !amount.is_finite() {
        return NONE.to_owned();
    }
    let written = size(amount.abs());
    if amount < 0.0 && written != "0" { format!("−{written}") } else { written }
}

fn trimmed(decimal: String) -> String {
    if decimal.contains('.') {
        decimal.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        decimal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_on_the_terminal() {
        let cases: [(Format, f64, &str); 39] = [
            (count, 0.0, "0"),
            (count, 0.25, "0.25"),
            (count, 7.5, "7.5"),
            (count, 0.3, "0.3"),
            (count, 62.04, "62"),
            (count, 99.97, "100"),
            (count, 1204.0, "1,204"),
            (count, 2e6, "2,000,000"),
            (count, 1.24e18, "1.2e18"),
            (count, 1e-7, "1.0e-7"),
            (count, -12.5, "−12.5"),
            (count, -0.0, "0"),
            (count, f64::NAN, "–"),
            (usd, 0.0, "0"),
            (usd, 0.0041, "$0.0041"),
            (usd, 0.000_12, "$0.00012"),
            (usd, 0.05, "$0.05"),
            (usd, 8.3, "$8.30"),
            (usd, 9.999, "$10"),
            (usd, 31.4, "$31"),
            (usd, 6982.0, "$6,982"),
            (usd, -690.0, "−$690"),
            (usd, f64::INFINITY, "–"),
            (percent, 0.0, "0"),
            (percent, 0.000_01, "<0.01%"),
            (percent, 0.122, "12.20%"),
            (percent, 0.9999, "99.99%"),
            (percent, 0.999_96, "100%"),
            (percent, 1.5, "150%"),
            (percent, f64::NAN, "–"),
            (duration_us, 0.0, "0ms"),
            (duration_us, 4_200.0, "4.2ms"),
            (duration_us, 987_000.0, "987ms"),
            (duration_us, 999_900.0, "1.0s"),
            (duration_us, 59_800_000.0, "59.8s"),
            (duration_us, 120e6, "120s"),
            (duration_us, f64::NAN, "–"),
            (thousands, 111_621_221.0, "111,621,221"),
            (thousands, 999.6, "1,000"),
        ];
        for (format, amount, expected) in cases {
            assert_eq!(format(amount), expected, "{amount}");
        }
    }
}
