//! Messages of the user during a turn. They join the conversation before the next request.

use skein_provider::Entry;

use super::conversation::{self, UnreadFile};
use super::{Added, Stop, TurnRun, input};

impl TurnRun {
    pub(crate) async fn take_added(&mut self, history: &mut Vec<Entry>) -> Result<(), Stop> {
        while let Ok(added) = self.steers.try_recv() {
            self.added.push_back(added);
        }
        while let Some(added) = self.added.pop_front() {
            self.add(history, added).await?;
        }
        Ok(())
    }

    /// Adds a message. The client knows it as accepted, so a note replaces a file that cannot be read.
    pub(crate) async fn add(&self, history: &mut Vec<Entry>, added: Added) -> Result<(), Stop> {
        history.extend(added.context.iter().filter_map(conversation::of_injected));
        let mut message = Entry::User(input::content(&added.input));
        let named = |file| UnreadFile { item: Some(added.item.clone()), file };
        for (file, found) in
            self.read_files(input::files(&added.input).into_iter().map(named).collect()).await?
        {
            input::put_file(&mut message, file.file.at, &found);
        }
        history.push(message);
        Ok(())
    }

    /// Whether messages have arrived. If there are none, closes the queue: the owner keeps later messages for the next
    /// turn.
    pub(crate) async fn is_steered(&mut self) -> bool {
        if let Ok(added) = self.steers.try_recv() {
            self.added.push_back(added);
        }
        if self.added.is_empty() {
            self.steers.close();
            // Ends at once, except that a send which has begun still arrives.
            self.added.extend(self.steers.recv().await);
        }
        !self.added.is_empty()
    }
}
