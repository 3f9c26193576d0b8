//! Cuts turns to the size of an answer. Pure.

use skein_protocol::item::{ThreadItem, ThreadItemBody};
use skein_protocol::turn::{Turn, TurnItemsView, UserInput};

use skein_store::history::{json_bytes, seen_as};

/// The end of a text that was cut.
const CUT: &str = " […]";
/// The placeholder of an image or a sound that is too large.
const LEFT_OUT: &str = "[too large to be shown here]";

/// The turn in `most` bytes of JSON: all of it, or its summary with texts cut as far as necessary.
pub(crate) fn fit(turn: Turn, most: usize) -> Turn {
    if json_bytes(&turn) <= most {
        return turn;
    }
    let mut summary = seen_as(&turn, TurnItemsView::Summary);
    if json_bytes(&summary) > most {
        let parts = summary.items.len() + usize::from(summary.error.is_some());
        // The other half is for the JSON around the texts.
        let each = most / 2 / parts.max(1);
        summary.items.iter_mut().for_each(|item| shorten(item, each));
        if let Some(error) = &mut summary.error {
            error.message = cut(&error.message, each);
        }
    }
    summary
}

/// The turns in `most` bytes together, or `None`. A turn of more than half of that is cut.
pub(crate) fn all_within(turns: impl IntoIterator<Item = (Turn, usize)>, most: usize) -> Option<Vec<Turn>> {
    let (mut turns, mut sizes): (Vec<Turn>, Vec<usize>) = turns.into_iter().unzip();
    while sizes.iter().sum::<usize>() > most {
        let large = sizes.iter_mut().zip(&mut turns).max_by_key(|(size, _)| **size);
        let (size, turn) = large.filter(|(size, _)| **size > most / 2)?;
        *turn = fit(turn.clone(), most / 8);
        *size = json_bytes(turn);
    }
    Some(turns)
}

fn shorten(item: &mut ThreadItem, most: usize) {
    if let ThreadItemBody::UserMessage(message) = &mut item.body {
        let mut left = most;
        let inputs = std::mem::take(&mut message.content).into_iter().map_while(|input| {
            let input = (left > 0).then(|| shorter(input, left))?;
            left = left.saturating_sub(json_bytes(&input));
            Some(input)
        });
        message.content = inputs.collect();
    } else if let ThreadItemBody::AgentMessage(message) = &mut item.body {
        message.text = cut(&message.text, most);
    }
}

fn shorter(input: UserInput, most: usize) -> UserInput {
    match input {
        small if json_bytes(&small) <= most => small,
        UserInput::Text { text, .. } => UserInput::text(cut(&text, most)),
        UserInput::Image { .. }
        | UserInput::LocalImage { .. }
        | UserInput::Audio { .. }
        | UserInput::LocalAudio { .. }
        | UserInput::Skill { .. }
        | UserInput::Mention { .. } => UserInput::text(LEFT_OUT),
    }
}

/// The beginning of a text, in `most` bytes of JSON.
fn cut(text: &str, most: usize) -> String {
    if json_bytes(&text) <= most {
        return text.to_owned();
    }
    let mut left = most.saturating_sub(CUT.len());
    let fits = |letter: &char| match left.checked_sub(escaped(*letter)) {
        Some(rest) => {
            left = rest;
            true
        }
        None => false,
    };
    let mut kept: String = text.chars().take_while(fits).collect();
    kept.push_str(CUT);
    kept
}

/// An upper bound for the bytes of a letter in a JSON string.
fn escaped(letter: char) -> usize {
    match letter {
        '"' | '\\' => 2,
        control if control.is_ascii_control() => 6,
        other => other.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use skein_protocol::ids::TurnId;
    use skein_protocol::turn::TurnError;

    use super::*;

    const MOST: usize = 20_000;

    fn turn(texts: &[String]) -> Turn {
        let mut turn = Turn::new(TurnId::from("t"), 5);
        let input = |text: &String| vec![UserInput::text(text.as_str()), UserInput::text("more")];
        turn.items = texts.iter().map(|text| ThreadItem::user_message("u", input(text), None)).collect();
        turn.items.extend(texts.iter().map(|text| ThreadItem::agent_message("a", text.as_str())));
        turn.error = texts.last().map(|text| TurnError::new(text.as_str()));
        turn
    }

    proptest! {
        #[test]
        fn a_turn_fits_into_what_there_is(
            texts in prop::collection::vec(("\\PC{0,3}|[\n\t\u{1}\"\\\\é🧵]", 0usize..20_000), 0..4)
        ) {
            let texts: Vec<String> = texts.iter().map(|(word, count)| word.repeat(*count)).collect();
            let turn = turn(&texts);
            let shown = fit(turn.clone(), MOST);
            prop_assert!(json_bytes(&shown) <= MOST, "{} bytes", json_bytes(&shown));
            prop_assert!(json_bytes(&turn) > MOST || shown == turn, "what fits is shown whole");
            prop_assert_eq!((&shown.id, shown.status), (&turn.id, turn.status));
        }
    }

    fn sized(turns: Vec<Turn>) -> impl Iterator<Item = (Turn, usize)> {
        turns.into_iter().map(|turn| (turn.clone(), json_bytes(&turn)))
    }

    #[test]
    fn only_what_takes_half_of_an_answer_is_cut() {
        let [small, large] = ["a".repeat(10), "b".repeat(MOST)].map(|text| turn(&[text]));
        let shown =
            all_within(sized(vec![small.clone(), large.clone(), small.clone(), large]), MOST).unwrap();
        assert_eq!((shown.len(), &shown[0], &shown[2]), (4, &small, &small));
        assert!(shown.iter().map(json_bytes).sum::<usize>() <= MOST);
        assert_eq!(all_within(sized(vec![turn(&["c".repeat(MOST / 12)]); 9]), MOST), None);
    }
}
