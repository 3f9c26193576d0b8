//! Known limits and abilities of models, by name. Pure; the rows are in `abilities/table.rs`.

pub(crate) mod table;

/// The limits and abilities of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abilities {
    /// The context window, in tokens.
    pub window: i64,
    /// The most tokens of one answer, if bounded apart from the window.
    pub output: Option<u32>,
    /// Whether it takes images.
    pub images: bool,
    /// Whether it may be asked for several calls at once.
    pub parallel_calls: bool,
}

impl Abilities {
    /// Finds the row with the longest prefix of this name. The name may begin with its maker (`openai/gpt-5`). It may
    /// end with a date or size (`gpt-5-2025-08-07`, `gpt-oss:20b`).
    pub fn of(model: &str) -> Option<Self> {
        let name = model.rsplit('/').next().unwrap_or(model).to_ascii_lowercase();
        let rows = table::ROWS.iter().filter(|row| name.strip_prefix(row.name).is_some_and(is_variant));
        rows.max_by_key(|row| row.name.len()).map(|row| row.abilities)
    }
}

/// Whether the rest of a name is a variant of the same model. Another version number is another model.
fn is_variant(rest: &str) -> bool {
    let Some(behind) = rest.strip_prefix(['-', ':', '@']) else { return rest.is_empty() };
    let end = behind.find(|c: char| !c.is_ascii_digit()).unwrap_or(behind.len());
    let is_number = (1..=2).contains(&end) && matches!(behind[end..].chars().next(), None | Some('-' | '.'));
    !(rest.starts_with('-') && is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_known_by_the_longest_row_and_another_version_is_another_model() {
        let window = |model: &str| Abilities::of(model).map(|known| known.window);
        for (model, known) in [
            ("gpt-5", Some(272_000)),
            ("openai/gpt-5-2025-08-07", Some(272_000)),
            ("gpt-5-chat-latest", Some(128_000)),
            ("gpt-4.1-mini", Some(1_047_576)),
            ("Claude-Opus-4-1-20250805", Some(200_000)),
            ("claude-opus-4-6", Some(1_000_000)),
            ("gpt-oss:20b", Some(131_072)),
            ("gpt-7", None),
            ("claude-opus-4-99", None),
            ("gpt-5.99", None),
            ("my-gpt-5", None),
            ("", None),
        ] {
            assert_eq!(window(model), known, "{model}");
        }
    }

    #[test]
    fn each_row_is_there_once_and_says_where_it_is_from() {
        for (at, row) in table::ROWS.iter().enumerate() {
            assert!(table::ROWS[at + 1..].iter().all(|other| other.name != row.name), "{}", row.name);
            assert_eq!(Abilities::of(row.name), Some(row.abilities), "{}", row.name);
            assert!(row.source.contains("2026-"), "{}", row.name);
            let Abilities { window, output, .. } = row.abilities;
            assert!((1_000..=20_000_000).contains(&window), "{}", row.name);
            assert!(output.is_none_or(|most| i64::from(most) <= window), "{}", row.name);
        }
    }
}
