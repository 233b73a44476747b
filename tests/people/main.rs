//! People and their work: who may what, what is on record, the life of a case, and evidence that stays.

mod support;

mod a_person_signs_in;
mod every_act_is_on_record;
mod layouts_are_own_or_shared;
mod posts_may_what_the_table_says;
