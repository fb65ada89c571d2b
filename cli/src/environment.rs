//! The names of stagelink's variables in the environment of the command.

use std::sync::Once;

use crate::output::note;

/// Makes sure that no variable of safety is misspelled, and notes other names of stagelink's that this
/// version does not know.
///
/// # Errors
///
/// When a name is close to that of a variable of safety. The message holds no value.
pub(crate) fn ensure_known_names<'a>(
    vars: impl IntoIterator<Item = (&'a String, &'a String)> + Clone,
) -> anyhow::Result<()> {
    stagelink::ensure_known_names(vars.clone())?;
    let unknown = stagelink::unknown_names(vars);
    // A command of several stages reads the environment for each.
    static NOTED: Once = Once::new();
    if !unknown.is_empty() {
        NOTED.call_once(|| {
            note(format_args!(
                "  ! variables that this version of stagelink does not know are ignored: {}",
                unknown.join(", ")
            ));
        });
    }
    Ok(())
}
