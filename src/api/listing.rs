//! Listings: a function's operators, and beside each the tiles that it completed.
use super::Module;
use crate::code::tile_text;
use crate::error::{Error, Result};
use crate::module::print;
use alloc::string::String;
use alloc::vec::Vec;

/// One operator of a function, and the tiles emitted when it was read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ListedOperator {
    /// Offset in the module, in bytes.
    pub offset: usize,
    /// The operator in text, indented by its nesting.
    pub operator: String,
    /// Tiles that end with it, as patterns: `SetI32 I32Add L C`. Empty where the operator waits in a pending tree.
    pub tiles: Vec<String>,
}

/// How often each tile ran, of all functions that this process has translated so far.
///
/// A line for each tile, in the order of the code: `#` where a label stands in front or `-`, the count, the tile's
/// pattern. `tools/mine.py` makes the list of fused sequences of such listings.
#[cfg(feature = "profile")]
pub fn profile() -> String {
    crate::translate::profile::listing()
}

impl Module {
    /// The operators of a function and the tiles that they became, in order.
    ///
    /// `function` is an index of the module's function index space. An imported function has no listing.
    ///
    /// # Errors
    /// If the function is imported or does not exist, or is invalid (with lazy compilation that shows here first).
    pub fn listing(&self, function: u32) -> Result<Vec<ListedOperator>> {
        let loaded = &self.loaded;
        let desc = &loaded.desc;
        if desc.body(function).is_none() {
            return Err(Error::argument(alloc::format!("function {function} is not defined in this module")));
        }
        let map = loaded.listing(function - desc.imported_funcs)?;
        let mut lines = map.lines().iter().peekable();
        let mut listing = Vec::new();
        for (offset, operator) in print::body(desc, function)? {
            let mut tiles = Vec::new();
            while let Some(line) = lines.next_if(|l| l.offset <= offset) {
                tiles.push(tile_text(line.tile));
            }
            listing.push(ListedOperator { offset: offset as usize, operator, tiles });
        }
        Ok(listing)
    }
}
