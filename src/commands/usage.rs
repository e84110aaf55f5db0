//! A command's line of usage, read as the list of its arguments. COMMAND DOCS needs the arguments one by one. They are
//! derived from the line that HELP shows, so that they are written down only once.
//!
//! ```text
//! SCAN cursor [MATCH pattern] [COUNT n]     [x]          x may be missing
//! MSET key value [key value ...]            x [x ...]    x may be repeated
//! DIGEST [prefix|*]                         x|y          one of them
//! HELLO [2|3] [AUTH user secret]            AUTH x       x stands behind a word that is typed as it is: its token
//! ```

/// One argument of a command, as Redis describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    /// Its name.
    pub name: String,
    /// What may be typed for it.
    pub kind: Kind,
    /// The word that stands before it.
    pub token: Option<String>,
    /// Whether it may be missing.
    pub is_optional: bool,
    /// Whether it may be repeated.
    pub is_multiple: bool,
}

/// What may be typed for an argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A word of this type: `key`, `string`, `integer`, `pattern`.
    Word(&'static str),
    /// Nothing but the token.
    PureToken,
    /// One of these.
    OneOf(Vec<Argument>),
    /// All of these.
    Block(Vec<Argument>),
}

impl Kind {
    /// Redis' name for it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Word(name) => name,
            Self::PureToken => "pure-token",
            Self::OneOf(_) => "oneof",
            Self::Block(_) => "block",
        }
    }

    /// What it consists of.
    pub fn parts(&self) -> Option<&[Argument]> {
        match self {
            Self::OneOf(parts) | Self::Block(parts) => Some(parts),
            Self::Word(_) | Self::PureToken => None,
        }
    }
}

/// The arguments in a line of usage, which begins with the command's name.
pub fn arguments(usage: &str) -> Vec<Argument> {
    match usage.split_once(' ') {
        None => Vec::new(),
        Some((_, rest)) => match one(rest) {
            Argument { kind: Kind::Block(parts), token: None, is_optional: false, is_multiple: false, .. } => parts,
            argument => vec![argument],
        },
    }
}

/// All of `text` as one argument.
fn one(text: &str) -> Argument {
    let alternatives = split(text, '|');
    if alternatives.len() > 1 {
        let parts = alternatives.into_iter().map(one).collect();
        return Argument::new("choice", Kind::OneOf(parts));
    }
    let words = split(text, ' ');
    if words.len() > 1 && is_token(words[0]) {
        let mut behind = all_of(words[1..].to_vec());
        if behind.is_optional {
            // It may be missing, but not its token.
            behind = Argument::new(&behind.name.clone(), Kind::Block(vec![behind]));
        }
        return Argument { token: Some(words[0].into()), ..behind };
    }
    all_of(words)
}

/// The words and bracketed parts as one argument.
fn all_of(words: Vec<&str>) -> Argument {
    let mut parts: Vec<Argument> = Vec::new();
    for word in words {
        match word.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
            None => parts.push(single(word)),
            Some(inner) => match inner.strip_suffix(" ...") {
                None => parts.push(Argument { is_optional: true, ..one(inner) }),
                // The parts that may be repeated stand before this already.
                Some(repeated) => {
                    let first = parts.len() - split(repeated, ' ').len();
                    let repeated = parts.split_off(first);
                    parts.push(Argument { is_multiple: true, ..joined(repeated) });
                }
            },
        }
    }
    joined(parts)
}

fn joined(mut parts: Vec<Argument>) -> Argument {
    if parts.len() == 1 {
        return parts.remove(0);
    }
    let names: Vec<&str> = parts.iter().map(|part| part.name.as_str()).collect();
    Argument::new(&names.join("-"), Kind::Block(parts))
}

/// A word by itself.
fn single(word: &str) -> Argument {
    if is_token(word) {
        let name = word.to_ascii_lowercase();
        return Argument { token: Some(word.into()), ..Argument::new(&name, Kind::PureToken) };
    }
    let kind = match word {
        "key" | "newkey" | "source" | "destination" => "key",
        "pattern" => "pattern",
        "cursor" | "n" | "id" => "integer",
        _ => "string",
    };
    Argument::new(word, Kind::Word(kind))
}

impl Argument {
    fn new(name: &str, kind: Kind) -> Self {
        Self { name: name.into(), kind, token: None, is_optional: false, is_multiple: false }
    }
}

/// Whether a word is typed as it is. Names for something else are in small letters.
fn is_token(word: &str) -> bool {
    !word.starts_with('[') && !word.contains(|char: char| char.is_ascii_lowercase())
}

/// Splits where the separator stands outside of all brackets.
fn split(text: &str, separator: char) -> Vec<&str> {
    let mut depth = 0;
    text.split(|char| {
        match char {
            '[' => depth += 1,
            ']' => depth -= 1,
            _ => {}
        }
        char == separator && depth == 0
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::super::shown as commands;
    use super::*;

    /// Writes arguments as redis-cli does.
    fn shown(arguments: &[Argument], between: &str) -> String {
        let show = |argument: &Argument| {
            let Argument { name, kind, token, is_optional, is_multiple } = argument;
            let repeated = match kind {
                Kind::Word(_) => name.clone(),
                Kind::PureToken => String::new(),
                Kind::OneOf(parts) => shown(parts, "|"),
                Kind::Block(parts) => shown(parts, " "),
            };
            let gap = if token.is_none() || repeated.is_empty() { "" } else { " " };
            let more = if *is_multiple { format!(" [{repeated} ...]") } else { String::new() };
            let text = format!("{}{gap}{repeated}{more}", token.as_deref().unwrap_or_default());
            if *is_optional { format!("[{text}]") } else { text }
        };
        arguments.iter().map(show).collect::<Vec<_>>().join(between)
    }

    #[test]
    fn every_line_of_usage_is_shown_by_redis_cli_as_it_is_written() {
        for spec in commands(true) {
            let shown = format!("{} {}", spec.name, shown(&arguments(spec.usage), " "));
            assert_eq!(shown.trim_end(), spec.usage);
        }
    }

    #[test]
    fn words_have_types_and_tokens() {
        let scan = arguments("SCAN cursor [MATCH pattern] [COUNT n]");
        let kinds: Vec<_> = scan.iter().map(|argument| argument.kind.name()).collect();
        assert_eq!(kinds, ["integer", "pattern", "integer"]);
        assert_eq!(scan[1].token.as_deref(), Some("MATCH"));
        assert!(scan[1].is_optional && !scan[0].is_optional);
        assert_eq!(arguments("QUIT"), []);
    }

    #[test]
    fn what_is_repeated_and_what_is_chosen_have_parts() {
        let mset = arguments("MSET key value [key value ...]");
        assert!(mset.len() == 1 && mset[0].is_multiple);
        assert_eq!((mset[0].name.as_str(), mset[0].kind.parts().map(<[_]>::len)), ("key-value", Some(2)));
        let hello = arguments("HELLO [2|3] [AUTH user secret]");
        assert_eq!(hello[0].kind.parts().map(|parts| parts[1].kind.clone()), Some(Kind::PureToken));
        assert_eq!((hello[1].token.as_deref(), hello[1].kind.name()), (Some("AUTH"), "block"));
    }
}
