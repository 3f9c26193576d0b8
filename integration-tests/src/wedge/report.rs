//! The cost of calls beside stuck helpers, as a table.

use super::figures::{Figures, KINDS, Plan};
use crate::bench::report::quantile;

/// Promised limit of the p99, as a multiple of the p99 without stuck helpers.
pub const GOAL: f64 = 2.0;

/// The page with the table.
pub fn page(plan: &Plan, figures: &[Figures]) -> String {
    let Plan { counts: _, calls, rounds } = plan;
    format!(
        "# Beside wedged helpers\n\n    scripts/wedge --write docs/helpers-wedge.md\n\nwrote this page. It is a benchmark: nothing fails \
         when a figure is bad; that everything answers beside wedged\nhelpers is a test (`integration-tests/tests/wedged`).\n\n\
         Each helper belongs to a thread of its own. Wedged, half of them have read a call that they never answer, and the\n\
         others were stopped (SIGSTOP) before theirs came; otherwise the same helpers are idle. In one run, on one server and \
         over\nother connections, blocks of {calls} calls of each kind are asked without and with in turns, {rounds} times. A \
         figure is the\nmedian of its blocks; a ratio is with over without. Goal: a p99 ratio below {GOAL}.\n\nMeasured with a \
         debug build on two cores, beside other work: compare within a row, and read nothing into a last digit.\n\n{}",
        table(figures)
    )
}

/// A row for each number of helpers and each kind of call.
pub fn table(figures: &[Figures]) -> String {
    let mut table = "| helpers | call | p50 without | with | ratio | p99 without | with | ratio |\n\
                     | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n"
        .to_owned();
    for one in figures {
        for (kind, pair) in KINDS.iter().zip(&one.kinds) {
            let half = |well: &[f64], wedged: &[f64]| {
                let [well, wedged] = [median(well), median(wedged)];
                format!("{well:.2} ms | {wedged:.2} ms | {:.2}", wedged / well)
            };
            let (p50, p99) = (half(&pair.well.p50, &pair.wedged.p50), half(&pair.well.p99, &pair.wedged.p99));
            table += &format!("| {} | {kind} | {p50} | {p99} |\n", one.count);
        }
    }
    table
}

/// The largest p99 ratio.
pub fn worst(figures: &[Figures]) -> f64 {
    let pairs = figures.iter().flat_map(|one| &one.kinds);
    pairs.map(|pair| median(&pair.wedged.p99) / median(&pair.well.p99)).fold(0.0, f64::max)
}

fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5).unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::super::figures::{Blocks, Pair};
    use super::*;

    #[test]
    fn a_ratio_compares_the_medians_of_blocks() {
        let well = Blocks { p50: vec![1.0, 2.0, 9.0], p99: vec![4.0, 4.0, 50.0] };
        let wedged = Blocks { p50: vec![2.0, 3.0, 3.0], p99: vec![6.0, 1.0, 7.0] };
        let kinds = std::array::from_fn(|_| Pair { well: well.clone(), wedged: wedged.clone() });
        let figures = [Figures { count: 10, kinds }];
        let row = "| 10 | status | 2.00 ms | 3.00 ms | 1.50 | 4.00 ms | 6.00 ms | 1.50 |";
        assert_eq!(table(&figures).lines().nth(2), Some(row));
        assert!((worst(&figures) - 1.5).abs() < 1e-9);
    }
}
