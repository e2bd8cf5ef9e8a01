//! The rules of what may be removed, taken over, widened and sent where, each shown on the real binary over HTTP.
//!
//! One module a section; a test is named for the rule that it shows.

mod ownership;
