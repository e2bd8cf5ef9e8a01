//! What a scope is to hold: the declared values over the live ones, field by field, and what the inventory will say of it.

use std::collections::{BTreeMap, BTreeSet};

use super::Planner;
use crate::model::target::{Adoption, Drift};
use crate::model::{
    Counted, DeletionPolicy, DesiredScope, LastApplied, LiveScope, ManifestRef, Origin, OwnedScope,
    RemoteId, Removal, RoleName, ScopeName, ScopeState,
};
use crate::plan::adopt::roles_as_applied;
use crate::plan::prose::list;
use crate::plan::rule::{Named, Refusal, Rule, WayThrough};
use crate::plan::sets::{Resolved, ThreeWay};
use crate::plan::{ObjectKind, ObjectRef, SkipReason};

impl Planner<'_, '_> {
    /// The previous names that are no wish any more: all of them once there is an object of the declared name, and else two
    /// scopes that were made afresh would swap their names for having had each other's somewhere else. What was left once is
    /// never taken again.
    pub(super) fn honoured(&self, scope: &DesiredScope, entry: &OwnedScope) -> BTreeSet<ScopeName> {
        let mut honoured = entry.renamed_from.clone();
        if !self.renames.outbid.contains(&scope.name) {
            honoured.extend(scope.previous_names.iter().cloned());
        }
        honoured
    }

    /// What counts as last applied to a scope that is not ours yet: under `adoption: Always` all that is live, so that
    /// what its manifest leaves out goes; else nothing.
    pub(super) fn assumed(&self, scope: &DesiredScope, live: &LiveScope) -> OwnedScope {
        let all = self.context.desired.target.adoption == Adoption::Always;
        let roles = all.then(|| roles_as_applied(scope, live, None)).flatten();
        OwnedScope {
            origin: Origin::Matched,
            remote_id: live.remote_id.clone(),
            source: scope.source.manifest(),
            deletion_policy: DeletionPolicy::default(),
            protected: false,
            applied: LastApplied {
                all_roles: roles.is_some() && scope.roles.whole,
                roles,
                ..LastApplied::default()
            },
            hold_until: None,
            renamed_from: BTreeSet::new(),
            parked_for: None,
            vanished_at: None,
            wanted_by: None,
        }
    }

    pub(super) fn roles(
        &self,
        scope: &DesiredScope,
        live: &LiveScope,
        entry: &OwnedScope,
    ) -> Resolved<RoleName> {
        let live_roles: BTreeSet<RoleName> = live.state.roles.iter().cloned().collect();
        let desired: BTreeSet<RoleName> = scope.roles.entries.keys().cloned().collect();
        let incomplete = (!scope.roles.may_shrink).then_some(SkipReason::IncompleteManifests);
        let last = last_roles(scope, entry);
        let unmanaged = !scope.roles.whole && desired.is_empty() && last.is_none();
        if unmanaged || !self.capabilities.roles {
            return Resolved {
                after: live_roles,
                removed: BTreeSet::new(),
                withheld: BTreeMap::new(),
                drifted: BTreeSet::new(),
                first_contact: BTreeSet::new(),
                foreign: BTreeSet::new(),
            };
        }
        ThreeWay {
            desired: &desired,
            last: last.as_ref(),
            last_was_whole: entry.applied.all_roles,
            live: &live_roles,
            everything: None,
            keep_foreign: !scope.roles.whole,
            gate: self.context.removal_gate().or(incomplete),
            why_kept: &|role, manifest| self.context.why_asked_for(&scope.name, role, manifest),
            report_drift: self.context.desired.target.drift == Drift::Report,
        }
        .resolve()
    }

    /// The state to reach, and the fields whose change behind our back is only reported. Unmanaged fields keep their live
    /// values, since every update replaces the object.
    pub(super) fn after(
        &self,
        scope: &DesiredScope,
        live: &LiveScope,
        entry: &OwnedScope,
        roles: &Resolved<RoleName>,
    ) -> (ScopeState, Vec<&'static str>) {
        let report = self.context.desired.target.drift == Drift::Report;
        let mut drifted = Vec::new();
        let mut text = |path,
                        desired: &Option<String>,
                        last: &Option<String>,
                        live: &Option<String>| match desired {
            Some(wanted) if live.as_ref() != Some(wanted) => {
                if report && last.as_ref() == Some(wanted) {
                    drifted.push(path);
                    live.clone()
                } else {
                    Some(wanted.clone())
                }
            }
            _ => live.clone(),
        };
        let wanted = scope.description.clone().filter(|d| !d.trim().is_empty());
        let mut description = text(
            "description",
            &wanted,
            &entry.applied.description,
            &live.state.description,
        );
        let display_name = if self.capabilities.display_name {
            text(
                "displayName",
                &scope.display_name,
                &entry.applied.display_name,
                &live.state.display_name,
            )
        } else {
            live.state.display_name.clone()
        };
        let mut ordered: Vec<RoleName> = live
            .state
            .roles
            .iter()
            .filter(|role| roles.after.contains(*role))
            .cloned()
            .collect();
        let kept: BTreeSet<RoleName> = ordered.iter().cloned().collect();
        ordered.extend(roles.after.difference(&kept).cloned());
        let writes = description != live.state.description
            || display_name != live.state.display_name
            || ordered != live.state.roles;
        // WSO2 breaks on a blank description: whoever writes the object has to give it one.
        if writes && description.as_deref().unwrap_or_default().trim().is_empty() {
            description = Some(stand_in(scope));
        }
        (
            ScopeState {
                name: scope.name.clone(),
                display_name,
                description,
                roles: ordered,
            },
            drifted,
        )
    }

    /// The managed roles with their contributors, as the inventory will hold them: the wanted ones, and those of before that
    /// stay. A contributor that this run knows nothing of stays one, so that a run that sees a part forgets nobody.
    ///
    /// A set that was never applied and holds more than is wanted stays unknown while nothing may be taken out of it: what is
    /// there is a first contact still, for the run that may.
    pub(super) fn applied_roles(
        &self,
        scope: &DesiredScope,
        roles: &Resolved<RoleName>,
        entry: &OwnedScope,
    ) -> Option<Roles> {
        if entry.applied.roles.is_none() && !roles.withheld.is_empty() {
            return None;
        }
        let mut applied = scope.roles.entries.clone();
        for (role, sources) in last_roles(scope, entry).into_iter().flatten() {
            if roles.withheld.contains_key(&role) {
                applied.entry(role).or_insert(sources);
            } else if let Some(wanted) = applied.get_mut(&role) {
                let is_outside = |source: &ManifestRef| {
                    let is_known = |by: &ManifestRef| source.file.may_be(&by.file);
                    !self.context.may_be_gone(source) && !wanted.iter().any(is_known)
                };
                let outside: Vec<ManifestRef> = sources.into_iter().filter(is_outside).collect();
                wanted.extend(outside);
            }
        }
        (scope.roles.whole || !applied.is_empty()).then_some(applied)
    }

    pub(super) fn role_refusals(
        &self,
        scope: &DesiredScope,
        live: &LiveScope,
        roles: &Resolved<RoleName>,
        after: &ScopeState,
    ) -> Vec<Refusal> {
        let object = ObjectRef::scope(&scope.name, live.remote_id.as_ref());
        let texts: Vec<String> = roles
            .first_contact
            .iter()
            .map(|r| r.as_str().to_owned())
            .collect();
        let mut refusals = Vec::new();
        if !texts.is_empty() {
            let message = format!(
                "the roles of {} were never applied from here, and {} would go",
                scope.name,
                list(&texts)
            );
            let way = WayThrough::Adopt(Named::of(ObjectKind::Scope, &scope.source));
            let refusal = Refusal::of(Rule::FirstContact, &object, message, way);
            refusals.push(refusal.counted(0, texts.len() as u64));
        }
        if after.roles.is_empty() && !live.state.roles.is_empty() {
            let rule = if self.capabilities.empty_roles_open_to_all {
                Rule::OpensToAll
            } else {
                Rule::LastEntry
            };
            let message = format!(
                "{} would have no role left, and a scope without roles is issued to any user",
                scope.name
            );
            let refusal = Refusal::of(rule, &object, message, WayThrough::KeepRole);
            refusals.push(refusal.counted(1, 0));
        }
        refusals
    }
}

/// What stands for a description that is not given, and for a display name.
pub(super) fn stand_in(scope: &DesiredScope) -> String {
    let name = || scope.name.as_str().to_owned();
    scope.display_name.clone().unwrap_or_else(name)
}

/// Roles with the manifests that ask for them.
type Roles = BTreeMap<RoleName, BTreeSet<ManifestRef>>;

/// What was last applied of the roles that are managed still. A manifest whose `bindings` were taken out lets go of what it
/// gave: nobody's from then on, whoever else asked for it.
fn last_roles(scope: &DesiredScope, entry: &OwnedScope) -> Option<Roles> {
    let mut last = entry.applied.roles.clone()?;
    let is_scope = |by: &ManifestRef| by.kind == "Scope";
    if !scope.roles.whole {
        last.retain(|_, contributors| !contributors.iter().any(is_scope));
    }
    // Of the manifests of the scope itself only its present one has a say.
    let holder = scope.source.manifest();
    for contributors in last.values_mut() {
        contributors.retain(|by| !is_scope(by) || *by == holder);
    }
    (scope.roles.whole || !last.is_empty()).then_some(last)
}

/// Whether a live scope without an id is another one than the entry's, made anew under its name after that one vanished.
pub(super) fn is_another(live: &LiveScope, entry: &OwnedScope) -> bool {
    let is_back = entry.vanished_at.is_some() && live.remote_id.is_none();
    let LastApplied {
        display_name,
        description,
        roles,
        all_roles: _,
    } = &entry.applied;
    let other = |applied: &Option<String>, live: &Option<String>| {
        applied.is_some() && applied.as_deref() != Some(live.as_deref().unwrap_or_default())
    };
    let live_roles: BTreeSet<&RoleName> = live.state.roles.iter().collect();
    let other_roles = roles
        .as_ref()
        .is_some_and(|roles| !roles.keys().eq(live_roles.iter().copied()));
    is_back
        && (other(description, &live.state.description)
            || other(display_name, &live.state.display_name)
            || other_roles)
}

/// The roles that go, as the guard counts. What was never applied is judged as a first contact alone.
pub(super) fn taken(roles: &Resolved<RoleName>) -> impl Iterator<Item = &RoleName> {
    roles.removed.difference(&roles.first_contact)
}

/// What the removal of these roles takes away, by the namespaces of the manifests that asked for them. What nobody asked
/// for goes by the word of the scope's own manifest.
pub(super) fn role_removals<'r>(
    name: &ScopeName,
    roles: impl Iterator<Item = &'r RoleName>,
    entry: &OwnedScope,
) -> Vec<Removal> {
    let mut counts: BTreeMap<BTreeSet<String>, u64> = BTreeMap::new();
    for role in roles {
        let applied = entry.applied.roles.as_ref();
        let sources = applied.and_then(|applied| applied.get(role));
        let namespaces = match sources.filter(|sources| !sources.is_empty()) {
            Some(sources) => sources.iter().filter_map(namespace).collect(),
            None => namespace(&entry.source).into_iter().collect(),
        };
        *counts.entry(namespaces).or_default() += 1;
    }
    let removal = |(namespaces, count)| Removal {
        counted: Counted::Roles,
        holder: Some(name.as_str().to_owned()),
        namespaces,
        count,
    };
    counts.into_iter().map(removal).collect()
}

/// What the removal of a scope takes away.
pub(super) fn scope_removal(source: &ManifestRef) -> Removal {
    Removal {
        counted: Counted::Scopes,
        holder: None,
        namespaces: namespace(source).into_iter().collect(),
        count: 1,
    }
}

/// The namespace of a recorded manifest; an older format did not record it.
pub(in crate::plan) fn namespace(manifest: &ManifestRef) -> Option<String> {
    Some(&manifest.namespace)
        .filter(|namespace| !namespace.is_empty())
        .cloned()
}

/// What the inventory will say of a declared scope.
pub(super) fn entry_of(
    scope: &DesiredScope,
    origin: Origin,
    remote_id: Option<RemoteId>,
    roles: Option<BTreeMap<RoleName, BTreeSet<ManifestRef>>>,
    renamed_from: BTreeSet<ScopeName>,
) -> OwnedScope {
    OwnedScope {
        origin,
        remote_id,
        source: scope.source.manifest(),
        deletion_policy: scope.deletion_policy,
        protected: scope.protected,
        applied: LastApplied {
            display_name: scope.display_name.clone(),
            description: scope.description.clone(),
            all_roles: roles.is_some() && scope.roles.whole,
            roles,
        },
        hold_until: scope.hold_until,
        renamed_from,
        parked_for: None,
        vanished_at: None,
        wanted_by: None,
    }
}
