//! The head of a trace as it travels: `traceparent` (W3C Trace Context, level 2).
//!
//! Pure, and without an allocation: it is read of every request that brings one.

/// Bytes of a `traceparent` of the version that is written here.
pub(crate) const LENGTH: usize = 55;

/// Of the flags: the request is recorded.
pub(crate) const SAMPLED: u8 = 1;
/// Of the flags: the trace's id is random in its last seven bytes.
pub(crate) const RANDOM: u8 = 2;

/// Which trace a request is part of, and whose child it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Context {
    /// The trace; never 0.
    pub(crate) trace: u128,
    /// The span that is the parent of what the receiver does; never 0.
    pub(crate) span: u64,
    /// Flags that are known: [`SAMPLED`] and [`RANDOM`]; others are taken off, as the standard asks.
    pub(crate) flags: u8,
}

impl Context {
    /// Reads `version-trace-span-flags`; `None` for what is no such thing, which must then not be passed on either.
    ///
    /// A version that is not known is read as far as the known one goes (section 3.2.2.1); it may be longer.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let version = hex(text.get(..2)?)?;
        let fits = match version {
            0xff => false,
            0 => text.len() == LENGTH,
            _ => text.len() == LENGTH || text.get(LENGTH) == Some(&b'-'),
        };
        if !fits || [2, 35, 52].iter().any(|dash| text.get(*dash) != Some(&b'-')) {
            return None;
        }
        let context = Self {
            trace: hex(&text[3..35])?,
            span: hex(&text[36..52])? as u64,
            flags: hex(&text[53..55])? as u8 & (SAMPLED | RANDOM),
        };
        (context.trace != 0 && context.span != 0).then_some(context)
    }

    /// Tells whether whoever sent it records the request.
    pub(crate) fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// Writes it in version 00.
    pub(crate) fn text(self) -> [u8; LENGTH] {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        write(&mut text[3..35], self.trace);
        write(&mut text[36..52], u128::from(self.span));
        write(&mut text[53..55], u128::from(self.flags));
        text
    }
}

/// Reads digits of which the standard allows only those in lower case.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(value))
    })
}

/// Fills `digits` with the last ones of `number`.
fn write(digits: &mut [u8], mut number: u128) {
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(number & 15) as usize];
        number >>= 4;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn the_example_of_the_standard_is_read() {
        let context = Context::parse(GOOD.as_bytes()).unwrap();
        assert_eq!(context.trace, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
        assert_eq!((context.span, context.flags), (0xb7ad_6b71_6920_3331, SAMPLED));
        assert_eq!(context.text(), GOOD.as_bytes());
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        let later = GOOD.replacen("00", "cc", 1);
        for text in [later.clone(), format!("{later}-what-the-future-will-be-like")] {
            assert_eq!(Context::parse(text.as_bytes()), Context::parse(GOOD.as_bytes()), "{text}");
        }
        assert_eq!(Context::parse(format!("{later}.what").as_bytes()), None);
        assert_eq!(Context::parse(format!("{GOOD}-more").as_bytes()), None, "00 has one length");
    }

    #[test]
    fn flags_that_nobody_knows_are_taken_off() {
        let all = GOOD.replace("-01", "-ff");
        assert_eq!(Context::parse(all.as_bytes()).unwrap().flags, SAMPLED | RANDOM);
    }

    #[test]
    fn what_is_not_one_is_refused() {
        for wrong in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01 ",
            " 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
            "0x-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(Context::parse(wrong.as_bytes()), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(trace in 1_u128.., span in 1_u64.., flags in 0_u8..4) {
            let context = Context { trace, span, flags };
            prop_assert_eq!(Context::parse(&context.text()), Some(context));
        }

        #[test]
        fn no_bytes_break_it(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Some(context) = Context::parse(&bytes) {
                prop_assert!(context.trace != 0 && context.span != 0);
            }
        }

        #[test]
        fn one_odd_byte_is_refused_or_changes_what_is_read(place in 0..LENGTH, byte: u8) {
            let mut text: [u8; LENGTH] = GOOD.as_bytes().try_into().unwrap();
            prop_assume!(text[place] != byte);
            text[place] = byte;
            if let Some(context) = Context::parse(&text) {
                // What was read is what stands there, but for the version and for flags that nobody knows.
                prop_assert_eq!(&context.text()[2..53], &text[2..53]);
            }
        }
    }
}
