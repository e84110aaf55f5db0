//! The page itself: one document, put together from the files in `page/`. It loads nothing else.

use super::reply::{Refusal, Reply};

const HTML: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");

/// The script, in reading order. Each file may use what those before it define.
const SCRIPT: &[&str] = &[
    "\"use strict\";\n",
    include_str!("page/helpers.js"),
    include_str!("page/known.js"),
    include_str!("page/server.js"),
    include_str!("page/headline.js"),
    include_str!("page/network.js"),
    include_str!("page/nodes.js"),
    include_str!("page/maps.js"),
    include_str!("page/table.js"),
    include_str!("page/sentences.js"),
    include_str!("page/timeline.js"),
    include_str!("page/time.js"),
    include_str!("page/trial.js"),
    include_str!("page/plans.js"),
    include_str!("page/start.js"),
];

/// The page, with a number that only this answer knows: what has crept in without it does not run.
pub(super) fn page(needs_secret: bool) -> Result<Reply, Refusal> {
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce).map_err(|error| Refusal::new(500, format!("no random numbers: {error}")))?;
    let nonce: String = nonce.iter().map(|byte| format!("{byte:02x}")).collect();
    let secret = if needs_secret { "yes" } else { "no" };
    let html = HTML.replace("{nonce}", &nonce).replace("{secret}", secret);
    let html = html.replace("{style}", STYLE).replace("{script}", &SCRIPT.join("\n"));
    Ok(Reply::page(html, &nonce))
}
