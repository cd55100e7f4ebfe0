//! The charts of the page as files of their own: each an SVG that carries its styles and says what
//! it shows, so that it can be put into a paper.
//!
//! The page's style sheet colours by variables, which programs that convert SVG do not know. Here
//! each rule that the chart needs stands with its light values, those of a method's colour once for
//! each colour.

use super::{STYLE, sections};
use crate::report::content::Content;
use crate::report::xml::Element;
use crate::study::results::StudyResult;
use std::collections::BTreeSet;

/// A chart as a file.
pub struct Figure {
    pub file: String,
    pub svg: String,
    /// What a reader must know: the method, what is drawn, which mark is which seed, the study.
    pub caption: String,
}

const LINE: f64 = 15.0;
/// About the width of a letter of 12 pixels.
const LETTER: f64 = 6.0;

/// The shapes of [`mark`](crate::report::svg::mark), by seed.
const SHAPES: [&str; 8] = [
    "circle",
    "square",
    "triangle up",
    "diamond",
    "triangle down",
    "triangle left",
    "triangle right",
    "hexagon",
];

/// Every chart of the study, in the order of the page.
pub fn figures(study: &StudyResult) -> Vec<Figure> {
    let content = Content::of(study);
    let marks: Vec<String> = (content.seeds.iter().enumerate())
        .map(|(i, seed)| format!("{seed} ({})", SHAPES[i % SHAPES.len()]))
        .collect();
    let foot =
        format!("Seeds: {}. Study {}: {}", marks.join(", "), content.name, content.standing());
    let mut found: Vec<Figure> = Vec::new();
    for section in sections(&content, &[]) {
        let inside =
            section.parts.iter().fold(Element::new("div"), |all, part| all.add(part.clone()));
        let note = section.parts.first().filter(|part| part.attribute("class") == Some("note"));
        let note = note.map(Element::words).unwrap_or_default();
        for figure in inside.find("figure") {
            let [drawing] = figure.find("svg")[..] else { continue };
            let head =
                |name| figure.find(name).first().map(|part| part.words()).unwrap_or_default();
            let (name, remark) = (head("strong"), head("span"));
            let title = match name.as_str() {
                "" => section.title.clone(),
                name => format!("{}: {name}", section.title),
            };
            let caption: Vec<&str> = [title.as_str(), &remark, &note, &foot].into_iter().collect();
            let caption = sentences(&caption);
            let mut file = format!("{}-{}.svg", section.id, slug(&name));
            if name.is_empty() {
                file = format!("{}.svg", section.id);
            }
            // Names that differ in signs alone.
            if found.iter().any(|other| other.file == file) {
                file = file.replace(".svg", &format!("-{}.svg", found.len()));
            }
            let svg = alone(drawing, &title, &remark, &caption);
            found.push(Figure { file, svg, caption });
        }
    }
    found
}

/// A Markdown list of the files with their captions.
pub fn captions(figures: &[Figure]) -> String {
    let line =
        |f: &Figure| format!("- `{}`: {}\n", f.file, super::super::markdown::escaped(&f.caption));
    figures.iter().map(line).collect()
}

fn sentences(parts: &[&str]) -> String {
    let ended =
        parts.iter().filter(|part| !part.is_empty()).map(|part| match part.ends_with('.') {
            true => part.to_string(),
            false => format!("{part}."),
        });
    ended.collect::<Vec<_>>().join(" ")
}

/// A file's name of a method's.
fn slug(name: &str) -> String {
    let plain: String = name.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
    let parts: Vec<&str> = plain.split('-').filter(|part| !part.is_empty()).collect();
    parts.join("-").to_lowercase()
}

/// The drawing under its title and its remark.
fn alone(drawing: &Element, title: &str, remark: &str, caption: &str) -> String {
    let size: Vec<f64> = (drawing.attribute("viewBox").unwrap_or_default().split_whitespace())
        .filter_map(|number| number.parse().ok())
        .collect();
    let (width, height) = match size[..] {
        [_, _, width, height] => (width, height),
        _ => (540.0, 300.0),
    };
    let wrapped = |text: &str, letter: f64| -> Vec<String> {
        let fits = ((width / letter) as usize).max(12);
        textwrap::wrap(text, fits).into_iter().map(|line| line.into_owned()).collect()
    };
    let lines = (wrapped(title, LETTER * 1.1).into_iter().map(|line| (line, "strong name")))
        .chain(wrapped(remark, LETTER).into_iter().map(|line| (line, "axis")));
    let lines: Vec<(String, &str)> = lines.filter(|(line, _)| !line.is_empty()).collect();
    let top = LINE * lines.len() as f64 + 8.0;
    let whole = height + top;
    let mut svg = Element::new("svg")
        .with("xmlns", "http://www.w3.org/2000/svg")
        .with("width", width.ceil())
        .with("height", whole.ceil())
        .with("viewBox", format!("0 0 {width} {whole}"))
        .with("role", "img")
        .add(Element::new("title").text(title))
        .add(Element::new("desc").text(caption));
    let mut texts = Vec::new();
    for (i, (line, classes)) in lines.iter().enumerate() {
        let at = (0.0, LINE * (i as f64 + 0.8));
        texts.push(crate::report::svg::label(at, crate::report::svg::Anchor::Start, classes, line));
    }
    let inner = drawing.clone().with("y", top).with("width", width).with("height", height);
    let paper = Element::new("rect").class("paper").with("width", "100%").with("height", "100%");
    let classes = texts.iter().chain([drawing]).flat_map(Element::classes);
    let style = style(&classes.collect());
    svg = svg.add(Element::new("style").text(style)).add(paper).all(texts).add(inner);
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{svg}\n")
}

/// The rules that a drawing with these classes needs, without variables.
fn style(used: &BTreeSet<&str>) -> String {
    let rules = rules(STYLE);
    let root = rules.iter().find(|(selector, _)| *selector == ":root").map_or("", |(_, body)| body);
    let values: Vec<(&str, &str)> = root
        .split(';')
        .filter_map(|line| line.trim().strip_prefix("--")?.split_once(':'))
        .collect();
    let resolved = |body: &str| {
        values.iter().fold(body.to_string(), |body, (name, value)| {
            body.replace(&format!("var(--{name})"), value.trim())
        })
    };
    // A method's colour by its class; what cannot be read is grey, whatever its method.
    let mut colours: Vec<(&str, String)> = Vec::new();
    for (selector, body) in &rules {
        let class = selector.trim_start_matches('.');
        if let Some(colour) = body.trim().strip_prefix("--c:").filter(|_| used.contains(class)) {
            colours.push((class, resolved(colour.trim_end_matches([';', ' ']).trim())));
        }
    }
    colours.sort_by_key(|(class, _)| (*class == "unread", class.starts_with("hue")));
    let mut out = String::from(
        "text { font-family: Helvetica, Arial, 'Liberation Sans', sans-serif; } .paper { fill: #fff; }\n",
    );
    for (selector, body) in &rules {
        let parts: Vec<&str> =
            selector.split(',').map(str::trim).filter(|part| needed(part, used)).collect();
        if parts.is_empty() || body.trim().starts_with("--c:") {
            continue;
        }
        if !body.contains("var(--c)") {
            out += &format!("{} {{{}}}\n", parts.join(", "), resolved(body));
            continue;
        }
        for (class, colour) in &colours {
            let under: Vec<String> = parts.iter().map(|part| format!(".{class} {part}")).collect();
            out += &format!(
                "{} {{{}}}\n",
                under.join(", "),
                resolved(&body.replace("var(--c)", colour))
            );
        }
    }
    out
}

/// Whether a selector can meet anything: elements of text and classes that are used.
fn needed(selector: &str, used: &BTreeSet<&str>) -> bool {
    selector.split_whitespace().all(|simple| {
        let (element, classes) = simple.split_once('.').unwrap_or((simple, ""));
        let is_class = !classes.is_empty();
        (element == "text" || (element.is_empty() && is_class))
            && classes
                .split('.')
                .filter(|class| !class.is_empty())
                .all(|class| used.contains(class))
    })
}

/// The rules outside of media queries: selector and declarations.
fn rules(sheet: &'static str) -> Vec<(&'static str, &'static str)> {
    let mut found = Vec::new();
    let mut rest = sheet;
    while let Some(open) = rest.find('{') {
        let selector = rest[..open].trim();
        let mut depth = 0;
        let close = rest.char_indices().skip(open).find(|(_, c)| {
            depth += match c {
                '{' => 1,
                '}' => -1,
                _ => 0,
            };
            depth == 0
        });
        let Some((close, _)) = close else { break };
        if !selector.starts_with('@') {
            found.push((selector, &rest[open + 1..close]));
        }
        rest = &rest[close + 1..];
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::{empty, study, troubled};

    #[test]
    fn every_class_of_a_chart_has_its_rule_and_no_variable_is_left() {
        let figures = figures(&study());
        assert!(figures.len() > 8);
        for figure in &figures {
            assert!(!figure.svg.contains("var("), "{}", figure.svg);
            let document = roxmltree::Document::parse(&figure.svg).unwrap();
            let sheet = document.descendants().find(|n| n.has_tag_name("style")).unwrap();
            let sheet = sheet.text().unwrap();
            let marks = document.descendants().filter_map(|n| n.attribute("class"));
            for class in marks.flat_map(str::split_whitespace) {
                // What only groups, and what a colour's rules name.
                let groups = ["frame", "series", "unread", "halo"].contains(&class);
                assert!(groups || sheet.contains(&format!(".{class}")), "{class}\n{sheet}");
            }
        }
        let first = &figures[0];
        assert!(first.svg.contains(".hue-0 .mean { fill: none; stroke: #0072b2;"), "{}", first.svg);
        assert!(first.caption.contains("Seeds: 42 (circle), 123 (square), 456 (triangle up)."));
    }

    #[test]
    fn files_have_names_of_their_own_and_troubled_studies_have_charts_too() {
        for study in [study(), troubled(), empty()] {
            let figures = figures(&study);
            let names: BTreeSet<&String> = figures.iter().map(|figure| &figure.file).collect();
            assert_eq!(names.len(), figures.len());
            for name in names {
                let tame = |c: char| c.is_alphanumeric() || c == '-' || c == '.';
                assert!(name.chars().all(tame) && name.ends_with(".svg"), "{name}");
            }
            for figure in &figures {
                roxmltree::Document::parse(&figure.svg).unwrap();
            }
        }
    }
}
