//! Finds a thread by what a user types: its id, a unique part of the id, or `@N` for the N-th newest.

use anyhow::{bail, ensure};
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::ThreadList;
use skein_protocol::thread::{SortDirection, Thread, ThreadListParams, ThreadSortKey};

use super::super::session::HomeClient;

/// Threads of one page of a list.
const PAGE: u32 = 200;
/// The fewest characters of a part of an id.
const SHORTEST: usize = 4;
/// Candidates that an error names.
const NAMED: usize = 3;

/// The thread of a word.
///
/// # Errors
/// No thread has it, or several have.
pub(in crate::cli) async fn thread(home: &mut HomeClient, word: &str) -> anyhow::Result<ThreadId> {
    if let Ok(id) = word.parse() {
        return Ok(id);
    }
    if let Some(number) = word.strip_prefix('@') {
        return newest(home, word, number).await;
    }
    let is_part = |word: &str| word.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    ensure!(
        is_part(word) && word.len() >= SHORTEST,
        "{word:?} is no thread: write its id, at least {SHORTEST} characters of the id, or @1 for the newest \
         (skein threads lists them)"
    );
    let mut found = Vec::new();
    for archived in [false, true] {
        let is_match = |thread: &Thread| fits(thread.id, word);
        found.extend(page_through(home, archived, u32::MAX, is_match).await?);
    }
    match found.as_slice() {
        [] => bail!("no thread has {word:?} in its id: skein threads lists them"),
        [one] => Ok(one.id),
        several => {
            let named: Vec<String> = several.iter().take(NAMED).map(|thread| thread.id.to_string()).collect();
            bail!(
                "{} threads have {word:?} in their ids, such as {}: write more of it",
                several.len(),
                named.join(" and ")
            )
        }
    }
}

/// Whether an id begins or ends with these characters. Ids of one minute begin alike.
fn fits(id: ThreadId, word: &str) -> bool {
    let (id, word) = (id.to_string(), word.to_ascii_lowercase());
    id.starts_with(&word) || id.ends_with(&word)
}

async fn newest(home: &mut HomeClient, word: &str, number: &str) -> anyhow::Result<ThreadId> {
    let number: usize = number.parse().unwrap_or_default();
    ensure!(number > 0, "{word:?} is no thread: @1 is the newest, @2 the one before");
    let most = u32::try_from(number)?;
    let threads = page_through(home, false, most, |_| true).await?;
    match threads.get(number - 1) {
        Some(thread) => Ok(thread.id),
        None if threads.is_empty() => bail!("there is no thread yet: skein chat begins one"),
        None => bail!("there is no thread {word}: the list has {}", threads.len()),
    }
}

/// Threads of the list that pass, the newest first, and at most so many.
///
/// # Errors
/// The server refuses a page.
pub(super) async fn page_through(
    home: &mut HomeClient,
    archived: bool,
    most: u32,
    passes: impl Fn(&Thread) -> bool,
) -> anyhow::Result<Vec<Thread>> {
    let wanted = usize::try_from(most).unwrap_or(usize::MAX);
    let mut found = Vec::new();
    let mut cursor = None;
    loop {
        let params = ThreadListParams {
            archived: Some(archived),
            cursor,
            limit: Some(most.min(PAGE)),
            sort_key: Some(ThreadSortKey::UpdatedAt),
            sort_direction: Some(SortDirection::Desc),
            ..ThreadListParams::default()
        };
        let page = home.call::<ThreadList>(&params).await?;
        found.extend(page.data.into_iter().filter(&passes));
        cursor = page.next_cursor;
        if cursor.is_none() || found.len() >= wanted {
            found.truncate(wanted);
            return Ok(found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_an_id_is_its_beginning_or_its_end() {
        let id: ThreadId = "0199a8f0-5b0e-7c53-b0a5-6f0a3d1c2e4b".parse().unwrap();
        for word in ["0199", "0199A8F0-5b", "2e4b", "6f0a3d1c2e4b"] {
            assert!(fits(id, word), "{word}");
        }
        assert!(!fits(id, "5b0e"));
    }
}
