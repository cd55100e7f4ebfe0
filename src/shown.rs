//! Text that this program did not write, such as names in files, made safe to show: on a terminal it
//! neither moves the cursor nor turns the direction of writing, and in a line it stays one line.

/// On one line: whatever would not show as itself is shown as its escape, such as `\n` or `\u{1b}`.
pub fn line(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), pushed)
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
}
