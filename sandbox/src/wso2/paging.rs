//! The paging that both scope APIs share, overflow of Java's `int` included.

/// Default page size of both APIs.
pub(super) const DEFAULT_LIMIT: i32 = 25;

/// `offset` and `limit` as the client sent them: neither is checked by the real servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) offset: i32,
    pub(super) limit: i32,
}

impl Page {
    /// The offset of the next page; none on the last page and where the offset lies outside the list.
    pub(super) fn next_offset(self, total: usize) -> Option<i32> {
        let total = as_int(total);
        let next = self.offset.wrapping_add(self.limit);
        (self.is_inside(total) && next < total).then_some(next)
    }

    /// The offset of the previous page; with `limit=0` that is the page itself, which a naive client follows for ever.
    pub(super) fn previous_offset(self, total: usize) -> Option<i32> {
        (self.is_inside(as_int(total)) && self.offset > 0)
            .then(|| self.offset.wrapping_sub(self.limit).max(0))
    }

    /// `next` and `previous` as the answers carry them: relative to the API's base, empty at the edges.
    pub(super) fn links(self, total: usize) -> (String, String) {
        let link = |offset: Option<i32>| {
            offset.map_or_else(String::new, |offset| {
                format!("/scopes?limit={}&offset={offset}", self.limit)
            })
        };
        (
            link(self.next_offset(total)),
            link(self.previous_offset(total)),
        )
    }

    fn is_inside(self, total: i32) -> bool {
        (0..total).contains(&self.offset)
    }
}

fn as_int(total: usize) -> i32 {
    i32::try_from(total).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(offset: i32, limit: i32, total: usize) -> (Option<i32>, Option<i32>) {
        let page = Page { offset, limit };
        (page.next_offset(total), page.previous_offset(total))
    }

    #[test]
    fn pages_link_to_their_neighbours() {
        assert_eq!(links(0, 2, 5), (Some(2), None));
        assert_eq!(links(2, 2, 5), (Some(4), Some(0)));
        assert_eq!(links(3, 6, 5), (None, Some(0)));
        assert_eq!(links(5, 1, 5), (None, None));
        assert_eq!(links(-1, 2, 5), (None, None));
    }

    #[test]
    fn a_page_of_nothing_links_to_itself() {
        assert_eq!(links(3, 0, 5), (Some(3), Some(3)));
        assert_eq!(links(0, 0, 5), (Some(0), None));
    }

    #[test]
    fn sums_overflow_as_in_java() {
        assert_eq!(links(1, i32::MAX, 5), (Some(i32::MIN), Some(0)));
        assert_eq!(links(1, i32::MIN, 5), (Some(-2_147_483_647), Some(0)));
        assert_eq!(links(3, -5, 5), (Some(-2), Some(8)));
    }
}
