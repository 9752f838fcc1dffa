//! The list of what does not pass yet.
//!
//! Invariant: the list is exact. What is not in it must pass, and what is in it must not, so it only shrinks.

use std::collections::{BTreeMap, BTreeSet};

use crate::result::ScriptResult;

/// A list of commands that fail, and of how many are skipped for which proposal.
///
/// A line is `FOLDER SCRIPT:LINE WHY` for a command that fails, or `FOLDER skips NUMBER PROPOSAL` for the commands of a
/// folder that need a proposal. `#` opens a comment.
///
/// ```
/// # use jitless_spec_tests::Expected;
/// let list = Expected::parse("spec/gc skips 660 gc\nspec i32.wast:7 rounds wrongly  # report 12").unwrap();
/// assert_eq!(list.len(), 2);
/// assert!(Expected::parse("spec skips many gc").is_err());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Expected {
    fails: BTreeSet<(String, String, usize)>,
    skips: BTreeMap<(String, String), usize>,
}

/// The scripts of a folder that ran.
#[derive(Clone, Copy, Debug)]
pub struct Ran<'a> {
    /// The folder.
    pub folder: &'a str,
    /// What became of them.
    pub results: &'a [ScriptResult],
    /// Did all of the folder run? If not, the numbers of skipped commands cannot be compared.
    pub whole: bool,
}

impl Expected {
    /// Reads a list; the error names the line that is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut list = Self::default();
        for (number, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or("").trim();
            if !line.is_empty() && list.read(line).is_none() {
                return Err(format!("line {}: {line:?} is neither a failure nor a number of skips", number + 1));
            }
        }
        Ok(list)
    }

    fn read(&mut self, line: &str) -> Option<()> {
        let mut words = line.split_whitespace();
        let (folder, second) = (words.next()?.to_owned(), words.next()?);
        if second == "skips" {
            let (number, proposal) = (words.next()?.parse().ok()?, words.next()?.to_owned());
            return self.skips.insert((folder, proposal), number).is_none().then_some(());
        }
        let (script, line) = second.rsplit_once(':')?;
        self.fails.insert((folder, script.into(), line.parse().ok()?)).then_some(())
    }

    /// The number of lines.
    pub fn len(&self) -> usize {
        self.fails.len() + self.skips.len()
    }

    /// Is nothing in the list?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Is the failure of this command in the list?
    pub fn lists(&self, folder: &str, script: &str, line: usize) -> bool {
        self.fails.contains(&(folder.into(), script.into(), line))
    }

    /// What is not as the list says, a line each. Folders and scripts that did not run are not looked at.
    pub fn differences(&self, folders: &[Ran<'_>]) -> Vec<String> {
        let mut differences = Vec::new();
        for &Ran { folder, results, whole } in folders {
            let mut needs: BTreeMap<String, usize> = BTreeMap::new();
            for result in results {
                for failure in result.failed.iter().filter(|f| !self.lists(folder, &result.name, f.line)) {
                    let (name, line, what) = (&result.name, failure.line, &failure.what);
                    let (expected, got) = (&failure.expected, &failure.got);
                    differences.push(format!("{folder} {name}:{line}: {what}\n    expected {expected}\n    got {got}"));
                }
                for (proposal, number) in result.needs() {
                    *needs.entry(proposal).or_default() += number;
                }
            }
            for (_, script, line) in self.fails.iter().filter(|(of, _, _)| of == folder) {
                let ran = results.iter().find(|result| result.name == *script);
                if ran.is_some_and(|result| result.failed.iter().all(|failure| failure.line != *line)) {
                    differences.push(format!("{folder} {script}:{line}: passes, but is listed as failing"));
                } else if ran.is_none() && whole {
                    differences
                        .push(format!("{folder} {script}:{line}: listed as failing, but there is no such script"));
                }
            }
            if whole {
                let listed = self.skips.iter().filter(|((of, _), _)| of == folder);
                let listed: BTreeMap<&str, usize> =
                    listed.map(|((_, proposal), &number)| (proposal.as_str(), number)).collect();
                let proposals: BTreeSet<&str> =
                    needs.keys().map(String::as_str).chain(listed.keys().copied()).collect();
                for proposal in proposals {
                    let found = needs.get(proposal).copied().unwrap_or(0);
                    let listed = listed.get(proposal).copied().unwrap_or(0);
                    if found != listed {
                        differences.push(format!("{folder} skips {found} {proposal}: {listed} are listed"));
                    }
                }
            }
        }
        differences
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::{Failure, Skip};

    #[test]
    fn differences() {
        #[track_caller]
        fn check(list: &str, failing: &[usize], skipped: usize, whole: bool, want: &[&str]) {
            let fail = |&line| Failure { line, what: "w".into(), expected: "e".into(), got: "g".into() };
            let skip = Skip { line: 1, reason: "gc".into() };
            let results = [ScriptResult {
                name: "a.wast".into(),
                failed: failing.iter().map(fail).collect(),
                skipped: vec![skip; skipped],
                ..ScriptResult::default()
            }];
            let found = Expected::parse(list).unwrap().differences(&[Ran { folder: "f", results: &results, whole }]);
            assert_eq!(found, want);
        }
        check("", &[], 0, true, &[]);
        check("f a.wast:3 why", &[3], 0, true, &[]);
        check("", &[3], 0, true, &["f a.wast:3: w\n    expected e\n    got g"]);
        check("f a.wast:3 why", &[], 0, true, &["f a.wast:3: passes, but is listed as failing"]);
        check("f b.wast:3 why", &[], 0, true, &["f b.wast:3: listed as failing, but there is no such script"]);
        check("f b.wast:3 why\ng a.wast:3 why", &[], 0, false, &[]);
        check("f skips 2 gc", &[], 2, true, &[]);
        check("f skips 2 gc", &[], 1, true, &["f skips 1 gc: 2 are listed"]);
        check("f skips 2 gc", &[], 1, false, &[]);
        check("f skips 2 simd", &[], 1, true, &["f skips 1 gc: 0 are listed", "f skips 0 simd: 2 are listed"]);
    }

    #[test]
    fn lines_that_are_none() {
        for line in ["f", "f a.wast", "f a.wast:x", "f skips", "f skips 2", "f skips x gc", "f a:1 b\nf a:1 c"] {
            assert!(Expected::parse(line).is_err(), "{line}");
        }
    }
}
