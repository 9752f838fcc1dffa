//! Turns tile patterns into handlers, a matching trie and a pair table.
//!
//! Patterns (`build/pattern.rs`) come from the systematic families (`build/families.rs`, `build/compounds.rs`), from
//! `tiles/*.txt`, and from the file that `JITLESS_TILES` names (`build/lists.rs`). They are numbered and paired
//! (`build/pairs.rs`), and single statements go into the trie (`build/trie.rs`). All of it is written into one file,
//! `tiles.rs` in `OUT_DIR` (`build/generate.rs`), which `src/tiles.rs` includes. Invariant: the same patterns make the same
//! file, byte by byte.
#[path = "build/compounds.rs"]
mod compounds;
#[path = "build/families.rs"]
mod families;
#[path = "build/generate.rs"]
mod generate;
#[path = "src/instr.rs"]
#[allow(dead_code, unused_macros, unreachable_pub)]
mod instr;
#[path = "build/lists.rs"]
mod lists;
#[path = "build/pairs.rs"]
mod pairs;
#[path = "build/pattern.rs"]
mod pattern;
#[path = "src/symbol.rs"]
#[allow(dead_code, unreachable_pub)]
mod symbol;
#[path = "build/trie.rs"]
mod trie;
#[path = "src/types.rs"]
#[allow(dead_code, unreachable_pub)]
mod types;

use crate::families::Families;
use crate::generate::generate;
use crate::pairs::{number, pairs};
use crate::pattern::Node;
use crate::trie::Trie;
use std::env;

/// How much to generate: everything, the families alone, or what a complete engine needs at least.
#[derive(PartialEq, PartialOrd)]
enum Extent {
    Base,
    Families,
    Full,
}

fn main() {
    for path in ["build.rs", "build", "src/instr.rs", "src/symbol.rs", "src/types.rs", "tiles"] {
        println!("cargo::rerun-if-changed={path}");
    }
    println!("cargo::rustc-check-cfg=cfg(distances)");
    let target = |what: &str| env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    let elf = ["linux", "android", "freebsd", "netbsd", "openbsd"].contains(&&*target("OS"));
    // The hardest engine takes the other table, so that both are tested.
    let hard = env::var_os("CARGO_CFG_JITLESS_HARD").is_some();
    if elf && !hard && ["x86_64", "aarch64"].contains(&&*target("ARCH")) {
        println!("cargo::rustc-cfg=distances");
    }
    println!("cargo::rerun-if-env-changed=JITLESS_TILES");
    println!("cargo::rerun-if-env-changed=JITLESS_TILE_SET");
    let tiles = number(wanted());
    let text = generate(&tiles, &Trie::of(&tiles), &pairs(&tiles));
    std::fs::write(format!("{}/tiles.rs", env::var("OUT_DIR").expect("cargo")), text).expect("OUT_DIR");
}

/// The sequences that are to be tiles.
fn wanted() -> Vec<Vec<Node>> {
    let extent = match env::var("JITLESS_TILE_SET").as_deref() {
        Ok("base") => Extent::Base,
        Ok("families") => Extent::Families,
        _ => Extent::Full,
    };
    let mut families = Families::base();
    if extent >= Extent::Families {
        compounds::add(&mut families);
    }
    let mut wanted = families.into_sequences();
    if extent == Extent::Full {
        lists::read_folder("tiles", &mut wanted);
    }
    if let Ok(list) = env::var("JITLESS_TILES")
        && !list.is_empty()
    {
        println!("cargo::rerun-if-changed={list}");
        lists::read(list.as_ref(), &mut wanted);
    }
    wanted
}
