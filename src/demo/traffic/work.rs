//! What each kind of vehicle does all day.

use crate::demo::graph::RoadGraph;
use zhenbei_scene::Rng;

use super::driving::Driver;

#[derive(Clone, Debug)]
pub(super) enum Work {
    /// From fare to fare, waiting between.
    Taxi { wait_s: f64 },
    /// Round and round a fixed line, a stop every few hundred metres.
    Bus {
        line: Vec<usize>,
        position: usize,
        stop_every_m: f64,
        dwell_s: f64,
    },
    /// Between a building site and a dump; engine off while loading.
    Muck {
        ends: [usize; 2],
        going: usize,
        wait_s: f64,
    },
    /// Slowly up and down a few streets, with pauses.
    Sweeper {
        beat: Vec<usize>,
        forward: bool,
        wait_s: f64,
        pause_in_s: f64,
    },
}

impl Work {
    pub(super) fn ignition(&self) -> bool {
        match self {
            Self::Muck { wait_s, .. } => *wait_s < 45.0,
            Self::Taxi { .. } | Self::Bus { .. } | Self::Sweeper { .. } => true,
        }
    }

    pub(super) fn step(&mut self, driver: &mut Driver, roads: &RoadGraph, dt: f64, rng: &mut Rng) {
        match self {
            Self::Taxi { wait_s } => {
                *wait_s -= dt;
                if *wait_s <= 0.0 && driver.arrived() {
                    let goal = rng.below(roads.nodes.len());
                    // Fares are short more often than long: the nearer of two goals.
                    let other = rng.below(roads.nodes.len());
                    let here = roads.nodes[driver.node()];
                    let near = |n: &usize| roads.nodes[*n].distance(here);
                    let goal = if near(&goal) < near(&other) {
                        goal
                    } else {
                        other
                    };
                    driver.follow(roads, roads.route(driver.node(), goal));
                    *wait_s = rng.range(8.0, 90.0);
                } else if !driver.arrived() {
                    *wait_s = wait_s.max(rng.range(8.0, 60.0));
                }
            }
            Self::Bus {
                line,
                position,
                stop_every_m,
                dwell_s,
            } => {
                if driver.arrived() && line.len() > 1 {
                    // The rest of the round; the line closes on itself.
                    let rest: Vec<usize> = line.iter().skip(*position).copied().collect();
                    driver.follow(roads, rest);
                    *position = 0;
                    driver.stop_in(Some(*stop_every_m));
                }
                if driver.stands() && driver.stop_left().is_some_and(|m| m < 4.0) {
                    if *dwell_s <= 0.0 {
                        *dwell_s = rng.range(10.0, 28.0);
                        driver.hold(true);
                    }
                    *dwell_s -= dt;
                    if *dwell_s <= 0.0 {
                        driver.hold(false);
                        driver.stop_in(Some(*stop_every_m * rng.range(0.8, 1.25)));
                    }
                }
            }
            Self::Muck {
                ends,
                going,
                wait_s,
            } => {
                if driver.arrived() {
                    *wait_s -= dt;
                    if *wait_s <= 0.0 {
                        *going = 1 - *going;
                        driver.follow(roads, roads.route(driver.node(), ends[*going]));
                        // Loading takes longer than tipping.
                        *wait_s = if *going == 0 {
                            rng.range(120.0, 300.0)
                        } else {
                            rng.range(50.0, 120.0)
                        };
                    }
                }
            }
            Self::Sweeper {
                beat,
                forward,
                wait_s,
                pause_in_s,
            } => {
                *wait_s -= dt;
                if *wait_s > 0.0 {
                    return;
                }
                driver.hold(false);
                *pause_in_s -= dt;
                if driver.arrived() {
                    let mut nodes = beat.clone();
                    if !*forward {
                        nodes.reverse();
                    }
                    *forward = !*forward;
                    driver.follow(roads, nodes);
                } else if *pause_in_s <= 0.0 {
                    driver.hold(true);
                    *wait_s = rng.range(15.0, 70.0);
                    *pause_in_s = rng.range(60.0, 240.0);
                }
            }
        }
    }
}
