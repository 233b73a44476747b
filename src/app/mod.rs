//! The daemon as a whole: parts started in order, stopped in reverse.
