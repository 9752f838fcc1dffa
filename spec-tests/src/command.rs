//! What the command `jitless wast` does.
//!
//! Invariant: nothing but the report is written to the output, and with `json` every line of it is one object.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::{fmt, fs};

use crate::result::ScriptResult;
use crate::script::{Options, run_script};
use crate::table::{Row, table};

/// Runs scripts, folders of them among `paths` with all that lies in them, and reports to `out`: what failed, then a
/// table; with `json`, an object a line for each script and a last one for all.
///
/// Gives the sums. A path that cannot be read is an error; what was reported before it stays.
pub fn main_wast(paths: &[PathBuf], json: bool, options: &Options, mut out: impl Write) -> io::Result<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for path in paths {
        for script in scripts_in(path)? {
            let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", script.display()));
            let text = fs::read(&script).map_err(named)?;
            let result = run_script(&script.display().to_string(), &String::from_utf8_lossy(&text), options);
            if json {
                writeln!(out, "{}", Json(&result))?;
            } else {
                report(&result, &mut out)?;
            }
            let folder = script.parent().map_or_else(String::new, |folder| folder.display().to_string());
            let row = Row::of(folder, [&result]);
            match rows.iter_mut().find(|known| known.folder == row.folder) {
                Some(known) => known.add(&row),
                None => rows.push(row),
            }
        }
    }
    let sum = Row::sum(&rows);
    if json {
        writeln!(out, "{}", JsonSum(&sum))?;
    } else {
        write!(out, "{}", table(&rows))?;
        writeln!(out, "{} passed, {} failed, {} skipped", sum.passed, sum.failed, sum.skipped)?;
    }
    Ok(sum)
}

/// The scripts that a path means: itself if it is a file, else all `.wast` in it, also in folders below, by name.
pub fn scripts_in(path: &Path) -> io::Result<Vec<PathBuf>> {
    let named = |path: &Path, error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    if !fs::metadata(path).map_err(|error| named(path, error))?.is_dir() {
        return Ok(vec![path.into()]);
    }
    let (mut scripts, mut folders) = (Vec::new(), vec![path.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|error| named(&folder, error))? {
            let entry = entry?;
            let path = entry.path();
            // A link to a folder may lead back here, so links are not followed.
            if entry.file_type()?.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "wast") {
                scripts.push(path);
            }
        }
    }
    scripts.sort();
    Ok(scripts)
}

fn report(result: &ScriptResult, out: &mut impl Write) -> io::Result<()> {
    for failure in &result.failed {
        writeln!(out, "{}:{}: {}", result.name, failure.line, failure.what)?;
        writeln!(out, "    expected {}\n    got {}", failure.expected, failure.got)?;
    }
    for (proposal, number) in result.needs() {
        writeln!(out, "{}: {number} skipped, which need the {proposal} proposal", result.name)?;
    }
    Ok(())
}

/// A text as JSON writes it.
struct Text<'a>(&'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{2028}' | '\u{2029}' => write!(f, "\\u{:04x}", u32::from(c))?,
                _ => write!(f, "{c}")?,
            }
        }
        f.write_str("\"")
    }
}

/// A script's result as one object.
struct Json<'a>(&'a ScriptResult);

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let result = self.0;
        write!(f, "{{\"script\":{},\"passed\":{}", Text(&result.name), result.passed)?;
        write!(f, ",\"failed\":{},\"skipped\":{}", result.failed.len(), result.skipped.len())?;
        asserts(f, &Row::of("", [result]))?;
        f.write_str(",\"needs\":{")?;
        for (n, (proposal, number)) in result.needs().iter().enumerate() {
            write!(f, "{}{}:{number}", if n == 0 { "" } else { "," }, Text(proposal))?;
        }
        f.write_str("},\"failures\":[")?;
        for (n, failure) in result.failed.iter().enumerate() {
            write!(f, "{}{{\"line\":{}", if n == 0 { "" } else { "," }, failure.line)?;
            write!(f, ",\"command\":{}", Text(&failure.what))?;
            write!(f, ",\"expected\":{},\"got\":{}}}", Text(&failure.expected), Text(&failure.got))?;
        }
        f.write_str("]}")
    }
}

/// The sums as one object.
struct JsonSum<'a>(&'a Row);

impl fmt::Display for JsonSum<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Row { scripts, passed, failed, skipped, .. } = self.0;
        write!(f, "{{\"scripts\":{scripts},\"passed\":{passed},\"failed\":{failed},\"skipped\":{skipped}")?;
        asserts(f, self.0)?;
        f.write_str("}")
    }
}

fn asserts(f: &mut fmt::Formatter<'_>, row: &Row) -> fmt::Result {
    let Row { asserts, asserts_passed: passed, passed_by_reader, fuel, .. } = row;
    write!(f, ",\"assertions\":{{\"passed\":{},\"of\":{}}}", passed.all, asserts.all)?;
    write!(f, ",\"for_an_engine\":{{\"passed\":{},\"of\":{}}}", passed.engine, asserts.engine)?;
    write!(f, ",\"passed_by_reader\":{passed_by_reader},\"fuel\":{fuel}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json() {
        let script =
            "(module (func (export \"\\22\\\\\\n\")))\n(assert_return (invoke \"\\22\") (i32.const 1)) ;; \u{85}!";
        let text = Json(&run_script("a\"b", script, &Options::default())).to_string();
        let want = r#"{"script":"a\"b","passed":1,"failed":1,"skipped":0,"assertions":{"passed":0,"of":1},"#.to_owned()
            + r#""for_an_engine":{"passed":0,"of":1},"passed_by_reader":0,"fuel":0,"needs":{},"failures":[{"line":2,"#
            + r#""command":"assert_return (invoke \"\\22\") (i32.const 1)) ;; \u0085!","#
            + r#""expected":"an exported function \"\\\"\"","got":"there is none"}]}"#;
        assert_eq!(text, want);
    }

    #[test]
    fn reports() {
        let ours = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("ours")];
        let scripts = scripts_in(&ours[0]).unwrap();
        for json in [false, true] {
            let mut out = Vec::new();
            let sum = main_wast(&ours, json, &Options::default(), &mut out).unwrap();
            let out = String::from_utf8(out).unwrap();
            assert_eq!((sum.scripts, sum.failed), (scripts.len(), 0), "{out}");
            let last = out.lines().last().unwrap();
            if json {
                assert_eq!(out.lines().count(), scripts.len() + 1);
                assert!(
                    last.starts_with(&format!("{{\"scripts\":{},\"passed\":{}", sum.scripts, sum.passed)),
                    "{last}"
                );
            } else {
                assert_eq!(last, format!("{} passed, 0 failed, 0 skipped", sum.passed));
            }
        }
        let error = main_wast(&["nowhere.wast".into()], false, &Options::default(), Vec::new()).unwrap_err();
        assert!(error.to_string().starts_with("nowhere.wast: "), "{error}");
    }
}
