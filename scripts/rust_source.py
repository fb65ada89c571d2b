"""Splits Rust source into code, comments and string literals, for the checks beside this file."""

import re

# Raw strings come first, since a quote inside of one ends nothing. A lifetime is no character.
TOKEN = re.compile(
    r"""
    (?P<line>//[^\n]*)
  | (?P<block>/\*)
  | (?P<raw>\b(?:br|cr|r)(?P<hashes>\#*)"(?P<raw_text>.*?)"(?P=hashes))
  | (?P<string>"(?P<text>(?:[^"\\]|\\.)*)")
  | (?P<char>'(?:[^'\\\n]|\\(?:u\{[0-9a-fA-F_]+\}|x[0-9a-fA-F]{2}|.))')
    """,
    re.VERBOSE | re.DOTALL,
)


def pieces(text):
    """Yields (kind, start, end) for each comment, string and character literal.

    The kinds are "doc", "comment", "string" and "char"; the rest of the text is code. The range
    of a string is that between its quotes.
    """
    position = 0
    while match := TOKEN.search(text, position):
        start, position = match.span()
        if match["line"] is not None:
            yield ("doc" if is_doc(match["line"], "///", "//!") else "comment"), start, position
        elif match["block"] is not None:
            position = block_end(text, start)
            comment = text[start:position]
            yield ("doc" if is_doc(comment, "/**", "/*!") else "comment"), start, position
        elif match["raw"] is not None:
            yield "string", *match.span("raw_text")
        elif match["string"] is not None:
            yield "string", *match.span("text")
        else:
            yield "char", start, position


def is_doc(comment, outer, inner):
    """Returns whether a comment is a doc comment: `////` and `/***` are not, nor is `/**/`."""
    if comment.startswith(inner):
        return True
    return comment.startswith(outer) and comment[3:4] != outer[-1] and comment != "/**/"


def block_end(text, start):
    """Returns the end of the block comment that starts there; they nest."""
    depth = 0
    for match in re.finditer(r"/\*|\*/", text[start:]):
        depth += 1 if match[0] == "/*" else -1
        if depth == 0:
            return start + match.end()
    return len(text)


def code_alone(text):
    """Returns the source with spaces in place of comments and literals; lines stay in place."""
    parts, position = [], 0
    for kind, start, end in pieces(text):
        parts.append(text[position:start])
        parts.append(re.sub(r"[^\n]", " ", text[start:end]))
        position = end
    parts.append(text[position:])
    return "".join(parts)


def line_of(text, offset):
    """Returns the number of the line, from 1."""
    return text.count("\n", 0, offset) + 1
