//! Notes on MCP servers for a model: each server's instructions, and the missing servers with reasons. Pure. The text
//! stays the same while its facts do, so that providers can cache the prompt.

use skein_helpers::{HelperNote, Offered};

use crate::policy;

/// Returns `None` without anything to report. Instructions are cut to [`policy::HELPER_INSTRUCTIONS_BYTES`] for each
/// server and to [`policy::HELPER_NOTES_BYTES`] together; a reason is one line.
#[must_use]
pub(crate) fn text(notes: &[HelperNote]) -> Option<String> {
    let mut text = String::new();
    let mut left = policy::HELPER_NOTES_BYTES;
    let mut absent = Vec::new();
    for HelperNote { server, offered } in notes {
        match offered {
            Offered::Tools { instructions: None } => {}
            Offered::Tools { instructions: Some(said) } => {
                let said = said.trim();
                let shown = cut(said, policy::HELPER_INSTRUCTIONS_BYTES.min(left));
                left -= shown.len();
                if !said.is_empty() {
                    let rest = if shown.len() < said.len() { "\n[the rest is left out]" } else { "" };
                    text.push_str(&format!(
                        "\n\n<mcp_server name=\"{server}\">\n{shown}{rest}\n</mcp_server>"
                    ));
                }
            }
            Offered::Nothing { reason } => absent.push(format!("- {server}: {}", one_line(reason))),
        }
    }
    let mut parts = Vec::new();
    if !text.is_empty() {
        parts.push(format!("What MCP servers say about the use of their tools, in their own words:{text}"));
    }
    if !absent.is_empty() {
        parts.push(format!("MCP servers that are configured and not available now:\n{}", absent.join("\n")));
    }
    (!parts.is_empty()).then(|| parts.join("\n\n"))
}

fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

fn one_line(reason: &str) -> &str {
    let line =
        reason.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("the reason is not known");
    cut(line, policy::HELPER_REASON_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(server: &str, instructions: &str) -> HelperNote {
        let offered = Offered::Tools { instructions: Some(instructions.to_owned()) };
        HelperNote { server: server.to_owned(), offered }
    }

    fn absent(server: &str, reason: &str) -> HelperNote {
        let offered = Offered::Nothing { reason: reason.to_owned() };
        HelperNote { server: server.to_owned(), offered }
    }

    #[test]
    fn a_model_reads_what_servers_say_and_which_are_not_there() {
        let silent = HelperNote { server: "c".to_owned(), offered: Offered::Tools { instructions: None } };
        let notes = [
            says("a", " Read before you write.\n"),
            silent.clone(),
            absent("b", "exit code 3\nits stderr\n"),
        ];
        let wanted = "What MCP servers say about the use of their tools, in their own words:\n\n\
            <mcp_server name=\"a\">\nRead before you write.\n</mcp_server>\n\n\
            MCP servers that are configured and not available now:\n- b: exit code 3";
        assert_eq!(text(&notes).as_deref(), Some(wanted));
        assert_eq!(text(&[silent, says("d", " ")]), None);
    }

    #[test]
    fn what_servers_say_is_bounded_one_by_one_and_together() {
        let long = "ä".repeat(policy::HELPER_NOTES_BYTES);
        let one = text(&[says("a", &long)]).unwrap();
        assert!(
            one.len() < policy::HELPER_INSTRUCTIONS_BYTES + 200 && one.contains("[the rest is left out]")
        );
        let many: Vec<HelperNote> = (0..100).map(|number| says(&number.to_string(), &long)).collect();
        let all = text(&many).unwrap();
        assert!(all.len() < policy::HELPER_NOTES_BYTES + 100 * 100, "{}", all.len());
        let reason = text(&[absent("a", &long)]).unwrap();
        assert!(reason.len() < policy::HELPER_REASON_BYTES + 100);
    }
}
