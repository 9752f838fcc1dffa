//! The guests, and how to run one: what benches and tests share.
//!
//! Invariant: a guest's output says whether it was run rightly; nobody takes the time of a run without looking at it.

use std::path::PathBuf;

use jitless::wasi::{self, Capture, Clock, Random, WasiCtx};
use jitless::{Engine, ErrorKind, InstancePre, Linker, Module, Result, Store};

/// A program of `guests/`.
#[derive(Clone, Debug)]
pub struct Guest {
    /// Its name, without folder and ending.
    pub name: &'static str,
    /// The argument that makes it a short run, if it takes one.
    pub scale: Option<&'static str>,
    /// What it prints then.
    pub line: &'static str,
}

const TABLE: &str = include_str!("../guests/expected.tsv");

/// All guests, by name.
pub fn guests() -> Vec<Guest> {
    let row = |line: &'static str| {
        let mut columns = line.split('\t');
        let mut next = || columns.next().expect("three columns");
        let (name, scale, line) = (next(), next(), next());
        Guest { name, scale: Some(scale).filter(|&scale| scale != "-"), line }
    };
    TABLE.lines().filter(|line| !line.starts_with('#')).map(row).collect()
}

/// The guest with this name.
///
/// # Panics
/// If there is none.
pub fn guest(name: &str) -> Guest {
    guests().into_iter().find(|guest| guest.name == name).unwrap_or_else(|| panic!("no guest {name}"))
}

impl Guest {
    /// Where the module lies.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("guests").join(self.name).with_extension("wasm")
    }

    /// The module.
    ///
    /// # Panics
    /// If it cannot be read.
    pub fn bytes(&self) -> Vec<u8> {
        let path = self.path();
        std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Loads the module and finds its imports.
    pub fn load(&self, engine: &Engine) -> Result<InstancePre<WasiCtx>> {
        let mut linker = Linker::new(engine);
        wasi::add_to_linker(&mut linker, |wasi: &mut WasiCtx| wasi)?;
        linker.instantiate_pre(&Module::new(engine, self.bytes())?)
    }

    /// A short run in a store of its own. Returns the fuel that it took.
    ///
    /// # Panics
    /// If it prints something else than it should.
    pub fn run(&self, loaded: &InstancePre<WasiCtx>) -> Result<u64> {
        let out = Capture::new(1 << 20);
        // Nothing from outside: a run takes the same every time.
        let (clock, random) = (Clock::stepping(1 << 60, 1000), Random::seeded(1));
        let mut wasi = WasiCtx::builder();
        wasi.arg(self.name).args(self.scale).stdout(out.clone()).clock(clock).random(random);
        let mut store = Store::new(loaded.module().engine(), wasi.build()?);
        let start = loaded.instantiate(&mut store)?.get_typed_func::<(), ()>(&store, "_start")?;
        match start.call(&mut store, ()) {
            Err(error) if error.kind() != ErrorKind::Exit || error.exit_code() != Some(0) => return Err(error),
            _ => {}
        }
        assert_eq!(out.text().trim_end(), self.line, "{}", self.name);
        Ok(store.fuel_used())
    }
}
