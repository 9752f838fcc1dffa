//! What `--status FILE` writes: how a run ended, for programs to read.
//!
//! Invariant: the file is one object of JSON, whatever names the guest has.

use std::fmt::Write as _;

use jitless::{Backtrace, Error, ErrorKind};

/// A JSON object that is being written.
pub(crate) struct Object(String);

impl Object {
    pub(crate) fn new() -> Self {
        Self("{".to_owned())
    }

    fn key(&mut self, key: &str) {
        if !self.0.ends_with('{') {
            self.0.push(',');
        }
        self.0 += &quoted(key);
        self.0.push(':');
    }

    pub(crate) fn text(&mut self, key: &str, text: &str) -> &mut Self {
        self.key(key);
        self.0 += &quoted(text);
        self
    }

    pub(crate) fn number(&mut self, key: &str, number: impl Into<i128>) -> &mut Self {
        self.key(key);
        // Writing to a string cannot fail.
        let _ = write!(self.0, "{}", number.into());
        self
    }

    pub(crate) fn list(&mut self, key: &str, items: impl IntoIterator<Item = String>) -> &mut Self {
        self.key(key);
        self.0 += &format!("[{}]", items.into_iter().collect::<Vec<_>>().join(","));
        self
    }

    pub(crate) fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }

    /// What is known of an error.
    pub(crate) fn error(&mut self, error: &Error) -> &mut Self {
        self.text("kind", error.kind().name());
        if error.kind() == ErrorKind::Exit {
            return self.number("code", error.exit_code().unwrap_or(0));
        }
        if let Some(trap) = error.trap() {
            self.text("trap", &trap.to_string());
        }
        self.text("message", &error.to_string());
        if let Some(offset) = error.offset() {
            self.number("offset", offset as u64);
        }
        if let Some(function) = error.function() {
            self.number("function", function);
        }
        if let Some(fuel) = error.required_fuel() {
            self.number("required_fuel", fuel);
        }
        if let Some(backtrace) = error.backtrace() {
            self.list("backtrace", frames(backtrace));
        }
        self
    }
}

fn frames(backtrace: &Backtrace) -> Vec<String> {
    let frame = |frame: &jitless::Frame| {
        let mut object = Object::new();
        if let Some(name) = frame.func_name() {
            object.text("name", name);
        }
        if let Some(module) = frame.module_name() {
            object.text("module", module);
        }
        if frame.is_host() {
            object.key("host");
            object.0 += "true";
        } else {
            object.number("function", frame.func_index());
            object.number("function_offset", frame.func_offset() as u64);
            object.number("offset", frame.module_offset() as u64);
        }
        object.finish()
    };
    backtrace.frames().iter().map(frame).collect()
}

/// A text as JSON writes it, in ASCII but for letters beyond.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = "\"".to_owned();
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted += "\\n",
            c if c.is_control() || c == '\u{2028}' || c == '\u{2029}' => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects() {
        assert_eq!(Object::new().finish(), "{}");
        let mut object = Object::new();
        object.text("a\"", "b\\\n\u{1b}ä").number("n", -1).list("l", [quoted("x"), "2".to_owned()]);
        assert_eq!(object.finish(), r#"{"a\"":"b\\\n\u001bä","n":-1,"l":["x",2]}"#);
    }

    #[test]
    fn errors() {
        let text = |error: Error| {
            let mut object = Object::new();
            object.error(&error);
            object.finish()
        };
        assert_eq!(text(Error::exit(3)), r#"{"kind":"exit","code":3}"#);
        assert_eq!(
            text(jitless::Trap::Unreachable.into()),
            r#"{"kind":"trap","trap":"unreachable","message":"trap: unreachable"}"#
        );
    }
}
