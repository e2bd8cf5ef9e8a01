//! The way to a Target's system: kept while nothing about it changes, since a token serves many readings.

use super::{FIRST_PAUSE, Keys, LONGEST_PAUSE, Reconciler, SHORTLY, Short};
use crate::cluster::secrets::Known;
use crate::model::DesiredTarget;
use crate::model::SecretDocument;
use crate::model::Source;
use crate::model::SourceFile;
use crate::model::TargetId;
use crate::operator::admission;
use crate::operator::status;
use crate::operator::status::Reason;
use crate::provider::CredentialStore;
use crate::provider::Provider;
use crate::run::Reading;
use crate::run::Systems;
use crate::run::Wanted;
use rand::Rng as _;
use secrecy::{ExposeSecret as _, SecretString};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

impl Reconciler {
    /// The way to the system: that of the last run, unless something about it is new.
    pub(super) fn connect(
        &mut self,
        wanted: &Wanted,
        desired: &Arc<DesiredTarget>,
    ) -> Result<(Systems, Reading<dyn Provider>), Short> {
        let keys = self.known_keys(desired)?;
        let is_same_key = self.keys.as_ref().is_some_and(|old| is_same(&keys, old));
        if let Some(url) = keys
            .0
            .get("tokenUrl")
            .and_then(|url| Url::parse(url.expose_secret()).ok())
            && let Some(why) = admission::refused_url(&url, &self.context.settings)
        {
            return Err(Short::stop(Reason::NotAllowed, format!("tokenUrl: {why}")));
        }
        let mut secrets = vec![document(&self.target, &desired.target.credential, &keys.0)];
        if let (Some((name, _)), Some(authorities)) = (&desired.target.tls.ca_secret, &keys.1) {
            secrets.push(document(&self.target, name, authorities));
        }
        self.keys = Some(keys);
        let systems = Systems {
            credentials: CredentialStore::new(None, [], secrets),
            stand_in: None,
            interrupt: self.end.clone(),
            tally: self.tally.clone(),
        };
        let known = self.connection.take().filter(|_| is_same_key);
        let reading = known.and_then(|reading| reading.renewed(desired));
        let reading = match reading {
            Some(reading) => reading,
            None => systems.providers(wanted).remove(0),
        };
        Ok((systems, reading))
    }

    /// What is known of the Secrets of a Target, to tell whether it is another than before.
    pub(super) fn marks(&self, desired: &DesiredTarget) -> Vec<Mark> {
        let authorities = desired.target.tls.ca_secret.iter().map(|(name, _)| name);
        let names = authorities.chain([&desired.target.credential]);
        let mark = |name: &String| {
            let secret = (self.target.namespace.clone(), name.clone());
            match self.context.secrets.get(&secret) {
                Known::NotYet => Mark::NotYet,
                Known::Missing => Mark::Missing,
                Known::Refused(why) => Mark::Refused(why),
                Known::Keys(keys) => Mark::Keys(Arc::as_ptr(&keys).addr()),
            }
        };
        names.map(mark).collect()
    }

    /// The keys of the Target's credential.
    pub(super) fn known_keys(&self, desired: &DesiredTarget) -> Result<Keys, Short> {
        let keys = |name: &str| {
            let secret = (self.target.namespace.clone(), name.to_owned());
            let named = format!("Secret {}/{name}", secret.0);
            let stop = |message| Short::stop(Reason::Unauthenticated, message);
            match self.context.secrets.get(&secret) {
                Known::Keys(keys) => Ok(keys),
                Known::Missing => Err(stop(format!("{named} is not there"))),
                Known::Refused(why) => Err(stop(format!("{named} cannot be read: {why}"))),
                Known::NotYet => Err(Short {
                    is_worth_telling: false,
                    after: Some(SHORTLY),
                    ..stop(format!("{named} was not read yet"))
                }),
            }
        };
        let authorities = desired.target.tls.ca_secret.as_ref();
        let authorities = authorities.map(|(name, _)| keys(name)).transpose()?;
        Ok((keys(&desired.target.credential)?, authorities))
    }

    /// What a reading that failed means for the Target.
    pub(super) fn unreadable(&mut self, failure: &crate::plan::Failure) -> Short {
        let reason = Reason::of_failure(failure);
        let mut message = status::cut(failure.message.clone(), status::LONGEST_OF_A_SERVER);
        if let Some(help) = &failure.help {
            message.push_str("; ");
            message.push_str(help);
        }
        let after = match reason {
            Reason::Unreachable => {
                let longest = FIRST_PAUSE * 2_u32.saturating_pow(self.unreached.min(10));
                self.unreached += 1;
                let share = rand::rng().random_range(0.0..1.0);
                Some(FIRST_PAUSE + longest.min(LONGEST_PAUSE).mul_f64(share))
            }
            Reason::RateLimited => Some(Duration::from_mins(1)),
            _ => None,
        };
        Short {
            after,
            ..Short::stop(reason, message)
        }
    }
}

pub(super) fn is_same(new: &Keys, old: &Keys) -> bool {
    let authorities = match (&new.1, &old.1) {
        (Some(new), Some(old)) => Arc::ptr_eq(new, old),
        (None, None) => true,
        _ => false,
    };
    Arc::ptr_eq(&new.0, &old.0) && authorities
}

/// A Secret as credentials are looked for.
fn document(
    target: &TargetId,
    name: &str,
    keys: &Arc<BTreeMap<String, SecretString>>,
) -> SecretDocument {
    SecretDocument {
        source: Source {
            file: SourceFile::in_cluster(&target.namespace, "Secret", name),
            document: 0,
            line: 1,
            kind: "Secret".to_owned(),
            namespace: target.namespace.clone(),
            name: name.to_owned(),
        },
        keys: (**keys).clone(),
    }
}

/// What was known of a Secret: not what it says, but by what another state of it is told from that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mark {
    NotYet,
    Missing,
    Refused(String),
    Keys(usize),
}
