//! The synthetic city: its plan, its traffic, its feed and its cameras.
mod the_city_is_planned;
