//! Whole lives of threads, thousands of them, in virtual time.
//!
//! `world.rs` plays random events against the machine. It acts as the actor (counts subscribers, answers effects with their
//! events, later and in any order) and checks every rule after every step. The tables pin single sentences.

mod tables;
mod world;

use std::time::Duration;

use proptest::prelude::*;
use world::{Act, World};

use super::Persistence;

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (0..20_000_u64).prop_map(|ms| Act::Advance(Duration::from_millis(ms))),
        4 => Just(Act::Resume),
        4 => Just(Act::Leave),
        1 => Just(Act::Observe),
        1 => any::<prop::sample::Index>().prop_map(Act::Withdraw),
        3 => Just(Act::Input),
        1 => Just(Act::Interrupt),
        1 => Just(Act::Ask),
        1 => Just(Act::Answer),
        2 => any::<prop::sample::Index>().prop_map(Act::Keep),
        1 => Just(Act::BeginRequest),
        1 => Just(Act::EndRequest),
        1 => any::<bool>().prop_map(Act::Unload),
        2 => any::<prop::sample::Index>().prop_map(Act::Relocate),
        1 => Just(Act::FailMove),
        1 => Just(Act::Evict),
        1 => any::<prop::sample::Index>().prop_map(Act::Reload),
        8 => any::<prop::sample::Index>().prop_map(Act::Happen),
        1 => Just(Act::FailLoad),
        1 => Just(Act::Overdue),
        1 => Just(Act::Fence),
        2 => Just(Act::Save),
    ]
}

fn acts_of_a_life() -> impl Strategy<Value = Vec<Act>> {
    prop::collection::vec(act(), 0..120)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]

    #[test]
    fn every_rule_holds_in_any_life_of_a_durable_thread(acts in acts_of_a_life(), stored in any::<bool>()) {
        World::new(Persistence::Durable, stored).play(acts)?;
    }

    #[test]
    fn every_rule_holds_in_any_life_of_an_ephemeral_thread(acts in acts_of_a_life()) {
        World::new(Persistence::Ephemeral, false).play(acts)?;
    }

    #[test]
    fn a_stop_of_the_server_always_ends_in_gone(acts in acts_of_a_life(), stored in any::<bool>()) {
        let mut world = World::new(Persistence::Durable, stored);
        world.play(acts)?;
        world.stop_the_server()?;
    }

    #[test]
    fn a_thread_without_clients_always_ends_in_gone(acts in acts_of_a_life(), stored in any::<bool>()) {
        let mut world = World::new(Persistence::Durable, stored);
        world.play(acts)?;
        world.everybody_leaves()?;
    }
}
