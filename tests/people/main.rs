//! People and their work: who may what, what is on record, the life of a case, and evidence that stays.
#![allow(unreachable_pub, reason = "a test binary has no outside")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "clippy.toml allows them in tests, but does not know helpers of tests as such"
)]

mod recorded;
mod support;

mod a_case_goes_its_way;
mod a_person_signs_in;
mod derived_items_name_their_parent;
mod every_act_is_on_record;
mod exhibits_outlive_the_archive;
mod layouts_are_own_or_shared;
mod posts_may_what_the_table_says;
mod the_bundle_checks_itself_with_common_tools;
