//! Tells one story, or asks for its commands: `cargo run --example story [FILE]`.
//!
//! With FILE it prints the story as it goes now. Without, it reads commands from the standard input and shows at once
//! what each of them does. `help` lists them, `quit` ends.

#[allow(dead_code, reason = "a story needs only a part of the simulator")]
mod simulator;
mod telling;

use std::io::{self, BufRead, IsTerminal, Write};
use std::process::ExitCode;
use std::{env, fs};

use simulator::script;
use simulator::stage::Stage;
use telling::{COMMAND, INDENT, tell};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let done = match arguments.as_slice() {
        [] => prompt(io::stdin().lock(), io::stdout().lock()).map(|()| ExitCode::SUCCESS),
        [file] if !file.starts_with('-') => tell_file(file, io::stdout().lock()),
        _ => {
            eprintln!(
                "usage: cargo run --example story [FILE]\nWithout FILE, commands are read from the standard input."
            );
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(code) => code,
        // The reader has seen enough: `| head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("story: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints the story as it goes now, up to its first mistake.
fn tell_file(file: &str, mut out: impl Write) -> io::Result<ExitCode> {
    let story = fs::read_to_string(file).map_err(|error| io::Error::new(error.kind(), format!("{file}: {error}")))?;
    let told = tell(file, &story);
    out.write_all(told.text.as_bytes())?;
    out.flush()?;
    let Some(mistake) = told.mistake else { return Ok(ExitCode::SUCCESS) };
    eprintln!("{mistake}");
    Ok(ExitCode::FAILURE)
}

/// Runs one command after the other until the input ends. What it prints on a terminal is a story: it can be pasted
/// into a file.
fn prompt(mut input: impl BufRead, mut out: impl Write) -> io::Result<()> {
    let is_terminal = io::stdin().is_terminal();
    let mut stage = Stage::default();
    if is_terminal {
        writeln!(out, "Begin with `cluster 2`. `help` lists the commands, `quit` ends.")?;
    }
    loop {
        if is_terminal {
            write!(out, "{COMMAND}")?;
        }
        out.flush()?;
        let mut line = Vec::new();
        if input.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let line = String::from_utf8_lossy(&line);
        // A command may also be pasted from a story, with its mark.
        let command = line.strip_prefix(COMMAND).unwrap_or(&line).trim();
        let shown = match command {
            "" => continue,
            "quit" => return Ok(()),
            "help" => script::help(),
            _ => stage.run(command).unwrap_or_else(|why| {
                eprintln!("{command}: {why}");
                Vec::new()
            }),
        };
        shown.iter().try_for_each(|line| writeln!(out, "{INDENT}{line}"))?;
    }
}
