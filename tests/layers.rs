//! The floor plan, held by a test: which module may use which, where `unsafe` may stand, and how a file opens.
//!
//! Moving a module to another floor is an edit of [`FLOORS`], and so visible in review.
use std::fs;
use std::path::{Path, PathBuf};

/// Floors from the lowest up. Modules of one floor do not use each other, except on the ground, which is listed in order.
const FLOORS: &[(&str, &[&str])] = &[
    ("ground", &["types", "error", "value", "budget", "config"]),
    ("module", &["module"]),
    ("validate", &["validate"]),
    ("translate", &["code", "cover", "translate"]),
    ("load", &["load"]),
    ("runtime", &["runtime"]),
    ("exec", &["exec"]),
    ("api", &["api"]),
];

/// Modules above the floors, which see only what `lib.rs` makes public.
const TENANTS: &[&str] = &["wasi", "sandbox"];

/// Uses against the order that were looked at and are meant: config's proposals and the error that names them know each
/// other, and the budget raises errors.
const GROUND: &[&str] = &["types", "error", "value", "budget", "config"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()) {
        if entry.is_dir() {
            sources(&entry, out);
        } else if entry.extension().is_some_and(|e| e == "rs") {
            out.push(entry);
        }
    }
}

fn all(dir: &str) -> Vec<PathBuf> {
    let mut out = vec![];
    sources(&root().join(dir), &mut out);
    out.sort();
    out
}

/// The module of `src/` that a file belongs to.
fn module_of(path: &Path) -> String {
    let inside = path.strip_prefix(root().join("src")).unwrap();
    inside.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

fn floor_of(module: &str) -> Option<usize> {
    FLOORS.iter().position(|(_, modules)| modules.contains(&module))
}

/// Code without comments and without what follows `#[cfg(test)]`.
fn code(path: &Path) -> Vec<(usize, String)> {
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().enumerate().map(|(n, l)| (n + 1, l.split("//").next().unwrap().to_owned()));
    lines.take_while(|(_, l)| !l.contains("#[cfg(test)]")).collect()
}

/// Names behind `crate::` in a line.
fn uses(line: &str) -> Vec<String> {
    line.match_indices("crate::")
        .filter(|(i, _)| *i == 0 || !line.as_bytes()[i - 1].is_ascii_alphanumeric() && line.as_bytes()[i - 1] != b'_')
        .map(|(i, m)| line[i + m.len()..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect())
        .collect()
}

#[test]
fn every_module_is_on_the_list() {
    for path in all("src") {
        let module = module_of(&path);
        let listed = floor_of(&module).is_some() || TENANTS.contains(&&*module) || module == "lib";
        assert!(listed, "{}: module `{module}` has no floor", path.display());
    }
}

#[test]
fn nobody_looks_upward() {
    let mut faults = vec![];
    for path in all("src").into_iter().filter(|p| !p.ends_with("tests.rs")) {
        let module = module_of(&path);
        let Some(floor) = floor_of(&module) else { continue };
        for (n, line) in code(&path) {
            for used in uses(&line) {
                let Some(other) = floor_of(&used) else { continue };
                let same_room = used == module || floor == other && (floor == 0 || FLOORS[floor].0 == "translate");
                if !(same_room || other < floor) {
                    faults.push(format!("{}:{n}: `{module}` uses `{used}`, which is not below it", path.display()));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert_eq!(FLOORS[0].1, GROUND);
}

#[test]
fn tenants_see_the_public_interface_alone() {
    for path in all("src") {
        if !TENANTS.contains(&&*module_of(&path)) {
            continue;
        }
        for (n, line) in code(&path) {
            for used in uses(&line) {
                assert!(floor_of(&used).is_none(), "{}:{n}: a tenant names the inner module `{used}`", path.display());
            }
        }
    }
}

#[test]
fn unsafe_stays_in_the_machine_and_in_exec() {
    for path in all("src").into_iter().chain(all("cli/src")).chain(all("spec-tests/src")) {
        let exec = path.starts_with(root().join("src")) && module_of(&path) == "exec";
        if exec {
            continue;
        }
        for (n, line) in code(&path) {
            let word = line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|w| w == "unsafe");
            assert!(!word, "{}:{n}: `unsafe` outside exec", path.display());
        }
    }
}

#[test]
fn the_decoder_is_named_by_the_module_floor_alone() {
    for path in all("src").into_iter().filter(|p| module_of(p) != "module" && !p.ends_with("tests.rs")) {
        for (n, line) in code(&path) {
            assert!(!line.contains("wasmparser"), "{}:{n}: wasmparser outside the module floor", path.display());
        }
    }
}

#[test]
fn a_file_opens_with_its_idea() {
    for dir in ["src", "machine/src", "machine/build", "cli/src", "spec-tests/src", "tests", "examples"] {
        for path in all(dir) {
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.starts_with("//! "), "{}: the first line is not `//! …`", path.display());
        }
    }
}
