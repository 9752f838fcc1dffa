//! The verb `inspect`: what a module imports, exports and needs, in the notation of the text format.

use std::ffi::OsString;
use std::fmt::Write as _;

use jitless::{Compilation, Config, Engine, Module, Proposals};

use crate::report::{Failure, escaped, print, status};
use crate::{flags, input};

/// Options and arguments of `inspect`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    wasm: flags::Wasm,

    /// A module, binary or text, or `-` for standard input
    #[arg(value_name = "FILE", required_unless_present = "settings")]
    file: Option<OsString>,
}

/// Prints what there is; an invalid body is an error after that.
pub(crate) fn run(args: &Args) -> Result<u8, Failure> {
    let plan = match args.wasm.plan(Compilation::Lazy) {
        Ok(plan) => plan,
        Err(helped) => return helped,
    };
    let Some(file) = &args.file else { return Err(Failure::usage("FILE is missing")) };
    let (name, bytes) = (input::name(file), input::module(file)?);
    let failure = |error| Failure::of(&error, &name);
    let module = Module::new(&plan.engine()?, &bytes).map_err(failure)?;
    let mut text = format!("{name}: {} bytes", module.size());
    if let Some(own) = module.name() {
        text += &format!(", named {}", escaped(own));
    }
    text.push('\n');
    let (needs, invalid) = needs(&plan.config, &bytes);
    if invalid.is_none() {
        text += &format!("needs: {}\n", if needs.is_empty() { "nothing beyond WebAssembly 1.0" } else { &needs });
    }
    let imports = module
        .imports()
        .map(|import| (format!("{}.{}", escaped(import.module()), escaped(import.name())), import.ty().to_string()));
    list(&mut text, "imports", imports.collect());
    let exports = module.exports().map(|export| (escaped(export.name()), export.ty().to_string()));
    list(&mut text, "exports", exports.collect());
    let customs = module.custom_sections().map(|(name, bytes)| (escaped(name), format!("{} bytes", bytes.len())));
    list(&mut text, "custom sections", customs.collect());
    print(text)?;
    match invalid {
        Some(error) => Err(failure(error)),
        None => Ok(status::OK),
    }
}

fn list(text: &mut String, what: &str, rows: Vec<(String, String)>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{what}: {}", rows.len());
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).min(48);
    for (name, what) in rows {
        let _ = writeln!(text, "  {name:width$}  {what}");
    }
}

/// The proposals without which the module is not valid, and what is wrong with it whatever is on.
///
/// Found by trying: each is switched off in turn.
fn needs(config: &Config, bytes: &[u8]) -> (String, Option<jitless::Error>) {
    let validate = |off: Proposals| {
        let mut config = config.clone();
        config.wasm_proposals(off, false);
        Engine::new(&config).and_then(|engine| Module::validate(&engine, bytes))
    };
    let on = config.proposals();
    if let Err(error) = validate(Proposals::empty()) {
        return (String::new(), Some(error));
    }
    if validate(on - Config::wasm1().proposals()).is_ok() {
        return (String::new(), None);
    }
    let needed = on.iter().filter(|&one| one != Proposals::MVP && validate(one).is_err());
    (needed.fold(Proposals::empty(), |all, one| all | one).to_string(), None)
}
