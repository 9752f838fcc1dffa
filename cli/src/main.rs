//! The command `jitless`: runs, checks and shows WebAssembly programs.
//!
//! Idea: a verb is a file, and sees of the library only what is public. What a guest prints is the guest's; everything
//! of ours goes to standard error, but for what a verb was asked to show.
//!
//! Invariant: whatever the input is, the command ends with one of the statuses of [`report::status`], and without a
//! panic.

mod dump;
mod entry;
mod files;
mod flags;
mod input;
mod inspect;
mod report;
mod run;
mod streams;
mod summary;
mod validate;
mod values;
mod wast;

use std::process::ExitCode;

use clap::{ArgMatches, Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;

use self::report::{Failure, status};

/// Runs WebAssembly programs without generating machine code.
#[derive(Parser)]
#[command(
    name = "jitless",
    version,
    long_version = LONG_VERSION,
    args_conflicts_with_subcommands = true,
    arg_required_else_help = true,
    override_usage = "jitless [run] [OPTIONS] FILE [ARGS]...\n       jitless <VERB> ...",
    subcommand_value_name = "VERB",
    subcommand_help_heading = "Verbs",
    disable_help_subcommand = false,
    after_long_help = EXAMPLES,
    after_help = "Options stand before FILE; everything behind it belongs to the guest. --help says more.",
)]
struct Cli {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    run: run::Args,
}

#[derive(Subcommand)]
enum Verb {
    /// Run a program: its export `_start`, or another with --invoke. This is the verb if none is given
    #[command(override_usage = "jitless [run] [OPTIONS] FILE [ARGS]...", arg_required_else_help = true)]
    Run(Deferred<run::Args>),
    /// Check modules without running them
    Validate(Deferred<validate::Args>),
    /// Show what a module imports, exports and needs
    Inspect(Deferred<inspect::Args>),
    /// Run test scripts in the notation of the official suite
    Wast(Deferred<wast::Args>),
    /// Show the tiles of functions beside their operators
    Dump(Deferred<dump::Args>),
    /// Print a script that completes this command's arguments in a shell
    Completion {
        /// The shell
        shell: Shell,
    },
}

/// A verb's arguments, which are described to the parser when it has met the verb: most calls of the command are without.
struct Deferred<A>(Box<A>);

impl<A: Args> Args for Deferred<A> {
    fn augment_args(command: Command) -> Command {
        command.defer(|command| {
            // Not the heading of the options.
            let about = command.get_about().cloned().unwrap_or_default();
            A::augment_args(command).about(about)
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<A: Args> FromArgMatches for Deferred<A> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(Box::new(A::from_arg_matches(matches)?)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0.update_from_arg_matches(matches)
    }
}

const LONG_VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    "\ncommit: ",
    env!("JITLESS_COMMIT"),
    "\nfeatures: archive, host-fs, wasi, wat",
);

const EXAMPLES: &str = "\
Options stand before FILE; everything behind it belongs to the guest.

Examples:
  jitless app.wasm --verbose input       run a program with two arguments
  jitless --invoke add math.wat 1 2      call an export and print its results
  jitless --fuel 1000000 --timeout 2s --memory 64MiB app.wasm
                                         bound work, time and memory
  jitless --dir work::/,cow --deterministic app.wasm
                                         a folder, whose changes stay in memory; the same run each time
  jitless --memfs /out --save-memfs /out=out.tar app.wasm
                                         what the guest writes becomes an archive

Statuses:
  0 to 255  what the guest ended with    134  trap
  1         not readable, not a module, does not link
  2         usage
  123       out of fuel, over the memory budget
  124       deadline passed, stopped
  141       standard output was closed

Colours are for terminals, and NO_COLOR switches them off.";

fn main() -> ExitCode {
    let result = match Cli::try_parse() {
        Ok(cli) => verb(cli),
        Err(error) => usage(&error),
    };
    #[cfg(feature = "profile")]
    let result = write_profile().and(result);
    match result {
        Ok(status) => ExitCode::from(status),
        Err(failure) => failure.report(),
    }
}

fn verb(cli: Cli) -> Result<u8, Failure> {
    match cli.verb {
        None => run::run(&cli.run),
        Some(Verb::Run(args)) => run::run(&args.0),
        Some(Verb::Validate(args)) => validate::run(&args.0),
        Some(Verb::Inspect(args)) => inspect::run(&args.0),
        Some(Verb::Wast(args)) => wast::run(&args.0),
        Some(Verb::Dump(args)) => dump::run(&args.0),
        Some(Verb::Completion { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "jitless", &mut script);
            report::print(script)?;
            Ok(status::OK)
        }
    }
}

/// Writes how often each tile ran, if the environment says where.
#[cfg(feature = "profile")]
fn write_profile() -> Result<(), Failure> {
    match std::env::var_os("JITLESS_PROFILE") {
        Some(path) => std::fs::write(path, jitless::profile()).map_err(Failure::output),
        None => Ok(()),
    }
}

/// Wrong arguments; or help or version, which were asked for.
fn usage(error: &clap::Error) -> Result<u8, Failure> {
    let printed = error.print();
    if error.use_stderr() {
        return Ok(status::USAGE);
    }
    printed.map_err(Failure::output)?;
    Ok(status::OK)
}
