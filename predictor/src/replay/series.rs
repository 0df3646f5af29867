//! How load and capacity went over time, in as many points as a picture needs.

/// Most points that are kept.
const POINTS: usize = 720;

/// Means over stretches of equal length.
#[derive(Debug, Clone)]
pub struct Series {
    start_us: u64,
    stretch_us: u64,
    points: Vec<Point>,
}

/// One stretch of time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Point {
    samples: u32,
    demand: f64,
    slots: f64,
    on_lambda: f64,
}

impl Point {
    /// Returns busy slots that were asked for, on average.
    pub fn demand(&self) -> f64 {
        self.demand / f64::from(self.samples.max(1))
    }

    /// Returns slots of ready tasks, on average.
    pub fn slots(&self) -> f64 {
        self.slots / f64::from(self.samples.max(1))
    }

    /// Returns requests on Lambda, on average.
    pub fn on_lambda(&self) -> f64 {
        self.on_lambda / f64::from(self.samples.max(1))
    }
}

impl Series {
    pub(super) fn new(start_us: u64, end_us: u64) -> Self {
        let stretch_us = ((end_us - start_us).div_ceil(POINTS as u64)).max(1);
        Self { start_us, stretch_us, points: Vec::new() }
    }

    pub(super) fn push(&mut self, now_us: u64, demand: f64, slots: f64, on_lambda: f64) {
        let number = ((now_us - self.start_us) / self.stretch_us) as usize;
        let number = number.min(POINTS - 1);
        if self.points.len() <= number {
            self.points.resize(number + 1, Point::default());
        }
        let point = &mut self.points[number];
        point.samples += 1;
        point.demand += demand;
        point.slots += slots;
        point.on_lambda += on_lambda;
    }

    /// Notes that from one moment to another nothing was asked for, and `slots` were there.
    pub(super) fn hold(&mut self, from_us: u64, until_us: u64, slots: f64) {
        let mut now_us = from_us;
        while now_us < until_us {
            self.push(now_us, 0.0, slots, 0.0);
            now_us += self.stretch_us;
        }
    }

    /// Adds what another service needed and had, over the same time.
    pub(super) fn add(&mut self, other: &Self) {
        if self.points.len() < other.points.len() {
            self.points.resize(other.points.len(), Point::default());
        }
        for (own, others) in self.points.iter_mut().zip(&other.points) {
            *own = Point {
                samples: 1,
                demand: own.demand() + others.demand(),
                slots: own.slots() + others.slots(),
                on_lambda: own.on_lambda() + others.on_lambda(),
            };
        }
    }

    /// Iterates over the stretches: when each begins, in microseconds, and what it was like.
    pub fn points(&self) -> impl Iterator<Item = (u64, &Point)> {
        let at = |number: usize| self.start_us + number as u64 * self.stretch_us;
        self.points.iter().enumerate().map(move |(number, point)| (at(number), point))
    }
}
