//! The page: its document at `/`, its files at `/assets/VERSION/NAME`. build.rs packs them.

use std::io::Read as _;

use axum::extract::Path;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flate2::bufread::GzDecoder;

use super::access::RefusalReason;

include!(concat!(env!("OUT_DIR"), "/page.rs"));

/// The path of the page's files. `VERSION` is a hash over all files, so that a file at an address never changes.
pub(super) const ASSETS: &str = "/assets/";

const DOCUMENT: &str = "index.html";

/// Scripts and styles of this server only, no HTML text becomes elements, and nothing is loaded from or sent to anywhere else.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";

/// Browsers keep an asset for a year and never ask again.
const ASSET_CACHE: &str = "public, max-age=31536000, immutable";
/// Browsers ask each time whether the document has changed.
const DOCUMENT_CACHE: &str = "no-cache";

/// A file of the page.
struct PageFile {
    /// The path below the folder `page`.
    name: &'static str,
    /// The media type.
    kind: &'static str,
    hash: &'static str,
    /// The compressed content. The program has no other copy: with both, the page would be four times as large.
    gzip: &'static [u8],
}

impl PageFile {
    /// The content, for a client that takes nothing compressed. Browsers do, so this costs programs a millisecond at most.
    fn unpacked(&self) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        GzDecoder::new(self.gzip).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// The content in one of its codings.
    fn body(&self, packed: bool) -> Response {
        if packed {
            return self.gzip.into_response();
        }
        match self.unpacked() {
            Ok(bytes) => bytes.into_response(),
            Err(_broken) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}

/// Whether a browser asks for a page: it accepts `text/html`, as a navigation does and programs rarely do.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    accepts(headers, &header::ACCEPT, "text/html")
}

/// The document.
pub(super) fn document(headers: &HeaderMap) -> Response {
    let Some(file) = find(DOCUMENT) else { return StatusCode::NOT_FOUND.into_response() };
    let mut answer = answer(file, headers, DOCUMENT_CACHE);
    let own = [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        // Programs that accept no HTML get another answer at this address.
        (header::VARY, "accept, accept-encoding"),
    ];
    for (name, value) in own {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

/// Whether this path is that of a file of the page.
pub(super) fn is_asset(path: &str) -> bool {
    path.strip_prefix(ASSETS).and_then(asset_of).is_some()
}

/// `GET /assets/VERSION/NAME`
pub(super) async fn asset(Path(path): Path<String>, headers: HeaderMap) -> Response {
    match asset_of(&path) {
        Some(file) => answer(file, &headers, ASSET_CACHE),
        None => RefusalReason::NotFound.refusal("the page has no such file").into_response(),
    }
}

/// The file at `VERSION/NAME`.
fn asset_of(path: &str) -> Option<&'static PageFile> {
    let name = path.strip_prefix(VERSION)?.strip_prefix('/')?;
    find(name).filter(|file| file.name != DOCUMENT)
}

fn find(name: &str) -> Option<&'static PageFile> {
    FILES.iter().find(|file| file.name == name)
}

fn answer(file: &PageFile, headers: &HeaderMap, cache: &'static str) -> Response {
    let packs = accepts(headers, &header::ACCEPT_ENCODING, "gzip");
    let tag = if packs { format!("\"{}.gz\"", file.hash) } else { format!("\"{}\"", file.hash) };
    let mut answer = if is_known(headers, file) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut answer = file.body(packs);
        let own = answer.headers_mut();
        own.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.kind));
        if packs {
            own.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        answer
    };
    let own = answer.headers_mut();
    own.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    own.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        own.insert(header::ETAG, tag);
    }
    answer
}

/// Whether the client has this content, in one of its codings (RFC 9110, section 13.1.2).
fn is_known(headers: &HeaderMap, file: &PageFile) -> bool {
    let known = |tag: &str| {
        let tag = tag.strip_prefix("W/").unwrap_or(tag);
        let hash = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
        tag == "*" || hash.is_some_and(|hash| hash.strip_suffix(".gz").unwrap_or(hash) == file.hash)
    };
    members(headers, &header::IF_NONE_MATCH).any(known)
}

/// Whether a header that lists values with weights has this one, and its weight is not 0.
fn accepts(headers: &HeaderMap, name: &HeaderName, value: &str) -> bool {
    members(headers, name).any(|member| {
        let mut parts = member.split(';').map(str::trim);
        let is_it = parts.next().is_some_and(|found| found.eq_ignore_ascii_case(value));
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        is_it && weight.is_none_or(|weight| weight.parse::<f32>().is_ok_and(|weight| weight > 0.0))
    })
}

/// The members of a header that is a list.
fn members<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).iter();
    values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of the compressed files of these kinds.
    fn packed(counts: impl Fn(&PageFile) -> bool) -> usize {
        FILES.iter().filter(|file| counts(file)).map(|file| file.gzip.len()).sum()
    }

    /// The page's own code, without libraries, styles and pictures.
    fn is_own(file: &PageFile) -> bool {
        file.name.ends_with(".js") && !file.name.starts_with("vendor/")
    }

    /// The files that the document names, and those that they import at once.
    fn first_load() -> Vec<&'static str> {
        let mut found = vec![DOCUMENT];
        let mut at = 0;
        while let Some(name) = found.get(at).copied() {
            for next in named_by(find(name).unwrap_or_else(|| panic!("{name} is imported and missing"))) {
                if !found.contains(&next) {
                    found.push(next);
                }
            }
            at += 1;
        }
        found
    }

    fn text_of(file: &PageFile) -> String {
        String::from_utf8(file.unpacked().unwrap()).unwrap()
    }

    /// The files that this one loads at once: addresses of assets in the document, imports of a script.
    fn named_by(file: &PageFile) -> Vec<&'static str> {
        let text = text_of(file);
        if file.name == DOCUMENT {
            let assets = text.split('"').filter_map(|part| part.strip_prefix(ASSETS));
            return assets.filter_map(asset_of).map(|file| file.name).collect();
        }
        if !file.name.ends_with(".js") {
            return Vec::new();
        }
        let folder = file.name.rsplit_once('/').map_or("", |(folder, _)| folder);
        let paths = text.match_indices("./").filter_map(|(at, _)| {
            let before = text[..at].trim_end_matches('.').trim_end_matches("./");
            let before = before.strip_suffix(['"', '\''])?.trim_end();
            let is_import = before.ends_with("from") || before.ends_with("import");
            let path = &text[before.len()..].trim_start()[1..];
            is_import.then(|| path.split(['"', '\'']).next()).flatten()
        });
        paths.map(|path| resolved(folder, path)).collect()
    }

    /// The file that a path leads to from a folder.
    fn resolved(folder: &str, path: &str) -> &'static str {
        let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
        for part in path.split('/') {
            match part {
                "." => {}
                ".." => drop(parts.pop()),
                name => parts.push(name),
            }
        }
        let name = parts.join("/");
        find(&name).unwrap_or_else(|| panic!("{name} is imported and missing")).name
    }

    #[test]
    fn the_page_stays_below_its_sizes() {
        let is_text = |file: &PageFile| file.name.ends_with(".txt") || file.name.ends_with("LICENSE");
        let all = packed(|file| !is_text(file));
        let at_first = first_load();
        let first = packed(|file| at_first.contains(&file.name));
        let own = packed(is_own);
        assert!(first <= 60_000, "the first load has {first} bytes");
        assert!(all <= 120_000, "the page has {all} bytes");
        assert!(own <= 35_000, "the page's own code has {own} bytes");
        let embedded = packed(|_| true);
        assert!(embedded < 200_000, "the program has {embedded} bytes of the page");
    }

    #[test]
    fn the_document_names_existing_assets_only() {
        let document = text_of(find(DOCUMENT).unwrap());
        let named: Vec<&str> = document.split('"').filter(|part| part.starts_with(ASSETS)).collect();
        assert!(!named.is_empty());
        for path in named {
            assert!(is_asset(path), "{path}");
        }
    }

    #[test]
    fn a_value_with_the_weight_0_is_not_accepted() {
        for (value, wanted) in [
            ("gzip", true),
            ("br, gzip;q=0.5", true),
            ("GZIP; q=1", true),
            ("gzip;q=0", false),
            ("gzip;q=0.000, br", false),
            ("gzip;q=x", false),
            ("xgzip, *", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(value));
            assert_eq!(accepts(&headers, &header::ACCEPT_ENCODING, "gzip"), wanted, "{value}");
        }
        assert!(!accepts(&HeaderMap::new(), &header::ACCEPT_ENCODING, "gzip"));
    }
}
