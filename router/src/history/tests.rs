//! The store as a whole: what was flushed is there again, whatever happened in between.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use super::{
    directory::{Directory, FILE, Failure},
    hour::{BYTES_MAX, STEPS},
    *,
};

/// Where the process that is killed finds its directory.
const KILLED: &str = "PACER_TEST_HISTORY_KILLED";

/// Some hour of 2026.
const HOUR: u64 = 490_000;

fn folder() -> TempDir {
    TempDir::new().expect("there is room for temporary files")
}

fn state(folder: &Path) -> State {
    State::Directory(folder.to_owned())
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

fn batch(hour: u64, requests: u64) -> Batch {
    let mut batch = Batch::default();
    batch.set("film", hour * HOUR_S, Step::new(requests, requests * 1_000));
    batch
}

fn steps(loaded: &Loaded, service: &str) -> Vec<(u64, u64)> {
    loaded.steps(service).map(|(at_s, step)| (at_s, step.requests)).collect()
}

async fn open(folder: &Path) -> (History, Loaded) {
    let (history, mut loading) = History::open(Some(&state(folder)), None).unwrap();
    (history, loading.next().await.expect("the first always comes"))
}

#[tokio::test]
async fn what_was_asked_survives_a_restart() {
    let folder = folder();
    let (mut history, loaded) = open(folder.path()).await;
    assert!(loaded.complete && loaded.services().next().is_none());
    let at_s = now_s() / STEP_S * STEP_S - 60;
    history.append("film", at_s, Step::new(7, 7_000));
    history.append("film", at_s + 10, Step::new(0, 0));
    history.append("thumb", at_s, Step::new(1, 5));
    history.close().await;

    let (mut history, loaded) = open(folder.path()).await;
    assert_eq!(steps(&loaded, "film"), [(at_s, 7), (at_s + 10, 0)]);
    assert_eq!(loaded.services().map(|name| &**name).collect::<Vec<_>>(), ["film", "thumb"]);
    // The hour goes on where it was left.
    history.append("film", at_s + 20, Step::new(9, 0));
    history.close().await;
    let (history, loaded) = open(folder.path()).await;
    assert_eq!(steps(&loaded, "film"), [(at_s, 7), (at_s + 10, 0), (at_s + 20, 9)]);
    assert_eq!(loaded.steps("film").next(), Some((at_s, Step { requests: 7, mean_us: 1_000 })));
    assert!(history.health().error.is_none(), "{:?}", history.health());
}

#[tokio::test]
async fn steps_go_to_the_store_once_a_minute() {
    let folder = folder();
    let (mut history, _) = open(folder.path()).await;
    let now = Instant::now();
    history.append("film", now_s(), Step::new(1, 0));
    history.flush(now);
    assert!(!history.pending.is_empty(), "not before the minute is over");
    history.flush(now + FLUSH_EVERY);
    assert!(history.pending.is_empty());
    history.close().await;
    let (_, loaded) = open(folder.path()).await;
    assert_eq!(steps(&loaded, "film").len(), 1);
}

#[tokio::test]
async fn without_a_store_nothing_is_kept_and_nothing_fails() {
    let (mut history, mut loading) = History::open(None, None).unwrap();
    assert!(loading.next().await.is_some_and(|loaded| loaded.complete));
    assert!(loading.next().await.is_none());
    history.append("film", now_s(), Step::new(1, 0));
    assert!(history.pending.is_empty());
    history.close().await;
}

#[tokio::test]
async fn a_second_gateway_on_a_directory_runs_without_a_store_until_the_first_ends() {
    let folder = folder();
    let (mut first, _) = open(folder.path()).await;
    let at_s = now_s();
    first.append("film", at_s, Step::new(3, 0));
    let (mut second, mut loading) = History::open(Some(&state(folder.path())), None).unwrap();
    let loaded = loading.next().await.expect("the first always comes");
    assert!(!loaded.complete);
    assert!(second.health().error.is_some_and(|why| why.contains("held open by another pacer")));
    second.append("thumb", at_s, Step::new(4, 0));
    second.hand_over();
    first.close().await;
    // The second looks again by itself, after some seconds.
    let loaded = loading.next().await.expect("the first has ended");
    assert_eq!((loaded.complete, steps(&loaded, "film").len()), (true, 1));
    second.close().await;
    let (_, loaded) = open(folder.path()).await;
    assert_eq!((steps(&loaded, "film").len(), steps(&loaded, "thumb").len()), (1, 1));
}

/// Names of the files in a folder, without their numbers.
fn files(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name());
    let mut files: Vec<_> = files
        .map(|name| {
            name.to_string_lossy().trim_end_matches(|c: char| c.is_ascii_digit()).to_owned()
        })
        .collect();
    files.sort();
    files
}

#[tokio::test]
async fn what_is_no_history_is_set_aside_and_told() {
    for foreign in [&b"timestamp,count\n1,2\n"[..], &[0; 10_000], &[0xff; 7]] {
        let folder = folder();
        std::fs::write(folder.path().join(FILE), foreign).unwrap();
        let (mut history, loaded) = open(folder.path()).await;
        assert!(loaded.complete);
        assert_eq!(files(folder.path()), [FILE, "history.redb.damaged-"]);
        history.append("film", now_s(), Step::new(1, 0));
        history.close().await;
        let (_, loaded) = open(folder.path()).await;
        assert_eq!(steps(&loaded, "film").len(), 1);
    }
}

#[test]
fn a_database_of_another_program_is_no_history() {
    const THEIRS: redb::TableDefinition<&str, &str> = redb::TableDefinition::new("theirs");
    let folder = folder();
    let database = redb::Database::create(folder.path().join(FILE)).unwrap();
    let write = database.begin_write().unwrap();
    write.open_table(THEIRS).unwrap().insert("a", "b").unwrap();
    write.commit().unwrap();
    drop(database);
    let refused = Directory::open(folder.path()).unwrap_err();
    assert!(matches!(refused, Failure::Damaged(..)), "{refused}");
    assert!(refused.to_string().contains("tables of another program"), "{refused}");
}

#[test]
fn a_file_of_a_newer_pacer_is_left_alone() {
    const ABOUT: redb::TableDefinition<&str, u64> = redb::TableDefinition::new("pacer-history");
    let folder = folder();
    drop(Directory::open(folder.path()).unwrap());
    let database = redb::Database::create(folder.path().join(FILE)).unwrap();
    let write = database.begin_write().unwrap();
    write.open_table(ABOUT).unwrap().insert("version", 2).unwrap();
    write.commit().unwrap();
    drop(database);
    let before = std::fs::read(folder.path().join(FILE)).unwrap();
    let mut store = Store::new(&state(folder.path()), None).unwrap();
    let refused = store.open().unwrap_err().to_string();
    assert!(
        refused.contains("version 2, which a newer pacer wrote, and is left alone"),
        "{refused}"
    );
    assert_eq!(files(folder.path()), [FILE]);
    assert_eq!(std::fs::read(folder.path().join(FILE)).unwrap().len(), before.len());
}

#[test]
fn a_spoilt_file_is_told_or_read_and_never_a_panic() {
    let folder = folder();
    let directory = Directory::open(folder.path()).unwrap();
    for day in 0..3 {
        directory.merge(&batch(HOUR + day * 24, 5), Merge::Replace).unwrap();
    }
    drop(directory);
    let file = folder.path().join(FILE);
    let good = std::fs::read(&file).unwrap();
    let mut told = 0;
    // Bits all over the file, those of its header and of its first pages above all; then files that end early.
    let places = (0..512)
        .step_by(7)
        .chain((512..20_000).step_by(487))
        .chain((0..good.len()).step_by(60_013));
    let spoilt = places.map(|place| {
        let mut spoilt = good.clone();
        spoilt[place] ^= 0x55;
        spoilt
    });
    let cut = [1, 100, 4_096, good.len() / 2, good.len() - 1].map(|end| good[..end].to_vec());
    for bytes in spoilt.chain(cut) {
        std::fs::write(&file, &bytes).unwrap();
        let loaded = Directory::open(folder.path()).and_then(|open| open.load(HOUR, HOUR + 100));
        match loaded {
            Err(Failure::Damaged(path, _)) => {
                assert!(path.ends_with(FILE), "{path}");
                told += 1;
            }
            Err(other) => panic!("{other}"),
            Ok(loaded) => assert!(loaded.steps("film").all(|(_, step)| step.requests == 5)),
        }
    }
    assert!(10 < told, "{told} of them were told");
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_told_once_and_tried_again() {
    let folder = folder();
    let state = folder.path().join("state");
    std::fs::write(&state, "a file, where a directory should be").unwrap();
    let (mut history, loaded) = open(&state).await;
    assert!(!loaded.complete);
    history.append("film", now_s(), Step::new(1, 0));
    history.hand_over();
    let health = history.health();
    assert!(health.error.is_some_and(|why| why.contains("state")) && health.failures == 1);
    std::fs::remove_file(&state).unwrap();
    history.close().await;
    let (_, loaded) = open(&state).await;
    assert_eq!(steps(&loaded, "film").len(), 1, "it was kept until it could be written");
}

#[test]
fn what_is_kept_is_bounded() {
    /// As [`directory`] says: hours of 35 days at their largest, in pages that are two thirds full at worst.
    const BOUND: u64 = 8 * 1024 * 1024;
    let folder = folder();
    let directory = Directory::open(folder.path()).unwrap();
    let size = || std::fs::metadata(folder.path().join(FILE)).unwrap().len();
    let mut largest = 0;
    // Two months, an hour at a time as a gateway writes them.
    for hour in 0..60 * 24 {
        let mut batch = Batch::default();
        for step in 0..STEPS as u64 {
            let (requests, mean_us) = if step % 2 == 0 { (REQUESTS_MAX, u32::MAX) } else { (1, 0) };
            batch.set("film", (HOUR + hour) * HOUR_S + step * STEP_S, Step { requests, mean_us });
        }
        directory.merge(&batch, Merge::Replace).unwrap();
        if hour % 24 == 0 {
            directory.prune((HOUR + hour).saturating_sub(DAYS * 24)).unwrap();
        }
        largest = largest.max(size());
    }
    directory.prune(HOUR + (60 - DAYS) * 24).unwrap();
    let kept = directory.load(0, u64::MAX - 1).unwrap();
    assert_eq!(steps(&kept, "film").len(), DAYS as usize * 24 * STEPS);
    println!(
        "worst case of a service: {largest} bytes; its records: {}",
        DAYS as usize * 24 * BYTES_MAX
    );
    assert!(largest <= BOUND, "{largest} bytes");
}

fn take(day: u64, ask: u128) -> Take {
    let (ask, limit) = (PicoUsd(ask), PicoUsd(1_000));
    Take { name: "film".into(), day, ask, back: PicoUsd::ZERO, limit }
}

#[tokio::test]
async fn what_is_remembered_survives_a_restart() {
    let folder = folder();
    let (mut history, _) = open(folder.path()).await;
    history.remember(Kind::Profile, [("film\n/".into(), b"learned".to_vec())]);
    let notary = history.notary().unwrap();
    notary.note(Kind::Provisioned, "f:live".into(), b"3".to_vec()).await.unwrap();
    assert_eq!(notary.take(take(7, 600)).await, Ok(PicoUsd(600)));
    history.give_back([Take { back: PicoUsd(100), ..take(7, 0) }]);
    history.close().await;

    let (history, loaded) = open(folder.path()).await;
    let memos = |kind| loaded.memos(kind).map(|(name, memo)| (&**name, memo)).collect::<Vec<_>>();
    assert_eq!(memos(Kind::Profile), [("film\n/", &b"learned"[..])]);
    assert_eq!(memos(Kind::Provisioned), [("f:live", &b"3"[..])]);
    let notary = history.notary().unwrap();
    assert_eq!(notary.take(take(7, 600)).await, Ok(PicoUsd(500)), "what is left of the day");
    assert_eq!(notary.take(take(8, 600)).await, Ok(PicoUsd(600)));
    history.close().await;
}

/// As the directory has them.
const MEMOS: redb::TableDefinition<(&str, &str), &[u8]> = redb::TableDefinition::new("memos");

#[test]
fn a_memo_that_is_damaged_is_told_and_one_of_a_newer_pacer_left_alone() {
    let folder = folder();
    let directory = Directory::open(folder.path()).unwrap();
    let all: Memos = [
        ((Kind::Profile, "good".into()), b"1".to_vec()),
        ((Kind::Profile, "spoilt".into()), b"2".to_vec()),
        ((Kind::Profile, "newer".into()), b"3".to_vec()),
    ]
    .into();
    directory.keep(&all, 20_700).unwrap();
    drop(directory);
    let mut newer = vec![9, 1];
    bytes::seal(&mut newer);
    let database = redb::Database::open(folder.path().join(FILE)).unwrap();
    let write = database.begin_write().unwrap();
    {
        let mut table = write.open_table(MEMOS).unwrap();
        table.insert(("profile", "spoilt"), &b"nonsense"[..]).unwrap();
        table.insert(("profile", "newer"), &*newer).unwrap();
        table.insert(("of another kind", "x"), &b"nonsense"[..]).unwrap();
    }
    write.commit().unwrap();
    drop(database);
    let directory = Directory::open(folder.path()).unwrap();
    let loaded = directory.load(0, 1).unwrap();
    assert_eq!(loaded.memos(Kind::Profile).map(|(name, _)| &**name).collect::<Vec<_>>(), ["good"]);
    assert_eq!((loaded.damaged, loaded.notes.len()), (2, 2), "{:?}", loaded.notes);
    directory.keep(&all, 20_700).unwrap();
    let loaded = directory.load(0, 1).unwrap();
    assert_eq!(loaded.memos(Kind::Profile).count(), 2, "what is newer is left alone");
    // What was not written for longer than hours are kept is forgotten.
    directory.prune((20_700 + 1) * 24).unwrap();
    assert_eq!(directory.load(0, 1).unwrap().memos(Kind::Profile).count(), 0);
}

/// A budget that no test comes to the end of.
const ENDLESS: u128 = 1 << 40;

fn endless(ask: u128) -> Take {
    Take { limit: PicoUsd(ENDLESS), ..take(7, ask) }
}

/// Takes from a budget until it is killed, and says what it was given. Run by the test below, in a process of its own.
#[test]
#[ignore = "it ends by being killed: run by a_budget_is_never_given_out_twice_whoever_is_killed"]
fn takes_until_it_is_killed() {
    let Ok(folder) = std::env::var(KILLED) else { return };
    let directory = Directory::open(&PathBuf::from(folder)).unwrap();
    for _ in 0.. {
        let given = directory.take(&endless(1), 7).unwrap();
        println!("committed {}", given.0);
    }
}

#[test]
fn a_budget_is_never_given_out_twice_whoever_is_killed() {
    let folder = folder();
    let mut given = 0;
    for round in 0..4 {
        let mut child = child(folder.path(), "takes_until_it_is_killed");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let told = lines
            .map_while(Result::ok)
            .filter_map(|line| line.split("committed ").nth(1)?.parse::<u128>().ok())
            .take(15 + round * 7);
        given += told.sum::<u128>();
        // While it takes the next.
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert_eq!(given, 15 + 22 + 29 + 36);
    let directory = Directory::open(folder.path()).unwrap();
    let left = directory.take(&endless(u128::MAX), 7).unwrap();
    assert!(given + left.0 <= ENDLESS, "{given} were given, {left:?} are left of {ENDLESS}");
}

/// Writes batches until it is killed, and says which are committed. Run by the test below, in a process of its own.
#[test]
#[ignore = "it ends by being killed: run by what_was_committed_survives_a_kill"]
fn writes_until_it_is_killed() {
    let Ok(folder) = std::env::var(KILLED) else { return };
    let directory = Directory::open(&PathBuf::from(folder)).unwrap();
    let have = directory.load(0, u64::MAX - 1).unwrap();
    let next = steps(&have, "film").len() as u64;
    for number in next.. {
        let mut batch = batch(HOUR + number, number);
        for service in 0..50 {
            batch.set(
                &format!("service-{service}"),
                (HOUR + number) * HOUR_S,
                Step::new(number, 0),
            );
        }
        directory.merge(&batch, Merge::Replace).unwrap();
        println!("committed {number}");
    }
}

/// Runs a test in a process of its own.
fn child(folder: &Path, test: &str) -> Child {
    let test = format!("history::tests::{test}");
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &test, "--ignored", "--nocapture"])
        .env(KILLED, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a test can be run")
}

#[test]
fn what_was_committed_survives_a_kill() {
    let folder = folder();
    let mut known = 0;
    for round in 0..5 {
        let mut child = child(folder.path(), "writes_until_it_is_killed");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let committed = lines
            .map_while(Result::ok)
            .filter_map(|line| line.split("committed ").nth(1)?.parse::<u64>().ok())
            .nth(20 + round * 7)
            .expect("it writes on and on");
        // While it writes the next.
        child.kill().unwrap();
        child.wait().unwrap();
        let directory = Directory::open(folder.path()).expect("nothing is damaged by that");
        let loaded = directory.load(0, u64::MAX - 1).unwrap();
        assert_eq!(loaded.damaged, 0);
        let film = steps(&loaded, "film");
        assert!(committed < film.len() as u64 && known < film.len(), "{committed}, {}", film.len());
        for (number, (at_s, requests)) in film.iter().enumerate() {
            let number = number as u64;
            assert_eq!((*at_s, *requests), ((HOUR + number) * HOUR_S, number));
        }
        // A batch is there whole, or not at all.
        for service in 0..50 {
            assert_eq!(steps(&loaded, &format!("service-{service}")), film);
        }
        known = film.len();
    }
}
