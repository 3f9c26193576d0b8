// Colours for code: one small tokenizer for the languages that look alike. It comes with the first block of code.

const WORDS =
  "as assert async await bool break case catch char class const continue crate def default del delete do double dyn elif else enum except export extends extern false False finally float fn for from func function go if impl implements import in int interface lambda let loop match mod mut namespace new nil None null package pass private protected pub public raise return self static string struct super switch this throw trait true True try type typeof undefined unsafe unsigned use using var void where while with yield";

/** @type {Record<string, { words: string, comment: string }>} */
const LANGUAGES = {
  c: { words: WORDS, comment: "\\/\\/[^\\n]*|\\/\\*[\\s\\S]*?(?:\\*\\/|$)" },
  python: { words: `${WORDS} and global is nonlocal not or`, comment: "#[^\\n]*" },
  shell: { words: `${WORDS} then fi done until esac exit local set unset echo cd`, comment: "(?:^|(?<=\\s))#[^\\n]*" },
  data: { words: "true false null yes no on off", comment: "#[^\\n]*" },
  markup: { words: "", comment: "<!--[\\s\\S]*?(?:-->|$)" },
};

/** @type {Record<string, string>} */
const NAMES = { py: "python", python: "python", sh: "shell", bash: "shell", zsh: "shell", shell: "shell", console: "shell", yaml: "data", yml: "data", toml: "data", ini: "data", json: "data", html: "markup", xml: "markup", svg: "markup", css: "c" };

/** @type {Map<string, RegExp>} */
const made = new Map();

/** @param {string} name */
function pattern(name) {
  const known = made.get(name);
  if (known !== undefined) return known;
  const language = LANGUAGES[name] ?? { words: "", comment: "(?!)" };
  const words = language.words === "" ? "(?!)" : `\\b(?:${language.words.split(" ").join("|")})\\b`;
  const text = "\"(?:[^\"\\\\\\n]|\\\\.)*\"?|'(?:[^'\\\\\\n]|\\\\.)*'?|`(?:[^`\\\\]|\\\\.)*`?";
  const tag = name === "markup" ? "<\\/?[\\w:-]+|\\/?>" : "(?!)";
  const source = `(${language.comment})|(${text})|(\\b(?:0x[\\da-f_]+|\\d[\\d_]*(?:\\.\\d+)?(?:e[+-]?\\d+)?)\\b)|(${words}|${tag})|(\\b[A-Za-z_]\\w*(?=\\())`;
  const pattern = new RegExp(source, "g");
  made.set(name, pattern);
  return pattern;
}

const KINDS = ["hl-comment", "hl-text", "hl-number", "hl-word", "hl-call"];
const PLAIN = new Set(["", "text", "txt", "plain", "plaintext", "markdown", "md", "log", "diff", "patch"]);

/** @param {string} text */
function changes(text) {
  return text.split(/(?<=\n)/).map((row) => ({
    text: row,
    kind: /^\+/.test(row) ? "hl-text" : /^-/.test(row) ? "hl-gone" : /^@@/.test(row) ? "hl-comment" : "",
  }));
}

/**
 * The parts of a code with the class of each.
 * @param {string} text
 * @param {string} language
 * @returns {{ text: string, kind: string }[]}
 */
export function highlight(text, language) {
  if (language === "diff" || language === "patch") return changes(text);
  if (PLAIN.has(language)) return [{ text, kind: "" }];
  const parts = [];
  let at = 0;
  for (const found of text.matchAll(pattern(NAMES[language] ?? "c"))) {
    if (found[0] === "") continue;
    if (found.index > at) parts.push({ text: text.slice(at, found.index), kind: "" });
    const group = found.slice(1).findIndex((one) => one !== undefined);
    parts.push({ text: found[0], kind: KINDS[group] ?? "" });
    at = found.index + found[0].length;
  }
  parts.push({ text: text.slice(at), kind: "" });
  return parts;
}
