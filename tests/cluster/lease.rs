//! Who writes: what a leader does that is cut off, stopped in its tracks, or answered nothing but refusals.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::proxy::{Apart, Asked, Proxy, Verdict};
use crate::server::Server;
use crate::support::{NO_THRESHOLDS, Operator, Space, eventually, eventually_within, same, told};

/// For how long after its last renewal a leader writes.
const VALID: SignedDuration = SignedDuration::from_secs(9);
/// For how long a lease stands unchanged before another replica takes it.
const LEASE: SignedDuration = SignedDuration::from_secs(12);
/// How soon another replica goes on after a leader is lost.
const SOON: SignedDuration = SignedDuration::from_secs(15);
/// How many calls of one Target are in flight at most, where it does not say.
const IN_FLIGHT: usize = 10;

/// The names of so many scopes.
fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("s{n:03}")).collect()
}

/// Whether a request takes or renews the lease.
fn leases(asked: &Asked) -> bool {
    asked.is_of("leases") && asked.is_write()
}

/// When the lease was taken and renewed, as far as the API server says so.
fn renewals(proxy: &Proxy) -> Vec<Timestamp> {
    let asked = proxy.asked().into_iter();
    let written = asked.filter(|asked| leases(asked) && asked.is_done());
    written.map(|asked| asked.at).collect()
}

/// A namespace whose Target has so many Scopes to create, of which the leader has made a few.
async fn in_the_middle<'a>(server: &'a Server, name: &str, more: &str) -> (Space<'a>, Vec<String>) {
    let more = format!("{NO_THRESHOLDS}, {more}");
    let suspended = format!("suspend: true, {more}");
    let space = Space::new(server, name, &suspended).await;
    space.systems.slow(400).await;
    let names = names(200);
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    space.scopes(&all);
    space.target(&more);
    eventually("the middle", async || {
        let seen = space.systems.names("wso2").await.len();
        if seen >= 10 {
            Ok(())
        } else {
            Err(seen.to_string())
        }
    })
    .await;
    (space, names)
}

/// Waits until all is live and said to be, and makes sure that nothing was made twice and that all of it is ours.
async fn converges(space: &Space<'_>, names: &[String]) {
    let patience = Duration::from_mins(2);
    eventually_within(patience, "all of them", async || {
        same(&space.systems.names("wso2").await, names)
    })
    .await;
    let last = names.last().expect("there are some");
    space.wait(&format!("scope/{last}"), "Synced");
    let mut made = space.systems.made().await;
    made.retain(|_, times| *times > 1);
    assert!(made.is_empty(), "made twice: {made:?}");
    space.empties().await;
}

/// Cuts a leader off in the midst of its writes, and makes sure that it ends before another one may begin.
async fn cut_off(name: &str, is_cut: fn(&Asked) -> bool) {
    let apart = Apart::start().await;
    let (space, names) = in_the_middle(&apart.server, name, "limits: { maxInFlight: 1 }").await;
    let other = Proxy::start(&apart.server).await;
    let _second = Operator::start(&other.kubeconfig(&apart.server), &[]);
    eventually("the second one stands by", async || {
        if other.count(|asked| asked.is_of("leases")) >= 2 {
            Ok(())
        } else {
            Err("it does not ask for the lease".to_owned())
        }
    })
    .await;
    apart.proxy.rule(move |asked| {
        if is_cut(asked) {
            Verdict::Hold
        } else {
            Verdict::Pass
        }
    });
    let cut = Timestamp::now();
    let taken = eventually("the second one takes the lease", async || {
        let first = renewals(&other).first().copied();
        first.ok_or_else(|| apart.operator.log())
    })
    .await;
    space.systems.faults(serde_json::json!([])).await;
    let last_renewal = *renewals(&apart.proxy).last().expect("it led");
    let writes = space.systems.log_of_writes().await;
    let by_first = writes.iter().filter(|written| written.time < taken);
    let last_write = by_first.map(|written| written.time).next_back();
    let last_write = last_write.expect("it wrote");
    let first_of_second = eventually("the second one goes on", async || {
        let writes = space.systems.log_of_writes().await;
        let by_second = writes.iter().find(|written| written.time >= taken);
        by_second
            .map(|written| written.time)
            .ok_or_else(String::new)
    })
    .await;
    let after = |moment: Timestamp| moment.duration_since(last_renewal);
    told(&format!(
        "after the last renewal: cut off {:#}, last write {:#}, lease taken {:#}, first write of the other {:#}",
        after(cut),
        after(last_write),
        after(taken),
        after(first_of_second),
    ));
    assert!(
        last_write > cut,
        "it wrote nothing that it could have left out"
    );
    assert!(after(last_write) <= VALID, "{:#}", after(last_write));
    assert!(after(taken) >= LEASE, "{:#}", after(taken));
    let gap = first_of_second.duration_since(cut);
    assert!(gap <= SOON, "{gap:#}");
    assert_tries_are_close(&apart.proxy.asked());
    converges(&space, &names).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_cut_off_writes_nothing_after_its_time_and_another_goes_on() {
    cut_off("cut-off", |_| true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_cannot_renew_writes_nothing_after_its_time_while_all_else_answers() {
    cut_off("not-renewed", |asked| asked.is_of("leases")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_was_stopped_sends_no_more_than_what_was_in_flight_when_it_wakes() {
    let Apart {
        mut operator,
        proxy: _proxy,
        server,
    } = Apart::start().await;
    let (space, names) = in_the_middle(&server, "stopped", "").await;
    let other = Proxy::start(&server).await;
    let _second = Operator::start(&other.kubeconfig(&server), &[]);
    operator.signal("STOP");
    eventually_within(
        Duration::from_secs(90),
        "the second one finishes",
        async || same(&space.systems.names("wso2").await, &names),
    )
    .await;
    assert!(
        !renewals(&other).is_empty(),
        "it finished without the lease"
    );
    // All is made: whoever goes on with that is the one that was stopped.
    let posts = async || {
        let writes = space.systems.log_of_writes().await;
        let posts = writes.iter().filter(|written| written.method == "POST");
        posts.count()
    };
    let before = posts().await;
    operator.signal("CONT");
    eventually("it sees that its time is over", async || {
        let log = operator.log();
        if log.contains("nothing is written") {
            Ok(())
        } else {
            Err(log)
        }
    })
    .await;
    converges(&space, &names).await;
    let late = posts().await - before;
    told(&format!("late calls: {late}"));
    assert!(late <= IN_FLIGHT, "{late} late calls");
}

/// Answers whatever is asked of leases with a refusal that asks for a minute.
fn refuse_leases(proxy: &Proxy) {
    proxy.rule(|asked| {
        if asked.is_of("leases") {
            Verdict::Status(503, 60)
        } else {
            Verdict::Pass
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_is_answered_503_is_tried_on_and_not_held_longer() {
    let apart = Apart::start().await;
    let space = Space::new(&apart.server, "busy", NO_THRESHOLDS).await;
    space.wait("target/wso2", "Ready");
    let refused = || {
        apart
            .proxy
            .count(|asked| asked.is_of("leases") && asked.status == Some(503))
    };
    let is_renewed_after = async |moment: Timestamp| {
        eventually_within(Duration::from_secs(6), "the next renewal", async || {
            let last = renewals(&apart.proxy).last().copied();
            last.filter(|last| *last > moment)
                .ok_or_else(|| format!("{last:?}"))
        })
        .await;
        Timestamp::now().duration_since(moment)
    };

    // Shorter than the lease: it leads on.
    refuse_leases(&apart.proxy);
    eventually("two tries", async || {
        assert!(apart.operator.leads().await, "{}", apart.operator.log());
        let tries = refused();
        if tries >= 2 {
            Ok(())
        } else {
            Err(tries.to_string())
        }
    })
    .await;
    apart.proxy.pass();
    let back = is_renewed_after(Timestamp::now()).await;
    assert!(apart.operator.leads().await);

    // Longer than the lease: it does not.
    refuse_leases(&apart.proxy);
    let held = eventually("it leads no more", async || {
        if apart.operator.leads().await {
            Err(format!(
                "it leads after {refused:?} refusals",
                refused = refused()
            ))
        } else {
            let last = *renewals(&apart.proxy).last().expect("it led");
            Ok(Timestamp::now().duration_since(last))
        }
    })
    .await;
    let (status, text) = apart.operator.get("/readyz").await.expect("an answer");
    assert_eq!((status, text.trim()), (503, "the lease is not known"));
    let tries = refused();
    eventually("it tries on", async || {
        if refused() >= tries + 3 {
            Ok(())
        } else {
            Err(refused().to_string())
        }
    })
    .await;
    apart.proxy.pass();
    let again = is_renewed_after(Timestamp::now()).await;
    told(&format!(
        "renewed after {back:#}; held for {held:#}; taken again after {again:#}"
    ));
    assert!(held <= VALID + SignedDuration::from_secs(1), "{held:#}");
    eventually("it leads and is ready", async || {
        let (status, text) = apart.operator.get("/readyz").await?;
        if apart.operator.leads().await && status == 200 {
            Ok(())
        } else {
            Err(text)
        }
    })
    .await;
    space.scopes(&["later"]);
    space.systems.comes_to("wso2", &["later"]).await;
    assert_tries_are_close(&apart.proxy.asked());
}

/// Makes sure that a lease is tried every two seconds, whatever is answered.
fn assert_tries_are_close(asked: &[Asked]) {
    let tries: Vec<Timestamp> = asked
        .iter()
        .filter(|asked| asked.is_of("leases"))
        .map(|asked| asked.at)
        .collect();
    let pauses = tries.windows(2).map(|two| two[1].duration_since(two[0]));
    let longest = pauses.max().expect("there are some");
    assert!(
        longest < SignedDuration::from_millis(3500),
        "{longest:#} between two tries"
    );
}
