//! Octets that a decoder of UTF-8 takes or refuses.

/// Sequences of one kind.
pub(super) struct Sequences {
    pub(super) about: &'static str,
    /// Each with whether it is UTF-8.
    pub(super) octets: Vec<(bool, Vec<u8>)>,
}

/// The kinds in the order of the suite, from 6.5 on.
pub(super) fn all() -> Vec<Sequences> {
    let mut all = lengths();
    all.extend(cut());
    all.extend(overlong());
    all.extend(surrogates());
    all.extend([
        valid("code points that are no characters", &no_characters()),
        valid("the code points U+FFF9 to U+FFFF", &specials()),
    ]);
    all
}

fn valid(about: &'static str, octets: &[Vec<u8>]) -> Sequences {
    Sequences { about, octets: octets.iter().map(|octets| (true, octets.clone())).collect() }
}

fn invalid(about: &'static str, octets: &[&[u8]]) -> Sequences {
    Sequences { about, octets: octets.iter().map(|octets| (false, octets.to_vec())).collect() }
}

fn owned(octets: &[&[u8]]) -> Vec<Vec<u8>> {
    octets.iter().map(|octets| octets.to_vec()).collect()
}

/// 6.5 to 6.11: correct text, and code points at the edges of each length.
fn lengths() -> Vec<Sequences> {
    let kosme = super::KOSME;
    let letters = [&b"\x24"[..], b"\xC2\xA2", b"\xE2\x82\xAC", b"\xF0\xA4\xAD\xA2"];
    let mut text: Vec<Vec<u8>> =
        letters.iter().map(|letter| [b"hello", *letter, b"world"].concat()).collect();
    text.push(kosme.to_vec());
    let ends_with_a_letter = [2, 5, 7, 9, 11];
    let prefixes = (1..=kosme.len()).map(|end| (ends_with_a_letter.contains(&end), kosme[..end].to_vec()));
    let mut edges = valid(
        "code points beside those that are invalid",
        &owned(&[b"\xED\x9F\xBF", b"\xEE\x80\x80", b"\xEF\xBF\xBD", b"\xF4\x8F\xBF\xBF"]),
    );
    edges.octets.push((false, b"\xF4\x90\x80\x80".to_vec()));
    vec![
        valid("correct text", &text),
        Sequences { about: "each prefix of a correct text", octets: prefixes.collect() },
        valid(
            "the first code point of each length",
            &owned(&[b"\x00", b"\xC2\x80", b"\xE0\xA0\x80", b"\xF0\x90\x80\x80"]),
        ),
        invalid("the first of 5 and of 6 octets", &[b"\xF8\x88\x80\x80\x80", b"\xFC\x84\x80\x80\x80\x80"]),
        valid(
            "the last code point of each length",
            &owned(&[b"\x7F", b"\xDF\xBF", b"\xEF\xBF\xBF", b"\xF4\x8F\xBF\xBF"]),
        ),
        invalid(
            "the last of 4, 5 and 6 octets",
            &[b"\xF7\xBF\xBF\xBF", b"\xFB\xBF\xBF\xBF\xBF", b"\xFD\xBF\xBF\xBF\xBF\xBF"],
        ),
        edges,
    ]
}

/// 6.12 to 6.16: octets without the others of their code point.
fn cut() -> Vec<Sequences> {
    let alternating = b"\x80\xBF\x80\xBF\x80\xBF";
    let mut unexpected: Vec<&[u8]> = vec![b"\x80", b"\xBF"];
    unexpected.extend((2..=6).map(|end| &alternating[..end]));
    let continuations: Vec<u8> = (0x80..0xBF).collect();
    unexpected.push(&continuations);
    let starts = [(0xC0, 0xDF), (0xE0, 0xEF), (0xF0, 0xF7), (0xF8, 0xFB), (0xFC, 0xFD)];
    let lonely: Vec<Vec<u8>> =
        starts.iter().map(|(from, to)| (*from..*to).flat_map(|start| [start, b' ']).collect()).collect();
    let lonely: Vec<&[u8]> = lonely.iter().map(Vec::as_slice).collect();
    let shortened: [&[u8]; 10] = [
        b"\xC0",
        b"\xE0\x80",
        b"\xF0\x80\x80",
        b"\xF8\x80\x80\x80",
        b"\xFC\x80\x80\x80\x80",
        b"\xDF",
        b"\xEF\xBF",
        b"\xF7\xBF\xBF",
        b"\xFB\xBF\xBF\xBF",
        b"\xFD\xBF\xBF\xBF\xBF",
    ];
    vec![
        invalid("continuation octets alone", &unexpected),
        invalid("first octets alone", &lonely),
        invalid("sequences without their last octet", &shortened),
        invalid("all of these behind each other", &[&shortened.concat()]),
        invalid("octets that UTF-8 never has", &[b"\xFE", b"\xFF", b"\xFE\xFE\xFF\xFF"]),
    ]
}

/// 6.17 to 6.19: code points with more octets than they need.
fn overlong() -> Vec<Sequences> {
    vec![
        invalid(
            "a slash with too many octets",
            &[
                b"\xC0\xAF",
                b"\xE0\x80\xAF",
                b"\xF0\x80\x80\xAF",
                b"\xF8\x80\x80\x80\xAF",
                b"\xFC\x80\x80\x80\x80\xAF",
            ],
        ),
        invalid(
            "the last code point of each length with one octet more",
            &[
                b"\xC1\xBF",
                b"\xE0\x9F\xBF",
                b"\xF0\x8F\xBF\xBF",
                b"\xF8\x87\xBF\xBF\xBF",
                b"\xFC\x83\xBF\xBF\xBF\xBF",
            ],
        ),
        invalid(
            "NUL with too many octets",
            &[
                b"\xC0\x80",
                b"\xE0\x80\x80",
                b"\xF0\x80\x80\x80",
                b"\xF8\x80\x80\x80\x80",
                b"\xFC\x80\x80\x80\x80\x80",
            ],
        ),
    ]
}

/// 6.20 and 6.21: halves of UTF-16 pairs.
fn surrogates() -> Vec<Sequences> {
    let single: [&[u8]; 7] = [
        b"\xED\xA0\x80",
        b"\xED\xAD\xBF",
        b"\xED\xAE\x80",
        b"\xED\xAF\xBF",
        b"\xED\xB0\x80",
        b"\xED\xBE\x80",
        b"\xED\xBF\xBF",
    ];
    let high = &single[..4];
    let low = [single[4], single[6]];
    let pairs: Vec<Vec<u8>> = high.iter().flat_map(|high| low.map(|low| [*high, low].concat())).collect();
    let pairs: Vec<&[u8]> = pairs.iter().map(Vec::as_slice).collect();
    vec![invalid("single surrogates", &single), invalid("pairs of surrogates", &pairs)]
}

/// 6.22: the last two code points of each plane's quarter that end with FFFE and FFFF.
fn no_characters() -> Vec<Vec<u8>> {
    let mut found = owned(&[b"\xEF\xBF\xBE", b"\xEF\xBF\xBF"]);
    for plane in 0xF0..=0xF4 {
        for quarter in [0x8F, 0x9F, 0xAF, 0xBF] {
            let is_overlong = plane == 0xF0 && quarter == 0x8F;
            let is_above = plane == 0xF4 && quarter != 0x8F;
            if !is_overlong && !is_above {
                found.extend([0xBE, 0xBF].map(|last| vec![plane, quarter, 0xBF, last]));
            }
        }
    }
    found
}

/// 6.23.
fn specials() -> Vec<Vec<u8>> {
    (0xB9..=0xBF).map(|last| vec![0xEF, 0xBF, last]).collect()
}
