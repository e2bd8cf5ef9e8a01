//! What the engine talks about: names, targets, what is wanted, what is live, what is ours.
//!
//! Data and the rules that hold for it everywhere. No input or output, no clock, no logging: a value of these types is
//! the same in a test, on the command line and in a cluster.
//!
//! | module | answers |
//! |---|---|
//! | [`name`] | what things are called: [`ScopeName`], [`RoleName`], [`TargetId`], [`AppRef`], ... |
//! | [`target`] | how a live system is reached, and what may be done there: [`Target`] |
//! | [`system`] | what a system can hold: [`System`], its [`Capabilities`] and limits |
//! | [`desired`] | what manifests say should exist: [`Desired`] |
//! | [`state`] | what a scope holds, wherever it stands: [`ScopeState`] |
//! | [`live`] | what a provider saw: [`Live`] |
//! | [`owned`] | what we made, adopted or found equal, and last applied: [`Owned`] |
//! | [`source`] | where a wish comes from: [`Repository`], [`SourceFile`], [`ManifestRef`] |
//! | [`secret`] | what a Secret among the inputs holds: [`SecretDocument`] |
//! | [`coverage`] | what a run can say of what was recorded before it: [`Coverage`] |
//! | [`removal`] | what was taken away, as the guard counts: [`Removal`] |

pub mod coverage;
pub mod desired;
pub mod live;
mod moved;
pub mod name;
pub mod owned;
pub mod removal;
pub mod secret;
pub mod source;
pub mod state;
pub mod system;
pub mod target;

pub use coverage::{Coverage, Covered, Elsewhere, Found, InCluster, NotRead};
pub use desired::{
    DeletionPolicy, Desired, DesiredApp, DesiredRoles, DesiredScope, DesiredTarget, ForeignScopes,
};
pub use live::{Consumers, Live, LiveApp, LiveAppScopes, LiveScope};
pub use name::{
    AppIdentity, AppOwner, AppRef, ConsumerKey, Lineage, LiveIdentity, RemoteId, RoleName,
    ScopeName, TargetId,
};
pub use owned::{
    Intent, LastApplied, OpenIntent, Origin, Owned, OwnedApp, OwnedScope, Record, Tightening,
    WantedBy,
};
pub use removal::{Counted, Measure, PastRemoval, Populations, Removal, Removals};
pub use secret::SecretDocument;
pub use source::{InvalidRepository, ManifestRef, Repository, Source, SourceFile};
pub use state::{DisplayNames, ScopeState};
pub use system::{Capabilities, Rename, Reread, System};
pub use target::Target;
