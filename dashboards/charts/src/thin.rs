//! As many points as there are pixels, and no peak lost.

use crate::scale::drawable;

/// Stretches of a line, each without a gap: places in pixels, values as they were.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Thinned {
    pub(crate) stretches: Vec<Vec<(f64, f64)>>,
    /// Values that were no numbers.
    pub(crate) missing: usize,
}

/// Keeps of each column of one pixel the lowest and the highest value, in their order.
///
/// Points are in the order of time. Where a value is no number the line has a gap, unless that would be within one column: so
/// there are never more stretches than columns.
pub(crate) fn thin(points: impl Iterator<Item = (f64, f64)>) -> Thinned {
    let mut thinned = Thinned::default();
    let mut column: Option<Column> = None;
    let mut gap = true;
    for (px, value) in points {
        let Some(value) = drawable(value) else {
            thinned.missing += 1;
            gap = true;
            continue;
        };
        let number = px.floor() as i64;
        match &mut column {
            Some(column) if column.number == number => column.add((px, value)),
            _ => {
                if let Some(column) = column.take() {
                    column.flush(&mut thinned.stretches);
                }
                if gap {
                    thinned.stretches.push(Vec::new());
                }
                column = Some(Column::new(number, (px, value)));
            }
        }
        gap = false;
    }
    if let Some(column) = column {
        column.flush(&mut thinned.stretches);
    }
    thinned
}

struct Column {
    number: i64,
    lowest: (f64, f64),
    highest: (f64, f64),
    /// Whether the lowest came after the highest.
    falls: bool,
}

impl Column {
    fn new(number: i64, point: (f64, f64)) -> Self {
        Self { number, lowest: point, highest: point, falls: false }
    }

    fn add(&mut self, point: (f64, f64)) {
        if point.1 < self.lowest.1 {
            self.lowest = point;
            self.falls = true;
        }
        if self.highest.1 < point.1 {
            self.highest = point;
            self.falls = false;
        }
    }

    fn flush(self, stretches: &mut [Vec<(f64, f64)>]) {
        let Some(stretch) = stretches.last_mut() else { return };
        let (first, second) =
            if self.falls { (self.highest, self.lowest) } else { (self.lowest, self.highest) };
        stretch.push(first);
        if first != second {
            stretch.push(second);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_of_one_point_among_many_is_kept() {
        let points = (0..1_000_000_u32).map(|at| {
            let value = match at {
                123_456 => 99.0,
                654_321 => -7.0,
                _ => f64::from(at % 10) / 10.0,
            };
            (f64::from(at) * 700.0 / 1e6, value)
        });
        let thinned = thin(points);
        let line = &thinned.stretches[0];
        assert!(line.len() <= 1400, "{}", line.len());
        assert!(line.is_sorted_by(|one, next| one.0 <= next.0));
        for (value, column) in [(99.0, 86), (-7.0, 458)] {
            let kept =
                |point: &&(f64, f64)| (point.1 - value).abs() < 1e-9 && point.0 as i64 == column;
            assert_eq!(line.iter().filter(kept).count(), 1, "{value}");
        }
    }

    #[test]
    fn what_is_no_number_leaves_a_gap_and_is_counted() {
        let points = [
            (0.0, 1.0),
            (10.0, f64::NAN),
            (20.0, 2.0),
            (30.0, f64::INFINITY),
            (40.0, 3.0),
            (50.0, 4.0),
        ];
        let thinned = thin(points.into_iter());
        assert_eq!(
            thinned.stretches,
            [vec![(0.0, 1.0)], vec![(20.0, 2.0)], vec![(40.0, 3.0), (50.0, 4.0)]]
        );
        assert_eq!(thinned.missing, 2);
    }

    #[test]
    fn few_points_are_all_kept_and_gaps_never_outnumber_columns() {
        assert_eq!(
            thin([(0.5, 3.0), (0.6, 1.0)].into_iter()).stretches,
            [vec![(0.5, 3.0), (0.6, 1.0)]]
        );
        assert_eq!(thin(std::iter::empty()), Thinned::default());
        let torn =
            (0..10_000).map(|at| (f64::from(at) / 100.0, if at % 2 == 0 { 1.0 } else { f64::NAN }));
        assert!(thin(torn).stretches.len() <= 100);
    }
}
