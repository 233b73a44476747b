//! The synthetic city: its plan, its traffic, its feed and its cameras.

mod terminals_send_what_terminals_send;
mod the_city_is_planned;
mod vehicles_keep_to_the_roads;
