//! Medians, quartiles and ratios of measurements.

use serde::Serialize;

/// The median and the quartiles of some figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) first_quartile: f64,
    pub(super) third_quartile: f64,
}

impl Spread {
    /// Computes the spread of some figures; all zero where there are none.
    pub(super) fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let sorted = sorted(figures);
        Self {
            median: quantile(&sorted, 0.5),
            first_quartile: quantile(&sorted, 0.25),
            third_quartile: quantile(&sorted, 0.75),
        }
    }

    /// Computes the spread of the ratios of paired figures, such as those of one round: a load on
    /// the machine during a round slows both.
    pub(super) fn of_ratios(
        figures: impl IntoIterator<Item = f64>,
        bases: impl IntoIterator<Item = f64>,
    ) -> Self {
        let pairs = figures.into_iter().zip(bases);
        Self::of(pairs.map(|(figure, base)| figure / base))
    }
}

/// Returns the figures in ascending order.
pub(super) fn sorted(figures: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut sorted: Vec<f64> = figures.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// Returns the quantile of sorted figures, with linear interpolation.
pub(super) fn quantile(sorted: &[f64], part: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return 0.0;
    };
    let place = part * last as f64;
    let below = sorted[place.floor() as usize];
    let above = sorted[place.ceil() as usize];
    below + (above - below) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_is_the_middle_and_the_quartiles() {
        let spread = Spread::of([5.0, 1.0, 4.0, 2.0, 3.0]);
        assert_eq!(
            (spread.first_quartile, spread.median, spread.third_quartile),
            (2.0, 3.0, 4.0)
        );
        assert_eq!(Spread::of([1.0, 2.0]).median, 1.5);
        assert_eq!(Spread::of([]), Spread::default());
    }

    #[test]
    fn ratios_are_those_of_a_round() {
        // The second round was twice as slow for both.
        let spread = Spread::of_ratios([10.0, 20.0, 11.0], [10.0, 20.0, 10.0]);
        assert_eq!(spread.median, 1.0);
    }

    #[test]
    fn quantile_of_many_is_near_the_end() {
        let sorted: Vec<f64> = (0..=1_000).map(f64::from).collect();
        assert_eq!(quantile(&sorted, 0.99), 990.0);
        assert_eq!(quantile(&sorted, 1.0), 1_000.0);
    }
}
