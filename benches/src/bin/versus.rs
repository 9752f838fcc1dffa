//! `versus`: commands of several engines on the same guests, interleaved, and a table in Markdown.
//!
//! ```text
//! versus --engine 'jitless=target/release/jitless {wasm}' --engine 'wasmi=wasmi {wasm}' [OPTIONS] [FILE OR FOLDER…]
//! ```
//!
//! Each round runs every engine on every guest once, in a shuffled order, so that a slow spell of the machine hits all
//! alike. The figure is the user time of the whole process, loading included; ratios are medians of the rounds' ratios.
//!
//! Invariant: an engine that fails on a guest, or prints something else than most, has no figure there, but a line
//! below.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant, SystemTime};

use nix::sys::resource::{UsageWho, getrusage};

const HELP: &str = "usage: versus --engine NAME='COMMAND {wasm}'… [OPTIONS] [FILE OR FOLDER…]

  --engine NAME=COMMAND  an engine; {wasm} is the guest's path. The first is the baseline
  --baseline NAME        another baseline
  --runs N               rounds, after one that is not counted (5)
  --timeout SECONDS      for a run (60)
  --only TEXT,TEXT       guests whose names contain one of them
  --args 'A B'           arguments for every guest
  FILE OR FOLDER         modules; without any, the guests of this package";

struct Engine {
    name: String,
    command: Vec<String>,
}

struct Options {
    engines: Vec<Engine>,
    baseline: usize,
    runs: usize,
    timeout: Duration,
    guests: Vec<PathBuf>,
    args: Vec<String>,
}

fn main() -> ExitCode {
    match options(std::env::args().skip(1)) {
        Ok(options) => {
            let figures = measure(&options);
            print!("{}", table(&options, &figures));
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("{message}");
            ExitCode::from(2)
        }
    }
}

fn options(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let (mut engines, mut baseline, mut runs, mut timeout) = (vec![], None, 5, 60.0);
    let (mut only, mut extra, mut paths) = (String::new(), vec![], vec![]);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} wants a value"));
        let number = |text: String| text.parse::<f64>().map_err(|_| format!("{text:?} is no number"));
        match &*arg {
            "--engine" => {
                let text = value()?;
                let (name, command) = text.split_once('=').ok_or("an engine is NAME=COMMAND")?;
                let command = command.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
                if command.is_empty() {
                    return Err(format!("{name} has no command"));
                }
                engines.push(Engine { name: name.to_owned(), command });
            }
            "--baseline" => baseline = Some(value()?),
            "--runs" => runs = number(value()?)?.max(1.0) as usize,
            "--timeout" => timeout = number(value()?)?.max(0.1),
            "--only" => only = value()?,
            "--args" => extra = value()?.split_whitespace().map(str::to_owned).collect(),
            "--help" | "-h" => return Err(HELP.to_owned()),
            _ if arg.starts_with('-') => return Err(format!("{arg}?\n{HELP}")),
            _ => paths.push(PathBuf::from(arg)),
        }
    }
    if engines.is_empty() {
        return Err(HELP.to_owned());
    }
    let baseline = match baseline {
        None => 0,
        Some(name) => engines.iter().position(|engine| engine.name == name).ok_or(format!("no engine {name}"))?,
    };
    if paths.is_empty() {
        paths.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("guests"));
    }
    let mut guests = vec![];
    for path in paths {
        let entries = std::fs::read_dir(&path).map(|entries| entries.flatten().map(|entry| entry.path()));
        match entries {
            Ok(entries) => guests.extend(entries.filter(|path| path.extension().is_some_and(|e| e == "wasm"))),
            Err(_) => guests.push(path),
        }
    }
    let wanted: Vec<&str> = only.split(',').filter(|text| !text.is_empty()).collect();
    guests.retain(|path| wanted.is_empty() || wanted.iter().any(|text| name_of(path).contains(text)));
    guests.sort();
    Ok(Options { engines, baseline, runs, timeout: Duration::from_secs_f64(timeout), guests, args: extra })
}

fn name_of(path: &Path) -> String {
    path.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

/// One run.
#[derive(Clone, Default)]
struct Run {
    user: f64,
    output: Vec<u8>,
}

/// By guest and engine: the counted runs, or why there are none.
type Figures = Vec<Vec<Result<Vec<Run>, String>>>;

fn measure(options: &Options) -> Figures {
    let mut figures: Figures = vec![vec![Ok(vec![]); options.engines.len()]; options.guests.len()];
    let mut random = 1u64;
    for round in 0..=options.runs {
        let mut order: Vec<(usize, usize)> =
            (0..options.guests.len()).flat_map(|g| (0..options.engines.len()).map(move |e| (g, e))).collect();
        // Guests one after the other, so that the engines' runs on one lie close together; both orders shuffled.
        let mut key = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            random >> 33
        };
        let guests: Vec<u64> = options.guests.iter().map(|_| key()).collect();
        order.sort_by_cached_key(|&(guest, _)| (guests[guest], key()));
        for (guest, engine) in order {
            let Ok(runs) = &mut figures[guest][engine] else { continue };
            match run(&options.engines[engine], &options.guests[guest], options) {
                Ok(run) if round > 0 => runs.push(run),
                Ok(_) => {}
                Err(why) => figures[guest][engine] = Err(why),
            }
        }
        eprint!("\rround {round} of {}", options.runs);
    }
    eprintln!();
    figures.iter_mut().for_each(|row| reject_wrong_output(row));
    figures
}

fn children() -> f64 {
    let time = getrusage(UsageWho::RUSAGE_CHILDREN).expect("always allowed").user_time();
    time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6
}

fn run(engine: &Engine, guest: &Path, options: &Options) -> Result<Run, String> {
    let words = engine.command.iter().map(|word| word.replace("{wasm}", &guest.to_string_lossy()));
    let words: Vec<String> = words.chain(options.args.iter().cloned()).collect();
    let before = children();
    let mut child = Command::new(&words[0])
        .args(&words[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("{}: {error}", words[0]))?;
    let mut stdout = child.stdout.take().expect("piped");
    let reader = std::thread::spawn(move || {
        let mut output = vec![];
        std::io::Read::read_to_end(&mut stdout, &mut output).map(|_| output)
    });
    let end = Instant::now() + options.timeout;
    let status = loop {
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(status) => break status,
            None if Instant::now() > end => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("over {} s", options.timeout.as_secs_f64()));
            }
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    let user = children() - before;
    let output = reader.join().expect("does not panic").map_err(|error| error.to_string())?;
    if status.success() { Ok(Run { user, output }) } else { Err(status.to_string()) }
}

/// What most engines print is right.
fn reject_wrong_output(row: &mut [Result<Vec<Run>, String>]) {
    let mut votes: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    for run in row.iter().flatten().filter_map(|runs| runs.first()) {
        *votes.entry(run.output.clone()).or_default() += 1;
    }
    let Some(right) = votes.into_iter().max_by_key(|(_, votes)| *votes).map(|(output, _)| output) else { return };
    for cell in row {
        let wrong = cell.as_ref().ok().and_then(|runs| runs.iter().find(|run| run.output != right));
        if let Some(wrong) = wrong {
            let text = String::from_utf8_lossy(&wrong.output).chars().take(60).collect::<String>();
            *cell = Err(format!("prints {text:?}"));
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

fn table(options: &Options, figures: &Figures) -> String {
    use std::fmt::Write;
    let mut out = String::new();
    let names: Vec<&str> = options.engines.iter().map(|engine| &*engine.name).collect();
    let base = options.baseline;
    let mut line = |text: String| writeln!(out, "{text}").expect("a string");
    line(format!(
        "{}; {}; median of {} rounds of user time, ratios to {}.",
        today(),
        machine(),
        options.runs,
        names[base]
    ));
    for engine in &options.engines {
        line(format!("{}: {} (`{}`)  ", engine.name, version(&engine.command[0]), engine.command.join(" ")));
    }
    line(String::new());
    let others: Vec<usize> = (0..names.len()).filter(|&engine| engine != base).collect();
    let heads: String = others.iter().map(|&engine| format!(" {} |", names[engine])).collect();
    line(format!("| program | {}, s |{heads}", names[base]));
    line(format!("|---|---:|{}", "---:|".repeat(others.len())));
    let mut logs: Vec<Vec<f64>> = vec![vec![]; names.len()];
    for (guest, row) in options.guests.iter().zip(figures) {
        let user = |engine: usize| row[engine].as_ref().ok().filter(|runs| !runs.is_empty());
        let first =
            user(base).map_or("–".to_owned(), |runs| format!("{:.3}", median(runs.iter().map(|r| r.user).collect())));
        let mut text = format!("| {} | {first} |", name_of(guest));
        for &engine in &others {
            let ratio = user(base).zip(user(engine)).map(|(base, runs)| {
                median(runs.iter().zip(base).map(|(run, base)| run.user.max(1e-6) / base.user.max(1e-6)).collect())
            });
            logs[engine].extend(ratio.map(f64::ln));
            text += &ratio.map_or(" – |".to_owned(), |ratio| format!(" {ratio:.2} |"));
        }
        line(text);
    }
    let mut text = "| **geometric mean** (programs) | 1 |".to_owned();
    for &engine in &others {
        let (sum, count) = (logs[engine].iter().sum::<f64>(), logs[engine].len());
        text += &if count == 0 {
            " – |".to_owned()
        } else {
            format!(" **{:.3}** ({count}) |", (sum / count as f64).exp())
        };
    }
    line(text);
    for (guest, row) in options.guests.iter().zip(figures) {
        for (engine, cell) in row.iter().enumerate() {
            if let Err(why) = cell {
                line(format!("\nLeft out: {} on {}: {why}", names[engine], name_of(guest)));
            }
        }
    }
    out
}

/// The first line that the command says to `--version`.
fn version(command: &str) -> String {
    let output = Command::new(command).arg("--version").stdin(Stdio::null()).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or("version unknown").to_owned()
}

fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{}, {cores} cores, {}", model.unwrap_or("processor unknown"), std::env::consts::OS)
}

/// The date, as `2026-11-25`.
fn today() -> String {
    let days = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs() / 86_400);
    // Years begin in March here, so that the leap day is the last of one; 719,468 days lie before 1970 then.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    format!("{}-{month:02}-{day:02}", year + era * 400 + later)
}
