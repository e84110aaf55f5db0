//! The connection itself: who speaks on it, and in which form.

use super::REDIS_VERSION;
use super::call::{Call, DONE, Flow, Outcome};
use super::failure::Failure;
use super::host::{Attempt, TOO_MANY_GUESSES};
use super::spec::Flag::{Loading, NeverQueued, NoAuth, NoMulti, RestIsText};
use super::spec::{Flags, Keys, Spec};
use super::words::{check_client_name, check_database, upper};
use crate::framing::Args;

/// The family's part of the table.
pub(super) const COMMANDS: &[Spec] = &[
    Spec {
        name: "PING",
        usage: "PING [text]",
        summary: "PONG, or the text",
        arity: -1,
        keys: Keys::NONE,
        flags: Flags::of(&[NoAuth]),
        group: "connection",
        since: "1.0.0",
        complexity: "O(1)",
        function: ping,
    },
    Spec {
        name: "ECHO",
        usage: "ECHO text",
        summary: "the text",
        arity: 2,
        keys: Keys::NONE,
        flags: Flags::of(&[RestIsText]),
        group: "connection",
        since: "1.0.0",
        complexity: "O(1)",
        function: echo,
    },
    Spec {
        name: "QUIT",
        usage: "QUIT",
        summary: "ends the connection",
        arity: -1,
        keys: Keys::NONE,
        flags: Flags::of(&[NoAuth, Loading, NeverQueued]),
        group: "connection",
        since: "1.0.0",
        complexity: "O(1)",
        function: quit,
    },
    Spec {
        name: "RESET",
        usage: "RESET",
        summary: "takes back what the connection was told: its name, RESP3, the secret, MULTI, WATCH",
        arity: 1,
        keys: Keys::NONE,
        flags: Flags::of(&[NoAuth, Loading, NeverQueued]),
        group: "connection",
        since: "6.2.0",
        complexity: "O(1)",
        function: reset,
    },
    Spec {
        name: "AUTH",
        usage: "AUTH [user] secret",
        summary: "says the secret of the cluster; first, where there is one",
        arity: -2,
        keys: Keys::NONE,
        flags: Flags::of(&[NoAuth, Loading, NoMulti]),
        group: "connection",
        since: "1.0.0",
        complexity: "O(1)",
        function: auth,
    },
    Spec {
        name: "HELLO",
        usage: "HELLO [2|3] [AUTH user secret] [SETNAME name]",
        summary: "what Redis clients say first",
        arity: -1,
        keys: Keys::NONE,
        flags: Flags::of(&[NoAuth, Loading, NoMulti]),
        group: "connection",
        since: "6.0.0",
        complexity: "O(1)",
        function: hello,
    },
    Spec {
        name: "SELECT",
        usage: "SELECT 0",
        summary: "there is one database",
        arity: 2,
        keys: Keys::NONE,
        flags: Flags::of(&[Loading]),
        group: "connection",
        since: "1.0.0",
        complexity: "O(1)",
        function: select,
    },
];

fn ping(call: &mut Call<'_>) -> Outcome {
    call.at_most(1)?;
    match call.args.get(0) {
        None => call.answer.status("PONG"),
        Some(text) => return call.answer_value(Some(text)),
    }
    DONE
}

fn echo(call: &mut Call<'_>) -> Outcome {
    call.answer_value(Some(call.word(0)))
}

fn quit(call: &mut Call<'_>) -> Outcome {
    call.answer.ok();
    Ok(Flow::End)
}

fn reset(call: &mut Call<'_>) -> Outcome {
    call.conversation.reset(call.host.secrets().role_of_strangers());
    call.host.show_name(b"");
    call.answer.switch(false);
    call.answer.status("RESET");
    DONE
}

fn select(call: &mut Call<'_>) -> Outcome {
    check_database(call.word(0))?;
    call.answer.ok();
    DONE
}

// ---- the secret -----------------------------------------------------------------------------------------------------

fn auth(call: &mut Call<'_>) -> Outcome {
    call.at_most(2)?;
    match (call.args.get(0), call.args.get(1)) {
        (user, Some(secret)) => admit(call, user, secret)?,
        _ => admit(call, None, call.word(0))?,
    }
    call.answer.ok();
    DONE
}

/// Admits the client if it knows the secret. There is one user, whatever its name; where there is no secret, Redis'
/// `default` may say any. A wrong secret is answered late, and only so often: on a connection, and from an address.
fn admit(call: &mut Call<'_>, user: Option<&[u8]>, secret: &[u8]) -> Result<(), Failure> {
    let secrets = call.host.secrets();
    if !secrets.are_for_clients() {
        let why = "AUTH called without any secret configured: this node lets everybody in";
        return if user == Some(b"default") { Ok(()) } else { Err(Failure::error(why)) };
    }
    let mut role = None;
    call.host.let_go();
    let secrets = call.host.secrets();
    let attempt = call.host.try_secret(&mut || {
        role = secrets.role_of(secret);
        role.is_some()
    });
    match attempt {
        Attempt::Right => {
            call.conversation.role = role.unwrap_or_default();
            Ok(())
        }
        Attempt::Wrong => {
            call.conversation.wrong_secrets += 1;
            call.host.punish_wrong_secret();
            Err(Failure::new("WRONGPASS", "this is not the secret of the cluster"))
        }
        Attempt::Refused => {
            call.conversation.wrong_secrets += 1;
            call.host.wait_for_another_guess();
            Err(Failure::error(TOO_MANY_GUESSES))
        }
    }
}

fn hello(call: &mut Call<'_>) -> Outcome {
    let Hello { resp3, login, name } = Hello::parse(call.args)?;
    if let Some((user, secret)) = login {
        admit(call, Some(user), secret)?;
    }
    if !call.conversation.is_admitted() {
        return Err(Failure::new("NOAUTH", "Authentication required: type HELLO 2 AUTH default and the secret"));
    }
    name.iter().for_each(|name| rename(call, name));
    call.conversation.resp3 = resp3.unwrap_or(call.conversation.resp3);
    call.answer.switch(call.conversation.resp3);
    let protocol = if call.conversation.resp3 { 3 } else { 2 };
    call.answer.map(6);
    call.answer.texts(["server", "kvstore", "version", REDIS_VERSION, "proto"]);
    call.answer.integer(protocol);
    call.answer.texts(["id"]);
    call.answer.integer(call.host.client_id() as usize);
    call.answer.texts(["mode", "standalone", "role", "master"]);
    call.answer.end();
    DONE
}

/// The words of a HELLO.
struct Hello<'a> {
    /// Whether the answers are to be in RESP3 from now on; `None`: as before.
    resp3: Option<bool>,
    /// A user's name and the secret.
    login: Option<(&'a [u8], &'a [u8])>,
    name: Option<&'a [u8]>,
}

impl<'a> Hello<'a> {
    fn parse(args: Args<'a>) -> Result<Self, Failure> {
        let resp3 = match args.get(0) {
            None => None,
            Some(b"2") => Some(false),
            Some(b"3") => Some(true),
            Some(_) => {
                let why = "unsupported protocol version: type HELLO 2 or HELLO 3";
                return Err(Failure::new("NOPROTO", why));
            }
        };
        let usage = || Failure::error("syntax error in HELLO: type HELLO 2|3 [AUTH user secret] [SETNAME name]");
        let (mut login, mut name) = (None, None);
        let mut options = args.from(1).iter();
        while let Some(option) = options.next() {
            match upper(option).as_str() {
                "AUTH" => login = Some((options.next().ok_or_else(usage)?, options.next().ok_or_else(usage)?)),
                "SETNAME" => name = Some(check_client_name(options.next().ok_or_else(usage)?)?),
                _ => return Err(usage()),
            }
        }
        Ok(Self { resp3, login, name })
    }
}

/// Changes what the client calls itself.
pub(super) fn rename(call: &mut Call<'_>, name: &[u8]) {
    call.conversation.name = name.to_vec();
    call.host.show_name(name);
}
