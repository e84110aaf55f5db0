//! Answers, written in the form of the request.
//!
//! ```text
//! answer       plain                      RESP2                   RESP3, where it differs
//! ok           OK                         +OK
//! a value      the value                  $5 hello
//! nothing      Key not found              $-1                     _
//! a number     42                         :42
//! a list       a line each, then END      *2 …
//! a map        a line each, then END      *4 name value …         %2 name value …
//! a text       its lines, then END        $… in one piece        =… in one piece
//! a failure    ERROR: what is wrong       -ERR what is wrong
//! ```

use crate::framing::{Form, resp};

/// Writes answers behind those that already stand in a buffer.
pub struct Answer<'a> {
    form: Form,
    out: &'a mut Vec<u8>,
}

impl<'a> Answer<'a> {
    /// A writer of answers in `form`, to the end of `out`.
    pub fn new(form: Form, out: &'a mut Vec<u8>) -> Self {
        Self { form, out }
    }

    /// `OK`
    pub fn ok(&mut self) {
        self.status("OK");
    }

    /// A word that is no value, such as `PONG`.
    pub fn status(&mut self, word: &'static str) {
        match self.form {
            Form::Plain => self.line(word.as_bytes()),
            Form::Resp | Form::Resp3 => {
                self.out.push(b'+');
                self.out.extend_from_slice(word.as_bytes());
                self.out.extend_from_slice(b"\r\n");
            }
        }
    }

    /// A value; `None` if there is nothing.
    pub fn value(&mut self, value: Option<&[u8]>) {
        match (self.form, value) {
            (Form::Plain, Some(value)) => self.line(value),
            (Form::Plain, None) => self.line(b"Key not found"),
            (_, Some(value)) => resp::write_bulk(self.out, value),
            (Form::Resp, None) => self.out.extend_from_slice(b"$-1\r\n"),
            (Form::Resp3, None) => self.out.extend_from_slice(b"_\r\n"),
        }
    }

    /// Words and names, each as a value.
    pub fn texts<'t>(&mut self, texts: impl IntoIterator<Item = &'t str>) {
        texts.into_iter().for_each(|text| self.value(Some(text.as_bytes())));
    }

    /// Nothing, in words of the caller's choice in a plain line.
    pub fn absent(&mut self, plain: &str) {
        match self.form {
            Form::Plain => self.line(plain.as_bytes()),
            Form::Resp | Form::Resp3 => self.value(None),
        }
    }

    /// No list where one could be, in words of the caller's choice in a plain line.
    pub fn no_list(&mut self, plain: &str) {
        match self.form {
            Form::Plain => self.line(plain.as_bytes()),
            Form::Resp => self.out.extend_from_slice(b"*-1\r\n"),
            Form::Resp3 => self.value(None),
        }
    }

    /// A count.
    pub fn integer(&mut self, number: usize) {
        self.signed(number as i64);
    }

    /// A number that may be negative.
    pub fn signed(&mut self, number: impl Into<i64>) {
        let number = number.into();
        match self.form {
            Form::Plain => self.line(number.to_string().as_bytes()),
            Form::Resp | Form::Resp3 => resp::write_integer(self.out, number),
        }
    }

    /// A failure: what is wrong, and what to type instead. `code` is Redis' first word for this kind of failure.
    pub fn failure(&mut self, code: &'static str, message: &str) {
        debug_assert!(!message.contains(['\r', '\n']), "a failure is one line: {message}");
        match self.form {
            Form::Plain => self.line(format!("ERROR: {message}").as_bytes()),
            Form::Resp | Form::Resp3 => self.out.extend_from_slice(format!("-{code} {message}\r\n").as_bytes()),
        }
    }

    /// The head of a list of `len` values, which come next, and then [`Answer::end`].
    pub fn list(&mut self, len: usize) {
        if self.form != Form::Plain {
            resp::write_array(self.out, len);
        }
    }

    /// The head of a map of `len` pairs, which come next, name and value in turn, and then [`Answer::end`].
    pub fn map(&mut self, len: usize) {
        match self.form {
            Form::Plain => {}
            Form::Resp => resp::write_array(self.out, 2 * len),
            Form::Resp3 => resp::write_map(self.out, len),
        }
    }

    /// The end of a list.
    pub fn end(&mut self) {
        if self.form == Form::Plain {
            self.line(b"END");
        }
    }

    /// A text of several lines.
    pub fn text(&mut self, text: &str) {
        match self.form {
            Form::Plain => {
                for line in text.lines() {
                    self.line(line.as_bytes());
                }
                self.end();
            }
            Form::Resp => resp::write_bulk(self.out, text.as_bytes()),
            Form::Resp3 => resp::write_text(self.out, text.as_bytes()),
        }
    }

    /// How many bytes stand in the buffer.
    pub fn written(&self) -> usize {
        self.out.len()
    }

    /// Takes back all but the first `written` bytes of the buffer.
    pub fn take_back(&mut self, written: usize) {
        self.out.truncate(written);
    }

    /// A writer to the same buffer, in the same form.
    pub fn reborrow(&mut self) -> Answer<'_> {
        Answer { form: self.form, out: self.out }
    }

    /// From here on answers a Redis client in RESP3, or in RESP2.
    pub fn switch(&mut self, resp3: bool) {
        self.form = match self.form {
            Form::Plain => Form::Plain,
            Form::Resp | Form::Resp3 if resp3 => Form::Resp3,
            Form::Resp | Form::Resp3 => Form::Resp,
        };
    }

    /// The form in which answers are written.
    pub fn form(&self) -> Form {
        self.form
    }

    fn line(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
        self.out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(form: Form, write: impl FnOnce(&mut Answer<'_>)) -> String {
        let mut out = Vec::new();
        write(&mut Answer::new(form, &mut out));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_answer_has_its_two_forms() {
        let all = |answer: &mut Answer<'_>| {
            answer.ok();
            answer.value(Some(b"v"));
            answer.value(None);
            answer.integer(42);
            answer.failure("ERR", "no");
            answer.list(1);
            answer.value(Some(b"a"));
            answer.end();
            answer.text("x\ny\n");
            answer.map(1);
            answer.value(Some(b"n"));
            answer.integer(1);
            answer.end();
        };
        assert_eq!(answers(Form::Plain, all), "OK\nv\nKey not found\n42\nERROR: no\na\nEND\nx\ny\nEND\nn\n1\nEND\n");
        let resp =
            "+OK\r\n$1\r\nv\r\n$-1\r\n:42\r\n-ERR no\r\n*1\r\n$1\r\na\r\n$4\r\nx\ny\n\r\n*2\r\n$1\r\nn\r\n:1\r\n";
        assert_eq!(answers(Form::Resp, all), resp);
        let resp3 = resp.replace("$-1", "_").replace("*2", "%1").replace("$4\r\nx", "=8\r\ntxt:x");
        assert_eq!(answers(Form::Resp3, all), resp3);
    }
}
