//! One of something for each processor architecture.

use std::ops::AddAssign;

use crate::policy::Arch;

/// One of something for each processor architecture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ByArch<T> {
    /// On x86.
    pub x86_64: T,
    /// On Arm.
    pub arm64: T,
}

impl<T> ByArch<T> {
    /// Returns that of `arch`.
    pub const fn of(&self, arch: Arch) -> &T {
        match arch {
            Arch::X86_64 => &self.x86_64,
            Arch::Arm64 => &self.arm64,
        }
    }

    /// Returns that of `arch`, to change it.
    pub const fn of_mut(&mut self, arch: Arch) -> &mut T {
        match arch {
            Arch::X86_64 => &mut self.x86_64,
            Arch::Arm64 => &mut self.arm64,
        }
    }

    /// Returns what `make` makes for each architecture.
    pub(super) fn from_fn(mut make: impl FnMut(Arch) -> T) -> Self {
        Self { x86_64: make(Arch::X86_64), arm64: make(Arch::Arm64) }
    }
}

impl<T: AddAssign> AddAssign for ByArch<T> {
    fn add_assign(&mut self, other: Self) {
        self.x86_64 += other.x86_64;
        self.arm64 += other.arm64;
    }
}
