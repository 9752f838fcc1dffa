//! Writes what searches begin with into `corpus/TARGET/`: the seeds, text compiled, and the small ones of the benches'
//! guests.

use std::fs;
use std::path::Path;

use jitless_fuzz::inputs::files;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for target in ["decode", "validate", "exec_diff"] {
        let corpus = root.join("corpus").join(target);
        fs::create_dir_all(&corpus)?;
        for path in files(&root.join("seeds")).into_iter().chain(files(&root.join("../benches/guests"))) {
            let ending = path.extension().unwrap_or_default().to_string_lossy().into_owned();
            let bytes = match &*ending {
                "wat" => wat::parse_file(&path)?,
                "wasm" | "bin" => fs::read(&path)?,
                _ => continue,
            };
            if bytes.len() < 8192 {
                fs::write(corpus.join(path.file_name().unwrap_or_default()), bytes)?;
            }
        }
        println!("{}: {} files", corpus.display(), files(&corpus).len());
    }
    Ok(())
}
