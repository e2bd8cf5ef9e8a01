//! "Did you mean".

/// The candidate that is most like `word`, if one is near enough to be what was meant.
pub(super) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // Long texts are not mistyped names, and the distance takes time that grows with their product.
    if word.len() > 100 {
        return None;
    }
    let lower = word.to_lowercase();
    // A third of the letters may be wrong; one letter always may where there are three.
    let length = lower.chars().count();
    let limit = (length / 3).max(1);
    candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= 255)
        // No text of another length is nearer than the difference, and counting is quicker than comparing.
        .filter(|candidate| candidate.chars().count().abs_diff(length) <= limit)
        .map(|candidate| {
            let distance = strsim::damerau_levenshtein(&lower, &candidate.to_lowercase());
            (distance, candidate)
        })
        .filter(|(distance, candidate)| *distance <= limit && *distance < candidate.chars().count())
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested_and_a_far_one_is_not() {
        let keys = ["description", "displayName", "deletionPolicy"];
        assert_eq!(nearest("descripton", keys), Some("description"));
        assert_eq!(nearest("DisplayName", keys), Some("displayName"));
        assert_eq!(nearest("name", keys), None);
        assert_eq!(nearest("", ["a"]), None);
        assert_eq!(nearest(&"x".repeat(1000), keys), None);
    }
}
