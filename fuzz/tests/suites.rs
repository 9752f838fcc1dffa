//! The verdict on every module of the official suites is that of wasmparser's validator.
//!
//! The scripts are those of the folder `suites` beside the repository's neighbours (`../shared/suites`), or of
//! `JITLESS_SUITES`; without them one line says so.

use std::path::{Path, PathBuf};

use jitless_fuzz::inputs::files;
use jitless_fuzz::same_verdict;
use wast::lexer::Lexer;
use wast::parser::{self, ParseBuffer};
use wast::{QuoteWat, Wast, WastDirective as Directive};

/// The modules of a script, in the binary format; those whose text is malformed have none.
fn modules(text: &str) -> Vec<Vec<u8>> {
    let mut lexer = Lexer::new(text);
    lexer.allow_confusing_unicode(true);
    let Ok(buffer) = ParseBuffer::new_with_lexer(lexer) else { return vec![] };
    let Ok(script) = parser::parse::<Wast<'_>>(&buffer) else { return vec![] };
    let encoded = |directive: Directive<'_>| match directive {
        Directive::Module(mut module) | Directive::ModuleDefinition(mut module) => module.encode().ok(),
        Directive::AssertMalformed { mut module, .. } | Directive::AssertInvalid { mut module, .. } => {
            module.encode().ok()
        }
        Directive::AssertUnlinkable { module, .. } => QuoteWat::Wat(module).encode().ok(),
        _ => None,
    };
    script.directives.into_iter().filter_map(encoded).collect()
}

#[test]
fn modules_of_the_suites() {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/suites");
    let folder = std::env::var_os("JITLESS_SUITES").map_or_else(beside, PathBuf::from);
    if !folder.is_dir() {
        println!("skipped: the suites are not here");
        return;
    }
    let (mut all, mut valid) = (0, 0);
    for path in files(&folder).into_iter().filter(|path| path.extension().is_some_and(|end| end == "wast")) {
        let text = std::fs::read_to_string(&path).expect("readable");
        for module in modules(&text) {
            let verdict = std::panic::catch_unwind(|| same_verdict(&module));
            all += 1;
            valid += u32::from(*verdict.as_ref().unwrap_or_else(|_| panic!("in {}", path.display())));
        }
    }
    println!("{all} modules, {valid} of them valid");
    assert!(all > 5_000, "{all} modules");
}
