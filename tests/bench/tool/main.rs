//! What `tests/bench/compare.sh` needs beside redis-benchmark. It speaks RESP with any server, so all systems are
//! measured alike.
//!
//! ```text
//! ports N                              prints N free ports
//! floor PORT                           the cheapest server with a thread for each connection
//! relay PORT:TARGET…                   carries connections, counts their bytes, can be cut; told by lines on stdin
//! ask PORT WORD…                       sends one command and waits for its answer
//! load PORT FIRST COUNT BYTES SEED     sets COUNT keys from number FIRST on to values of BYTES that SEED determines
//! arrived PORT FIRST COUNT BYTES SEED SECONDS     waits until they are there; fails after SECONDS
//! visible PORT OTHER WRITES            how long a SET takes until a GET on the other node shows it
//! paused PORT SECONDS                  how long one client waits that sets keys: the median, and the 999th of 1,000
//! idle PORT N                          connects N clients, which stay for a minute and say nothing
//! report FILE                          the measurements in FILE as tables, in Markdown
//! plot FILE ROW…                       some rows of these tables as bars, in SVG
//! ```
//!
//! Everything is on 127.0.0.1. Keys are named as redis-benchmark names them: `key:000000000042`.

mod clients;
mod report;
mod servers;

use std::error::Error;
use std::net::{Ipv4Addr, TcpListener};
use std::process::ExitCode;
use std::time::Duration;

use clients::Keys;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Below the ports that the kernel gives to clients (32768 and up), so that none of these takes one before its server
/// does.
const PORTS: std::ops::Range<u16> = 10_000..30_000;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}: {error}", words.join(" "));
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<()> {
    match words {
        ["ports", count] => print_free_ports(count.parse()?),
        ["floor", port] => servers::floor(port.parse()?)?,
        ["relay", routes @ ..] => servers::relay(routes)?,
        ["ask", port, words @ ..] => clients::ask(port.parse()?, words)?,
        ["load", port, keys @ ..] => clients::load(port.parse()?, Keys::parse(keys)?)?,
        ["arrived", port, keys @ .., seconds] => {
            clients::arrived(port.parse()?, Keys::parse(keys)?, Duration::from_secs(seconds.parse()?))?;
        }
        ["visible", port, other, writes] => clients::visible(port.parse()?, other.parse()?, writes.parse()?)?,
        ["paused", port, seconds] => clients::paused(port.parse()?, Duration::from_secs(seconds.parse()?))?,
        ["idle", port, count] => clients::idle(port.parse()?, count.parse()?)?,
        ["report", file] => print!("{}", report::tables(&std::fs::read_to_string(file)?)?),
        ["plot", file, rows @ ..] => print!("{}", report::plot(&std::fs::read_to_string(file)?, rows)?),
        _ => return Err("not understood; the first lines of tests/bench/tool/main.rs say what is".into()),
    }
    Ok(())
}

/// The search begins at a different port in each process, so that two runs at the same time do not find the same ports.
fn print_free_ports(count: usize) {
    let begin = PORTS.start + (std::process::id() % u32::from(PORTS.end - PORTS.start)) as u16;
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let free = (begin..PORTS.end).chain(PORTS.start..begin).filter(is_free);
    free.take(count).for_each(|port| println!("{port}"));
}
