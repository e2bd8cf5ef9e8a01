//! A command on a terminal, so that it can ask.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::Case;

/// A command whose standard input and error are a terminal.
pub(crate) struct OnTerminal {
    child: Child,
    keyboard: File,
    screen: Receiver<String>,
    seen: String,
}

impl Case {
    /// Starts a command on a terminal.
    pub(crate) fn start_on_terminal(&self, args: &[&str]) -> OnTerminal {
        self.start_on_terminal_with(args, None)
    }

    /// The same with another standard output than the terminal.
    pub(crate) fn start_on_terminal_with(
        &self,
        args: &[&str],
        stdout: Option<Stdio>,
    ) -> OnTerminal {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = rustix::fs::open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let slave = File::from(slave);
        let mut command = self.command(args);
        command
            .env("TERM", "xterm-256color")
            .stdin(slave.try_clone().unwrap())
            .stdout(stdout.unwrap_or_else(|| slave.try_clone().unwrap().into()))
            .stderr(slave);
        let child = command.spawn().unwrap();
        // The command holds the terminal's other end; what is left of it here would keep it open.
        drop(command);
        let keyboard = File::from(master);
        let mut output = keyboard.try_clone().unwrap();
        let (send, screen) = channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // The end of a terminal is an error of input.
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..count]).into_owned();
                if send.send(text).is_err() {
                    break;
                }
            }
        });
        OnTerminal {
            child,
            keyboard,
            screen,
            seen: String::new(),
        }
    }
}

impl OnTerminal {
    /// Returns when a text is on the screen.
    pub(crate) fn wait_for(&mut self, text: &str) {
        while !self.seen.contains(text) {
            let more = self.screen.recv_timeout(Duration::from_secs(30));
            self.seen
                .push_str(&more.unwrap_or_else(|_| panic!("{text:?} never came\n{}", self.seen)));
        }
    }

    /// All that was on the screen when it was last waited for.
    pub(crate) fn screen_so_far(&self) -> &str {
        &self.seen
    }

    /// Types a line.
    pub(crate) fn type_line(&mut self, line: &str) {
        writeln!(self.keyboard, "{line}").unwrap();
    }

    /// Waits for its end: the exit code, and all that was on the screen.
    pub(crate) fn finish(mut self) -> (Option<i32>, String) {
        let code = self.child.wait().unwrap().code();
        while let Ok(more) = self.screen.recv() {
            self.seen.push_str(&more);
        }
        (code, self.seen)
    }
}
