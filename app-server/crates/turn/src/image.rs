//! Images for models, of the kinds that every provider takes. The first bytes decide the kind, not the declared type: a
//! wrong one makes the provider refuse the conversation, in this turn and all later ones.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use skein_provider::Image;

/// The kinds, for messages.
pub(crate) const KINDS: &str = "PNG, JPEG, GIF or WebP";

pub(crate) fn of_bytes(bytes: &[u8]) -> Option<Image> {
    let media_type = media_type(bytes)?.to_owned();
    Some(Image::Data { media_type, base64: STANDARD.encode(bytes) })
}

/// Expects base64 with padding (RFC 4648).
pub(crate) fn of_base64(base64: &str) -> Option<Image> {
    let media_type = media_type(&STANDARD.decode(base64).ok()?)?.to_owned();
    Some(Image::Data { media_type, base64: base64.to_owned() })
}

fn media_type(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The beginning of a PNG in base64.
    pub(crate) const PNG: &str = "iVBORw0KGgo=";

    #[test]
    fn the_bytes_decide_the_kind_of_an_image() {
        for (bytes, expected) in [
            (b"\x89PNG\r\n\x1a\n".as_slice(), Some("image/png")),
            (b"\xff\xd8\xff\xe0", Some("image/jpeg")),
            (b"GIF89a", Some("image/gif")),
            (b"RIFF\x00\x00\x00\x00WEBPVP8", Some("image/webp")),
            (b"RIFF\x00\x00\x00\x00WAVEfmt", None),
            (b"<svg/>", None),
            (b"BM", None),
            (b"", None),
        ] {
            let known = |image| match image {
                Some(Image::Data { media_type, .. }) => Some(media_type),
                Some(Image::Url(_)) | None => None,
            };
            assert_eq!(known(of_bytes(bytes)).as_deref(), expected, "{bytes:?}");
            assert_eq!(known(of_base64(&STANDARD.encode(bytes))).as_deref(), expected, "{bytes:?}");
        }
        assert_eq!(of_base64("iVBORw0KGgo?"), None);
    }
}
