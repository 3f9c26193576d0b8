//! Finds a thread by what a user types: its id, a unique part of the id, or `@N` for the N-th newest.

use anyhow::{bail, ensure};
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::ThreadList;
use skein_protocol::thread::{SortDirection, Thread, ThreadListParams, ThreadListResponse, ThreadSortKey};

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
    let wanted = usize::try_from(most).unwrap_or(usize::MAX);
    let page = async |cursor| {
        let params = ThreadListParams {
            archived: Some(archived),
            cursor,
            limit: Some(most.min(PAGE)),
            sort_key: Some(ThreadSortKey::UpdatedAt),
            sort_direction: Some(SortDirection::Desc),
            ..ThreadListParams::default()
        };
        home.call::<ThreadList>(&params).await
    };
    whole(wanted, page, passes).await
}

/// At most so many threads of a list that is read page by page. A list that the server is still making has a part of them only:
/// then it is read again until it has enough, or is whole.
async fn whole(
    wanted: usize,
    mut page: impl AsyncFnMut(Option<String>) -> anyhow::Result<ThreadListResponse>,
    passes: impl Fn(&Thread) -> bool,
) -> anyhow::Result<Vec<Thread>> {
    let mut waiting = None;
    loop {
        let (mut found, mut cursor, mut indexing) = (Vec::new(), None, None);
        loop {
            let read = page(cursor).await?;
            found.extend(read.data.into_iter().filter(&passes));
            indexing = read.skein.and_then(|skein| skein.indexing).or(indexing);
            cursor = read.next_cursor;
            if cursor.is_none() || found.len() >= wanted {
                break;
            }
        }
        if indexing.is_none() || found.len() >= wanted {
            found.truncate(wanted);
            return Ok(found);
        }
        waiting.get_or_insert_with(|| Waiting::of("the server reads its threads to list them"));
        tokio::time::sleep(skein_store::policy::HOME_LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    /// The numbers of the threads that are read of a list whose answers are these, in order, and the cursors that were sent.
    async fn read(wanted: usize, answers: &[ThreadListResponse]) -> (Vec<u128>, Vec<Option<String>>) {
        let (mut left, mut cursors) = (answers.iter(), Vec::new());
        let page = async |cursor| {
            cursors.push(cursor);
            Ok(left.next().unwrap().clone())
        };
        let threads = whole(wanted, page, |_| true).await.unwrap();
        assert_eq!(left.next(), None);
        (threads.iter().map(|thread| thread.id.uuid().as_u128()).collect(), cursors)
    }

    fn page(numbers: &[u128], next: Option<&str>, is_whole: bool) -> ThreadListResponse {
        let thread = |number: &u128| Thread::new(ThreadId::new(Uuid::from_u128(*number)), "/", "echo", 0);
        let data: Vec<Thread> = numbers.iter().map(thread).collect();
        let indexing = (!is_whole).then(|| json!({ "done": 1, "total": 3 }));
        let skein = json!({ "catalogEpoch": "a", "catalogSeq": 1, "indexing": indexing });
        serde_json::from_value(json!({ "data": data, "nextCursor": next, "skein": skein })).unwrap()
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
