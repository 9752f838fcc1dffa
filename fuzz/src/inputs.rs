//! Where bytes and modules come from: a fuzzer, seeds, random numbers.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use arbitrary::Unstructured;
use wasm_smith::Config;

/// What a generated module is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// It is valid.
    Validate,
    /// Its bodies are any bytes.
    InvalidBodies,
    /// It can be run without harm. `canonical`: it makes all NaNs one kind.
    Run {
        /// See above.
        canonical: bool,
    },
}

/// Memories of this size at most, where modules are run.
pub const PAGES: u64 = 4;

/// A module made from bytes: no more of the language than this version runs.
pub fn module(data: &[u8], purpose: Purpose) -> Option<Vec<u8>> {
    let choice = hash(data) >> 32;
    let run = matches!(purpose, Purpose::Run { .. });
    let config = Config {
        compact_imports_enabled: false,
        exceptions_enabled: false,
        gc_enabled: false,
        memory64_enabled: false,
        relaxed_simd_enabled: false,
        simd_enabled: false,
        threads_enabled: false,
        wide_arithmetic_enabled: false,
        max_memories: 3,
        max_tables: 4,
        max_types: 12,
        max_imports: 12,
        max_funcs: 12,
        max_globals: 12,
        max_values: 12,
        min_funcs: 1,
        max_instructions: if choice.is_multiple_of(8) { 1000 } else { 200 },
        max_memory32_bytes: if run { PAGES << 16 } else { 1 << 32 },
        memory_max_size_required: run,
        max_table_elements: 64,
        table_max_size_required: run,
        max_data_segments: 6,
        max_element_segments: 6,
        export_everything: run,
        allow_start_export: true,
        generate_custom_sections: !run,
        canonicalize_nans: purpose == Purpose::Run { canonical: true },
        disallow_traps: run && is_guarded(data),
        allow_invalid_funcs: purpose == Purpose::InvalidBodies,
        ..Config::default()
    };
    let mut bytes = Unstructured::new(data);
    let mut module = wasm_smith::Module::new(config, &mut bytes).ok()?;
    // Its fuel changes the shape of every loop, so half of the modules go without; ours bounds them too.
    if run && choice.is_multiple_of(2) {
        module.ensure_termination(1000).ok()?;
    }
    Some(module.to_bytes())
}

/// Is the module made from these bytes to look at its operands before it divides or loads?
pub fn is_guarded(data: &[u8]) -> bool {
    (hash(data) >> 32).is_multiple_of(3)
}

/// A number made of all bytes.
pub fn hash(data: &[u8]) -> u64 {
    let mut hash = data.len() as u64;
    let mut mix = |word: u64| hash = (hash.rotate_left(5) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let (words, rest) = data.as_chunks::<8>();
    words.iter().for_each(|&word| mix(u64::from_le_bytes(word)));
    rest.iter().for_each(|&byte| mix(byte.into()));
    hash ^ hash >> 29
}

/// Changes a few bytes.
pub fn mutate(bytes: &mut [u8], seed: u64) {
    let mut random = Random(seed);
    if !bytes.is_empty() {
        for _ in 0..1 + random.below(3) {
            let at = random.below(bytes.len());
            bytes[at] = match random.below(4) {
                0 => random.number() as u8,
                1 => bytes[at] ^ 1 << random.below(8),
                2 => bytes[at].wrapping_add(1),
                _ => [0, 1, 0x0B, 0x40, 0x7F, 0x80, 0xFF][random.below(7)],
            };
        }
    }
}

/// Random numbers that are the same every time.
#[derive(Clone, Debug)]
pub struct Random(
    /// Where it is.
    pub u64,
);

impl Random {
    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.number() % n as u64) as usize
    }

    /// So many bytes.
    pub fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| self.number() as u8).collect()
    }
}

/// The files of a folder, sorted by name; of a file, itself.
pub fn files(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(path) else { return vec![path.to_owned()] };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths.iter().flat_map(|path| files(path)).collect()
}

/// Runs `body` over files and folders of files.
pub fn replay(paths: impl Iterator<Item = OsString>, body: fn(&[u8])) {
    let mut runs = 0;
    for path in paths.flat_map(|path| files(Path::new(&path))) {
        let data = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        println!("{}", path.display());
        body(&data);
        runs += 1;
    }
    println!("{runs} runs");
}
