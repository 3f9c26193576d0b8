//! Finds a thread by what a user types: its id, a unique part of the id, or `@N` for the N-th newest.

use anyhow::{bail, ensure};
use skein_protocol::extension::IndexingDetails;
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::ThreadList;
use skein_protocol::thread::{SortDirection, Thread, ThreadListParams, ThreadSortKey};

use super::super::progress::Waiting;
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
    let page = async |home: &mut HomeClient, cursor| {
        let params = ThreadListParams {
            archived: Some(archived),
            cursor,
            limit: Some(most.min(PAGE)),
            sort_key: Some(ThreadSortKey::UpdatedAt),
            sort_direction: Some(SortDirection::Desc),
            ..ThreadListParams::default()
        };
        let read = home.call::<ThreadList>(&params).await?;
        Ok(ReadPage::of(read.data, read.next_cursor, read.skein.and_then(|skein| skein.indexing)))
    };
    whole(home, most, page, passes).await
}

/// A page of a list or of a search.
#[derive(Clone)]
pub(super) struct ReadPage<T> {
    data: Vec<T>,
    next: Option<String>,
    /// Whether the server knew all threads.
    is_whole: bool,
}

impl<T> ReadPage<T> {
    /// A page, with the progress of the server's list while that is incomplete.
    pub(super) fn of(data: Vec<T>, next: Option<String>, indexing: Option<IndexingDetails>) -> Self {
        Self { data, next, is_whole: indexing.is_none() }
    }
}

/// At most so many entries that pass, read page by page. While the server still makes its list of threads, an answer has a part of
/// them only: then they are read again until there are enough, or the answer is whole.
///
/// # Errors
/// The server refuses a page.
pub(super) async fn whole<T>(
    home: &mut HomeClient,
    most: u32,
    mut page: impl AsyncFnMut(&mut HomeClient, Option<String>) -> anyhow::Result<ReadPage<T>>,
    passes: impl Fn(&T) -> bool,
) -> anyhow::Result<Vec<T>> {
    let is_json = home.is_json();
    let waiting = || Waiting::of("waiting for the server to read all its threads", is_json);
    let page = async |cursor| page(home, cursor).await;
    until_whole(usize::try_from(most).unwrap_or(usize::MAX), waiting, page, passes).await
}

async fn until_whole<T>(
    wanted: usize,
    waits: impl Fn() -> Waiting,
    mut page: impl AsyncFnMut(Option<String>) -> anyhow::Result<ReadPage<T>>,
    passes: impl Fn(&T) -> bool,
) -> anyhow::Result<Vec<T>> {
    let mut waiting = None;
    loop {
        let (mut found, mut cursor, mut is_whole) = (Vec::new(), None, true);
        loop {
            let read = page(cursor).await?;
            found.extend(read.data.into_iter().filter(&passes));
            is_whole &= read.is_whole;
            cursor = read.next;
            if cursor.is_none() || found.len() >= wanted {
                break;
            }
        }
        if is_whole || found.len() >= wanted {
            found.truncate(wanted);
            return Ok(found);
        }
        waiting.get_or_insert_with(&waits);
        tokio::time::sleep(skein_store::policy::HOME_LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers that are read of a list whose answers are these, in order, and the cursors that were sent.
    async fn read(wanted: usize, answers: &[ReadPage<u8>]) -> (Vec<u8>, Vec<Option<String>>) {
        let (mut left, mut cursors) = (answers.iter(), Vec::new());
        let page = async |cursor| {
            cursors.push(cursor);
            Ok(left.next().unwrap().clone())
        };
        let waits = || Waiting::of("", true);
        let found = until_whole(wanted, waits, page, |_| true).await.unwrap();
        assert!(left.next().is_none());
        (found, cursors)
    }

    fn page(numbers: &[u8], next: Option<&str>, is_whole: bool) -> ReadPage<u8> {
        let indexing = (!is_whole).then_some(IndexingDetails { done: 1, total: 3 });
        ReadPage::of(numbers.to_vec(), next.map(str::to_owned), indexing)
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_that_is_being_made_is_read_again_until_it_is_whole_or_has_enough() {
        let more = || Some("more".to_owned());
        let whole = page(&[3, 2, 1], None, true);
        assert_eq!(read(9, std::slice::from_ref(&whole)).await, (vec![3, 2, 1], vec![None]));
        let pages = [page(&[3, 2], Some("more"), true), page(&[1], None, true)];
        assert_eq!(read(9, &pages).await, (vec![3, 2, 1], vec![None, more()]));
        let part = [page(&[], None, false), page(&[3], Some("more"), true), page(&[2], None, false), whole];
        assert_eq!(read(9, &part).await, (vec![3, 2, 1], vec![None, None, more(), None]));
        assert_eq!(read(1, &[page(&[3, 2], Some("more"), false)]).await, (vec![3], vec![None]));
    }

    #[test]
    fn a_part_of_an_id_is_its_beginning_or_its_end() {
        let id: ThreadId = "0199a8f0-5b0e-7c53-b0a5-6f0a3d1c2e4b".parse().unwrap();
        for word in ["0199", "0199A8F0-5b", "2e4b", "6f0a3d1c2e4b"] {
            assert!(fits(id, word), "{word}");
        }
        assert!(!fits(id, "5b0e"));
    }
}
