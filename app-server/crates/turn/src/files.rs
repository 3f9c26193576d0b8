//! Files that messages name. A turn reads each file once, before a model first reads the message, and the owner records
//! the content. A later change of the file does not change the conversation.

use skein_store::rollout::record::{FileContent, FileRead};

use super::conversation::{Conversation, UnreadFile};
use super::{Report, Stop, TurnRun, input};

impl TurnRun {
    pub(crate) async fn read_files_of(&self, conversation: &mut Conversation) -> Result<(), Stop> {
        for (file, found) in self.read_files(conversation.unread_files()).await? {
            conversation.put_file(file.item.as_ref(), file.file.at, &found);
        }
        Ok(())
    }

    /// Reads the files, and has the owner record them, one record for each message.
    pub(crate) async fn read_files(
        &self,
        files: Vec<UnreadFile>,
    ) -> Result<Vec<(UnreadFile, FileContent)>, Stop> {
        let mut all = Vec::with_capacity(files.len());
        for file in files {
            let found = self.unless_interrupted(input::read_file(&file.file.path, &self.job.tasks)).await?;
            all.push((file, found));
        }
        for message in all.chunk_by(|(a, _), (b, _)| a.item == b.item) {
            let Some(item) = message.first().and_then(|(file, _)| file.item.clone()) else { continue };
            let read = |(file, content): &(UnreadFile, FileContent)| FileRead {
                at: file.file.at,
                content: content.clone(),
            };
            self.report(Report::FilesRead { item, files: message.iter().map(read).collect() }).await;
        }
        Ok(all)
    }
}
