//! What will come, what to hold ready, what it would cost. Pure.
