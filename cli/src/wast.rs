//! The verb `wast`: runs WebAssembly test scripts, and says what passes.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use jitless::Compilation;
use jitless_spec_tests::{Options, main_wast};

use crate::flags;
use crate::report::{Failure, escaped, plain_text, status};

/// Options and arguments of `wast`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    wasm: flags::Wasm,

    /// Print results as JSON, an object a line
    #[arg(long)]
    json: bool,

    /// Run calls on so much fuel at a time, resuming them each time
    #[arg(long, value_name = "N", value_parser = flags::number)]
    slices: Option<u64>,

    /// Scripts, and folders of them
    #[arg(value_name = "PATH", required_unless_present = "settings")]
    paths: Vec<PathBuf>,
}

/// Fails if a command of a script fails.
pub(crate) fn run(args: &Args) -> Result<u8, Failure> {
    let plan = match args.wasm.plan(Compilation::LazyChecked) {
        Ok(plan) => plan,
        Err(helped) => return helped,
    };
    plan.engine()?;
    let mut options = Options::new(plan.config.clone());
    options.dispatch = Some(plan.dispatch);
    options.compilation = Some(plan.compilation);
    options.slices = args.slices;
    if let Some(time) = plan.timeout {
        options.time = time;
    }
    let mut out = Watched { to: BufWriter::new(io::stdout()), failed: false };
    let result = main_wast(&args.paths, args.json, &options, &mut out).and_then(|sum| out.flush().map(|()| sum));
    match result {
        Ok(sum) if sum.failed == 0 => Ok(status::OK),
        Ok(_) => Ok(status::FAILED),
        Err(error) if out.failed => Err(Failure::output(error)),
        Err(error) => {
            let text = error.to_string();
            // The path comes first.
            let (path, why) = text.rsplit_once(": ").unwrap_or(("a script", &text));
            Err(Failure::new(format!("cannot read {}: {}", escaped(path), plain_text(why))))
        }
    }
}

/// Remembers that it was the output that failed, and not a script that could not be read.
struct Watched<W> {
    to: W,
    failed: bool,
}

impl<W: Write> Watched<W> {
    fn seen<V>(&mut self, result: io::Result<V>) -> io::Result<V> {
        self.failed |= result.is_err();
        result
    }
}

impl<W: Write> Write for Watched<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let result = self.to.write(buffer);
        self.seen(result)
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = self.to.flush();
        self.seen(result)
    }
}
