#![no_main]

#[path = "../run.rs"]
#[macro_use]
mod run;

fuzz!("camera_clock");
