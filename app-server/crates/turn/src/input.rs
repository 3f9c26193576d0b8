//! Turns a user's input into content for a model. Files are read, within limits.

use std::io::Read;
use std::path::Path;

use skein_base::files;
use skein_base::tasks::{BlockingPool, Tasks};
use skein_protocol::turn::{MediaSource, UserInput};
use skein_provider::{Content, Entry, Image};
use skein_store::rollout::record::FileContent;

use super::image;
use crate::policy;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LocalFile {
    /// Index of the part that names the file, counted from 0.
    pub(crate) at: usize,
    /// As the client gives it.
    pub(crate) path: String,
}

/// One content per part of the message. A note replaces a part that a model cannot take, or whose file is not read yet.
pub(crate) fn content(input: &[UserInput]) -> Vec<Content> {
    let given = |piece| given(piece).unwrap_or_else(|why| left_out(&why));
    input.iter().map(given).collect()
}

pub(crate) fn files(input: &[UserInput]) -> Vec<LocalFile> {
    let file = |(at, piece): (usize, &UserInput)| {
        let UserInput::LocalImage { path, .. } = piece else { return None };
        Some(LocalFile { at, path: path.clone() })
    };
    input.iter().enumerate().filter_map(file).collect()
}

/// Replaces the note of a file by its content.
pub(crate) fn put_file(message: &mut Entry, at: usize, found: &FileContent) {
    let Entry::User(content) = message else { return };
    let Some(place) = content.get_mut(at) else { return };
    *place = match found.clone() {
        FileContent::Image { media_type, base64 } => Content::Image(Image::Data { media_type, base64 }),
        FileContent::LeftOut { why } => left_out(&why),
    };
}

fn left_out(why: &str) -> Content {
    Content::Text(format!("[left out: {why}]"))
}

fn given(piece: &UserInput) -> Result<Content, String> {
    match piece {
        UserInput::Text { text, .. } => Ok(Content::Text(text.clone())),
        UserInput::Image { source: MediaSource::Url(url), .. } => of_url(url).map(Content::Image),
        UserInput::Image { source: MediaSource::FileId(id), .. } => {
            Err(format!("the image {id} is known to another service only; send it as a url or a local file"))
        }
        UserInput::LocalImage { path, .. } => Err(format!("the image {path} is not read yet")),
        UserInput::Audio { .. } => Err("audio cannot be given to a model; send its text".to_owned()),
        UserInput::LocalAudio { path } => {
            Err(format!("the audio file {path} cannot be given to a model; send its text"))
        }
        // The model can ask a helper to read the file.
        UserInput::Skill { name, path } => {
            Ok(Content::Text(format!("[the skill {name}, described in {path}]")))
        }
        UserInput::Mention { name, path } => Ok(Content::Text(format!("[{name}: {path}]"))),
    }
}

/// An image by URL; a `data:` URL contains the image itself (RFC 2397).
fn of_url(url: &str) -> Result<Image, String> {
    let Some(rest) = url.strip_prefix("data:") else {
        let known = url.starts_with("https://") || url.starts_with("http://");
        return if known {
            Ok(Image::Url(url.to_owned()))
        } else {
            Err("an image's url has to begin with https:, http: or data:".to_owned())
        };
    };
    let (_, base64) = rest.split_once(";base64,").ok_or("an image in a data: url has to be in base64")?;
    // Base64 has four characters for three bytes.
    check_size("the image in the data: url", base64.len() / 4 * 3)?;
    let kinds = image::KINDS;
    image::of_base64(base64)
        .ok_or_else(|| format!("the image in the data: url is none that models take: {kinds}, in base64"))
}

pub(crate) async fn read_file(path: &str, tasks: &Tasks) -> FileContent {
    let named = path.to_owned();
    let read = tasks.blocking("input/image", BlockingPool::Inputs, move || read_image(&named)).await;
    let failed = || Err(format!("the image {path} could not be read; the server's log has more"));
    match read.unwrap_or_else(|_| failed()) {
        Ok(Image::Data { media_type, base64 }) => FileContent::Image { media_type, base64 },
        // Unreachable: a file never becomes a URL.
        Ok(Image::Url(url)) => FileContent::LeftOut { why: url },
        Err(why) => FileContent::LeftOut { why },
    }
}

fn read_image(path: &str) -> Result<Image, String> {
    let cannot = |error: std::io::Error| format!("the image {path} cannot be read: {error}");
    let file = files::open_regular(Path::new(path)).map_err(cannot)?;
    let mut bytes = Vec::new();
    let most = u64::try_from(policy::IMAGE_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    file.take(most).read_to_end(&mut bytes).map_err(cannot)?;
    check_size(&format!("the image {path}"), bytes.len())?;
    let kinds = image::KINDS;
    image::of_bytes(&bytes).ok_or_else(|| format!("the file {path} is no image that models take: {kinds}"))
}

fn check_size(what: &str, bytes: usize) -> Result<(), String> {
    let most = policy::IMAGE_BYTES;
    if bytes > most {
        return Err(format!(
            "{what} is larger than {} MiB, the most that a model is sent",
            most / (1024 * 1024)
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n and more";

    async fn read(path: &std::path::Path) -> FileContent {
        read_file(path.to_str().unwrap(), &Tasks::new()).await
    }

    fn why(found: FileContent) -> String {
        let FileContent::LeftOut { why } = found else { panic!("{found:?}") };
        why
    }

    fn local(path: impl Into<String>) -> UserInput {
        UserInput::LocalImage { detail: None, path: path.into() }
    }

    fn url(url: &str) -> UserInput {
        UserInput::Image { detail: None, source: MediaSource::Url(url.into()) }
    }

    #[tokio::test]
    async fn a_local_image_is_read_and_its_kind_known_by_its_beginning() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(PNG).unwrap();
        let found = read(file.path()).await;
        let base64 = STANDARD.encode(PNG);
        assert_eq!(found, FileContent::Image { media_type: "image/png".into(), base64: base64.clone() });
        let mut message = Entry::User(content(&[UserInput::text("look"), local("a.png")]));
        put_file(&mut message, 1, &found);
        let Entry::User(content) = message else { panic!() };
        assert_eq!(content[1], Content::Image(Image::Data { media_type: "image/png".into(), base64 }));
    }

    #[tokio::test]
    async fn what_is_no_image_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("notes.txt");
        std::fs::write(&text, "words").unwrap();
        for path in
            [folder.path(), &text, &folder.path().join("missing.png"), std::path::Path::new("/dev/zero")]
        {
            let named = path.to_str().unwrap();
            assert!(why(read(path).await).contains(named), "{named}");
        }
        let large = folder.path().join("large.png");
        let file = std::fs::File::create(&large).unwrap();
        (&file).write_all(PNG).unwrap();
        file.set_len(u64::try_from(policy::IMAGE_BYTES).unwrap() + 1).unwrap();
        assert!(why(read(&large).await).contains("larger than"));
    }

    #[test]
    fn images_in_urls_are_checked() {
        let data = Image::Data { media_type: "image/png".into(), base64: image::tests::PNG.into() };
        // The bytes count, not the media type in the URL.
        let said = format!("data:image/jpeg;base64,{}", image::tests::PNG);
        assert_eq!(given(&url(&said)), Ok(Content::Image(data)));
        assert!(given(&url("https://example.org/a.png")).is_ok());
        let large = format!("data:image/png;base64,{}", "A".repeat(policy::IMAGE_BYTES / 3 * 4 + 8));
        for wrong in [
            "file:///etc/passwd",
            "data:image/png,xx",
            "data:image/png;base64,?",
            "data:image/png;base64,aGk=",
            &large,
        ] {
            assert!(given(&url(wrong)).is_err(), "{wrong:.40}");
        }
    }

    #[test]
    fn a_note_stands_for_what_cannot_be_given() {
        let input =
            [UserInput::text("look"), local("/nowhere.png"), UserInput::LocalAudio { path: "/a.wav".into() }];
        let content = content(&input);
        assert_eq!(content[0].as_text(), Some("look"));
        assert!(content[1].as_text().unwrap().contains("/nowhere.png"), "{content:?}");
        assert!(content[2].as_text().unwrap().contains("/a.wav"), "{content:?}");
        assert_eq!(files(&input), [LocalFile { at: 1, path: "/nowhere.png".into() }]);
    }
}
