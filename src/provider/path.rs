//! Paths of requests: every name that goes into a URL goes through [`join`], whatever it holds.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

/// Everything but RFC 3986's unreserved characters. Servers differ in what they make of `;`, `+` and `:` in a path (one
/// cuts it at `;`), and none may decide which object a request is about.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Appends segments to a base URL's own path, each as one segment.
///
/// # Errors
/// A segment that no path can hold: an empty one addresses the collection, and `.` and `..` are removed by every URL
/// parser, escaped or not, so that a request would be about something else.
pub(super) fn join(base: &Url, segments: &[&str]) -> Result<Url, String> {
    let mut path = base.path().trim_end_matches('/').to_owned();
    for segment in segments {
        if matches!(*segment, "" | "." | "..") {
            return Err(format!("`{segment}` cannot stand in the path of a request"));
        }
        path.push('/');
        path.extend(utf8_percent_encode(segment, RESERVED));
    }
    let mut url = base.clone();
    url.set_path(&path);
    url.set_query(None);
    url.set_fragment(None);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn joined(base: &str, segments: &[&str]) -> String {
        let base = Url::parse(base).expect("a URL");
        join(&base, segments).expect("a path").to_string()
    }

    #[test]
    fn a_segment_stays_one_segment() {
        for (name, escaped) in [
            ("a:b", "a%3Ab"),
            ("a%2Fb", "a%252Fb"),
            ("50%25", "50%2525"),
            ("urn:x?y#z", "urn%3Ax%3Fy%23z"),
            ("a+b", "a%2Bb"),
            ("a;b", "a%3Bb"),
            ("a b", "a%20b"),
            ("a/b", "a%2Fb"),
            ("é\n", "%C3%A9%0A"),
            ("a.b-c_d~e", "a.b-c_d~e"),
            ("...", "..."),
        ] {
            assert_eq!(
                joined("https://h", &["scopes", name]),
                format!("https://h/scopes/{escaped}")
            );
        }
    }

    #[test]
    fn the_path_of_the_base_stays() {
        assert_eq!(
            joined("https://h:9443/gateway/?q#f", &["a", "b"]),
            "https://h:9443/gateway/a/b"
        );
        assert_eq!(joined("http://127.0.0.1:1/@two", &["a"]), "http://127.0.0.1:1/@two/a");
    }

    #[test]
    fn a_segment_that_would_vanish_is_refused() {
        let base = Url::parse("https://h").expect("a URL");
        for name in ["", ".", ".."] {
            assert!(join(&base, &["scopes", name]).is_err(), "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_a_name_holds_decodes_to_itself(name in ".+") {
            prop_assume!(name != "." && name != "..");
            let base = Url::parse("https://h/base").expect("a URL");
            let url = join(&base, &[&name]).expect("a path");
            let segments: Vec<_> = url.path_segments().expect("a hierarchical URL").collect();
            prop_assert_eq!(segments.len(), 2);
            let decoded = percent_encoding::percent_decode_str(segments[1]).decode_utf8().expect("UTF-8");
            prop_assert_eq!(decoded.as_ref(), name.as_str());
        }
    }
}
