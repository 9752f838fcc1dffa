//! Options that verbs share: how an engine is made, and what is set with `-W`. One table for the latter.
//!
//! Invariant: what an option means is decided here before anything is read or run, so a wrong one is always a usage
//! error.

use std::time::Duration;

use clap::ValueEnum;
use jitless::{Compilation, Config, Dispatch, Engine, Proposals, StoreLimits, StoreLimitsBuilder};

use crate::report::{Failure, print, status};

/// Options of everything that loads a module.
#[derive(clap::Args, Clone, Default)]
pub(crate) struct Wasm {
    /// Set a proposal or limit; `-W help` lists them all
    #[arg(short = 'W', long = "wasm", value_name = "NAME[=VALUE],...", value_delimiter = ',')]
    #[arg(value_parser = Setting::parse)]
    settings: Vec<Setting>,

    /// When functions are translated
    #[arg(long, hide_short_help = true, value_name = "WHEN", value_enum)]
    compile: Option<Compile>,

    /// How instructions hand on to each other; results never depend on it
    #[arg(long, value_name = "HOW", value_enum, default_value_t = Layout::Auto, hide_default_value = true)]
    dispatch: Layout,
}

#[derive(Clone, Copy, ValueEnum)]
enum Compile {
    /// All when the module is loaded
    Eager,
    /// Each when it is first called; the fastest start
    Lazy,
    /// As lazy, but everything is validated when the module is loaded
    LazyChecked,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Layout {
    /// Directly where this build can, else bounced
    #[default]
    Auto,
    /// Each jumps to the next
    Direct,
    /// Through a loop
    Bounced,
}

/// One thing set by `-W`.
#[derive(Clone, Debug, PartialEq)]
enum Setting {
    Help,
    Proposals(Proposals, bool),
    Fuel(u64),
    Timeout(Duration),
    Stack(usize),
    Depth(u32),
    HostDepth(u32),
    Total(u64),
    Memory(u64),
    Table(u64),
    Instances(u64),
    Tables(u64),
    Memories(u64),
    TrapOnGrowFailure(bool),
}

/// Reads the part behind the `=`.
type Read = fn(&str) -> Result<Setting, String>;

/// Names of settings that are no proposals, what stands behind the `=`, and what they do.
const SETTINGS: &[(&str, &str, &str, Read)] = &[
    ("fuel", "N", "executed instructions until the guest is stopped", |v| number(v).map(Setting::Fuel)),
    ("timeout", "10s", "time until the guest is stopped, loading included", |v| duration(v).map(Setting::Timeout)),
    ("max-wasm-stack", "8MiB", "bytes of the guest's stack", |v| Ok(Setting::Stack(size(v)? as usize))),
    ("max-call-depth", "N", "calls of the guest's functions inside each other", |v| small(v).map(Setting::Depth)),
    ("max-host-depth", "N", "calls from the host inside each other", |v| small(v).map(Setting::HostDepth)),
    ("max-total-memory", "4GiB", "bytes of everything that the guest makes the host hold", |v| {
        size(v).map(Setting::Total)
    }),
    ("max-memory-size", "SIZE", "bytes of each memory", |v| size(v).map(Setting::Memory)),
    ("max-table-elements", "10000000", "elements of each table", |v| number(v).map(Setting::Table)),
    ("max-instances", "10000", "instances", |v| number(v).map(Setting::Instances)),
    ("max-tables", "10000", "tables", |v| number(v).map(Setting::Tables)),
    ("max-memories", "10000", "memories", |v| number(v).map(Setting::Memories)),
    ("trap-on-grow-failure", "y|n", "stop the guest where it cannot grow a memory or table", |v| {
        yes(v).map(Setting::TrapOnGrowFailure)
    }),
    ("all-proposals", "y|n", "all proposals below", |v| Ok(Setting::Proposals(Proposals::ALL, yes(v)?))),
];

impl Setting {
    fn parse(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        if text == "help" {
            return Ok(Self::Help);
        }
        if let Some((.., read)) = SETTINGS.iter().find(|(known, ..)| *known == name) {
            return read(value);
        }
        match Proposals::from_name(name) {
            Some(Proposals::MVP) | None => Err("no such setting; `-W help` lists them all".to_owned()),
            Some(proposal) => Ok(Self::Proposals(proposal, yes(value)?)),
        }
    }

    /// Puts it into a configuration, if that is where it belongs.
    fn configure(&self, config: &mut Config) {
        match *self {
            Self::Proposals(proposals, on) => config.wasm_proposals(proposals, on),
            Self::Stack(bytes) => config.max_wasm_stack(bytes),
            Self::Depth(calls) => config.max_call_depth(Some(calls)),
            Self::HostDepth(calls) => config.max_host_depth(calls),
            _ => config,
        };
    }
}

/// The most memory of everything, if nothing is said.
const TOTAL: u64 = 4 << 30;

/// What `-W help` prints.
fn help() -> String {
    let mut text = "Settings, as `-W NAME=VALUE` or `-W NAME=VALUE,NAME=VALUE`:\n".to_owned();
    for (name, value, what, _) in SETTINGS {
        text += &format!("  {:32} {what}\n", format!("{name}={value}"));
    }
    text += "\nProposals, as `-W NAME`, `-W NAME=y` or `-W NAME=n`:\n";
    let on = Config::new().proposals();
    for proposal in Proposals::ALL.iter().filter(|&one| one != Proposals::MVP) {
        let state = match (Proposals::RUNS.contains(proposal), on.contains(proposal)) {
            (false, _) => "does not run yet",
            (true, true) => "on",
            (true, false) => "off",
        };
        text += &format!("  {:32} {state}\n", proposal.name());
    }
    text
}

/// What the options come to.
pub(crate) struct Plan {
    pub(crate) config: Config,
    pub(crate) dispatch: Dispatch,
    pub(crate) compilation: Compilation,
    limits: StoreLimitsBuilder,
    /// The most bytes of everything.
    pub(crate) total: u64,
    pub(crate) fuel: Option<u64>,
    pub(crate) timeout: Option<Duration>,
}

impl Wasm {
    /// What is set here, over what the verb wants if nothing is. `Err` if help was asked for, with what came of that.
    pub(crate) fn plan(&self, default: Compilation) -> Result<Plan, Result<u8, Failure>> {
        let dispatch = match self.dispatch {
            Layout::Auto => Dispatch::Auto,
            Layout::Direct => Dispatch::Direct,
            Layout::Bounced => Dispatch::Bounced,
        };
        let compilation = match self.compile {
            None => default,
            Some(Compile::Eager) => Compilation::Eager,
            Some(Compile::Lazy) => Compilation::Lazy,
            Some(Compile::LazyChecked) => Compilation::LazyChecked,
        };
        let mut config = Config::new();
        config.dispatch(dispatch).compilation(compilation);
        let (mut limits, mut total) = (StoreLimitsBuilder::new(), TOTAL);
        let (mut fuel, mut timeout) = (None, None);
        for setting in &self.settings {
            limits = match *setting {
                Setting::Memory(bytes) => limits.memory_size(bytes as usize),
                Setting::Table(elements) => limits.table_elements(elements as usize),
                Setting::Instances(count) => limits.instances(count as usize),
                Setting::Tables(count) => limits.tables(count as usize),
                Setting::Memories(count) => limits.memories(count as usize),
                Setting::TrapOnGrowFailure(yes) => limits.trap_on_grow_failure(yes),
                _ => limits,
            };
            match *setting {
                Setting::Help => return Err(print(help()).map(|()| status::OK)),
                Setting::Total(bytes) => total = bytes,
                Setting::Fuel(units) => fuel = Some(units),
                Setting::Timeout(time) => timeout = Some(time),
                _ => setting.configure(&mut config),
            }
        }
        Ok(Plan { config, dispatch, compilation, limits, total, fuel, timeout })
    }
}

impl Plan {
    pub(crate) fn limits(&self) -> StoreLimits {
        self.limits.clone().total_memory(self.total).build()
    }

    /// An engine; what it refuses is an option's fault.
    pub(crate) fn engine(&self) -> Result<Engine, Failure> {
        Engine::new(&self.config).map_err(Failure::usage)
    }
}

/// Yes if nothing is said.
fn yes(text: &str) -> Result<bool, String> {
    match text {
        "" | "y" | "yes" | "true" | "on" => Ok(true),
        "n" | "no" | "false" | "off" => Ok(false),
        _ => Err("expected y or n".to_owned()),
    }
}

/// A number, `_` between its digits allowed.
pub(crate) fn number(text: &str) -> Result<u64, String> {
    let digits = text.replace('_', "");
    digits.parse().map_err(|_| "expected a number".to_owned())
}

fn small(text: &str) -> Result<u32, String> {
    u32::try_from(number(text)?).map_err(|_| "the number is too large".to_owned())
}

/// A number and what follows it.
fn split(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_').unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

/// A number, fraction allowed, times a unit, rounded down.
fn times(digits: &str, unit: u64) -> Option<u64> {
    let digits = digits.replace('_', "");
    if let Ok(whole) = digits.parse::<u64>() {
        return whole.checked_mul(unit);
    }
    let value = digits.parse::<f64>().ok()? * unit as f64;
    // Below 2^53 no digit is lost, and nobody writes fractions of more.
    (0.0..9e15).contains(&value).then_some(value as u64)
}

/// Bytes: `65536`, `64KiB`, `1.5GiB`; `k`, `M`, `G` alone are powers of 1024, `kB`, `MB`, `GB` of 1000.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let (digits, unit) = split(text);
    let unit = match unit {
        "" | "B" => 1,
        "k" | "K" | "KiB" => 1 << 10,
        "m" | "M" | "MiB" => 1 << 20,
        "g" | "G" | "GiB" => 1 << 30,
        "t" | "T" | "TiB" => 1 << 40,
        "kB" | "KB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => return Err("expected a size, as 65536, 64KiB or 1.5GiB".to_owned()),
    };
    times(digits, unit).ok_or_else(|| "expected a size, as 65536, 64KiB or 1.5GiB".to_owned())
}

/// A time: `10s`, `1.5s`, `250ms`, `2m`, `1h`; a number alone is seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let (digits, unit) = split(text);
    let unit = match unit {
        "" | "s" => 1_000_000_000,
        "ms" => 1_000_000,
        "us" | "µs" => 1_000,
        "ns" => 1,
        "m" | "min" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return Err("expected a time, as 10s, 1.5s or 250ms".to_owned()),
    };
    times(digits, unit).map(Duration::from_nanos).ok_or_else(|| "expected a time, as 10s, 1.5s or 250ms".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times() {
        for (text, want) in [
            ("0", Some(0)),
            ("65536", Some(65536)),
            ("64KiB", Some(65536)),
            ("64 KiB", Some(65536)),
            ("64k", Some(65536)),
            ("1.5GiB", Some(3 << 29)),
            ("1kB", Some(1000)),
            ("1_000", Some(1000)),
            ("16777216TiB", None),
            ("", None),
            ("MiB", None),
            ("-1", None),
            ("1.2.3", None),
            ("1 apple", None),
        ] {
            assert_eq!(size(text).ok(), want, "{text}");
        }
        for (text, want) in [
            ("10s", Some(10_000)),
            ("10", Some(10_000)),
            ("1.5s", Some(1500)),
            ("250ms", Some(250)),
            ("2m", Some(120_000)),
            ("0.5h", Some(1_800_000)),
            ("s", None),
            ("1d", None),
            ("1e9s", None),
        ] {
            assert_eq!(duration(text).ok(), want.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn settings() {
        for (text, want) in [
            ("help", Some(Setting::Help)),
            ("tail-call", Some(Setting::Proposals(Proposals::TAIL_CALL, true))),
            ("tail-call=n", Some(Setting::Proposals(Proposals::TAIL_CALL, false))),
            ("all-proposals", Some(Setting::Proposals(Proposals::ALL, true))),
            ("fuel=10", Some(Setting::Fuel(10))),
            ("max-memory-size=1MiB", Some(Setting::Memory(1 << 20))),
            ("max-call-depth=4294967296", None),
            ("fuel", None),
            ("fuel=x", None),
            ("tail-call=maybe", None),
            ("mvp", None),
            ("nope=1", None),
            ("", None),
        ] {
            assert_eq!(Setting::parse(text).ok(), want, "{text}");
        }
        assert!(help().contains("  tail-call                        on\n"));
    }
}
