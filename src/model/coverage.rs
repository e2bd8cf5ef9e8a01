//! What a run can say of what was recorded before it: which files it looked at, and what other files declare.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::name::{AppRef, LiveIdentity, RoleName, ScopeName};
use super::source::{ManifestRef, SourceFile};

/// What a run found out about each file that the inventory names. Absence counts only where it was looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    files: BTreeMap<SourceFile, Covered>,
    elsewhere: Elsewhere,
}

/// What a run found out about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Covered {
    /// It was read.
    Read,
    /// It is gone from disk, inside the PATHs of the run.
    Gone,
    /// It is gone from disk, in a repository of the run, outside its PATHs: what it held may be handed over, and nothing is
    /// removed for it.
    GoneOutside,
    /// It is gone from a cluster, or says something else, since a moment ago: what it held may be handed over, and nothing is
    /// removed for it yet.
    Lately,
    /// It may be there, and was not read.
    NotRead(NotRead),
}

/// Why a file was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotRead {
    /// The run read nothing of its repository, or it was recorded without one.
    OtherRepository,
    /// It lies outside the PATHs.
    Outside,
    /// It lies inside the PATHs, and was passed over or could not be read.
    PassedOver,
    /// A link on the way to it leads nowhere.
    DeadLink,
    /// It lies in a submodule that is not checked out.
    NotCheckedOut,
    /// A sparse checkout leaves it out, or may do so.
    LeftOut,
    /// It is there in a cluster, and is invalid or could not be read: nobody knows what it declares.
    Invalid,
    /// It is there in a cluster, and its Target does not permit it.
    NotAllowed,
}

/// What a cluster holds of a source: a resource is one by its namespace, kind and name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InCluster {
    /// It is there, valid and permitted, and says the same since that moment.
    ReadSince(Timestamp),
    /// It is not there, since that moment.
    GoneSince(Timestamp),
    /// It is there, and what it declares does not count.
    NotRead(NotRead),
}

/// What the files of the same checkouts declare that lie outside the PATHs of a run: what moved there waits for the run over
/// them, and is not removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Elsewhere {
    /// The scopes, by the names that they have and had.
    pub scopes: BTreeMap<ScopeName, Vec<Found>>,
    /// The app scope sets.
    pub apps: BTreeMap<AppRef, Vec<Found>>,
    /// The roles that are asked for on a scope.
    pub roles: BTreeMap<(ScopeName, RoleName), Vec<Found>>,
    /// The recorded names (of scopes, roles and manifests) that stand in a file which nobody can make sense of: what is
    /// called so may be declared there.
    pub mentions: BTreeMap<String, SourceFile>,
}

/// Where something is declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The live place that it is declared for; `None` where only the system itself can tell.
    pub identity: Option<LiveIdentity>,
    /// The file.
    pub file: SourceFile,
}

impl Coverage {
    /// What a cluster that was read as a whole tells of its sources; one that is not named was not looked for. What a source
    /// does not say any more counts after `delay`: what is deleted and applied again, or moves to another namespace, is
    /// handed over.
    pub fn in_cluster(
        sources: impl IntoIterator<Item = (SourceFile, InCluster)>,
        delay: SignedDuration,
        now: Timestamp,
    ) -> Self {
        let is_old = |since| now.duration_since(since) >= delay;
        let covered = |found| match found {
            InCluster::ReadSince(since) if is_old(since) => Covered::Read,
            InCluster::GoneSince(since) if is_old(since) => Covered::Gone,
            InCluster::ReadSince(_) | InCluster::GoneSince(_) => Covered::Lately,
            InCluster::NotRead(why) => Covered::NotRead(why),
        };
        let sources = sources.into_iter();
        sources
            .map(|(source, found)| (source, covered(found)))
            .collect()
    }

    /// What is known of a file. One that was not asked for was not read.
    pub fn of(&self, file: &SourceFile) -> Covered {
        let unknown = Covered::NotRead(NotRead::OtherRepository);
        self.files.get(file).copied().unwrap_or(unknown)
    }

    /// Adds what other files declare.
    pub fn with(mut self, elsewhere: Elsewhere) -> Self {
        self.elsewhere = elsewhere;
        self
    }

    /// The file outside the PATHs that declares a scope of a live place, or that may do so.
    pub fn scope_moved_to(
        &self,
        identity: Option<&LiveIdentity>,
        scope: &ScopeName,
        manifest: &ManifestRef,
    ) -> Option<&SourceFile> {
        let found = self.elsewhere.scopes.get(scope);
        file_of(found, identity)
            .or_else(|| self.elsewhere.mentions.get(scope.as_str()))
            .or_else(|| self.elsewhere.mentions.get(&manifest.name))
    }

    /// The same for an app scope set, whatever its spelling.
    pub fn app_moved_to(
        &self,
        identity: Option<&LiveIdentity>,
        app: &AppRef,
        manifest: &ManifestRef,
    ) -> Option<&SourceFile> {
        let keyless = app.keyless();
        let is_it = |other: &AppRef| {
            other.identity() == app.identity() || other.identity() == keyless.identity()
        };
        let mut found = self.elsewhere.apps.iter().filter(|(other, _)| is_it(other));
        found
            .find_map(|(_, found)| file_of(Some(found), identity))
            .or_else(|| self.elsewhere.mentions.get(&manifest.name))
    }

    /// Whether a file outside the PATHs asks for a role that a manifest gave to a scope, or may do so.
    pub fn asks_for(
        &self,
        identity: Option<&LiveIdentity>,
        (scope, role): (&ScopeName, &RoleName),
        manifest: &ManifestRef,
    ) -> bool {
        let found = self.elsewhere.roles.get(&(scope.clone(), role.clone()));
        let names = [role.as_str(), &manifest.name];
        file_of(found, identity).is_some()
            || names
                .iter()
                .any(|name| self.elsewhere.mentions.contains_key(*name))
    }
}

/// The file among them that declares something for this place. What is not known for certain counts.
fn file_of<'f>(
    found: Option<&'f Vec<Found>>,
    identity: Option<&LiveIdentity>,
) -> Option<&'f SourceFile> {
    let is_here = |found: &&Found| {
        identity.is_none() || found.identity.is_none() || found.identity.as_ref() == identity
    };
    let mut found = found.into_iter().flatten();
    found.find(is_here).map(|found| &found.file)
}

impl Elsewhere {
    /// Adds what other files declare.
    pub fn add(&mut self, other: Self) {
        for (scope, found) in other.scopes {
            self.scopes.entry(scope).or_default().extend(found);
        }
        for (app, found) in other.apps {
            self.apps.entry(app).or_default().extend(found);
        }
        for (role, found) in other.roles {
            self.roles.entry(role).or_default().extend(found);
        }
        self.mentions.extend(other.mentions);
    }
}

impl FromIterator<(SourceFile, Covered)> for Coverage {
    fn from_iter<I: IntoIterator<Item = (SourceFile, Covered)>>(files: I) -> Self {
        Self {
            files: files.into_iter().collect(),
            elsewhere: Elsewhere::default(),
        }
    }
}

impl Covered {
    /// Whether what the file held may be removed because no manifest declares it.
    pub fn may_remove(self) -> bool {
        matches!(self, Self::Read | Self::Gone)
    }

    /// Whether the file holds nothing any more that another manifest declares.
    pub fn may_hand_over(self) -> bool {
        match self {
            Self::Read | Self::Gone | Self::GoneOutside | Self::Lately => true,
            Self::NotRead(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Repository;

    #[test]
    fn what_an_older_format_recorded_is_covered_by_nothing() {
        let iam = Repository::named("github.com/acme/iam").unwrap();
        let older = SourceFile::new("scopes/a.yaml");
        let coverage: Coverage = [(older.clone().of(iam), Covered::Read)]
            .into_iter()
            .collect();
        assert!(!coverage.of(&older).may_remove());
    }

    #[test]
    fn what_is_gone_from_a_cluster_is_handed_over_at_once_and_removed_after_a_delay() {
        let source = SourceFile::in_cluster("a", "Scope", "x");
        let now: Timestamp = "2026-07-01T12:00:00Z".parse().unwrap();
        let covered = |found| {
            let sources = [(source.clone(), found)];
            let coverage = Coverage::in_cluster(sources, SignedDuration::from_secs(60), now);
            let covered = coverage.of(&source);
            (covered.may_remove(), covered.may_hand_over())
        };
        let gone = |seconds| {
            covered(InCluster::GoneSince(
                now - SignedDuration::from_secs(seconds),
            ))
        };
        assert_eq!(gone(60), (true, true));
        assert_eq!(gone(59), (false, true));
        // A clock that was put back makes nothing older.
        assert_eq!(gone(-60), (false, true));
        let changed = |seconds| {
            covered(InCluster::ReadSince(
                now - SignedDuration::from_secs(seconds),
            ))
        };
        assert_eq!(changed(60), (true, true));
        assert_eq!(changed(59), (false, true));
        assert_eq!(
            covered(InCluster::NotRead(NotRead::Invalid)),
            (false, false)
        );
        let other = SourceFile::in_cluster("b", "Scope", "x");
        let coverage = Coverage::in_cluster([], SignedDuration::ZERO, now);
        assert!(!coverage.of(&other).may_hand_over());
    }

    #[test]
    fn a_role_that_a_file_outside_the_paths_asks_for_at_this_place_is_not_taken_out() {
        let file = SourceFile::new("there.yaml");
        let manifest = ManifestRef::from(SourceFile::new("here.yaml"));
        let (one, two) = (LiveIdentity::new("one"), LiveIdentity::new("two"));
        let (scope, role) = (ScopeName::observed("s"), RoleName::new("r"));
        let asks = |identity: Option<&LiveIdentity>, at: Option<&LiveIdentity>| {
            let identity = identity.cloned();
            let found = vec![Found {
                identity,
                file: file.clone(),
            }];
            let elsewhere = Elsewhere {
                roles: [((scope.clone(), role.clone()), found)].into(),
                ..Elsewhere::default()
            };
            let coverage = Coverage::default().with(elsewhere);
            coverage.asks_for(at, (&scope, &role), &manifest)
        };
        assert!(asks(Some(&one), Some(&one)));
        assert!(asks(None, Some(&one)) && asks(Some(&one), None));
        assert!(!asks(Some(&two), Some(&one)));
    }
}
