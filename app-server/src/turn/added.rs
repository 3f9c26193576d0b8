//! What the user adds while a turn runs: it is put in before the model is asked again.

use skein_provider::Entry;

use super::conversation::{self, UnreadFile};
use super::{Added, Running, Stop, input};

impl Running {
    /// Puts in all that the user has added.
    pub(super) async fn take_added(&mut self, history: &mut Vec<Entry>) -> Result<(), Stop> {
        while let Ok(added) = self.steers.try_recv() {
            self.added.push_back(added);
        }
        while let Some(added) = self.added.pop_front() {
            self.add(history, added).await?;
        }
        Ok(())
    }

    /// Puts in what the user has added. The client knows that it is taken: a note stands for a file that cannot be read.
    pub(super) async fn add(&self, history: &mut Vec<Entry>, added: Added) -> Result<(), Stop> {
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

    /// Whether the user added something meanwhile. When there is nothing, nothing can be added any more: the owner keeps what
    /// comes later for the next turn.
    pub(super) async fn is_steered(&mut self) -> bool {
        if let Ok(added) = self.steers.try_recv() {
            self.added.push_back(added);
        }
        if self.added.is_empty() {
            self.steers.close();
            // Ends at once, but waits for what the owner is putting in at this very moment.
            self.added.extend(self.steers.recv().await);
        }
        !self.added.is_empty()
    }
}
