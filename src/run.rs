//! One run of the engine, whoever asks for it: the command line or the operator.
//!
//! ```text
//! manifests --Wanted--+
//!                     +--read--> Readings --+
//! Systems ------------+                     +--judge--> ApprovedPlan --execute--> Report
//! inventory --Snapshot----------------------+
//! ```
//!
//! | step | input and output | decides |
//! |---|---|---|
//! | [`Wanted`] | none | which targets, and what this run does not see of the manifests |
//! | [`read`] | asks the systems | nothing |
//! | [`judge`] | none | what is wanted, and what of it may run |
//! | [`execute`] | writes to the systems and the inventory | nothing |
//!
//! Nothing here prints, asks or knows of arguments.

mod execute;
mod judge;
mod reading;
#[cfg(test)]
mod tests;
mod wanted;

pub(crate) use execute::{Execution, execute};
pub(crate) use judge::{Judging, judge, orphans};
pub(crate) use reading::{Picture, Reading, Systems, read};
pub(crate) use wanted::{Realm, Wanted};
