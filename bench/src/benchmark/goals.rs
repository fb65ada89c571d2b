//! The goals of stagelink, and the evaluation of each.

use serde::Serialize;

use super::measurements::{
    Measurements, cold_start, direct_distant_cold_start, distant_cold_start,
};
use super::round_trips::RoundTripCounts;
use super::statistics::Spread;
use super::variant::Variant;

/// A goal, with the measurement that decides it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Goal {
    pub(super) description: &'static str,
    pub(super) measured: String,
    pub(super) met: bool,
}

/// Evaluates the goals that the measured variants allow to decide.
pub(super) fn evaluate(measurements: &[Measurements], counted: &[RoundTripCounts]) -> Vec<Goal> {
    let of = |variant| measurements.iter().find(|one| one.variant == variant);
    let Some(own) = of(Variant::Stagelink) else {
        return Vec::new();
    };
    let mut goals = Vec::new();
    let mut goal = |description, measured: String, met| {
        goals.push(Goal {
            description,
            measured,
            met,
        });
    };
    if let Some(floor) = of(Variant::Floor) {
        let times = own.times(floor, cold_start).median;
        goal(
            "cold start within 1.05 of the floor",
            format!("{times:.3}"),
            times <= 1.05,
        );
    }
    if let Some(sqlx) = of(Variant::Sqlx) {
        let times = sqlx.times(own, cold_start).median;
        goal(
            "cold start ahead of sqlx with rustls",
            format!("sqlx takes {times:.2} times as long"),
            times > 1.0,
        );
        let times = sqlx.times(own, distant_cold_start).median;
        goal(
            "cold start ahead of sqlx with the database 10 ms away",
            format!("sqlx takes {times:.2} times as long"),
            times > 1.0,
        );
    }
    let direct: Option<Vec<_>> = own.samples.iter().map(direct_distant_cold_start).collect();
    if let (Some(sqlx), Some(direct)) = (of(Variant::Sqlx), direct) {
        let of_sqlx = sqlx.samples.iter().map(distant_cold_start);
        let times = Spread::of_ratios(of_sqlx, direct).median;
        goal(
            "with direct TLS, 10 ms away, sqlx takes 1.8 times as long",
            format!("{times:.2}"),
            times >= 1.8,
        );
    }
    if let Some(node) = of(Variant::Node) {
        let times = node.times(own, cold_start).median;
        goal(
            "cold start at least 8 times ahead of Node",
            format!("Node takes {times:.1} times as long"),
            times >= 8.0,
        );
    }
    if let Some(own) = own.instructions {
        let millions = own.cold_start as f64 / 1e6;
        goal(
            "at most 3 million instructions of a start",
            format!("{millions:.2} million"),
            millions <= 3.0,
        );
    }
    let floor = of(Variant::Floor).and_then(|floor| floor.instructions);
    if let (Some(own), Some(floor)) = (own.instructions, floor) {
        let times = own.request / floor.request;
        goal(
            "instructions of a warm request within 1.03 of the floor",
            format!("{times:.3}"),
            times <= 1.03,
        );
    }
    if let Some((measured, met)) = fewest(counted) {
        goal(
            "fewer round trips than all others when cold, none more when warm",
            measured,
            met,
        );
    }
    let zipped = megabytes(own.size.zipped_bytes);
    goal(
        "zipped artifact of at most 2.4 MB",
        format!("{zipped:.2} MB"),
        zipped <= 2.4,
    );
    if let Some(peak) = own.peak_memory_bytes {
        let peak = megabytes(peak);
        goal(
            "peak memory of at most 4.5 MB",
            format!("{peak:.2} MB"),
            peak <= 4.5,
        );
    }
    goals
}

/// Returns the closest result over all servers, and whether stagelink with its default settings
/// has fewer round trips than the other variants on each. `None` where there is no other variant.
fn fewest(counted: &[RoundTripCounts]) -> Option<(String, bool)> {
    let mut closest = None;
    let mut met = true;
    for server in counted {
        let (own, others): (Vec<_>, Vec<_>) = server
            .rows
            .iter()
            .partition(|row| row.variant == Variant::Stagelink);
        let own = own.into_iter().find(|row| !row.direct_tls)?;
        let best = others.iter().map(|row| row.cold).min()?;
        met &= own.cold < best && others.iter().all(|row| own.warm <= row.warm);
        let lead = (own.cold, best, &server.postgres);
        let by = |(own, best, _): (usize, usize, _)| best as i64 - own as i64;
        if closest.is_none_or(|closest| by(lead) < by(closest)) {
            closest = Some(lead);
        }
    }
    let (own, best, postgres) = closest?;
    Some((format!("{own} to {best} on PostgreSQL {postgres}"), met))
}

/// Converts bytes to MB, which are millions of bytes.
pub(super) fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::super::instructions::Instructions;
    use super::super::measurements::tests::measurements;
    use super::super::round_trips::RoundTrips;
    use super::*;

    fn counted(own: usize, direct: usize, floor: usize) -> RoundTripCounts {
        let row = |variant, direct_tls, cold| RoundTrips {
            variant,
            direct_tls,
            cold,
            warm: 1.0,
        };
        RoundTripCounts {
            postgres: "17.10".to_owned(),
            rows: vec![
                row(Variant::Stagelink, false, own),
                row(Variant::Stagelink, true, direct),
                row(Variant::Floor, false, floor),
            ],
        }
    }

    #[test]
    fn goals_are_judged_by_the_ratios_of_rounds() {
        let measurements = [
            measurements(Variant::Stagelink, &[10.0, 30.0, 10.0]),
            measurements(Variant::Floor, &[10.0, 30.0, 9.0]),
            measurements(Variant::Sqlx, &[9.0, 27.0, 9.0]),
            measurements(Variant::Node, &[80.0, 240.0, 80.0]),
        ];
        let met: Vec<bool> = evaluate(&measurements, &[])
            .iter()
            .map(|goal| goal.met)
            .collect();
        // The floor, sqlx near, away and with direct TLS, Node, instructions of a start and of a request,
        // size, memory.
        let expected = [true, false, false, false, true, false, true, true, false];
        assert_eq!(met, expected);
    }

    #[test]
    fn instructions_size_and_memory_are_judged_at_the_limit() {
        let mut own = measurements(Variant::Stagelink, &[1.0]);
        let mut floor = measurements(Variant::Floor, &[1.0]);
        let count = |cold_start, request| Instructions {
            cold_start,
            request,
        };
        own.instructions = Some(count(3_000_000, 103.0));
        floor.instructions = Some(count(9_000_000, 100.0));
        own.size.zipped_bytes = 2_400_000;
        own.peak_memory_bytes = Some(4_500_000);
        let missed = |own: &Measurements| {
            let all = evaluate(&[own.clone(), floor.clone()], &[]);
            let missed = all.iter().filter(|goal| !goal.met);
            missed.map(|goal| goal.description).collect::<Vec<_>>()
        };
        assert!(missed(&own).is_empty(), "{:?}", missed(&own));
        own.instructions = Some(count(3_000_001, 103.1));
        own.size.zipped_bytes += 1;
        own.peak_memory_bytes = Some(4_500_001);
        assert_eq!(missed(&own).len(), 4, "{:?}", missed(&own));
    }

    #[test]
    fn goals_of_who_was_not_measured_are_left_out() {
        assert!(evaluate(&[measurements(Variant::Floor, &[1.0])], &[]).is_empty());
        let goals = evaluate(
            &[measurements(Variant::Stagelink, &[1.0])],
            &[counted(6, 5, 7)],
        );
        assert_eq!(goals.len(), 4);
    }

    #[test]
    fn round_trips_are_fewest_only_without_being_told_more() {
        assert_eq!(
            fewest(&[counted(6, 5, 7)]),
            Some(("6 to 7 on PostgreSQL 17.10".to_owned(), true))
        );
        let (measured, met) = fewest(&[counted(5, 5, 7), counted(7, 5, 7)]).unwrap();
        assert!(!met);
        assert_eq!(measured, "7 to 7 on PostgreSQL 17.10");
    }
}
