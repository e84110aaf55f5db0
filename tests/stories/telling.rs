//! How a story is told: its commands are run, and what they show is compared with what its file records.
//!
//! A story is plain text. A line that begins with `> ` is a command. The lines after it that are indented by four
//! spaces are what it shows. Everything else is for the reader.

use super::simulator::stage::Stage;

/// What a shown line is indented by.
pub(crate) const INDENT: &str = "    ";

/// What a command begins with.
pub(crate) const COMMAND: &str = "> ";

/// A story as it goes now.
#[derive(Default)]
pub(crate) struct Told {
    /// The text of its file, with what the commands show now. It ends at a mistake.
    pub(crate) text: String,
    /// How many commands were run.
    pub(crate) commands: usize,
    /// One line: where the story is wrong, and what to type instead.
    pub(crate) mistake: Option<String>,
}

/// Tells a story. `name` is what mistakes call its file.
pub(crate) fn tell(name: &str, story: &str) -> Told {
    let mut stage = Stage::default();
    let mut told = Told::default();
    let mut after_command = false;
    for (index, line) in story.lines().enumerate() {
        if !line.starts_with(INDENT) {
            told.text += &format!("{line}\n");
        }
        match step(&mut stage, line, after_command) {
            Ok(shown) => shown.iter().for_each(|shown| told.text += &format!("{INDENT}{shown}\n")),
            Err(why) => {
                let command = line.strip_prefix(COMMAND).unwrap_or(line).trim();
                told.mistake = Some(format!("{name}:{}: {command}: {why}", index + 1));
                return told;
            }
        }
        told.commands += usize::from(line.starts_with(COMMAND));
        after_command = line.starts_with(COMMAND) || (after_command && line.starts_with(INDENT));
    }
    if told.commands == 0 {
        told.mistake = Some(format!("{name}: has no command; a command is a line like `> cluster 2`"));
    }
    told
}

/// Runs a line, if it is a command, and returns what it shows.
fn step(stage: &mut Stage, line: &str, after_command: bool) -> Result<Vec<String>, String> {
    if let Some(command) = line.strip_prefix(COMMAND) {
        return stage.run(command);
    }
    if line.starts_with('>') {
        return Err("put a space after `>`".into());
    }
    if line.starts_with(INDENT) && !after_command {
        return Err("only what a command shows is indented by four spaces; indent this by less".into());
    }
    Ok(Vec::new())
}

/// Compares a story with its file. If they differ: where, what is told now, and what is recorded.
#[allow(dead_code, reason = "the test compares, the example prints")]
pub(crate) fn difference(name: &str, told: &str, recorded: &str) -> Option<String> {
    let records = |text: &str| text.lines().any(|line| line.starts_with(INDENT));
    if records(told) && !records(recorded) {
        return Some(format!(
            "{name}: nothing is recorded yet; to record what its commands show, type: \
             UPDATE_STORIES=1 cargo test --test stories"
        ));
    }
    let (now, then): (Vec<&str>, Vec<&str>) = (told.lines().collect(), recorded.lines().collect());
    let index = (0..now.len().max(then.len())).find(|&index| now.get(index) != then.get(index))?;
    let line = |lines: &[&str]| lines.get(index).map_or("(the story ends)", |line| line.trim()).to_string();
    Some(format!("{name}:{}: differs\n  told now: {}\n  recorded: {}", index + 1, line(&now), line(&then)))
}
