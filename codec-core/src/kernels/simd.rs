//! Run-time choice of the vector instructions for plain loops.

/// Runs `f` compiled for the widest vector instructions of this machine. Only code that is inlined into `f` profits.
///
/// Rust never contracts a product and a sum, so the loops give the same bits on every machine as long as they use no
/// `mul_add`.
#[inline]
pub(crate) fn vectorized<R>(f: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(f)
}
