//! The systems behind two small traits: who may look, and who may write.
//!
//! [`Observe`] gives a complete picture or an error, never a shorter picture. [`Apply`] makes one write and says what
//! became of it. Planning and pull-request jobs are given an [`observer`], whose HTTP layer refuses to send a write.
//!
//! ```text
//! Target + Credential --observer()--> &dyn Observe              plan
//!                     --provider()--> &dyn Provider             apply, sync
//! ```

use async_trait::async_trait;

mod apigee;
pub mod connect;
pub mod credential;
pub mod error;
mod http;
pub mod memory;
mod oauth;
mod onelogin;
mod seen;
mod tally;
mod wso2;

pub use connect::{Connect, Interrupt, Patience};
pub use credential::{Credential, CredentialStore};
pub use error::{Cause, Fate, ProviderError};
pub(crate) use seen::are_known;
pub use tally::{Counted, Tally};

use http::Purpose;

use crate::model::target::Endpoint;
use crate::model::{AppRef, Live, RemoteId, Target};
use crate::plan::guard::ApprovedChange;

/// Opens a target to look at it; the HTTP layer beneath refuses to send a write. Sends nothing yet.
///
/// # Errors
/// A credential that is not for this target or lacks a key, and settings that cannot be used.
pub fn observer(
    target: &Target,
    credential: &Credential,
    connect: &Connect,
) -> Result<Box<dyn Observe>, ProviderError> {
    let provider: Box<dyn Observe> = open(target, credential, connect, Purpose::Read)?;
    Ok(provider)
}

/// Opens a target to look at it and to write to it. Sends nothing yet.
///
/// # Errors
/// A credential that is not for this target or lacks a key, and settings that cannot be used.
pub fn provider(
    target: &Target,
    credential: &Credential,
    connect: &Connect,
) -> Result<Box<dyn Provider>, ProviderError> {
    open(target, credential, connect, Purpose::Write)
}

fn open(
    target: &Target,
    credential: &Credential,
    connect: &Connect,
    purpose: Purpose,
) -> Result<Box<dyn Provider>, ProviderError> {
    match &target.endpoint {
        Endpoint::OneLogin { .. } => onelogin::open(target, credential, connect, purpose),
        Endpoint::Wso2 { .. } => wso2::open(target, credential, connect, purpose),
        Endpoint::Apigee { .. } => apigee::open(target, credential, connect, purpose),
    }
}

/// What a caller needs to see. A provider may see more where that costs nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interest {
    /// Every scope of the target.
    pub scopes: bool,
    /// Who uses the scopes; on OneLogin one more list.
    pub consumers: bool,
    /// These apps.
    pub apps: Vec<AppRef>,
    /// What may stand in the apps' lists; on Apigee the products.
    pub allowed: bool,
}

/// What became of a change that did not fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    /// It is made.
    Done {
        /// The id of what was made, where the system gives one.
        remote_id: Option<RemoteId>,
    },
    /// What was to be made was there already, just so: somebody else's, and nothing was written.
    Found,
    /// What it rests on is not any more as it was planned on: nothing was written, and somebody else's write stays.
    Moved,
}

impl Applied {
    /// It is made, and has no id of its own or keeps the one that it has.
    pub(crate) fn done() -> Self {
        Self::Done { remote_id: None }
    }

    /// It is made with this id, or found where `found` says so.
    pub(crate) fn made(remote_id: Option<RemoteId>, found: bool) -> Self {
        if found {
            Self::Found
        } else {
            Self::Done { remote_id }
        }
    }
}

/// How many requests a provider sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Requests {
    /// All, retries and token requests included.
    pub total: u64,
    /// Those that write: neither GET nor HEAD, nor for a token.
    pub writes: u64,
    /// Those for a token.
    pub tokens: u64,
}

/// Who may look.
#[async_trait]
pub trait Observe: Send + Sync {
    /// Gives the complete picture of what `interest` asks for.
    ///
    /// # Errors
    /// Any list that failed, came short or is not of the expected shape.
    async fn observe(&self, interest: &Interest) -> Result<Live, ProviderError>;

    /// How many requests were sent so far.
    fn requests(&self) -> Requests;
}

/// Who may write.
#[async_trait]
pub trait Apply: Send + Sync {
    /// Makes one write. A provider that needs ids that only a list tells (OneLogin's scope ids in an app's list) has them
    /// from the last `observe` and from its own creations since.
    ///
    /// A create whose fate is unknown is looked up before it is sent again. A replacement is looked at each time before it
    /// is sent again, and left alone if it moved; a delete of what is gone is done.
    ///
    /// # Errors
    /// What the server said; [`ProviderError::fate`] tells whether the write may have taken effect all the same.
    async fn apply(&self, change: ApprovedChange<'_>) -> Result<Applied, ProviderError>;
}

/// Both.
pub trait Provider: Observe + Apply {}

impl<T: Observe + Apply> Provider for T {}
