//! Function, structure and array types (§2.3.6 to §2.3.9).

use alloc::sync::Arc;
use core::fmt::{self, Display, Formatter};

use smallvec::SmallVec;

use super::{TypeId, ValType};

/// A function type (§2.3.6): the types of parameters and of results. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct FuncType {
    /// Parameters, then results.
    pub(super) types: Arc<[ValType]>,
    pub(super) params: u32,
    area: u32,
}

impl FuncType {
    /// The slots between the callee's arguments and its own frame: the return address and the caller's frame.
    const LINK_SLOTS: u32 = 2;

    pub(crate) fn from_parts(
        params: impl IntoIterator<Item = ValType>,
        results: impl IntoIterator<Item = ValType>,
    ) -> Self {
        let mut types: SmallVec<[ValType; 32]> = params.into_iter().collect();
        let params = types.len();
        types.extend(results);
        let area = slots(&types[..params]).max(slots(&types[params..])) + Self::LINK_SLOTS;
        Self { types: Arc::from(types.as_slice()), params: params as u32, area }
    }

    /// The types of the parameters.
    pub fn params(&self) -> &[ValType] {
        &self.types[..self.params as usize]
    }

    /// The types of the results.
    pub fn results(&self) -> &[ValType] {
        &self.types[self.params as usize..]
    }

    /// The number of slots from the first argument to the callee's frame: arguments and results share them.
    pub(crate) fn area(&self) -> u32 {
        self.area
    }

    /// The number of slots that the arguments take.
    pub(crate) fn param_slots(&self) -> u32 {
        slots(self.params())
    }

    /// The number of slots that the results take.
    pub(crate) fn result_slots(&self) -> u32 {
        slots(self.results())
    }

    /// The same type with `change` applied to each value type.
    pub(super) fn map(&self, mut change: impl FnMut(ValType) -> ValType) -> Self {
        Self { types: self.types.iter().map(|&ty| change(ty)).collect(), ..*self }
    }

    pub(super) fn fmt_signature(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (word, types) in [("param", self.params()), ("result", self.results())] {
            if let [first, rest @ ..] = types {
                write!(f, " ({word} {first}")?;
                for ty in rest {
                    write!(f, " {ty}")?;
                }
                f.write_str(")")?;
            }
        }
        Ok(())
    }
}

fn slots(types: &[ValType]) -> u32 {
    types.iter().map(|ty| ty.slots()).sum()
}

impl Display for FuncType {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("(func")?;
        self.fmt_signature(f)?;
        f.write_str(")")
    }
}

impl fmt::Debug for FuncType {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

/// What a field or an array element is stored as (§2.3.8).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum StorageType {
    I8,
    I16,
    Val(ValType),
}

/// The type of a field of a structure, or of all elements of an array (§2.3.8).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct FieldType {
    pub(crate) storage: StorageType,
    pub(crate) mutable: bool,
}

/// A structure type. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct StructType {
    pub(crate) fields: Arc<[FieldType]>,
}

/// An array type.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct ArrayType {
    pub(crate) field: FieldType,
}

/// A composite type (§2.3.8).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum CompositeType {
    Func(FuncType),
    Struct(StructType),
    Array(ArrayType),
}

/// A composite type and its declared place among the subtypes (§2.3.9).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct SubType {
    pub(crate) is_final: bool,
    pub(crate) supertype: Option<TypeId>,
    pub(crate) composite: CompositeType,
}

impl SubType {
    /// What a lone composite type abbreviates: final and without a supertype.
    pub(crate) fn of(composite: CompositeType) -> Self {
        Self { is_final: true, supertype: None, composite }
    }
}

impl From<FuncType> for SubType {
    fn from(ty: FuncType) -> Self {
        Self::of(CompositeType::Func(ty))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas() {
        use ValType::{F64, I32, V128};
        for (params, results, area) in
            [(&[][..], &[][..], 2), (&[I32, F64], &[], 4), (&[], &[V128, I32], 5), (&[I32; 3], &[V128], 5)]
        {
            let ty = FuncType::from_parts(params.iter().copied(), results.iter().copied());
            assert_eq!((ty.area(), ty.params(), ty.results()), (area, params, results));
            assert_eq!(ty.param_slots().max(ty.result_slots()) + 2, area);
        }
    }

    #[test]
    fn the_border_between_parameters_and_results_counts() {
        let ty =
            |params: usize| FuncType::from_parts((0..params).map(|_| ValType::I32), (params..2).map(|_| ValType::I32));
        assert_ne!(ty(1), ty(2));
        assert_eq!(ty(1), ty(1));
    }
}
