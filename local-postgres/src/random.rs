//! Random hexadecimal text for passwords and for the names of temporary resources.

/// Returns `BYTES` random bytes as lower-case hexadecimal digits.
pub(crate) fn random_hex<const BYTES: usize>() -> String {
    let mut bytes = [0; BYTES];
    rand::fill(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns a unique name for a directory, a container or a volume.
pub(crate) fn unique_name() -> String {
    format!("stagelink-postgres-{}", random_hex::<6>())
}
