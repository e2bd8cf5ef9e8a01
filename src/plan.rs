//! What to do, from what is wanted, what is live and what is ours: a pure function.

pub mod change;
