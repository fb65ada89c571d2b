//! The measurements of one variant in the suite `speed`.

use serde::Serialize;

use super::artifact::Size;
use super::instructions::Instructions;
use super::rounds::Sample;
use super::statistics::Spread;
use super::variant::Variant;

/// The measurements of one variant in all rounds.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Measurements {
    pub(super) variant: Variant,
    pub(super) size: Size,
    pub(super) instructions: Option<Instructions>,
    pub(super) cold_start_ms: Spread,
    pub(super) distant_cold_start_ms: Spread,
    pub(super) p50_us: Spread,
    pub(super) p99_us: Spread,
    pub(super) requests_per_second: Spread,
    /// The maximum of all rounds.
    pub(super) peak_memory_bytes: Option<u64>,
    pub(super) samples: Vec<Sample>,
}

impl Measurements {
    pub(super) fn new(
        variant: Variant,
        size: Size,
        instructions: Option<Instructions>,
        samples: Vec<Sample>,
    ) -> Self {
        let spread = |of: fn(&Sample) -> f64| Spread::of(samples.iter().map(of));
        Self {
            variant,
            size,
            instructions,
            cold_start_ms: spread(|sample| sample.cold_start_ms),
            distant_cold_start_ms: spread(|sample| sample.distant_cold_start_ms),
            p50_us: spread(|sample| sample.p50_us),
            p99_us: spread(|sample| sample.p99_us),
            requests_per_second: spread(|sample| sample.requests_per_second),
            peak_memory_bytes: samples
                .iter()
                .filter_map(|sample| sample.peak_memory_bytes)
                .max(),
            samples,
        }
    }

    /// The ratio of a figure to that of another variant, round by round.
    pub(super) fn times(&self, other: &Self, of: fn(&Sample) -> f64) -> Spread {
        Spread::of_ratios(self.samples.iter().map(of), other.samples.iter().map(of))
    }
}

/// Returns the cold start of a sample.
pub(super) fn cold_start(sample: &Sample) -> f64 {
    sample.cold_start_ms
}

/// Returns the cold start with a distant database.
pub(super) fn distant_cold_start(sample: &Sample) -> f64 {
    sample.distant_cold_start_ms
}

/// Returns the cold start with a distant database and direct TLS, where it was measured.
pub(super) fn direct_distant_cold_start(sample: &Sample) -> Option<f64> {
    sample.direct_distant_cold_start_ms
}

/// Returns the median warm request of a sample.
pub(super) fn p50(sample: &Sample) -> f64 {
    sample.p50_us
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Measurements of a variant with these cold starts; all else is alike.
    pub(crate) fn measurements(variant: Variant, cold_starts_ms: &[f64]) -> Measurements {
        let sample = |cold_start_ms: &f64| Sample {
            cold_start_ms: *cold_start_ms,
            distant_cold_start_ms: *cold_start_ms + 60.0,
            direct_distant_cold_start_ms: (variant == Variant::Stagelink)
                .then_some(*cold_start_ms + 50.0),
            p50_us: 200.0,
            p99_us: 400.0,
            requests_per_second: 4_000.0,
            peak_memory_bytes: Some(8_500_000),
        };
        Measurements::new(
            variant,
            Size {
                bytes: 2_900_000,
                zipped_bytes: 1_400_000,
            },
            variant.is_rust().then_some(Instructions {
                cold_start: 30_000_000,
                request: 150_000.0,
            }),
            cold_starts_ms.iter().map(sample).collect(),
        )
    }

    #[test]
    fn peak_memory_is_the_most_of_all_rounds() {
        let mut samples = measurements(Variant::Floor, &[1.0, 2.0]).samples;
        samples[0].peak_memory_bytes = Some(9_000_000);
        let measurements = Measurements::new(Variant::Floor, Size::default(), None, samples);
        assert_eq!(measurements.peak_memory_bytes, Some(9_000_000));
        assert_eq!(measurements.cold_start_ms.median, 1.5);
    }
}
