//! The edit distance of two names.

/// Returns the Damerau-Levenshtein distance of two names if it is `limit` at most: the number of
/// inserted, removed and replaced bytes and of swapped neighbours (optimal string alignment).
pub(super) fn edit_distance(one: &[u8], other: &[u8], limit: usize) -> Option<usize> {
    if one.len().abs_diff(other.len()) > limit {
        return None;
    }
    let mut before_last = vec![0; other.len() + 1];
    let mut last: Vec<usize> = (0..=other.len()).collect();
    let mut row = last.clone();
    for (i, &a) in one.iter().enumerate() {
        row[0] = i + 1;
        for (j, &b) in other.iter().enumerate() {
            let replaced = last[j] + usize::from(a != b);
            let mut best = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a == other[j - 1] && b == one[i - 1] {
                best = best.min(before_last[j - 1] + 1);
            }
            row[j + 1] = best;
        }
        // A swap reaches back over two rows.
        let lowest = row.iter().chain(&last).min();
        if lowest.is_some_and(|lowest| *lowest > limit) {
            return None;
        }
        std::mem::swap(&mut before_last, &mut last);
        std::mem::swap(&mut last, &mut row);
    }
    Some(last[other.len()]).filter(|distance| *distance <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_each_kind_of_edit() {
        for (one, other, expected) in [
            ("", "", 0),
            ("MARK", "MARK", 0),
            ("MARKS", "MARK", 1),
            ("MRK", "MARK", 1),
            ("MERK", "MARK", 1),
            ("MAKR", "MARK", 1),
            ("AMKR", "MARK", 2),
            ("REQUIER_MRAK", "REQUIRE_MARK", 2),
            ("", "AB", 2),
            ("ABCDEF", "FEDCBA", 5),
        ] {
            let found = edit_distance(one.as_bytes(), other.as_bytes(), 9);
            assert_eq!(found, Some(expected), "{one} {other}");
            let back = edit_distance(other.as_bytes(), one.as_bytes(), 9);
            assert_eq!(back, Some(expected), "{other} {one}");
        }
    }

    #[test]
    fn distance_over_the_limit_is_none() {
        assert_eq!(edit_distance(b"MARK", b"STAGE", 2), None);
        assert_eq!(edit_distance(b"MARK", b"MARKING", 2), None);
        assert_eq!(edit_distance(b"AMKR", b"MARK", 2), Some(2));
        assert_eq!(edit_distance(b"AMKR", b"MARK", 1), None);
    }

    proptest::proptest! {
        #[test]
        fn limit_changes_no_distance_within_it(one in "[AB_]{0,8}", other in "[AB_]{0,8}") {
            let (one, other) = (one.as_bytes(), other.as_bytes());
            let whole = edit_distance(one, other, 16).unwrap();
            for limit in 0..=8 {
                let expected = Some(whole).filter(|whole| *whole <= limit);
                proptest::prop_assert_eq!(edit_distance(one, other, limit), expected);
            }
        }
    }
}
