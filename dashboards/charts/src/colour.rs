//! The palette: few colours, told apart by people who see colours differently, and by how dark they are.
//!
//! After Okabe and Ito, "Color Universal Design" (2008), made darker on white and lighter on black until each stands out from
//! the background by 3 : 1 (WCAG 2.2, 1.4.11). The values are in `page.css`; a test reckons their contrast.

/// What a mark is drawn in. The page says how it looks in light, in dark and on paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Colour {
    /// For containers.
    Blue,
    /// The lighter blue.
    Sky,
    /// For what was promised and kept.
    Green,
    /// For Lambda.
    Orange,
    /// The lighter orange.
    Yellow,
    /// For what failed.
    Red,
    /// For Pacer itself.
    Purple,
    /// For what is only there to compare with.
    Grey,
    /// The colour of text: for what all else is compared with.
    Ink,
}

impl Colour {
    /// All of them, in the order in which they are best taken for things without a colour of their own.
    pub const ALL: [Self; 9] = [
        Self::Blue,
        Self::Orange,
        Self::Green,
        Self::Purple,
        Self::Sky,
        Self::Red,
        Self::Yellow,
        Self::Grey,
        Self::Ink,
    ];

    /// Returns the name of its class in the page.
    pub(crate) const fn class(self) -> &'static str {
        match self {
            Self::Blue => "blue",
            Self::Sky => "sky",
            Self::Green => "green",
            Self::Orange => "orange",
            Self::Yellow => "yellow",
            Self::Red => "red",
            Self::Purple => "purple",
            Self::Grey => "grey",
            Self::Ink => "ink",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads the variables of one scheme from the style sheet.
    fn variables(scheme: &str) -> Vec<(&str, &str)> {
        let of = scheme.split_once('{').expect("a rule").1.split_once('}').expect("its end").0;
        of.split(';')
            .filter_map(|line| line.trim().strip_prefix("--")?.split_once(": "))
            .filter(|(_, value)| value.starts_with('#'))
            .collect()
    }

    /// WCAG 2.2, relative luminance.
    fn luminance(hex: &str) -> f64 {
        let channel = |at: usize| {
            let value = u8::from_str_radix(&hex[at..at + 2], 16).expect("a colour");
            let value = f64::from(value) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    }

    #[test]
    fn text_and_marks_stand_out_in_both_schemes() {
        let (light, dark) =
            crate::page::STYLE.split_once("prefers-color-scheme").expect("two schemes");
        let dark = dark.split_once('{').expect("a query").1;
        for scheme in [light, dark] {
            let variables = variables(scheme);
            let value = |name: &str| {
                luminance(variables.iter().find(|(own, _)| *own == name).expect(name).1)
            };
            let contrast = |one: &str, other: &str| {
                let (one, other) = (value(one), value(other));
                (one.max(other) + 0.05) / (one.min(other) + 0.05)
            };
            for background in ["paper", "card", "notice"] {
                assert!(4.5 <= contrast("ink", background), "ink on {background}");
                assert!(4.5 <= contrast("soft", background), "soft on {background}");
                assert!(4.5 <= contrast("link", background), "link on {background}");
            }
            for colour in Colour::ALL {
                let (paper, card) =
                    (contrast(colour.class(), "paper"), contrast(colour.class(), "card"));
                assert!(3.0 <= paper && 3.0 <= card, "{colour:?}: {paper:.2} {card:.2}");
            }
        }
    }
}
