//! Waiting for times and streams.
//!
//! Idea: the subscriptions are read once into a list of our own; then the guest waits in slices, between which the
//! deadline and the stop handle are looked at; then an event is written for each subscription that came true, in their
//! order.
//!
//! Invariant: nothing is waited for before the ranges of all subscriptions and events are known to lie in memory.

use core::time::Duration;
use std::thread;
use std::time::Instant;

use smallvec::SmallVec;

use super::WasiCtx;
use super::abi::{Bytes, Outcome, Version, record, u16_at, u32_at, u64_at};
use super::calls::Call;
use super::clock::Id;
use super::errno::Errno;
use super::fd::{Descriptors, What, has};
use super::rights;

/// Deadline and stop handle are looked at so often.
const SLICE: Duration = Duration::from_micros(500);
/// The most subscriptions of one call.
const MAX_SUBSCRIPTIONS: u32 = 1 << 17;
/// The size of an event.
const EVENT: u64 = 32;

struct Subscription {
    userdata: u64,
    on: On,
}

#[derive(Clone, Copy)]
enum On {
    /// A time on a clock, in nanoseconds from the call on.
    Clock(u64),
    Read(u32),
    Write(u32),
    /// A subscription on a clock that cannot be.
    NoClock(Errno),
}

/// What came true.
#[derive(Default)]
struct Event {
    error: Option<Errno>,
    bytes: u64,
    hangup: bool,
}

type Subscriptions = SmallVec<[Subscription; 4]>;

pub(super) fn oneoff(call: &mut Call<'_>, subscriptions: u32, events: u32, count: u32, nevents: u32) -> Outcome {
    let version = call.version;
    let (bytes, ctx) = call.memory()?;
    let size = version.pick(48, 56) * u64::from(count);
    bytes.range(subscriptions, size)?;
    bytes.range(events, EVENT * u64::from(count))?;
    bytes.range(nevents, 4)?;
    if count == 0 || count > MAX_SUBSCRIPTIONS {
        return Err(Errno::Inval.into());
    }
    let wanted = subscribe(&bytes, ctx, version, subscriptions, count)?;
    call.charge(size)?;
    let passed = wait(call, &wanted)?;
    let (mut bytes, ctx) = call.memory()?;
    let mut to = events;
    for subscription in &wanted {
        let Some(event) = come_true(ctx, subscription.on, passed) else { continue };
        let (userdata, error) = (subscription.userdata, event.error.map_or(0, |errno| errno as u16));
        let sort = match subscription.on {
            On::Clock(_) | On::NoClock(_) => 0,
            On::Read(_) => 1,
            On::Write(_) => 2,
        };
        let fields: [(usize, &[u8]); 5] = [
            (0, &userdata.to_le_bytes()),
            (8, &error.to_le_bytes()),
            (10, &[sort]),
            (16, &event.bytes.to_le_bytes()),
            (24, &[event.hangup.into()]),
        ];
        bytes.write(to, &record::<{ EVENT as usize }>(&fields))?;
        // There is room for as many events as subscriptions.
        to += EVENT as u32;
    }
    Ok(bytes.write_u32(nevents, (to - events) / EVENT as u32)?)
}

/// Reads the subscriptions.
fn subscribe(bytes: &Bytes<'_>, ctx: &WasiCtx, version: Version, ptr: u32, count: u32) -> Result<Subscriptions, Errno> {
    let size = version.pick(48, 56);
    let array = bytes.get(ptr, size * u64::from(count))?;
    // The range is known, so the count is no mere claim.
    let mut subscriptions = Subscriptions::with_capacity(count as usize);
    for record in array.chunks_exact(size as usize) {
        let userdata = u64_at(record, 0);
        let fd = u32_at(record, 16);
        let on = match record[8] {
            0 => clock(ctx, &record[version.pick(16, 24)..])?,
            1 => On::Read(fd),
            2 => On::Write(fd),
            _ => return Err(Errno::Inval),
        };
        subscriptions.push(Subscription { userdata, on });
    }
    Ok(subscriptions)
}

/// Reads what follows the tag of a subscription on a clock, from the clock's number on.
fn clock(ctx: &WasiCtx, record: &[u8]) -> Result<On, Errno> {
    const ABSOLUTE: u16 = 1;
    let (id, timeout, flags) = (u32_at(record, 0), u64_at(record, 8), u16_at(record, 24));
    if flags & !ABSOLUTE != 0 {
        return Err(Errno::Inval);
    }
    Ok(match Id::of(id) {
        Err(errno) => On::NoClock(errno),
        // Processor time does not pass while one waits.
        Ok(Id::Cpu) => On::NoClock(Errno::NotSup),
        Ok(id) if flags & ABSOLUTE != 0 => On::Clock(timeout.saturating_sub(ctx.clock.now(id))),
        Ok(_) => On::Clock(timeout),
    })
}

/// Has a subscription come true when so many nanoseconds have passed?
fn come_true(ctx: &mut WasiCtx, on: On, passed: u64) -> Option<Event> {
    let error = |errno| Some(Event { error: Some(errno), ..Event::default() });
    match on {
        On::Clock(time) => (time <= passed).then(Event::default),
        On::NoClock(errno) => error(errno),
        On::Write(fd) => match writable(&mut ctx.fds, fd) {
            Ok(()) => Some(Event::default()),
            Err(errno) => error(errno),
        },
        On::Read(fd) => readable(&mut ctx.fds, fd).unwrap_or_else(error),
    }
}

/// Can a guest write to it? It never has to wait.
fn writable(fds: &mut Descriptors, fd: u32) -> Result<(), Errno> {
    has(fds.get(fd)?.rights, rights::POLL_FD_READWRITE)?;
    match fds.get(fd)?.what {
        What::File(_) => fds.file(fd, rights::FD_WRITE).map(|_| ()),
        _ => fds.output(fd).map(|_| ()),
    }
}

/// Can a guest read from it without waiting, and how much? A file never makes it wait.
fn readable(fds: &mut Descriptors, fd: u32) -> Result<Option<Event>, Errno> {
    has(fds.get(fd)?.rights, rights::POLL_FD_READWRITE)?;
    let (bytes, hangup) = match fds.get(fd)?.what {
        What::File(_) => {
            let (open, _) = fds.file(fd, rights::FD_READ)?;
            (open.file.stat()?.size.saturating_sub(open.offset), false)
        }
        _ => {
            let (input, _) = fds.input(fd)?;
            if !input.ready(Duration::ZERO) {
                return Ok(None);
            }
            input.outlook()
        }
    };
    Ok(Some(Event { bytes, hangup, ..Event::default() }))
}

/// Waits until a subscription has come true. How many nanoseconds have passed then?
fn wait(call: &mut Call<'_>, subscriptions: &Subscriptions) -> Outcome<u64> {
    let first = subscriptions.iter().filter_map(|subscription| match subscription.on {
        On::Clock(time) => Some(time),
        _ => None,
    });
    let first = first.min();
    let begin = Instant::now();
    loop {
        call.check_stop()?;
        let clock = &mut call.ctx().clock;
        let real = clock.is_real();
        // On a clock of its own a guest has always waited long enough, unless there is nothing to wait for.
        let passed = match first {
            Some(first) if !real => first,
            _ => u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX),
        };
        let ctx = call.ctx();
        // Streams before clocks: what is there already takes no time.
        let ready = |subscription: &Subscription| {
            !matches!(subscription.on, On::Clock(time) if time > 0) && come_true(ctx, subscription.on, 0).is_some()
        };
        if subscriptions.iter().any(ready) {
            return Ok(if real { passed } else { 0 });
        }
        match first {
            Some(first) if first <= passed => {
                call.ctx().clock.pass(first);
                return Ok(passed);
            }
            Some(first) => thread::sleep(SLICE.min(Duration::from_nanos(first - passed))),
            None => thread::sleep(SLICE),
        }
    }
}
