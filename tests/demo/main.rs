//! The synthetic city: its plan, its traffic, its feed and its cameras.

mod cameras_are_real;
mod terminals_send_what_terminals_send;
mod the_city_is_planned;
mod the_city_runs;
mod vehicles_keep_to_the_roads;
