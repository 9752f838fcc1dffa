//! The verb `dump`: a function's operators, and beside each the tiles that it completed.

use std::ffi::OsString;
use std::fmt::Write as _;

use jitless::{Compilation, ErrorKind, ExternKind, Module};

use crate::report::{Failure, print, status};
use crate::{flags, input};

/// Options and arguments of `dump`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    wasm: flags::Wasm,

    /// Only the function with this index, imports counted
    #[arg(long, value_name = "N")]
    func: Option<u32>,

    /// A module, binary or text, or `-` for standard input
    #[arg(value_name = "FILE", required_unless_present = "settings")]
    file: Option<OsString>,
}

/// Prints one function, or all that the module defines.
pub(crate) fn run(args: &Args) -> Result<u8, Failure> {
    let plan = match args.wasm.plan(Compilation::Lazy) {
        Ok(plan) => plan,
        Err(helped) => return helped,
    };
    let Some(file) = &args.file else { return Err(Failure::usage("FILE is missing")) };
    let name = input::name(file);
    let failure = |error| Failure::of(&error, &name);
    let module = Module::from_bytes(&plan.engine()?, input::module(file)?).map_err(failure)?;
    if let Some(func) = args.func {
        print(text(&module, func).map_err(failure)?)?;
        return Ok(status::OK);
    }
    let imported = module.imports().filter(|import| import.ty().kind() == ExternKind::Func).count();
    for func in imported as u32.. {
        match text(&module, func) {
            Ok(text) => print(text)?,
            // There is no function with this index.
            Err(error) if error.kind() == ErrorKind::Argument => break,
            Err(error) => return Err(failure(error)),
        }
    }
    Ok(status::OK)
}

/// Where the tiles begin, if the operators leave room for them.
const COLUMN: usize = 48;

fn text(module: &Module, func: u32) -> jitless::Result<String> {
    let mut text = format!("func {func}\n");
    for line in module.listing(func)? {
        let operator = format!("  {:#08x}  {}", line.offset, line.operator);
        // Writing to a string cannot fail.
        let _ = match line.tiles.split_first() {
            None => writeln!(text, "{operator}"),
            Some((first, _)) => writeln!(text, "{operator:COLUMN$}  {first}"),
        };
        for tile in line.tiles.iter().skip(1) {
            let _ = writeln!(text, "{:COLUMN$}  {tile}", "");
        }
    }
    Ok(text)
}
