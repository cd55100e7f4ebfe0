//! Elements of HTML, SVG and XML that cannot be left open and whose text cannot break out.

use std::fmt;

/// An element; what is put into it is escaped when it is written.
#[derive(Clone, Debug)]
pub struct Element {
    name: &'static str,
    attributes: Vec<(&'static str, String)>,
    children: Vec<Node>,
}

#[derive(Clone, Debug)]
enum Node {
    Element(Element),
    Text(String),
    Verbatim(&'static str),
}

/// Elements that HTML closes by themselves; and SVG shapes, which may be.
const EMPTY: [&str; 7] = ["meta", "br", "circle", "line", "path", "polyline", "rect"];

impl Element {
    pub fn new(name: &'static str) -> Self {
        Self { name, attributes: Vec::new(), children: Vec::new() }
    }

    pub fn with(mut self, attribute: &'static str, value: impl fmt::Display) -> Self {
        self.attributes.push((attribute, value.to_string()));
        self
    }

    pub fn class(self, classes: impl fmt::Display) -> Self {
        self.with("class", classes)
    }

    /// A coordinate, to a tenth of a pixel.
    pub fn at(self, attribute: &'static str, value: f64) -> Self {
        self.with(attribute, tenth(value))
    }

    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.children.push(Node::Text(text.into()));
        self
    }

    /// Text in which `h_l` and `‖g‖_2` get true subscripts.
    pub fn prose(self, text: &str) -> Self {
        pieces(text).into_iter().fold(self, |element, piece| match piece {
            Piece::Plain(text) => element.text(text),
            Piece::Sub(text) => element.add(Element::new("sub").text(text)),
        })
    }

    /// Text that is known to hold no `<` and no `&`: HTML reads a style sheet as it stands, XML
    /// would resolve entities in it.
    pub fn verbatim(mut self, text: &'static str) -> Self {
        self.children.push(Node::Verbatim(text));
        self
    }

    pub fn add(mut self, child: Element) -> Self {
        self.children.push(Node::Element(child));
        self
    }

    pub fn all(mut self, children: impl IntoIterator<Item = Element>) -> Self {
        self.children.extend(children.into_iter().map(Node::Element));
        self
    }
}

impl Element {
    /// The elements of this name inside, in the order of the document; none inside of another of them.
    pub fn find(&self, name: &str) -> Vec<&Element> {
        let inside = self.children.iter().filter_map(|child| match child {
            Node::Element(element) => Some(element),
            _ => None,
        });
        let found = inside.map(|element| match element.name == name {
            true => vec![element],
            false => element.find(name),
        });
        found.flatten().collect()
    }

    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(own, _)| *own == name).map(|(_, value)| value.as_str())
    }

    /// The classes of this element and of those inside.
    pub fn classes(&self) -> Vec<&str> {
        let own = self.attribute("class").unwrap_or_default().split_whitespace();
        let inside = self.children.iter().filter_map(|child| match child {
            Node::Element(element) => Some(element.classes()),
            _ => None,
        });
        own.chain(inside.flatten()).collect()
    }

    /// What is read of it: a subscript after its underscore, as in `h_l`.
    pub fn words(&self) -> String {
        let before = if self.name == "sub" { "_" } else { "" };
        self.children.iter().fold(before.to_string(), |words, child| match child {
            Node::Element(element) => words + &element.words(),
            Node::Text(text) => words + text,
            Node::Verbatim(_) => words,
        })
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "<{}", self.name)?;
        for (name, value) in &self.attributes {
            write!(f, " {name}=\"{}\"", escape(value))?;
        }
        if self.children.is_empty() && EMPTY.contains(&self.name) {
            return f.write_str("/>");
        }
        f.write_str(">")?;
        // A line a child, but never a line break beside text, where it would show as a space.
        let apart = self.children.iter().all(|child| matches!(child, Node::Element(_)));
        for child in &self.children {
            match child {
                Node::Element(element) => write!(f, "{element}")?,
                Node::Text(text) => f.write_str(&escape(text))?,
                Node::Verbatim(text) => f.write_str(text)?,
            }
            if apart {
                f.write_str("\n")?;
            }
        }
        write!(f, "</{}>", self.name)
    }
}

/// Text for XML: markup is escaped, and what XML 1.0 forbids (such as the escape codes in a
/// captured error message) becomes U+FFFD.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            '\n' | '\t' => out.push(c),
            '\0'..' ' | '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            _ => out.push(c),
        }
    }
    out
}

/// A part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    Plain(&'a str),
    Sub(&'a str),
}

/// Splits a text at its subscripts: one letter or digit after an underscore that follows a symbol
/// of one letter, a norm or a square. Names such as `w2_std` stay whole.
pub fn pieces(text: &str) -> Vec<Piece<'_>> {
    let chars: Vec<(usize, char)> = text.char_indices().collect();
    let at = |i: usize| chars.get(i).map(|(_, c)| *c);
    let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let mut out = Vec::new();
    let mut start = 0;
    for i in 1..chars.len() {
        let symbol = match at(i - 1) {
            Some('‖' | '²') => true,
            Some(c) => c.is_alphabetic() && !is_word(i.checked_sub(2).and_then(at)),
            None => false,
        };
        let subscript = at(i + 1).is_some_and(char::is_alphanumeric) && !is_word(at(i + 2));
        if at(i) == Some('_') && symbol && subscript {
            let (under, from) = (chars[i].0, chars[i + 1].0);
            let end = chars.get(i + 2).map_or(text.len(), |(end, _)| *end);
            out.extend([Piece::Plain(&text[start..under]), Piece::Sub(&text[from..end])]);
            start = end;
        }
    }
    out.push(Piece::Plain(&text[start..]));
    out
}

/// A coordinate in few characters: `12`, `12.5`.
pub fn tenth(value: f64) -> String {
    let rounded = (value * 10.0).round() / 10.0;
    // Rounding may leave a negative zero.
    format!("{}", rounded + 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_cannot_break_out() {
        let hostile = "<script>\"&'\u{1b}[31m";
        let element = Element::new("p").with("title", hostile).text(hostile);
        let document = element.to_string();
        assert!(!document.contains("<script"), "{document}");
        let parsed = roxmltree::Document::parse(&document).unwrap();
        let shown = "<script>\"&'\u{fffd}[31m";
        assert_eq!(parsed.root_element().attribute("title"), Some(shown));
        assert_eq!(parsed.root_element().text(), Some(shown));
    }

    #[test]
    fn only_what_html_closes_by_itself_is_written_short() {
        assert_eq!(Element::new("br").to_string(), "<br/>");
        assert_eq!(Element::new("td").to_string(), "<td></td>");
    }

    #[test]
    fn symbols_get_subscripts_and_names_keep_their_underscores() {
        let text = Element::new("p").prose("‖g_L‖ at h_3, W_T − W_0, ‖A‖²_F").to_string();
        let set =
            "‖g<sub>L</sub>‖ at h<sub>3</sub>, W<sub>T</sub> − W<sub>0</sub>, ‖A‖²<sub>F</sub>";
        assert_eq!(text, format!("<p>{set}</p>"));
        for name in ["w2_std=0.5", "data_dir", "a_long", "x__1", "run_1_2", "_a", "b_"] {
            assert_eq!(Element::new("p").prose(name).to_string(), format!("<p>{name}</p>"));
        }
    }

    #[test]
    fn coordinates_are_short() {
        assert_eq!([12.04, 12.46, -0.04].map(tenth), ["12", "12.5", "0"]);
    }
}
