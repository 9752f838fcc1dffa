//! Loading: bytes are decoded, validated and translated, each as early or as late as the configuration says.
//!
//! Idea: code belongs to the module, not to an instance, so all instances of a module in all threads share it; a function
//! is translated when it is first called. Threads that race for it translate each for itself, and the first one's is kept.
//!
//! Invariant: nothing here is ever unmade: code that was published stays, at its address, as long as the module.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::{self, Debug, Formatter};

use hashbrown::HashMap;
use jitless_machine::dispatch::{self, Ip, bounce, handler_words};
use jitless_machine::symbol::{Form, Sym};
use jitless_machine::tiles::handler_of;
use once_cell::race::OnceBox;
use spin::Mutex;

use crate::code::{Code, Map};
use crate::config::{Compilation, Config, Dispatch};
use crate::cover::bare_tile;
use crate::error::{Error, Result};
use crate::module::operators::GoOn;
use crate::module::{Description, decode};
use crate::translate::{self, Scratch};
use crate::types::TypeRegistry;
use crate::validate::{self, Body, References};

/// What all modules and stores of an engine share.
pub(crate) struct EngineInner {
    pub(crate) config: Config,
    pub(crate) types: Arc<TypeRegistry>,
    /// The layout of code: does every tile begin with a bounce?
    pub(crate) bounced: bool,
    pub(crate) stubs: Stubs,
    scratch: Mutex<Vec<Scratch>>,
}

/// Tiles that belong to no function: where frames return to that no tile of their module called.
pub(crate) struct Stubs {
    halt: Box<[u32]>,
    across: Box<[u32]>,
}

impl Stubs {
    fn new(bounced: bool) -> Self {
        let tile = |form| {
            let handler = handler_words(handler_of(bare_tile(Sym::form(form))));
            if bounced { [handler_words(bounce), handler].concat() } else { handler.to_vec() }.into_boxed_slice()
        };
        Self { halt: tile(Form::Halt), across: tile(Form::Across) }
    }

    /// What the outermost frame of a call from the host returns to.
    #[inline]
    pub(crate) fn halt(&self) -> Ip {
        self.halt.as_ptr()
    }

    /// What a frame returns to whose caller belongs to another instance.
    #[inline]
    pub(crate) fn across(&self) -> Ip {
        self.across.as_ptr()
    }
}

/// Translators that wait for the next function; more are not kept.
const SCRATCHES: usize = 8;

impl EngineInner {
    pub(crate) fn new(config: Config) -> Result<Self> {
        config.check()?;
        let bounced = match config.dispatch {
            Dispatch::Auto => !dispatch::sibling_calls(),
            Dispatch::Bounced => true,
            Dispatch::Direct if dispatch::sibling_calls() => false,
            Dispatch::Direct => {
                return Err(Error::argument(
                    "direct dispatch needs an optimised build: calls in tail position are none here",
                ));
            }
        };
        Ok(Self {
            config,
            types: Arc::new(TypeRegistry::new()),
            bounced,
            stubs: Stubs::new(bounced),
            scratch: Mutex::new(Vec::new()),
        })
    }

    fn with_scratch<R>(&self, work: impl FnOnce(&mut Scratch) -> R) -> R {
        let mut scratch = self.scratch.lock().pop().unwrap_or_default();
        let result = work(&mut scratch);
        if !scratch.is_large() {
            let mut kept = self.scratch.lock();
            if kept.len() < SCRATCHES {
                kept.push(scratch);
            }
        }
        result
    }
}

/// A module: its description, and the code of the functions that were called so far.
pub(crate) struct Loaded {
    pub(crate) engine: Arc<EngineInner>,
    pub(crate) desc: Description,
    references: References,
    /// By function, those that are imported left out.
    code: Box<[OnceBox<Code>]>,
    /// Address of a function's first word → function.
    places: Mutex<BTreeMap<usize, u32>>,
    maps: Mutex<HashMap<u32, Arc<Map>>>,
}

/// Decodes a module, and validates and translates as much of it as the engine's configuration says.
pub(crate) fn load(engine: &Arc<EngineInner>, bytes: Arc<Vec<u8>>) -> Result<Arc<Loaded>> {
    let desc = decode::decode(bytes, &engine.types, &engine.config)?;
    let references = validate::module(&desc)?;
    let loaded = Loaded {
        engine: engine.clone(),
        code: desc.bodies.iter().map(|_| OnceBox::new()).collect(),
        desc,
        references,
        places: Mutex::new(BTreeMap::new()),
        maps: Mutex::new(HashMap::new()),
    };
    match engine.config.compilation {
        Compilation::Lazy => {}
        Compilation::LazyChecked => validate_bodies(&loaded.desc, &loaded.references)?,
        Compilation::Eager => loaded.translate_all()?,
    }
    Ok(Arc::new(loaded))
}

/// Decodes and validates a module, bodies included.
pub(crate) fn validate(engine: &Arc<EngineInner>, bytes: Arc<Vec<u8>>) -> Result<()> {
    let desc = decode::decode(bytes, &engine.types, &engine.config)?;
    let references = validate::module(&desc)?;
    validate_bodies(&desc, &references)
}

fn validate_bodies(desc: &Description, references: &References) -> Result<()> {
    let mut body = Body::new(desc, references);
    (0..desc.bodies.len() as u32).try_for_each(|i| validate::body(desc, desc.imported_funcs + i, &mut body))
}

impl Loaded {
    /// The code of a function that the module defines, counted without imports, if it was translated.
    #[inline]
    pub(crate) fn code_if_ready(&self, defined: u32) -> Option<&Code> {
        self.code[defined as usize].get()
    }

    /// The code of a function that the module defines, counted without imports. `go_on` may end its translation.
    pub(crate) fn code(&self, defined: u32, go_on: GoOn<'_>) -> Result<&Code> {
        match self.code_if_ready(defined) {
            Some(code) => Ok(code),
            None => self.translate(defined, &mut self.late_validator(), go_on),
        }
    }

    /// In a module whose bodies nobody has looked at yet, what looks at them.
    fn late_validator(&self) -> Option<Body<'_>> {
        let late = self.engine.config.compilation == Compilation::Lazy;
        late.then(|| Body::new(&self.desc, &self.references))
    }

    fn translate_all(&self) -> Result<()> {
        let mut body = Some(Body::new(&self.desc, &self.references));
        (0..self.code.len() as u32).try_for_each(|i| self.translate(i, &mut body, &|| Ok(())).map(drop))
    }

    /// With a validator both walk the body together.
    #[cold]
    fn translate(&self, defined: u32, validator: &mut Option<Body<'_>>, go_on: GoOn<'_>) -> Result<&Code> {
        let (desc, engine) = (&self.desc, &*self.engine);
        let function = desc.imported_funcs + defined;
        let code = engine.with_scratch(|scratch| match validator {
            Some(body) => {
                body.begin(function)?;
                let code = translate::checked(desc, engine.bounced, function, body, scratch, go_on)?;
                body.finish()?;
                Ok(code)
            }
            None => translate::function(desc, engine.bounced, function, scratch, go_on),
        })?;
        Ok(self.publish(defined, code))
    }

    /// The first code of a function is kept. Its place is known before anybody can run it.
    fn publish(&self, defined: u32, code: Code) -> &Code {
        let code = Box::new(code);
        let place = code.entry() as usize;
        self.places.lock().insert(place, defined);
        let cell = &self.code[defined as usize];
        match cell.set(code) {
            Ok(()) => {}
            Err(late) => {
                self.places.lock().remove(&place);
                drop(late);
            }
        }
        cell.get().expect("set by this thread or another")
    }

    /// The function whose code the word at `ip` belongs to, counted without imports, and the word's index.
    pub(crate) fn find(&self, ip: Ip) -> Option<(u32, u32)> {
        let (_, &defined) = self.places.lock().range(..=ip as usize).next_back()?;
        let code = self.code_if_ready(defined)?;
        let word = code.contains(ip)?;
        ((word as usize) < code.len()).then_some((defined, word))
    }

    /// The tiles of a function, for its listing. Not kept.
    pub(crate) fn listing(&self, defined: u32) -> Result<Map> {
        self.code(defined, &|| Ok(()))?;
        translate::map(&self.desc, self.engine.bounced, self.desc.imported_funcs + defined, true)
    }

    /// The way back from the words of a function to its operators. Made when first asked for, and kept.
    #[cold]
    pub(crate) fn map(&self, defined: u32) -> Result<Arc<Map>> {
        if let Some(map) = self.maps.lock().get(&defined) {
            return Ok(map.clone());
        }
        let function = self.desc.imported_funcs + defined;
        let map = Arc::new(translate::map(&self.desc, self.engine.bounced, function, false)?);
        Ok(self.maps.lock().entry(defined).or_insert(map).clone())
    }
}

impl Debug for Loaded {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded").field("functions", &self.code.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared<T: Send + Sync>() {}

    #[test]
    fn threads_share_modules() {
        shared::<EngineInner>();
        shared::<Loaded>();
    }
}
