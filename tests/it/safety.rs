//! The rules of what may be removed, taken over, widened and sent where, each shown on the real binary over HTTP.
//!
//! One module for each part of the rules; a test is named for the rule that it shows.

use std::fmt::Write as _;
use std::ops::Range;

use crate::support::*;

mod approval;
mod declared;
mod embedded;
mod empty;
mod exit_codes;
mod fates;
mod guard;
mod identity;
mod ownership;
mod removal;
mod renames;
mod sets;
mod smaller;

/// Where OneLogin's scopes are.
const SCOPES: &str = "/api/2/api_authorizations/{id}/scopes";
/// One of them.
const SCOPE: &str = "/api/2/api_authorizations/{id}/scopes/{scope}";
/// Where OneLogin's clients are.
const CLIENTS: &str = "/api/2/api_authorizations/{id}/clients";
/// One of them.
const CLIENT: &str = "/api/2/api_authorizations/{id}/clients/{app}";
/// One of Apigee's keys.
const KEY: &str = "/v1/organizations/{organization}/developers/{email}/apps/{app}/keys/{key}";

/// Declares the scopes s00, s01, ... of a range in a file.
fn declare(case: &Case, target: &str, numbers: Range<usize>) {
    let documents: String = numbers
        .map(|n| scope(target, &format!("s{n:02}"), "description: One of many"))
        .collect();
    case.write("many.yaml", documents);
}

/// A list in YAML's flow form of the scopes s00, s01, ... of a range.
fn numbered(numbers: Range<usize>) -> String {
    let mut list = "[".to_owned();
    for n in numbers {
        write!(list, "s{n:02}, ").unwrap();
    }
    list.push(']');
    list
}
