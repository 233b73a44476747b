//! What every target is: one body of `bodies.rs`, by its name, with its memory counted.

#[path = "bodies.rs"]
#[allow(dead_code, reason = "each target runs one")]
mod bodies;
#[path = "meter.rs"]
mod meter;

#[global_allocator]
static METER: meter::Meter = meter::Meter;

pub fn one(name: &str, data: &[u8]) {
    match bodies::ALL.iter().find(|t| t.name == name) {
        Some(target) => bodies::run(target, data),
        None => panic!("bodies.rs has no target `{name}`"),
    }
}
