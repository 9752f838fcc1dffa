//! Results of many scripts as a table, a line for each folder.
//!
//! Invariant: the last line of the table is the sum of the others.

use std::fmt::Write;

use crate::result::{Asserts, ScriptResult};

/// The sums of a folder.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// The folder.
    pub folder: String,
    /// The number of scripts.
    pub scripts: usize,
    /// The number of commands that passed.
    pub passed: usize,
    /// Those of them that the text reader decided.
    pub passed_by_reader: usize,
    /// The number of commands that failed.
    pub failed: usize,
    /// The number of commands that were skipped.
    pub skipped: usize,
    /// The assertions.
    pub asserts: Asserts,
    /// Those of them that passed.
    pub asserts_passed: Asserts,
    /// The fuel that the scripts used.
    pub fuel: u64,
}

impl Row {
    /// The sums of some scripts.
    pub fn of<'a>(folder: impl Into<String>, results: impl IntoIterator<Item = &'a ScriptResult>) -> Self {
        let mut row = Self { folder: folder.into(), ..Self::default() };
        for result in results {
            row.add(&Self {
                folder: String::new(),
                scripts: 1,
                passed: result.passed,
                passed_by_reader: result.passed_by_reader,
                failed: result.failed.len(),
                skipped: result.skipped.len(),
                asserts: result.asserts,
                asserts_passed: result.asserts_passed,
                fuel: result.fuel,
            });
        }
        row
    }

    /// Adds the sums of another folder.
    pub fn add(&mut self, other: &Self) {
        self.scripts += other.scripts;
        self.passed += other.passed;
        self.passed_by_reader += other.passed_by_reader;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.asserts.all += other.asserts.all;
        self.asserts.engine += other.asserts.engine;
        self.asserts_passed.all += other.asserts_passed.all;
        self.asserts_passed.engine += other.asserts_passed.engine;
        self.fuel += other.fuel;
    }

    /// The sums of all folders.
    pub fn sum(rows: &[Self]) -> Self {
        let mut sum = Self { folder: "in all".into(), ..Self::default() };
        rows.iter().for_each(|row| sum.add(row));
        sum
    }
}

/// The table: commands, then assertions passed of all, then without those that only test a text reader.
///
/// `reader` are the passed commands that the text reader decided.
pub fn table(rows: &[Row]) -> String {
    let head = ["folder", "scripts", "passed", "(reader)", "failed", "skipped", "assertions", "for an engine"];
    let of = |passed: usize, all: usize| format!("{passed} of {all}");
    let mut lines = vec![head.map(String::from)];
    for row in rows.iter().chain(&[Row::sum(rows)]) {
        lines.push([
            row.folder.clone(),
            row.scripts.to_string(),
            row.passed.to_string(),
            row.passed_by_reader.to_string(),
            row.failed.to_string(),
            row.skipped.to_string(),
            of(row.asserts_passed.all, row.asserts.all),
            of(row.asserts_passed.engine, row.asserts.engine),
        ]);
    }
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let _ = write!(text, "{:w$}", line[0], w = widths[0]);
        for (cell, width) in line.iter().zip(&widths).skip(1) {
            let _ = write!(text, "  {cell:>width$}");
        }
        text.push('\n');
    }
    text
}
