//! Questions at the terminal. A signal may end the command while it waits for an answer: the thread that reads
//! ends with the process.

use std::io::{IsTerminal as _, Write as _, stderr, stdin};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail};
use nix::sys::termios::{FlushArg, tcflush};
use nix::unistd::{getpgrp, tcgetpgrp};
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{Mutex, oneshot};
use tokio::time::timeout;

use crate::output::note;

/// The time for an answer: enough to read a plan. A page that its user has left does nothing later.
const ANSWER_LIMIT: Duration = Duration::from_secs(120);

/// The terminal at which `stagelink dev` was started, for what a page wants done to a stage with a real database.
/// It asks one question at a time.
#[derive(Debug, Default)]
pub(crate) struct Terminal {
    /// The line that a thread waits for, where a question before this one got no answer.
    waiting: Mutex<Option<Line>>,
}

type Line = oneshot::Receiver<std::io::Result<String>>;

impl Terminal {
    /// Makes sure that the operator can be asked.
    ///
    /// # Errors
    ///
    /// When standard input or standard error is no terminal, or this process is in its background.
    pub(crate) fn ensure_it_can_ask(&self) -> anyhow::Result<()> {
        // A terminal that does not control this process has no background.
        let is_foreground = tcgetpgrp(stdin()).map_or(true, |group| group == getpgrp());
        if !stdin().is_terminal() || !stderr().is_terminal() || !is_foreground {
            bail!("`stagelink dev` has no terminal to confirm at, or is in its background");
        }
        Ok(())
    }

    /// Asks for a word after a question. What was typed before counts for nothing.
    ///
    /// # Errors
    ///
    /// When another word is typed, none within two minutes, or the operator cannot be asked.
    ///
    /// # Cancel safety
    ///
    /// The question is over; the next line that is typed counts for nothing.
    pub(crate) async fn confirm(&self, question: &str, word: &str) -> anyhow::Result<()> {
        self.ensure_it_can_ask()?;
        self.ask(question, word, ANSWER_LIMIT, read_line).await
    }

    /// Asks, and waits until a limit for the answer of a reader.
    async fn ask(
        &self,
        question: &str,
        word: &str,
        limit: Duration,
        read_line: impl Fn() -> anyhow::Result<Line>,
    ) -> anyhow::Result<()> {
        let mut waiting = self.waiting.lock().await;
        drop_what_was_typed();
        // A line that came after its question was over is not an answer to this one.
        let still_waits = |line: &mut Line| matches!(line.try_recv(), Err(TryRecvError::Empty));
        let mut line = match waiting.take_if(still_waits) {
            Some(line) => line,
            None => read_line()?,
        };
        note(format_args!(
            "{question}\n  type {word} within two minutes; anything else leaves it as it is:"
        ));
        let Ok(answer) = timeout(limit, &mut line).await else {
            *waiting = Some(line);
            note("  no answer: nothing was changed");
            bail!("nothing was changed: nothing was typed at the terminal within two minutes");
        };
        if text_of(answer)?.trim() != word {
            note("  nothing was changed");
            bail!("nothing was changed: the answer at the terminal was not {word}");
        }
        Ok(())
    }
}

/// Asks a question on standard error, and returns the line that is typed. It waits without an end.
///
/// # Errors
///
/// When it cannot be asked.
pub(crate) async fn answer_to(question: &str) -> anyhow::Result<String> {
    write!(stderr(), "{question} ").context("could not ask")?;
    text_of(read_line()?.await)
}

/// Drops what was typed at the terminal and not read yet, so that it answers no question that is asked later.
pub(crate) fn drop_what_was_typed() {
    let _ = tcflush(stdin(), FlushArg::TCIFLUSH);
}

/// Starts to read a line. The thread ends with the process, also where it still waits.
fn read_line() -> anyhow::Result<Line> {
    let (sender, line) = oneshot::channel();
    let read = move || {
        let mut answer = String::new();
        let read = stdin().read_line(&mut answer).map(|_| answer);
        // The question is over where no one receives it.
        let _ = sender.send(read);
    };
    let name = "terminal".to_owned();
    thread::Builder::new()
        .name(name)
        .spawn(read)
        .context("could not start to read the answer")?;
    Ok(line)
}

fn text_of(
    answer: Result<std::io::Result<String>, oneshot::error::RecvError>,
) -> anyhow::Result<String> {
    let answer = answer.context("the terminal could not be read")?;
    answer.context("could not read the answer")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn question_without_an_answer_is_over_and_a_late_line_answers_no_other() {
        let terminal = Terminal::default();
        // The lines that are read: the sender is the keyboard.
        let keyboards = std::sync::Mutex::new(Vec::new());
        let read_line = || {
            let (keyboard, line) = oneshot::channel();
            keyboards.lock().unwrap().push(keyboard);
            Ok(line)
        };
        let ask = async |limit: Duration| {
            let asked = terminal.ask("promote?", "production", limit, read_line);
            asked.await.map_err(|error| error.to_string())
        };
        let type_line = |line: &str| {
            let keyboard = keyboards.lock().unwrap().pop().unwrap();
            keyboard.send(Ok(line.to_owned())).unwrap();
        };
        let short = Duration::from_millis(10);
        let error = ask(short).await.unwrap_err();
        assert!(error.contains("within two minutes"), "{error}");
        // The thread that reads still waits: another question has no second one.
        ask(short).await.unwrap_err();
        assert_eq!(keyboards.lock().unwrap().len(), 1);
        // A line after the end of its question.
        type_line("production\n");
        ask(short).await.unwrap_err();
        assert_eq!(keyboards.lock().unwrap().len(), 1);
        // A line while the next question waits is its answer.
        for (line, is_confirmed) in [("production\n", true), ("staging\n", false)] {
            let long = Duration::from_secs(60);
            let (answered, ()) = tokio::join!(ask(long), async { type_line(line) });
            assert_eq!(answered.is_ok(), is_confirmed, "{answered:?}");
            ask(short).await.unwrap_err();
        }
    }
}
