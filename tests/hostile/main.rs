//! Hostile inputs: how engines have been crashed, hung, blown up in memory or escaped from: each is a row, each row a
//! test.
//!
//! A row's id is the beginning of its test's name: `d13_…` is row 13 of decoding. The areas: decoding (D), validation
//! (V), numbers (N), memories (M), tables (T), calls and the stack (C), linking and embedding (L), resources (R), WASI
//! (W). The rows of exceptions, collected objects, threads and vectors (X) come with what they are about.
//!
//! Invariant: every row of these areas is a test, or stands in [`LATER`] with what it waits for; what a test leaves out
//! of its row stands in [`PARTLY`].

mod call;
mod decode;
mod harness;
mod link;
mod memory;
mod numeric;
mod resource;
mod table;
mod validate;
#[cfg(feature = "wasi")]
mod wasi;

/// The areas, and how many rows each has.
const AREAS: &[(&str, &[&str], u32)] = &[
    ("d", decode::ROWS, 39),
    ("v", validate::ROWS, 47),
    ("n", numeric::ROWS, 28),
    ("m", memory::ROWS, 28),
    ("t", table::ROWS, 25),
    ("c", call::ROWS, 24),
    ("l", link::ROWS, 23),
    ("r", resource::ROWS, 29),
    #[cfg(feature = "wasi")]
    ("w", wasi::ROWS, 66),
];

/// Those of decoding that need a feature of this crate.
#[cfg(feature = "wat")]
const TEXT: &[&str] = decode::text::ROWS;
#[cfg(not(feature = "wat"))]
const TEXT: &[&str] = &[];

/// Those of resources that are about WASI.
#[cfg(feature = "wasi")]
const COSTS: &[&str] = wasi::costs::ROWS;
#[cfg(not(feature = "wasi"))]
const COSTS: &[&str] = &[];

/// Rows that are not tests here, and what they wait for.
const LATER: &[(&str, &str)] = &[
    ("d27", "simd"),
    ("d37", "exceptions"),
    #[cfg(not(feature = "wat"))]
    ("d39", "the feature `wat` of this crate, with which it is a test"),
    ("v9", "function-references"),
    ("v10", "function-references"),
    ("v18", "gc"),
    ("v19", "gc"),
    ("v20", "gc"),
    ("v21", "gc"),
    ("v22", "gc"),
    ("v23", "gc"),
    ("v24", "gc"),
    ("v25", "gc"),
    ("v26", "gc"),
    ("v28", "function-references"),
    ("v35", "memory64"),
    ("v41", "gc"),
    ("v45", "gc"),
    ("n24", "wide-arithmetic"),
    ("n25", "simd"),
    ("m18", "memory64"),
    ("m19", "memory64"),
    ("m20", "custom-page-sizes"),
    ("m21", "custom-page-sizes"),
    ("m28", "threads"),
    ("t3", "gc"),
    ("t23", "function-references"),
    ("c22", "exceptions"),
    #[cfg(not(feature = "wasi"))]
    ("r21", "the feature `wasi` of this crate, with which it is a test"),
    #[cfg(not(feature = "wasi"))]
    ("r27", "the feature `wasi` of this crate, with which it is a test"),
    #[cfg(feature = "wasi")]
    ("w66", "nothing: it is a test of the command, in `cli/tests`"),
];

/// Rows whose tests leave something out, and what that waits for.
const PARTLY: &[(&str, &str)] = &[
    ("d9", "the order of tag sections: exceptions"),
    ("v2", "`try_table`: exceptions"),
    ("v12", "chains of a module's own globals: gc"),
    ("v17", "types stay as long as their engine"),
    ("v27", "vectors, subtypes: simd, gc"),
    ("v29", "64-bit tables: memory64"),
    ("v31", "structures: gc"),
    ("v32", "64-bit memories: memory64"),
    ("v33", "atomic accesses: threads"),
    ("v36", "64-bit tables: memory64"),
    ("v43", "results that are subtypes: function-references"),
    ("n22", "lanes, `i31`, atomic operators: simd, gc, threads"),
    ("n26", "vectors: simd"),
    ("m24", "arrays: gc"),
    ("t2", "recursion groups: gc"),
    ("t6", "64-bit tables: memory64"),
    ("t11", "`call_ref`: function-references"),
    ("t15", "payloads and fields: exceptions, gc"),
    ("t22", "tables without null: function-references"),
    ("t24", "arrays: gc"),
    ("c4", "`call_ref`, handlers: function-references, exceptions"),
    ("c9", "vectors: simd"),
    ("c12", "`try_table`: exceptions"),
    ("l1", "subtypes, tags, sharing, address and page sizes: gc, exceptions, threads, memory64, custom-page-sizes"),
    ("l3", "exceptions"),
    ("l11", "`try_table` on the way: exceptions"),
    ("l14", "null where there is none: function-references"),
    ("r4", "`br_on_null`, throwing, resuming: function-references, exceptions, stack-switching"),
    ("r5", "arrays: gc"),
    ("r9", "clocks that go back"),
    ("r10", "waiting for memory: threads"),
    ("r11", "`try_table`: exceptions"),
    ("r16", "arrays: gc"),
    ("r17", "structures, exceptions: gc, exceptions"),
    ("r23", "allocations of less than 48 KiB, which end the process in Rust's own collections"),
    ("r28", "types stay as long as their engine"),
];

/// The rows of an area that are tests.
fn tests_of<'a>(area: &str, rows: &[&'a str]) -> Vec<&'a str> {
    let more = match area {
        "d" => TEXT,
        "r" => COSTS,
        _ => &[],
    };
    let tests: Vec<_> = rows.iter().chain(more).map(|name| name.split('_').next().unwrap()).collect();
    assert!(tests.iter().all(|id| id.starts_with(area)));
    tests
}

#[test]
fn every_row_is_a_test_or_comes_later() {
    println!("area  rows  tests  of these partly  later");
    let mut all = [0; 4];
    for &(area, rows, count) in AREAS {
        let tests = tests_of(area, rows);
        let ids: Vec<_> = (1..=count).map(|number| format!("{area}{number}")).collect();
        for id in &ids {
            let tested = tests.iter().filter(|test| *test == id).count();
            let later = LATER.iter().filter(|(row, _)| row == id).count();
            assert_eq!(tested + later, 1, "{id} is {tested} tests, and {later} times among those of later");
        }
        assert!(tests.iter().all(|test| ids.iter().any(|id| id == test)), "a test of no row of {area}");
        let partly = PARTLY.iter().filter(|(row, _)| tests.contains(row)).count();
        let counts = [ids.len(), tests.len(), partly, ids.len() - tests.len()];
        println!("{:4} {:5} {:6} {:16} {:6}", area.to_uppercase(), counts[0], counts[1], counts[2], counts[3]);
        all.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
    println!("all  {:5} {:6} {:16} {:6}", all[0], all[1], all[2], all[3]);
    assert_eq!(all[2], PARTLY.len(), "a part of no test");
}
