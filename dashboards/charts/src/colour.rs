//! The palette: few colours, told apart by people who see colours differently, and by how dark they are.
//!
//! The hues of Okabe and Ito, "Color Universal Design" (2008), made darker on white and lighter on black until each stands out
//! from the background by 3 : 1 (WCAG 2.2, 1.4.11), and moved apart in lightness. The values are in `page.css`; tests reckon
//! their contrast, and how far apart they are for each kind of colour blindness.

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

    /// Red, green and blue as light, from 0 to 1: WCAG 2.2 after sRGB.
    fn light(hex: &str) -> [f64; 3] {
        [1, 3, 5].map(|at| {
            let value = u8::from_str_radix(&hex[at..at + 2], 16).expect("a colour");
            let value = f64::from(value) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        })
    }

    fn dot(one: [f64; 3], other: [f64; 3]) -> f64 {
        one.iter().zip(other).map(|(one, other)| one * other).sum()
    }

    /// WCAG 2.2, relative luminance.
    fn luminance(hex: &str) -> f64 {
        dot([0.2126, 0.7152, 0.0722], light(hex))
    }

    /// CIE 1976 L*a*b*, white being D65.
    fn lab(light: [f64; 3]) -> [f64; 3] {
        let light = light.map(|part| part.clamp(0.0, 1.0));
        let cube =
            |part: f64| if part <= 0.008_856 { 7.787 * part + 16.0 / 116.0 } else { part.cbrt() };
        let x = cube(dot([0.4124, 0.3576, 0.1805], light) / 0.950_47);
        let y = cube(dot([0.2126, 0.7152, 0.0722], light));
        let z = cube(dot([0.0193, 0.1192, 0.9505], light) / 1.088_83);
        [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
    }

    /// Returns the rules of the light and of the dark scheme.
    fn schemes() -> [&'static str; 2] {
        let (light, dark) =
            crate::page::STYLE.split_once("prefers-color-scheme").expect("two schemes");
        [light, dark.split_once('{').expect("a query").1]
    }

    #[test]
    fn text_and_marks_stand_out_in_both_schemes() {
        for scheme in schemes() {
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

    #[test]
    fn colours_are_told_apart_by_people_who_see_them_differently() {
        // Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of Color Vision Deficiency" (2009),
        // severity 1.0: what reaches someone without one of the three kinds of cones.
        let whole = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
        let without_red = [
            [0.152_286, 1.052_583, -0.204_868],
            [0.114_503, 0.786_281, 0.099_216],
            [-0.003_882, -0.048_116, 1.051_998],
        ];
        let without_green = [
            [0.367_322, 0.860_646, -0.227_968],
            [0.280_085, 0.672_501, 0.047_413],
            [-0.011_820, 0.042_940, 0.968_881],
        ];
        let without_blue = [
            [1.255_528, -0.076_749, -0.178_779],
            [-0.078_411, 0.930_809, 0.147_602],
            [0.004_733, 0.691_367, 0.303_900],
        ];
        for scheme in schemes() {
            let variables = variables(scheme);
            for seen in [whole, without_red, without_green, without_blue] {
                let places = Colour::ALL.map(|colour| {
                    let name = colour.class();
                    let hex = variables.iter().find(|(own, _)| *own == name).expect(name).1;
                    (colour, lab(seen.map(|row| dot(row, light(hex)))))
                });
                for (at, (one, place)) in places.iter().enumerate() {
                    for (other, others) in &places[..at] {
                        let apart =
                            place.iter().zip(others).map(|(one, other)| (one - other).powi(2));
                        let apart = apart.sum::<f64>().sqrt();
                        // 2.3 is what is just noticed side by side.
                        assert!(10.0 <= apart, "{one:?} and {other:?}: {apart:.1}");
                    }
                }
            }
        }
    }
}
