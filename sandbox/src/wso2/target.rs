//! A request target as the Java servers take it apart: checked like `java.net.URI`, then percent-decoded.
//!
//! Two answers hang on these rules: a target that `java.net.URI` refuses is a 500 before any routing, and a scope whose
//! name does not fit into a URI is created but answered with a 500, because its `Location` cannot be built.

use std::fmt;

/// Why `java.net.URI` refuses a string; reads like the message of its `URISyntaxException`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct InvalidUri {
    reason: &'static str,
    /// In UTF-16 code units.
    index: usize,
    input: String,
}

impl fmt::Display for InvalidUri {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} at index {}: {}",
            self.reason, self.index, self.input
        )
    }
}

/// Checks a reference that starts with a single slash: a path, then perhaps a query and a fragment.
///
/// # Errors
/// The first character or percent escape that `java.net.URI` does not take.
pub(super) fn check(input: &str) -> Result<(), InvalidUri> {
    #[derive(Clone, Copy, PartialEq)]
    enum Component {
        Path,
        Query,
        Fragment,
    }
    let refuse = |reason, index| {
        Err(InvalidUri {
            reason,
            index,
            input: input.to_owned(),
        })
    };

    let mut component = Component::Path;
    let mut index = 0;
    let mut rest = input.chars();
    while let Some(character) = rest.next() {
        match character {
            '?' if component == Component::Path => component = Component::Query,
            '#' if component != Component::Fragment => component = Component::Fragment,
            '%' => {
                let digits = rest.as_str().as_bytes().get(..2);
                if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
                    return refuse("Malformed escape pair", index);
                }
            }
            '[' | ']' | '?' if component != Component::Path => {}
            _ if is_allowed(character) => {}
            _ => {
                let reason = match component {
                    Component::Path => "Illegal character in path",
                    Component::Query => "Illegal character in query",
                    Component::Fragment => "Illegal character in fragment",
                };
                return refuse(reason, index);
            }
        }
        index += character.len_utf16();
    }
    Ok(())
}

/// What `java.net.URI` takes anywhere behind the first slash: RFC 2396's characters and its own "other" class.
fn is_allowed(character: char) -> bool {
    if character.is_ascii() {
        return character.is_ascii_alphanumeric() || "_-!.~'()*:@&=+$,;/".contains(character);
    }
    !character.is_control() && !is_java_space(character)
}

/// `Character.isSpaceChar` for what lies beyond ASCII: the categories Zs, Zl and Zp.
fn is_java_space(character: char) -> bool {
    matches!(
        character,
        '\u{a0}' | '\u{1680}' | '\u{2000}'
            ..='\u{200a}' | '\u{2028}' | '\u{2029}' | '\u{202f}' | '\u{205f}' | '\u{3000}'
    )
}

/// Whether a Java program finds nothing in `text` but white space (`StringUtils.isBlank`).
///
/// `Character.isWhitespace` leaves out the non-breaking spaces, so a name of one NBSP is not blank.
pub(super) fn is_blank(text: &str) -> bool {
    text.chars().all(|character| match character {
        '\t'..='\r' | '\u{1c}'..=' ' => true,
        '\u{a0}' | '\u{2007}' | '\u{202f}' => false,
        _ => is_java_space(character),
    })
}

/// A string's length as Java and its databases count it.
pub(super) fn utf16_length(text: &str) -> usize {
    text.encode_utf16().count()
}

/// The text that Netty makes of a request line: one character a byte.
pub(super) fn latin1(text: &str) -> String {
    text.bytes().map(char::from).collect()
}

/// Percent-decodes UTF-8; a byte sequence that is no UTF-8 becomes U+FFFD, and a malformed escape stays as it is.
pub(super) fn percent_decode(text: &str) -> String {
    let mut decoded = String::with_capacity(text.len());
    let mut run = Vec::new();
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let escaped = (character == '%')
            .then(|| rest.get(1..3))
            .flatten()
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        if let Some(byte) = escaped {
            run.push(byte);
            rest = &rest[3..];
        } else {
            decoded.push_str(&String::from_utf8_lossy(&run));
            run.clear();
            decoded.push(character);
            rest = &rest[character.len_utf8()..];
        }
    }
    decoded.push_str(&String::from_utf8_lossy(&run));
    decoded
}

/// The first value of a query parameter, decoded as a form is; a name without `=` has the empty value.
pub(super) fn query_parameter(query: &str, separators: &[char], name: &str) -> Option<String> {
    query
        .split(separators)
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .find(|(key, _)| percent_decode(&key.replace('+', " ")) == name)
        .map(|(_, value)| percent_decode(&value.replace('+', " ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_escape_is_reported_as_java_does() {
        let refused = check("/scopes/a%zz").unwrap_err();
        assert_eq!(
            refused.to_string(),
            "Malformed escape pair at index 9: /scopes/a%zz"
        );
        assert!(check("/scopes/a%2").is_err());
        assert!(check("/scopes/a%2F").is_ok());
    }

    #[test]
    fn each_component_has_its_own_characters() {
        assert!(check("/scopes/a:b@c;d,e~f'g").is_ok());
        assert!(check("/scopes/é日本😀\u{200b}").is_ok());
        for illegal in [
            '"', '<', '\\', '^', '`', '{', '|', '[', ' ', '\n', '\u{7f}', '\u{97}', '\u{a0}',
            '\u{3000}',
        ] {
            assert!(check(&format!("/scopes/{illegal}")).is_err(), "{illegal:?}");
        }
        assert!(check("/scopes?a[0]=?").is_ok());
        assert_eq!(
            check("/s?|").unwrap_err().to_string(),
            "Illegal character in query at index 3: /s?|"
        );
        assert_eq!(
            check("/s#a#").unwrap_err().to_string(),
            "Illegal character in fragment at index 4: /s#a#"
        );
    }

    #[test]
    fn blank_means_what_java_means() {
        assert!(is_blank(""));
        assert!(is_blank(" \t\n\u{1f}\u{3000}"));
        assert!(!is_blank("\u{a0}"));
        assert!(!is_blank("\u{200b}"));
    }

    #[test]
    fn decoding_never_fails() {
        assert_eq!(percent_decode("a%20b+c%C3%A9%F"), "a b+cé%F");
        assert_eq!(percent_decode("%C3"), "\u{fffd}");
        assert_eq!(percent_decode("%é"), "%é");
    }

    #[test]
    fn the_first_repeat_of_a_parameter_wins() {
        assert_eq!(
            query_parameter("limit=5;limit=2", &['&', ';'], "limit").as_deref(),
            Some("5")
        );
        assert_eq!(
            query_parameter("limit=5;limit=2", &['&'], "limit").as_deref(),
            Some("5;limit=2")
        );
        assert_eq!(
            query_parameter("a&limit", &['&'], "limit").as_deref(),
            Some("")
        );
        assert_eq!(query_parameter("Limit=1", &['&'], "limit"), None);
    }
}
