//! What became of a script.
//!
//! Invariant: `passed`, `failed` and `skipped` together are all commands of the script.

use std::collections::BTreeMap;

/// What became of a script's commands.
#[derive(Clone, Debug, Default)]
pub struct ScriptResult {
    /// The script's name, as it was given.
    pub name: String,
    /// The number of commands that did what they should.
    pub passed: usize,
    /// Those of them that the text reader decided, so that the engine never saw them.
    pub passed_by_reader: usize,
    /// The commands that did not.
    pub failed: Vec<Failure>,
    /// The commands that could not be tried.
    pub skipped: Vec<Skip>,
    /// The assertions.
    pub asserts: Asserts,
    /// Those of them that passed.
    pub asserts_passed: Asserts,
    /// The fuel that all calls and instantiations took.
    pub fuel: u64,
}

impl ScriptResult {
    /// The number of commands.
    pub fn commands(&self) -> usize {
        self.passed + self.failed.len() + self.skipped.len()
    }

    /// What is the same however the engine runs code: passed, failed, skipped, and the fuel used.
    pub fn counts(&self) -> (usize, usize, usize, u64) {
        (self.passed, self.failed.len(), self.skipped.len(), self.fuel)
    }

    /// How many commands were skipped for which reason.
    pub fn needs(&self) -> BTreeMap<String, usize> {
        let mut needs = BTreeMap::new();
        for skip in &self.skipped {
            *needs.entry(skip.reason.clone()).or_default() += 1;
        }
        needs
    }
}

/// A number of assertions, in both ways of counting.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Asserts {
    /// All.
    pub all: usize,
    /// Without `assert_malformed (module quote …)`, which tests a text reader and no engine.
    pub engine: usize,
}

impl Asserts {
    /// Counts one more.
    pub(crate) fn count(&mut self, engine: bool) {
        self.all += 1;
        self.engine += usize::from(engine);
    }
}

/// A command that did not do what it should.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// Its line.
    pub line: usize,
    /// The command, or as much of it as stands in its first line.
    pub what: String,
    /// What it should have done.
    pub expected: String,
    /// What it did.
    pub got: String,
}

/// A command that could not be tried.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Skip {
    /// Its line.
    pub line: usize,
    /// The name of the proposal that it needs.
    pub reason: String,
}
