//! Holders that stall, die between any two writes, lose answers and fold, all at once and on a virtual clock: nothing that
//! was confirmed before its send is lost, no two may send at once, and a reader always gets a picture.
//!
//! The dice are bytes, so that a failing life shrinks by itself: zeros are the calmest one.

use proptest::prelude::*;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::*;

/// How many runs each of the holders has at most.
const RUNS: u64 = 8;
/// Limits that a run reaches.
const LIMITS: Limits = Limits {
    inline: 3000,
    part_text: 6000,
    part: 6000,
    tail: 1000,
    journal: 3000,
    pieces: 3,
};

/// What all of them share.
struct World {
    dice: Mutex<std::vec::IntoIter<u8>>,
    store: BlobStore,
    /// The rights to send of those that are alive, by their run.
    alive: Mutex<BTreeMap<String, Fence>>,
    /// What was confirmed before it was sent.
    confirmed: Mutex<Vec<String>>,
    made: Mutex<usize>,
    wrong: Mutex<Option<String>>,
}

impl World {
    fn below(&self, sides: u64) -> u64 {
        u64::from(self.dice.lock().unwrap().next().unwrap_or_default()) % sides
    }

    fn fault(&self, died: &Notify) -> Option<Fault> {
        match self.below(24) {
            23 => Some(Fault::Refuse),
            22 => Some(Fault::LoseAnswer),
            21 => Some(Fault::Late(SECOND * 5)),
            20 => Some(Fault::Late(SECOND * 80)),
            19 => Some(Fault::ErrorFirst(SECOND)),
            18 => Some(Fault::ErrorFirst(SECOND * 50)),
            17 => {
                died.notify_one();
                Some(Fault::DieBefore)
            }
            16 => {
                died.notify_one();
                Some(Fault::DieAfter)
            }
            _ => None,
        }
    }

    fn fail(&self, why: String) {
        self.wrong.lock().unwrap().get_or_insert(why);
    }

    /// No two may send.
    fn look(&self) {
        let alive = self.alive.lock().unwrap();
        let may_send = |(_, fence): &(&String, &Fence)| fence.remaining() > Some(Duration::ZERO);
        let able: Vec<_> = alive.iter().filter(may_send).map(|(run, _)| run).collect();
        if able.len() > 1 {
            self.fail(format!("{able:?} may send at once"));
        }
    }

    /// What a reader finds.
    async fn read(&self) {
        let confirmed = self.confirmed.lock().unwrap().clone();
        let owned = match ledger(&self.store, "a reader").owned(&identity()).await {
            Ok(owned) => owned,
            Err(error) => return self.fail(format!("not to be read: {error}")),
        };
        for name in confirmed {
            let name = ScopeName::observed(name);
            let is_open = |open: &crate::model::OpenIntent| matches!(&open.intent, Intent::CreateScope { state, .. } if state.name == name);
            let is_known = owned.scopes.contains_key(&name);
            if is_known == owned.intents.iter().any(is_open) {
                self.fail(format!("{name} is lost, or there twice"));
            }
        }
    }
}

/// A run, until it ends or dies.
async fn live(world: &Arc<World>, run: &str) {
    let died = Arc::new(Notify::new());
    let (shared, dies) = (Arc::clone(world), Arc::clone(&died));
    let blobs = world.store.troubled(move |_, _| shared.fault(&dies));
    let ledger = over(blobs, holder(run)).with_limits(LIMITS);
    let fence = ledger.fence(&identity());
    world.alive.lock().unwrap().insert(run.to_owned(), fence);
    tokio::select! {
        biased;
        () = died.notified() => {}
        _ = work(world, &ledger) => {}
    }
    world.alive.lock().unwrap().remove(run);
    drop(ledger);
}

async fn work(world: &World, ledger: &RemoteLedger) -> Result<(), InventoryError> {
    ledger.claim(&identity(), SECOND * 90).await?;
    let fence = ledger.fence(&identity());
    for _ in 0..=world.below(6) {
        let first = *world.made.lock().unwrap();
        let count = 1 + usize::try_from(world.below(4)).unwrap();
        *world.made.lock().unwrap() += count;
        let names = names(first..first + count);
        let numbers = prepare(ledger, &names).await?;
        world
            .confirmed
            .lock()
            .unwrap()
            .extend(names.iter().cloned());
        for (name, number) in names.iter().zip(numbers) {
            if !fence.may_start() {
                return Ok(());
            }
            world.look();
            let time = SECOND * u32::try_from(world.below(30)).unwrap();
            tokio::select! {
                () = sleep(time) => {}
                () = fence.passed() => return Ok(()),
            }
            if world.below(5) < 4 {
                let (identity, target) = (identity(), target());
                let answered = ledger.answered(&identity, &target, number, done(name));
                answered.await?;
            }
        }
    }
    if world.below(3) < 2 {
        ledger.release(&identity()).await?;
    }
    Ok(())
}

async fn live_through(dice: Vec<u8>) -> Result<(), String> {
    let world = Arc::new(World {
        dice: Mutex::new(dice.into_iter()),
        store: BlobStore::default(),
        alive: Mutex::default(),
        confirmed: Mutex::default(),
        made: Mutex::default(),
        wrong: Mutex::default(),
    });
    let lives = (0..3).map(async |holder| {
        for number in 0..=world.below(RUNS) {
            live(&world, &format!("{holder}-{number}")).await;
            sleep(SECOND * (1 + u32::try_from(world.below(20)).unwrap())).await;
        }
    });
    let looks = async {
        loop {
            world.look();
            world.read().await;
            sleep(SECOND * 4).await;
        }
    };
    tokio::select! {
        _ = join_all(lives) => {}
        () = looks => {}
    }
    // Writes that seemed lost arrive.
    sleep(SECOND * 60).await;
    let last = ledger(&world.store, "the last").with_limits(LIMITS);
    let claimed = last.claim(&identity(), SECOND * 90).await;
    claimed.map_err(|error| error.to_string())?;
    make_one(&last, "the last")
        .await
        .map_err(|error| error.to_string())?;
    close(last).await.map_err(|error| error.to_string())?;
    world.read().await;
    world.wrong.lock().unwrap().take().map_or(Ok(()), Err)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.min(2000), ..ProptestConfig::default() })]

    #[test]
    fn whoever_stalls_or_dies_no_two_send_at_once_and_nothing_confirmed_is_lost(
        dice in proptest::collection::vec(any::<u8>(), 0..1500),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let result = runtime.block_on(live_through(dice));
        prop_assert!(result.is_ok(), "{}", result.unwrap_err());
    }
}
