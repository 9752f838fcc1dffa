//! The verb `validate`: modules are decoded and checked, all of them, and nothing runs.

use std::ffi::OsString;

use jitless::{Compilation, Module};

use crate::report::{Failure, status};
use crate::{flags, input};

/// Options and arguments of `validate`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    wasm: flags::Wasm,

    /// Modules, binary or text, or `-` for standard input
    #[arg(value_name = "FILE", required_unless_present = "settings")]
    files: Vec<OsString>,
}

/// Says nothing of modules that are valid.
pub(crate) fn run(args: &Args) -> Result<u8, Failure> {
    let plan = match args.wasm.plan(Compilation::LazyChecked) {
        Ok(plan) => plan,
        Err(helped) => return helped,
    };
    let engine = plan.engine()?;
    let many = args.files.len() > 1;
    let mut end = status::OK;
    for file in &args.files {
        let valid = input::module(file).and_then(|bytes| {
            Module::validate(&engine, bytes).map_err(|error| match many {
                true => Failure::of_one(&error, &input::name(file)),
                false => Failure::of(&error, &input::name(file)),
            })
        });
        if let Err(failure) = valid {
            failure.say();
            end = failure.status();
        }
    }
    Ok(end)
}
