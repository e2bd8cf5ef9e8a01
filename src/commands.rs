//! One file a verb, and what they share: what a run is given (`inputs`), how it is set up (`session`), shown
//! (`output`) and ended (the exit codes).

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;

use crate::cli::{Cli, Color, Command, Generate};
use crate::telemetry;
pub(crate) use crate::telemetry::sentence;

mod adopt;
mod apply;
#[cfg(feature = "sandbox")]
mod embedded;
mod generate;
mod hint;
mod inputs;
mod inventory;
mod ledger;
mod operator;
mod output;
mod plan;
mod release;
#[cfg(feature = "sandbox")]
mod sandbox;
mod session;
mod signal;
mod validate;

// One of them is there, under the names that the verbs know.
#[cfg(not(feature = "sandbox"))]
#[path = "commands/no_sandbox.rs"]
mod embedded;
#[cfg(not(feature = "sandbox"))]
use embedded as sandbox;

/// How a command ended: the process's exit code. See `scopeward --help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, or no changes.
    Done = 0,
    /// Failed, and nothing was written.
    Failed = 1,
    /// Changes are planned (`plan --detailed-exitcode`).
    Changes = 2,
    /// Refused by a safety rule, and nothing was written.
    Refused = 3,
    /// What the plan rests on moved, and nothing was written.
    Stale = 4,
    /// Something was written and something is left.
    Partial = 5,
    /// The command line cannot be understood.
    Usage = 64,
}

/// A command that ended before it had a result.
#[derive(Debug)]
pub(crate) struct Stop {
    exit: Exit,
    message: String,
    help: Option<String>,
}

impl Stop {
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::Usage,
            message: message.into(),
            help: None,
        }
    }

    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::Failed,
            message: message.into(),
            help: None,
        }
    }

    pub(crate) fn partial(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::Partial,
            message: message.into(),
            help: None,
        }
    }

    pub(crate) fn stale(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::Stale,
            message: message.into(),
            help: None,
        }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// The program: the process's arguments in, its exit code out.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let told = matches!(
                error.kind(),
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
            );
            // A reader that went away is no reason to fail differently.
            let _ = error.print();
            return exit(if told { Exit::Done } else { Exit::Usage });
        }
    };
    match cli.color {
        Color::Auto => {}
        Color::Always => anstream::ColorChoice::Always.write_global(),
        Color::Never => anstream::ColorChoice::Never.write_global(),
    }
    let color = anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never
        && io::stderr().is_terminal();
    let result = telemetry::start(&cli.log, color)
        .map_err(Stop::usage)
        .and_then(|()| {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build();
            let runtime =
                runtime.map_err(|error| Stop::failed(format!("cannot start: {error}")))?;
            let result = runtime.block_on(dispatch(cli.command));
            // A name that is still being looked up, or a read of standard input, does not keep the process.
            runtime.shutdown_background();
            result
        });
    match result {
        Ok(code) => exit(code),
        Err(stop) => {
            let help = stop.help.map(|help| format!("\n  help: {help}"));
            let text = format!("error: {}{}", stop.message, help.unwrap_or_default());
            text.lines().for_each(output::line);
            exit(stop.exit)
        }
    }
}

fn exit(code: Exit) -> ExitCode {
    ExitCode::from(code as u8)
}

async fn dispatch(command: Command) -> Result<Exit, Stop> {
    let later = |verb: &str| {
        Err(Stop::usage(format!(
            "`{verb}` is not supported yet; see the README for what is"
        )))
    };
    match command {
        Command::Validate(args) => validate::run(args).await,
        Command::Plan(args) => plan::run(args).await,
        Command::Apply(args) => apply::run(args, crate::plan::Mode::Apply).await,
        Command::Sync(args) => apply::run(args, crate::plan::Mode::Sync).await,
        Command::Adopt(args) => adopt::run(args).await,
        Command::Sandbox(args) => sandbox::run(args).await,
        Command::Generate(Generate::Completions(_)) => later("generate completions"),
        Command::Generate(Generate::Man(_)) => later("generate man"),
        Command::Generate(Generate::Crds(into)) => generate::run(generate::crds(), into).await,
        Command::Generate(Generate::Schema(into)) => {
            let mut files = generate::schemas();
            files.extend(crate::render::json::schemas());
            generate::run(files, into).await
        }
        Command::Show(_) => later("show"),
        Command::Import(_) => later("import"),
        Command::Release(args) => release::run(args).await,
        Command::Inventory(command) => inventory::run(command).await,
        Command::Operator(args) => operator::run(args).await,
    }
}
