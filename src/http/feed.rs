//! The thread that tells the pages what happens, while any is open. It reads what the nodes tell, puts it into words
//! once for all pages, and never waits for one: a page that is slow loses messages, and is told how many.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError};
use serde_json::{Value, json};

use super::state;
use super::table::RecentKeys;
use crate::limits::{EXCHANGES_AT_ONCE, EXCHANGES_INTERVAL, STATE_INTERVAL};
use crate::node::cluster::Cluster;
use crate::node::watch::{Exchange, Feed, Watch};

/// One piece of news for a page, ready to be written.
pub(super) type News = Arc<str>;

/// Tells pages what happens until nobody can open one any more. `opened` brings each page's end of its channel; a page
/// has gone when the other end is dropped.
pub(super) fn run(cluster: &Cluster, watch: &Watch, feed: &Feed, opened: &Receiver<Sender<News>>) {
    while let Ok(first) = opened.recv() {
        watch.switch(true);
        let is_over = Audience::new(first, watch).tell(cluster, watch, feed, opened);
        watch.switch(false);
        // What was told to nobody is old when the next page opens.
        feed.exchanges.try_iter().for_each(drop);
        feed.keys.try_iter().for_each(drop);
        if is_over {
            return;
        }
    }
}

/// The pages that are open, and what they were told.
struct Audience {
    pages: Vec<Page>,
    recent: RecentKeys,
    /// How many exchanges the nodes could not tell, by the last time the pages were told.
    lost: u64,
}

struct Page {
    news: Sender<News>,
    /// How many exchanges it has missed since it was last told so.
    missed: usize,
}

impl Page {
    fn new(news: Sender<News>) -> Self {
        Self { news, missed: 0 }
    }
}

impl Audience {
    fn new(first: Sender<News>, watch: &Watch) -> Self {
        Self { pages: vec![Page::new(first)], recent: RecentKeys::default(), lost: watch.lost() }
    }

    /// Tells the pages what happens until the last has gone. Returns true if no other can be opened.
    fn tell(mut self, cluster: &Cluster, watch: &Watch, feed: &Feed, opened: &Receiver<Sender<News>>) -> bool {
        cluster.look(|nodes| self.recent.fill_up(nodes));
        let (mut next_exchanges, mut next_state) = (Instant::now(), Instant::now());
        while !self.pages.is_empty() {
            let wait = next_exchanges.min(next_state).saturating_duration_since(Instant::now());
            match opened.recv_timeout(wait) {
                Ok(page) => {
                    self.pages.push(Page::new(page));
                    next_state = Instant::now();
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return true,
            }
            let now = Instant::now();
            if now >= next_exchanges {
                self.tell_exchanges(cluster, watch, feed);
                next_exchanges = now + EXCHANGES_INTERVAL;
            }
            if now >= next_state {
                self.recent.note(feed.keys.try_iter().collect());
                self.tell_state(&state::of(cluster, &self.recent));
                next_state = now + STATE_INTERVAL;
            }
        }
        false
    }

    fn tell_exchanges(&mut self, cluster: &Cluster, watch: &Watch, feed: &Feed) {
        let mut told = Vec::new();
        // What finds no room is counted by who asked whom for what.
        let mut more: BTreeMap<(String, String, &'static str), usize> = BTreeMap::new();
        for mut exchange in feed.exchanges.try_iter() {
            // A link knows its peer by its address until it has met it.
            if let Some(place) = cluster.places().iter().find(|place| exchange.to.parse() == Ok(place.address())) {
                exchange.to = place.name().to_string();
            }
            match told.len() {
                ..EXCHANGES_AT_ONCE => told.push(in_json(&exchange)),
                _ => *more.entry((exchange.from, exchange.to, exchange.kind)).or_default() += 1,
            }
        }
        let lost = watch.lost() - self.lost;
        self.lost += lost;
        if told.is_empty() && lost == 0 {
            return;
        }
        let missed = told.len() + more.values().sum::<usize>();
        let more: Vec<Value> = more
            .into_iter()
            .map(|((from, to, kind), count)| json!({"from": from, "to": to, "kind": kind, "count": count}))
            .collect();
        let news = event("exchanges", &json!({"list": told, "more": more, "lost": lost}));
        self.pages.retain_mut(|page| match page.news.try_send(Arc::clone(&news)) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                page.missed += missed;
                true
            }
            Err(TrySendError::Disconnected(_)) => false,
        });
    }

    /// Tells the whole state, so that a page that has missed something is right again.
    fn tell_state(&mut self, state: &Value) {
        let news = event("state", state);
        self.pages.retain_mut(|page| {
            if page.missed > 0 && page.news.try_send(event("missed", &json!({"count": page.missed}))).is_ok() {
                page.missed = 0;
            }
            !matches!(page.news.try_send(Arc::clone(&news)), Err(TrySendError::Disconnected(_)))
        });
    }
}

fn event(name: &str, data: &Value) -> News {
    format!("event: {name}\ndata: {data}\n\n").into()
}

fn in_json(exchange: &Exchange) -> Value {
    let millis = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
    let (reply, failed) = match &exchange.reply {
        Ok(reply) => (reply, false),
        Err(why) => (why, true),
    };
    json!({
        "from": exchange.from,
        "to": exchange.to,
        "kind": exchange.kind,
        "request": exchange.request,
        "requests": exchange.requests,
        "reply": reply,
        "failed": failed,
        "sent_ms": millis(exchange.sent),
        "took_ms": millis(exchange.took),
    })
}
