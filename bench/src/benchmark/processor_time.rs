//! The processor's time of a running process.

use std::fs;

use anyhow::{Context as _, ensure};

/// Returns the processor's time of all threads of a process, with the kernel's, in milliseconds.
///
/// # Errors
///
/// When the system does not report it, as other systems than Linux.
pub(super) fn processor_time_ms(process: u32) -> anyhow::Result<f64> {
    let threads = fs::read_dir(format!("/proc/{process}/task"))
        .context("this system does not report the processor's time of a process's threads")?;
    let mut total = 0;
    for thread in threads {
        // One that cannot be read has ended since.
        let Ok(statistics) = fs::read_to_string(thread?.path().join("schedstat")) else {
            continue;
        };
        let time = statistics.split(' ').next().unwrap_or_default();
        total += time
            .parse::<u64>()
            .context("an unknown form of schedstat")?;
    }
    ensure!(
        total > 0,
        "this system reports no time of the process's threads"
    );
    Ok(total as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_of_this_process_grows() {
        let before = processor_time_ms(std::process::id()).unwrap();
        let mut sum = 0_u64;
        while processor_time_ms(std::process::id()).unwrap() < before + 1.0 {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(sum > 0);
    }
}
