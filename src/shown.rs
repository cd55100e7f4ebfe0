//! Text that this program did not write (names in files, other programs' records, what the system
//! says), made safe to show: on a terminal it neither moves the cursor nor turns the direction of
//! writing, in a line it stays one line, and in a spreadsheet it is no formula.

/// On one line: whatever would not show as itself is shown as its escape, such as `\n` or `\u{1b}`.
pub fn line(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), pushed)
}

/// A message of several lines. Those after the first are set in by at least two columns, so that
/// none of them passes for another message.
pub fn message(text: &str) -> String {
    let mut lines = text.split('\n');
    let first = line(lines.next().unwrap_or_default());
    lines.fold(first, |out, next| {
        let indent = if next.is_empty() || next.starts_with("  ") { "" } else { "  " };
        out + "\n" + indent + &line(next)
    })
}

/// A result for a terminal: lines stay where they are, and the codes of colours where `coloured`.
pub fn page(text: &str, coloured: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let colour = if coloured { colour(rest) } else { 0 };
        if colour > 0 {
            out += &rest[..colour];
            rest = &rest[colour..];
            continue;
        }
        // A tab separates what other programs read.
        out = if matches!(c, '\n' | '\t') { out + rest.split_at(1).0 } else { pushed(out, c) };
        rest = &rest[c.len_utf8()..];
    }
    out
}

/// JSON for a terminal. Outside of strings it has no such characters, and inside of them the escapes
/// mean the same.
pub fn json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push(c),
            c if is_unsafe(c) => out += &format!("\\u{:04x}", u32::from(c)),
            c => out.push(c),
        }
    }
    out
}

/// A cell of a CSV file, on one line and never a formula.
pub fn cell(text: &str) -> String {
    let text = line(text);
    match text.starts_with(['=', '+', '-', '@']) {
        true => format!("'{text}"),
        false => text,
    }
}

fn pushed(mut out: String, c: char) -> String {
    match c {
        c if is_unsafe(c) => out.extend(c.escape_default()),
        c => out.push(c),
    }
    out
}

/// Control characters; separators of lines; marks that turn the direction of what follows.
fn is_unsafe(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns || matches!(c, '\u{2028}' | '\u{2029}')
}

/// The length of the code at the start of `text` that sets colours and weights, such as `ESC[31m`;
/// 0 where there is none.
fn colour(text: &str) -> usize {
    let Some(code) = text.strip_prefix("\u{1b}[") else { return 0 };
    let length = code.bytes().take_while(|b| b.is_ascii_digit() || *b == b';').count();
    if code[length..].starts_with('m') { 2 + length + 1 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "dfa\u{1b}[2J\r\nerror: \u{9b}31m\u{202e}x\u{2028}\u{7f}\0\té λ";

    #[test]
    fn a_line_is_one_line_of_what_shows_as_itself() {
        let shown = line(HOSTILE);
        assert!(!shown.contains(is_unsafe), "{shown}");
        assert!(shown.starts_with("dfa\\u{1b}[2J\\r\\nerror: \\u{9b}31m\\u{202e}x\\u{2028}"));
        assert!(shown.ends_with("\\té λ"), "{shown}");
        assert_eq!(line("‖h_L‖ = 3·10⁻⁷, λ=0.01"), "‖h_L‖ = 3·10⁻⁷, λ=0.01");
    }

    #[test]
    fn no_later_line_of_a_message_begins_like_a_message() {
        assert_eq!(message("a:\n  b\nerror: c\n\n    d"), "a:\n  b\n  error: c\n\n    d");
        assert!(!message(HOSTILE).replace('\n', "").contains(is_unsafe));
    }

    #[test]
    fn a_page_keeps_its_lines_and_its_colours_alone() {
        let text = "\u{1b}[38;5;9mred\u{1b}[0m\n\u{1b}[2J\u{1b}]0;title\u{7}\u{1b}[31";
        let kept = "\u{1b}[38;5;9mred\u{1b}[0m\n\\u{1b}[2J\\u{1b}]0;title\\u{7}\\u{1b}[31";
        assert_eq!(page(text, true), kept);
        assert_eq!(page(text, false), kept.replace('\u{1b}', "\\u{1b}"));
    }

    #[test]
    fn json_keeps_its_meaning() {
        let value = serde_json::json!({ "method": HOSTILE });
        let text = json(&serde_json::to_string_pretty(&value).unwrap());
        assert!(!text.replace('\n', "").contains(is_unsafe), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }

    #[test]
    fn a_cell_is_never_a_formula() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)"] {
            assert_eq!(cell(text), format!("'{text}"));
        }
        assert_eq!(cell("\t=1"), "\\t=1");
        assert_eq!(cell("dfa λ=0.01"), "dfa λ=0.01");
    }
}
