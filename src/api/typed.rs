//! Calls with Rust's own types: compared with the function's type once, then without a check and without an allocation.
//!
//! Invariant: a [`TypedFunc`] exists only for a function of exactly its type.

use core::fmt::{self, Debug, Formatter};
use core::marker::PhantomData;

use super::externref::ExternRef;
use super::func::Func;
use super::resume::{self, TypedResumableCall};
use super::store::{AsContext, AsContextMut};
use crate::error::{Error, Result};
use crate::types::{FuncType, ValType};
use crate::value::Slot;

pub(super) mod sealed {
    //! What the public traits hide: how values become slots. No other crate can name it, so none can implement them.
    use crate::runtime::StoreInner;

    /// Marks the types of this crate.
    pub trait Sealed {}

    /// A store that slots are read in.
    #[allow(missing_debug_implementations)]
    pub struct Lift<'a>(pub(crate) &'a StoreInner);

    /// A store that slots are made in.
    #[allow(missing_debug_implementations)]
    pub struct Lower<'a>(pub(crate) &'a mut StoreInner);
}

use self::sealed::{Lift, Lower, Sealed};

/// A Rust type that stands for a value type: `i32` and `u32`, `i64` and `u64`, `f32`, `f64`, `Option<Func>`,
/// `Option<ExternRef>`.
pub trait WasmTy: Sealed + Send + Sized {
    #[doc(hidden)]
    const TYPE: ValType;
    /// May it make an external handle?
    #[doc(hidden)]
    const EXTERN: bool = false;
    #[doc(hidden)]
    fn lower(self, store: &mut Lower<'_>) -> Result<u64>;
    #[doc(hidden)]
    fn lift(store: &Lift<'_>, slot: u64) -> Self;
}

macro_rules! numbers {
    ($($ty:ty, $variant:ident;)*) => {
        $(
            impl Sealed for $ty {}
            impl WasmTy for $ty {
                const TYPE: ValType = ValType::$variant;
                #[inline]
                fn lower(self, _: &mut Lower<'_>) -> Result<u64> {
                    Ok(Slot::from(self).0)
                }
                #[inline]
                fn lift(_: &Lift<'_>, slot: u64) -> Self {
                    Slot(slot).into()
                }
            }
        )*
    };
}

numbers! {
    i32, I32;
    u32, I32;
    i64, I64;
    u64, I64;
    f32, F32;
    f64, F64;
}

impl Sealed for Option<Func> {}
impl WasmTy for Option<Func> {
    const TYPE: ValType = ValType::FUNCREF;
    fn lower(self, store: &mut Lower<'_>) -> Result<u64> {
        match self {
            Some(func) => Ok(u64::from(func.stored.check(store.0, "function")?)),
            None => Ok(Slot::NULL.0),
        }
    }
    fn lift(store: &Lift<'_>, slot: u64) -> Self {
        Func::lift(store.0, slot)
    }
}

impl Sealed for Option<ExternRef> {}
impl WasmTy for Option<ExternRef> {
    const TYPE: ValType = ValType::EXTERNREF;
    const EXTERN: bool = true;
    fn lower(self, store: &mut Lower<'_>) -> Result<u64> {
        match self {
            Some(object) => object.lower(store.0),
            None => Ok(Slot::NULL.0),
        }
    }
    fn lift(store: &Lift<'_>, slot: u64) -> Self {
        ExternRef::lift(store.0, slot)
    }
}

/// Arguments: a value of a type that [`WasmTy`] lists, or a tuple of up to 16 of them.
pub trait WasmParams: Sealed + Send + Sized {
    #[doc(hidden)]
    const TYPES: &'static [ValType];
    #[doc(hidden)]
    const EXTERN: bool;
    #[doc(hidden)]
    type Slots: Default + AsRef<[u64]> + AsMut<[u64]>;
    #[doc(hidden)]
    fn lower_all(self, store: &mut Lower<'_>) -> Result<Self::Slots>;
}

/// Results: as [`WasmParams`].
pub trait WasmResults: WasmParams {
    #[doc(hidden)]
    fn lift_all(store: &Lift<'_>, slots: Self::Slots) -> Self;
}

impl<V: WasmTy> WasmParams for V {
    const TYPES: &'static [ValType] = &[V::TYPE];
    const EXTERN: bool = <V as WasmTy>::EXTERN;
    type Slots = [u64; 1];
    #[inline]
    fn lower_all(self, store: &mut Lower<'_>) -> Result<[u64; 1]> {
        Ok([self.lower(store)?])
    }
}

impl<V: WasmTy> WasmResults for V {
    #[inline]
    fn lift_all(store: &Lift<'_>, [slot]: [u64; 1]) -> Self {
        V::lift(store, slot)
    }
}

/// Calls `$m!(count A1 A2 …)` for every number of values up to 16.
macro_rules! for_each_arity {
    ($m:ident) => {
        $m!(0);
        $m!(1 A1);
        $m!(2 A1 A2);
        $m!(3 A1 A2 A3);
        $m!(4 A1 A2 A3 A4);
        $m!(5 A1 A2 A3 A4 A5);
        $m!(6 A1 A2 A3 A4 A5 A6);
        $m!(7 A1 A2 A3 A4 A5 A6 A7);
        $m!(8 A1 A2 A3 A4 A5 A6 A7 A8);
        $m!(9 A1 A2 A3 A4 A5 A6 A7 A8 A9);
        $m!(10 A1 A2 A3 A4 A5 A6 A7 A8 A9 A10);
        $m!(11 A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 A11);
        $m!(12 A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 A11 A12);
        $m!(13 A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 A11 A12 A13);
        $m!(14 A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 A11 A12 A13 A14);
        $m!(15 A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 A11 A12 A13 A14 A15);
        $m!(16 A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 A11 A12 A13 A14 A15 A16);
    };
}
pub(super) use for_each_arity;

macro_rules! tuple {
    ($count:literal $($a:ident)*) => {
        impl<$($a: WasmTy),*> Sealed for ($($a,)*) {}

        #[allow(non_snake_case, unused_variables)]
        impl<$($a: WasmTy),*> WasmParams for ($($a,)*) {
            const TYPES: &'static [ValType] = &[$($a::TYPE),*];
            const EXTERN: bool = false $(|| <$a as WasmTy>::EXTERN)*;
            type Slots = [u64; $count];
            #[inline]
            fn lower_all(self, store: &mut Lower<'_>) -> Result<[u64; $count]> {
                let ($($a,)*) = self;
                Ok([$($a.lower(store)?),*])
            }
        }

        #[allow(non_snake_case, unused_variables, clippy::unused_unit)]
        impl<$($a: WasmTy),*> WasmResults for ($($a,)*) {
            #[inline]
            fn lift_all(store: &Lift<'_>, [$($a),*]: [u64; $count]) -> Self {
                ($($a::lift(store, $a),)*)
            }
        }
    };
}

for_each_arity!(tuple);

/// A function whose type is known to Rust: parameters `P`, results `R`. Calls need no check and no allocation.
///
/// ```
/// use jitless::{Engine, Instance, Module, Store};
///
/// let wasm = wat::parse_str(r#"(module
///     (func (export "div") (param i32 i32) (result i32 i32)
///         (i32.div_u (local.get 0) (local.get 1)) (i32.rem_u (local.get 0) (local.get 1))))"#)?;
/// let engine = Engine::default();
/// let mut store = Store::new(&engine, ());
/// let instance = Instance::new(&mut store, &Module::new(&engine, wasm)?, &[])?;
/// let div = instance.get_typed_func::<(u32, u32), (u32, u32)>(&store, "div")?;
/// assert_eq!(div.call(&mut store, (17, 5))?, (3, 2));
/// assert_eq!(div.call(&mut store, (1, 0)).unwrap_err().trap(), Some(jitless::Trap::IntegerDivisionByZero));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TypedFunc<P, R> {
    func: Func,
    types: PhantomData<fn(P) -> R>,
}

impl<P: WasmParams, R: WasmResults> TypedFunc<P, R> {
    /// Compares the function's type with `P` and `R`. `name` is what to call it in the error.
    pub(super) fn new(store: impl AsContext, func: Func, name: Option<&str>) -> Result<Self> {
        let inner = &store.as_context().0.inner;
        let found = inner.func_type(func.stored.check(inner, "function")?);
        if found.params() == P::TYPES && found.results() == R::TYPES {
            return Ok(Self { func, types: PhantomData });
        }
        Err(mismatch(found, P::TYPES, R::TYPES, name))
    }

    /// The function.
    pub fn func(&self) -> &Func {
        &self.func
    }

    /// Calls the function. Where an error leaves the store is as the guest left it.
    #[inline]
    pub fn call(&self, mut store: impl AsContextMut, params: P) -> Result<R> {
        let whole = store.as_context_mut().0;
        let func = self.func.stored.check(&whole.inner, "function")?;
        if P::EXTERN {
            whole.inner.externs_make_room();
        }
        let args = params.lower_all(&mut Lower(&mut whole.inner))?;
        let mut results = R::Slots::default();
        whole.call(func, args.as_ref(), results.as_mut())?;
        Ok(R::lift_all(&Lift(&whole.inner), results))
    }

    /// Calls the function so that it can go on after a host function's error, without fuel, after a stop. See
    /// [`Func::call_resumable`].
    pub fn call_resumable(&self, mut store: impl AsContextMut, params: P) -> Result<TypedResumableCall<R>> {
        let whole = store.as_context_mut().0;
        let func = self.func.stored.check(&whole.inner, "function")?;
        if P::EXTERN {
            whole.inner.externs_make_room();
        }
        let args = params.lower_all(&mut Lower(&mut whole.inner))?;
        let step = resume::start(whole, func, args.as_ref())?;
        Ok(TypedResumableCall::of(step, whole))
    }
}

#[cold]
fn mismatch(found: &FuncType, params: &[ValType], results: &[ValType], name: Option<&str>) -> Error {
    let wanted = FuncType::from_parts(params.iter().copied(), results.iter().copied());
    let name = name.map_or(alloc::string::String::new(), |name| alloc::format!(" {}", crate::error::Escaped(name)));
    Error::argument(alloc::format!("function{name} has type {found}, called as {wanted}"))
}

impl<P, R> Clone for TypedFunc<P, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P, R> Copy for TypedFunc<P, R> {}

impl<P, R> Debug for TypedFunc<P, R> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TypedFunc").field(&self.func).finish()
    }
}
