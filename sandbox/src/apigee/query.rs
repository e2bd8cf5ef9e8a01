//! Query strings as both editions read them, and the pages that lists are cut into.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::answer::Fault;

/// A query string, decoded. A parameter with an empty value counts as absent: clients send `startKey=` on first pages.
#[derive(Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(query: Option<&str>) -> Self {
        let pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        Self(
            pairs
                .into_owned()
                .filter(|(_, value)| !value.is_empty())
                .collect(),
        )
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let pair = self.0.iter().find(|(key, _)| key == name)?;
        Some(&pair.1)
    }

    /// Whether a flag is set; Python clients write `True`.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.get(name)
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<usize>, Fault> {
        self.get(name)
            .map(|value| {
                value
                    .parse()
                    .map_err(|_| Fault::invalid(format!("Invalid value at '{name}': \"{value}\"")))
            })
            .transpose()
    }
}

/// Makes the token of the page that begins with `first`.
pub(super) fn page_token(first: &str) -> String {
    URL_SAFE_NO_PAD.encode(first)
}

/// Reads what [`page_token`] made.
pub(super) fn read_page_token(token: &str) -> Result<String, Fault> {
    URL_SAFE_NO_PAD
        .decode(token)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| Fault::invalid("Invalid page token".to_owned()))
}

/// A page of a list, with the name of the first item after it.
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    pub(super) next: Option<T>,
}

impl<T> Page<T> {
    /// Takes `size` items, looking at one more at the most.
    pub(super) fn take(mut items: impl Iterator<Item = T>, size: usize) -> Self {
        Self {
            items: items.by_ref().take(size).collect(),
            next: items.next(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_send_is_read() {
        let query = Query::parse(Some(
            "alt=json&expand=True&startKey=&count=100&filter=developerEmail%3Dann%40example.com",
        ));
        assert!(query.flag("expand"));
        assert_eq!(
            query.get("startKey"),
            None,
            "an empty startKey is no startKey"
        );
        assert_eq!(query.number("count").unwrap(), Some(100));
        assert_eq!(query.get("filter"), Some("developerEmail=ann@example.com"));
        assert!(Query::parse(Some("count=many")).number("count").is_err());
        assert!(!Query::parse(None).flag("expand"));
    }

    #[test]
    fn a_page_token_comes_back_as_the_name_it_was_made_of() {
        assert_eq!(
            read_page_token(&page_token("my app %")).unwrap(),
            "my app %"
        );
        assert!(read_page_token("%%").is_err());
    }

    #[test]
    fn a_page_knows_what_follows_it() {
        let page = Page::take(1..=3, 2);
        assert_eq!((page.items, page.next), (vec![1, 2], Some(3)));
        let page = Page::take(1..=2, 2);
        assert_eq!((page.items, page.next), (vec![1, 2], None));
    }
}
