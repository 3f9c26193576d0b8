// The part of marked that the page uses: its lexer.
export const Lexer: { lex(text: string, options?: { gfm?: boolean }): any[] };
