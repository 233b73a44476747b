#![no_main]

#[path = "../run.rs"]
#[macro_use]
mod run;

fuzz!("ingest_message");
