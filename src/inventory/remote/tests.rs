//! A ledger over blobs in memory: what it costs, who has the claim, and what is read in trouble.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::head::Head;
use super::journal::Then;
use super::place::Loaded;
use super::*;
use crate::inventory::blobs::BlobKey;
use crate::inventory::memory_blobs::{BlobStore, Fault, MemoryBlobs};
use crate::inventory::tests::{identity, made, removal, sending, target};
use crate::model::{Intent, Removals, ScopeName, ScopeState};

mod interleavings;
mod places;

const SECOND: Duration = Duration::from_secs(1);

fn holder(run: &str) -> Holder {
    Holder {
        holder: "somebody".to_owned(),
        kind: HolderKind::CommandLine,
        run: run.to_owned(),
        lease: None,
    }
}

fn over(blobs: MemoryBlobs, holder: Holder) -> RemoteLedger {
    RemoteLedger::new(Arc::new(blobs), holder, Arc::new(|_| {}))
}

fn ledger(store: &BlobStore, run: &str) -> RemoteLedger {
    over(store.open(), holder(run))
}

/// Limits that a few writes reach.
const SMALL: Limits = Limits {
    inline: 1500,
    part_text: 2000,
    part: 2000,
    tail: 1500,
    journal: 4000,
    pieces: 3,
};

impl RemoteLedger {
    /// A run of somebody who is always the same, and so never waits for a claim of a killed one.
    pub(crate) fn of_the_same(store: &BlobStore) -> Self {
        ledger(store, "the same").with_limits(SMALL)
    }

    /// Starts an inventory that knows this.
    pub(crate) async fn start(&self, identity: &LiveIdentity, target: &TargetId, owned: Owned) {
        let place = self.place(identity);
        let mut loaded = Loaded::of(identity, None);
        loaded.head.reached_by = Some(target.clone());
        loaded.snapshot = Snapshot::knowing(identity, target, owned, Removals::default());
        place.fold(&mut loaded, Then::GiveBack).await.unwrap();
    }
}

/// A write that makes a scope.
fn making(name: &str) -> Sending {
    let Record::Scope { entry, .. } = made(name) else {
        unreachable!("it is a scope");
    };
    let state = ScopeState {
        name: ScopeName::observed(name),
        display_name: None,
        description: None,
        roles: Vec::new(),
    };
    Sending {
        intent: Some(Intent::CreateScope { state, entry }),
        ..sending(name, vec![removal()])
    }
}

fn done(name: &str) -> Answered {
    Answered {
        records: vec![made(name)],
        not_removed: Vec::new(),
        entry: Some(serde_json::json!({ "object": name })),
    }
}

async fn prepare(
    ledger: &RemoteLedger,
    names: &[String],
) -> Result<Vec<WriteNumber>, InventoryError> {
    let sending = names.iter().map(|name| making(name)).collect();
    ledger.prepare(&identity(), &target(), sending).await
}

/// Makes scopes, all of them prepared together.
async fn make(ledger: &RemoteLedger, names: &[String]) -> Result<(), InventoryError> {
    let numbers = prepare(ledger, names).await?;
    let (identity, target) = (identity(), target());
    for (name, number) in names.iter().zip(numbers) {
        let answered = ledger.answered(&identity, &target, number, done(name));
        answered.await?;
    }
    Ok(())
}

async fn make_one(ledger: &RemoteLedger, name: &str) -> Result<(), InventoryError> {
    make(ledger, &[name.to_owned()]).await
}

async fn close(ledger: RemoteLedger) -> Result<(), InventoryError> {
    Box::new(ledger).close().await
}

/// What a run that starts now reads.
async fn read(store: &BlobStore) -> Owned {
    ledger(store, "a reader").owned(&identity()).await.unwrap()
}

fn names(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| format!("scope:{n:05}")).collect()
}

fn scopes(owned: &Owned) -> Vec<&str> {
    owned.scopes.keys().map(ScopeName::as_str).collect()
}

#[tokio::test(start_paused = true)]
async fn what_was_prepared_is_found_after_a_kill_and_what_was_answered_after_a_close() {
    let store = BlobStore::default();
    let killed = ledger(&store, "1");
    make_one(&killed, "a").await.unwrap();
    prepare(&killed, &["b".to_owned()]).await.unwrap();
    drop(killed);
    let owned = read(&store).await;
    // The answer for the first one rode with the second.
    assert_eq!(scopes(&owned), ["a"]);
    assert_eq!((owned.intents.len(), owned.writes), (1, 2));
    let next = ledger(&store, "2");
    next.load(&identity()).await.unwrap();
    assert_eq!(next.snapshot().await.removals(&identity()).0.len(), 2);
    next.claim(&identity(), 90 * SECOND).await.unwrap();
    make_one(&next, "c").await.unwrap();
    close(next).await.unwrap();
    let owned = read(&store).await;
    assert_eq!(scopes(&owned), ["a", "c"]);
    assert_eq!((owned.intents.len(), owned.writes), (1, 3));
}

#[tokio::test(start_paused = true)]
async fn a_thousand_changes_cost_sixty_writes_one_edit_three_and_rest_none() {
    let store = BlobStore::default();
    let cost = |before: usize| store.calls().writes() - before;
    let run = ledger(&store, "1");
    run.claim(&identity(), SECOND).await.unwrap();
    for chunk in names(0..1000).chunks(run.chunk()) {
        make(&run, chunk).await.unwrap();
        // Ten changes a second.
        tokio::time::sleep(5 * SECOND).await;
    }
    close(run).await.unwrap();
    assert!(cost(0) <= 60, "{:?}", store.calls());
    assert_eq!(read(&store).await.scopes.len(), 1000);

    let before = store.calls().writes();
    let run = ledger(&store, "2");
    run.claim(&identity(), SECOND).await.unwrap();
    make_one(&run, "new").await.unwrap();
    close(run).await.unwrap();
    assert!(cost(before) <= 3, "{:?}", store.calls());

    // Without a claim beforehand it is taken with the write.
    let before = store.calls().writes();
    let run = ledger(&store, "3");
    make_one(&run, "newer").await.unwrap();
    close(run).await.unwrap();
    assert_eq!(cost(before), 2);

    let before = store.calls().writes();
    let run = ledger(&store, "4");
    run.load_all().await.unwrap();
    run.record(&identity(), &target(), Vec::new())
        .await
        .unwrap();
    assert_eq!(run.owned(&identity()).await.unwrap().scopes.len(), 1002);
    close(run).await.unwrap();
    assert_eq!(cost(before), 0);
}

#[tokio::test(start_paused = true)]
async fn a_fold_rewrites_only_the_parts_whose_entries_changed_and_leaves_nothing_behind() {
    let store = BlobStore::default();
    let run = ledger(&store, "1").with_limits(SMALL);
    for chunk in names(0..40).chunks(10) {
        make(&run, chunk).await.unwrap();
    }
    close(run).await.unwrap();
    let always = Limits { pieces: 0, ..SMALL };
    let run = ledger(&store, "2").with_limits(always);
    run.claim(&identity(), SECOND).await.unwrap();
    close(run).await.unwrap();
    let before = store.keys();
    assert!(before.len() > 8, "{before:?}");
    let run = ledger(&store, "3").with_limits(SMALL);
    for n in 0..6 {
        // Its journal is folded more than once.
        make_one(&run, &format!("scope:00005:{n}")).await.unwrap();
        prepare(&run, &[]).await.unwrap();
    }
    close(run).await.unwrap();
    let owned = read(&store).await;
    assert_eq!((owned.scopes.len(), owned.writes), (46, 46));
    let after = store.keys();
    // All but the head, the part that they are in, and the last one of the removals.
    let gone = before.iter().filter(|key| !after.contains(key)).count();
    assert!(gone <= 2, "{gone} of {before:?}: {after:?}");
    // What is there is what the head names.
    let key = BlobKey::head(&identity());
    let head = Head::read(&key, &identity(), &store.bytes(&key).unwrap()).unwrap();
    let named = 1 + head.parts.len() + head.pieces.len();
    assert_eq!(named, after.len(), "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn one_fault_anywhere_changes_nothing() {
    let plain = {
        let store = BlobStore::default();
        let run = ledger(&store, "1").with_limits(SMALL);
        for chunk in names(0..20).chunks(4) {
            make(&run, chunk).await.unwrap();
        }
        close(run).await.unwrap();
        read(&store).await.scopes
    };
    let faults = [
        Fault::Refuse,
        Fault::LoseAnswer,
        Fault::ErrorFirst(Duration::from_millis(200)),
        Fault::ErrorFirst(3 * SECOND),
        Fault::Late(3 * SECOND),
        Fault::Late(20 * SECOND),
    ];
    for fault in faults {
        let mut at = 0;
        loop {
            let (store, mut call) = (BlobStore::default(), 0);
            let reached = Arc::new(Mutex::new(false));
            let said = Arc::clone(&reached);
            let blobs = store.troubled(move |_, _| {
                call += 1;
                let is_now = call == at + 1;
                *said.lock().unwrap() |= is_now;
                is_now.then_some(fault)
            });
            let run = over(blobs, holder("1")).with_limits(SMALL);
            for chunk in names(0..20).chunks(4) {
                make(&run, chunk).await.unwrap();
            }
            close(run).await.unwrap();
            let owned = read(&store).await;
            assert_eq!(owned.scopes, plain, "{fault:?} at {at}");
            assert_eq!((owned.intents.len(), owned.writes), (0, 20));
            if !*reached.lock().unwrap() {
                break;
            }
            at += 1;
        }
        assert!(at > 15);
    }
}

#[tokio::test(start_paused = true)]
async fn who_wrote_over_what_another_one_had_read_is_a_conflict_until_that_is_read_again() {
    let store = BlobStore::default();
    let (first, second) = (ledger(&store, "1"), ledger(&store, "2"));
    first.load(&identity()).await.unwrap();
    second.load(&identity()).await.unwrap();
    make_one(&first, "a").await.unwrap();
    first.release(&identity()).await.unwrap();
    let failed = make_one(&second, "b").await;
    assert!(matches!(failed, Err(InventoryError::Conflict { .. })));
    let failed = make_one(&second, "b").await;
    assert!(matches!(failed, Err(InventoryError::Unsettled { .. })));
    second.load(&identity()).await.unwrap();
    make_one(&second, "b").await.unwrap();
    close(second).await.unwrap();
    assert_eq!(scopes(&read(&store).await), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_read_before_a_claim_is_said_to_be_so_still_or_not() {
    let store = BlobStore::default();
    let (first, second) = (ledger(&store, "1"), ledger(&store, "2"));
    second.load(&identity()).await.unwrap();
    // A claim alone changes nothing of what is recorded.
    first.claim(&identity(), SECOND).await.unwrap();
    first.release(&identity()).await.unwrap();
    second.load(&identity()).await.unwrap();
    first.claim(&identity(), SECOND).await.unwrap();
    first.release(&identity()).await.unwrap();
    let claimed = second.claim(&identity(), SECOND).await.unwrap();
    assert_eq!(claimed, Claimed::AsLoaded);
    second.release(&identity()).await.unwrap();
    first.load(&identity()).await.unwrap();
    make_one(&first, "a").await.unwrap();
    first.release(&identity()).await.unwrap();
    let claimed = second.claim(&identity(), SECOND).await.unwrap();
    assert_eq!(claimed, Claimed::Newer);
    assert_eq!(scopes(&second.owned(&identity()).await.unwrap()), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_claim_is_renewed_as_long_as_it_is_held_and_goes_stale_with_its_holder() {
    let store = BlobStore::default();
    let (first, second) = (ledger(&store, "1"), ledger(&store, "2"));
    first.claim(&identity(), SECOND).await.unwrap();
    let began = tokio::time::Instant::now();
    let failed = second.claim(&identity(), 300 * SECOND).await.unwrap_err();
    assert!(failed.to_string().contains("run 1)"), "{failed}");
    assert!(began.elapsed() >= 300 * SECOND);
    assert!(first.fence(&identity()).may_start());
    drop(first);
    let began = tokio::time::Instant::now();
    second.claim(&identity(), 90 * SECOND).await.unwrap();
    // It was seen last when the wait before this one ended.
    assert!(began.elapsed() >= 45 * SECOND, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_holder_whose_store_does_not_answer_sends_nothing_after_45_seconds() {
    let store = BlobStore::default();
    let is_down = Arc::new(Mutex::new(false));
    let down = Arc::clone(&is_down);
    let blobs = store.troubled(move |_, _| down.lock().unwrap().then_some(Fault::Refuse));
    let run = over(blobs, holder("1"));
    make_one(&run, "a").await.unwrap();
    let fence = run.fence(&identity());
    let began = tokio::time::Instant::now();
    *is_down.lock().unwrap() = true;
    fence.passed().await;
    let lasted = began.elapsed().as_secs_f64();
    assert!((44.0..=45.5).contains(&lasted), "{lasted}");
    // Nobody took it meanwhile, and so it goes on once the store answers.
    *is_down.lock().unwrap() = false;
    tokio::time::sleep(20 * SECOND).await;
    assert!(fence.may_start());
}

#[tokio::test(start_paused = true)]
async fn the_former_holder_of_a_lease_is_succeeded_at_once_and_no_other() {
    let store = BlobStore::default();
    let elected = |run: &str, name: &str, transitions| {
        let name = name.to_owned();
        let lease = Some(LeaseTerm { name, transitions });
        let holder = Holder {
            lease,
            ..holder(run)
        };
        over(store.open(), holder)
    };
    let first = elected("1", "shard-0", 4);
    make_one(&first, "a").await.unwrap();
    for (name, transitions) in [("shard-0", 3), ("shard-0", 4), ("shard-1", 9)] {
        let other = elected("2", name, transitions);
        let failed = other.claim(&identity(), Duration::ZERO).await;
        assert!(matches!(failed, Err(InventoryError::Held { .. })));
    }
    let next = elected("3", "shard-0", 5);
    make_one(&next, "b").await.unwrap();
    // The former one finds out with its next write, and has no right to send from then on.
    assert!(make_one(&first, "c").await.is_err());
    assert!(!first.fence(&identity()).may_start());
    close(next).await.unwrap();
    assert_eq!(scopes(&read(&store).await), ["b"]);
    assert_eq!(read(&store).await.intents.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn force_unlock_takes_the_claim_of_that_run_and_of_no_other() {
    let store = BlobStore::default();
    let first = ledger(&store, "1");
    make_one(&first, "a").await.unwrap();
    let other = ledger(&store, "2");
    assert_eq!(other.force_unlock("3").await.unwrap(), []);
    let held = other.claim(&identity(), Duration::ZERO).await;
    assert!(matches!(held, Err(InventoryError::Held { .. })));
    assert_eq!(other.force_unlock("1").await.unwrap(), [identity()]);
    other.claim(&identity(), Duration::ZERO).await.unwrap();
    assert!(make_one(&first, "b").await.is_err());
}

#[tokio::test(start_paused = true)]
async fn what_a_killed_run_owes_the_audit_log_is_written_by_the_next_one_once() {
    let store = BlobStore::default();
    let log = Arc::new(Mutex::new(Vec::new()));
    let open = |run: &str| {
        let log = Arc::clone(&log);
        let audit = move |entry: &serde_json::Value| log.lock().unwrap().push(entry.clone());
        RemoteLedger::new(Arc::new(store.open()), holder(run), Arc::new(audit))
    };
    let killed = open("1").with_limits(SMALL);
    prepare(&killed, &names(0..2)).await.unwrap();
    for n in 2..9 {
        // A fold in between does not forget them.
        make(&killed, &names(n..n + 1)).await.unwrap();
    }
    drop(killed);
    assert_eq!(log.lock().unwrap().len(), 7);
    for (run, lines) in [("2", 10), ("3", 10)] {
        let next = open(run);
        next.claim(&identity(), 90 * SECOND).await.unwrap();
        close(next).await.unwrap();
        // The answer to the last one was not kept.
        assert_eq!(log.lock().unwrap().len(), lines);
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_operator_keeps_stands_beside_the_entries() {
    let store = BlobStore::default();
    let run = ledger(&store, "1");
    make_one(&run, "a").await.unwrap();
    let note = |notes: &mut OperatorNotes| notes.cluster_uid = Some("uid".to_owned());
    run.update_notes(&identity(), note).await.unwrap();
    let before = store.calls().writes();
    run.update_notes(&identity(), note).await.unwrap();
    assert_eq!(store.calls().writes(), before);
    close(run).await.unwrap();
    let notes = ledger(&store, "2").notes(&identity()).await.unwrap();
    assert_eq!(notes.cluster_uid.as_deref(), Some("uid"));
    assert_eq!(scopes(&read(&store).await), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn an_inventory_has_a_lineage_once_something_is_recorded_and_keeps_it() {
    let store = BlobStore::default();
    let run = ledger(&store, "1");
    run.claim(&identity(), SECOND).await.unwrap();
    let owned = run.owned(&identity()).await.unwrap();
    assert_eq!((owned.known, owned.lineage), (false, None));
    make_one(&run, "a").await.unwrap();
    let made = run.owned(&identity()).await.unwrap().lineage;
    assert!(made.is_some());
    close(run).await.unwrap();
    assert_eq!(read(&store).await.lineage, made);
    let snapshot = ledger(&store, "2");
    snapshot.load_all().await.unwrap();
    assert_eq!(snapshot.snapshot().await.owned(&identity()).lineage, made);
}

#[tokio::test(start_paused = true)]
async fn the_right_to_send_ends_before_the_claim_is_given_back() {
    let store = BlobStore::default();
    let is_slow = Arc::new(Mutex::new(false));
    let slow = Arc::clone(&is_slow);
    let blobs = store.troubled(move |_, _| slow.lock().unwrap().then_some(Fault::Late(5 * SECOND)));
    let run = over(blobs, holder("1"));
    make_one(&run, "a").await.unwrap();
    let fence = run.fence(&identity());
    assert!(fence.may_start());
    *is_slow.lock().unwrap() = true;
    let identity = identity();
    let looks = async {
        tokio::time::sleep(SECOND).await;
        assert!(!fence.may_start());
    };
    let (released, ()) = tokio::join!(run.release(&identity), looks);
    released.unwrap();
}
