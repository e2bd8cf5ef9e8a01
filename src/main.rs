//! Parses the arguments, starts logging, runs the command and maps what became of it to an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    scopeward::commands::main()
}
