//! One child process and everything it started, as a process group.
//!
//! A function is often an adapter with the real application as its child, so signals go to the whole group, and what
//! is left of the group when its leader ends is killed. Dropping a [`Process`] ends it.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    os::unix::process::ExitStatusExt,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    net::unix::pipe,
    process::{Child, Command},
    sync::watch,
    task::JoinSet,
};

use crate::tasks::{Tasks, lock};

/// From SIGTERM to SIGKILL when an environment is reaped or the cloud stops. Lambda gives 500 ms to an environment
/// that has an internal extension, which is what lets a runtime see SIGTERM at all.
const GRACE: Duration = Duration::from_millis(500);
/// How long output is still read after a process has ended; what it wrote is in the pipe already.
const LAST_WORDS: Duration = Duration::from_millis(100);
/// Output kept for `LogType: Tail`: 4 KB, as Lambda's.
const TAIL_BYTES: usize = 4096;
/// Variables children inherit; everything else they see is configured, as in a container.
const INHERITED: [&str; 3] = ["PATH", "HOME", "TMPDIR"];

/// How a process is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    No,
    /// SIGTERM, then SIGKILL after this long.
    Gently(Duration),
    Now,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exit {
    /// As Lambda writes it: `exit status 1`, `signal: killed`.
    pub(crate) text: String,
    /// As a container reports it: 137 for SIGKILL.
    pub(crate) code: i32,
}

/// A running child process; dropping it sends SIGTERM to its group, and SIGKILL half a second later.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    stop: watch::Sender<Stop>,
    exit: watch::Receiver<Option<Exit>>,
    output: Output,
}

/// What the process wrote last.
#[derive(Clone, Debug)]
struct Output {
    tail: Arc<Mutex<VecDeque<u8>>>,
    pipes: [Arc<pipe::Receiver>; 2],
}

impl Process {
    /// Starts `command` with `env`; `label` names it in the log. Its supervisor belongs to `tasks`.
    ///
    /// # Errors
    /// Names the program that could not be started.
    pub(crate) fn spawn(
        tasks: &Tasks,
        label: &str,
        command: &[String],
        env: &BTreeMap<String, String>,
    ) -> io::Result<Self> {
        let (program, arguments) =
            command.split_first().ok_or_else(|| io::Error::other("the command is empty"))?;
        let inherited = INHERITED.iter().filter_map(|name| Some((*name, std::env::var_os(name)?)));
        let mut child = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(inherited)
            .envs(env)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| io::Error::new(e.kind(), format!("could not start `{program}`: {e}")))?;
        let pid =
            child.id().ok_or_else(|| io::Error::other(format!("`{program}` ended at once")))?;
        let missing = || io::Error::other(format!("`{program}` has no output"));
        let stdout = child.stdout.take().ok_or_else(missing)?.into_owned_fd()?;
        let stderr = child.stderr.take().ok_or_else(missing)?.into_owned_fd()?;
        let pipe = |end| Ok::<_, io::Error>(Arc::new(pipe::Receiver::from_owned_fd(end)?));
        let output = Output {
            tail: Arc::new(Mutex::new(VecDeque::with_capacity(TAIL_BYTES))),
            pipes: [pipe(stdout)?, pipe(stderr)?],
        };
        let mut pumps = JoinSet::new();
        for pipe in &output.pipes {
            pumps.spawn(pump(pipe.clone(), label.to_owned(), output.tail.clone()));
        }
        let (stop, stop_wanted) = watch::channel(Stop::No);
        let (ended, exit) = watch::channel(None);
        tasks.spawn(async move {
            let exit = supervise(child, Group(pid), stop_wanted).await;
            ended.send_replace(Some(exit));
            // Not for ever: a grandchild that left the group may hold the pipe open.
            let _ = tokio::time::timeout(LAST_WORDS, async {
                while pumps.join_next().await.is_some() {}
            })
            .await;
        });
        Ok(Self { pid, stop, exit, output })
    }

    /// Waits for the end of the process.
    pub(crate) async fn exited(&self) -> Exit {
        let mut exit = self.exit.clone();
        let ended = exit.wait_for(Option::is_some).await.ok().and_then(|e| e.clone());
        ended.unwrap_or_else(|| Exit { text: "signal: killed".into(), code: 137 })
    }

    /// Whether the process has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.exit.borrow().is_some() || self.exit.has_changed().is_err()
    }

    /// Sends SIGTERM, and SIGKILL after `grace`.
    pub(crate) fn stop(&self, grace: Duration) {
        self.stop.send_replace(Stop::Gently(grace));
    }

    /// Sends SIGKILL.
    pub(crate) fn kill(&self) {
        self.stop.send_replace(Stop::Now);
    }

    /// Forgets the output so far.
    pub(crate) fn clear_tail(&self) {
        lock(&self.output.tail).clear();
    }

    /// The last output since [`Process::clear_tail`], at most 4 KB, with all that is in the pipes by now.
    pub(crate) async fn tail(&self) -> Vec<u8> {
        let settled = async {
            loop {
                {
                    // Nothing is between pipe and tail while this is held.
                    let tail = lock(&self.output.tail);
                    let waiting = |pipe: &Arc<_>| rustix::io::ioctl_fionread(pipe).unwrap_or(0);
                    if self.output.pipes.iter().all(|pipe| waiting(pipe) == 0) {
                        return tail.iter().copied().collect();
                    }
                }
                tokio::task::yield_now().await;
            }
        };
        // Not for ever: a process may write without end.
        let settled = tokio::time::timeout(LAST_WORDS, settled).await;
        settled.unwrap_or_else(|_| lock(&self.output.tail).iter().copied().collect())
    }
}

/// A process group that is killed when its supervisor ends, however that happens.
struct Group(u32);

impl Group {
    /// Sends `signal` to every process of the group; none left is not an error.
    fn signal(&self, signal: Signal) {
        if let Some(group) = i32::try_from(self.0).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

async fn supervise(mut child: Child, group: Group, mut stop: watch::Receiver<Stop>) -> Exit {
    let wanted = tokio::select! {
        status = child.wait() => return Exit::of(status),
        wanted = wanted(&mut stop, |s| s != Stop::No) => wanted,
    };
    if let Stop::Gently(grace) = wanted {
        group.signal(Signal::TERM);
        tokio::select! {
            status = child.wait() => return Exit::of(status),
            () = tokio::time::sleep(grace) => {}
            () = hurried(&mut stop) => {}
        }
    }
    group.signal(Signal::KILL);
    Exit::of(child.wait().await)
}

/// Waits for an order to stop; an owner that dropped the process gives one too.
async fn wanted(stop: &mut watch::Receiver<Stop>, is: impl Fn(Stop) -> bool) -> Stop {
    stop.wait_for(|s| is(*s)).await.map_or(Stop::Gently(GRACE), |s| *s)
}

/// Waits for a gentle stop to become an immediate one: by order, or half a second after the owner is gone.
async fn hurried(stop: &mut watch::Receiver<Stop>) {
    if stop.wait_for(|s| *s == Stop::Now).await.is_err() {
        tokio::time::sleep(GRACE).await;
    }
}

impl Exit {
    fn of(status: io::Result<ExitStatus>) -> Self {
        match status {
            Ok(status) => match (status.code(), status.signal()) {
                (Some(code), _) => Self { text: format!("exit status {code}"), code },
                (None, Some(9)) => Self { text: "signal: killed".into(), code: 137 },
                (None, Some(15)) => Self { text: "signal: terminated".into(), code: 143 },
                (None, signal) => {
                    let signal = signal.unwrap_or_default();
                    Self { text: format!("signal: {signal}"), code: 128 + signal }
                }
            },
            Err(error) => Self { text: format!("unknown: {error}"), code: 255 },
        }
    }
}

/// Copies output to the log and the tail. The pipe is always read, so that no child blocks on a full one.
async fn pump(from: Arc<pipe::Receiver>, label: String, tail: Arc<Mutex<VecDeque<u8>>>) {
    let mut buffer = vec![0; 8192];
    while from.readable().await.is_ok() {
        let length = {
            // Read and kept in one step, so that who looks at the tail misses nothing.
            let mut tail = lock(&tail);
            match from.try_read(&mut buffer) {
                Ok(0) => return,
                Ok(length) => {
                    tail.extend(&buffer[..length]);
                    let excess = tail.len().saturating_sub(TAIL_BYTES);
                    tail.drain(..excess);
                    length
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(_) => return,
            }
        };
        for line in String::from_utf8_lossy(&buffer[..length]).lines() {
            tracing::debug!(from = %label, "{line}");
        }
    }
}
