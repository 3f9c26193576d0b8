//! Packs the page of `page/` into the program: each file compressed, under names that change with the content.
//!
//! The compressed form of a file stays in `OUT_DIR` under the hash of its bytes, so that only changed files are compressed again.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// The folder of the page, beside this file.
const FOLDER: &str = "page";
/// The document; all other files are its assets.
const DOCUMENT: &str = "index.html";
/// The place of the hash in the addresses of the document.
const PLACEHOLDER: &str = "/assets/HASH/";
/// Characters of a hash in a name.
const HASH: usize = 16;
/// Rounds of the compression. More than this saves some ten bytes.
const ROUNDS: u64 = 15;
/// Files that belong to the development of the page, by the end of their name.
const DEVELOPMENT: [&str; 5] = [".d.ts", ".md", ".test.js", "tsconfig.json", "package.json"];
/// The media types, by the end of the name. A file of another kind stops the build.
const KINDS: [(&str, &str); 8] = [
    (".html", "text/html; charset=utf-8"),
    (".js", "text/javascript; charset=utf-8"),
    (".css", "text/css; charset=utf-8"),
    (".svg", "image/svg+xml"),
    (".png", "image/png"),
    (".json", "application/json"),
    (".txt", "text/plain; charset=utf-8"),
    ("LICENSE", "text/plain; charset=utf-8"),
];

struct PageFile {
    /// The path below the folder.
    name: String,
    kind: &'static str,
    bytes: Vec<u8>,
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={FOLDER}");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?).join("page");
    fs::create_dir_all(&out)?;
    let mut files = Vec::new();
    read(Path::new(FOLDER), "", &mut files)?;
    files.sort_by(|one, other| one.name.cmp(&other.name));
    let version = version(&files);
    let document = files.iter_mut().find(|file| file.name == DOCUMENT).ok_or("page/index.html is missing")?;
    let text = String::from_utf8(std::mem::take(&mut document.bytes))?;
    document.bytes = text.replace(PLACEHOLDER, &format!("/assets/{version}/")).into_bytes();
    let mut table = format!("const VERSION: &str = {version:?};\nstatic FILES: &[PageFile] = &[\n");
    let mut kept = Vec::new();
    for file in &files {
        let hash = hash(&file.bytes);
        let packed = format!("{hash}.gz");
        keep(&out.join(&packed), || compress(&file.bytes))?;
        let PageFile { name, kind, .. } = file;
        let gzip = format!("include_bytes!(concat!(env!(\"OUT_DIR\"), \"/page/{packed}\"))");
        writeln!(table, "    PageFile {{ name: {name:?}, kind: {kind:?}, hash: {hash:?}, gzip: {gzip} }},")?;
        kept.push(packed);
    }
    table.push_str("];\n");
    fs::write(out.with_file_name("page.rs"), table)?;
    forget_all_but(&out, &kept)
}

/// Adds the files of a folder and of those in it.
fn read(folder: &Path, prefix: &str, files: &mut Vec<PageFile>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let own = path.file_name().and_then(|name| name.to_str()).ok_or("a name of the page is no text")?;
        let name = format!("{prefix}{own}");
        if path.is_dir() {
            if !["tests", "types", "node_modules"].contains(&own) {
                read(&path, &format!("{name}/"), files)?;
            }
            continue;
        }
        if own.starts_with('.') || DEVELOPMENT.iter().any(|end| own.ends_with(end)) {
            continue;
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
        if !name.chars().all(plain) {
            return Err(format!("page/{name}: a name has letters, digits, '-', '_' and '.' only").into());
        }
        let kind = KINDS.iter().find(|(end, _)| own.ends_with(end));
        let kind = kind.ok_or_else(|| format!("page/{name}: build.rs has no media type for it"))?.1;
        let mut bytes = fs::read(&path)?;
        if name.ends_with(".js") && !name.starts_with("vendor/") {
            bytes = without_spaces(&without_comments(&String::from_utf8(bytes)?)).into_bytes();
        }
        files.push(PageFile { name, kind, bytes });
    }
    Ok(())
}

/// A script without indentation, empty lines and most of its comments, which are a fifth of it.
fn without_comments(script: &str) -> String {
    let mut inside = false;
    let code = script.lines().map(|line| {
        let line = line.trim();
        let opens = line.starts_with("/**") && !inside;
        let is_comment = inside || opens || line.starts_with("//");
        inside = (inside || opens) && !line.contains("*/");
        // Code may follow a comment in its line.
        if is_comment && (line.starts_with("//") || line.ends_with("*/") || !line.contains("*/")) {
            ""
        } else {
            line
        }
    });
    code.filter(|line| !line.is_empty()).map(|line| without_types(line) + "\n").collect()
}

/// A line without types in comments, such as `/** @type {any} */`.
fn without_types(line: &str) -> String {
    let mut left = String::new();
    let mut rest = line;
    while let Some((before, from)) = rest.split_once("/** @")
        && let Some((_, after)) = from.split_once("*/")
    {
        left += before;
        rest = after.strip_prefix(' ').unwrap_or(after);
    }
    left + rest
}

/// A script without the spaces that part no words, and without the ends of lines and the semicolons that part no
/// statements. Its texts stay as they are, except for the gaps between elements.
fn without_spaces(script: &str) -> String {
    let mut left = String::new();
    let mut rest = script;
    // For each template around this place: the braces that are open in its expression.
    let mut open: Vec<usize> = Vec::new();
    while let Some(first) = rest.chars().next() {
        let resumes = first == '}' && open.last() == Some(&0);
        let is_text =
            resumes || matches!(first, '"' | '\'' | '`') || (first == '/' && precedes_pattern(&left));
        let (piece, after) = rest.split_at(if is_text { text_length(rest) } else { first.len_utf8() });
        if resumes {
            open.pop();
        }
        if (resumes || first == '`') && piece.ends_with("${") {
            open.push(0);
        } else if let Some(braces) = open.last_mut().filter(|_| !is_text) {
            *braces = (*braces + usize::from(first == '{')).saturating_sub(usize::from(first == '}'));
        }
        let (before, next) = (left.chars().next_back(), after.chars().next());
        let has_meaning = match first {
            ' ' => parts_words(before, next),
            '\n' => parts_statements(before, next),
            ';' => !after.trim_start().starts_with('}'),
            _ => true,
        };
        if has_meaning && is_text {
            left += &without_gaps(piece);
        } else if has_meaning {
            left += piece;
        }
        rest = after;
    }
    left
}

/// Whether a slash behind this code begins a pattern, not a division.
fn precedes_pattern(code: &str) -> bool {
    let code = code.trim_end_matches(' ');
    code.ends_with("return") || code.ends_with(|last| "(,=:[!&|?{};\n>".contains(last))
}

/// The length of a string, of a pattern, or of a template up to its end or to its next expression.
fn text_length(code: &str) -> usize {
    let mut letters = code.char_indices();
    let first = letters.next().map_or(' ', |(_, first)| first);
    let is_template = matches!(first, '`' | '}');
    let end = if is_template { '`' } else { first };
    let mut in_class = false;
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => drop(letters.next()),
            '[' if first == '/' => in_class = true,
            ']' if first == '/' => in_class = false,
            '$' if is_template && code[at..].starts_with("${") => return at + 2,
            _ if letter == end && !in_class => return at + 1,
            _ => {}
        }
    }
    code.len()
}

/// A text without the ends of lines between two elements of HTML, or beside an expression there.
fn without_gaps(text: &str) -> String {
    let gaps = [(">\n<", "><"), (">\n$", ">$"), ("}\n<", "}<"), ("}\n$", "}$")];
    gaps.into_iter().fold(text.to_owned(), |text, (gap, none)| text.replace(gap, none))
}

/// Whether the end of a line between these letters may end a statement.
fn parts_statements(before: Option<char>, after: Option<char>) -> bool {
    let continues = before.is_none_or(|letter| ";{,([".contains(letter));
    !continues && after.is_some_and(|letter| !"})].".contains(letter))
}

/// Whether a space between these letters has a meaning.
fn parts_words(before: Option<char>, after: Option<char>) -> bool {
    let is_word =
        |letter: Option<char>| letter.is_some_and(|letter| letter.is_alphanumeric() || "_$".contains(letter));
    (is_word(before) && is_word(after)) || (before == after && matches!(before, Some('+' | '-' | '/')))
}

/// A name for this state of all files.
fn version(files: &[PageFile]) -> String {
    let mut all = Sha256::new();
    for file in files {
        all.update(format!("{}\n{}\n", file.name, file.bytes.len()));
        all.update(&file.bytes);
    }
    hex(&all.finalize())
}

fn hash(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(digest: &[u8]) -> String {
    digest.iter().take(HASH / 2).map(|byte| format!("{byte:02x}")).collect()
}

/// Writes a file of this content if there is none. The name is the hash of the content.
fn keep(
    path: &Path,
    content: impl FnOnce() -> Result<Vec<u8>, Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    if !path.exists() {
        // An interrupted build leaves no half of a file under the name.
        let new = path.with_extension("new");
        fs::write(&new, content()?)?;
        fs::rename(new, path)?;
    }
    Ok(())
}

fn compress(bytes: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let rounds = NonZeroU64::new(ROUNDS).ok_or("no rounds")?;
    let options = zopfli::Options { iteration_count: rounds, ..zopfli::Options::default() };
    let mut packed = Vec::new();
    zopfli::compress(options, zopfli::Format::Gzip, bytes, &mut packed)?;
    Ok(packed)
}

fn forget_all_but(folder: &Path, kept: &[String]) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !kept.iter().any(|name| entry.file_name() == name.as_str()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
