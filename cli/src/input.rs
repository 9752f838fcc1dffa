//! Reading modules: binary or text, from a file or standard input.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::report::{Failure, escaped, plain};

/// What a file is called in messages.
pub(crate) fn name(file: &OsStr) -> String {
    if file == "-" { "standard input".to_owned() } else { escaped(&file.to_string_lossy()) }
}

/// The most bytes that are read: more is no module that any engine takes.
const MOST: u64 = (1 << 30) + 1;

/// The bytes of a module in the binary format; text is translated. `-` is standard input.
pub(crate) fn module(file: &OsStr) -> Result<Vec<u8>, Failure> {
    let bytes = read(file).map_err(|error| Failure::new(format!("cannot read {}: {}", name(file), plain(&error))))?;
    if bytes.starts_with(b"\0asm") || bytes.is_empty() {
        return Ok(bytes);
    }
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => translate(&text, file),
        // Neither binary nor text: the binary format's reader says where it ends.
        Ok(text) => Ok(text.into_bytes()),
        Err(error) => Ok(error.into_bytes()),
    }
}

fn read(file: &OsStr) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if file == "-" {
        io::stdin().lock().take(MOST).read_to_end(&mut bytes)?;
        return Ok(bytes);
    }
    let file = File::open(file)?;
    let size = file.metadata().map_or(0, |data| data.len());
    bytes.try_reserve_exact(size.min(MOST) as usize)?;
    file.take(MOST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn translate(text: &str, file: &OsStr) -> Result<Vec<u8>, Failure> {
    wat::parse_str(text).map_err(|mut error| {
        error.set_path(Path::new(&name(file)));
        Failure::new(error.to_string().trim_end())
    })
}
