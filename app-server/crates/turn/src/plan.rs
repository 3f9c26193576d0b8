//! Finds plans in a model's text: the lines between `<proposed_plan>` and `</proposed_plan>`, each on a line of its
//! own, in the peer's format. Pure; a tag may arrive in several pieces.

/// Instructions for plan mode, if the client brings none.
pub const PLAN_MODE: &str = "You are in plan mode, until a developer message says otherwise. The user wants a plan now, and no \
    changes: a request to do something is a request to plan it. Look at what you need by tools that only read. Call no tool that \
    changes files, settings or anything outside, also where the user asks for it.\n\n\
    First find out what is there. Then settle with the user what is wanted and what is open; ask about what you cannot find out \
    and what would change the plan. When nothing is left to decide, write the plan: what is done, in which order, what changes \
    where, how it is tested, and what was taken for granted. Somebody else can carry it out without asking.\n\n\
    Write the finished plan in Markdown between these two tags, each on a line of its own, once in an answer:\n\n\
    <proposed_plan>\n(the plan)\n</proposed_plan>\n\n\
    When the user wants it otherwise, write the whole plan anew in the same way. Do not ask whether you may carry it out: the \
    user's client does.";

const OPEN: &str = "<proposed_plan>";
const CLOSE: &str = "</proposed_plan>";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PlanPiece {
    Beside(String),
    /// A plan begins and replaces an earlier one.
    Begins,
    Plan(String),
}

/// Splits a complete message into the text beside its plans, and its last plan.
#[must_use]
pub(crate) fn whole(text: &str) -> (String, Option<String>) {
    let mut splitter = Splitter::default();
    let mut pieces = splitter.take(text);
    pieces.extend(splitter.end());
    let (mut beside, mut plan) = (String::new(), None);
    for piece in pieces {
        match piece {
            PlanPiece::Beside(text) => beside.push_str(&text),
            PlanPiece::Begins => plan = Some(String::new()),
            PlanPiece::Plan(text) => plan.get_or_insert_default().push_str(&text),
        }
    }
    (beside, plan)
}

/// Splits streamed text into pieces.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    /// The beginning of a line that may become a tag.
    line: String,
    /// Whether the rest of the current line cannot be a tag.
    inside_line: bool,
    in_plan: bool,
}

impl Splitter {
    /// Returns the pieces that are certain by now.
    pub(crate) fn take(&mut self, words: &str) -> Vec<PlanPiece> {
        let mut pieces = Vec::new();
        for part in words.split_inclusive('\n') {
            if self.inside_line {
                self.say(part, &mut pieces);
                self.inside_line = !part.ends_with('\n');
                continue;
            }
            self.line.push_str(part);
            if part.ends_with('\n') {
                self.end_line(&mut pieces);
            } else if !self.may_be_tag() {
                self.inside_line = true;
                let line = std::mem::take(&mut self.line);
                self.say(&line, &mut pieces);
            }
        }
        pieces
    }

    /// Returns the rest at the end of a message.
    pub(crate) fn end(&mut self) -> Vec<PlanPiece> {
        let mut pieces = Vec::new();
        self.end_line(&mut pieces);
        *self = Self::default();
        pieces
    }

    fn tag(&self) -> &'static str {
        if self.in_plan { CLOSE } else { OPEN }
    }

    fn may_be_tag(&self) -> bool {
        let line = self.line.trim();
        self.tag().starts_with(line)
    }

    fn end_line(&mut self, pieces: &mut Vec<PlanPiece>) {
        let line = std::mem::take(&mut self.line);
        self.inside_line = false;
        if line.trim() != self.tag() {
            return self.say(&line, pieces);
        }
        self.in_plan = !self.in_plan;
        if self.in_plan {
            pieces.push(PlanPiece::Begins);
        }
    }

    fn say(&self, text: &str, pieces: &mut Vec<PlanPiece>) {
        if text.is_empty() {
            return;
        }
        match (pieces.last_mut(), self.in_plan) {
            (Some(PlanPiece::Plan(there)), true) | (Some(PlanPiece::Beside(there)), false) => {
                there.push_str(text)
            }
            (_, true) => pieces.push(PlanPiece::Plan(text.to_owned())),
            (_, false) => pieces.push(PlanPiece::Beside(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The text beside the plans, and the plans.
    fn split<'t>(parts: impl IntoIterator<Item = &'t str>) -> (String, Vec<String>) {
        let mut splitter = Splitter::default();
        let mut pieces: Vec<PlanPiece> = parts.into_iter().flat_map(|part| splitter.take(part)).collect();
        pieces.extend(splitter.end());
        let (mut beside, mut plans) = (String::new(), Vec::new());
        for piece in pieces {
            match piece {
                PlanPiece::Beside(text) => beside.push_str(&text),
                PlanPiece::Begins => plans.push(String::new()),
                PlanPiece::Plan(text) => plans.last_mut().expect("a plan has begun").push_str(&text),
            }
        }
        (beside, plans)
    }

    #[test]
    fn lines_between_the_tags_are_the_plan() {
        for (said, beside, plans) in [
            ("A\n<proposed_plan>\n- 1\n- 2\n</proposed_plan>\nB", "A\nB", vec!["- 1\n- 2\n"]),
            ("<proposed_plan>\n- 1\n</proposed_plan>", "", vec!["- 1\n"]),
            (" <proposed_plan> \r\n- 1\n\t</proposed_plan>\n", "", vec!["- 1\n"]),
            ("<proposed_plan>\n- open", "", vec!["- open"]),
            ("say <proposed_plan>\nno", "say <proposed_plan>\nno", vec![]),
            ("<proposed_plan> no\n", "<proposed_plan> no\n", vec![]),
            ("</proposed_plan>\n", "</proposed_plan>\n", vec![]),
            ("<proposed_pl", "<proposed_pl", vec![]),
            ("<proposed_plan>\na\n</proposed_plan>\n<proposed_plan>\nb", "", vec!["a\n", "b"]),
            ("  \n\nx", "  \n\nx", vec![]),
        ] {
            assert_eq!(split([said]), (beside.to_owned(), plans.into_iter().map(str::to_owned).collect()));
        }
    }

    #[test]
    fn text_that_cannot_be_a_tag_is_sent_at_once() {
        let mut splitter = Splitter::default();
        assert_eq!(splitter.take("Hel"), [PlanPiece::Beside("Hel".to_owned())]);
        assert_eq!(splitter.take("lo\n<pro"), [PlanPiece::Beside("lo\n".to_owned())]);
        assert_eq!(splitter.take("se>"), [PlanPiece::Beside("<prose>".to_owned())]);
        assert_eq!(
            splitter.take("\n<proposed_plan>\nx"),
            [PlanPiece::Beside("\n".to_owned()), PlanPiece::Begins, PlanPiece::Plan("x".to_owned())]
        );
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(cuts in proptest::collection::vec(0usize..90, 0..12)) {
            let said = "Ü <\n<proposed_plan>\n- 1\n</propose\n</proposed_plan>\nB <proposed_plan>\n<proposed_plan>\nß";
            let mut at: Vec<usize> = cuts.into_iter().filter(|cut| said.is_char_boundary(*cut)).collect();
            at.sort_unstable();
            let ends = at.iter().copied().chain([said.len()]);
            let begins = [0].into_iter().chain(at.iter().copied());
            let parts: Vec<&str> = begins.zip(ends).map(|(from, to)| &said[from..to]).collect();
            prop_assert_eq!(split(parts), split([said]));
        }
    }
}
