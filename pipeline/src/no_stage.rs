//! The words for a stage that a file or a running site does not have.

/// Returns the message that a place, such as a file, has no stage of a name, with those that it has:
/// `stagelink.toml has no stage "q": it has staging and qa`.
pub fn no_stage<'a>(
    place: impl std::fmt::Display,
    named: &str,
    stages: impl IntoIterator<Item = &'a str>,
) -> String {
    let named: String = named.chars().take(LONGEST).collect();
    let mut stages: Vec<&str> = stages.into_iter().collect();
    let has = match (stages.pop(), stages.is_empty()) {
        (None, _) => "it has no stages".to_owned(),
        (Some(only), true) => format!("it has {only}"),
        (Some(last), false) => format!("it has {} and {last}", stages.join(", ")),
    };
    format!("{place} has no stage {named:?}: {has}")
}

/// The most characters of a name that are repeated: no stage has a longer one.
const LONGEST: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_that_are_there_are_listed() {
        for (stages, has) in [
            (&[][..], "it has no stages"),
            (&["a"], "it has a"),
            (&["a", "b"], "it has a and b"),
            (&["a", "b", "c"], "it has a, b and c"),
        ] {
            let text = no_stage("x", "q\n", stages.iter().copied());
            assert_eq!(text, format!("x has no stage \"q\\n\": {has}"));
        }
        assert!(no_stage("x", &"q".repeat(9000), []).len() < 120);
    }
}
