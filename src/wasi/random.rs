//! Random bytes: the host's, or a sequence that a seed determines.

use core::fmt::{self, Debug, Formatter};

use super::abi::Outcome;
use super::calls::Call;
use super::errno::Errno;

/// Where a guest's random bytes come from.
#[derive(Clone)]
pub struct Random(Kind);

#[derive(Clone)]
enum Kind {
    System,
    Seeded([u64; 4]),
}

impl Random {
    /// The operating system's, fit for secrets.
    pub fn system() -> Self {
        Self(Kind::System)
    }

    /// The same bytes for the same seed on every machine. Not fit for secrets.
    pub fn seeded(seed: u64) -> Self {
        // The seed is spread as the authors of the generator advise, by splitmix64, which never gives four zeros.
        let mut state = seed;
        Self(Kind::Seeded(core::array::from_fn(|_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        })))
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Errno> {
        match &mut self.0 {
            Kind::System => getrandom::fill(bytes).map_err(|_| Errno::Io),
            Kind::Seeded(state) => {
                for chunk in bytes.chunks_mut(8) {
                    chunk.copy_from_slice(&xoshiro256(state).to_le_bytes()[..chunk.len()]);
                }
                Ok(())
            }
        }
    }
}

/// The generator xoshiro256++ of Blackman and Vigna.
fn xoshiro256(s: &mut [u64; 4]) -> u64 {
    let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
    let t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = s[3].rotate_left(45);
    result
}

impl Default for Random {
    fn default() -> Self {
        Self::system()
    }
}

/// Without the state, from which what comes next could be told.
impl Debug for Random {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::System => "System",
            Kind::Seeded(_) => "Seeded",
        })
    }
}

/// So many bytes are made between two looks at the deadline.
const CHUNK: u32 = 1 << 20;

pub(super) fn get(call: &mut Call<'_>, buffer: u32, len: u32) -> Outcome {
    call.memory()?.0.range(buffer, len.into())?;
    call.charge(len.into())?;
    for start in (0..len).step_by(CHUNK as usize) {
        if start > 0 {
            call.check_stop()?;
        }
        let (mut bytes, ctx) = call.memory()?;
        // `buffer + start` lies inside the range that was checked.
        ctx.random.fill(bytes.get_mut(buffer + start, CHUNK.min(len - start).into())?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        // Of the authors' own program, from the state 1, 2, 3, 4.
        let mut state = [1, 2, 3, 4];
        let found: [u64; 4] = core::array::from_fn(|_| xoshiro256(&mut state));
        assert_eq!(found, [41943041, 58720359, 3588806011781223, 3591011842654386]);
    }

    #[test]
    fn seeds() {
        let bytes = |seed, len| {
            let mut bytes = vec![0; len];
            Random::seeded(seed).fill(&mut bytes).unwrap();
            bytes
        };
        assert_eq!(bytes(7, 100), bytes(7, 100));
        assert_eq!(bytes(7, 99), bytes(7, 100)[..99]);
        assert_ne!(bytes(7, 100), bytes(8, 100));
        assert_ne!(bytes(0, 8), [0; 8]);
        let mut system = [0; 64];
        Random::system().fill(&mut system).unwrap();
        assert_ne!(system, [0; 64]);
    }
}
