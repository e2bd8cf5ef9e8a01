//! JSON as Gson reads and writes it: lenient on the way in, HTML-safe on the way out.
//!
//! The scope registration API takes whatever Gson takes: names without quotes, comments, `;` for `,`, `=` for `:`, a missing
//! array element as null. Numbers and booleans become strings where a string is wanted, with the very characters that
//! were sent, so a [`Value`] keeps them as text.

/// Nesting beyond this is refused: a hostile body must not exhaust the stack.
const MAX_DEPTH: usize = 128;

/// A JSON value; numbers as they were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    Array(Vec<Value>),
    /// In the order of the text, repeated names included: the last one wins.
    Object(Vec<(String, Value)>),
}

impl Value {
    /// The value as a field of type `String` takes it: null is none, objects and arrays do not fit.
    ///
    /// # Errors
    /// [`Unreadable`] for an object or an array.
    pub(super) fn into_text(self) -> Result<Option<String>, Unreadable> {
        match self {
            Self::Null => Ok(None),
            Self::Bool(value) => Ok(Some(value.to_string())),
            Self::Number(text) | Self::Text(text) => Ok(Some(text)),
            Self::Array(_) | Self::Object(_) => Err(Unreadable),
        }
    }
}

/// The text is no JSON, not even by Gson's standards, or a value is of the wrong type. The real server gives no reason.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unreadable;

/// Reads one document; what follows it, white space and comments apart, makes it unreadable.
///
/// # Errors
/// [`Unreadable`], for an empty text too.
pub(super) fn read(body: &[u8]) -> Result<Value, Unreadable> {
    let text = String::from_utf8_lossy(body);
    let mut reader = Reader {
        text: text.strip_prefix('\u{feff}').unwrap_or(&text),
        at: 0,
    };
    reader.skip_white_space()?;
    // The guard against script inclusion that Gson itself can write.
    if reader.rest().starts_with(")]}'\n") {
        reader.at += 5;
    }
    let value = reader.value(0)?;
    match reader.next_significant()? {
        None => Ok(value),
        Some(_) => Err(Unreadable),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Takes the next character, whatever it is.
    fn take(&mut self) -> Option<char> {
        let character = self.rest().chars().next()?;
        self.at += character.len_utf8();
        Some(character)
    }

    fn skip_while(&mut self, matches: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let length = rest
            .find(|character| !matches(character))
            .unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    fn skip_white_space(&mut self) -> Result<(), Unreadable> {
        loop {
            self.skip_while(|character| matches!(character, '\n' | ' ' | '\r' | '\t'));
            let rest = self.rest();
            if let Some(comment) = rest.strip_prefix("/*") {
                let length = comment.find("*/").ok_or(Unreadable)?;
                self.at += length + 4;
            } else if rest.starts_with("//") || rest.starts_with('#') {
                self.skip_while(|character| !matches!(character, '\n' | '\r'));
            } else {
                return Ok(());
            }
        }
    }

    /// The next character that is neither white space nor comment, without taking it.
    fn next_significant(&mut self) -> Result<Option<char>, Unreadable> {
        self.skip_white_space()?;
        Ok(self.rest().chars().next())
    }

    fn value(&mut self, depth: usize) -> Result<Value, Unreadable> {
        if depth > MAX_DEPTH {
            return Err(Unreadable);
        }
        match self.next_significant()?.ok_or(Unreadable)? {
            '{' => {
                self.at += 1;
                self.members(depth).map(Value::Object)
            }
            '[' => {
                self.at += 1;
                self.elements(depth).map(Value::Array)
            }
            quote @ ('"' | '\'') => {
                self.at += 1;
                self.quoted(quote).map(Value::Text)
            }
            _ => self.literal(),
        }
    }

    /// What follows `[`. A separator without a value before or after it stands for a null.
    fn elements(&mut self, depth: usize) -> Result<Vec<Value>, Unreadable> {
        let mut elements = Vec::new();
        if self.next_significant()? == Some(']') {
            self.at += 1;
            return Ok(elements);
        }
        loop {
            if let Some(']' | ',' | ';') = self.next_significant()? {
                elements.push(Value::Null);
            } else {
                elements.push(self.value(depth + 1)?);
            }
            self.skip_white_space()?;
            match self.take() {
                Some(']') => return Ok(elements),
                Some(',' | ';') => {}
                _ => return Err(Unreadable),
            }
        }
    }

    /// What follows `{`. Unlike an array, an object must not end in a separator.
    fn members(&mut self, depth: usize) -> Result<Vec<(String, Value)>, Unreadable> {
        let mut members = Vec::new();
        if self.next_significant()? == Some('}') {
            self.at += 1;
            return Ok(members);
        }
        loop {
            let name = match self.next_significant()? {
                Some(quote @ ('"' | '\'')) => {
                    self.at += 1;
                    self.quoted(quote)?
                }
                _ => self.unquoted()?.to_owned(),
            };
            self.skip_white_space()?;
            match self.take() {
                Some(':') => {}
                Some('=') => {
                    if self.rest().starts_with('>') {
                        self.at += 1;
                    }
                }
                _ => return Err(Unreadable),
            }
            members.push((name, self.value(depth + 1)?));
            self.skip_white_space()?;
            match self.take() {
                Some('}') => return Ok(members),
                Some(',' | ';') => {}
                _ => return Err(Unreadable),
            }
        }
    }

    fn unquoted(&mut self) -> Result<&'a str, Unreadable> {
        let text = self.skip_while(is_literal);
        if text.is_empty() {
            Err(Unreadable)
        } else {
            Ok(text)
        }
    }

    fn literal(&mut self) -> Result<Value, Unreadable> {
        let text = self.unquoted()?;
        Ok(if text.eq_ignore_ascii_case("null") {
            Value::Null
        } else if text.eq_ignore_ascii_case("true") {
            Value::Bool(true)
        } else if text.eq_ignore_ascii_case("false") {
            Value::Bool(false)
        } else if serde_json::from_str::<serde_json::Number>(text).is_ok() {
            Value::Number(text.to_owned())
        } else {
            Value::Text(text.to_owned())
        })
    }

    /// What follows the opening quote.
    fn quoted(&mut self, quote: char) -> Result<String, Unreadable> {
        let mut text = String::new();
        loop {
            let plain = self.skip_while(|character| character != quote && character != '\\');
            text.push_str(plain);
            match self.take() {
                Some('\\') => text.push(self.escaped()?),
                Some(_) => return Ok(text),
                None => return Err(Unreadable),
            }
        }
    }

    /// What follows a backslash; an escape that does not exist stands for its own character.
    fn escaped(&mut self) -> Result<char, Unreadable> {
        Ok(match self.take().ok_or(Unreadable)? {
            't' => '\t',
            'b' => '\u{8}',
            'n' => '\n',
            'r' => '\r',
            'f' => '\u{c}',
            'u' => {
                let unit = self.code_unit()?;
                if !(0xd800..0xe000).contains(&unit) {
                    return char::from_u32(unit).ok_or(Unreadable);
                }
                let high = self.at;
                if unit < 0xdc00 && self.rest().starts_with("\\u") {
                    self.at += 2;
                    let low = self.code_unit()?;
                    if (0xdc00..0xe000).contains(&low) {
                        let scalar = 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                        return char::from_u32(scalar).ok_or(Unreadable);
                    }
                    self.at = high;
                }
                // Half a surrogate pair has no place in UTF-8: Java writes a question mark for it.
                '?'
            }
            other => other,
        })
    }

    fn code_unit(&mut self) -> Result<u32, Unreadable> {
        let digits = self.rest().get(..4).ok_or(Unreadable)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(Unreadable);
        }
        self.at += 4;
        u32::from_str_radix(digits, 16).map_err(|_| Unreadable)
    }
}

/// Whether a character may stand in a name or a value without quotes.
fn is_literal(character: char) -> bool {
    !matches!(
        character,
        '/' | '\\'
            | ';'
            | '#'
            | '='
            | '{'
            | '}'
            | '['
            | ']'
            | ':'
            | ','
            | ' '
            | '\t'
            | '\u{c}'
            | '\r'
            | '\n'
    )
}

/// Writes a string with its quotes, escaping what could end a script block as Gson does by default.
pub(super) fn write_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut written = 0;
    for (at, character) in text.char_indices() {
        let escape = match character {
            '"' => "\\\"",
            '\\' => "\\\\",
            '\t' => "\\t",
            '\u{8}' => "\\b",
            '\n' => "\\n",
            '\r' => "\\r",
            '\u{c}' => "\\f",
            '<' => "\\u003c",
            '>' => "\\u003e",
            '&' => "\\u0026",
            '=' => "\\u003d",
            '\'' => "\\u0027",
            '\u{2028}' => "\\u2028",
            '\u{2029}' => "\\u2029",
            '\0'..='\u{1f}' => "",
            _ => continue,
        };
        out.extend_from_slice(&bytes[written..at]);
        if escape.is_empty() {
            out.extend_from_slice(format!("\\u{:04x}", u32::from(character)).as_bytes());
        } else {
            out.extend_from_slice(escape.as_bytes());
        }
        written = at + character.len_utf8();
    }
    out.extend_from_slice(&bytes[written..]);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> Value {
        Value::Text(value.to_owned())
    }

    fn object(members: &[(&str, Value)]) -> Value {
        Value::Object(
            members
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect(),
        )
    }

    #[test]
    fn what_no_other_parser_takes_is_taken() {
        let scope = object(&[("name", text("s")), ("description", text("d"))]);
        for lenient in [
            r#"{"name":"s","description":"d"}"#,
            "{name:s,description:d}",
            "/*x*/{'name':'s',//y\n\"description\":\"d\"} # z",
            r#"{"name"="s";"description"=>"d"}"#,
            "\u{feff}{\"name\":\"s\",\"description\":\"d\"}",
            ")]}'\n{\"name\":\"s\",\"description\":\"d\"}",
        ] {
            assert_eq!(read(lenient.as_bytes()), Ok(scope.clone()), "{lenient}");
        }
    }

    #[test]
    fn what_gson_refuses_is_refused() {
        for refused in [
            "",
            "   ",
            "{",
            "{\"name\"",
            "{\"a\":1,}",
            "{\"a\":1}{\"b\":2}",
            "{\"a\":1} x",
            "[1 2]",
            "/* x",
            "\"s",
            "\"\\u12\"",
            "{\"a\":}",
        ] {
            assert_eq!(read(refused.as_bytes()), Err(Unreadable), "{refused}");
        }
        let deep = "[".repeat(100_000);
        assert_eq!(read(deep.as_bytes()), Err(Unreadable));
    }

    #[test]
    fn a_missing_element_is_null() {
        assert_eq!(
            read(b"[,1;]"),
            Ok(Value::Array(vec![
                Value::Null,
                Value::Number("1".to_owned()),
                Value::Null
            ]))
        );
        assert_eq!(read(b"[]"), Ok(Value::Array(Vec::new())));
    }

    #[test]
    fn numbers_keep_their_spelling_and_anything_else_is_text() {
        assert_eq!(read(b"1e3"), Ok(Value::Number("1e3".to_owned())));
        assert_eq!(read(b"007"), Ok(text("007")));
        assert_eq!(read(b"TRUE"), Ok(Value::Bool(true)));
        assert_eq!(read(b"NaN"), Ok(text("NaN")));
    }

    #[test]
    fn escapes_are_java_s() {
        assert_eq!(
            read(br#""\ud83d\ude00\u00e9\q\'\ud800x""#),
            Ok(text("😀éq'?x"))
        );
    }

    #[test]
    fn output_is_safe_inside_html() {
        let mut out = Vec::new();
        write_text(&mut out, "l1\n<b>\"q\"</b> & 'x'=1 \\ \u{2028} é \u{1}");
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#""l1\n\u003cb\u003e\"q\"\u003c/b\u003e \u0026 \u0027x\u0027\u003d1 \\ \u2028 é \u0001""#
        );
    }
}
