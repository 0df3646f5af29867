//! On what terms an account buys: on demand or under a savings plan, with or without the free tier.

/// On what terms an account buys. The default is on demand without the free tier: what holds for everybody.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Terms {
    /// Terms of Lambda's duration and provisioned concurrency.
    pub lambda: Term,
    /// Terms of Fargate tasks that are not on Spot, Pacer's own among them.
    pub fargate: Term,
    /// Whether Lambda's free tier is taken off: it is the account's, and other functions may have used it up.
    pub free_tier: bool,
}

/// A commitment to compute usage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Term {
    /// None.
    #[default]
    OnDemand,
    /// A compute savings plan of one year, paid by the month.
    OneYearNoUpfront,
    /// A compute savings plan of three years, paid by the month.
    ThreeYearsNoUpfront,
    /// A compute savings plan of three years, paid in advance.
    ThreeYearsAllUpfront,
}

impl Term {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::OnDemand,
        Self::OneYearNoUpfront,
        Self::ThreeYearsNoUpfront,
        Self::ThreeYearsAllUpfront,
    ];

    /// Returns its name, as price files write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OnDemand => "on_demand",
            Self::OneYearNoUpfront => "one_year_no_upfront",
            Self::ThreeYearsNoUpfront => "three_years_no_upfront",
            Self::ThreeYearsAllUpfront => "three_years_all_upfront",
        }
    }
}
