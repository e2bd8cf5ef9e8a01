//! What all connections of a sandbox have in common: the world as it is now, the journal, the faults, the state file.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::drift;
use super::faults::{Fault, Faults, Verdict};
use super::journal::Journal;
use super::store::Store;
use super::wire::{Emulated, Request, Response};
use super::world::World;

/// Everything that the connections of a sandbox have in common.
pub(super) struct Shared {
    live: Arc<Mutex<Live>>,
    journal: Mutex<Journal>,
    faults: Faults,
    store: Option<Store>,
}

/// The world and what is not part of its file form.
pub(super) struct Live {
    pub(super) world: World,
    /// Counts the changes, so that the state file's writer knows what it has.
    pub(super) version: u64,
    /// Systems whose reads still show an earlier state, by name.
    lagging: HashMap<String, Replica>,
}

/// A system as it was before a write, for the reads that do not show that write yet.
struct Replica {
    emulated: Box<dyn Emulated>,
    reads_left: u64,
}

impl Live {
    pub(super) fn new(world: World) -> Self {
        Self {
            world,
            version: 0,
            lagging: HashMap::new(),
        }
    }

    /// Puts another world in the place of this one.
    pub(super) fn replace(&mut self, world: World) {
        self.world = world;
        self.lagging.clear();
        self.version += 1;
    }

    /// Lets a request have its effect, on the state that it is meant to see.
    pub(super) fn handle(
        &mut self,
        name: &str,
        request: &Request,
        verdict: &Verdict,
    ) -> Option<Response> {
        let Self {
            world,
            version,
            lagging,
        } = self;
        let system = world.named(name)?;
        if matches!(verdict.fault, Some(Fault::ExpireTokens(_))) {
            system.emulated.expire_tokens();
            *version += 1;
        }
        // A token is given by the system itself, also where a GET asks for it.
        let read = matches!(request.method.as_str(), "GET" | "HEAD" | "OPTIONS")
            && !system.emulated.label(request).token;
        if read && let Some(replica) = lagging.get_mut(&system.name) {
            // Reads lag; who may read does not.
            replica.emulated.resume(system.emulated.sessions());
            let response = replica.emulated.handle(request);
            replica.reads_left -= 1;
            if replica.reads_left == 0 {
                lagging.remove(&system.name);
            }
            return Some(response);
        }
        if let Some(Fault::Lag(lag)) = &verdict.fault
            && !read
            && lag.reads > 0
        {
            // What a system saved it can load again; if not, the lag is left out and the world is none the worse.
            if let Ok(emulated) = system.kind.load(system.emulated.world()) {
                lagging.insert(
                    system.name.clone(),
                    Replica {
                        emulated,
                        reads_left: lag.reads,
                    },
                );
            }
        }
        let response = system.emulated.handle(request);
        if !read {
            *version += 1;
        }
        Some(response)
    }

    /// Makes a change as `POST /__sandbox/drift` does; `system` is meant where the change names none.
    pub(super) fn drift(
        &mut self,
        mut change: serde_json::Value,
        system: Option<&str>,
    ) -> Result<(), String> {
        let named = match change
            .as_object_mut()
            .map(|members| members.shift_remove("system"))
        {
            None => return Err("a change is a JSON object".to_owned()),
            Some(Some(serde_json::Value::String(name))) => Some(name),
            Some(Some(other)) => {
                return Err(format!("\"system\" is the name of a system, not {other}"));
            }
            Some(None) => system.map(ToOwned::to_owned),
        };
        let found = match &named {
            Some(name) => self
                .world
                .named(name)
                .ok_or_else(|| format!("no system of this world is called \"{name}\""))?,
            None => self
                .world
                .only()
                .ok_or("the world has several systems: say which with \"system\"")?,
        };
        drift::make(found.kind, found.emulated.as_mut(), &change)?;
        self.version += 1;
        Ok(())
    }
}

impl Shared {
    pub(super) fn new(live: Arc<Mutex<Live>>, store: Option<Store>) -> Self {
        Self {
            live,
            journal: Mutex::default(),
            faults: Faults::new(),
            store,
        }
    }

    pub(super) fn live(&self) -> MutexGuard<'_, Live> {
        lock(&self.live)
    }

    pub(super) fn journal(&self) -> MutexGuard<'_, Journal> {
        lock(&self.journal)
    }

    pub(super) fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Has the state saved, and waits for it where that is not long.
    pub(super) async fn save(&self, version: u64) {
        if let Some(store) = &self.store {
            store.changed(version);
            store.saved(version).await;
        }
    }
}

/// A panic elsewhere leaves the data as whole as it was, so a poisoned lock is used on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
