//! A process under test: started, listened to, told to stop, and surely ended.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Read},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError, mpsc as std_mpsc},
    thread,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::mpsc;

use super::{PATIENCE, until, within};

/// Where the binary under test is: `PACER_BIN`, or beside the directory of this test's own executable.
pub(crate) fn pacer() -> PathBuf {
    if let Some(path) = std::env::var_os("PACER_BIN") {
        return path.into();
    }
    let own = std::env::current_exe().expect("a running program has a path");
    let target = own.parent().and_then(|deps| deps.parent()).expect("tests run from target/*/deps");
    let path = target.join("pacer");
    assert!(
        path.exists(),
        "there is no {}: run `cargo build -p pacer`, or set PACER_BIN",
        path.display()
    );
    path
}

/// `pacer` with `arguments`, and with the credentials that the local cloud takes and no others.
pub(crate) fn command<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(pacer());
    command.args(arguments);
    for (name, _) in std::env::vars_os() {
        let ours = |name: &str| name.starts_with("AWS_") || name.starts_with("PACER_");
        if name.to_str().is_some_and(ours) {
            command.env_remove(name);
        }
    }
    command
        .env("AWS_ACCESS_KEY_ID", "local")
        .env("AWS_SECRET_ACCESS_KEY", "local")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    command
}

/// A running process. Dropping it sends SIGTERM, waits, and kills it when that does not help.
#[derive(Debug)]
pub(crate) struct Process {
    pid: Pid,
    ended: std_mpsc::Receiver<ExitStatus>,
    status: Option<ExitStatus>,
    lines: mpsc::UnboundedReceiver<String>,
    errors: Arc<Mutex<String>>,
    /// Done when standard error has been read to its end.
    reading: thread::JoinHandle<()>,
}

/// What a process that has ended leaves.
#[derive(Debug)]
pub(crate) struct Ended {
    /// `None`: a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Process {
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn();
        let mut child: Child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.expect("a process id is above zero");
        let stdout = child.stdout.take().expect("it was piped");
        let mut stderr = child.stderr.take().expect("it was piped");
        let (sender, lines) = mpsc::unbounded_channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // A test that listens no more has what it wanted; the pipe is read all the same.
                let _ = sender.send(line);
            }
        });
        let errors = Arc::<Mutex<String>>::default();
        let written = errors.clone();
        let reading = thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = stderr.read(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..length]);
                written.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text);
            }
        });
        let (sender, ended) = std_mpsc::channel();
        thread::spawn(move || {
            let status = child.wait().expect("a child of this process can be waited for");
            // Nobody may be left who wants to know.
            let _ = sender.send(status);
        });
        Self { pid, ended, status: None, lines, errors, reading }
    }

    /// Returns the rest of the first line of output that begins with `prefix`.
    #[track_caller]
    pub(crate) fn line(&mut self, prefix: &str) -> impl Future<Output = String> {
        let what = format!("a line `{prefix}...`");
        let prefix = prefix.to_owned();
        within(&what, async move {
            loop {
                let Some(line) = self.lines.recv().await else {
                    panic!("ended before it said `{prefix}`: {}", self.errors())
                };
                if let Some(rest) = line.strip_prefix(&prefix) {
                    return rest.to_owned();
                }
            }
        })
    }

    /// What it wrote to standard error so far.
    pub(crate) fn errors(&self) -> String {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).expect("it has not ended");
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.status = self.status.or_else(|| self.ended.try_recv().ok());
        self.status.is_some()
    }

    /// Waits for its end.
    pub(crate) async fn ended(mut self) -> Ended {
        let has_ended = async || (self.has_ended() && self.reading.is_finished()).then_some(());
        until("the process ends", has_ended).await;
        let mut stdout = String::new();
        while let Some(line) = self.lines.recv().await {
            stdout.push_str(&line);
            stdout.push('\n');
        }
        Ended { code: self.status.and_then(|it| it.code()), stdout, stderr: self.errors() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- the process wrote to standard error:\n{}", self.errors());
        }
        if self.has_ended() {
            return;
        }
        // An error means that it has ended meanwhile.
        let _ = kill_process(self.pid, Signal::TERM);
        if self.ended.recv_timeout(PATIENCE / 2).is_err() {
            let _ = kill_process(self.pid, Signal::KILL);
            let _ = self.ended.recv_timeout(PATIENCE);
        }
    }
}

/// Runs a command of `pacer` to its end.
pub(crate) async fn run<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Ended {
    Process::start(command(arguments)).ended().await
}
