use proptest::prelude::*;

use super::*;

fn hits(term: &str, text: &str) -> Vec<String> {
    SearchTerm::new(term).unwrap().all_in(text).map(|range| text[range].to_owned()).collect()
}

#[test]
fn upper_and_lower_case_are_the_same_also_outside_of_ascii() {
    assert_eq!(hits("build", "Build, BUILD and rebuild"), ["Build", "BUILD", "build"]);
    assert_eq!(hits("zürich", "ZÜRICH → Zürich"), ["ZÜRICH", "Zürich"]);
    assert_eq!(hits("ÉCOLE", "l'école"), ["école"]);
    assert_eq!(hits("σας", "ΣΑΣ"), ["ΣΑΣ"]);
    assert_eq!(hits("кот", "КОТ и кот"), ["КОТ", "кот"]);
}

#[test]
fn a_character_that_folds_to_several_is_found_whole() {
    assert_eq!(hits("STRASSE", "Die Straße, die Strasse"), ["Straße", "Strasse"]);
    assert_eq!(hits("ß", "MASSE"), ["SS"]);
    // Half of it is enough, and is one hit.
    assert_eq!(hits("s", "aßb"), ["ß"]);
    assert_eq!(hits("as", "aßb"), ["aß"]);
}

#[test]
fn nothing_is_a_wildcard_and_no_hit_lies_in_another() {
    assert_eq!(hits("a.c", "abc a.c"), ["a.c"]);
    assert_eq!(hits("%", "50 % of * _"), ["%"]);
    assert_eq!(hits("aa", "aaaaa"), ["aa", "aa"]);
    assert_eq!(hits("say \"hi\"\n\tnow", "he SAY \"HI\"\n\tNOW!"), ["SAY \"HI\"\n\tNOW"]);
}

#[test]
fn what_is_empty_or_endless_is_refused() {
    assert_eq!(SearchTerm::new("").unwrap_err(), TermError::Empty);
    assert_eq!(SearchTerm::new(&"x".repeat(policy::SEARCH_TERM + 1)).unwrap_err(), TermError::TooLong);
    assert!(SearchTerm::new(&"x".repeat(policy::SEARCH_TERM)).is_ok());
}

#[test]
fn lines_are_passed_over_only_where_the_text_cannot_be() {
    let passed = |term: &str, line: &str| !SearchTerm::new(term).unwrap().may_be_in(line.as_bytes());
    assert!(passed("needle", r#"{"text":"hay"}"#));
    assert!(passed("zürich", r#"{"text":"Zurich → Basel"}"#));
    assert!(!passed("needle", r#"{"text":"NEEDLE"}"#));
    // Escaped by number: any character is possible.
    assert!(!passed("needle", r#"{"text":"n\u0065edle"}"#));
    // A part is enough if the whole is escaped.
    assert!(!passed("a \"needle\"", r#"{"text":"a \"needle\""}"#));
    assert!(!passed("\"", r#"{"text":"hay"}"#));
    let broken = [b"needle".as_slice(), &[0xff]].concat();
    assert!(!SearchTerm::new("needle").unwrap().may_be_in(&broken), "a line that is no UTF-8 is no record");
}

/// Letters with unusual folding, and characters that JSON escapes.
fn text() -> impl Strategy<Value = String> {
    proptest::collection::vec(
        prop_oneof![
            Just('s'),
            Just('S'),
            Just('ß'),
            Just('ẞ'),
            Just('ſ'),
            Just('K'),
            Just('K'),
            Just('i'),
            Just('İ'),
            Just('ı'),
            Just('ŉ'),
            Just('ς'),
            Just('ﬁ'),
            Just('"'),
            Just('\\'),
            Just('/'),
            Just('\n'),
            Just('\u{1b}'),
            Just('😀'),
            Just('ü'),
            Just(' '),
            any::<char>()
        ],
        0..12,
    )
    .prop_map(String::from_iter)
}

proptest! {
    #[test]
    fn folding_twice_is_folding_once(text in text()) {
        prop_assert_eq!(fold(&fold(&text)), fold(&text));
    }

    #[test]
    fn what_is_there_is_found_and_its_line_is_not_passed_over(before in text(), needle in text(), after in text()) {
        prop_assume!(!needle.is_empty());
        let text = [before.as_str(), &needle, &after].concat();
        let line = serde_json::to_string(&text).unwrap();
        for needle in [needle.clone(), needle.to_uppercase(), needle.to_lowercase(), fold(&needle)] {
            let term = SearchTerm::new(&needle).unwrap();
            // For some characters, the lower case of the upper case differs: only equal foldings count.
            if fold(&text).contains(&fold(&needle)) {
                let hit = term.first_in(&text).unwrap();
                prop_assert!(fold(&text[hit.clone()]).contains(&fold(&needle)), "{:?} in {:?}", hit, text);
                prop_assert!(term.may_be_in(line.as_bytes()), "{:?} in {}", needle, line);
            }
        }
        prop_assert!(SearchTerm::new(&needle).unwrap().first_in(&text).is_some());
    }

    #[test]
    fn hits_follow_each_other_at_the_borders_of_characters(term in text(), text in text()) {
        prop_assume!(!term.is_empty());
        let mut end = 0;
        for hit in SearchTerm::new(&term).unwrap().all_in(&text) {
            prop_assert!(hit.start >= end && hit.end > hit.start, "{hit:?} behind {end}");
            prop_assert!(text.get(hit.clone()).is_some());
            end = hit.end;
        }
    }
}
