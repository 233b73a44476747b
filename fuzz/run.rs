//! What every target is: one body of `bodies.rs`, by its name, with its memory counted.

#[path = "bodies.rs"]
#[allow(dead_code, reason = "each target runs one")]
pub mod bodies;
#[path = "meter.rs"]
pub mod meter;

#[global_allocator]
static METER: meter::Meter = meter::Meter;

#[macro_export]
macro_rules! fuzz {
    ($name:literal) => {
        const TARGET: $crate::run::bodies::Target = $crate::run::bodies::find($name);
        libfuzzer_sys::fuzz_target!(|data: &[u8]| $crate::run::bodies::run(&TARGET, data));
    };
}
