//! The cases of a drill: the faults of each, and what clients are promised meanwhile.

use std::time::Duration;

use anyhow::anyhow;
use stagelink_local::faults::{Fault, Lasting};

use crate::usage_error::of_usage;

/// A case: faults that are injected together.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) name: &'static str,
    faults: Vec<Fault>,
    /// The reads that may fail: those that a killed instance had.
    pub(super) failed_reads: usize,
}

impl Case {
    /// Returns all cases, or those with these names, in the order of all.
    ///
    /// # Errors
    ///
    /// A name that no case has, as an error of usage.
    pub(super) fn named(names: &[String]) -> anyhow::Result<Vec<Self>> {
        let mut cases = all();
        let spelled = |name: &String| name.replace('-', "_");
        let mut unknown = names.iter().filter(|name| {
            let name = spelled(name);
            cases.iter().all(|case| case.name != name)
        });
        if let Some(unknown) = unknown.next() {
            let all: Vec<_> = cases.iter().map(|case| case.name).collect();
            return Err(of_usage(anyhow!(
                "no case is called {unknown:?}: the cases are {}",
                all.join(", ")
            )));
        }
        if !names.is_empty() {
            cases.retain(|case| names.iter().any(|name| spelled(name) == case.name));
        }
        Ok(cases)
    }

    /// The faults, in the order in which they are injected, each with its duration.
    pub(super) fn faults(
        &self,
        duration: Duration,
    ) -> impl Iterator<Item = (&Fault, Option<Duration>)> {
        // One that happens once beside another is what makes that one count.
        let is_alone = self.faults.len() == 1;
        self.faults.iter().map(move |fault| {
            let lasts = match fault.lasting() {
                Lasting::Once => false,
                Lasting::OnceOrFor => is_alone,
                _ => true,
            };
            (fault, lasts.then_some(duration))
        })
    }
}

fn all() -> Vec<Case> {
    let case = |name, faults: &[Fault]| Case {
        name,
        faults: faults.to_vec(),
        failed_reads: 0,
    };
    let rotated = |name, fault| case(name, &[fault, Fault::RotateCredentials]);
    let latency = Fault::Latency {
        latency_ms: 200,
        jitter_ms: 50,
    };
    let bandwidth = Fault::Bandwidth {
        rate_kb: const { std::num::NonZeroU64::new(20).expect("it is not zero") },
    };
    let full = [Fault::ConnectionsFull, Fault::ResetPeer];
    let too_many = Fault::ApiTooManyRequests {
        retry_after_s: Some(1),
    };
    vec![
        case("rotate_credentials", &[Fault::RotateCredentials]),
        case("fail_over", &[Fault::FailOver]),
        case("restart", &[Fault::Restart]),
        case("latency", &[latency]),
        case("bandwidth", &[bandwidth]),
        case("reset_peer", &[Fault::ResetPeer]),
        case("stall", &[Fault::Stall]),
        // Each instance has to connect anew.
        case("connections_full", &full),
        case("read_only", &[Fault::ReadOnly]),
        // Without other credentials, functions need no provider to connect anew. With other ones they
        // would need a new token, which no wait brings.
        case("expired_token", &[Fault::ExpiredToken, Fault::ResetPeer]),
        // Only the provider knows the new password.
        rotated("api_429", too_many),
        rotated("api_500", Fault::ApiError),
        rotated("api_hang", Fault::ApiHang),
        case("freeze", &[Fault::Freeze { function: None }]),
        Case {
            failed_reads: 1,
            ..case("kill", &[Fault::Kill { function: None }])
        },
    ]
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::CommandFactory as _;

    use super::*;
    use crate::args::FaultOptions;

    #[test]
    fn each_case_is_called_as_its_first_fault() {
        for case in all() {
            assert_eq!(case.faults[0].name(), case.name);
        }
    }

    /// The names of all faults, as the error of an unknown one has them.
    fn names_of_faults() -> Vec<String> {
        let error = serde_json::from_str::<Fault>(r#"{"type":"flood"}"#).unwrap_err();
        let error = error.to_string();
        let (_, names) = error.split_once("expected one of").unwrap();
        let names = names.split('`').skip(1).step_by(2);
        names.map(str::to_owned).collect()
    }

    #[test]
    fn each_fault_has_a_case_a_command_a_button_and_a_row_in_the_guide() {
        let read = |path: &str| {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
            std::fs::read_to_string(path).unwrap()
        };
        let page = read("src/dev/board/page/faults.js");
        let guide = read("../docs/guides/faults.md");
        let mut command = FaultOptions::command();
        command.build();
        let names = names_of_faults();
        assert_eq!(names.len(), all().len());
        for name in names {
            let spelled = name.replace('_', "-");
            assert!(all().iter().any(|case| case.name == name), "a case: {name}");
            let found = command.find_subcommand(&spelled);
            assert!(found.is_some(), "a command: {spelled}");
            assert!(page.contains(&format!("[\"{name}\", ")), "a button: {name}");
            assert!(
                guide.contains(&format!("`{spelled}")),
                "the guide: {spelled}"
            );
        }
    }

    #[test]
    fn cases_are_chosen_by_name_and_an_unknown_one_is_told_with_all() {
        let names = ["stall", "fail-over"].map(str::to_owned);
        let chosen = Case::named(&names).unwrap();
        let chosen: Vec<_> = chosen.iter().map(|case| case.name).collect();
        assert_eq!(chosen, ["fail_over", "stall"]);
        let error = Case::named(&["flood".to_owned()]).unwrap_err();
        assert!(error.to_string().contains("rotate_credentials, fail_over"));
    }

    #[test]
    fn fault_that_happens_once_has_no_duration_and_the_other_has_it() {
        let second = Duration::from_secs(1);
        let durations = |name: &str| {
            let case = &Case::named(&[name.to_owned()]).unwrap()[0];
            let faults = case.faults(second);
            faults.map(|(_, lasts)| lasts.is_some()).collect::<Vec<_>>()
        };
        assert_eq!(durations("fail_over"), [false]);
        assert_eq!(durations("reset_peer"), [true]);
        assert_eq!(durations("connections_full"), [true, false]);
        assert_eq!(durations("api_500"), [true, false]);
    }
}
